"""Processes with jumps: prices against Merton's series, Kou's published value and Fourier inversion; derivatives; refusals."""

import csv
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from gpujax.errors import InputError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.processes import Bates, Kou, Merton

STRIKES = (85.0, 100.0, 120.0)
MARKET = {"spot": 100.0, "rate": 0.04, "dividend_yield": 0.01}
MERTON = {**MARKET, "volatility": 0.15, "intensity": 1.3, "jump_mean": -0.1, "jump_volatility": 0.18}
KOU = {**MARKET, "volatility": 0.16, "intensity": 1.5, "up_probability": 0.4, "up_rate": 12.0, "down_rate": 6.0}
HESTON = {"v0": 0.03, "kappa": 2.0, "theta": 0.04, "sigma": 0.4, "rho": -0.6}
BATES = {**MARKET, **HESTON, "intensity": 0.8, "jump_mean": -0.12, "jump_volatility": 0.1}
EXPIRY = 0.75
# Equal steps, and nearly all in one. Programs are shared: the payoffs, the paths and the number of steps are always the same.
EVEN, UNEVEN = np.array([0.5, 1.0]) * EXPIRY, np.array([0.002, 1.0]) * EXPIRY
PATHS = 100_000


def lognormal_jumps(u, p):
    """The logarithm of the characteristic function of a year of compensated lognormal jumps."""
    mean, spread = p["jump_mean"], p["jump_volatility"]
    kappa = np.exp(mean + spread**2 / 2) - 1
    return p["intensity"] * (np.exp(1j * u * mean - u * u * spread**2 / 2) - 1 - 1j * u * kappa)


def merton(u, t, p):
    return t * (-0.5 * p["volatility"] ** 2 * (u * u + 1j * u) + lognormal_jumps(u, p))


def kou(u, t, p):
    chance, up, down = p["up_probability"], p["up_rate"], p["down_rate"]
    jump = chance * up / (up - 1j * u) + (1 - chance) * down / (down + 1j * u) - 1
    mean = chance * up / (up - 1) + (1 - chance) * down / (down + 1) - 1
    return t * (-0.5 * p["volatility"] ** 2 * (u * u + 1j * u) + p["intensity"] * (jump - 1j * u * mean))


def bates(u, t, p):
    """Heston's by the formula of H. Albrecher et al., "The Little Heston Trap", Wilmott Magazine (2007)."""
    kappa, sigma = p["kappa"], p["sigma"]
    beta = kappa - 1j * p["rho"] * sigma * u
    d = np.sqrt(beta * beta + sigma**2 * (u * u + 1j * u))
    g, decay = (beta - d) / (beta + d), np.exp(-d * t)
    c = kappa * p["theta"] / sigma**2 * ((beta - d) * t - 2 * np.log((1 - g * decay) / (1 - g)))
    heston = c + p["v0"] / sigma**2 * (beta - d) * (1 - decay) / (1 - g * decay)
    return heston + t * lognormal_jumps(u, p)


def fourier_call(exponent, strike, t, p):
    """A call by A. Lewis, "Option Valuation under Stochastic Volatility" (2000): one integral of the characteristic function."""
    forward = p["spot"] * np.exp((p["rate"] - p["dividend_yield"]) * t)
    x = np.log(forward / strike)

    def integrand(u):
        return np.exp(1j * u * x + exponent(u - 0.5j, t, p)).real / (u * u + 0.25)

    area = quad(integrand, 0, 400, epsabs=1e-12, epsrel=1e-12, limit=800)[0]
    return np.exp(-p["rate"] * t) * (forward - np.sqrt(forward * strike) / np.pi * area)


def build_bates(p, scheme="quadratic-exponential"):
    params = HestonParams(**{name: p[name] for name in HESTON})
    others = {name: value for name, value in p.items() if name not in HESTON}
    return Bates(params=params, scheme=scheme, **others)


