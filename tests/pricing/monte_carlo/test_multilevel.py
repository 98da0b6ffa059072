"""Multilevel Monte Carlo: errors within what was asked for, orders and cost of the theory, and couplings that are exact."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import QuantLib as ql

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes, geometric_asian
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.multilevel import multilevel
from gpujax.pricing.monte_carlo.parameters import parameters

MARKET = {"spot": 100.0, "volatility": 0.2, "rate": 0.05}
CALL = mc.payoffs.european(strike=100.0)


def euler(values, spot, time, step, draws):
    return spot * (1 + values["rate"] * step + values["volatility"] * jnp.sqrt(step) * draws[0])


def milstein(values, spot, time, step, draws):
    noise = values["volatility"] * jnp.sqrt(step) * draws[0]
    return spot * (1 + values["rate"] * step + noise + 0.5 * (noise * noise - values["volatility"] ** 2 * step))


def start(values):
    return values["spot"]


def by(move):
    return mc.processes.CustomProcess(start=start, move=move, values=MARKET, normals=1, rate=MARKET["rate"])


def exact_call():
    return float(black_scholes.price(**MARKET, strike=100.0, expiry=1.0))


@pytest.mark.parametrize("move", [euler, milstein])
def test_the_mean_square_error_is_what_was_asked_for(move):
    """Thirty runs: their errors, bias and all, and the standard errors that they state."""
    runs = [multilevel(by(move), CALL, key=key, times=1.0, error=0.1) for key in range(30)]
    off = np.array([run.value - exact_call() for run in runs])
    stated = np.sqrt(np.mean([run.standard_error**2 for run in runs]))
    assert np.all(np.array([run.standard_error for run in runs]) < 0.1 * np.sqrt(0.5) * 1.02)
    assert np.all(np.array([run.bias for run in runs]) <= 0.1 * np.sqrt(0.5))
    # Thirty squares: their mean is itself uncertain by a quarter.
    assert np.mean(off**2) < 0.1**2 * 1.3
    assert 0.6 < np.std(off) / stated < 1.5


@pytest.mark.parametrize(("move", "variance_order"), [(euler, 1), (milstein, 2)])
def test_orders(move, variance_order, within):
    """Of levels with many steps: coarse ones are not yet where the theory begins."""
    found = multilevel(by(move), CALL, key=1, times=1.0, error=0.01, first_steps=4)
    within(found, exact_call(), bias=0.01)
    assert abs(found.weak_order - 1) < 0.25
    assert abs(found.variance_order - variance_order) < 0.15
    for i, level in enumerate(found.levels):
        assert level.steps == 4 << i
        assert level.cost == level.steps + (level.steps // 2 if i else 0)
    assert found.paths == sum(level.paths for level in found.levels)
    assert found.cost == sum(level.paths * level.cost for level in found.levels)
    # The variance that was asked for, at the least cost: paths fall like √(V / C).
    assert found.standard_error == pytest.approx(0.01 * np.sqrt(0.5), rel=0.02)
    ratios = [level.paths / np.sqrt(level.variance / level.cost) for level in found.levels if level.paths > 4096]
    assert max(ratios) < 1.2 * min(ratios)


def test_cost_is_that_of_the_error_alone():
    """A quarter of the error takes sixteen times the work, and far less than steps of one size."""
    coarse, fine = (multilevel(by(milstein), CALL, key=2, times=1.0, error=error) for error in (0.08, 0.02))
    assert fine.levels[-1].steps >= 4 * coarse.levels[-1].steps
    assert fine.cost < 1.5 * 16 * coarse.cost
    alone = fine.levels[-1].steps * fine.levels[0].variance * 2 / 0.02**2
    assert fine.cost < alone / 10


def test_heston_by_full_truncation():
    params = HestonParams(v0=0.04, kappa=1.5, theta=0.04, sigma=0.3, rho=-0.7)
    stock = mc.processes.Heston(spot=100.0, params=params, rate=0.02, scheme="full-truncation")
    found = multilevel(stock, CALL, key=3, times=1.0, error=0.1, first_steps=4)
    today = ql.Date(2, 1, 2020)
    ql.Settings.instance().evaluationDate = today
    rate, none = (ql.YieldTermStructureHandle(ql.FlatForward(today, r, ql.Actual365Fixed())) for r in (0.02, 0.0))
    spot = ql.QuoteHandle(ql.SimpleQuote(100.0))
    model = ql.HestonModel(ql.HestonProcess(rate, none, spot, *params))
    option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Call, 100.0), ql.EuropeanExercise(today + 365))
    option.setPricingEngine(ql.AnalyticHestonEngine(model))
    assert abs(found.value - option.NPV()) < 4 * 0.1
    assert 0.7 < found.variance_order < 1.4


def test_exact_steps_leave_nothing_to_correct(within):
    """Three assets in exact steps: fine and coarse paths end in the same place, if their Brownian motions are the same."""
    correlation = np.array([[1.0, 0.5, -0.2], [0.5, 1.0, 0.3], [-0.2, 0.3, 1.0]])
    three = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.array([100.0, 90.0, 110.0]), volatility=np.array([0.2, 0.3, 0.15]), correlation=correlation, rate=0.05
    )
    third = mc.payoffs.on(lambda spots: spots[2], CALL)
    found = multilevel(three, third, key=4, times=1.0, error=0.1)
    within(found, black_scholes.price(spot=110.0, strike=100.0, volatility=0.15, rate=0.05, expiry=1.0))
    assert len(found.levels) == 3
    assert found.bias < 1e-11
    assert all(level.variance < 1e-22 for level in found.levels[1:])
    assert np.isnan(found.weak_order)
    assert np.isnan(found.variance_order)


def test_float32(within):
    found = multilevel(by(euler), CALL, key=4, times=1.0, error=0.05, dtype=np.float32)
    within(found, exact_call(), bias=0.05)
    same = multilevel(by(euler), CALL, key=4, times=1.0, error=0.05)
    # The words of both are the same; float32 takes fewer of their bits.
    assert 0 < abs(found.value - same.value) < 0.3 * found.standard_error


@parameters()
class PaysOut:
    """Euler's scheme; at mid-year, which payoffs do not look at, the price doubles."""

    spot: Any
    volatility: Any
    dates: ClassVar[tuple[float, ...]] = (0.5,)
    normals: ClassVar[int] = 1

    def initial(self):
        return jnp.asarray(self.spot)

    def advance(self, state, time, step, draws):
        doubled = jnp.where(jnp.abs(time - 0.5) < 1e-6, 2 * state, state)
        return doubled * (1 + self.volatility * jnp.sqrt(step) * draws[0])

    def observe(self, state):
        return state

    def discount(self, time, state):
        return jnp.exp(-0.1 * time)


