"""Gamma variates, and their logarithms, from given normal and uniform numbers; derivatives by the shape.

Source: G. Marsaglia, W. W. Tsang, "A Simple Method for Generating Gamma Variables", ACM Transactions on Mathematical Software
26(3) (2000), 363-372. The derivatives are implicit ones, as `variates` says.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma

from gpujax.errors import InputError
from gpujax.numerics.elementary import exponential, log_ratio
from gpujax.numerics.polynomial import evaluate

__all__ = ["GAMMA_NORMALS", "GAMMA_UNIFORMS", "gamma", "loggamma"]

# How many numbers a variate takes, for any shape.
GAMMA_NORMALS = 5
GAMMA_UNIFORMS = 5


def loggamma(shape: Any, normals: tuple[jax.Array, ...], uniforms: tuple[jax.Array, ...]) -> jax.Array:
    r"""The logarithm of a gamma variate: finite where the variate itself would be below the smallest number.

    The method of Marsaglia and Tsang: with d = shape - 1/3 and c = 1 / √(9 d) a normal z proposes d (1 + c z)³. A proposal is
    accepted with probability 0.952 for a shape of 1, more for larger ones. Five proposals are made and the last is taken
    untested, which puts the law within 0.0484⁵ = 3e-7 of the gamma law in total variation. Below a shape of one, G(shape) is
    G(shape + 1) U^(1/shape).

    Arguments:
        shape: > 0, a number or `[...]`.
        normals: standard normal numbers, each `[...]`, one for each proposal; GAMMA_NORMALS of them for the law above.
        uniforms: in (0, 1), each `[...]`: one fewer than `normals` where every shape is at least one, and one more for smaller
            ones: GAMMA_UNIFORMS of them.

    Returns: `[...]`, NaN where the shape is not positive, or below one without the last uniform number.

    Derivative by the shape: implicit; below one that of the two factors, U kept.

    Raises: InputError for a wrong number of uniforms.

    >>> z, u = jnp.zeros(1), jnp.full(1, 0.5)
    >>> loggamma(0.001, (z,) * GAMMA_NORMALS, (u,) * GAMMA_UNIFORMS)
    Array([-693.55114679], dtype=float64)
    """
    tests = len(normals) - 1
    if len(normals) < 2 or len(uniforms) not in (tests, tests + 1):
        raise InputError(
            f"uniforms: {len(uniforms)} with {len(normals)} normals; expected one fewer than normals, or as many (for shapes "
            "below one), and at least two normals"
        )
    z = normals[0]
    shape = jnp.broadcast_to(jnp.asarray(shape, z.dtype), z.shape)
    one = jnp.ones_like(z)
    small = shape < 1
    value = _loggamma_from_one(jnp.where(small, shape + 1, shape), tuple(normals), tuple(uniforms[:tests]))
    valid = shape > 0
    if len(uniforms) > tests:
        power = log_ratio(uniforms[-1], one) / jnp.where(small & valid, shape, one)
        value = value + jnp.where(small, power, jnp.zeros_like(z))
    else:
        valid = valid & ~small
    return jnp.where(valid, value, jnp.full_like(z, np.nan))


def gamma(shape: Any, normals: tuple[jax.Array, ...], uniforms: tuple[jax.Array, ...]) -> jax.Array:
    """A gamma variate of scale one: the exponential of `loggamma`, which see; zero where that underflows.

    >>> z, u = jnp.zeros(1), jnp.full(1, 0.5)
    >>> gamma(2.0, (z,) * GAMMA_NORMALS, (u,) * GAMMA_UNIFORMS)
    Array([1.66666667], dtype=float64)
    """
    return exponential(loggamma(shape, normals, uniforms))


@jax.custom_jvp
def _loggamma_from_one(shape, normals, uniforms):
    """For shapes >= 1, all arrays of one shape."""
    one = jnp.ones_like(shape)
    d = shape - 1 / 3
    c = 1 / jnp.sqrt(9 * d)
    last = 1 + c * normals[-1]
    chosen = jnp.where(last > 0, last, 2 - last)
    for z, u in zip(normals[-2::-1], uniforms[::-1], strict=True):
        x = c * z
        t = 1 + x
        positive = t > 0
        # The logarithm of the probability, z²/2 + d - d t³ + 3 d log t, is -3 d (x - x²/2 + x³/3 - log(1 + x)): the larger terms
        # cancel, here by hand.
        near = jnp.abs(x) < 0.25
        inner = jnp.where(near, x, jnp.zeros_like(x))
        outer = jnp.where(near | ~positive, one, x)
        cubic = outer * (1 - outer * (0.5 - outer / 3))
        square = x * x
        close = square * square * evaluate(_QUARTIC_REST, inner)
        rest = jnp.where(near, close, cubic - log_ratio(1 + outer, one))
        accepted = positive & (u < exponential(-3 * d * rest))
        chosen = jnp.where(accepted, t, chosen)
    return log_ratio(d, one) + 3 * log_ratio(chosen, one)


@_loggamma_from_one.defjvp
def _loggamma_from_one_jvp(primals, tangents):
    value = _loggamma_from_one(*primals)
    return value, _log_slope(primals[0], value) * tangents[0]


def _log_slope(shape: jax.Array, log_x: jax.Array) -> jax.Array:
    """The derivative of log x by the shape a >= 1 along the distribution function, to 3e-7 in float64.

    -∂F/∂a / (x f) = -∫ exp(-a w + x (1 - e^-w)) (log x - w - ψ(a)) dw over w > 0, which is the integral over the density below x
    with t = x e^-w; and likewise above x. On the side where log x - ψ(a) and w have one sign nothing cancels, and the exponential
    is concave, so that a few nodes as far out as it matters give the integral, at a fraction of the cost of
    `lax.random_gamma_grad`.
    """
    x, psi = exponential(log_x), digamma(shape)
    below = log_x < psi
    sign = jnp.where(below, -jnp.ones_like(x), jnp.ones_like(x))
    still_x, still_shape = lax.stop_gradient((x, shape))

    def exponent(s, x, shape):
        return shape * s - x * jnp.expm1(s)

    # Where the exponent is -24: from the root of its first two powers by Newton's steps, which stay on the far side.
    gap = jnp.maximum(sign * (still_x - still_shape), 0)
    square = still_x * jnp.where(below, jnp.full_like(x, 1 / 3), jnp.full_like(x, 0.5))
    end = 2 * _FAR / (gap + jnp.sqrt(gap * gap + 4 * _FAR * square))
    for _ in range(3):
        slope = sign * (still_shape - still_x * jnp.exp(sign * end))
        end = end - (exponent(sign * end, still_x, still_shape) + _FAR) / jnp.minimum(slope, -1e-3)

    # Written out: in a sum over an axis XLA computes all of the above again for every node.
    total = jnp.zeros_like(x)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        s = sign * end * node
        total = total + weight * (exponential(exponent(s, x, shape)) * (log_x + s - psi))
    return sign * end * total


_FAR = 24.0
_NODES, _WEIGHTS = (tuple(a.tolist()) for a in np.polynomial.legendre.leggauss(20))
_NODES, _WEIGHTS = tuple((x + 1) / 2 for x in _NODES), tuple(w / 2 for w in _WEIGHTS)

# 1/4 - x/5 + x²/6 - ..., from the highest power down
_QUARTIC_REST = tuple((-1.0) ** k / (k + 4) for k in range(14))[::-1]
