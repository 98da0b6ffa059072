"""The edge: inputs as people, files and servers give them, checked and brought to arrays.

Pure functions check shapes and dtypes, never values, because a value that only exists on a device cannot be looked at
while a program is compiled. Here it can: an impossible value is an error that names the argument, the value and its
place.

NaN is let through everywhere, as "not known": it gives NaN in its own row and leaves the others alone.
"""

import difflib
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError
from gpujax.hub.component import Argument, Component, Option

__all__ = ["checked_inputs"]


def checked_inputs(component: Component, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a component, ready to be placed on a device.

    Arguments:
        component: says what is expected.
        inputs: numbers, NumPy or JAX arrays, lists (None in them stands for NaN), or anything that NumPy takes for an
            array, such as a pandas column; tuples of names for options.

    Returns: the same by name: Python floats and booleans, floating and boolean arrays of one rank, hashable options.
        Arrays keep their dtype and are not copied; lists become float64. Under `jax.jit` and the like, values are not
        known and not checked.

    Raises: InputTypeError for a missing or unknown argument and for what is not numeric, integer arrays included;
        InputError for an impossible value, with its row, and for shapes that do not broadcast.
    """
    _check_names(component, inputs)
    arrays = {a.name: _as_data(component, a, inputs[a.name]) for a in component.arguments if a.name in inputs}
    arrays = _of_one_rank(component, arrays)
    _check_values(component, arrays)
    options = {o.name: _as_option(component, o, inputs[o.name]) for o in component.options if o.name in inputs}
    return {**arrays, **options}


def _check_names(component: Component, inputs: Mapping[str, Any]) -> None:
    known = [*(a.name for a in component.arguments), *(o.name for o in component.options)]
    for name in inputs:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputTypeError(f"{component.name}: unknown argument {name!r}{hint}; it takes {', '.join(known)}")
    missing = [a.name for a in component.arguments if a.required and a.name not in inputs]
    if missing:
        raise InputTypeError(f"{component.name}: {', '.join(missing)} missing; call {component.signature}")


def _as_data(component: Component, argument: Argument, value: Any) -> Any:
    """A Python number, or an array of floating or boolean dtype."""
    if argument.boolean:
        return _as_booleans(component, argument, value)
    if isinstance(value, float) and not isinstance(value, np.generic):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, (list, tuple)):
        return _numbers_of_list(component, argument, value)
    array = _as_array(component, argument, value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    expected = f"expected floating-point numbers: pass {argument.name}.astype(float)"
    raise InputTypeError(f"{component.name}: {argument.name}: {_described(array)}; {expected}")


def _as_booleans(component: Component, argument: Argument, value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    array = np.asarray(value) if isinstance(value, (list, tuple)) else _as_array(component, argument, value)
    if array.dtype != np.bool_:
        raise InputTypeError(
            f"{component.name}: {argument.name}: {_described(array)}; expected booleans ({argument.meaning})"
        )
    return array


def _as_array(component: Component, argument: Argument, value: Any) -> Any:
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return value
    if isinstance(value, (str, bytes)) or not (hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        expected = "booleans" if argument.boolean else "a number, or an array or list of numbers"
        raise InputTypeError(
            f"{component.name}: {argument.name}: {type(value).__name__} {value!r:.60}; expected {expected}"
        )
    return np.asarray(value)


def _numbers_of_list(component: Component, argument: Argument, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(
            f"{component.name}: {argument.name}: a list of lists of different lengths; expected a rectangular one"
        ) from None
    if array.dtype.kind in "fiu":
        return array.astype(np.float64)
    for place, entry in np.ndenumerate(np.asarray(value, dtype=object)):
        if not (entry is None or (isinstance(entry, (int, float, np.number)) and not isinstance(entry, bool))):
            raise InputTypeError(
                f"{component.name}: {argument.name}: {type(entry).__name__} {entry!r:.60} at {_place(place)}; "
                "expected numbers, or None where one is not known"
            )
    return np.asarray(value, dtype=np.float64)


def _of_one_rank(component: Component, arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays with leading axes of size 1, so that axis 0 is the same axis of all; numbers stay numbers."""
    shapes = {name: array.shape for name, array in arrays.items() if not isinstance(array, (float, bool))}
    if not shapes:
        return arrays
    try:
        rank = len(np.broadcast_shapes(*shapes.values()))
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise InputError(f"{component.name}: shapes do not broadcast against each other: {listed}") from None
    lower = {name: shape for name, shape in shapes.items() if 0 < len(shape) < rank}
    return arrays | {name: arrays[name].reshape((1,) * (rank - len(shape)) + shape) for name, shape in lower.items()}


def _check_values(component: Component, arrays: Mapping[str, Any]) -> None:
    limited = [a for a in component.arguments if a.name in arrays and not a.boolean and _is_limited(a)]
    on_device = {}
    for argument in limited:
        array = arrays[argument.name]
        if isinstance(array, Tracer):
            continue
        if isinstance(array, jax.Array):
            on_device[argument.name] = array
        elif not _all_inside(argument, array):
            _refuse(component, argument, array)
    if on_device:
        # One program and one answer for all arguments: each question asked of a device costs a wait.
        bounds = tuple((a.name, a.least, a.greatest, a.above_least) for a in limited if a.name in on_device)
        outside = np.asarray(_outside_on_device(on_device, bounds))
        for (name, *_), is_outside in zip(bounds, outside, strict=True):
            if is_outside:
                argument = next(a for a in limited if a.name == name)
                _refuse(component, argument, np.asarray(on_device[name]))


def _is_limited(argument: Argument) -> bool:
    return argument.least > -math.inf or argument.greatest < math.inf


def _all_inside(argument: Argument, array: Any) -> bool:
    """Whether every value is possible; False also where NaN hides the answer."""
    if isinstance(array, float):
        return not _outside(argument, array)
    if array.size == 0:
        return True
    inside = True
    if argument.least > -math.inf:
        lowest = array.min()
        inside = lowest > argument.least if argument.above_least else lowest >= argument.least
    return bool(inside and (argument.greatest == math.inf or array.max() <= argument.greatest))


def _outside(argument: Argument, values: Any) -> Any:
    below = values <= argument.least if argument.above_least else values < argument.least
    return below | (values > argument.greatest)


@functools.partial(jax.jit, static_argnums=1)
def _outside_on_device(arrays: dict[str, jax.Array], bounds: tuple[tuple[str, float, float, bool], ...]) -> jax.Array:
    """For each argument, whether any value is impossible."""
    found = []
    for name, least, greatest, above_least in bounds:
        values = arrays[name]
        below = values <= least if above_least else values < least
        found.append(jnp.any(below | (values > greatest)))
    return jnp.stack(found)


def _refuse(component: Component, argument: Argument, array: Any) -> None:
    """Raise the error that names the first impossible value, if there is one among the NaNs."""
    values = np.asarray(array)
    outside = np.asarray(_outside(argument, values))
    if not outside.any():
        return
    place = tuple(int(i) for i in np.unravel_index(np.flatnonzero(outside)[0], values.shape))
    where = f" at {_place(place)}" if values.ndim else ""
    count = int(outside.sum())
    others = f" ({count:,} of {values.size:,} values)" if count > 1 else ""
    unit = f", {argument.unit}" if argument.unit else ""
    raise InputError(
        f"{component.name}: {argument.name}: {float(values[place]):g}{where}{others}; expected {argument.valid}{unit}, "
        "or NaN where it is not known"
    )


def _place(index: tuple[int, ...]) -> str:
    return f"row {index[0]}" if len(index) == 1 else f"index {tuple(index)}"


def _as_option(component: Component, option: Option, value: Any) -> Any:
    names = tuple(value) if option.several and isinstance(value, (list, tuple)) else (value,)
    for name in names:
        if not isinstance(name, str) or name not in option.choices:
            near = difflib.get_close_matches(str(name), option.choices, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputError(
                f"{component.name}: {option.name}: {name!r}{hint}; expected {'some' if option.several else 'one'} of "
                f"{', '.join(option.choices)}"
            )
    return names if option.several else value


def _described(array: Any) -> str:
    return f"{array.dtype} array of shape {tuple(array.shape)}"
