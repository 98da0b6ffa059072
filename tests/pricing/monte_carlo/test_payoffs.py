"""Payoffs against closed forms, published values and plain NumPy on whole paths."""

import csv

import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.pricing import black_scholes, digital
from gpujax.pricing import monte_carlo as mc

MARKET = {"spot": 100.0, "volatility": 0.25, "rate": 0.05, "dividend_yield": 0.01}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)
TIMES = np.linspace(0.1, 1.0, 10)
PATHS = 20_000
DISCOUNT = np.exp(-0.05)


@pytest.fixture(scope="module")
def paths():
    """Whole paths, time zero first: what plain NumPy prices."""
    later = np.asarray(mc.simulate(STOCK, key=1, paths=PATHS, times=TIMES))
    return np.concatenate([np.full((PATHS, 1), 100.0), later], axis=1)


CASES = {
    "european put": (mc.payoffs.european(strike=104.0, is_call=False), lambda p: np.maximum(104 - p[:, -1], 0)),
    "digital": (mc.payoffs.digital(strike=98.0, cash=3.0), lambda p: 3.0 * (p[:, -1] > 98)),
    "digital on the asset": (
        mc.payoffs.digital(strike=98.0, is_call=False, pays_asset=True),
        lambda p: p[:, -1] * (p[:, -1] < 98),
    ),
    "asian": (mc.payoffs.asian(strike=100.0), lambda p: np.maximum(p[:, 1:].mean(1) - 100, 0)),
    "asian from the start": (
        mc.payoffs.asian(strike=100.0, from_start=True, is_call=False),
        lambda p: np.maximum(100 - p.mean(1), 0),
    ),
    "geometric asian": (
        mc.payoffs.asian(strike=100.0, average="geometric"),
        lambda p: np.maximum(np.exp(np.log(p[:, 1:]).mean(1)) - 100, 0),
    ),
    "floating asian": (mc.payoffs.asian(strike=None), lambda p: np.maximum(p[:, -1] - p[:, 1:].mean(1), 0)),
    "up and out": (
        mc.payoffs.barrier(strike=95.0, level=130.0, kind="up-and-out", rebate=2.0),
        lambda p: np.where(p.max(1) < 130, np.maximum(p[:, -1] - 95, 0), 2.0),
    ),
    "down and in": (
        mc.payoffs.barrier(strike=105.0, level=90.0, kind="down-and-in", is_call=False),
        lambda p: np.where(p.min(1) > 90, 0, np.maximum(105 - p[:, -1], 0)),
    ),
    "fixed lookback": (mc.payoffs.lookback(strike=110.0), lambda p: np.maximum(p.max(1) - 110, 0)),
    "fixed lookback put": (
        mc.payoffs.lookback(strike=90.0, is_call=False),
        lambda p: np.maximum(90 - p.min(1), 0),
    ),
    "floating lookback": (mc.payoffs.lookback(), lambda p: p[:, -1] - p.min(1)),
    "floating lookback put": (mc.payoffs.lookback(is_call=False), lambda p: p.max(1) - p[:, -1]),
    "own function": (mc.payoffs.of_path(lambda p: p[3] - p[0], times=10), lambda p: p[:, 3] - p[:, 0]),
    "own underlying": (
        mc.payoffs.on(lambda s: s * s / 100, mc.payoffs.european(strike=100.0)),
        lambda p: np.maximum(p[:, -1] ** 2 / 100 - 100, 0),
    ),
}


@pytest.fixture(scope="module")
def found():
    return mc.price(STOCK, {name: payoff for name, (payoff, _) in CASES.items()}, key=1, paths=PATHS, times=TIMES)


@pytest.mark.parametrize("name", CASES)
def test_the_mean_over_whole_paths(name, paths, found):
    values = DISCOUNT * CASES[name][1](paths)
    np.testing.assert_allclose(found[name].value, values.mean(), rtol=1e-12)
    np.testing.assert_allclose(found[name].standard_error, values.std(ddof=1) / np.sqrt(PATHS), rtol=1e-9)


def test_in_and_out_make_a_vanilla(found):
    both = {
        kind: mc.payoffs.barrier(strike=100.0, level=120.0, kind=kind, volatility=0.25)
        for kind in ("up-and-in", "up-and-out")
    }
    parts = mc.price(STOCK, {**both, "vanilla": mc.payoffs.european(strike=100.0)}, key=1, paths=PATHS, times=TIMES)
    total = parts["up-and-in"].value + parts["up-and-out"].value
    np.testing.assert_allclose(total, parts["vanilla"].value, rtol=1e-12)


