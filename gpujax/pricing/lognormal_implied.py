r"""Implied total volatility of the lognormal model, to machine accuracy in a fixed number of steps.

The price is reduced to v = (price - intrinsic) / min(A, B) in (0, 1), the value of the out-of-the-money option per unit of its
smaller discounted leg, and a = |ln(F/K)|. v(a, s) has its inflection at s_c = √(2a), where d1 = 0, with value v_c. Then

1. a guess: above v_c from d1 = N^{-1}(½ + ½ (v - v_c)/(1 - v_c)), exact for a = 0 and in both limits; below it from two Newton
   steps on log v = log v_c - d²/2 - log((R + d)/s_c) - log(1 + 1.2533 d + 0.6 d²), with d = -d1 and R = √(d² + 2a);
2. two Householder steps of third order on L^{-1/2}, L = -log v, for v < ½, and on L^{1/2}, L = -log(1 - v), above: both are
   nearly straight lines in s. Neither needs an exponential: log v = -z-²/2 + log(M(z-) - M(z+)) - log √(2π).

After the guess the error is below 20 %, after one step below 2e-4, after two that of the arithmetic. The order of the steps and
the idea of objectives that are nearly linear at both ends follow P. Jäckel, "Let's Be Rational", Wilmott (2015); the objectives,
guesses and the evaluation of v are our own. Everything is a straight line of arithmetic: no loop, no branch.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.elementary import at_least, log_ratio, shared
from gpujax.numerics.mills import mills_difference, mills_ratio
from gpujax.numerics.normal import pdf
from gpujax.numerics.staging import computed_once
from gpujax.pricing.implied import log_power_step
from gpujax.pricing.lognormal import d_plus_minus, floor

__all__ = ["implied_total_volatility"]

_SQRT_2PI = 2.5066282746310002


@jax.custom_jvp
def implied_total_volatility(price: jax.Array, asset: jax.Array, cash: jax.Array, x: jax.Array, is_call: jax.Array):
    """The s with value(asset, cash, x, s, is_call) = price; NaN outside the no-arbitrage bounds.

    Derivatives come from the implicit function theorem and are finite wherever vega is not zero.
    """
    smaller = jnp.minimum(asset, cash)
    time_value = price - at_least(jnp.where(is_call, asset - cash, cash - asset), 0)
    # Kept in memory on the CPU: in one loop with what made them, the solver is too long for LLVM to vectorise.
    v = computed_once(time_value / at_least(smaller, np.finfo(price.dtype).tiny))
    a = computed_once(jnp.abs(x))
    half = jnp.full_like(v, 0.5)
    s = _solve(a, jnp.where((v > 0) & (v < 1), v, half))
    s = jnp.where(v == 0, jnp.zeros_like(s), jnp.where(v == 1, jnp.full_like(s, np.inf), s))
    return jnp.where((v >= 0) & (v <= 1), s, jnp.nan)


@implied_total_volatility.defjvp
def _implied_jvp(primals, tangents):
    price, asset, cash, x, is_call = primals
    d_price, d_asset, d_cash, _, _ = tangents
    s = implied_total_volatility(price, asset, cash, x, is_call)
    call = jnp.where(is_call, jnp.ones_like(x), -jnp.ones_like(x))
    in_the_money = call * (asset - cash) > 0
    d_intrinsic = jnp.where(in_the_money, call * (d_asset - d_cash), jnp.zeros_like(x))
    # From here on the out-of-the-money option, a call if the asset leg is the smaller; at the money it is the option itself.
    call_side = (asset < cash) | ((asset == cash) & is_call)
    smaller, larger = jnp.where(call_side, asset, cash), jnp.where(call_side, cash, asset)
    d_smaller, d_larger = jnp.where(call_side, d_asset, d_cash), jnp.where(call_side, d_cash, d_asset)
    time_value = price - at_least(call * (asset - cash), 0)
    vega, near, far = _sensitivities(time_value, smaller, jnp.abs(x), s)
    moved = (d_price - d_intrinsic) / jnp.where(vega > 0, vega, jnp.nan)
    return s, moved - (near / smaller) * d_smaller + (far / at_least(larger, np.finfo(x.dtype).tiny)) * d_larger


def _sensitivities(time_value: jax.Array, smaller: jax.Array, a: jax.Array, s: jax.Array) -> tuple[jax.Array, ...]:
    """Of the out-of-the-money option: A n(d1), and its two terms N(d1) A and N(d2) B, the smaller leg's first, by A n(d1).

    All from Mills ratios and the time value: a density computed from the rounded s is off by d² units in the last place, and
    two densities that should cancel by as much; near the smallest numbers the terms underflow, their quotients do not.
    """
    safe = at_least(jnp.where(s < np.inf, s, jnp.zeros_like(s)), floor(s))
    half = 0.5 * safe * safe
    high = a - half < -0.6 * safe
    ahead = jnp.where(high, half - a, a - half)
    mills, difference = mills_difference(ahead, a + half, jnp.where(high, 2 * a, safe * safe), safe)
    # time value = density [M(z-) - M(z+)], or smaller - density [M(-z-) + M(z+)]
    vega = jnp.where(high, smaller - time_value, time_value) / jnp.where(high, 2 * mills - difference, difference)
    vega = jnp.where((s > 0) & (s < np.inf), vega, smaller * pdf(d_plus_minus(a, s)[0]))
    near = jnp.where(high, smaller / jnp.where(vega > 0, vega, jnp.nan) - mills, mills)
    return vega, near, mills_ratio((a + half) / safe)


def _solve(a: jax.Array, v: jax.Array) -> jax.Array:
    """The s with v(a, s) = v, for 0 < v < 1."""
    s = _guess(a, v)
    lower = v < 0.5
    target = jnp.where(lower, v, 1 - v)
    level = -log_ratio(target, jnp.ones_like(target))
    for _ in range(2):
        s = _step(a, computed_once(s), lower, target, level)
    return s


def _guess(a: jax.Array, v: jax.Array) -> jax.Array:
    turn = shared(jnp.sqrt(2 * a))  # s_c
    safe_turn = at_least(turn, floor(a) ** 1.5)
    # v_c = n(0) [M(0) - M(s_c)], and 1 - v_c
    one = jnp.ones_like(a)
    difference = mills_difference(jnp.zeros_like(a), turn, turn, one)[1]
    turn_value = difference / _SQRT_2PI
    above = v >= turn_value

    # Above: y = 2 N(d1) - 1, and d1 from it by S. Winitzki's approximation of erf^{-1} (2008), 2e-3 everywhere.
    scale = shared(1 / (1 - turn_value))
    tail, y = (1 - v) * scale, jnp.abs(v - turn_value) * scale
    tail = jnp.where(above, jnp.where(tail < 1, tail, one), one)
    ratio = shared(jnp.where(above, one, turn_value) / jnp.where(above, one, v))
    # one logarithm for both sides: log(1 - y²) above, log(v_c / v) below
    log = log_ratio(jnp.where(above, tail * (2 - tail), ratio), one)
    k = 1 / 0.147
    centre = 4.3307467508 + 0.5 * log
    d1 = jnp.sqrt(-2 * k * log / (jnp.sqrt(centre * centre - k * log) + centre))
    d1 = jnp.where(y < 0.1, 1.2533141373 * y * (1 + 0.2618 * y * y), d1)

    # Below: d from the two limits of the equation, sinh for small d and the square for large.
    small = 0.5 * turn * (ratio - 1 / ratio)
    large = shared(jnp.sqrt(2 * jnp.abs(log)))
    d = jnp.where(small < large, small, large)
    for _ in range(2):
        root = shared(jnp.sqrt(d * d + 2 * a))
        curve = 1 + d * (1.2533 + 0.6 * d)
        error = 0.5 * d * d + log_ratio((root + d) * curve, safe_turn) - log
        slope = d + 1 / at_least(root, floor(a)) + (1.2533 + 1.2 * d) / curve
        d = at_least(d - error / slope, 0.05 * d)

    d = jnp.where(above, -d1, d)
    # s = √(d² + 2a) - d, without the cancellation for d > 0
    root = shared(jnp.sqrt(d * d + 2 * a))
    return jnp.where(above, root - d, 2 * a / at_least(root + d, floor(a)))


def _step(a: jax.Array, s: jax.Array, lower: jax.Array, target: jax.Array, level: jax.Array) -> jax.Array:
    """One step from s towards log v = log target (lower) or log(1 - v) = log target."""
    s = at_least(s, floor(s))
    half = 0.5 * s * s
    inverse_s = shared(1 / s)
    z = (a - half) * inverse_s
    # M(z-) - M(z+) for v, M(-z-) + M(z+) for 1 - v; the bound keeps a stray guess inside the polynomial's domain
    near = at_least(jnp.where(lower, a - half, half - a), -0.95 * s)
    inside = jnp.where(lower, a - half, half - a) > -0.95 * s
    width = jnp.where(inside, jnp.where(lower, s * s, 2 * a), a + half - near)
    mills, difference = mills_difference(near, a + half, width, s)
    tails = jnp.where(lower, difference, 2 * mills - difference)
    # L - level, formed from the ratio so that it is exact near the solution
    gap = 0.5 * z * z - log_ratio(tails, target * _SQRT_2PI)
    slope = -(a * inverse_s * inverse_s + 0.5)  # dz-/ds; n(z-)' / n(z-) = -z slope
    growth_slope = -slope * slope - 2 * z * a * inverse_s * inverse_s * inverse_s
    sign = jnp.where(lower, 1.0, -1.0).astype(s.dtype)
    return log_power_step(s, tails, sign, -z * slope, growth_slope, gap, level, lower)
