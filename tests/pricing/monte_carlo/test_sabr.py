"""SABR: published exact prices, closed forms at its edges, martingales, the order of the scheme, inputs that are refused."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpujax.errors import InputError
from gpujax.pricing import bachelier, black76
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo.processes.sabr import _quadratic_exponential

Sabr = mc.processes.Sabr
SOBOL = mc.methods.Sobol(replicates=8)
SMILE = {"forward": 0.05, "alpha": 0.3 * 0.05**0.5, "beta": 0.5, "rho": -0.4, "nu": 0.5}


def _rows(shared, name):
    with open(shared / "refvalues" / name, newline="") as file:
        return [
            {k: float(v) for k, v in row.items()} for row in csv.DictReader(line for line in file if line[0] != "#")
        ]


def _calls(strikes):
    return tuple(mc.payoffs.european(strike=float(k)) for k in strikes)


@pytest.mark.shared_data
@pytest.mark.parametrize(("case", "bias", "dtype"), [(1, 2e-4, np.float64), (2, 5e-4, np.float32)])
def test_exact_prices_of_benchop(shared, case, bias, dtype, within):
    """BENCHOP (von Sydow et al. 2019): volatilities of 70 % over two years, and of 150 % over ten: most paths end at zero."""
    rows = [row for row in _rows(shared, "sabr_benchop.csv") if row["case"] == case]
    assert len(rows) == 3
    row = rows[0]
    process = Sabr(forward=row["F0"], alpha=row["alpha"], beta=row["beta"], rho=row["rho"], nu=row["nu"])
    payoffs = (mc.payoffs.european(strike=0.0), *_calls(r["strike"] for r in rows))
    found = mc.price(process, payoffs, key=1, paths=1 << 15, times=row["T"], max_step=1 / 16, method=SOBOL, dtype=dtype)
    within(found[0], row["F0"], bias=1e-4)
    for estimate, row in zip(found[1:], rows, strict=True):
        within(estimate, row["call"], bias=bias + 2e-4)  # the last is the table's own tolerance


def _elastic_call(forward, strike, sigma, beta, expiry):
    """Constant elasticity of variance with zero absorbing (Schroder 1989): what is left of SABR where ν = 0."""
    scale, b = 1 / ((1 - beta) ** 2 * sigma**2 * expiry), 1 / (1 - beta)
    x, y = scale * strike ** (2 * (1 - beta)), scale * forward ** (2 * (1 - beta))
    return forward * stats.ncx2.sf(x, b + 2, y) - strike * stats.ncx2.cdf(y, b, x)


@pytest.mark.parametrize(("beta", "volatility", "bias"), [(0.3, 0.3, 5e-5), (0.7, 0.5, 5e-5), (0.5, 1.2, 4e-3)])
def test_without_volatility_of_volatility(beta, volatility, bias, within):
    """The step alone, with four a year; in the last case a tenth and more of the paths are absorbed."""
    sigma = volatility * 1.0 ** (1 - beta)
    process = Sabr(forward=1.0, alpha=sigma, beta=beta, rho=0.5, nu=0.0)
    strikes = (0.7, 1.0, 1.4)
    found = mc.price(process, _calls(strikes), key=2, paths=1 << 15, times=1.0, max_step=0.25, method=SOBOL)
    for strike, estimate in zip(strikes, found, strict=True):
        within(estimate, _elastic_call(1.0, strike, sigma, beta, 1.0), bias=bias)


def test_the_ends_of_beta_without_volatility_of_volatility(within):
    """Black's and Bachelier's formulas in one step, whatever its length; a shift keeps zero away, and moves it."""
    lognormal = Sabr(forward=0.04, alpha=0.9, beta=1.0, rho=0.3, nu=0.0, rate=0.02)
    found = mc.price(lognormal, mc.payoffs.european(strike=0.05), key=3, paths=100_000, times=2.0)
    within(found, black76.price(forward=0.04, strike=0.05, expiry=2.0, volatility=0.9, rate=0.02))
    shifted = Sabr(forward=-0.005, alpha=0.9, beta=1.0, rho=0.3, nu=0.0, shift=0.03)
    found = mc.price(shifted, mc.payoffs.european(strike=-0.01), key=3, paths=100_000, times=2.0)
    within(found, black76.price(forward=0.025, strike=0.02, expiry=2.0, volatility=0.9))
    normal = Sabr(forward=0.01, alpha=0.02, beta=0.0, rho=0.3, nu=0.0, shift=1.0)
    found = mc.price(normal, mc.payoffs.european(strike=0.02, is_call=False), key=3, paths=100_000, times=2.0)
    within(found, bachelier.price(forward=0.01, strike=0.02, expiry=2.0, volatility=0.02, is_call=False))


def test_a_lognormal_forward_mixes_black_s_prices(within):
    """β = 1: given the volatility's path the forward is lognormal (Hull and White 1987), and NumPy simulates only that."""
    alpha, nu, rho, steps, paths = 0.3, 0.8, -0.5, 400, 10_000
    random = np.random.default_rng(1)
    moves = random.standard_normal((steps, paths)) * np.sqrt(1 / steps)
    path = alpha * np.exp(np.cumsum(nu * moves - 0.5 * nu**2 / steps, axis=0))
    before = np.concatenate([np.full((1, paths), alpha), path[:-1]])
    variance = np.sum(before**2, axis=0) / steps
    own = np.exp(rho * (path[-1] - alpha) / nu - 0.5 * rho**2 * variance)
    process = Sabr(forward=1.0, alpha=alpha, beta=1.0, rho=rho, nu=nu)
    strikes = (0.8, 1.0, 1.2)
    found = mc.price(process, _calls(strikes), key=4, paths=1 << 15, times=1.0, max_step=0.125, method=SOBOL)
    for strike, estimate in zip(strikes, found, strict=True):
        given = black76.price(forward=own, strike=strike, expiry=1.0, volatility=np.sqrt((1 - rho**2) * variance))
        # The forward given the path is a control: its mean is one.
        slope = np.cov(given, own)[0, 1] / own.var(ddof=1)
        adjusted = np.asarray(given) - slope * (own - 1)
        within(estimate, adjusted.mean(), bias=4 * adjusted.std() / np.sqrt(paths) + 2e-4)


