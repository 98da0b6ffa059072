"""`accelerate`: the same values on any number of devices, whatever is sharded, padded, cut or streamed on the way."""

import doctest
import functools
import gc
import importlib
import inspect
import os
import socket
import subprocess
import sys
import textwrap
import timeit
import weakref
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.device import DeviceConfig, accelerate, batching, memory, planning
from gpujax.device.host_arrays import BLOCK_ELEMENTS
from gpujax.errors import DeviceError, InputError, InputTypeError
from gpujax.pricing import black_scholes

ONE = DeviceConfig()
SHARD_MAP = DeviceConfig(device_ids=tuple(range(8)), mesh_axes=(("batch", 8),), parallelism="shard_map")
PMAP = SHARD_MAP.replace(parallelism="pmap")
TWO_AXES = SHARD_MAP.replace(mesh_axes=(("batch", 4), ("model", 2)))
EVERY_WAY = {
    "one device": ONE,
    "another device": ONE.replace(device_ids=(5,)),
    "one device, chunks": ONE.replace(batch_limit=5),
    "shard_map": SHARD_MAP,
    "shard_map, two axes": TWO_AXES,
    "shard_map, chunks": SHARD_MAP.replace(batch_limit=2),
    "pmap": PMAP,
    "pmap, chunks": PMAP.replace(batch_limit=2),
    "none of eight": SHARD_MAP.replace(parallelism="none"),
}
every_way = pytest.mark.parametrize("config", EVERY_WAY.values(), ids=EVERY_WAY.keys())
every_parallelism = pytest.mark.parametrize("config", [ONE, SHARD_MAP, PMAP], ids=["none", "shard_map", "pmap"])


class Params(NamedTuple):
    kappa: object
    theta: object


class Answer(NamedTuple):
    value: object
    status: object
    table: object
    extra: object = None


def value(*, spot, strike, expiry, rate=0.0, is_call=True):
    """Elementwise and curved enough that a reordered operation would show in the last digit."""
    forward = spot * jnp.exp(rate * expiry)
    return jnp.where(is_call, jnp.log(forward / strike), jnp.sqrt(expiry) / (strike + forward))


def answer(*, x, params, weights):
    """Nested inputs with a broadcast part, several results of different dtype and rank, a field that is None."""
    table = (x * params.kappa)[:, None] * weights[None, :] + params.theta
    return Answer(jnp.sum(table, axis=1), (x > 0).astype(jnp.int8), jnp.swapaxes(table, 0, 1))


def market(size, dtype=np.float64):
    rng = np.random.default_rng(size)
    return {
        "spot": rng.uniform(80, 120, size).astype(dtype),
        "strike": rng.uniform(80, 120, size).astype(dtype),
        "expiry": rng.uniform(0.1, 2, size).astype(dtype),
        "rate": rng.uniform(-0.01, 0.05, size).astype(dtype),
        "is_call": rng.uniform(size=size) < 0.5,
    }


