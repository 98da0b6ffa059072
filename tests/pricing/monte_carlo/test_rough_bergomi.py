"""Rough Bergomi: the law of its Volterra process entry by entry, exact simulation, the power law of the skew, bad inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc

# C. Bayer, P. Friz, J. Gatheral, "Pricing under rough volatility", Quantitative Finance 16 (2016), section 4.3
SPX = {"spot": 1.0, "xi": 0.235**2, "eta": 1.9, "rho": -0.9, "hurst": 0.07}


def _covariance(s, t, hurst):
    """Cov(Y_s, Y_t) = 2H ∫ (s - u)^(H - 1/2) (t - u)^(H - 1/2) du over [0, min(s, t)], by quadrature."""
    s, t = min(s, t), max(s, t)
    if s == t:
        return t ** (2 * hurst)
    a = hurst - 0.5
    # The singular factor at u = s is the weight of the rule.
    found = integrate.quad(lambda u: (t - u) ** a, 0, s, weight="alg", wvar=(0, a))[0]
    return 2 * hurst * found


def _with_increment(t, begin, end, hurst):
    """Cov(Y_t, W_end - W_begin), exactly."""
    b = hurst + 0.5
    begin, end = min(begin, t), min(end, t)
    return np.sqrt(2 * hurst) * ((t - begin) ** b - (t - end) ** b) / b


def _matrices(hurst, steps, expiry, dtype=np.float64):
    """Y at the beginning of each step and the price's normal number, as matrices times all draws."""
    process = mc.processes.RoughBergomi(**{**SPX, "hurst": hurst})
    unit = np.eye(3 * steps, dtype=dtype).reshape(3, steps, 3 * steps)
    times = np.arange(1, steps + 1) * expiry / steps
    return times, [np.asarray(x) for x in process.prepare(times, tuple(jnp.asarray(x) for x in unit))]


@pytest.mark.parametrize("hurst", [0.05, 0.07, 0.3, 0.5])
def test_the_covariance_of_the_volterra_process(hurst):
    """Variances are exact; correlations are those of the process, up to what the hybrid scheme leaves out: most next to the
    singularity, and nothing at H = 1/2, where the process is Brownian motion."""
    steps, expiry = 12, 1.5
    times, (volterra, shock) = _matrices(hurst, steps, expiry)
    starts = np.concatenate([[0.0], times[:-1]])
    found = volterra @ volterra.T
    np.testing.assert_allclose(np.diag(found), starts ** (2 * hurst), atol=1e-14)
    exact = np.array([[_covariance(s, t, hurst) if s > 0 and t > 0 else 0.0 for s in starts] for t in starts])
    np.testing.assert_allclose(found, exact, atol=0.02 if hurst < 0.5 else 1e-12)
    increments = np.eye(3 * steps)[:steps] * np.sqrt(expiry / steps)
    exact = np.array([[_with_increment(t, a, b, hurst) for a, b in zip(starts, times, strict=True)] for t in starts])
    np.testing.assert_allclose(volterra @ increments.T, exact, atol=0.02 if hurst < 0.5 else 1e-12)
    # The price's own motion: independent from step to step, correlated by ρ with the increment of its own.
    np.testing.assert_allclose(shock @ shock.T, np.eye(steps), atol=1e-14)
    np.testing.assert_allclose(shock @ np.eye(3 * steps)[:steps].T, SPX["rho"] * np.eye(steps), atol=1e-14)


def test_one_step_and_float32():
    _, (volterra, _) = _matrices(0.1, 1, 2.0)
    np.testing.assert_array_equal(volterra, np.zeros((1, 3)))
    _, (single, _) = _matrices(0.07, 64, 1.0, np.float32)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, _matrices(0.07, 64, 1.0)[1][0], atol=2e-6)


def test_the_kernel_is_the_hybrid_scheme_s():
    """Entry by entry against section 2.3 of Bennedsen, Lunde and Pakkanen (2017), up to the scaling of each sum."""
    hurst, steps, expiry = 0.1, 6, 0.5
    times, (volterra, _) = _matrices(hurst, steps, expiry)
    a, step = hurst - 0.5, expiry / steps
    root = np.sqrt(2 * hurst)
    covariance = np.array(
        [[step, step ** (a + 1) / (a + 1)], [step ** (a + 1) / (a + 1), step ** (2 * a + 1) / (2 * a + 1)]]
    )
    factor = np.linalg.cholesky(covariance)
    for i in range(1, steps):
        row = np.zeros(3 * steps)
        row[i - 1] += root * factor[1, 0]
        row[steps + i - 1] += root * factor[1, 1]
        for k in range(2, i + 1):
            b = ((k ** (a + 1) - (k - 1) ** (a + 1)) / (a + 1)) ** (1 / a)
            row[i - k] += root * (b * step) ** a * np.sqrt(step)
        scaled = row * times[i - 1] ** hurst / np.linalg.norm(row)
        assert abs(np.linalg.norm(row) / times[i - 1] ** hurst - 1) < 0.02
        np.testing.assert_allclose(volterra[i], scaled, atol=1e-13)