def _hagan(forward, strike, expiry, alpha, beta, rho, nu):
    """The lognormal volatility of Hagan, Kumar, Lesniewski and Woodward (2002), equation 2.17a."""
    power = (forward * strike) ** ((1 - beta) / 2)
    log = np.log(forward / strike)
    z = nu / alpha * power * log
    ratio = 1.0 if z == 0 else z / np.log((np.sqrt(1 - 2 * rho * z + z * z) + z - rho) / (1 - rho))
    below = power * (1 + (1 - beta) ** 2 / 24 * log**2 + (1 - beta) ** 4 / 1920 * log**4)
    later = (
        (1 - beta) ** 2 / 24 * alpha**2 / power**2
        + rho * beta * nu * alpha / (4 * power)
        + (2 - 3 * rho**2) / 24 * nu**2
    )
    return alpha / below * ratio * (1 + later * expiry)


def test_hagan_s_approximation_at_a_short_expiry(within):
    """Its own error is of order (ν² T)²: at three months far below the spread of the smile, which it gives."""
    expiry, strikes = 0.25, (0.04, 0.05, 0.0625)
    found = mc.price(Sabr(**SMILE), _calls(strikes), key=5, paths=1 << 15, times=expiry, max_step=1 / 16, method=SOBOL)
    for strike, estimate in zip(strikes, found, strict=True):
        volatility = _hagan(SMILE["forward"], strike, expiry, *(SMILE[n] for n in ("alpha", "beta", "rho", "nu")))
        exact = black76.price(forward=0.05, strike=strike, expiry=expiry, volatility=volatility)
        vega = black76.greeks(forward=0.05, strike=strike, expiry=expiry, volatility=volatility, which=("vega",)).vega
        within(estimate, exact, bias=5e-4 * float(vega))


@pytest.mark.shared_data
def test_hagan_s_formula_here_is_the_published_one(shared):
    """The oracle against QuantLib's values, one in ten thousand for what tables round."""
    for row in _rows(shared, "sabr_hagan_quantlib.csv"):
        parameters = [row[n] for n in ("forward", "strike", "T", "alpha", "beta", "rho", "nu")]
        np.testing.assert_allclose(_hagan(*parameters), row["lognormal_vol"], rtol=1e-4)


def test_the_order_is_two_where_zero_is_far():
    """Errors against the closed form fall by four where the step is halved."""
    process = Sabr(forward=1.0, alpha=0.25, beta=0.5, rho=0.0, nu=0.0)
    strikes, errors = (0.9, 1.0, 1.1), []
    exact = np.array([_elastic_call(1.0, k, 0.25, 0.5, 1.0) for k in strikes])
    for steps in (1, 2):
        times = np.arange(1, steps + 1) / steps
        found = mc.price(process, _calls(strikes), key=6, paths=1 << 16, times=times, method=SOBOL)
        errors.append(np.array([float(e.value) for e in found]) - exact)
    assert np.all(np.abs(errors[0]) < 4e-4)
    ratios = errors[0] / errors[1]
    assert np.all((ratios > 3.3) & (ratios < 4.7))


