"""Every component crossed with every property that a component has to have; a new row is tested without a new test."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gpujax as gj
from gpujax.device import DeviceConfig
from gpujax.errors import InputError, InputTypeError
from gpujax.hub import COMPONENTS, component
from gpujax.hub.inputs import checked_inputs

# Not a multiple of the eight devices, so that batches are padded.
N = 13
EXACT = 6  # entries that are compared with the oracle, which is slow
ONE = {
    "float64": DeviceConfig(pricing_dtype="float64"),
    "float32": DeviceConfig(pricing_dtype="float32", accumulation_dtype="float32"),
}
EIGHT = {"device_ids": tuple(range(8)), "mesh_axes": (("batch", 8),)}

every_component = pytest.mark.parametrize("name", COMPONENTS)
# The implied volatility is a field of its diagnosis: what holds for transformations of one holds for the other.
every_program = pytest.mark.parametrize("name", [name for name in COMPONENTS if not name.endswith("_diagnosis")])
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])

_accelerated = {}


def on_one_device(name, dtype="float64"):
    """The component on one device; made once, so that all tests share its compiled programs."""
    if (name, dtype) not in _accelerated:
        _accelerated[name, dtype] = gj.accelerate(component(name).function, ONE[dtype])
    return _accelerated[name, dtype]


def few(row):
    """Options for a small part of a component's results: transformations are the same for all, compiling all is dear."""
    return {option.name: option.choices[:3] for option in row.options if option.several}


def leaves(result):
    """The arrays of a result by name."""
    named = result._asdict() if hasattr(result, "_asdict") else {"": result}
    return {name: np.asarray(array) for name, array in named.items() if array is not None}


@both_dtypes
@every_component
def test_result_is_the_oracles(name, dtype):
    row = component(name)
    inputs = row.example(N, 0, dtype)
    got = {field: array[:EXACT] for field, array in leaves(on_one_device(name, dtype)(**inputs)).items()}
    exact = row.oracle(**{argument: array[:EXACT] for argument, array in inputs.items()})
    exact = exact if isinstance(exact, dict) else {"": exact}
    assert exact.keys() <= got.keys()
    for field, expected in exact.items():
        assert got[field].dtype == dtype, f"{field}: dtype not kept"
        error = np.abs(got[field].astype(np.float64) - expected)
        allowed = row.tolerance[dtype].allowed(expected)
        worst = int(np.argmax(error / allowed))
        assert np.all(error <= allowed), (
            f"{name} {field} [{worst}]: {got[field][worst]!r}, exactly {expected[worst]!r}, allowed {allowed[worst]:.1e}; "
            f"inputs { {k: v[worst] for k, v in inputs.items()} }"
        )


