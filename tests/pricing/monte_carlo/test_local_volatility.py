"""Local volatility: Dupire's formula, vanillas priced back, closed forms, orders of both schemes, inputs that are refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import interpolate, stats

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc

LocalVolatility, LocalVariance = mc.processes.LocalVolatility, mc.processes.LocalVariance
dupire, dupire_variance = mc.processes.dupire, mc.processes.dupire_variance


def ssvi(parameters, time, k):
    """SSVI with a power law (Gatheral and Jacquier 2014, section 4); without arbitrage where η (1 + |ρ|) <= 2, γ <= 1/2."""
    rho, eta, gamma, level = parameters
    theta = level * time
    phi = eta / (theta**gamma * (1 + theta) ** (1 - gamma))
    return 0.5 * theta * (1 + rho * phi * k + jnp.sqrt((phi * k + rho) ** 2 + 1 - rho * rho))


INDEX = (-0.7, 1.0, 0.3, 0.04)
SMILE = functools.partial(ssvi, INDEX)
# Dense at short times, where the surface changes most.
ROWS = np.concatenate([np.geomspace(0.002, 0.1, 20), np.linspace(0.12, 1.0, 30)])
SOBOL = mc.methods.Sobol(replicates=8)


def svi(time, k, a, b, rho, m, sigma):
    """A slice of Gatheral's SVI at one year, its total variance proportional to time."""
    return time * (a + b * (rho * (k - m) + jnp.sqrt((k - m) ** 2 + sigma**2)))


@pytest.fixture(scope="module")
def surface():
    return dupire(SMILE, times=ROWS, lowest=-1.5, highest=1.0, nodes=301)


# --- Dupire's formula ---


@pytest.mark.parametrize(("time", "k"), [(0.3, -0.4), (1.0, 0.0), (2.0, 0.3), (0.05, -0.1)])
def test_dupire_in_prices(time, k):
    """Dupire (1994) itself: twice the slope of call prices in time, over K² times their curvature in the strike."""

    def call(time, strike):
        volatility = np.sqrt(float(SMILE(time, np.log(strike))) / time)
        return float(black_scholes.price(spot=1.0, strike=strike, expiry=time, volatility=volatility))

    strike, h, d = np.exp(k), 1e-4 * time, 1e-3 * np.sqrt(time)
    slope = (call(time + h, strike) - call(time - h, strike)) / (2 * h)
    curvature = (call(time, strike + d) - 2 * call(time, strike) + call(time, strike - d)) / d**2
    np.testing.assert_allclose(dupire_variance(SMILE, time, k), 2 * slope / (strike**2 * curvature), rtol=1e-4)


def test_dupire_of_a_volatility_of_time_alone():
    """Forward variance: the derivative of the total one."""
    found = dupire(lambda time, k: 0.04 * time + 0.03 * time**2, times=(0.5, 2.0), lowest=-1.0, highest=1.0, nodes=5)
    np.testing.assert_allclose(found.variance, np.broadcast_to([[0.07], [0.16]], (2, 5)), rtol=1e-12)


def test_total_variance_of_implied_volatilities_by_strike():
    rate = mc.processes.PiecewiseConstant(times=(0.0, 0.5), values=(0.02, 0.06))
    w = mc.processes.total_variance(
        lambda expiry, strike: 0.3 - 0.001 * strike + 0.01 * expiry, spot=100.0, rate=rate, dividend_yield=0.01
    )
    forward = 100 * np.exp(0.01 + 0.03 - 0.01)
    expected = (0.3 - 0.001 * forward * np.exp(0.2) + 0.01) ** 2
    np.testing.assert_allclose(w(jnp.array(1.0), jnp.array(0.2)), expected, rtol=1e-14)


# The first is Axel Vogt's example, in Gatheral and Jacquier (2014), section 3.1, and has a negative density.
ARBITRAGE = [
    (lambda t, k: svi(t, k, -0.0410, 0.1331, 0.3060, 0.3586, 0.4153), r"negative density at T = 1, k = 0.6.* between strikes"),
    (lambda t, k: 0.04 * (2 - t) * (1 + k * k), r"falls with time at T = 1, k = -1 .*between expiries"),
    (lambda t, k: t * (0.04 + 0.1 * k), r"total variance -0.06 at T = 1, k = -1.*expected numbers > 0"),
    (lambda t, k: jnp.log(k) * t, r"total variance nan at T = 1, k = -1"),
]  # fmt: skip


