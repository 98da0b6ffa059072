"""What implied volatilities of every model share: status codes, uncertainty, and the step of the solver."""

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.elementary import at_least, shared

__all__ = ["Diagnosis", "Status", "diagnose", "log_power_step"]


class Status(IntEnum):
    """Outcome of an implied volatility; each member's `message` says it in words."""

    OK = 0
    BELOW_INTRINSIC = 1
    ABOVE_BOUND = 2
    AT_INTRINSIC = 3
    AT_BOUND = 4
    EXPIRED = 5
    INVALID = 6

    @property
    def message(self) -> str:
        """The outcome in words."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.OK: "the volatility reproduces the price",
    Status.BELOW_INTRINSIC: "the price is below the discounted intrinsic value: no volatility (NaN)",
    Status.ABOVE_BOUND: "the price is above what any volatility gives: no volatility (NaN)",
    Status.AT_INTRINSIC: "the price is the intrinsic value: volatility zero",
    Status.AT_BOUND: "the price is its upper bound: volatility infinite",
    Status.EXPIRED: "expiry is not positive: no volatility (NaN)",
    Status.INVALID: "an input is NaN or out of range: no volatility (NaN)",
}


class Diagnosis(NamedTuple):
    """Implied volatilities with their outcome; arrays of the options' shape."""

    volatility: jax.Array  # as `implied_volatility` returns it
    status: jax.Array  # `Status` codes, int8
    uncertainty: jax.Array  # change of volatility for one unit in the last place of the price; NaN where volatility is


def diagnose(price, total_volatility, vega, lower, upper, expiry, valid) -> Diagnosis:
    """Status and uncertainty from the price, its bounds, the total volatility found and the vega by total volatility.

    The verdict is the solver's (NaN outside the bounds, zero and infinity on them), so that it always fits the volatility,
    however the last digit of a bound was rounded; the bounds only tell on which side a price without volatility lies.
    """
    price, s, vega, lower, upper, expiry, valid = jnp.broadcast_arrays(
        price, total_volatility, vega, lower, upper, expiry, valid
    )
    cases = [
        (~valid | (price != price) | (lower != lower) | (upper != upper) | (expiry != expiry), Status.INVALID),
        (expiry <= 0, Status.EXPIRED),
        (s == 0, Status.AT_INTRINSIC),
        (s == np.inf, Status.AT_BOUND),
        (s > 0, Status.OK),
        (price - lower < 0.5 * (upper - lower), Status.BELOW_INTRINSIC),
    ]
    codes = [jnp.full(price.shape, code, jnp.int8) for _, code in cases]
    status = jnp.select(
        [condition for condition, _ in cases], codes, jnp.full(price.shape, Status.ABOVE_BOUND, jnp.int8)
    )
    determined = (status == Status.OK) | (status == Status.AT_INTRINSIC) | (status == Status.AT_BOUND)
    root = jnp.sqrt(jnp.where(expiry > 0, expiry, jnp.ones_like(expiry)))
    volatility = jnp.where(determined, s / root, jnp.nan)
    # The price by vega first: the last place of a price of 1e-300 is itself below the smallest normal number.
    change = jnp.maximum(price, np.finfo(price.dtype).tiny) / (jnp.where(vega > 0, vega, jnp.ones_like(vega)) * root)
    uncertainty = jnp.where(determined, jnp.where(vega > 0, np.finfo(price.dtype).eps * change, jnp.inf), jnp.nan)
    return Diagnosis(volatility, status, uncertainty)


def log_power_step(s, inverse_rate, rate_sign, growth, growth_slope, gap, level, lower):
    r"""One Householder step of third order in s on L^{-1/2} (lower) or L^{1/2}, where L = -log w and the root has L = level.

    w(s) is a price per unit, or one minus it; a price whose logarithm falls like -1/s² (or -s²) makes these powers nearly
    straight lines, on which a step of third order turns 20 % into 1e-4.

    Arguments (arrays of one dtype and shape):
        s: the iterate, > 0.
        inverse_rate: |w / w'|.
        rate_sign: +1 where w grows with s, -1 where it falls.
        growth: w'' / w'; growth_slope: its derivative by s.
        gap: L - level, computed without cancellation.
        level: the target of L, > 0.
        lower: True for the exponent -1/2.

    Source: A. S. Householder, "The Numerical Treatment of a Single Nonlinear Equation" (1970), section 4.4.
    """
    inverse_rate = shared(inverse_rate)
    rate = rate_sign * shared(1 / inverse_rate)  # w' / w
    log = at_least(level + gap, 1e-3)
    inverse_log = shared(1 / log)
    p = jnp.where(lower, -0.5, 0.5).astype(s.dtype)
    # L' = -rate, L'' / L' = bend, L''' / L' = third
    bend = growth - rate
    third = bend * bend + growth_slope - rate * bend
    u = -rate * inverse_log  # L' / L
    t2 = (p - 1) * u + bend
    t3 = (p - 1) * (p - 2) * u * u + 3 * (p - 1) * u * bend + third
    # Newton's step -(T - T*) / T' with T = L^p: T* / T = (level / L)^p, subtracted from one without cancellation
    root = shared(jnp.sqrt(at_least(level * inverse_log, 0)))
    relative = gap * inverse_log
    change = jnp.where(lower, -relative / (root * (1 + root)), relative / (1 + root))
    newton = -2 * change * log * inverse_rate  # p * rate = -1 / (2 inverse_rate) on both sides
    step = 0.5 * (newton * (2 + t2 * newton) / (1 + newton * (t2 + newton * t3 / 6)))
    step = at_least(step, -0.7 * s)
    return s + jnp.where(step < 3 * s + 1, step, 3 * s + 1)