def on_device(tree):
    return jax.tree.map(lambda leaf: jnp.array(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)


@functools.cache
def expected(size):
    return np.asarray(jax.jit(value)(**market(size)))


@functools.cache
def accelerated(config, function=value):
    # Shared among tests, because compiling is what they spend their time on.
    return accelerate(function, config)


# --- the same values everywhere ---


@every_way
@pytest.mark.parametrize("size", [1, 3, 8, 29])
def test_same_values_to_the_last_bit(config, size):
    inputs = market(size)
    function = accelerated(config)
    from_host = function(**inputs)
    from_device = function(**on_device(inputs))
    np.testing.assert_array_equal(from_host, expected(size))
    np.testing.assert_array_equal(np.asarray(from_device), expected(size))
    assert type(from_host) is np.ndarray
    assert isinstance(from_device, jax.Array)


@every_parallelism
def test_same_values_when_streamed_in_blocks(config):
    size = 2 * BLOCK_ELEMENTS + 13
    np.testing.assert_array_equal(accelerated(config)(**market(size)), expected(size))


@every_parallelism
@pytest.mark.parametrize("is_call", [True, False])
def test_black_scholes_price(config, is_call):
    inputs = {k: v for k, v in market(1001).items() if k != "is_call"} | {"volatility": 0.2}
    direct = black_scholes.price(**inputs, is_call=is_call)
    function = accelerated(config, black_scholes.price)
    np.testing.assert_array_equal(function(**inputs, is_call=is_call), direct)
    np.testing.assert_array_equal(function(**on_device(inputs), is_call=is_call), direct)


@every_parallelism
def test_greeks_with_fields_that_are_none(config):
    inputs = {k: v for k, v in market(29).items() if k != "rate"} | {"volatility": np.full(29, 0.2)}
    direct = black_scholes.greeks(**inputs, which=("delta", "vega"))
    result = accelerated(config, black_scholes.greeks)(**inputs, which=("delta", "vega"))
    assert type(result) is type(direct)
    assert result.gamma is None
    np.testing.assert_array_equal(result.delta, direct.delta)
    np.testing.assert_array_equal(result.vega, direct.vega)


@every_way
@pytest.mark.parametrize("size", [2, 11])
def test_nested_arguments_and_results(config, size):
    rng = np.random.default_rng(size)
    x, kappa, weights = rng.normal(size=size), rng.normal(size=size), rng.normal(size=7)
    inputs = {"x": x, "params": Params(kappa, 0.25), "weights": weights}
    direct = jax.jit(answer)(**inputs)
    axes = {"x": 0, "params": 0}
    function = accelerate(answer, config, batch_axis=axes)
    for arguments in (inputs, on_device(inputs)):
        result = function(**arguments)
        assert type(result) is Answer
        assert result.extra is None
        assert result.status.dtype == np.int8
        assert result.table.shape == (7, size)
        jax.tree.map(np.testing.assert_array_equal, result, direct)


@every_way
@pytest.mark.parametrize("axis", [1, -1])
def test_other_batch_axes(config, axis):
    x = np.random.default_rng(0).normal(size=(3, 17))
    result = accelerate(lambda x, y: jnp.exp(x) * y, config, batch_axis=axis)(x, x[:1])
    np.testing.assert_array_equal(result, jax.jit(lambda x, y: jnp.exp(x) * y)(x, x[:1]))


@every_parallelism
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(config, dtype):
    inputs = market(8, dtype)
    for arguments in (inputs, on_device(inputs)):
        assert accelerated(config)(**arguments).dtype == dtype


@every_parallelism
def test_policy_of_float32(config):
    single = config.replace(pricing_dtype="float32", accumulation_dtype="float32")
    result = accelerate(value, single)(**market(8))
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, np.asarray(jax.jit(value)(**market(8, np.float32)), np.float64))


def test_results_are_spread_over_the_devices():
    for config in (SHARD_MAP, PMAP, TWO_AXES):
        result = accelerated(config)(**on_device(market(8)))
        assert len(result.sharding.device_set) == 8
        assert {shard.data.shape for shard in result.addressable_shards} == {(1,)}
    assert accelerated(EVERY_WAY["another device"])(**on_device(market(8))).devices() == {jax.devices()[5]}


# --- what is batched ---


@every_parallelism
def test_scalars_and_size_one_are_broadcast(config):
    inputs = market(8) | {"strike": 100.0, "expiry": np.array([0.5]), "rate": np.float64(0.01), "is_call": True}
    direct = jax.jit(functools.partial(value, is_call=True))(**{k: v for k, v in inputs.items() if k != "is_call"})
    np.testing.assert_array_equal(accelerated(config)(**inputs), direct)
    np.testing.assert_array_equal(accelerated(config)(**on_device(inputs)), direct)