@pytest.mark.parametrize(("smile", "message"), ARBITRAGE, ids=["strikes", "expiries", "negative", "no number"])
def test_arbitrage_is_refused(smile, message):
    with pytest.raises(InputError, match=message):
        dupire(smile, times=(1.0,), lowest=-1.0, highest=1.0, nodes=51)


def test_the_grid_between_and_outside_its_nodes():
    random = np.random.default_rng(1)
    variance = random.uniform(0.01, 0.1, (4, 6))
    grid = LocalVariance(times=(0.1, 0.2, 0.7, 1.5), lowest=-0.5, highest=0.3, variance=variance)
    columns = np.linspace(-0.5, 0.3, 6)
    exact = interpolate.RegularGridInterpolator((grid.times, columns), variance)
    for time in (0.0, 0.1, 0.15, 0.7, 1.2, 1.5, 9.0):
        k = np.concatenate([random.uniform(-0.8, 0.6, 50), columns, [-np.inf, np.inf]])
        inside = np.stack([np.full_like(k, np.clip(time, 0.1, 1.5)), np.clip(k, -0.5, 0.3)], axis=1)
        np.testing.assert_allclose(grid.at(time)(jnp.asarray(k)), exact(inside), rtol=1e-12)
    single = LocalVariance(times=(0.5,), lowest=-0.5, highest=0.3, variance=variance[:1])
    np.testing.assert_allclose(single.at(2.0)(jnp.asarray(columns)), variance[0], rtol=1e-12)


# --- prices ---


def _smile_price(strike, expiry, smile=SMILE, rate=0.03, dividend_yield=0.01):
    k = np.log(strike / (100 * np.exp((rate - dividend_yield) * expiry)))
    return black_scholes.price(
        spot=100.0, strike=strike, expiry=expiry, rate=rate, dividend_yield=dividend_yield,
        volatility=np.sqrt(float(smile(expiry, k)) / expiry),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scheme", "bias", "expiry", "dtype"),
    [("platen", 0.02, 0.5, np.float32), ("platen", 0.01, 1.0, np.float64), ("log-euler", 0.16, 1.0, np.float64)],
)
def test_vanillas_come_back(surface, scheme, bias, expiry, dtype, within):
    """The smile that the surface was made of, with eight steps a year."""
    process = LocalVolatility(spot=100.0, surface=surface, rate=0.03, dividend_yield=0.01, scheme=scheme)
    strikes = (80.0, 100.0, 115.0)
    calls = tuple(mc.payoffs.european(strike=k) for k in strikes)
    found = mc.price(process, calls, key=1, paths=1 << 15, times=expiry, max_step=0.125, method=SOBOL, dtype=dtype)
    for strike, estimate in zip(strikes, found, strict=True):
        within(estimate, _smile_price(strike, expiry), bias=bias)


def test_a_slice_of_svi_comes_back(within):
    """Parameters of Gatheral and Jacquier (2014), figure 1, over all expiries: a volatility of 20 % with heavy wings."""
    smile = functools.partial(svi, a=0.01, b=0.1, rho=-0.6, m=0.05, sigma=0.3)
    surface = dupire(smile, times=np.linspace(0.02, 1.0, 50), lowest=-1.5, highest=1.5, nodes=301)
    process = LocalVolatility(spot=100.0, surface=surface)
    strikes = (85.0, 100.0, 115.0)
    calls = tuple(mc.payoffs.european(strike=k) for k in strikes)
    found = mc.price(process, calls, key=2, paths=1 << 15, times=1.0, max_step=0.1, method=SOBOL)
    for strike, estimate in zip(strikes, found, strict=True):
        within(estimate, _smile_price(strike, 1.0, smile, 0.0, 0.0), bias=0.01)


def _elastic(values, time, spot):
    """Constant elasticity of variance: σ S^(β - 1)."""
    level, beta = values
    return level * (spot / 100.0) ** (beta - 1)


