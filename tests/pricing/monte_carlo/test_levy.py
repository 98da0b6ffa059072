"""Variance gamma and normal inverse Gaussian processes: prices by Fourier inversion, cumulants, derivatives, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from gpujax.errors import InputError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo.processes import NormalInverseGaussian, VarianceGamma

STRIKES = (85.0, 100.0, 120.0)
MARKET = {"spot": 100.0, "rate": 0.04, "dividend_yield": 0.01}
# In steps of a week the gamma clock has a shape of 0.06.
GAMMA = {**MARKET, "sigma": 0.2, "theta": -0.15, "nu": 0.3}
NORMAL = {**MARKET, "alpha": 14.0, "beta": -6.0, "delta": 0.5}
EXPIRY = 0.75
# Equal steps, and nearly all in one. Programs are shared: the payoffs, the paths and the number of steps are always the same.
EVEN, UNEVEN = np.array([0.5, 1.0]) * EXPIRY, np.array([0.002, 1.0]) * EXPIRY
PATHS = 100_000


def variance_gamma(u, t, p):
    omega = np.log(1 - p["theta"] * p["nu"] - p["sigma"] ** 2 * p["nu"] / 2) / p["nu"]
    power = np.log(1 - 1j * u * p["theta"] * p["nu"] + u * u * p["sigma"] ** 2 * p["nu"] / 2) / p["nu"]
    return t * (1j * u * omega - power)


def normal_inverse_gaussian(u, t, p):
    def root(b):
        return np.sqrt(p["alpha"] ** 2 - b * b)

    omega = p["delta"] * (root(p["beta"] + 1) - root(p["beta"]))
    return t * (1j * u * omega + p["delta"] * (root(p["beta"]) - root(p["beta"] + 1j * u)))


def fourier_call(exponent, strike, t, p):
    """A call by A. Lewis, "Option Valuation under Stochastic Volatility" (2000): one integral of the characteristic function."""
    forward = p["spot"] * np.exp((p["rate"] - p["dividend_yield"]) * t)
    x = np.log(forward / strike)

    def integrand(u):
        return np.exp(1j * u * x + exponent(u - 0.5j, t, p)).real / (u * u + 0.25)

    # The characteristic function of variance gamma decays like a power: the last piece is small, not nothing.
    area = sum(
        quad(integrand, a, b, epsabs=1e-12, epsrel=1e-12, limit=2000)[0]
        for a, b in ((0, 50), (50, 500), (500, 5000), (5000, 50_000))
    )
    return np.exp(-p["rate"] * t) * (forward - np.sqrt(forward * strike) / np.pi * area)


MODELS = {
    "VarianceGamma": (GAMMA, VarianceGamma, variance_gamma),
    "NormalInverseGaussian": (NORMAL, NormalInverseGaussian, normal_inverse_gaussian),
}


def calls(process, times, key=5, strikes=STRIKES, dtype=np.float64):
    """Calls with three strikes, after the forward itself."""
    payoffs = tuple(mc.payoffs.european(strike=k) for k in (0.0, *strikes))
    return mc.price(process, payoffs, key=key, paths=PATHS, times=times, dtype=dtype)


def derivatives(process, names, times=EVEN, dtype=np.float64):
    call = mc.payoffs.european(strike=105.0)
    return mc.greeks(process, call, wrt=tuple(names), key=9, paths=PATHS, times=times, dtype=dtype)


@pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("name", MODELS)
def test_prices_and_the_martingale(name, times, within):
    parameters, build, exponent = MODELS[name]
    forward, *options = calls(build(**parameters), times)
    within(forward, 100 * np.exp(-0.01 * EXPIRY))
    for strike, option in zip(STRIKES, options, strict=True):
        within(option, fourier_call(exponent, strike, EXPIRY, parameters))


@pytest.mark.parametrize("name", MODELS)
def test_paths_in_float32(name):
    """A step with the same numbers in both precisions, for long and short ones."""
    parameters, build, _ = MODELS[name]
    process = build(**parameters)
    random = np.random.default_rng(2)
    draws = [random.standard_normal(20_000) for _ in range(process.normals)]
    draws += [np.clip(random.random(20_000), 1e-6, 1 - 1e-6) for _ in range(process.uniforms)]

    @jax.jit
    def logs(process, step, draws):
        state = jax.tree.map(lambda x: jnp.full_like(draws[0], x), process.initial())
        return jnp.log(process.observe(process.advance(state, 0 * step, step, draws)) / process.spot)

    for step in (1.0, 1 / 252):
        wide, narrow = (
            np.asarray(logs(*jax.tree.map(lambda x: jnp.asarray(x, dtype), (process, step, tuple(draws)))))  # noqa: B023
            for dtype in (np.float64, np.float32)
        )
        assert narrow.dtype == np.float32
        # An acceptance or a count may fall differently.
        assert np.mean(np.abs(narrow - wide) > 1e-5) < 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_steps_have_the_law(name):
    """The logarithm of the price at the end of several steps, against SciPy's law or one that is integrated."""
    parameters, build, exponent = MODELS[name]
    paths = np.asarray(mc.simulate(build(**parameters), key=2, paths=20_000, times=UNEVEN))
    drift = (MARKET["rate"] - MARKET["dividend_yield"]) * EXPIRY
    x = np.log(paths[:, -1] / 100) - drift
    cumulants = [exponent(h, EXPIRY, parameters) for h in (1e-3, -1e-3)]
    mean, variance = (cumulants[0] - cumulants[1]).imag / 2e-3, -(cumulants[0] + cumulants[1]).real / 1e-6
    assert abs(x.mean() - mean) < 4 * np.sqrt(variance / len(x))
    if name == "NormalInverseGaussian":
        alpha, beta, scale = parameters["alpha"], parameters["beta"], parameters["delta"] * EXPIRY
        law = stats.norminvgauss(alpha * scale, beta * scale, scale=scale)
        shift = mean - scale * beta / np.sqrt(alpha**2 - beta**2)
        # SciPy integrates this one number by number.
        assert stats.kstest(x[:2000], lambda y: law.cdf(y - shift)).pvalue > 1e-3
    else:
        points = mean + np.sqrt(variance) * np.array([-2.5, -1, -0.2, 0.3, 1, 2])
        for point in points:
            # Gil-Pelaez (1951)
            area = quad(
                lambda u: (np.exp(exponent(u, EXPIRY, parameters) - 1j * u * point)).imag / u,  # noqa: B023
                1e-9, 3000, limit=2000,
            )[0]  # fmt: skip
            chance = 0.5 - area / np.pi
            assert abs(np.mean(x <= point) - chance) < 4 * np.sqrt(chance * (1 - chance) / len(x)) + 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_derivatives(name, within):
    """By every parameter, those of the clock included, against differences of the exact price."""
    parameters, build, exponent = MODELS[name]
    found = derivatives(build(**parameters), parameters)
    for parameter in parameters:
        bump = 1e-3 * max(abs(parameters[parameter]), 0.1)
        ends = [
            fourier_call(exponent, 105.0, EXPIRY, {**parameters, parameter: parameters[parameter] + side * bump})
            for side in (1, -1)
        ]
        within(found[parameter], (ends[0] - ends[1]) / (2 * bump), bias=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_short_steps_have_finite_derivatives(name):
    """In a step of an hour the gamma clock has a shape of a thousandth and mostly stands still."""
    parameters, build, _ = MODELS[name]
    hours = np.arange(1, 3) / (252 * 8)
    for dtype in (np.float64, np.float32):
        found = derivatives(build(**{**parameters, "spot": 105.0}), parameters, times=hours, dtype=dtype)
        assert all(np.isfinite(e.value) and np.isfinite(e.standard_error) for e in found.values())
        assert float(found["value"].value) > 0


@pytest.mark.parametrize("name", MODELS)
def test_steps_differentiate_in_reverse(name):
    parameters, build, _ = MODELS[name]
    process = build(**parameters)
    random = np.random.default_rng(1)
    draws = (*random.standard_normal((process.normals, 50)), *random.random((process.uniforms, 50)))

    @jax.jit
    def both(process, draws):
        def moved(process):
            return process.advance(jnp.zeros(50), 0.0, 0.1, draws).sum()

        ones = jax.tree.map(jnp.ones_like, process)
        return jax.grad(moved)(process), jax.jvp(moved, (process,), (ones,))[1]

    process = jax.tree.map(jnp.asarray, process)
    gradient, forward = both(process, tuple(map(jnp.asarray, draws)))
    np.testing.assert_allclose(sum(jax.tree.leaves(gradient)), forward, rtol=1e-10)


def test_the_limit_of_a_steady_clock(within):
    """A small ν, or large α and δ, is geometric Brownian motion."""
    exact = black_scholes.price(**MARKET, strike=105.0, expiry=1.0, volatility=0.2)
    steady = (
        VarianceGamma(**MARKET, sigma=0.2, theta=0.0, nu=1e-5),
        NormalInverseGaussian(**MARKET, alpha=3000.0, beta=-0.5, delta=3000.0 * 0.04),
    )
    for process in steady:
        found = calls(process, UNEVEN / EXPIRY, key=4, strikes=(105.0,) * 3)
        within(found[1], exact, 3e-4)


REFUSED = [
    (VarianceGamma, GAMMA, {"nu": 0.0}, "nu: 0.0; expected a number > 0"),
    (VarianceGamma, GAMMA, {"sigma": -0.2}, "sigma: -0.2"),
    (VarianceGamma, GAMMA, {"theta": 3.4}, r"theta nu \+ sigma² nu / 2 is 1.026; .*infinite"),
    (VarianceGamma, GAMMA, {"spot": np.inf}, "spot: inf"),
    (NormalInverseGaussian, NORMAL, {"alpha": -1.0}, "alpha: -1.0"),
    (NormalInverseGaussian, NORMAL, {"delta": 0.0}, "delta: 0.0"),
    (NormalInverseGaussian, NORMAL, {"beta": 13.5}, r"alpha, beta: 14.0, 13.5; expected -alpha < beta < alpha - 1"),
    (NormalInverseGaussian, NORMAL, {"beta": -14.0}, r"alpha, beta: 14.0, -14.0"),
]


@pytest.mark.parametrize(("process", "good", "change", "message"), REFUSED, ids=lambda x: str(x)[:24])
def test_impossible_parameters_are_refused(process, good, change, message):
    process(**good)
    with pytest.raises(InputError, match=message):
        process(**{**good, **change})