def test_the_forward_is_a_martingale_and_never_below_its_floor(within):
    """Also where zero is hit by most, with a strong correlation of either sign."""
    floor = mc.payoffs.on(lambda forward: -forward, mc.payoffs.european(strike=0.02))
    payoffs = (mc.payoffs.european(strike=-0.02), floor)
    for rho, beta in ((-0.9, 0.0), (0.9, 0.4)):
        process = Sabr(forward=0.01, alpha=0.6 * 0.03 ** (1 - beta), beta=beta, rho=rho, nu=0.7, shift=0.02)
        found = mc.price(process, payoffs, key=7, paths=60_000, times=[1.0, 3.0, 5.0], max_step=0.5, dtype=np.float32)
        within(found[0], 0.03)
        assert float(found[1].value) == 0


def test_the_law_near_zero():
    """Mean one and variance ψ, over a million equally likely normal numbers; it never falls where they rise."""
    normal = stats.norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)
    law = jax.jit(_quadratic_exponential)
    for psi in (0.01, 0.5, 1.49, 1.51, 5.0, 40.0):
        found = np.asarray(law(jnp.full(normal.shape, psi), jnp.asarray(normal)))
        np.testing.assert_allclose(found.mean(), 1, rtol=1e-4)
        np.testing.assert_allclose(found.var(), psi, rtol=5e-3)
        # The square of a shifted normal number rises from its zero on, which lies below this.
        begin = -np.sqrt(2 / psi - 1) if psi < 1.5 else -np.inf
        assert np.all(np.diff(found[normal > begin]) >= 0)
        assert found.min() >= 0
        assert (found[0] == 0) == (psi > 1.5)


def test_zero_absorbs():
    process = Sabr(forward=1.0, alpha=1.5, beta=0.3, rho=-0.3, nu=0.3)
    paths = np.asarray(mc.simulate(process, key=8, paths=5000, times=np.arange(1, 9) / 4))
    dead = paths == 0
    assert 0.3 < dead[:, -1].mean() < 0.9
    assert np.all(dead[:, 1:] >= dead[:, :-1])


def _stepped(dtype):
    """The mean of an increasing function of the forward and its volatility after a step, and its derivatives by everything."""
    random = np.random.default_rng(5)
    draws = tuple(jnp.asarray(random.standard_normal(400), dtype) for _ in range(2))

    def value(process):
        start = tuple(jnp.broadcast_to(x, 400) for x in process.initial())
        state = process.advance(start, jnp.zeros((), dtype), jnp.full((), 0.5, dtype), draws)
        return jnp.mean(jnp.sqrt(1 + process.observe(state))) + jnp.mean(state[1])

    return jax.jit(jax.value_and_grad(value))


def _cast(parameters, dtype):
    return Sabr(**{name: jnp.asarray(x, dtype) for name, x in parameters.items()})


def test_derivatives():
    """Against differences with the same numbers, far from zero; finite where zero is hit, in both precisions."""
    given = {**SMILE, "alpha": 0.1 * 0.05**0.5, "shift": 0.001}
    for dtype in (np.float64, np.float32):
        slope = _stepped(dtype)
        wild = {**given, "alpha": 3.0, "nu": 2.0}
        for change in ({}, {"beta": 0.0}, {"beta": 1.0}, {"rho": 1.0}, {"nu": 0.0}, {"forward": 1e-6, "shift": 0.0}):
            assert np.all(np.isfinite(jax.tree.leaves(slope(_cast({**wild, **change, "rate": 0.0}, dtype)))))
    slope = _stepped(np.float64)
    found = slope(_cast({**given, "rate": 0.0}, np.float64))[1]
    for name, x in given.items():
        bump = 1e-5 * max(abs(x), 0.01)
        ends = [slope(_cast({**given, "rate": 0.0, name: x + d}, np.float64))[0] for d in (bump, -bump)]
        np.testing.assert_allclose(getattr(found, name), (ends[0] - ends[1]) / (2 * bump), rtol=1e-5, atol=1e-9)


BAD = [
    ({"beta": 1.2}, r"beta: 1.2; expected in \[0, 1\]"),
    ({"beta": -0.1}, r"beta: -0.1; expected a number >= 0"),
    ({"alpha": 0.0}, r"alpha: 0.0; expected a number > 0"),
    ({"rho": 1.5}, r"rho: 1.5; expected a number in"),
    ({"nu": -0.1}, r"nu: -0.1; expected a number >= 0"),
    ({"forward": -0.01}, r"forward: -0.01; expected above -shift, -0.0"),
    ({"forward": -0.04, "shift": 0.03}, r"forward: -0.04; expected above -shift, -0.03"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message[:12] for _, message in BAD])
def test_impossible_parameters_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        Sabr(**{**SMILE, **change})
