"""`computed_once` changes nothing but where XLA keeps a value."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.numerics.polynomial import evaluate
from gpujax.numerics.staging import computed_once

VALUES = np.array([-np.inf, -3.5, -1e-300, -0.0, 0.0, 1e-300, 0.1, 1.0, 7.25, 1e300, np.inf, np.nan])


def bits(x):
    x = np.asarray(x)
    return x.view(f"u{x.dtype.itemsize}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(0,), (), (1,), (12,), (3, 4), (2, 0)])
def test_identity(shape, dtype):
    with np.errstate(over="ignore", under="ignore"):
        x = np.resize(VALUES.astype(dtype), shape)
    for call in (computed_once, jax.jit(computed_once)):
        got = call(jnp.asarray(x))
        assert got.shape == shape
        assert got.dtype == dtype
        # bit for bit: signs of zeros, infinities, NaN
        np.testing.assert_array_equal(bits(got), bits(x))


def test_mapped_and_differentiated():
    x = jnp.asarray(VALUES[1:-2])

    def cube(x):
        once = computed_once(x * x)
        return once * x

    np.testing.assert_array_equal(jax.jit(jax.vmap(computed_once))(x.reshape(3, 3)), x.reshape(3, 3))
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(computed_once(x)))(x), 1)
    np.testing.assert_array_equal(jax.jvp(computed_once, (x,), (2 * x,))[1], 2 * x)
    small = x[jnp.abs(x) < 10]
    np.testing.assert_allclose(jax.vmap(jax.grad(cube))(small), 3 * small**2, rtol=1e-15)
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(cube)))(small), 6 * small, rtol=1e-15)
    np.testing.assert_allclose(jax.jit(jax.grad(lambda x: jnp.sum(cube(x))))(small), 3 * small**2, rtol=1e-15)


def test_the_work_is_not_repeated():
    """Two results that share a polynomial: XLA's CPU backend evaluates it for each, unless it is staged."""
    coefficients = tuple(np.random.default_rng(0).normal(size=25))

    def multiplications(keep):
        def two(x):
            shared = keep(evaluate(coefficients, x))
            return shared * x, shared + x

        compiled = jax.jit(two).lower(jnp.ones(1000)).compile().as_text()
        return len(re.findall(r" multiply\(", compiled))

    repeated, staged = multiplications(lambda x: x), multiplications(computed_once)
    assert repeated >= 40
    assert staged <= 0.6 * repeated
