"""Ramps in place of jumps: what they are, that their bias is of second order, and that Greeks then see the jump."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpujax.errors import InputError
from gpujax.pricing import black_scholes, digital
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation

p = mc.payoffs
MARKET = {"volatility": 0.25, "rate": 0.05}
COUNT = 600
# Midpoints of equal cells of two normal distributions: expectations over two times, without noise.
QUANTILES = stats.norm.ppf((np.arange(COUNT) + 0.5) / COUNT)
NORMALS = np.stack([x.ravel() for x in np.meshgrid(QUANTILES, QUANTILES)])


def at_level(level):
    """Payoffs that jump when the price passes a level: at the end, on the way, and in all the conditions of a note."""
    share = level / 100
    note = {"autocall_level": share, "coupon": 0.1, "coupon_barrier": share, "observations": (0, 1), "notional": 100.0}
    return {
        "digital": lambda w: p.digital(strike=level, cash=100.0, smoothing=w),
        "digital put": lambda w: p.digital(strike=level, is_call=False, pays_asset=True, smoothing=w),
        "down and out": lambda w: p.barrier(strike=110.0, level=0.85 * level, kind="down-and-out", smoothing=w),
        "up and in": lambda w: p.barrier(strike=100.0, level=1.05 * level, kind="up-and-in", is_call=False, smoothing=w),
        "Athena": lambda w: p.autocallable(**note, protection_barrier=0.6, initial=100.0, smoothing=w),
        "without memory, watched always": lambda w: p.autocallable(
            **{**note, "coupon_barrier": 0.8}, protection_barrier=0.7, initial=100.0, memory=False, protection="american",
            smoothing=w,
        ),
    }  # fmt: skip


@jax.jit
def expectation(payoffs, spot):
    """Under Black-Scholes at times 0.5 and 1."""
    v, r = MARKET["volatility"], MARKET["rate"]
    moves = (r - v * v / 2) * 0.5 + v * np.sqrt(0.5) * NORMALS
    prices = spot * jnp.exp(jnp.stack([jnp.zeros_like(moves[0]), moves[0], moves[0] + moves[1]]))
    looks = [
        Observation(jnp.int32(i - 1), jnp.asarray(0.5 * i), jnp.exp(jnp.asarray(-r * 0.5 * i)), prices[i])
        for i in range(3)
    ]
    values = []
    for payoff in payoffs:
        account = payoff.start(looks[0])
        for now in looks[1:]:
            account = payoff.update(account, now)
        values.append(jnp.mean(payoff.value(account, looks[-1])))
    return jnp.stack(values)


@pytest.fixture(scope="module")
def by_width():
    """Values and deltas for widths of 0.05, 0.1 and 0.2: `[widths, payoffs]`."""
    makers = at_level(110.0)
    found = [
        (expectation(payoffs, 100.0), jax.jacfwd(expectation, argnums=1)(payoffs, 100.0))
        for payoffs in ([make(w) for make in makers.values()] for w in (0.05, 0.1, 0.2))
    ]
    return tuple(makers), np.array(found)


def test_the_bias_is_of_second_order(by_width):
    """f(w) = f(0) + c w² + ...: doubling the width makes four times the difference."""
    names, found = by_width
    values = found[:, 0]
    ratios = (values[2] - values[1]) / (values[1] - values[0])
    assert np.all((ratios > 3.5) & (ratios < 4.5)), dict(zip(names, ratios, strict=True))


def test_the_pathwise_delta_is_that_of_the_ramp(by_width):
    payoffs = [make(0.2) for make in at_level(110.0).values()]
    slope = (expectation(payoffs, 100.05) - expectation(payoffs, 99.95)) / 0.1
    np.testing.assert_allclose(by_width[1][2, 1], slope, rtol=2e-3, atol=4e-4)


def test_the_limit_is_the_jump(by_width):
    """Extrapolated to no width, values and deltas are those of the contracts with jumps."""
    names, found = by_width
    limit = (4 * found[0] - found[1]) / 3
    for i, name in enumerate(names[:2]):
        option = {**MARKET, "strike": 110.0, "expiry": 1.0}
        kind = digital.cash_or_nothing if i == 0 else digital.asset_or_nothing
        scale = 100.0 if i == 0 else 1.0

        def price(spot, kind=kind, option=option, i=i):
            return kind(spot=spot, **option, is_call=i == 0)

        np.testing.assert_allclose(limit[0, i], scale * price(100.0), rtol=2e-3, err_msg=name)
        np.testing.assert_allclose(limit[1, i], scale * jax.grad(price)(100.0), rtol=1e-2, err_msg=name)
    makers = list(at_level(110.0).values())
    jumps = [make(0.0) for make in makers]
    value = expectation(jumps, 100.0)
    # A difference quotient of a jump over cells of 1/600 of the probability: coarse, but it sees the jump.
    slope = (expectation(jumps, 103.0) - expectation(jumps, 97.0)) / 6
    np.testing.assert_allclose(limit[0], value, rtol=5e-3)
    np.testing.assert_allclose(limit[1], slope, rtol=5e-2, atol=0.02)
    blind = jax.jacfwd(expectation, argnums=1)(jumps, 100.0)
    assert np.abs(blind[0]) < 1e-12 < 0.5 < limit[1, 0]


def test_pathwise_greeks_of_a_smoothed_digital(within):
    """The ramp is a spread of two calls; delta and vega are those of the jump but for a small bias."""
    stock = mc.processes.GeometricBrownianMotion(spot=100.0, **MARKET)
    payoff = p.digital(strike=105.0, cash=10.0, smoothing=0.05)
    found = mc.greeks(stock, payoff, wrt=("spot", "volatility"), key=2, paths=100_000, times=1.0)

    def jump(spot, volatility):
        return 10 * digital.cash_or_nothing(spot=spot, strike=105.0, expiry=1.0, volatility=volatility, rate=0.05)

    for i, name in enumerate(("spot", "volatility")):
        exact = float(jax.grad(jump, argnums=i)(100.0, 0.25))
        within(found[name], exact, bias=4e-3 * abs(exact))
        assert abs(exact) > 10 * float(found[name].standard_error)
    low, high = (black_scholes.price(spot=100.0, strike=105.0 * x, expiry=1.0, **MARKET) for x in (0.975, 1.025))
    within(found["value"], 10 * (low - high) / (105.0 * 0.05))


def test_widths_that_are_refused():
    for wrong in (-0.1, 1.5, np.nan):
        with pytest.raises(InputError, match=r"smoothing: .*; expected"):
            p.digital(strike=1.0, smoothing=wrong)
    with pytest.raises(
        InputError, match=r"strike: 0.0; expected numbers > 0, since smoothing is a share of the strike"
    ):
        p.digital(strike=0.0, smoothing=0.1)
    with pytest.raises(InputError, match=r"smoothing: 0.1 beside a volatility; expected 0"):
        p.barrier(strike=1.0, level=1.0, kind="up-and-in", volatility=0.2, smoothing=0.1)
