"""The Heston model by three schemes: Andersen's cases, weak order without noise, moments, Feller's condition, derivatives."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import CubicSpline

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.processes import square_root

SCHEMES = ("quadratic-exponential", "full-truncation", "almost-exact")
MILD = HestonParams(v0=0.04, kappa=2.0, theta=0.06, sigma=0.4, rho=-0.7)  # Feller's condition holds
WILD = HestonParams(v0=0.04, kappa=0.5, theta=0.04, sigma=1.0, rho=-0.9)  # Andersen's case I: 2 κ θ / σ² = 0.04


def characteristic(u, params, expiry):
    """E exp(iu ln(S_T / F)) of the model (Heston 1993, in the form that has no branch cut on the way)."""
    v0, kappa, theta, sigma, rho = params
    b = kappa - rho * sigma * 1j * u
    d = np.sqrt(b * b + sigma**2 * (u * u + 1j * u))
    g, decay = (b - d) / (b + d), np.exp(-d * expiry)
    level = kappa * theta / sigma**2 * ((b - d) * expiry - 2 * np.log((1 - g * decay) / (1 - g)))
    return np.exp(level + v0 / sigma**2 * (b - d) * (1 - decay) / (1 - g * decay))


def almost_exact_characteristic(u, params, expiry, steps):
    """The same of the almost exact scheme: exponential in the variance at every step, by the law of the variance."""
    v0, kappa, theta, sigma, rho = params
    step = expiry / steps
    left, degrees = np.exp(-kappa * step), 4 * kappa * theta / sigma**2
    c = sigma**2 * (1 - left) / (4 * kappa)
    k2 = 0.5 * step * (kappa * rho / sigma - 0.5) + rho / sigma
    k3 = 0.5 * step * (1 - rho**2)
    a = k2 + 0.5 * k3
    of_v, constant = np.zeros_like(u, complex), np.zeros_like(u, complex)
    for _ in range(steps):
        of_next = of_v + 1j * u * k2 - 0.5 * u * u * k3
        correction = -1j * u * (a * left / (1 - 2 * a * c) + 0.5 * k3)
        constant = constant + 0.5j * u * degrees * np.log(1 - 2 * a * c) - 0.5 * degrees * np.log(1 - 2 * of_next * c)
        of_v = of_next * left / (1 - 2 * of_next * c) + correction - 0.5 * u * u * k3
    return np.exp(constant + of_v * v0)


def call(transform, strike, expiry, rate, spot=100.0):
    """A call by the single integral of A. Lewis, "Option Valuation under Stochastic Volatility" (2000)."""
    forward = spot * np.exp(rate * expiry)
    u = np.linspace(0, 200, 40_001)
    wave = np.exp(1j * u * np.log(forward / strike)) * transform(u - 0.5j)
    area = np.trapezoid(wave.real / (u * u + 0.25), u)
    return np.exp(-rate * expiry) * (forward - np.sqrt(forward * strike) / np.pi * area)


def exact(strike, expiry, rate, params, spot=100.0):
    return call(lambda u: characteristic(u, params, expiry), strike, expiry, rate, spot)


def _andersen(shared, case):
    with open(shared / "refvalues" / "heston_andersen_qe.csv", newline="") as file:
        rows = [row for row in csv.DictReader(line for line in file if not line.startswith("#")) if row["case"] == case]
    return [{name: float(x) for name, x in row.items() if name != "case" and x} for row in rows]


# The biases at these steps: that of the almost exact scheme from its own characteristic function.
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("case", "scheme", "steps", "bias"),
    [
        ("I", "quadratic-exponential", 80, 0.02),
        ("II", "quadratic-exponential", 80, 0.02),
        ("III-r0", "quadratic-exponential", 80, 0.02),
        ("III-r5", "quadratic-exponential", 80, 0.02),
        ("I", "almost-exact", 40, 0.021),
        ("III-r5", "almost-exact", 40, 0.005),
    ],
)
def test_andersen_s_cases(shared, case, scheme, steps, bias, within):
    """Andersen (2008): five to fifteen years, a volatility of variance up to one, Feller's condition far from holding."""
    rows = _andersen(shared, case)
    assert len(rows) == 4
    row = rows[0]
    params = HestonParams(*(row[name] for name in HestonParams._fields))
    process = mc.processes.Heston(spot=row["S0"], params=params, rate=row["r"], dividend_yield=row["q"], scheme=scheme)
    times = np.linspace(row["T"] / steps, row["T"], steps)
    found = mc.price(process, [mc.payoffs.european(strike=r["strike"]) for r in rows], key=7, paths=65_536, times=times)
    for r, estimate in zip(rows, found, strict=True):
        within(estimate, r["price_25dps"], bias=bias)


