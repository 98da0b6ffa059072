"""The Mills ratio and its differences against mpmath, at all widths down to zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from gpujax.numerics import mills

both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])

# Bounds on relative errors that the docstrings state.
RATIO = {"float64": 2e-15, "float32": 1.5e-6}
SLOPE = {"float64": 5e-15, "float32": 1.5e-6}
# A difference of two rounded values at a width of 1e-14 needs this many digits to be exact to fifty.
DIGITS = 80


def ratio(z):
    """M(z); the asymptotic series where mpmath's tail would underflow."""
    if z > 1e4:
        return (1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8 - 945 / z**10 + 10395 / z**12 - 135135 / z**14) / z
    return mp.ncdf(-z) / mp.npdf(z)


def slope(z, width):
    return 1 - z * ratio(z) if width == 0 else (ratio(z) - ratio(z + width)) / width


def points(dtype):
    """Arguments from -1, where the approximation begins, and widths from zero to beyond any option."""
    draw = np.random.default_rng(0)
    z = np.concatenate([draw.uniform(-1, 12, 250), np.geomspace(10, 1e3, 50), [-1.0, 0.0]])
    width = np.concatenate([10 ** draw.uniform(-14, 1.5, 200), np.zeros(102)])
    draw.shuffle(width)
    return z.astype(dtype), width.astype(dtype)


@both_dtypes
def test_ratio(dtype, exact):
    far = 1e100 if dtype == "float64" else 1e15
    z = np.concatenate([np.linspace(-1, 12, 400), np.geomspace(12, far, 100)]).astype(dtype)
    got, slopes = jax.jit(lambda z: (mills.mills_ratio(z), jax.vmap(jax.grad(mills.mills_ratio))(z)))(z)
    assert got.dtype == dtype
    error = exact.relative(got, exact.each(ratio, z))
    assert error.max() <= RATIO[dtype], f"{error.max()} at {z[error.argmax()]!r}"
    error = exact.relative(slopes[z < 1e4], exact.each(lambda z: z * ratio(z) - 1, z[z < 1e4], digits=DIGITS))
    assert error.max() <= SLOPE[dtype], f"slope: {error.max()} at {z[error.argmax()]!r}"


@both_dtypes
def test_ratio_and_slope(dtype, exact):
    z, width = points(dtype)
    got, slopes = jax.jit(mills.mills_ratio_and_slope)(z, width)
    assert exact.relative(got, exact.each(ratio, z)).max() <= RATIO[dtype]
    # The far end is rounded before the function sees it; that is what the width is out by.
    error = exact.relative(slopes, exact.each(slope, z, width, digits=DIGITS))
    assert error.max() <= SLOPE[dtype], f"{error.max()} at {z[error.argmax()]!r}, {width[error.argmax()]!r}"


@both_dtypes
def test_difference(dtype, exact):
    """Arguments in units of a third number, and a width known better than the difference of the arguments."""
    z, width = points(dtype)
    keep = width > 0
    z, width = z[keep], width[keep]
    unit = np.geomspace(1e-8, 1e3, z.size).astype(dtype)
    near = (z * unit).astype(dtype)
    got, differences = jax.jit(mills.mills_difference)(near, near + width * unit, width * unit, unit)

    def difference(near, unit, width):
        # the width that was passed, about the argument that was passed
        return ratio(near / unit) - ratio(near / unit + width / unit)

    error = exact.relative(differences, exact.each(difference, near, unit, width * unit, digits=DIGITS))
    assert error.max() <= 2 * SLOPE[dtype], f"{error.max()} at {z[error.argmax()]!r}, {width[error.argmax()]!r}"
    error = exact.relative(got, exact.each(lambda n, u: ratio(n / u), near, unit))
    assert error.max() <= 2 * RATIO[dtype]


@both_dtypes
def test_slopes_of_the_slope(dtype, exact):
    """By the argument and by the width; they lose z² units in the last place, at no width more than that."""
    z, width = points(dtype)
    z, width = z[z < 100], width[z < 100]
    far = {"float64": 1e-9, "float32": 3e-4}[
        dtype
    ]  # what two terms of a series leave at the widths where they take over

    @jax.jit
    def gradients(z, width):
        by_both = jax.grad(lambda z, width: mills.mills_ratio_and_slope(z, width)[1], argnums=(0, 1))
        return jax.vmap(by_both)(z, width)

    by_z, by_width = gradients(z, width)

    def exact_by_z(z, width):
        if width == 0:
            return z * slope(z, mp.mpf(0)) - ratio(z)
        return z * slope(z, width) - ratio(z + width)

    def exact_by_width(z, width):
        if width == 0:
            return exact_by_z(z, width) / 2
        return (slope(z + width, mp.mpf(0)) - slope(z, width)) / width

    lost = float(np.finfo(dtype).eps) * (20 + 8 * z * (z + width))
    error = exact.relative(by_z, exact.each(exact_by_z, z, width, digits=DIGITS)) / lost
    assert error.max() <= 1, f"by z: {error.max()} at {z[error.argmax()]!r}, {width[error.argmax()]!r}"
    error = exact.relative(by_width, exact.each(exact_by_width, z, width, digits=DIGITS))
    allowed = far + lost
    assert np.all(error <= allowed), f"by width: {(error / allowed).max()}"


def test_ratio_falls():
    z = np.linspace(mills.Z_MIN, 60, 20001)
    m = np.asarray(mills.mills_ratio(jnp.asarray(z)))
    assert np.all(np.diff(m) < 0)
    # Birnbaum (1942) and Sampford (1953): 2 / (z + √(z² + 4)) < M(z) < 4 / (3 z + √(z² + 8))
    assert np.all(m > 2 / (z + np.sqrt(z * z + 4)))
    z, m = z[z > -0.99], m[z > -0.99]  # where the bound is finite
    assert np.all(m < 4 / (3 * z + np.sqrt(z * z + 8)))