def test_forwards_and_forward_variances(within):
    """Discounted prices are martingales; the variance of the logarithm, with no correlation, is that of the curve ξ."""
    xi = mc.processes.PiecewiseConstant(times=(0.0, 0.35), values=(0.02, 0.09))
    process = mc.processes.RoughBergomi(spot=100.0, xi=xi, eta=1.5, rho=-0.7, hurst=0.1, rate=0.05, dividend_yield=0.02)
    times = np.arange(1, 11) / 10
    squares = mc.payoffs.of_path(lambda path: jnp.sum(jnp.diff(jnp.log(path), axis=0) ** 2, axis=0), times=10)
    payoffs = {"forward": mc.payoffs.european(strike=0.0), "squares": squares}
    found = mc.price(process, payoffs, key=1, paths=60_000, times=times, dtype=np.float32)
    within(found["forward"], 100 * np.exp(-0.02))
    # E Σ (Δ ln S)² = ∫ ξ + the squares of drifts, of order Δ
    within(found["squares"], np.exp(-0.05) * float(xi.integral(0.0, 1.0)), bias=1e-3)


def _exact_paths(steps, paths, expiry, hurst, eta, rho, xi, seed=1):
    """Logarithms at the expiry by the same Euler steps, on Gaussian variables with the exact joint law."""
    times = np.arange(1, steps + 1) * expiry / steps
    starts = np.concatenate([[0.0], times[:-1]])
    joint = np.zeros((2 * steps - 1,) * 2)
    joint[:steps, :steps] = np.eye(steps) * expiry / steps
    cross = [[_with_increment(t, a, b, hurst) for a, b in zip(starts, times, strict=True)] for t in starts[1:]]
    joint[steps:, :steps], joint[:steps, steps:] = np.array(cross), np.array(cross).T
    joint[steps:, steps:] = [[_covariance(s, t, hurst) for s in starts[1:]] for t in starts[1:]]
    random = np.random.default_rng(seed)
    drawn = np.linalg.cholesky(joint + 1e-14 * np.eye(2 * steps - 1)) @ random.standard_normal((2 * steps - 1, paths))
    increments, volterra = drawn[:steps], np.concatenate([np.zeros((1, paths)), drawn[steps:]])
    variance = xi * np.exp(eta * volterra - 0.5 * eta**2 * (starts ** (2 * hurst))[:, None])
    own = random.standard_normal((steps, paths)) * np.sqrt(expiry / steps)
    motion = rho * increments + np.sqrt(1 - rho**2) * own
    return np.sum(np.sqrt(variance) * motion - 0.5 * variance * expiry / steps, axis=0)


def test_the_smile_of_bayer_friz_and_gatheral():
    """Against exact simulation with as many steps: what is left is the hybrid scheme's error, within 0.1 points of volatility."""
    steps, paths = 48, 60_000
    process = mc.processes.RoughBergomi(**SPX)
    strikes = (0.8, 0.9, 1.0, 1.1)
    calls = tuple(mc.payoffs.european(strike=k) for k in strikes)
    found = mc.price(process, calls, key=2, paths=paths, times=np.arange(1, steps + 1) / steps)
    last = np.exp(_exact_paths(steps, paths, 1.0, SPX["hurst"], SPX["eta"], SPX["rho"], SPX["xi"]))
    for strike, estimate in zip(strikes, found, strict=True):
        paid = np.maximum(last - strike, 0)
        error = 4 * np.hypot(float(estimate.standard_error), paid.std() / np.sqrt(paths))
        vega = float(black_scholes.greeks(spot=1.0, strike=strike, expiry=1.0, volatility=0.2, which=("vega",)).vega)
        assert abs(float(estimate.value) - paid.mean()) < error + 1e-3 * vega


