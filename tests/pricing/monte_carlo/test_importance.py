"""Importance sampling: the drift is the best one, estimates with it stay unbiased, and their errors fall by what was promised."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes, digital, geometric_asian
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo.importance import find_drift
from gpujax.pricing.monte_carlo.parameters import parameters

MARKET = {"spot": 100.0, "volatility": 0.2, "rate": 0.03, "dividend_yield": 0.01}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)
PATHS = 50_000


def reduction(process, payoff, drift, times, exact, within, key=7, dtype=None):
    """By how much the drift divides the variance; both estimates are checked against the exact value."""
    found = [
        mc.price(process, payoff, key=key, paths=PATHS, times=times, drift=mu, dtype=dtype) for mu in (None, drift)
    ]
    within(found[1], exact)
    return float(found[0].standard_error / found[1].standard_error) ** 2


@pytest.mark.parametrize("strike", [60.0, 150.0])
def test_the_drift_is_the_best_one(strike):
    """Against the second moment by quadrature, in one dimension."""
    is_call = strike > 100

    def paid(z):
        spot = 100 * np.exp(0.02 - 0.02 + 0.2 * z)
        return np.maximum(spot - strike if is_call else strike - spot, 0)

    def second_moment(mu):
        kink = np.log(strike / 100) / 0.2
        low, high = (kink, kink + 14) if is_call else (kink - 14, kink)
        return integrate.quad(lambda z: paid(z) ** 2 * np.exp(-mu * z + mu * mu / 2) * stats.norm.pdf(z), low, high)[0]

    best = optimize.minimize_scalar(lambda mu: np.log(second_moment(mu)), bounds=(-6, 6), method="bounded").x
    payoff = mc.payoffs.european(strike=strike, is_call=is_call)
    found = find_drift(STOCK, payoff, key=1, times=1.0)
    assert found.shape == (1, 1)
    # A tenth costs a hundredth of the variance; pilots know the optimum to about a fiftieth.
    assert abs(float(found[0, 0]) - best) < 0.1, (found, best)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_call_far_out_of_the_money(dtype, within):
    exact = black_scholes.price(**MARKET, strike=160.0, expiry=1.0)
    far = mc.payoffs.european(strike=160.0)
    times = np.array([0.1, 0.4, 1.0])
    drift = find_drift(STOCK, far, key=1, times=times, dtype=dtype)
    assert drift.dtype == dtype
    np.testing.assert_allclose(drift / drift[0, 0], np.sqrt(np.diff(times, prepend=0.0) / 0.1)[:, None], rtol=1e-5)
    assert reduction(STOCK, far, drift, times, exact, within, dtype=dtype) > 100


def test_a_payoff_that_no_pilot_reaches(within):
    """Nine standard deviations out: one path in 1e19 pays."""
    strike = 100 * np.exp(1.8)
    exact = digital.cash_or_nothing(**MARKET, strike=strike, expiry=1.0)
    payoff = mc.payoffs.digital(strike=strike)
    plain = mc.price(STOCK, payoff, key=2, paths=PATHS, times=1.0)
    assert plain.value == plain.standard_error == 0
    drift = find_drift(STOCK, payoff, key=2, times=1.0)
    found = mc.price(STOCK, payoff, key=2, paths=PATHS, times=1.0, drift=drift)
    within(found, exact)
    assert found.standard_error < 0.02 * found.value


def test_estimates_are_unbiased():
    """Two hundred independent runs with one drift: z-scores are standard normal."""
    payoff = mc.payoffs.digital(strike=150.0)
    exact = float(digital.cash_or_nothing(**MARKET, strike=150.0, expiry=1.0))
    drift = find_drift(STOCK, payoff, key=3, times=[0.5, 1.0])

    @jax.jit
    def scores(keys):
        def one(key):
            found = mc.price(STOCK, payoff, key=key, paths=4096, times=[0.5, 1.0], drift=drift)
            return (found.value - exact) / found.standard_error

        return jax.lax.map(one, keys)

    z = np.asarray(scores(jax.random.split(jax.random.key(3), 200)))
    assert abs(z.mean()) < 4 / np.sqrt(200)
    assert abs(z.std() - 1) < 4 / np.sqrt(400)
    assert stats.kstest(z, "norm").pvalue > 1e-3


def test_several_assets(within):
    """An exchange option (Margrabe 1978) that needs one price up by half and the other down."""
    spot, volatility = np.array([100.0, 150.0]), np.array([0.3, 0.2])
    correlation = np.array([[1.0, 0.6], [0.6, 1.0]])
    two = mc.processes.CorrelatedGeometricBrownianMotion(spot=spot, volatility=volatility, correlation=correlation)
    joint = np.sqrt(0.09 + 0.04 - 2 * 0.6 * 0.3 * 0.2)
    exact = black_scholes.price(spot=100.0, strike=150.0, expiry=0.5, volatility=joint)
    drift = find_drift(two, mc.payoffs.spread(), key=4, times=[0.25, 0.5])
    assert drift.shape == (2, 2)
    # The second factor moves both the second price alone and against the first.
    assert drift[0, 0] > 0 > drift[0, 1]
    assert reduction(two, mc.payoffs.spread(), drift, [0.25, 0.5], exact, within) > 20


def test_a_full_drift_suits_an_average(within):
    """An average moves with early numbers more than with late ones; the closed form is that of the geometric one."""
    times = np.linspace(0.1, 1.0, 10)
    payoff = mc.payoffs.asian(strike=130.0, average="geometric")
    exact = geometric_asian.price(**MARKET, strike=130.0, times=times)
    constant, full = (find_drift(STOCK, payoff, key=5, times=times, kind=kind) for kind in ("constant", "full"))
    assert constant.shape == full.shape == (10, 1)
    # The exact direction is the average's own: weights 10, 9, ..., 1.
    direction = np.arange(10, 0, -1) / np.linalg.norm(np.arange(10, 0, -1))
    assert float(full[:, 0] @ direction) > 0.995 * float(jnp.linalg.norm(full))
    by_constant, by_full = (reduction(STOCK, payoff, mu, times, exact, within) for mu in (constant, full))
    assert by_constant > 10
    assert by_full > 3 * by_constant


@parameters()
class Added:
    """Moves by both its normal numbers, and one path in two has died at the end of each step."""

    strength: Any
    dates: ClassVar[tuple[float, ...]] = (0.3,)
    normals: ClassVar[int] = 2
    uniforms: ClassVar[int] = 1

    def initial(self):
        return jnp.zeros(()), jnp.ones(())

    def advance(self, state, time, step, draws):
        alive = jnp.where(draws[2] < 0.5, jnp.zeros_like(state[1]), jnp.ones_like(state[1]))
        return state[0] + self.strength * jnp.sqrt(step) * (draws[0] + draws[1]), alive

    def observe(self, state):
        return state[0] * state[1]

    def discount(self, time, state):
        return jnp.ones(())


def test_uniform_numbers_and_dates(within):
    """Half of E max(X - 3, 0) with X normal: uniform numbers stay as they are, both normal ones drift alike."""
    process, payoff = Added(strength=np.sqrt(0.5)), mc.payoffs.european(strike=3.0)
    drift = find_drift(process, payoff, key=6, times=[0.5, 1.0])
    assert drift.shape == (3, 2)
    np.testing.assert_allclose(drift[:, 0], drift[:, 1], rtol=0.1)
    found = mc.price(process, payoff, key=6, paths=PATHS, times=[0.5, 1.0], drift=drift)
    within(found, 0.5 * (stats.norm.pdf(3.0) - 3.0 * stats.norm.sf(3.0)))
    assert found.standard_error < 0.01 * found.value


def test_the_search_is_repeatable():
    payoff = mc.payoffs.european(strike=150.0)
    drift = find_drift(STOCK, payoff, key=9, times=1.0)
    np.testing.assert_array_equal(find_drift(STOCK, payoff, key=9, times=1.0), drift)
    assert not np.array_equal(find_drift(STOCK, payoff, key=10, times=1.0), drift)


def test_steps_between_looks_have_drifts_of_their_own(within):
    payoff = mc.payoffs.european(strike=180.0)
    finer = find_drift(STOCK, payoff, key=9, times=[0.4, 1.0], max_step=0.3)
    assert finer.shape == (4, 1)
    found = mc.price(STOCK, payoff, key=9, paths=PATHS, times=[0.4, 1.0], max_step=0.3, drift=finer)
    within(found, black_scholes.price(**MARKET, strike=180.0, expiry=1.0))
    assert found.standard_error < 0.02 * found.value


def test_errors():
    payoff = mc.payoffs.european(strike=150.0)
    common = {"key": 1, "times": 1.0, "paths": 1000}
    certain = mc.processes.CustomProcess(
        start=lambda values: values, move=lambda values, state, *rest: state, values=100.0, normals=0, uniforms=1
    )
    with pytest.raises(InputError, match=r"payoff: zero on all 1000 pilot paths, even with 1\d times the noise"):
        find_drift(STOCK, mc.payoffs.european(strike=1e9), **common)
    with pytest.raises(InputError, match=r"payoff: nan on 100\.00% of the pilot paths"):
        find_drift(dataclasses.replace(certain, values=np.nan, normals=1), payoff, **common)
    with pytest.raises(InputError, match="kind: 'best'; expected 'constant' or 'full'"):
        find_drift(STOCK, payoff, kind="best", **common)
    with pytest.raises(InputError, match="paths: 10; expected at least 256"):
        find_drift(STOCK, payoff, key=1, times=1.0, paths=10)
    with pytest.raises(InputError, match="kind: 'full' with 3000 steps of 1 normal numbers has 3000 components"):
        find_drift(STOCK, payoff, key=1, times=1.0, kind="full", max_step=1 / 3000)
    with pytest.raises(InputTypeError, match="payoff: "):
        find_drift(STOCK, {"call": payoff}, **common)
    with pytest.raises(InputTypeError, match="traced; find the drift outside of jit"):
        jax.jit(lambda strike: find_drift(STOCK, mc.payoffs.european(strike=strike), **common))(150.0)
    rough = mc.processes.RoughBergomi(spot=100.0, hurst=0.1, eta=1.5, rho=-0.7, xi=0.04)
    with pytest.raises(InputError, match="process: RoughBergomi turns normal numbers into others"):
        find_drift(rough, payoff, **common)
    with pytest.raises(InputError, match="process: CustomProcess takes no normal numbers"):
        find_drift(certain, payoff, **common)