@every_parallelism
def test_no_batch_at_all(config):
    inputs = {"spot": 100.0, "strike": 90.0, "expiry": 0.5}
    direct = jax.jit(value)(**inputs)
    result = accelerated(config)(**inputs)
    assert isinstance(result, jax.Array)
    np.testing.assert_array_equal(result, direct)
    result = accelerated(config)(**{k: np.float64(v) for k, v in inputs.items()})
    assert type(result) is np.ndarray
    assert result == direct


@every_parallelism
def test_empty_batch(config):
    inputs = market(0)
    for arguments, kind in ((inputs, np.ndarray), (on_device(inputs), jax.Array)):
        result = accelerated(config)(**arguments)
        assert isinstance(result, kind)
        assert result.shape == (0,)
        assert result.dtype == np.float64


@every_parallelism
@pytest.mark.parametrize("convert", [lambda tree: tree, on_device], ids=["host", "device"])
def test_different_sizes_are_named(config, convert):
    inputs = market(8) | {"strike": np.ones(7), "expiry": np.ones(1)}
    with pytest.raises(InputError, match=r"value: .*spot has 8.*strike has 7") as caught:
        accelerated(config)(**convert(inputs))
    assert "expiry" not in str(caught.value)


def test_different_sizes_in_containers_and_positions_are_named():
    with pytest.raises(InputError, match=r"params\.kappa has 3, x has 4"):
        accelerate(answer, ONE)(x=np.ones(4), params=Params(np.ones(3), 0.0), weights=1.0)
    with pytest.raises(InputError, match=r"x has 4, z has 3"):
        accelerate(lambda x, y, z: x, ONE)(np.ones(4), 2, np.ones(3))


@every_parallelism
@pytest.mark.parametrize("convert", [lambda tree: tree, on_device], ids=["host", "device"])
def test_a_function_that_combines_entries_is_refused(config, convert):
    function = accelerate(lambda x: {"mean": jnp.mean(x), "x": x}, config)
    with pytest.raises(
        InputError, match=r"result\['mean'\] has shape \(\), which does not have exactly one axis for the batch of 8"
    ):
        function(convert(np.ones(8)))
    with pytest.raises(InputError, match=r"result has shape \(8, 8\)"):
        accelerate(lambda x: x[:, None] - x[None, :], SHARD_MAP)(convert(np.ones(8)))
    unbatched = accelerate(lambda x: {"mean": jnp.mean(x), "x": x}, config, batch_axis=None)
    assert unbatched(convert(np.arange(8.0)))["mean"] == 3.5


def test_batch_axis_is_checked_at_once():
    with pytest.raises(InputError, match="batch_axis names 'spott', but the arguments of value are spot, strike"):
        accelerate(value, ONE, batch_axis={"spott": 0})
    with pytest.raises(InputTypeError, match="batch_axis: str 'spot'"):
        accelerate(value, ONE, batch_axis="spot")
    with pytest.raises(InputTypeError, match=r"batch_axis\['spot'\]: 'rows'"):
        accelerate(value, ONE, batch_axis={"spot": "rows"})
    accelerate(lambda **anything: anything["a"], ONE, batch_axis={"a": 0})


@every_parallelism
def test_arguments_that_select_code_pass_through(config):
    def polynomial(x, order, scheme=("a", "b"), *, flag=False):
        assert type(order) is int
        assert type(flag) is bool
        return x**order + (1.0 if flag else 0.0) + (10.0 if scheme[0] == "a" else 0.0)

    function = accelerate(polynomial, config)
    x = np.arange(1.0, 9.0)
    np.testing.assert_array_equal(function(x, 2), x**2 + 10)
    np.testing.assert_array_equal(function(x, 3, flag=True), x**3 + 11)
    np.testing.assert_array_equal(function(x, order=1, scheme=("b", "a")), x)
    np.testing.assert_array_equal(function(jnp.array(x), 2, flag=True), x**2 + 11)
    # 1 and True are equal, and must not be taken for each other.
    np.testing.assert_array_equal(accelerate(lambda x, n: x + 10 * isinstance(n, bool), config)(x, n=1), x)