def test_the_skew_at_the_money_is_a_power_of_the_expiry():
    """T^(H - 1/2), Bayer, Friz and Gatheral (2016), section 1: what a model with a Markovian variance cannot show."""
    hurst, skews, expiries = 0.1, [], (1 / 128, 1 / 8)
    for expiry in expiries:
        process = mc.processes.RoughBergomi(spot=1.0, xi=0.04, eta=1.0, rho=-0.8, hurst=hurst)
        wide = 0.2 * 0.2 * np.sqrt(expiry)
        strikes = np.exp([-wide, wide])
        payoffs = tuple(mc.payoffs.european(strike=k, is_call=k > 1) for k in strikes)
        found = mc.price(process, payoffs, key=4, paths=100_000, times=np.arange(1, 33) * expiry / 32)
        volatility = [
            float(
                black_scholes.implied_volatility(
                    price=float(e.value), spot=1.0, strike=k, expiry=expiry, is_call=bool(k > 1)
                )
            )
            for e, k in zip(found, strikes, strict=True)
        ]
        skews.append((volatility[1] - volatility[0]) / (2 * wide))
    assert all(skew < 0 for skew in skews)
    exponent = np.log(skews[0] / skews[1]) / np.log(expiries[0] / expiries[1])
    assert abs(exponent - (hurst - 0.5)) < 0.08


def test_without_volatility_of_volatility_it_is_black_scholes(within):
    process = mc.processes.RoughBergomi(**{**SPX, "eta": 0.0}, rate=0.03)
    exact = black_scholes.price(spot=1.0, strike=1.05, expiry=1.0, volatility=0.235, rate=0.03)
    within(mc.price(process, mc.payoffs.european(strike=1.05), key=1, paths=60_000, times=[0.5, 1.0]), exact)


def test_derivatives_by_every_parameter():
    """Against differences with the same numbers; finite at H = 1/2, ρ = -1 and η = 0 too."""
    random = np.random.default_rng(3)
    draws = tuple(jnp.asarray(random.standard_normal((4, 200))) for _ in range(3))
    times = np.arange(1, 5) / 4

    @jax.jit
    @jax.value_and_grad
    def slope(process):
        state, rows = jnp.broadcast_to(process.initial(), 200), process.prepare(times, draws)
        for i in range(4):
            state = process.advance(state, jnp.asarray(i / 4), jnp.asarray(0.25), tuple(row[i] for row in rows))
        return jnp.mean(jnp.sqrt(1 + process.observe(state)))

    def made(**changes):
        given = {**SPX, "rate": 0.01, "dividend_yield": 0.02, **changes}
        return mc.processes.RoughBergomi(**{name: jnp.asarray(x) for name, x in given.items()})

    found = slope(made())[1]
    for name, x in {**SPX, "rate": 0.01, "dividend_yield": 0.02}.items():
        ends = [slope(made(**{name: x + d}))[0] for d in (1e-6, -1e-6)]
        np.testing.assert_allclose(getattr(found, name), (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8)
    assert np.all(np.isfinite(jax.tree.leaves(slope(made(eta=0.0, rho=-1.0, hurst=0.5)))))


def test_a_mirror_image_is_that_of_the_draws():
    """Antithetic paths negate what `prepare` makes."""
    process, random = mc.processes.RoughBergomi(**SPX), np.random.default_rng(1)
    draws = tuple(jnp.asarray(random.standard_normal((5, 7))) for _ in range(3))
    there = process.prepare(np.arange(1, 6) / 5, draws)
    back = process.prepare(np.arange(1, 6) / 5, tuple(-z for z in draws))
    for x, y in zip(there, back, strict=True):
        np.testing.assert_allclose(x, -y, atol=1e-15)


def test_steps_have_to_be_equal_and_known():
    process, call = mc.processes.RoughBergomi(**SPX), mc.payoffs.european(strike=1.0)
    with pytest.raises(InputError, match=r"times: the step to 1.0 is 0.7, the first one 0.3; expected equal steps"):
        mc.price(process, call, key=1, paths=10, times=[0.3, 1.0])
    with pytest.raises(InputTypeError, match=r"times: traced"):
        jax.jit(lambda t: process.prepare(t, (jnp.ones((2, 1)),) * 3))(jnp.array([0.5, 1.0]))
    # A step that divides both.
    assert np.isfinite(float(mc.price(process, call, key=1, paths=10, times=[0.4, 1.0], max_step=0.2).value))


BAD = [
    ({"hurst": 0.0}, r"hurst: 0.0; expected a number > 0"),
    ({"hurst": 0.6}, r"hurst: 0.6; expected in \(0, 1/2\]"),
    ({"rho": -1.2}, r"rho: -1.2; expected a number in \[-1, 1\]"),
    ({"eta": -1.0}, r"eta: -1.0; expected a number >= 0"),
    ({"xi": -0.04}, r"xi: -0.04; expected a number >= 0"),
    ({"spot": 0.0}, r"spot: 0.0; expected a number > 0"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message[:10] for _, message in BAD])
def test_impossible_parameters_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        mc.processes.RoughBergomi(**{**SPX, **change})