def test_the_almost_exact_scheme_is_itself(within):
    """Its prices over long steps, bias and all, are those of its characteristic function, whose bias is of second order."""
    found = [
        call(lambda u, n=steps: almost_exact_characteristic(u, WILD, 10.0, n), 100.0, 10.0, 0.0)
        for steps in (10, 20, 40, 80)
    ]
    biases = np.array(found) - exact(100.0, 10.0, 0.0, WILD)
    assert 0.15 < abs(biases[0]) < 0.3
    orders = np.log2(biases[:-1] / biases[1:])
    assert np.all((orders > 1.6) & (orders < 2.1))
    assert orders[-1] > 1.75
    process = mc.processes.Heston(spot=100.0, params=WILD, scheme="almost-exact")
    strikes = (0.0, 70.0, 100.0, 140.0)
    payoffs = [mc.payoffs.european(strike=strike) for strike in strikes]
    found = mc.price(process, payoffs, key=3, paths=65_536, times=np.linspace(1.0, 40.0, 40))
    for strike, estimate in zip(strikes, found, strict=True):
        if strike:
            within(estimate, call(lambda u: almost_exact_characteristic(u, WILD, 40.0, 40), strike, 40.0, 0.0))
        else:
            within(estimate, 100.0)


def scheme_characteristic(process, u, expiry, steps, highest):
    """E exp(iu ln(S_T / S_0)) of a scheme that takes two normal numbers, backwards in time, by quadrature over one step's."""
    truncated = process.scheme == "full-truncation"
    lowest = -highest / 3 if truncated else 0.0
    # Nodes crowd where the variance is zero.
    root = np.linspace(-np.sqrt(-lowest), np.sqrt(highest), 1001)
    v = np.sign(root) * root * root
    (z, wz), (b, wb) = np.polynomial.hermite_e.hermegauss(60), np.polynomial.hermite_e.hermegauss(16)
    mesh = np.meshgrid(v, z, b, indexing="ij")
    flat = [jnp.asarray(x.ravel()) for x in mesh]
    state = (jnp.zeros_like(flat[0]), flat[0])
    x, after = ADVANCE(process, state, jnp.float64(expiry / steps), (flat[1], flat[2]))
    wave = (np.exp(1j * u * np.asarray(x)).reshape(mesh[0].shape) @ (wb / wb.sum())) * (wz / wz.sum())
    after = np.clip(np.asarray(after).reshape(mesh[0].shape)[:, :, 0], lowest, highest)
    after = np.sign(after) * np.sqrt(np.abs(after))
    value = np.ones_like(v, complex)
    for _ in range(steps):
        value = np.sum(wave * CubicSpline(root, value)(after), axis=1)
    return CubicSpline(root, value)(np.sqrt(process.params.v0))


ADVANCE = jax.jit(lambda process, state, step, draws: process.advance(state, jnp.zeros_like(step), step, draws))


@pytest.mark.parametrize(("scheme", "low", "high"), [(SCHEMES[0], 1.7, 2.1), (SCHEMES[1], 0.9, 1.3)])
def test_weak_order(scheme, low, high):
    process = mc.processes.Heston(spot=1.0, params=MILD, scheme=scheme)
    for u in (2 - 0.5j, 6 - 0.5j):
        true = characteristic(u, MILD, 1.0)
        errors = [abs(scheme_characteristic(process, u, 1.0, steps, 1.0) - true) for steps in (16, 32, 64)]
        assert 1e-6 < errors[-1] < 1e-3
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        assert np.all((orders > low) & (orders < high)), orders


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_default_is_accurate_over_quarters_of_a_year(dtype, within):
    process = mc.processes.Heston(spot=100.0, params=MILD, rate=0.03)
    strikes = (0.0, 80.0, 100.0, 120.0)
    payoffs = [mc.payoffs.european(strike=strike) for strike in strikes]
    found = mc.price(process, payoffs, key=5, paths=200_000, times=[0.25, 0.5, 0.75, 1.0], dtype=dtype)
    within(found[0], 100.0)
    for strike, estimate in zip(strikes[1:], found[1:], strict=True):
        within(estimate, exact(strike, 1.0, 0.03, MILD), bias=0.01)


