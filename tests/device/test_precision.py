"""The precision policy: what is cast, what is not, and what is said aloud."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.device import DeviceConfig
from gpujax.device.precision import compute_dtype, with_precision

DOUBLE = DeviceConfig()
SINGLE = DeviceConfig(pricing_dtype="float32", accumulation_dtype="float32")


class Several(NamedTuple):
    value: object
    count: object
    flag: object
    missing: object = None


def several(x, *, flag, count):
    """What arrives, and results of every kind."""
    several.seen = {"x": x.dtype, "flag": jnp.result_type(flag), "count": jnp.result_type(count)}
    return Several(x / 3, count, flag)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize(
    ("config", "given", "inside"),
    [
        (SINGLE, np.float64, np.float32),
        (DOUBLE, np.float32, np.float64),
        (DOUBLE, np.float16, np.float64),
        (SINGLE, jnp.bfloat16, np.float32),
        (SINGLE, np.float32, np.float32),
        (DOUBLE, np.float64, np.float64),
    ],
)
def test_computes_in_the_policys_dtype_and_gives_back_the_inputs(config, given, inside, jitted):
    function = with_precision(several, config)
    result = (jax.jit(function) if jitted else function)(
        jnp.ones(2, given), flag=np.array([True, False]), count=np.arange(2, dtype=np.int32)
    )
    assert several.seen == {"x": inside, "flag": np.bool_, "count": np.int32}
    assert (result.value.dtype, result.count.dtype, result.flag.dtype) == (given, np.int32, np.bool_)
    assert result.missing is None
    expected = (jnp.ones(2, inside) / 3).astype(given)
    np.testing.assert_array_equal(np.asarray(result.value), np.asarray(expected))


def test_results_have_the_widest_dtype_given():
    result = with_precision(lambda a, b: a + b, SINGLE)(np.ones(1, np.float32), np.ones(1))
    assert result.dtype == np.float64


def test_python_numbers_follow_the_arrays():
    function = with_precision(lambda x, rate: jnp.exp(-rate * x), SINGLE)
    assert function(np.ones(1, np.float16), 0.5).dtype == np.float16
    assert jax.jit(function)(jnp.ones(1, jnp.float64), 0.5).dtype == np.float64


def test_float32_policy_loses_digits_and_says_so_in_the_configuration():
    x = np.array([1.0 + 1e-10])
    assert with_precision(lambda x: x - 1, SINGLE)(x)[0] == 0.0
    assert with_precision(lambda x: x - 1, DOUBLE)(x)[0] == pytest.approx(1e-10, rel=1e-5)
    assert SINGLE.why["pricing_dtype"]


def test_gradients_pass_through_the_casts():
    function = with_precision(lambda x: jnp.sum(x**3), SINGLE)
    gradient = jax.grad(function)(jnp.array([2.0, 3.0], jnp.float64))
    assert gradient.dtype == np.float64
    np.testing.assert_allclose(gradient, [12.0, 27.0], rtol=1e-6)


def test_matrix_products_have_the_configured_precision():
    def product(config):
        return str(jax.make_jaxpr(with_precision(lambda a: a @ a, config))(np.ones((2, 2))))

    assert "HIGHEST" in product(DOUBLE)
    assert "HIGHEST" not in product(DOUBLE.replace(matmul_precision="default"))


def test_compute_dtype_follows_64_bit_mode():
    assert compute_dtype(DOUBLE) == np.float64
    assert compute_dtype(SINGLE) == np.float32
    with jax.enable_x64(False):
        assert compute_dtype(DOUBLE) == np.float32