@every_parallelism
def test_a_function_may_say_what_selects_code(config):
    def scaled(*, x, factor, up=True, digits=()):
        assert isinstance(factor, jax.core.Tracer)
        assert isinstance(up, jax.core.Tracer)
        return jnp.where(up, x * factor, x / factor) if digits else x

    scaled.static = ("digits",)
    function, x = accelerate(scaled, config), np.arange(1.0, 9.0)
    for convert in (lambda x: x, jnp.array):
        np.testing.assert_array_equal(function(x=convert(x), factor=2, up=True, digits=(1,)), 2 * x)
        np.testing.assert_array_equal(function(x=convert(x), factor=4, up=False, digits=(1,)), x / 4)
        np.testing.assert_array_equal(function(x=convert(x), factor=4, up=False), x)


@every_parallelism
def test_random_keys(config):
    def noisy(keys, x, common):
        return x + jax.vmap(jax.random.normal)(keys) + jax.random.uniform(common)

    keys, common, x = jax.random.split(jax.random.key(1), 11), jax.random.key(2), np.arange(11.0)
    direct = jax.jit(noisy)(keys, x, common)
    np.testing.assert_array_equal(accelerate(noisy, config)(keys, x, common), direct)


def test_one_and_true_do_not_share_a_program():
    function = accelerate(lambda x, *, n: x + (10.0 if isinstance(n, bool) else 0.0), ONE)
    x = np.ones(3)
    assert [function(x, n=n)[0] for n in (True, 1, True)] == [11.0, 1.0, 11.0]


@pytest.mark.parametrize("config", [ONE, SHARD_MAP], ids=["none", "shard_map"])
def test_what_is_no_data_is_named(config):
    for bad in (np.array(["100", "110"]), np.array([1, None])):
        with pytest.raises(InputTypeError, match=r"value: spot is a .* array of shape \(2,\).*spot\.astype\(float\)"):
            accelerated(config)(**market(2) | {"spot": bad})
    with pytest.raises(InputTypeError, match="spot: set"):
        accelerated(config)(**market(2) | {"spot": {1, 2}})
    with pytest.raises(InputTypeError, match="spot: str 'x'"):
        accelerated(config, black_scholes.price)(spot="x", strike=np.ones(2), expiry=1.0, volatility=0.2)


# --- NumPy in, NumPy out ---


@every_parallelism
@pytest.mark.parametrize("size", [8, BLOCK_ELEMENTS + 5])
def test_results_belong_to_the_caller_and_inputs_are_let_go(config, size):
    inputs = market(size)
    owners = [weakref.ref(array) for array in inputs.values()]
    kept = {k: v.copy() for k, v in inputs.items()}
    function = accelerated(config)
    result = function(**inputs)
    assert result.flags.writeable
    for array in inputs.values():
        array[:] = 0  # the caller may do this as soon as the call has returned
    np.testing.assert_array_equal(result, expected(size))
    result[:] = -1.0
    np.testing.assert_array_equal(function(**kept), expected(size))
    del inputs, array
    gc.collect()
    assert not any(owner() is not None for owner in owners)


@every_parallelism
def test_results_never_share_memory_with_inputs(config):
    for size in (8, 2 * BLOCK_ELEMENTS):
        room = np.zeros(size * 8 + 64, np.uint8)
        x = room[-room.ctypes.data % 64 :][: size * 8].view(np.float64)  # aligned: JAX takes it without a copy
        result = accelerate(lambda x: x, config)(x)
        assert not np.shares_memory(x, result)
        result[:] = 1.0
        assert not x.any()


