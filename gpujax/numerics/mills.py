r"""The Mills ratio of the normal distribution, and differences of it: what option prices are made of.

$$ M(z) = \frac{1 - N(z)}{n(z)}, \qquad M'(z) = z M(z) - 1 $$

Out-of-the-money option values are n(z) times a *difference* of two Mills ratios whose arguments are the total volatility
apart, and the difference of two computed values loses digits in proportion as that volatility is small. Here the difference
is computed as a divided difference of the approximating polynomial itself, which subtracts nothing: its relative error is
4e-15 down to a volatility of zero, where it becomes the derivative.

The approximation is M(z) = u R(u) with u = C / (C + z), R a polynomial (`scripts/fit_mills_ratio.py`), after the form that
Shepherd and Laframboise (1981, Mathematics of Computation 36, 249-253) gave erfcx.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.polynomial import divided_difference, evaluate

__all__ = ["Z_MIN", "mills_difference", "mills_ratio", "mills_ratio_and_slope"]

_C = 5.0
Z_MIN = -1.0  # below it the polynomial does not hold
_U_TO_X = 2 * (_C + Z_MIN) / _C  # maps u in (0, u_max] onto x in (-1, 1]


@jax.custom_jvp
def mills_ratio(z: jax.Array) -> jax.Array:
    """M(z) for z >= Z_MIN; relative error below 2e-15 in float64, 1.5e-6 in float32."""
    u = _C / (_C + z)
    return u * evaluate(_COEFFICIENTS[z.dtype.name], _U_TO_X * u - 1)


@mills_ratio.defjvp
def _mills_ratio_jvp(primals, tangents):
    (z,), (dz,) = primals, tangents
    m, slope = mills_ratio_and_slope(z, jnp.zeros_like(z))
    return m, -slope * dz


@jax.custom_jvp
def mills_ratio_and_slope(z: jax.Array, width: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(M(z), [M(z) - M(z + width)] / width) for z >= Z_MIN and width >= 0; at width 0 the slope is -M'(z) = 1 - z M(z).

    Relative error of both below 5e-15 in float64, 1.5e-6 in float32; that of the slope's own derivatives grows like z² eps.
    """
    one = jnp.ones_like(z)
    return mills_difference(z, z + width, one, one)


@mills_ratio_and_slope.defjvp
def _mills_ratio_and_slope_jvp(primals, tangents):
    (z, width), (dz, dwidth) = primals, tangents
    m, slope = mills_ratio_and_slope(z, width)
    zero = jnp.zeros_like(z)
    near, far = mills_ratio_and_slope(z, zero)[1], mills_ratio_and_slope(z + width, zero)[1]
    # M' = z M - 1 at both ends turns the difference of the slopes into one that does not depend on the width being large.
    by_z = z * slope - (m - width * slope)
    # Two terms of the series where far - slope would cancel: -M''/2 - width M'''/3
    bend = z * near - m
    short = width < 3 * np.finfo(width.dtype).eps ** (1 / 3)
    series = 0.5 * bend + width * ((z * bend + 2 * near) / 3)
    by_width = jnp.where(short, series, (far - slope) / jnp.where(short, jnp.ones_like(width), width))
    return (m, slope), (-near * dz, by_z * dz + by_width * dwidth)


def mills_difference(z: jax.Array, far: jax.Array, width: jax.Array, unit: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(M(z / unit), M(z / unit) - M(far / unit)) for a width = far - z that is known more accurately than their difference.

    Arguments given in units of `unit` > 0 save their division: with C' = C unit, u(z) = C' / (C' + z). A width that is not
    far - z scales the difference: 1 gives the slope in units of `unit`.
    """
    # u(z) - u(far) = C' width / ((C' + z) (C' + far)): one division serves both and nothing is subtracted.
    scale = _C * unit
    left, right = scale + z, scale + far
    inverse = scale * (1 / (left * right))
    u, u_far = inverse * right, inverse * left
    x_far = _U_TO_X * u_far
    value, quotient = divided_difference(_COEFFICIENTS[z.dtype.name], _U_TO_X * u - 1, x_far - 1)
    return u * value, (width * inverse) * (value + x_far * quotient)


_COEFFICIENTS = {
    "float64": (
        -5.595122151927857e-09, 7.563668053725494e-09, 5.218406923217177e-08, -9.020425033286568e-08,
        -2.4658216143369583e-07, 6.035567492221465e-07, 8.152878662820819e-07, -3.18786930382634e-06,
        -2.279269535975834e-06, 1.563592258270015e-05, 7.611957240803375e-06, -7.773918163918793e-05,
        -5.1405732793579824e-05, 0.00039715533996007523, 0.0005575109436238708, -0.0017958034168958138,
        -0.006087306030591959, 0.0003230475144125483, 0.04570457839476365, 0.15798830515220158,
        0.33323456274298385, 0.5175847387081237, 0.6301123584449698, 0.6163880515958691, 0.4873444779361653,
    ),
    "float32": (
        -3.497209429532932e-05, 0.00022077472002313047, 0.0005384036503801893, -0.0016024389915689136,
        -0.0060752690422461175, 0.00021441037142121223, 0.04570054957527434, 0.1580187801497928,
        0.33323521544566326, 0.5175810257033076, 0.6301123184371712, 0.6163881818274894, 0.487344478338678,
    ),
}  # fmt: skip
_COEFFICIENTS = {name: tuple(np.dtype(name).type(c) for c in row) for name, row in _COEFFICIENTS.items()}