def test_payoffs_see_their_times_and_no_others(within):
    """The geometric average of the prices at three times, the last two of them doubled on a date between."""
    times = np.array([0.25, 0.75, 1.0])
    found = multilevel(
        PaysOut(spot=100.0, volatility=0.2),
        mc.payoffs.asian(strike=150.0, average="geometric"),
        key=5,
        times=times,
        error=0.1,
    )
    # 4^(1/3) times the average without doubling
    plain = geometric_asian.price(spot=100.0, strike=150.0 / 4 ** (1 / 3), times=times, volatility=0.2)
    within(found, np.exp(-0.1) * 4 ** (1 / 3) * float(plain), bias=0.1)
    assert [level.steps for level in found.levels[:3]] == [4, 8, 16]


def test_the_same_on_any_devices():
    """Eight devices take shares of the paths; a path belongs to its index."""
    one, all_of_them = (
        multilevel(by(euler), CALL, key=6, times=1.0, error=0.05, devices=jax.devices()[:n]) for n in (1, 8)
    )
    assert one.levels[0].paths > 8 * 4096
    np.testing.assert_allclose(all_of_them.value, one.value, rtol=1e-12)
    np.testing.assert_allclose(all_of_them.standard_error, one.standard_error, rtol=1e-12)
    other = multilevel(by(euler), CALL, key=7, times=1.0, error=0.05, devices=jax.devices()[:1])
    assert other.value != one.value


def test_errors():
    common = {"key": 1, "times": 1.0}
    with pytest.raises(
        InputError, match=r"error: 1e-05 would take about [\d,]+ paths, more than most_paths 1,000,000; ask for 0\.0"
    ):
        multilevel(by(euler), CALL, error=1e-5, most_paths=1_000_000, **common)
    with pytest.raises(
        InputError, match=r"error: 0\.03 is not reached by most_levels 2: with 4 steps the bias is still about 0\.0"
    ):
        multilevel(by(euler), CALL, error=0.03, most_levels=2, **common)
    with pytest.raises(InputError, match="payoff: mean nan over paths of 1 steps"):
        multilevel(
            mc.processes.CustomProcess(start=start, move=euler, values={**MARKET, "volatility": np.nan}, normals=1),
            CALL,
            error=0.1,
            **common,
        )
    for wrong in (0.0, -1.0, np.inf, np.nan, "small"):
        with pytest.raises(InputError, match=r"error: .*; expected a number > 0"):
            multilevel(by(euler), CALL, error=wrong, **common)
    for name, wrong in (("first_steps", 0), ("pilot_paths", 10), ("most_levels", 1), ("most_levels", 2.5)):
        with pytest.raises(InputError, match=f"{name}: {wrong}; expected an integer from"):
            multilevel(by(euler), CALL, error=0.1, **{name: wrong}, **common)
    jumps = mc.processes.CustomProcess(start=start, move=euler, values=MARKET, normals=1, uniforms=1)
    with pytest.raises(InputError, match="process: CustomProcess draws uniform numbers"):
        multilevel(jumps, CALL, error=0.1, **common)
    rough = mc.processes.RoughBergomi(spot=100.0, hurst=0.1, eta=1.5, rho=-0.7, xi=0.04)
    with pytest.raises(InputError, match="process: RoughBergomi prepares the numbers of whole paths"):
        multilevel(rough, CALL, error=0.1, **common)
    with pytest.raises(InputTypeError, match="payoff: "):
        multilevel(by(euler), (CALL, CALL), error=0.1, **common)
    with pytest.raises(InputTypeError, match="traced; call multilevel outside of jit"):
        jax.jit(lambda strike: multilevel(by(euler), mc.payoffs.european(strike=strike), error=0.1, **common))(100.0)
