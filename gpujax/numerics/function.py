"""How a pure function meets its caller: jit where it is defined, and messages that name the argument.

`market_function` is the decorator that every public pricing function wears. On the fast path it adds one flag look-up to
`jax.jit`'s own dispatch; the explanations below are only computed once something has already gone wrong.
"""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError, InputTypeError, PrecisionWarning

__all__ = ["floating_inputs", "market_function"]

# What `jax.jit` takes as an array, tracers included.
_ARRAYS = (np.ndarray, np.generic, jax.Array)

Function = TypeVar("Function", bound=Callable[..., Any])

_warned_about_precision = False


def market_function(function: Function | None = None, *, static: tuple[str, ...] = ()) -> Any:
    """Compile a keyword-only function with `jax.jit` and give its callers errors that name the argument.

    Arguments:
        function: takes keyword-only market inputs and calls `floating_inputs` on them first.
        static: names of arguments that select code (methods, orders) rather than carry data.
    """
    if function is None:
        return functools.partial(market_function, static=static)
    compiled = jax.jit(function, static_argnames=static)
    compiled_for_numbers = jax.jit(functools.partial(_unpack, function), static_argnums=(1, 2))

    @functools.wraps(function)
    def call(*positional: Any, **arguments: Any) -> Any:
        if positional:
            _explain_names(function)
        if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
            _warn_once_if_rounded(function.__name__, arguments)
        try:
            numbers = _python_numbers(arguments, static)
            if numbers is not None:
                return compiled_for_numbers(*numbers)
            return compiled(**arguments)
        except (TypeError, ValueError) as error:
            _explain(function.__name__, arguments, static, error)
            raise

    call.jitted = compiled  # pyright: ignore[reportAttributeAccessIssue]
    call.static = static  # pyright: ignore[reportAttributeAccessIssue]
    return call


def _python_numbers(arguments: dict[str, Any], static: tuple[str, ...]) -> tuple[Any, ...] | None:
    """A call on Python numbers alone as one array, its names, and the rest; None if anything else is among the arguments.

    JAX takes in Python numbers one by one, at two microseconds each: one array of them halves the time of a single option.
    """
    names, values, fixed = [], [], []
    for name, value in arguments.items():
        kind = type(value)
        if name in static or kind is bool:
            fixed.append((name, value))
        elif kind is float or kind is int:
            names.append(name)
            values.append(value)
        else:
            return None
    dtype = np.float64 if jax.config.jax_enable_x64 else np.float32  # pyright: ignore[reportAttributeAccessIssue]
    return np.array(values, dtype), tuple(names), tuple(fixed)


def _unpack(function: Callable[..., Any], values: jax.Array, names: tuple[str, ...], fixed: tuple[Any, ...]) -> Any:
    return function(**{name: values[i] for i, name in enumerate(names)}, **dict(fixed))


def floating_inputs(**inputs: Any) -> tuple[jax.Array, ...]:
    """Bring named inputs to one floating dtype and to ranks that broadcast; called while tracing.

    Scalars stay scalars (so that work on them is done once, not per element). Boolean inputs stay boolean. Half-precision
    inputs are computed in float32.

    Raises: InputTypeError for strings, lists and integer arrays, InputError for shapes that do not broadcast.
    """
    for name, value in inputs.items():
        _check_kind(name, value)
    arrays = {name: jnp.asarray(value) for name, value in inputs.items()}
    typed = [v for v in inputs.values() if _is_typed(v) and v.dtype != np.bool_]
    dtype = jnp.result_type(*(v.dtype for v in typed)) if typed else jnp.result_type(float)
    if jnp.finfo(dtype).bits < 32:
        dtype = jnp.dtype(jnp.float32)
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        described = ", ".join(f"{name} {a.shape}" for name, a in arrays.items() if a.ndim)
        raise InputError(f"shapes do not broadcast against each other: {described}") from None
    result = []
    for array in arrays.values():
        if array.dtype != np.bool_:
            array = array.astype(dtype)
        if 0 < array.ndim < len(shape):
            array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
        result.append(array)
    return tuple(result)


