r"""The normal distribution: density, distribution, its logarithm, quantile, and the scaled complementary error function.

Everything rests on two pieces: e^(-z²/2) with an exact square (`elementary`) and the Mills ratio M(z) (`mills`); a lower
tail is their product, N(-z) = n(z) M(z), so that it keeps its relative accuracy down to the smallest number.

Accuracy (`benchmarks/accuracy.py`): relative error below 1e-14 in float64 on [-37, 8]; in float32 a few units in the
last place. Derivatives are finite everywhere, infinities included. Arguments: arrays of float32 or float64, any shape.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.elementary import exp_minus_half_square, exp_square, log_ratio
from gpujax.numerics.mills import mills_ratio, mills_ratio_and_slope

__all__ = ["INVERSE_SQRT_2PI", "LOG_SQRT_2PI", "cdf", "erfcx", "log_cdf", "pdf", "quantile"]

INVERSE_SQRT_2PI = 0.3989422804014327
LOG_SQRT_2PI = 0.9189385332046728


def pdf(x: jax.Array) -> jax.Array:
    r"""Density $n(x) = e^{-x^2/2} / \sqrt{2\pi}$; zero where it is below the smallest normal number (|x| > 37.6).

    >>> pdf(jnp.float64(1.0))
    Array(0.24197072, dtype=float64)
    """
    return exp_minus_half_square(x) * INVERSE_SQRT_2PI


@jax.custom_jvp
def cdf(x: jax.Array) -> jax.Array:
    """Distribution function N(x): n(x) M(-x) below zero, 1 - n(x) M(x) above; 0 and 1 at the infinities, NaN at NaN.

    >>> cdf(jnp.float64(-10.0))
    Array(7.61985302e-24, dtype=float64)
    """
    tail = pdf(x) * mills_ratio(jnp.minimum(jnp.abs(x), _far(x)))
    return jnp.where(x > 0, 1 - tail, tail)


@cdf.defjvp
def _cdf_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return cdf(x), _times(pdf(x), dx)


@jax.custom_jvp
def log_cdf(x: jax.Array) -> jax.Array:
    """log N(x), to full relative accuracy on both sides: -x²/2 + log(M(-x)) - log √(2π) below zero, log(1 - N(-x)) above.

    >>> log_cdf(jnp.float64(-100.0))
    Array(-5005.52420869, dtype=float64)
    """
    z = jnp.minimum(jnp.abs(x), _far(x))
    m = mills_ratio(z)
    below = -0.5 * jnp.square(jnp.minimum(x, 0)) + (log_ratio(m, jnp.ones_like(m)) - LOG_SQRT_2PI)
    # log(1 - q) with the rounding of 1 - q made good; the maximum keeps the compiler from cancelling it symbolically
    q = pdf(x) * m
    u = jnp.maximum(1 - q, 0.25)
    above = log_ratio(u, jnp.ones_like(u)) - ((u - 1) + q) / u
    return jnp.where(x > 0, above, below)


@log_cdf.defjvp
def _log_cdf_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    # n(x) / N(x): the inverse Mills ratio below zero, where neither factor may be formed.
    below = 1 / mills_ratio(-jnp.clip(x, -_far(x), 0))
    above = pdf(x) / cdf(jnp.maximum(x, 0))
    return log_cdf(x), jnp.where(x > 0, above, below) * dx


@jax.custom_jvp
def quantile(p: jax.Array) -> jax.Array:
    """The x with N(x) = p: minus infinity at 0, infinity at 1, NaN outside [0, 1]; odd about p = 1/2.

    Two Householder steps of third order from a classical guess: in the tails on log N(-z) from the rational approximation of
    Hastings (Abramowitz and Stegun 1964, 26.2.23), in the middle half on N(z) - 1/2, which a difference of Mills ratios gives
    without subtracting, so that the relative accuracy holds through the zero at p = 1/2.

    >>> quantile(jnp.float64(0.975))
    Array(1.95996398, dtype=float64)
    """
    tail = jnp.minimum(p, 1 - p)
    z = jnp.where(tail > 0.25, _central_quantile(jnp.abs(p - 0.5)), _tail_quantile(tail))
    z = jnp.where(tail == 0, jnp.full_like(p, np.inf), z)
    return jnp.where((p >= 0) & (p <= 1), jnp.where(p < 0.5, -z, z), jnp.full_like(p, np.nan))


@quantile.defjvp
def _quantile_jvp(primals, tangents):
    (p,), (dp,) = primals, tangents
    x = quantile(p)
    # In the tails the density is the probability over the Mills ratio, which does not feel the rounding of x.
    tail, z = jnp.minimum(p, 1 - p), jnp.minimum(jnp.abs(x), _far(x))
    density = jnp.where(tail < 0.25, tail / mills_ratio(z), pdf(x))
    # At the ends the slope is infinite: the largest finite number stands for it.
    slope = jnp.where(density > 0, 1 / jnp.where(density > 0, density, jnp.ones_like(p)), np.finfo(p.dtype).max)
    return x, jnp.where(x == x, slope, x) * dp


@jax.custom_jvp
def erfcx(x: jax.Array) -> jax.Array:
    """Scaled complementary error function e^(x²) erfc(x): √(2/π) M(√2 x) above zero, 2 e^(x²) - erfcx(-x) below.

    Infinite below -26.6 in float64 (-9.4 in float32).

    >>> erfcx(jnp.float64(10.0))
    Array(0.05614099, dtype=float64)
    """
    above = 0.7978845608028654 * mills_ratio(jnp.minimum(1.4142135623730951 * jnp.abs(x), _far(x)))
    return jnp.where(x < 0, 2 * exp_square(x) - above, above)


@erfcx.defjvp
def _erfcx_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    # Above zero the slope 2 x erfcx(x) - 2/√π would cancel; it is -2/√π times that of the Mills ratio.
    z = 1.4142135623730951 * jnp.clip(x, 0, _far(x) / 2)
    above = -1.1283791670955126 * mills_ratio_and_slope(z, jnp.zeros_like(z))[1]
    low = jnp.minimum(x, 0)  # in both places: an infinity times the zero slope of the other would be NaN
    below = 2 * low * erfcx(low) - 1.1283791670955126
    return erfcx(x), jnp.where(x < 0, below, above) * dx


def _tail_quantile(p: jax.Array) -> jax.Array:
    """The z > 0 with N(-z) = p, for 0 < p <= 1/4."""
    one = jnp.ones_like(p)
    # Below 1e-290 (1e-28) a logarithm of p in one piece would leave the range of `log_ratio`.
    limit, power = (1e-290, 60) if p.dtype == np.float64 else (1e-28, 20)
    tiny = p < limit
    scaled = jnp.clip(p, 0, 0.25) * jnp.where(tiny, one * 2.0**power, one)
    shift = jnp.where(tiny, one * (power * 0.6931471805599453), 0 * one)
    t = jnp.sqrt(2 * (shift - log_ratio(scaled, one)))
    z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    for _ in range(2):
        m = mills_ratio(z)
        r = 1 / m
        error = -0.5 * z * z + (log_ratio(m, scaled * 2.5066282746310002) + shift)  # log N(-z) - log p
        bend = r - z
        z = z + _householder(error * m, bend, bend * bend + r * bend - 1)
    return z


def _central_quantile(offset: jax.Array) -> jax.Array:
    """The z >= 0 with N(z) - 1/2 = offset, for offset <= 1/4."""
    u = jnp.minimum(offset, 0.25) * 2.5066282746310002
    z = u + u * u * u * (1 / 6 + u * u * (7 / 120))
    for _ in range(2):
        # N(z) - 1/2 = n(z) [M(-z) - M(z)] / 2
        slope = mills_ratio_and_slope(-z, 2 * z)[1]
        z = z + _householder(u / exp_minus_half_square(z) - z * slope, -z, z * z - 1)
    return z


def _householder(newton: jax.Array, second: jax.Array, third: jax.Array) -> jax.Array:
    """Householder's step of third order from Newton's step and the ratios of f's second and third derivative to its first.

    Source: A. S. Householder, "The Numerical Treatment of a Single Nonlinear Equation" (1970), section 4.4.
    """
    return newton * (1 + 0.5 * second * newton) / (1 + newton * (second + newton * third / 6))


def _far(x: jax.Array) -> float:
    """A z beyond which every tail is zero, small enough for its square to be finite."""
    return 1e100 if x.dtype == np.float64 else 1e15


def _times(density: jax.Array, dx: jax.Array) -> jax.Array:
    """density * dx, zero where the density is, also where dx is infinite."""
    return jnp.where(density == 0, jnp.zeros_like(density), density * dx)
