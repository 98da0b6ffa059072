"""Logarithm of a ratio, exponential and Gaussian: the elementary functions that option formulas spend their time in.

XLA's float64 `log` costs as much as half a Black-Scholes price on a CPU, and log(a / b) loses all its digits where a is
close to b, which is where traded options are. These versions keep full relative accuracy there, use only operations that
vectorise on every backend (no 64-bit integer conversion, no branch), and share no rounding rule with a vendor library, so
that the CPU and a GPU follow the same arithmetic.

Methods: argument reduction by powers of two and polynomials, after Cody and Waite, "Software Manual for the Elementary
Functions" (1980); the coefficients are Chebyshev projections made with 40 digits (`scripts/fit_elementary.py`).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.numerics.polynomial import evaluate

__all__ = ["at_least", "exp_minus_half_square", "exp_square", "exponential", "log_ratio", "shared"]


def at_least(x: jax.Array, bound: jax.Array | float) -> jax.Array:
    """The larger of x and bound, and bound where x is NaN: one instruction, where the NaN-keeping maximum takes three."""
    bound = jnp.asarray(bound, x.dtype)
    return jnp.where(x > bound, x, bound)


def shared(x: jax.Array) -> jax.Array:
    """x >= 0, for a quotient or a root that is used several times.

    XLA's CPU backend ends a fused loop at any division or square root with more than one use, and the loops on both sides of
    the cut go through memory: 29 ns instead of 16 for a price. With one cheap operation as its only user it stays fused.
    """
    return jnp.abs(x)


@jax.custom_jvp
def log_ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    """log(a / b) for positive a and b of one dtype, accurate relative to its value also where a is close to b.

    With k the nearest integer to log2(a / b), a' = a 2^-k and f = (a' - b) / (a' + b), it is k ln 2 + 2 atanh(f); a' - b is
    exact (Sterbenz), so nothing cancels. The ratio saturates at 1e±307 in float64 (1e±37 in float32), zero included, which
    keeps every caller's edge finite. Arguments that are not positive give a meaningless finite number: guard at the call.

    Error: below 2 units in the last place. Not for numbers within a factor of four of overflow.
    """
    c = _CONSTANTS[a.dtype.name]
    a, b = at_least(a, b * c.smallest_ratio), at_least(b, a * c.smallest_ratio)
    # The difference of the bit patterns is log2(a / b) to within 0.09; adding one half and a bias makes its upper part k + bias.
    biased = lax.shift_right_logical(_bits(a) - _bits(b) + c.half_and_bias, c.mantissa_bits)
    scaled = a * _float((2 * c.bias - biased) << c.mantissa_bits, a.dtype)
    k = _float(biased + c.magic_bits, a.dtype) - c.magic - c.bias.astype(a.dtype)
    f = jnp.maximum(
        (scaled - b) / at_least(scaled + b, c.tiny), c.minus_two
    )  # the one user of the quotient: see `shared`
    w = f * f
    return k * c.ln2_high + (2 * f + (f * (w * evaluate(c.log, w)) + k * c.ln2_low))


@log_ratio.defjvp
def _log_ratio_jvp(primals, tangents):
    (a, b), (da, db) = primals, tangents
    tiny = _CONSTANTS[a.dtype.name].tiny  # at zero the slope is not infinite, so that zero times it stays zero
    return log_ratio(a, b), da / at_least(a, tiny) - db / at_least(b, tiny)


@jax.custom_jvp
def exponential(x: jax.Array) -> jax.Array:
    """e^x, zero below the smallest normal number, infinite above 2^1023.5. Error: below 1 unit in the last place."""
    y = _exponential(x)
    c = _CONSTANTS[x.dtype.name]
    return jnp.where(x > c.exp_max, jnp.full_like(x, np.inf), y)


@exponential.defjvp
def _exponential_jvp(primals, tangents):
    y = exponential(primals[0])
    return y, y * tangents[0]


@jax.custom_jvp
def exp_minus_half_square(z: jax.Array) -> jax.Array:
    """e^(-z²/2) to full relative accuracy at any z.

    The square is split into an exact head and a tail (after Cody 1969): rounding z² alone would cost z²/4 units in the
    last place, a hundred of them at z = 20.
    """
    c = _CONSTANTS[z.dtype.name]
    head = _float(_bits(z) & c.upper_half_mask, z.dtype)
    return _exponential(-0.5 * (head * head), -0.5 * ((z - head) * (z + head)))


@exp_minus_half_square.defjvp
def _exp_minus_half_square_jvp(primals, tangents):
    (z,), (dz,) = primals, tangents
    y = exp_minus_half_square(z)
    # Where the density has underflowed the slope is zero, also at infinite z, and however fast z moves.
    vanished = y == 0
    zero = jnp.zeros_like(z)
    return y, jnp.where(vanished, zero, -z) * y * jnp.where(vanished, zero, dz)


def exp_square(z: jax.Array) -> jax.Array:
    """e^(z²) to full relative accuracy, infinite above the range (|z| > 26.6 in float64, 9.4 in float32)."""
    c = _CONSTANTS[z.dtype.name]
    inside = jnp.minimum(jnp.abs(z), c.exp_square_max)
    head = _float(_bits(inside) & c.upper_half_mask, z.dtype)
    y = _exponential(head * head, (inside - head) * (inside + head))
    return jnp.where(jnp.abs(z) > c.exp_square_max, jnp.full_like(z, np.inf), y)


def _exponential(x: jax.Array, tail: jax.Array | None = None) -> jax.Array:
    """e^(x + tail) for |tail| much smaller than 1; zero below the range of x, meaningless above it."""
    c = _CONSTANTS[x.dtype.name]
    k = lax.round(at_least(x, c.exp_min) * c.log2_e, lax.RoundingMethod.TO_NEAREST_EVEN)
    r = (x - k * c.ln2_high) - k * c.ln2_low  # NaN where x is
    if tail is not None:
        r = r + tail
    y = 1 + (r + (r * r) * evaluate(c.exp, r))
    y = y * _float((_bits(k + c.magic) + c.bias) << c.mantissa_bits, x.dtype)
    return jnp.where(x < c.exp_min, jnp.zeros_like(x), y)


def _bits(x: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(x, _CONSTANTS[x.dtype.name].integer)


def _float(bits: jax.Array, dtype) -> jax.Array:
    return lax.bitcast_convert_type(bits, dtype)


class _Constants:
    """Constants of one floating format."""

    def __init__(self, dtype, ln2_high, smallest_ratio, exp_min, exp_max, log, exp):
        info = np.finfo(dtype)
        self.integer = np.dtype(f"int{info.bits}")
        self.mantissa_bits = self.integer.type(info.nmant)
        self.bias = self.integer.type(1 - info.minexp)
        self.half_and_bias = (self.bias << self.mantissa_bits) + (self.integer.type(1) << (self.mantissa_bits - 1))
        # Adding 1.5 * 2^mantissa_bits to a small integer puts its two's complement into the low bits of the sum.
        self.magic = dtype(1.5 * 2.0**info.nmant)
        self.magic_bits = self.magic.view(self.integer)
        # Leaves 26 (float32: 12) significant bits, whose square is exact; fewer would leave a tail too long for `exp`.
        self.upper_half_mask = ~((self.integer.type(1) << (self.mantissa_bits + 2) // 2) - self.integer.type(1))
        self.tiny, self.minus_two = info.tiny, dtype(-2)
        self.log2_e = dtype(1 / np.log(2))
        self.ln2_high = dtype(ln2_high)  # ends in zeros: times an exponent it is exact
        self.ln2_low = dtype(_LN2 - np.longdouble(ln2_high))
        self.smallest_ratio = dtype(smallest_ratio)
        self.exp_min, self.exp_max = dtype(exp_min), dtype(exp_max)
        self.exp_square_max = dtype(np.sqrt(exp_max) * (1 - 1e-6))
        self.log = tuple(dtype(x) for x in log)
        self.exp = tuple(dtype(x) for x in exp)


_LN2 = np.longdouble("0.693147180559945309417232121458176568")
_CONSTANTS = {
    "float64": _Constants(
        np.float64, 6.93147180369123816490e-01, 1e-307, -708.396, 709.43,
        log=[0.1369082210788076, 0.1319882736062854, 0.15389433247353948, 0.18181723152628645, 0.2222222323702642,
             0.2857142856611597, 0.4000000000001058, 0.6666666666666666],
        exp=[2.5105217695684516e-08, 2.762008948195459e-07, 2.755725539833871e-06, 2.4801521293463862e-05,
             0.00019841269874822307, 0.0013888888917215586, 0.008333333333326134, 0.04166666666662412,
             0.1666666666666667, 0.5000000000000001],
    ),
    "float32": _Constants(
        np.float32, 0.693359375, 1e-37, -87.336, 88.37,
        log=[0.30018929542001316, 0.39977059187447206, 0.6666672017085884],
        exp=[0.0013933652487807975, 0.008363181544674816, 0.04166646489535542, 0.16666576967247593, 0.5000000013470303],
    ),
}  # fmt: skip