def test_mixed_inputs_are_not_read_after_the_call():
    # JAX dispatches asynchronously, and reads an aligned NumPy array where it lies, while the caller may be changing it.
    room = np.ones(200_000 * 8 + 64, np.uint8)
    x = room[-room.ctypes.data % 64 :][: 200_000 * 8].view(np.float64)
    x[:] = 1.0

    def slow(x, y):
        return jax.lax.fori_loop(0, 100, lambda i, total: jnp.sin(total) + x, y)

    function, y = accelerate(slow, ONE), jnp.zeros(200_000)
    first = np.asarray(function(x, y)).copy()
    result = function(x, y)
    x[:] = 50.0
    assert isinstance(result, jax.Array)
    np.testing.assert_array_equal(result, first)


@every_parallelism
@pytest.mark.parametrize("size", [29, BLOCK_ELEMENTS + 5])
def test_arrays_that_are_not_contiguous(config, size):
    inputs = market(size)
    spread = {k: np.stack([v, v], axis=1)[:, 0] for k, v in inputs.items()}
    reverse = {k: v[::-1].copy()[::-1] for k, v in inputs.items()}
    assert not any(v.flags.c_contiguous for v in [*spread.values(), *reverse.values()])
    np.testing.assert_array_equal(accelerated(config)(**spread), expected(size))
    np.testing.assert_array_equal(accelerated(config)(**reverse), expected(size))


def test_read_only_arrays_are_taken():
    inputs = market(8)
    for array in inputs.values():
        array.flags.writeable = False
    assert accelerated(ONE)(**inputs).flags.writeable


# --- composition ---


@every_parallelism
def test_composes_with_jit_vmap_and_grad(config):
    function, inputs = accelerated(config), on_device(market(8))
    others = {k: v for k, v in inputs.items() if k != "spot"}

    def total(spot):
        return jnp.sum(function(spot=spot, **others))

    direct = jax.grad(lambda spot: jnp.sum(value(spot=spot, **others)))(inputs["spot"])
    np.testing.assert_allclose(jax.grad(total)(inputs["spot"]), direct, rtol=1e-13)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(inputs["spot"]), direct, rtol=1e-13)
    mapped = jax.vmap(lambda spot, strike: function(spot=spot, strike=strike, expiry=1.0))
    np.testing.assert_array_equal(
        mapped(inputs["spot"], inputs["strike"]), value(spot=inputs["spot"], strike=inputs["strike"], expiry=1.0)
    )
    np.testing.assert_allclose(jax.jit(function)(**inputs), expected(8), rtol=1e-13)


@every_parallelism
def test_constants_inside_a_trace(config):
    inputs = market(8)
    function = accelerate(value, config)  # its very first call comes while JAX traces
    for constants in (inputs, on_device(inputs)):
        result = jax.jit(lambda x, constants=constants: x + function(**constants))(0.0)
        np.testing.assert_allclose(result, expected(8), rtol=1e-13)
    np.testing.assert_array_equal(function(**inputs), expected(8))


def test_policy_holds_while_tracing():
    single = accelerate(lambda x: x + 1e-10, ONE.replace(pricing_dtype="float32", accumulation_dtype="float32"))
    assert jax.jit(single)(jnp.ones(2))[0] == single(jnp.ones(2))[0] == 1.0


def test_looks_like_the_function_itself():
    function = accelerate(value, ONE)
    assert function.__name__ == "value"
    assert function.__doc__ == value.__doc__
    assert inspect.signature(function) == inspect.signature(value)
    assert accelerate(functools.partial(value, strike=100.0), ONE)(spot=np.ones(3), expiry=1.0).shape == (3,)


def test_configuration_in_force_is_the_default(monkeypatch):
    monkeypatch.setattr(sys.modules["gpujax.device.accelerate"], "current_config", lambda: SHARD_MAP)
    function = accelerate(value)
    assert len(function(**on_device(market(8))).sharding.device_set) == 8


def test_a_missing_device_is_named_at_the_first_call():
    function = accelerate(value, DeviceConfig(device_ids=(12,)))
    with pytest.raises(DeviceError, match="cpu device 12 is not there"):
        function(**market(2))