def test_digitals_against_the_closed_form(within):
    option = {**MARKET, "strike": 103.0, "expiry": 1.0}
    payoffs = {
        "cash": mc.payoffs.digital(strike=103.0, cash=5.0),
        "asset": mc.payoffs.digital(strike=103.0, pays_asset=True, is_call=False),
    }
    got = mc.price(STOCK, payoffs, key=2, paths=200_000, times=1.0)
    within(got["cash"], digital.cash_or_nothing(**option, cash=5.0))
    within(got["asset"], digital.asset_or_nothing(**option, is_call=False))


def test_geometric_asian_against_its_closed_form(within):
    """The logarithm of the average is normal: A. Kemna and A. Vorst, Journal of Banking and Finance 14 (1990), 113-129."""
    n = len(TIMES)
    drift = 0.05 - 0.01 - 0.5 * 0.25**2
    mean = np.log(100) + drift * TIMES.mean()
    variance = 0.25**2 * np.minimum.outer(TIMES, TIMES).sum() / n**2
    forward = np.exp(mean + variance / 2)
    exact = black_scholes.price(
        spot=forward * DISCOUNT, strike=100.0, expiry=1.0, volatility=np.sqrt(variance), rate=0.05
    )
    payoff = mc.payoffs.asian(strike=100.0, average="geometric")
    within(mc.price(STOCK, payoff, key=3, paths=200_000, times=TIMES), exact)


@pytest.mark.shared_data
def test_arithmetic_asians_of_levy(shared, within):
    """Discrete averages that start at once, from the table of Levy (1997); its own accuracy is 2e-3."""
    with open(shared / "refvalues" / "asian_arith_discrete_levy1997.csv", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(line for line in file if not line.startswith("#"))
            if float(row["first_fixing_t"]) > 0 and int(row["fixings"]) in (4, 12)
        ]
    assert len(rows) >= 4
    for row in rows:
        count, first, length = int(row["fixings"]), float(row["first_fixing_t"]), float(row["length"])
        times = first + np.arange(count) * length / (count - 1)
        process = mc.processes.GeometricBrownianMotion(
            spot=float(row["spot"]), volatility=float(row["vol"]), rate=float(row["r"]), dividend_yield=float(row["q"])
        )
        payoff = mc.payoffs.asian(strike=float(row["strike"]), is_call=row["type"] == "Call")
        within(mc.price(process, payoff, key=4, paths=100_000, times=times), float(row["value"]), bias=3e-3)


@pytest.mark.shared_data
def test_continuous_barriers_of_haug(shared, within):
    """Continuously watched barriers from a few steps: the bridge leaves no bias."""
    with open(shared / "refvalues" / "barrier_haug.csv", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    kinds = {"DownOut": "down-and-out", "UpOut": "up-and-out", "DownIn": "down-and-in", "UpIn": "up-and-in"}
    # The rebate of a knock-out is paid there when the barrier is hit, here at the end.
    european = [row for row in rows if row["exercise"] == "european"]
    chosen = [row for row in european if row["barrier_type"].endswith("In") or float(row["rebate"]) == 0][::5]
    assert len(chosen) >= 4
    for row in chosen:
        volatility, expiry = float(row["vol"]), float(row["t"])
        process = mc.processes.GeometricBrownianMotion(
            spot=float(row["spot"]), volatility=volatility, rate=float(row["r"]), dividend_yield=float(row["q"])
        )
        payoff = mc.payoffs.barrier(
            strike=float(row["strike"]), level=float(row["barrier"]), kind=kinds[row["barrier_type"]],
            is_call=row["type"] == "Call", rebate=float(row["rebate"]), volatility=volatility,
        )  # fmt: skip
        price = mc.price(process, payoff, key=6, paths=100_000, times=np.linspace(expiry / 4, expiry, 4))
        within(price, float(row["value"]), bias=1e-4)


def test_unknown_kinds_are_named():
    with pytest.raises(InputError, match="kind: 'sideways'; expected one of up-and-out"):
        mc.payoffs.barrier(strike=1.0, level=1.0, kind="sideways")
    with pytest.raises(InputError, match="average: 'harmonic'; expected 'arithmetic' or 'geometric'"):
        mc.payoffs.asian(strike=1.0, average="harmonic")
