"""The Monte Carlo benchmark: references that no simulation made, agreement by standard errors, and contestants that are right."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import QuantLib as ql
from scipy.special import ndtr

from benchmarks.contestants import monte_carlo_numba, monte_carlo_numpy
from benchmarks.contestants.monte_carlo_contracts import (
    AmericanPut,
    AsianCall,
    BasketCall,
    HestonCall,
    answer,
    reference,
    sample_answer,
    tolerances,
)
from benchmarks.harness.measure import Contestant, Tolerance, Workload, measure

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("GPUJAX_TEST_CACHE", ROOT / ".jax_cache")) / "gpujax"


def black_scholes_call(spot, strike, expiry, rate, volatility):
    total = volatility * math.sqrt(expiry)
    d1 = (math.log(spot / strike) + rate * expiry) / total + total / 2
    return spot * ndtr(d1) - strike * math.exp(-rate * expiry) * ndtr(d1 - total)


def paths_of(contract, paths, seed):
    """Lognormal prices `[steps, paths]` and their discount factor, the plain way."""
    step = contract.expiry / contract.steps
    z = np.random.default_rng(seed).standard_normal((contract.steps, paths))
    moves = (contract.rate - contract.volatility**2 / 2) * step + contract.volatility * math.sqrt(step) * z
    return contract.spot * np.exp(np.cumsum(moves, axis=0)), math.exp(-contract.rate * contract.expiry)


def test_an_asian_of_one_date_is_a_european():
    found = reference(AsianCall(steps=1, strike=110.0))
    assert found["price"][0] == pytest.approx(black_scholes_call(100.0, 110.0, 1.0, 0.05, 0.2), rel=1e-12)


def test_asian_reference_is_within_a_control_variates_error():
    contract = AsianCall(steps=12, strike=105.0)
    prices, discount = paths_of(contract, 200_000, seed=1)
    paid = discount * np.maximum(prices.mean(axis=0) - contract.strike, 0.0)
    control = discount * np.maximum(np.exp(np.log(prices).mean(axis=0)) - contract.strike, 0.0)
    # The geometric mean is lognormal, so that its option has Black's price.
    n, drift = contract.steps, contract.rate - contract.volatility**2 / 2
    mean = math.log(contract.spot) + drift * (n + 1) / (2 * n)
    deviation = contract.volatility * math.sqrt((n + 1) * (2 * n + 1) / (6 * n * n))
    d2 = (mean - math.log(contract.strike)) / deviation
    exact = discount * (math.exp(mean + deviation**2 / 2) * ndtr(d2 + deviation) - contract.strike * ndtr(d2))
    difference = paid - control
    error = difference.std() / math.sqrt(difference.size)
    assert error < 1e-3
    found = reference(contract)
    assert abs(found["price"][0] - (exact + difference.mean())) < 4 * error
    assert found["deviation"][0] == pytest.approx(paid.std(), rel=0.01)


def test_basket_reference_at_its_limits_and_against_simulation():
    # Perfectly correlated assets are one asset; a basket of one is a European.
    together = reference(BasketCall(correlation=1.0 - 1e-12))["price"][0]
    alone = reference(BasketCall(assets=1))["price"][0]
    european = black_scholes_call(100.0, 100.0, 1.0, 0.05, 0.2)
    assert together == pytest.approx(european, rel=1e-6)
    assert alone == pytest.approx(european, rel=1e-9)
    contract, paths = BasketCall(), 400_000
    draw = np.random.default_rng(2)
    shared, own = draw.standard_normal(paths), draw.standard_normal((contract.assets, paths))
    prices = 100.0 * np.exp(0.03 + 0.2 * (math.sqrt(0.5) * shared + math.sqrt(0.5) * own))
    paid = math.exp(-0.05) * np.maximum(prices.mean(axis=0) - 100.0, 0.0)
    found = reference(contract)
    assert abs(found["price"][0] - paid.mean()) < 4 * paid.std() / math.sqrt(paths)
    assert found["deviation"][0] == pytest.approx(paid.std(), rel=0.01)


def test_heston_reference_without_volatility_of_variance_is_black_scholes():
    contract = HestonCall(v0=0.04, theta=0.04, sigma=1e-4, rho=0.0, strike=95.0)
    found = reference(contract)
    assert found["price"][0] == pytest.approx(black_scholes_call(100.0, 95.0, 1.0, 0.05, 0.2), abs=1e-4)
    first, second = (
        100.0,
        100.0**2 * math.exp(0.1 + 0.04),
    )  # moments of the price at expiry, the first of them discounted
    d1 = (math.log(100.0 / 95.0) + 0.05) / 0.2 + 0.1
    square = math.exp(-0.1) * (
        second * ndtr(d1 + 0.2) - 2 * 95.0 * first * math.exp(0.05) * ndtr(d1) + 95.0**2 * ndtr(d1 - 0.2)
    )
    assert found["deviation"][0] == pytest.approx(math.sqrt(square - found["price"][0] ** 2), abs=1e-3)


def test_heston_reference_is_that_of_quantlib():
    c = HestonCall(strike=110.0)
    today = ql.Date(7, 11, 2002)
    ql.Settings.instance().evaluationDate = today
    rate, none = (ql.YieldTermStructureHandle(ql.FlatForward(today, r, ql.Actual365Fixed())) for r in (c.rate, 0.0))
    process = ql.HestonProcess(
        rate, none, ql.QuoteHandle(ql.SimpleQuote(c.spot)), c.v0, c.kappa, c.theta, c.sigma, c.rho
    )
    option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Call, c.strike), ql.EuropeanExercise(today + 365))
    option.setPricingEngine(ql.AnalyticHestonEngine(ql.HestonModel(process), 192))
    assert reference(c)["price"][0] == pytest.approx(option.NPV(), abs=1e-9)


@pytest.mark.shared_data
def test_american_reference_is_that_of_longstaff_and_schwartz(shared):
    lines = (shared / "refvalues" / "lsm2001_table1.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    table = [{k: float(v) for k, v in row.items()} for row in rows]
    checked = 0
    for expiry, volatility in {(row["T"], row["vol"]) for row in table}:
        rows = [row for row in table if (row["T"], row["vol"]) == (expiry, volatility)]
        contract = AmericanPut(spots=tuple(row["spot"] for row in rows), expiry=expiry, volatility=volatility,
                               steps=round(50 * expiry))  # fmt: skip
        # The benchmark's own rows to all digits printed; their finite differences are off by a little more where the volatility
        # is twice as large, as QuantLib's say below.
        atol = 5.1e-4 if (expiry, volatility) == (1.0, 0.2) else 6e-3
        np.testing.assert_allclose(
            reference(contract)["price"], [row["fd_american"] for row in rows], rtol=0, atol=atol
        )
        checked += len(rows)
    assert checked == len(table) == 20


@pytest.mark.parametrize(("expiry", "volatility", "steps"), [(1.0, 0.2, 50), (2.0, 0.4, 100)])
def test_american_reference_is_that_of_quantlibs_finite_differences(expiry, volatility, steps):
    contract = AmericanPut(spots=(36.0, 44.0), expiry=expiry, volatility=volatility, steps=steps)
    today, stretch = ql.Date(7, 11, 2002), expiry * 365.0 / (7 * steps)  # dates are whole days: a week for every step
    ql.Settings.instance().evaluationDate = today
    days = ql.Actual365Fixed()
    rate, none = (ql.YieldTermStructureHandle(ql.FlatForward(today, r, days)) for r in (0.06 * stretch, 0.0))
    smile = ql.BlackConstantVol(today, ql.NullCalendar(), volatility * math.sqrt(stretch), days)
    exercise = ql.BermudanExercise([today + 7 * (k + 1) for k in range(steps)])
    for spot, price in zip(contract.spots, reference(contract)["price"], strict=True):
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(spot)), none, rate, ql.BlackVolTermStructureHandle(smile)
        )
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, 40.0), exercise)
        option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, 10 * steps, 2000))
        assert price == pytest.approx(option.NPV(), abs=2e-4)


def test_american_reference_of_one_date_is_a_european_put():
    call = black_scholes_call(36.0, 40.0, 1.0, 0.06, 0.2)
    put = call - 36.0 + 40.0 * math.exp(-0.06)
    assert reference(AmericanPut(steps=1, spots=(36.0,)))["price"][0] == pytest.approx(put, rel=1e-12)


def test_agreement_is_by_the_answers_own_standard_error():
    allowed = {"price": Tolerance(absolute=0.001, standard_errors=4.5), "deviation": Tolerance(relative=0.25)}
    expected = {"price": np.array([5.0]), "deviation": np.array([8.0])}

    def row(got):
        one = Contestant("one", "how", lambda: got, 1, lambda got: got)
        return Workload("row", "a path-step", expected, allowed, [one])

    def disagreement(got):
        return measure(row(got), rounds=1, least_sample=1e-7).outcomes[0].disagreement

    error = 8.0 / math.sqrt(10_000)
    assert disagreement(answer(5.0 + 4.4 * error, error, 10_000)) is None
    assert disagreement(answer(5.0 + 4.6 * error, error, 10_000)).startswith("price off")
    # Four times the paths, and the same distance is too far.
    assert disagreement(answer(5.0 + 4.4 * error, error / 2, 40_000)).startswith("price off")
    # A standard error that the contract's variance does not give is no licence.
    assert disagreement(answer(5.0 + 4.4 * error, 4 * error, 10_000)).startswith("deviation off")
    assert disagreement(answer(5.0, math.nan, 10_000)).startswith("price off")
    assert disagreement({"price": np.array([5.0]), "deviation": np.array([8.0])}) is None
    assert disagreement({"price": np.array([5.01]), "deviation": np.array([8.0])}).startswith("price off")


def test_sums_make_a_mean_and_its_error():
    values = np.random.default_rng(3).normal(5.0, 8.0, 1000)
    found = sample_answer(values.sum(), np.square(values).sum(), 1000)
    assert found["price"][0] == pytest.approx(values.mean(), rel=1e-12)
    assert found["price standard error"][0] == pytest.approx(values.std(ddof=1) / math.sqrt(1000), rel=1e-9)
    assert found["deviation"][0] == pytest.approx(values.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_numba_generator_draws_standard_normals(dtype):

    pair = monte_carlo_numba._normals(dtype).pair

    @numba.njit
    def draw(s0, s1, count):
        drawn = np.empty((count, 2), np.dtype(dtype))
        for i in range(count):
            drawn[i, 0], drawn[i, 1], s0, s1 = pair(s0, s1)
        return drawn

    count = 200_000
    z = draw(*monte_carlo_numba._streams()[0], count).astype(float)
    assert z.dtype == float
    assert np.unique(z).size > 0.98 * 2 * count
    flat = z.ravel()
    error = 1 / math.sqrt(flat.size)
    for power, moment, deviation in (
        (1, 0.0, 1.0),
        (2, 1.0, math.sqrt(2)),
        (3, 0.0, math.sqrt(15)),
        (4, 3.0, math.sqrt(96)),
    ):
        assert abs((flat**power).mean() - moment) < 4.5 * deviation * error, power
    # Neither the two of a pair nor neighbours in a stream go together, nor do their squares.
    for left, right in ((z[:, 0], z[:, 1]), (z[:-1, 0], z[1:, 0]), (z[:-1, 1], z[1:, 0]), (z[:, 0] ** 2, z[:, 1] ** 2)):
        assert abs(np.corrcoef(left, right)[0, 1]) < 4.5 / math.sqrt(count)
    expected = np.diff(ndtr(np.linspace(-3, 3, 25)))
    counts = np.histogram(flat, np.linspace(-3, 3, 25))[0]
    squares = (counts - flat.size * expected) ** 2 / (flat.size * expected)
    assert squares.sum() < 24 + 5 * math.sqrt(48)


def test_threads_have_streams_of_their_own():
    streams = monte_carlo_numba._streams()
    assert streams.dtype == np.uint64
    assert np.unique(streams).size == streams.size


@pytest.mark.parametrize("module", [monte_carlo_numba, monte_carlo_numpy], ids=["numba", "numpy"])
@pytest.mark.parametrize("task", ["asian", "basket", "heston"])
def test_odd_numbers_of_paths_and_steps(module, task):
    """What goes by pairs (normals, steps) must not lose or repeat the last one."""
    contract = {"asian": AsianCall, "basket": BasketCall, "heston": HestonCall}[task](paths=50_001, steps=7)
    (form,) = getattr(module, task)(contract, "float64")
    found, expected = form.answer(form.call()), reference(contract)
    bias = 0.15 if task == "heston" else 0.0  # of Euler with steps of a seventh of a year
    assert abs(found["price"] - expected["price"])[0] < bias + 4.5 * found["price standard error"][0]
    assert tolerances(contract)["deviation"].excess(found["deviation"], expected["deviation"])[0] < 1.0
    assert form.items == 7 * 50_001


def test_the_script_names_every_peer_and_agrees(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    environment |= {"GPUJAX_CACHE": str(CACHE), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "benchmarks.monte_carlo", "--quick", "--rounds", "1", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    stored = json.loads((tmp_path / "monte_carlo.json").read_text())
    assert (tmp_path / "monte_carlo.png").read_bytes().startswith(b"\x89PNG")
    workloads = " ".join(result["workload"] for result in stored["results"])
    assert all(word in workloads for word in ("Asian", "basket", "Heston", "American", "float64", "float32"))
    for result in stored["results"]:
        named = [entry["name"] for entry in (*result["contestants"], *result["absent"])]
        every = ("gpujax", "numba", "JAX", "NumPy", "PyTorch", "QuantLib", "quantkit-rs", "stochastic-rs")
        # To a given error only the fastest take part.
        for peer in ("gpujax", "numba", "JAX") if "standard error" in result["workload"] else every:
            assert any(peer in name for name in named), f"{peer} is missing from {result['workload']}"
        wrong = {c["name"]: c["disagreement"] for c in result["contestants"] if c["disagreement"]}
        assert not wrong, wrong