@pytest.mark.parametrize("name", ["accelerate", "precision", "mesh", "memory", "host_arrays"])
def test_examples_in_docstrings(name):
    results = doctest.testmod(importlib.import_module(f"gpujax.device.{name}"))
    assert results.attempted
    assert not results.failed


# --- nothing more than needed ---


def counting(x):
    counting.shapes.append(x.shape)
    return jnp.tanh(x)


@every_parallelism
def test_a_shape_is_traced_once(config):
    function = accelerate(counting, config)
    for convert in (lambda x: x, jnp.array):
        counting.shapes = []
        for _ in range(3):
            function(convert(np.ones(16)))
        first = len(counting.shapes)
        assert first <= 6  # the program, its estimate, and the shapes of its results
        function(convert(np.zeros(16)))
        assert len(counting.shapes) == first


@pytest.mark.parametrize(("config", "most"), [(EVERY_WAY["one device, chunks"], 5), (EVERY_WAY["pmap, chunks"], 2)])
def test_no_program_takes_more_than_the_limit(config, most):
    for convert in (lambda x: x, jnp.array):
        shapes = []

        def noted(x, shapes=shapes):
            if not isinstance(x, jax.ShapeDtypeStruct):
                shapes.append(x.shape[0])
            return jnp.tanh(x)

        function = accelerate(noted, config)
        x = np.random.default_rng(0).normal(size=64)
        np.testing.assert_array_equal(function(convert(x)), jax.jit(jnp.tanh)(x))
        (plan,) = function.plans()
        assert plan.chunk == most
        assert most in shapes


def test_direct_call_costs_little_more_than_the_jitted_function():
    # A ratio wide enough for a busy machine; benchmarks/accelerate.py prints the figure.
    inputs = {k: v for k, v in on_device(market(8)).items() if k != "is_call"}
    jitted, function = jax.jit(value), accelerate(value, ONE)
    jitted(**inputs), function(**inputs)
    plain, ours = (min(timeit.repeat(lambda f=f: f(**inputs), number=200, repeat=25)) / 200 for f in (jitted, function))
    assert ours < 2 * plain + 5e-6
    assert function.plans() == (), "nothing had to be decided"


# --- memory ---


def wide(x):
    """Eight kilobytes of temporaries an entry."""
    table = x[:, None] * jnp.linspace(1.0, 2.0, 1024)[None, :]
    return (table @ jnp.ones((1024, 2)))[:, 0]


@pytest.fixture
def short_of_memory(monkeypatch):
    """Devices that say they have eight megabytes free."""
    monkeypatch.setattr(memory, "free_memory", lambda device, sharers=1: 8_000_000)


@every_parallelism
@pytest.mark.parametrize("convert", [lambda x: x, jnp.array], ids=["host", "device"])
def test_chunks_fit_in_memory(config, convert, short_of_memory):
    x = np.random.default_rng(0).normal(size=5_000)
    function = accelerate(wide, config)
    result = function(convert(x))
    (plan,) = function.plans()
    assert plan.budget == 4_000_000
    assert plan.memory.per_entry >= 8_192
    # Two chunks of a stream are under way at once.
    room = plan.budget // 2 if isinstance(result, np.ndarray) else plan.budget - x.nbytes
    assert plan.memory.bytes(plan.chunk) <= room < plan.memory.bytes(2 * plan.chunk)
    np.testing.assert_allclose(result, jax.jit(wide)(x), rtol=1e-14)
    np.testing.assert_array_equal(function(convert(x)), result)


def test_the_loop_over_chunks_takes_the_memory_of_one():
    x = jax.ShapeDtypeStruct((5_000,), np.float64)
    batch = batching.Batch(5_000, (0,))
    results = batching.find_results("wide", wide, [x], batch)

    def taken(chunk):
        return memory.program_bytes(jax.jit(batching.in_chunks(wide, batch, results, 5_000, chunk)).lower(x).compile())

    assert taken(5_000) > 5_000 * 8_192
    assert taken(100) < 300 * 8_192