@pytest.mark.parametrize("scheme", SCHEMES[:2])
@pytest.mark.parametrize("rho", [-0.9, 0.5])
def test_the_discounted_price_is_a_martingale(scheme, rho, within):
    """For any step, however coarse; for a rho above zero the correction's expectation must exist, as it does here."""
    process = mc.processes.Heston(
        spot=100.0, params=WILD._replace(rho=rho), rate=0.05, dividend_yield=0.01, scheme=scheme
    )
    for times in ([0.25, 0.5], [1.0, 2.0]):
        found = mc.price(process, mc.payoffs.european(strike=0.0), key=9, paths=400_000, times=times)
        within(found, 100 * np.exp(-0.01 * times[-1]))


@pytest.mark.parametrize("scheme", [SCHEMES[0], SCHEMES[2]])
@pytest.mark.parametrize("params", [MILD, WILD._replace(v0=0.01)], ids=["Feller", "not Feller"])
def test_the_variance_has_its_exact_moments(scheme, params):
    """Conditional mean and variance are exact, and so are those after any number of steps."""
    paths = 200_000
    process = mc.processes.Heston(spot=100.0, params=params, scheme=scheme)
    draw = np.random.default_rng(1)
    state = (jnp.zeros(paths), jnp.full(paths, params.v0))
    for _ in range(3):
        normals = tuple(jnp.asarray(draw.normal(size=paths)) for _ in range(process.normals))
        uniforms = tuple(jnp.asarray(draw.uniform(size=paths)) for _ in range(process.uniforms))
        state = ADVANCE(process, state, jnp.float64(0.4), normals + uniforms)
    v = np.asarray(state[1])
    v0, kappa, theta, sigma, _ = params
    decay = np.exp(-kappa * 1.2)
    mean = theta + (v0 - theta) * decay
    variance = sigma**2 / kappa * (1 - decay) * (v0 * decay + theta / 2 * (1 - decay))
    apart = v - v.mean()
    assert np.all(v >= 0)
    assert abs(v.mean() - mean) < 4 * v.std() / np.sqrt(paths)
    assert abs(v.var() - variance) < 4 * np.std(apart**2) / np.sqrt(paths)
    if scheme == "almost-exact":
        # The whole law, most of which is next to zero where Feller's condition fails.
        c = sigma**2 * (1 - decay) / (4 * kappa)
        for level in (1e-4, 0.02, 0.1):
            share = stats.ncx2.cdf(level / c, 4 * kappa * theta / sigma**2, v0 * decay / c)
            assert abs(np.mean(v < level) - share) < 4 * np.sqrt(share * (1 - share) / paths) + 1e-6


def test_full_truncation_lets_the_variance_go_negative():
    draws = (jnp.array([-3.0, 0.0, 3.0]), jnp.zeros(3))
    process = mc.processes.Heston(spot=100.0, params=WILD, scheme="full-truncation")
    x, v = ADVANCE(process, (jnp.zeros(3), jnp.array([0.04, -0.02, 0.04])), jnp.float64(0.25), draws)
    np.testing.assert_allclose(v, [0.04 - 0.3, -0.02 + 0.5 * 0.04 * 0.25, 0.04 + 0.3], rtol=1e-14)
    np.testing.assert_allclose(x, [-0.005 + 0.27, 0, -0.005 - 0.27], atol=1e-14)


def test_a_quiet_variance_is_black_scholes(within):
    process = mc.processes.Heston(spot=100.0, params=HestonParams(0.04, 1.0, 0.04, 1e-4, -0.5), rate=0.02)
    found = mc.price(process, mc.payoffs.european(strike=100.0), key=2, paths=200_000, times=[0.5, 1.0])
    within(found, black_scholes.price(spot=100.0, strike=100.0, expiry=1.0, volatility=0.2, rate=0.02), bias=1e-3)