def _is_typed(value: Any) -> bool:
    """Whether the value carries a dtype of its own (a Python number, or a weakly typed tracer of one, does not)."""
    return hasattr(value, "dtype") and not getattr(value, "weak_type", False)


def _check_kind(name: str, value: Any) -> None:
    if name == "is_call":
        if isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_:
            return
        raise InputTypeError(f"is_call: {_describe(value)}; expected booleans (True for calls, False for puts)")
    if isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_:
        raise InputTypeError(f"{name}: {_describe(value)}; expected floating-point numbers")
    if isinstance(value, (int, float)):
        return
    if isinstance(value, complex):
        raise InputTypeError(f"{name}: {_describe(value)}; expected real numbers")
    dtype = getattr(value, "dtype", None)
    if dtype is None or not hasattr(value, "shape"):
        raise InputTypeError(
            f"{name}: {_describe(value)}; expected a number or a floating-point array: pass "
            f"np.asarray({name}, dtype=float)"
        )
    if jnp.issubdtype(dtype, jnp.integer) and not (value.shape == () and getattr(value, "weak_type", False)):
        raise InputTypeError(f"{name}: {_describe(value)}; expected a floating-point array: pass {name}.astype(float)")
    if not jnp.issubdtype(dtype, jnp.inexact) and not jnp.issubdtype(dtype, jnp.integer):
        raise InputTypeError(f"{name}: {_describe(value)}; expected a floating-point array")
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise InputTypeError(f"{name}: {_describe(value)}; expected real numbers")


def _describe(value: Any) -> str:
    if isinstance(value, _ARRAYS):
        return f"{value.dtype} array of shape {tuple(value.shape)}"
    return f"{type(value).__name__} {' '.join(repr(value).split())[:60]}"


def _explain(function: str, arguments: dict[str, Any], static: tuple[str, ...], error: Exception) -> None:
    """Raise the error that names the argument which `jax.jit` could not take, if there is one.

    The arguments are checked again as the caller gave them: while tracing, the elements of a list are tracers.
    """
    cause = None if isinstance(error, InputTypeError) else error
    for name, value in arguments.items():
        if name in static:
            if isinstance(value, (list, set, np.ndarray)):
                raise InputTypeError(
                    f"{function}: {name}: {_describe(value)}; expected a tuple: pass tuple({name})"
                ) from cause
            continue
        try:
            _check_kind(name, value)
            _check_container(name, value)
        except InputTypeError as named:
            raise InputTypeError(f"{function}: {named}") from cause


def _check_container(name: str, value: Any) -> None:
    """Reject what looks like an array but is none to JAX: a pandas Series, a masked array, an unusual byte order."""
    if isinstance(value, np.ma.MaskedArray):
        raise InputTypeError(f"{name}: masked array; expected a plain array: pass {name}.filled(np.nan)")
    if not isinstance(value, (int, float, *_ARRAYS)):
        raise InputTypeError(f"{name}: {_describe(value)}; expected a number or an array: pass np.asarray({name})")
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and (dtype.itemsize > 8 or not dtype.isnative):
        raise InputTypeError(
            f"{name}: {_describe(value)} (dtype {dtype.str}); expected float32 or float64: pass {name}.astype(float)"
        )


def _explain_names(function: Callable[..., Any]) -> NoReturn:
    names = ", ".join(f"{name}=..." for name in inspect.signature(function).parameters)
    raise InputTypeError(f"{function.__name__}: takes its inputs by name: {function.__name__}({names})")


def _warn_once_if_rounded(function: str, arguments: dict[str, Any]) -> None:
    global _warned_about_precision
    if _warned_about_precision:
        return
    rounded = [k for k, v in arguments.items() if isinstance(v, (np.ndarray, np.generic)) and v.dtype == np.float64]
    if rounded:
        _warned_about_precision = True
        warnings.warn(
            f"{function}: {', '.join(rounded)} came as float64 but JAX's 64-bit mode is off, so the computation runs in "
            "float32 (about 7 digits). Call gpujax.configure() first, before any other computation, to get float64; or "
            "pass float32 arrays to say that float32 is what you want. This is said once per process.",
            PrecisionWarning,
            stacklevel=3,
        )