def _elastic_price(strike, level=0.25, beta=0.5, expiry=1.0, rate=0.0):
    """J. Cox (1975) and M. Schroder, "Computing the Constant Elasticity of Variance Option Pricing Formula", Journal of Finance
    44 (1989), 211-219."""
    # For the discounted price, a martingale whose variance runs on a clock of its own.
    clock = expiry if rate == 0 else -np.expm1(-2 * rate * (1 - beta) * expiry) / (2 * rate * (1 - beta))
    scale = 100.0 ** (2 * beta - 2) / ((1 - beta) ** 2 * level**2 * clock)
    struck, b = strike * np.exp(-rate * expiry), 1 / (1 - beta)
    x, y = scale * struck ** (2 * (1 - beta)), scale * 100.0 ** (2 * (1 - beta))
    return 100.0 * stats.ncx2.sf(x, b + 2, y) - struck * stats.ncx2.cdf(y, b, x)


def test_constant_elasticity_and_the_order_of_both_schemes():
    """Errors against the closed form fall by four where steps are halved, and by two."""
    surface = jax.tree_util.Partial(_elastic, (0.4, 0.3))
    calls = tuple(mc.payoffs.european(strike=k) for k in (70.0, 100.0, 130.0))
    exact = np.array([_elastic_price(k, 0.4, 0.3) for k in (70.0, 100.0, 130.0)])
    for scheme, order, smallest in (("platen", 2, 0.03), ("log-euler", 1, 0.4)):
        process = LocalVolatility(spot=100.0, surface=surface, scheme=scheme)
        errors = []
        for steps in (2, 4):
            found = mc.price(process, calls, key=3, paths=1 << 15, times=np.arange(1, steps + 1) / steps, method=SOBOL)
            errors.append(max(abs(np.array([float(e.value) for e in found]) - exact)))
            noise = max(float(e.standard_error) for e in found)
        assert errors[1] < smallest
        assert noise < 0.15 * errors[1]
        assert abs(np.log2(errors[0] / errors[1]) - order) < 0.45


def test_a_volatility_without_bound_does_no_harm(within):
    """A normal model of a price that often reaches zero: no path explodes, and the forward is kept."""
    surface = jax.tree_util.Partial(_elastic, (0.8, 0.0))
    process = LocalVolatility(spot=100.0, surface=surface)
    payoffs = (mc.payoffs.european(strike=0.0), mc.payoffs.european(strike=300.0))
    forward, far = mc.price(process, payoffs, key=3, paths=20_000, times=2.0, max_step=0.125, dtype=np.float32)
    within(forward, 100.0, bias=0.5)
    assert float(forward.standard_error) < 1
    within(far, _elastic_price(300.0, 0.8, 0.0, 2.0), bias=1.5)


def test_rates_with_a_function_of_the_price(within):
    surface = jax.tree_util.Partial(_elastic, (0.25, 0.5))
    process = LocalVolatility(spot=100.0, surface=surface, rate=0.05)
    found = mc.price(process, mc.payoffs.european(strike=105.0), key=4, paths=60_000, times=1.0, max_step=0.125)
    within(found, _elastic_price(105.0, rate=0.05), bias=2e-3)


def test_a_flat_surface_is_geometric_brownian_motion():
    """Path by path, both as a grid and as a function, by both schemes."""
    flat = LocalVariance(times=(0.5, 1.0), lowest=-1.0, highest=1.0, variance=np.full((2, 3), 0.04))
    market = {"spot": 100.0, "rate": 0.05, "dividend_yield": 0.02}
    stock = mc.processes.GeometricBrownianMotion(**market, volatility=0.2)
    state, time, step = jnp.log(jnp.linspace(50.0, 200.0, 40)), jnp.asarray(0.3), jnp.asarray(0.7)
    draws = (jnp.asarray(np.random.default_rng(1).standard_normal(40)),)
    for surface in (flat, lambda time, spot: jnp.full_like(spot, 0.2)):
        for scheme in ("platen", "log-euler"):
            process = LocalVolatility(**market, surface=surface, scheme=scheme)
            found = jax.jit(process.advance)(state, time, step, draws)
            np.testing.assert_allclose(found, stock.advance(state, time, step, draws), rtol=1e-13)