MODELS = {
    "Merton": (MERTON, lambda p: Merton(**p), merton, 0.0),
    "Kou": (KOU, lambda p: Kou(**p), kou, 0.0),
    # Heston's part has a bias of the order of the steps, which are long.
    "Bates": (BATES, build_bates, bates, 0.1),
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
    parameters, build, exponent, bias = MODELS[name]
    forward, *options = calls(build(parameters), times)
    within(forward, 100 * np.exp(-0.01 * EXPIRY))
    for strike, option in zip(STRIKES, options, strict=True):
        within(option, fourier_call(exponent, strike, EXPIRY, parameters), bias=bias)


@pytest.mark.parametrize("name", MODELS)
def test_paths_in_float32(name):
    """A step with the same numbers in both precisions, for long and short ones."""
    parameters, build, *_ = MODELS[name]
    process = build(parameters)
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


def test_merton_s_series(within):
    """Merton (1976), equation 19: Black-Scholes prices weighted by the probabilities of n jumps; at an expiry with many."""
    p = {**MERTON, "intensity": 40.0, "jump_mean": -0.01, "jump_volatility": 0.03}
    growth = np.exp(p["jump_mean"] + p["jump_volatility"] ** 2 / 2)
    series, expected = 0.0, p["intensity"] * growth
    for n in range(150):
        weight = math.exp(-expected + n * math.log(expected) - math.lgamma(n + 1))
        rate = p["rate"] - p["intensity"] * (growth - 1) + n * math.log(growth)
        volatility = math.sqrt(p["volatility"] ** 2 + n * p["jump_volatility"] ** 2)
        series += weight * float(
            black_scholes.price(
                spot=100.0, strike=100.0, expiry=1.0, volatility=volatility, rate=rate, dividend_yield=0.01
            )
        )
    np.testing.assert_allclose(series, fourier_call(merton, 100.0, 1.0, p), rtol=1e-9)
    within(calls(Merton(**p), np.array([0.1, 1.0]), key=2)[2], series)


@pytest.mark.shared_data
def test_kou_s_published_price(shared, within):
    """Kou (2002), page 1095, footnote 9: 9.14732."""
    with open(shared / "refvalues" / "kou_single.csv", newline="") as file:
        (row,) = csv.DictReader(line for line in file if not line.startswith("#"))
    row = {name: float(x) for name, x in row.items()}
    process = Kou(
        spot=row["S0"], volatility=row["sigma"], intensity=row["lambda"], up_probability=row["p"], up_rate=row["eta1"],
        down_rate=row["eta2"], rate=row["r"],
    )  # fmt: skip
    found = calls(process, np.array([0.1, 1.0]) * row["T"], key=3, strikes=(row["K"],) * 3)
    within(found[1], row["call"], bias=5e-6)


@pytest.mark.parametrize("name", MODELS)
def test_derivatives(name, within):
    """By every parameter, those of the number of jumps included, against differences of the exact price."""
    parameters, build, exponent, bias = MODELS[name]
    names = {n: f"params.{n}" if n in HESTON else n for n in parameters}
    found = derivatives(build(parameters), names.values())
    for parameter, path in names.items():
        bump = 1e-4 * max(abs(parameters[parameter]), 0.1)
        ends = [
            fourier_call(exponent, 105.0, EXPIRY, {**parameters, parameter: parameters[parameter] + side * bump})
            for side in (1, -1)
        ]
        exact = (ends[0] - ends[1]) / (2 * bump)
        within(found[path], exact, bias=(bias > 0) * (0.02 * abs(exact) + 0.05))


def test_values_do_not_feel_the_likelihood_ratio():
    """The discount factor of every path is the plain one, to the last digit; in both directions of differentiation."""
    process = Merton(**MERTON)
    state = (jnp.zeros(4), jnp.zeros(4))
    draws = (jnp.zeros(4), jnp.asarray([0.1, 0.5, 0.9, 0.99]))

    def discount(intensity):
        moved = Merton(**{**MERTON, "intensity": intensity})
        return moved.discount(1.0, moved.advance(state, 0.0, 1.0, draws))

    np.testing.assert_array_equal(discount(1.3), np.full(4, np.exp(-0.04)))
    counts = np.array([0.0, 1.0, 3.0, 5.0])
    forward = jax.jvp(discount, (1.3,), (1.0,))[1]
    np.testing.assert_allclose(forward, np.exp(-0.04) * (counts / 1.3 - 1), rtol=1e-12)
    np.testing.assert_allclose(jax.grad(lambda x: discount(x).sum())(1.3), forward.sum(), rtol=1e-12)
    assert process.normals == process.uniforms == 1


def test_without_jumps_it_is_the_diffusion():
    """The same paths as geometric Brownian motion; derivatives are finite at zero."""
    still = {**MERTON, "intensity": 0.0}
    plain = mc.processes.GeometricBrownianMotion(**MARKET, volatility=0.15)
    run = {"key": 1, "paths": 1000, "times": [1.0]}
    np.testing.assert_allclose(mc.simulate(Merton(**still), **run), mc.simulate(plain, **run), rtol=1e-12)
    quiet = {**MERTON, "intensity": 0.0, "volatility": 0.0, "jump_volatility": 0.0, "spot": 120.0}
    for dtype in (np.float64, np.float32):
        found = derivatives(Merton(**quiet), MERTON, dtype=dtype)
        assert all(np.isfinite(found[name].value) for name in MERTON)
        np.testing.assert_allclose(found["value"].value, 120 * np.exp(-0.0075) - 105 * np.exp(-0.03), rtol=1e-5)


REFUSED = [
    (Merton, MERTON, {"spot": 0.0}, "spot: 0.0; expected a number > 0"),
    (Merton, MERTON, {"volatility": -0.1}, "volatility: -0.1"),
    (Merton, MERTON, {"intensity": -1.0}, "intensity: -1.0"),
    (Merton, MERTON, {"jump_mean": np.nan}, "jump_mean: nan"),
    (Merton, MERTON, {"jump_volatility": np.array([0.1, -0.1])}, "jump_volatility: .*-0.1"),
    (Kou, KOU, {"up_rate": 1.0}, "up_rate: 1.0; expected a number > 1: .*infinite"),
    (Kou, KOU, {"down_rate": 0}, "down_rate: 0; expected"),
    (Kou, KOU, {"up_probability": 1.2}, r"up_probability: 1.2; expected a probability, in \[0, 1\]"),
]


@pytest.mark.parametrize(("process", "good", "change", "message"), REFUSED, ids=lambda x: str(x)[:24])
def test_impossible_parameters_are_refused(process, good, change, message):
    process(**good)
    with pytest.raises(InputError, match=message):
        process(**{**good, **change})


def test_bates_refuses_what_its_parts_refuse():
    for change, message in (({"intensity": -0.1}, "intensity"), ({"rho": -1.5}, "rho"), ({"spot": -1.0}, "spot")):
        with pytest.raises(InputError, match=message):
            build_bates({**BATES, **change})
    with pytest.raises(InputError, match="scheme"):
        build_bates(BATES, scheme="euler")


def test_bates_passes_the_scheme_on():
    """Heston's scheme with numbers of both kinds: the jumps take the ones that it leaves."""
    process, plain = build_bates(BATES, "almost-exact"), build_bates(BATES)
    heston = mc.processes.Heston(
        spot=100.0, params=process.params, rate=0.04, dividend_yield=0.01, scheme="almost-exact"
    )
    assert (process.normals, process.uniforms) == (heston.normals + 1, heston.uniforms + 1)
    assert (plain.normals, plain.uniforms) == (3, 1)
    random = np.random.default_rng(1)
    normals = tuple(jnp.asarray(random.standard_normal(5)) for _ in range(process.normals))
    uniforms = tuple(jnp.asarray(random.random(5)) for _ in range(process.uniforms))
    smooth = jax.tree.map(lambda x: jnp.full(5, x), heston.initial())
    state = (smooth, jnp.zeros(5), jnp.zeros(5))
    moved = process.advance(state, 0.0, 0.25, (*normals, *uniforms))
    alone = heston.advance(smooth, 0.0, 0.25, (*normals[:-1], *uniforms[:-1]))
    jax.tree.map(np.testing.assert_array_equal, moved[0], alone)
    merton = Merton(
        **{**MERTON, "volatility": 0.0, "rate": 0.0, "dividend_yield": 0.0, **{k: BATES[k] for k in _JUMPS}}
    )
    jumps = merton.advance((jnp.zeros(5), jnp.zeros(5)), 0.0, 0.25, (normals[-1], uniforms[-1]))
    np.testing.assert_allclose(moved[1], jumps[0], atol=1e-15)


_JUMPS = ("intensity", "jump_mean", "jump_volatility")