@pytest.mark.parametrize("scheme", SCHEMES[:2])
def test_greeks_against_the_exact_price(scheme, within):
    """Pathwise derivatives. The default switches between two laws, a jump that they do not see; the laws are near there."""
    params = HestonParams(v0=0.05, kappa=1.2, theta=0.06, sigma=0.5, rho=-0.6)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.02, scheme=scheme)
    names = ("spot", *(f"params.{name}" for name in params._fields))
    steps, share = (8, 0.02) if scheme == SCHEMES[0] else (64, 0.04)
    found = mc.greeks(
        process, mc.payoffs.european(strike=100.0), wrt=names, key=3, paths=60_000,
        times=np.linspace(1 / steps, 1.0, steps),
    )  # fmt: skip
    within(found["value"], exact(100.0, 1.0, 0.02, params), bias=0.01 if scheme == SCHEMES[0] else 0.05)
    for name in names:
        parts = dict(zip(names, (100.0, *params), strict=True))
        bump = 1e-4 * max(abs(parts[name]), 0.1)
        ends = []
        for side in (1, -1):
            moved = {**parts, name: parts[name] + side * bump}
            ends.append(exact(100.0, 1.0, 0.02, [moved[n] for n in names[1:]], moved["spot"]))
        slope = (ends[0] - ends[1]) / (2 * bump)
        within(found[name], slope, bias=share * abs(slope) + 0.05)


def test_derivatives_of_the_exact_variance(within):
    """The mean over draws of the derivative of v' is the derivative of its mean, by every parameter; either side of d = 1."""
    paths, step = 20_000, 0.5
    draw = np.random.default_rng(3)
    draws = (*draw.normal(size=(square_root.NORMALS, paths)), *draw.uniform(size=(square_root.UNIFORMS, paths)))
    draws = tuple(map(jnp.asarray, draws))

    def moved(parameters):
        v, kappa, theta, sigma = parameters
        return square_root.square_root_step(jnp.full(paths, v), kappa, theta, sigma, jnp.float64(step), draws)

    slopes = jax.jit(jax.jacfwd(moved))
    for v, kappa, theta, sigma in ((0.04, 2.0, 0.06, 0.4), (0.04, 0.5, 0.04, 1.0)):
        found = np.asarray(slopes(jnp.array([v, kappa, theta, sigma]))).T
        decay = np.exp(-kappa * step)
        expected = (decay, -step * (v - theta) * decay, 1 - decay, 0.0)
        for row, slope in zip(found, expected, strict=True):
            assert np.all(np.isfinite(row))
            within(mc.Estimate(row.mean(), row.std() / np.sqrt(paths), paths), slope, bias=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_edges_are_finite_with_their_derivatives(scheme, dtype):
    """No variance at all, perfect correlation, a law on either side of the switch, extreme draws."""
    for change in (
        {"v0": 0.0, "theta": 0.0},
        {"rho": 1.0},
        {"rho": -1.0},
        {"v0": 0.0},
        {"sigma": 3.0},
        {"sigma": 1e-3},
    ):
        params = jax.tree.map(lambda x: jnp.asarray(x, dtype), WILD._replace(**change))
        process = mc.processes.Heston(spot=dtype(100.0), params=params, scheme=scheme)
        z = jnp.asarray([-6.5, -1.0, -0.8, 0.0, 1.0, 6.5], dtype)
        draws = (z,) * process.normals + (jnp.full_like(z, 0.3),) * process.uniforms

        value, slope = EDGES(process, draws)
        assert all(np.all(np.isfinite(leaf)) for leaf in (*value, *jax.tree.leaves(slope)))
        assert all(leaf.dtype == dtype for leaf in value)


@jax.jit
def EDGES(process, draws):
    def two_steps(process):
        state = tuple(jnp.broadcast_to(leaf, draws[0].shape) for leaf in process.initial())
        for _ in range(2):
            state = process.advance(state, jnp.zeros_like(draws[0][0]), jnp.full_like(draws[0][0], 0.25), draws)
        return state

    return two_steps(process), jax.jacrev(two_steps)(process)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scheme": "euler"}, InputError, "scheme: 'euler'; expected one of 'quadratic-exponential', 'full-truncation'"),
        ({"spot": -1.0}, InputError, r"spot: -1.0; expected a number > 0"),
        ({"params": MILD._replace(kappa=0.0)}, InputError, "kappa: 0.0; expected a number > 0"),
        ({"params": MILD._replace(rho=-1.2)}, InputError, r"rho: -1.2; expected a number in \[-1, 1\]"),
        ({"params": MILD._replace(v0=np.nan)}, InputError, "v0: nan; expected a number >= 0"),
        ({"params": tuple(MILD)[:4]}, InputTypeError, "params: .*expected HestonParams"),
    ],
)  # fmt: skip
def test_impossible_parameters_are_named(change, error, message):
    with pytest.raises(error, match=message):
        mc.processes.Heston(**{"spot": 100.0, "params": MILD, **change})