# --- derivatives ---


def test_derivatives_by_the_surface():
    """By a parameter of the smile, through Dupire's formula and the paths."""
    call = mc.payoffs.european(strike=100.0)

    def value(parameters):
        surface = dupire(functools.partial(ssvi, parameters), times=ROWS[::5], lowest=-1.5, highest=1.0, nodes=31)
        process = LocalVolatility(spot=100.0, surface=surface)
        return mc.price(process, call, key=5, paths=2000, times=1.0, max_step=0.25).value

    level = jnp.array([0.0, 0.0, 0.0, 1.0])
    along = jax.jit(lambda parameters: jax.jvp(value, (parameters,), (level,)))
    given = jnp.array(INDEX)
    _, slope = along(given)
    ends = [along(given + d * level)[0] for d in (1e-6, -1e-6)]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-3)
    # The level is that of the variance at the money: Black and Scholes' vega over twice the volatility.
    vega = float(black_scholes.greeks(spot=100.0, strike=100.0, expiry=1.0, volatility=0.2, which=("vega",)).vega)
    assert abs(float(slope) / (vega / 0.4) - 1) < 0.15


def test_derivatives_by_nodes(within):
    """One for each; together they move all of the surface, here a flat one."""
    grid = LocalVariance(times=(0.5, 1.0), lowest=-0.5, highest=0.5, variance=np.full((2, 5), 0.04))
    process = LocalVolatility(spot=100.0, surface=grid)
    call = mc.payoffs.european(strike=100.0)
    found = mc.greeks(process, call, wrt=("surface.variance",), key=5, paths=20_000, times=[0.5, 1.0])
    nodes = found["surface.variance"]
    assert nodes.value.shape == (2, 5)
    vega = black_scholes.greeks(spot=100.0, strike=100.0, expiry=1.0, volatility=0.2, which=("vega",)).vega
    total = mc.Estimate(np.sum(nodes.value), np.sum(nodes.standard_error), 20_000)
    within(total, float(vega) / 0.4)


# --- inputs ---

GRID = {"times": (0.5, 1.0), "lowest": -1.0, "highest": 1.0, "variance": np.full((2, 3), 0.04)}
BAD = [
    (lambda: LocalVariance(**{**GRID, "times": (1.0, 0.5)}), r"times: .*expected increasing years"),
    (lambda: LocalVariance(**{**GRID, "lowest": 1.0}), r"lowest, highest: 1.0, 1.0"),
    (lambda: LocalVariance(**{**GRID, "variance": np.ones((3, 2))}), r"variance: shape \(3, 2\); expected \(2, nodes\)"),
    (lambda: LocalVariance(**{**GRID, "variance": np.full((2, 3), -1.0)}), r"variance: -1.0 at \(0, 0\)"),
    (lambda: LocalVolatility(spot=-1.0, surface=LocalVariance(**GRID)), r"spot: -1.0; expected a number > 0"),
    (lambda: LocalVolatility(spot=1.0, surface=LocalVariance(**GRID), scheme="milstein"), r"scheme: 'milstein'; expected"),
    (lambda: dupire(SMILE, times=(0.0, 1.0), lowest=-1.0, highest=1.0), r"times: .*expected increasing years > 0"),
    (lambda: dupire(SMILE, times=1.0, lowest=-1.0, highest=1.0, nodes=1), r"nodes: 1; expected a whole number >= 2"),
    (lambda: dupire(SMILE, times=1.0, lowest=1.0, highest=-1.0), r"lowest, highest: 1.0, -1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message[:16] for _, message in BAD])
def test_impossible_surfaces_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_what_is_no_surface():
    with pytest.raises(InputTypeError, match=r"surface: 0.2; expected a LocalVariance or a function"):
        LocalVolatility(spot=1.0, surface=0.2)
    with pytest.raises(InputTypeError, match=r"surface: gives an array of shape \(2,\); expected one number"):
        dupire(lambda time, k: jnp.stack([time, k]), times=1.0, lowest=-1.0, highest=1.0)