@every_parallelism
def test_what_cannot_fit_is_refused(config, short_of_memory):
    def huge(x):
        return jnp.sort(x[:, None] * jnp.ones((1, 10_000_000)), axis=1)[:, 0]

    with pytest.raises(DeviceError, match=r"huge: one entry of the batch takes [\d,]+ bytes, but [\d,]+ may be used"):
        accelerate(huge, config)(np.ones(9))


def test_halving_ends_at_one_entry():
    error = "RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.\nmore"
    plan = planning.Plan(5, 1, "none", None, None, None, False, 0, "")
    halved = planning.with_less("f", plan, error)
    single = planning.with_less("f", halved, error)
    assert (halved.chunk, halved.retries, halved.waits) == (2, 1, True)
    assert (single.chunk, single.retries) == (1, 2)
    assert single.reason.endswith("allocating 8 bytes.")
    with pytest.raises(DeviceError, match="f: out of memory with one entry of the batch"):
        planning.with_less("f", single, error)
    with pytest.raises(DeviceError, match="nothing batched"):
        planning.with_less("f", plan._replace(batch=None), error)


def test_other_errors_of_the_device_are_not_retried():
    def failing(x):
        def refuse(x):
            raise ZeroDivisionError("from the callback")

        return jax.pure_callback(refuse, x, x)

    with pytest.raises(jax.errors.JaxRuntimeError, match="from the callback"):
        accelerate(failing, ONE)(np.ones(3))


# --- processes of their own ---


def run_python(script, *arguments, **environment):
    """Start a script in a fresh process, without this one's settings."""
    clean = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_ENABLE_X64", "GPUJAX_CONFIG")}
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(
        command, env=clean | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process, seconds):
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, output
    return output


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def test_float64_is_never_rounded_in_silence(script):
    # 64-bit mode is chosen once per process, and the warning is given once.
    text = """
        import warnings
        import jax, numpy as np
        from gpujax.device import DeviceConfig, accelerate
        from gpujax.errors import PrecisionWarning

        def third(*, spot, rate):
            return spot / 3 + rate

        def calls(config, **arguments):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = accelerate(third, config)(**arguments)
            return result, [w for w in caught if issubclass(w.category, PrecisionWarning)]

        x, single = np.ones(3), DeviceConfig(pricing_dtype="float32", accumulation_dtype="float32")
        assert not jax.config.jax_enable_x64
        _, said = calls(single, spot=x, rate=0.0)
        assert not said, "float32 was chosen"
        _, said = calls(DeviceConfig(), spot=x.astype(np.float32), rate=0.0)
        assert not said, "float32 was given"
        result, said = calls(DeviceConfig(), spot=x, rate=0.0)
        assert len(said) == 1 and said[0].filename == __file__, [str(w) for w in said]
        text = str(said[0].message)
        assert "third: spot came as float64" in text and "gpujax.configure()" in text, text
        assert isinstance(result, np.ndarray) and result.dtype == np.float32
        _, said = calls(DeviceConfig(), spot=x, rate=0.0)
        assert not said, "said once"
    """
    finish(run_python(script(text)), 120)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the address space, which Linux enforces")