@every_program
def test_mapped_equals_batched_and_gradients_are_finite(name):
    row = component(name)
    inputs = jax.tree.map(jnp.asarray, row.example(N, 0, "float64"))
    by = {argument: inputs[argument] for argument in row.differentiable if argument in inputs}
    others = {argument: array for argument, array in inputs.items() if argument not in by}

    def total(moved):
        result = row.function(**moved, **others, **few(row))
        floating = [leaf for leaf in jax.tree.leaves(result) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return sum(jnp.sum(leaf) for leaf in floating)

    def mapped_and_gradients(inputs, by):
        return jax.vmap(lambda entry: row.function(**entry, **few(row)))(inputs), jax.grad(total)(by)

    mapped, gradients = jax.jit(mapped_and_gradients)(inputs, by)
    batched = leaves(on_one_device(name)(**inputs))
    for field, array in leaves(mapped).items():
        np.testing.assert_allclose(array, batched[field], rtol=1e-13, err_msg=field)
    assert by, "no argument to differentiate by"
    for argument, gradient in gradients.items():
        assert np.all(np.isfinite(gradient)), f"derivative by {argument}: {gradient}"
        assert np.any(np.asarray(gradient) != 0), f"derivative by {argument} vanishes everywhere"


@pytest.mark.parametrize("parallelism", ["shard_map", "pmap"])
@every_program
def test_eight_devices_give_what_one_gives(name, parallelism):
    row = component(name)
    inputs = row.example(N, 0, "float64")
    alone = leaves(on_one_device(name)(**inputs, **few(row)))
    eight = gj.accelerate(row.function, ONE["float64"].replace(parallelism=parallelism, **EIGHT))
    sharded = leaves(eight(**inputs, **few(row)))
    assert sharded.keys() == alone.keys()
    for field, array in alone.items():
        np.testing.assert_array_equal(sharded[field], array, err_msg=field)


@every_component
def test_one_trace_per_shape(name, traces):
    function, row = on_one_device(name), component(name)
    function(**row.example(N, 0, "float64"))
    traces.clear()
    function(**row.example(N, 1, "float64"))
    assert sum(traces.values()) == 0, f"other values of the same shape were traced anew: {dict(traces)}"


def test_the_counter_of_traces_counts(traces):
    jax.jit(lambda x: x + 17)(1.0)
    assert sum(traces.values()) > 0


@pytest.fixture
def traces():
    """How often JAX has traced, lowered or compiled, by event."""
    seen = collections.Counter()

    def listen(event, _, **__):
        if event.startswith("/jax/core/compile/"):
            seen[event] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


@every_component
def test_nan_stays_in_its_row(name):
    row = component(name)
    inputs = row.example(N, 0, "float64")
    clean = leaves(on_one_device(name)(**inputs))
    first = next(a.name for a in row.arguments if not a.boolean)
    inputs[first] = inputs[first].copy()
    inputs[first][4] = np.nan
    spoilt = leaves(on_one_device(name)(**checked_inputs(row, inputs)))
    others = np.arange(N) != 4
    for field, array in spoilt.items():
        if array.dtype.kind == "f":
            assert np.isnan(array[4]), field
        np.testing.assert_array_equal(array[others], clean[field][others], err_msg=field)


@every_component
def test_impossible_values_are_named_with_their_row(name):
    row = component(name)
    limited = [a for a in row.arguments if np.isfinite(a.least) or np.isfinite(a.greatest)]
    for argument in limited:
        bad = argument.least - 0.25 if np.isfinite(argument.least) else argument.greatest + 0.25
        for make in (np.asarray, jnp.asarray, list):
            inputs = row.example(N, 0, "float64")
            values = inputs[argument.name].copy()
            values[[2, 5]] = bad
            with pytest.raises(InputError, match=rf"{name}: {argument.name}: {bad:g} at row 2 \(2 of {N} values\)"):
                checked_inputs(row, {**inputs, argument.name: make(values)})


@every_component
def test_what_is_not_a_number_is_named(name):
    row = component(name)
    inputs = row.example(N, 0, "float64")
    for argument in row.arguments:
        wrong = [("text", "str 'text'"), (np.arange(N), rf"int64 array of shape \({N},\)"), (object(), "object")]
        wrong += [([1.5, "two"], None)]
        for value, said in wrong:
            with pytest.raises(InputTypeError, match=rf"{name}: {argument.name}: {said or ''}"):
                checked_inputs(row, {**inputs, argument.name: value})


@every_component
def test_missing_and_unknown_arguments_are_named(name):
    row = component(name)
    inputs = row.example(N, 0, "float64")
    first = row.arguments[0].name
    with pytest.raises(InputTypeError, match=f"{name}: {first} missing"):
        checked_inputs(row, {k: v for k, v in inputs.items() if k != first})
    with pytest.raises(InputTypeError, match=f"unknown argument '{first}s' .did you mean '{first}'"):
        checked_inputs(row, {**inputs, first + "s": 1.0})


@every_component
def test_examples_repeat_and_differ(name):
    row = component(name)
    once, again, other = (row.example(N, seed, "float32") for seed in (3, 3, 4))
    assert all(np.array_equal(once[k], again[k]) for k in once)
    assert any(not np.array_equal(once[k], other[k]) for k in once)
    assert {a.dtype for a in once.values()} <= {np.dtype("float32"), np.dtype(bool)}
    assert once.keys() <= {a.name for a in row.arguments}


@every_component
def test_schema_lists_what_the_function_takes(name):
    row = component(name)
    schema = row.schema()
    assert list(schema["properties"]) == [*(a.name for a in row.arguments), *(o.name for o in row.options)]
    assert schema["required"] == [a.name for a in row.arguments if a.required]
    assert row.summary in schema["description"]
