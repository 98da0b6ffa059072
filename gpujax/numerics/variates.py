r"""Random variates with a law other than the uniform and the normal, as pure functions of uniform and normal numbers.

Nothing here takes a key: a simulation hands over the numbers that belong to a path, a fixed count of them for each variate, so
that a path stays the same however paths are cut into blocks. Everything works entry by entry, maps and differentiates.

Derivatives by the parameters are implicit: they move a variate along its distribution function F with density f,

$$ \frac{\partial x}{\partial a} = -\frac{\partial F(x; a) / \partial a}{f(x; a)} , $$

so that the mean of φ'(x) ∂x/∂a is the derivative of the mean of φ(x), although the methods accept, reject and choose. Counts have
none: the derivative of `poisson` is zero.

Source of the derivatives: M. Figurnov, S. Mohamed, A. Mnih, "Implicit Reparameterization Gradients", Advances in Neural
Information Processing Systems 31 (2018), equation 6. Those of the methods stand where they are used.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError
from gpujax.numerics.elementary import log_ratio
from gpujax.numerics.gamma_variates import GAMMA_NORMALS, GAMMA_UNIFORMS, gamma, loggamma
from gpujax.numerics.mills import mills_ratio
from gpujax.numerics.normal import quantile

__all__ = [
    "GAMMA_NORMALS",
    "GAMMA_UNIFORMS",
    "NONCENTRAL_NORMALS",
    "NONCENTRAL_UNIFORMS",
    "gamma",
    "inverse_gaussian",
    "loggamma",
    "noncentral_chi_square",
    "poisson",
]

# How many numbers a variate takes.
NONCENTRAL_NORMALS = 1 + GAMMA_NORMALS
NONCENTRAL_UNIFORMS = 1 + GAMMA_UNIFORMS

# The mean from which `poisson` uses the expansion of its quantile.
_LARGE_MEAN = 1000.0
# Terms of a Poisson distribution that one turn of the loop adds; the loop's own cost is then small.
_UNROLLED = 4


def poisson(mean: Any, uniform: jax.Array) -> jax.Array:
    """A Poisson variate by inversion: the smallest n with P(N <= n) >= u, so it does not decrease in u.

    Up to a mean of 1,000 the probabilities are added up until every entry has found its n, from so far below the mean that what
    is left out is less than a unit in the last place; above it n is the floor of the expansion of the quantile in powers of
    mean^(-1/2), which errs in fewer than one draw in a million.

    Arguments:
        mean: >= 0, a number or `[...]`. One number for all entries is cheapest: the probabilities are then computed once.
        uniform: in (0, 1), `[...]`, float32 or float64.

    Returns: n as floating-point numbers of the dtype of `uniform`; NaN for a mean that is negative, infinite or NaN. In float32
        the distribution function is right to 2e-5 up to a mean of a million.

    The derivative by the mean is zero: what a pathwise derivative sees of an intensity misses the change of the number of jumps.

    >>> poisson(2.5, jnp.array([0.01, 0.5, 0.99]))
    Array([0., 2., 7.], dtype=float64)

    Source of the expansion: M. B. Giles, "Algorithm 955: Approximation of the Inverse Poisson Cumulative Distribution Function",
    ACM Transactions on Mathematical Software 42(1) (2016), article 7, section 2.2 (the normal asymptotic expansion).
    """
    dtype = uniform.dtype
    u = lax.stop_gradient(uniform)
    mean = lax.stop_gradient(jnp.asarray(mean, dtype))
    walked = jnp.clip(mean, 0, _LARGE_MEAN)
    first, log_term = _far_left(walked)
    term = jnp.exp(log_term)
    count = first + (u > term).astype(dtype)

    def unfinished(loop):
        k, term, total, _ = loop
        # Entries that are above a sum that has stopped growing, by rounding, have arrived.
        return jnp.any((u > total) & ((total + term > total) | (k < first)))

    def add(loop):
        # k is one number for all entries: each joins in at its own first term.
        k, term, total, count = loop
        for _ in range(_UNROLLED):
            k = k + 1
            begun = k > first
            term = jnp.where(begun, term * (walked * (1 / k)), term)
            after = jnp.where(begun, total + term, total)
            count = jnp.where((u > after) & (after > total), k + 1, count)
            total = after
        return k, term, total, count

    # One turn before the loop, which is all that small means take, shares its fused code with what surrounds it.
    count = lax.while_loop(unfinished, add, add((jnp.min(first), term, term, count)))[-1]
    large = mean > _LARGE_MEAN
    count = lax.cond(
        jnp.any(large), lambda: jnp.where(large, _large_quantile(jnp.maximum(mean, 1), u), count), lambda: count
    )
    return jnp.where((mean >= 0) & (mean < np.inf), count, jnp.full_like(u, np.nan))


def inverse_gaussian(mean: Any, shape: Any, normal: jax.Array, uniform: jax.Array) -> jax.Array:
    r"""An inverse Gaussian variate: the time at which a Brownian motion with drift 1 / mean and variance 1 / shape passes one.

    Its density is √(shape / (2π x³)) exp(-shape (x - mean)² / (2 mean² x)), its variance mean³ / shape.

    Arguments:
        mean, shape: > 0, numbers or `[...]`.
        normal: standard normal, `[...]`.
        uniform: in (0, 1), `[...]`.

    Returns: `[...]`, > 0.

    Derivatives by the mean and the shape: implicit, in closed form by the Mills ratio.

    >>> inverse_gaussian(2.0, 3.0, jnp.array([1.0, 1.0]), jnp.array([0.5, 0.9]))
    Array([0.90283246, 4.43050087], dtype=float64)

    Source: J. R. Michael, W. R. Schucany, R. W. Haas, "Generating Random Variates Using Transformations with Multiple Roots", The
    American Statistician 30(2) (1976), 88-90.
    """
    spread = functools.partial(_spread, normal)
    return _inverse_gaussian(spread(mean), spread(shape), normal, uniform)


def noncentral_chi_square(
    degrees: Any, noncentrality: Any, normals: tuple[jax.Array, ...], uniforms: tuple[jax.Array, ...]
) -> jax.Array:
    r"""A noncentral chi-square variate: exact steps of square-root processes are multiples of one.

    Above one degree of freedom (Z + √λ)² plus a chi-square variate of one degree fewer; else a chi-square variate of
    degrees + 2 N degrees, N Poisson with mean λ/2.

    Arguments:
        degrees: >= 0, a number or `[...]`; zero gives zero with probability exp(-λ/2).
        noncentrality: λ >= 0, a number or `[...]`.
        normals: NONCENTRAL_NORMALS standard normal numbers, each `[...]`.
        uniforms: NONCENTRAL_UNIFORMS numbers in (0, 1), each `[...]`.

    Returns: `[...]`, >= 0; NaN for parameters that are negative or NaN.

    Derivative by λ: implicit, the quotient of the densities with degrees + 2 and degrees degrees; so it is right where N jumps,
    and finite at λ = 0. Derivative by the degrees: that of the central part, N and Z kept.

    Raises: InputError for a wrong number of numbers.

    >>> z, u = jnp.zeros(1), jnp.full(1, 0.5)
    >>> noncentral_chi_square(0.4, 3.0, (z,) * NONCENTRAL_NORMALS, (u,) * NONCENTRAL_UNIFORMS)
    Array([1.73333333], dtype=float64)

    Source: P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 3.4.
    """
    if len(normals) != NONCENTRAL_NORMALS or len(uniforms) != NONCENTRAL_UNIFORMS:
        raise InputError(
            f"normals, uniforms: {len(normals)} and {len(uniforms)} of them; expected {NONCENTRAL_NORMALS} and "
            f"{NONCENTRAL_UNIFORMS}"
        )
    spread = functools.partial(_spread, normals[0])
    return _noncentral(spread(degrees), spread(noncentrality), tuple(normals), tuple(uniforms))


def _far_left(mean: jax.Array) -> tuple[jax.Array, jax.Array]:
    """An n below which the Poisson distribution has next to no mass, and the logarithm of its probability."""
    # Chernoff: P(N <= mean - d sqrt(mean)) <= exp(-d²/2), 3e-18 and 2e-11.
    deviations = 9.0 if mean.dtype == np.float64 else 7.0
    left = jnp.floor(mean - deviations * jnp.sqrt(mean))
    usable = left >= 8
    k = jnp.maximum(left, 8)
    # log(e^-μ μ^k / k!) by Stirling's series and the deviance, whose two parts do not cancel (after Loader 2000).
    v = (mean - k) / (mean + k)
    deviance = (mean - k) * v - k * (log_ratio(mean, k) - 2 * v)
    square = 1 / (k * k)
    stirling = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / k
    log_term = -deviance - stirling - 0.5 * jnp.log(2 * math.pi * k)
    return jnp.where(usable, left, jnp.zeros_like(left)), jnp.where(usable, log_term, -mean)


def _large_quantile(mean: jax.Array, u: jax.Array) -> jax.Array:
    w = quantile(u)
    s, root = w * w, jnp.sqrt(mean)
    x = mean + (root * w + (1 / 3 + s / 6) - w * (1 / 36 + s / 72) / root + (s * (7 / 810 + s / 270) - 8 / 405) / mean)
    return jnp.floor(x)


@jax.custom_jvp
def _inverse_gaussian(mean: jax.Array, shape: jax.Array, normal: jax.Array, uniform: jax.Array) -> jax.Array:
    # The two x with shape (x - mean)² / (mean² x) = z² have the product mean², so that neither needs a subtraction.
    scale = mean / (2 * shape)
    w = scale * normal * normal
    ratio = 1 + w + jnp.abs(normal) * jnp.sqrt(scale * (2 + w))
    return jnp.where(uniform * (1 + ratio) <= ratio, mean / ratio, mean * ratio)


@_inverse_gaussian.defjvp
def _inverse_gaussian_jvp(primals, tangents):
    mean, shape, _, _ = primals
    x = _inverse_gaussian(*primals)
    # F = N(a) + e^(2 shape / mean) N(-b), b = √(shape / x) (x / mean + 1), where e^(2 shape / mean) n(b) = n(a).
    root = jnp.sqrt(shape / x)
    y = x / mean
    by_mean = 2 * root * y * y * mills_ratio(root * (y + 1))
    by_shape = (x - mean * by_mean) / shape
    return x, by_mean * tangents[0] + by_shape * tangents[1]


def _noncentral_value(degrees, noncentrality, normals, uniforms):
    above = degrees > 1
    zero, one = jnp.zeros_like(degrees), jnp.ones_like(degrees)
    count = poisson(jnp.where(above, zero, 0.5 * noncentrality), uniforms[0])
    shape = jnp.where(above, 0.5 * (degrees - 1), 0.5 * degrees + count)
    atom = shape == 0
    central = jnp.where(atom, zero, 2 * gamma(jnp.where(atom, one, shape), normals[1:], uniforms[1:]))
    shifted = normals[0] + jnp.sqrt(noncentrality)
    value = jnp.where(above, shifted * shifted + central, central)
    return jnp.where((degrees >= 0) & (noncentrality >= 0), value, jnp.full_like(value, np.nan))


_noncentral = jax.custom_jvp(_noncentral_value)


@_noncentral.defjvp
def _noncentral_jvp(primals, tangents):
    degrees, noncentrality, normals, uniforms = primals
    x = _noncentral(*primals)
    still = lax.stop_gradient(noncentrality)
    by_degrees = jax.jvp(
        lambda degrees: _noncentral_value(degrees, still, normals, uniforms), (degrees,), (tangents[0],)
    )[1]
    return x, by_degrees + _density_quotient(degrees, noncentrality, x) * tangents[1]


def _density_quotient(degrees: jax.Array, noncentrality: jax.Array, x: jax.Array) -> jax.Array:
    """f(x; degrees + 2) / f(x; degrees) = √(x/λ) I(d/2; √(λx)) / I(d/2 - 1; √(λx)), to 1e-8.

    By the continued fraction of the Bessel functions (Gauss), started from their expansion at high order, which is uniform in the
    argument: F. W. J. Olver (1954), here for z I'(p; z) / I(p; z) in powers of 1 / √(p² + z²), from Riccati's equation.
    """
    product = noncentrality * x
    order = 0.5 * degrees + _LEVELS
    root = jnp.sqrt(order * order + product)
    inverse = 1 / root
    q = (order * inverse) ** 2
    c = order + root - (1 - q) * (0.5 - inverse * ((5 * q - 1) - inverse * (1 - q * (12 - 15 * q))) / 8)
    for level in reversed(range(_LEVELS)):
        c = degrees + 2 * level + product / c
    # Zero degrees and λ: x is zero, and stays.
    usable = c > 0
    return jnp.where(usable, x / jnp.where(usable, c, jnp.ones_like(c)), jnp.zeros_like(c))


_LEVELS = 10


def _spread(like: jax.Array, x: Any) -> jax.Array:
    return jnp.broadcast_to(jnp.asarray(x, like.dtype), like.shape)
