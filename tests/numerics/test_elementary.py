"""Logarithm of a ratio, exponential and Gaussian against mpmath, in units of the last place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from gpujax.numerics import elementary

both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])

# Half of the decimal exponents that the dtype has.
DECADES = {"float64": 150.0, "float32": 18.0}
# Arguments between which the exponential neither underflows nor overflows.
EXPONENTS = {"float64": (-708.39, 709.42), "float32": (-87.33, 88.36)}
# The same for e^(-z²/2) and e^(z²).
SQUARES = {"float64": (37.6, 26.6), "float32": (13.2, 9.39)}
# What log_ratio takes for the ratio of a number to zero, and the reverse.
SATURATION = {"float64": 1e307, "float32": 1e37}


def gradient(function, *arguments, by=0):
    return jax.vmap(jax.grad(function, argnums=by))(*map(jnp.asarray, arguments))


@both_dtypes
def test_log_ratio(dtype, exact):
    draw = np.random.default_rng(0)
    decades = DECADES[dtype]
    near = 1 + draw.normal(size=200) * 10 ** draw.uniform(np.log10(np.finfo(dtype).eps), -1, 200)
    level = 10 ** draw.uniform(-3, 3, 200)
    powers = 2.0 ** np.arange(-20, 21)
    # The edges between one power of two and the next, where the reduction of the argument changes.
    edges = np.concatenate([powers * np.sqrt(2) * (1 + d) for d in (-1e-3, 0, 1e-3)])
    a = [near * level, 10 ** draw.uniform(-3, 3, 200), 10 ** draw.uniform(-decades, decades, 200), powers, edges]
    b = [level, 10 ** draw.uniform(-3, 3, 200), 10 ** draw.uniform(-decades, decades, 200), *map(np.ones_like, a[3:])]
    a, b = np.concatenate(a).astype(dtype), np.concatenate(b).astype(dtype)
    got = jax.jit(elementary.log_ratio)(a, b)
    assert got.dtype == dtype
    error = exact.units(got, exact.each(lambda a, b: mp.log(a) - mp.log(b), a, b))
    assert error.max() <= 2, f"{error.max()} units at {a[error.argmax()]!r}, {b[error.argmax()]!r}"


@both_dtypes
def test_log_ratio_of_neighbours(dtype, exact):
    """One unit apart: nothing cancels, at any scale; and equal numbers give zero."""
    b = np.geomspace(10 ** -DECADES[dtype], 10 ** DECADES[dtype], 200).astype(dtype)
    for a in (np.nextafter(b, 0 * b), np.nextafter(b, 2 * b)):
        got = elementary.log_ratio(jnp.asarray(a), jnp.asarray(b))
        assert exact.units(got, exact.each(lambda a, b: mp.log(a / b), a, b)).max() <= 2
    np.testing.assert_array_equal(elementary.log_ratio(jnp.asarray(b), jnp.asarray(b)), 0)


@both_dtypes
def test_log_ratio_is_antisymmetric(dtype):
    draw = np.random.default_rng(1)
    a, b = (jnp.asarray(10 ** draw.uniform(-3, 3, 500), dtype) for _ in range(2))
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(elementary.log_ratio(a, b), -elementary.log_ratio(b, a), rtol=2 * eps, atol=eps)


@both_dtypes
def test_log_ratio_saturates(dtype):
    """Zero over a number and a number over zero are the logarithm of the largest ratio, and the slopes stay finite."""
    limit = np.log(SATURATION[dtype])
    zero, one = np.zeros(1, dtype), np.ones(1, dtype)
    smallest = np.full(1, np.finfo(dtype).tiny)
    np.testing.assert_allclose(elementary.log_ratio(zero, one), -limit, rtol=1e-6)
    np.testing.assert_allclose(elementary.log_ratio(smallest, one), -limit, rtol=1e-6)
    # zero below the line is replaced by the smallest ratio of what stands above it
    assert limit * 0.999 <= float(elementary.log_ratio(one, zero)[0]) <= 1.001 * np.log(1 / float(smallest[0]))
    pairs = [(zero, one), (one, zero), (zero, zero), (one, one)]
    a, b = (np.concatenate(column) for column in zip(*pairs, strict=True))
    for by in (0, 1):
        assert np.all(np.isfinite(gradient(elementary.log_ratio, a, b, by=by)))
    # what the slope at zero is for: a zero tangent stays zero
    _, tangent = jax.jvp(elementary.log_ratio, (zero, one), (zero, zero))
    assert tangent[0] == 0


@both_dtypes
def test_log_ratio_slope(dtype):
    a, b = (jnp.asarray(x, dtype) for x in ([0.5, 2.0, 1e-3, 90.0], [1.0, 2.0, 7.0, 110.0]))
    np.testing.assert_allclose(gradient(elementary.log_ratio, a, b, by=0), 1 / a, rtol=3e-7)
    np.testing.assert_allclose(gradient(elementary.log_ratio, a, b, by=1), -1 / b, rtol=3e-7)


@both_dtypes
def test_exponential(dtype, exact):
    lowest, highest = EXPONENTS[dtype]
    draw = np.random.default_rng(2)
    x = np.concatenate([
        np.linspace(lowest, highest, 500), draw.uniform(-1, 1, 200), [0.0, -0.0],
        10.0 ** np.arange(-20, 0), np.log(2) * (np.arange(-20, 20) + 0.5),
    ]).astype(dtype)  # fmt: skip
    got = jax.jit(elementary.exponential)(x)
    assert got.dtype == dtype
    error = exact.units(got, exact.each(mp.exp, x))
    assert error.max() <= 1, f"{error.max()} units at {x[error.argmax()]!r}"
    np.testing.assert_allclose(gradient(elementary.exponential, x), got, rtol=2 * float(np.finfo(dtype).eps))


@both_dtypes
def test_exponential_at_the_ends(dtype):
    lowest, highest = EXPONENTS[dtype]
    x = np.array([-np.inf, -1e30, 1.01 * lowest, 0.0, 1.01 * highest, 1e30, np.inf, np.nan], dtype)
    expected = np.array([0, 0, 0, 1, np.inf, np.inf, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(elementary.exponential(jnp.asarray(x)), expected)
    # zero is only given below the smallest normal number, infinity only in the last half of the last power of two
    assert float(elementary.exponential(jnp.asarray(lowest, dtype))) < 1.1 * np.finfo(dtype).tiny
    assert float(elementary.exponential(jnp.asarray(highest, dtype))) > 0.69 * np.finfo(dtype).max


@both_dtypes
@pytest.mark.parametrize(
    ("name", "exponent"), [("exp_minus_half_square", lambda z: -z * z / 2), ("exp_square", lambda z: z * z)]
)
def test_squares(name, exponent, dtype, exact):
    farthest = SQUARES[dtype][name == "exp_square"]
    z = np.concatenate([np.linspace(-farthest, farthest, 801), np.geomspace(1e-10, 1, 20)]).astype(dtype)
    got = jax.jit(getattr(elementary, name))(z)
    error = exact.units(got, exact.each(lambda z: mp.exp(exponent(z)), z))
    assert error.max() <= 1.3, f"{error.max()} units at {z[error.argmax()]!r}"


@both_dtypes
def test_squares_at_the_ends(dtype):
    z = np.array([-np.inf, -1e15, -50.0, 0.0, 50.0, 1e15, np.inf, np.nan], dtype)
    below = np.array([0, 0, 0, 1, 0, 0, 0, np.nan], dtype)
    above = np.array([np.inf, np.inf, np.inf, 1, np.inf, np.inf, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(elementary.exp_minus_half_square(jnp.asarray(z)), below)
    np.testing.assert_array_equal(elementary.exp_square(jnp.asarray(z)), above)
    slopes = gradient(elementary.exp_minus_half_square, z[:-1])
    np.testing.assert_array_equal(slopes, 0)


@both_dtypes
def test_at_least(dtype):
    x = jnp.asarray([-1.0, 0.0, 2.0, np.nan, np.inf, -np.inf], dtype)
    got = elementary.at_least(x, 0.5)
    np.testing.assert_array_equal(got, np.array([0.5, 0.5, 2.0, 0.5, np.inf, 0.5], dtype))
    assert got.dtype == dtype


def test_shared_is_the_identity_for_what_it_is_given():
    x = jnp.array([0.0, 1e-300, 3.0, np.inf])
    np.testing.assert_array_equal(elementary.shared(x), x)
    np.testing.assert_array_equal(gradient(elementary.shared, x[1:]), 1)