@pytest.mark.parametrize("kind", ["host", "device"])
def test_running_out_of_memory_is_answered_with_half(script, kind):
    # The operating system refuses what is said to be free: as when another process takes it meanwhile.
    text = """
        import logging, resource, sys
        import jax, jax.numpy as jnp, numpy as np
        from gpujax.device import DeviceConfig, accelerate, memory

        jax.config.update("jax_enable_x64", True)
        memory.free_memory = lambda device, sharers=1: 2 * 2**30
        logging.basicConfig(stream=sys.stdout)

        def wide(x):
            table = x[:, None] * jnp.linspace(1.0, 2.0, 4096)[None, :]
            return (table @ jnp.eye(4096, 2))[:, 0]

        x = np.arange(1.0, 20_001.0)
        function = accelerate(wide, DeviceConfig())
        convert = np.array if sys.argv[1] == "host" else jnp.array
        function(convert(x[:8]))
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        now = int(status["VmSize"].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (now + 400 * 2**20,) * 2)
        result = function(convert(x))
        assert np.array_equal(result, x)
        (plan,) = [plan for plan in function.plans() if plan.batch == x.size]
        assert plan.retries >= 1 and plan.chunk <= x.size // 2, plan
        assert "Out of memory" in plan.reason, plan
        assert np.array_equal(function(convert(x)), x)
        (again,) = [plan for plan in function.plans() if plan.batch == x.size]
        assert again.chunk <= plan.chunk, "what was learned is remembered"
    """
    output = finish(run_python(script(text), kind), 120)
    assert "wide: out of memory; going on with 10000 entries at a time" in output


@pytest.mark.integration
def test_two_hosts_share_a_mesh(script):
    text = """
        import sys
        import jax, numpy as np

        rank, port = int(sys.argv[1]), sys.argv[2]
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank, initialization_timeout=60)
        import jax.numpy as jnp
        from gpujax.device import DeviceConfig, accelerate, make_mesh
        from gpujax.errors import DeviceError, InputError

        config = DeviceConfig(device_ids=(0, 1), mesh_axes=(("batch", 2),), parallelism="shard_map")
        mesh = make_mesh(config)
        assert mesh.devices.size == 4 and jax.process_count() == 2

        def value(x, y, *, rate):
            return {"sum": jnp.exp(x) * y + rate, "sign": x > 0}

        function = accelerate(value, config)
        for size in (6, 5, 1):  # each host's part; padded to its two devices where needed
            x = np.random.default_rng(rank).normal(size=size)
            mine = function(x, 2.0, rate=np.float64(0.5))
            assert type(mine["sum"]) is np.ndarray and mine["sum"].flags.writeable
            np.testing.assert_array_equal(mine["sum"], jax.jit(value)(x, 2.0, rate=np.float64(0.5))["sum"])
            np.testing.assert_array_equal(mine["sign"], x > 0)

        both = np.concatenate([np.random.default_rng(r).normal(size=6) for r in (0, 1)])
        whole = function(jnp.array(both[6 * rank : 6 * rank + 6]), 2.0, rate=0.5)["sum"]
        assert whole.shape == (12,) and len(whole.sharding.device_set) == 4
        from jax.experimental import multihost_utils
        everything = multihost_utils.process_allgather(whole, tiled=True)
        np.testing.assert_array_equal(everything, jax.jit(value)(both, 2.0, rate=0.5)["sum"])
        again = function(whole, 1.0, rate=0.0)["sign"]  # an array that already spans the hosts
        assert again.shape == (12,)

        try:
            function(jnp.ones(5), 2.0, rate=0.5)
        except InputError as error:
            assert "a batch of 5 on each of 2 hosts" in str(error), error
        else:
            raise AssertionError("padding would end up inside the result")

        limited = accelerate(value, config.replace(batch_limit=2))
        np.testing.assert_array_equal(limited(both[:7], 1.0, rate=0.0)["sign"], both[:7] > 0)
        try:
            accelerate(value, config.replace(parallelism="pmap"))(both, 1.0, rate=0.0)
        except DeviceError as error:
            assert "2 hosts" in str(error)
        else:
            raise AssertionError("pmap does not span hosts")
        print("done")
    """
    path = script(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    hosts = [run_python(path, rank, port, **flags) for rank in (0, 1)]
    try:
        assert [finish(host, 180).strip().splitlines()[-1] for host in hosts] == ["done", "done"]
    finally:
        for host in hosts:
            host.kill()
