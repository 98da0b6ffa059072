"""`parameters`: frozen dataclasses that JAX sees as pytrees, for processes and payoffs; and their parameters by name."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp

from gpujax.errors import InputError

__all__ = ["as_dtype", "parameter", "parameters", "replaced"]

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def parameters(*, static: tuple[str, ...] = ()) -> Callable[[Class], Class]:
    """A frozen, keyword-only dataclass whose fields are data to JAX, but for those named, which select code.

    A `__post_init__` sees what callers give, not what JAX makes of it: tracers, or a gradient, which has the same class and any
    numbers in it.
    """

    def decorate(cls: Class) -> Class:
        made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        data = tuple(field.name for field in dataclasses.fields(made) if field.name not in static)

        def flatten(item: Any) -> tuple[list[Any], tuple[Any, ...]]:
            keyed = [(jax.tree_util.GetAttrKey(name), getattr(item, name)) for name in data]
            return keyed, tuple(getattr(item, name) for name in static)

        def unflatten(fixed: tuple[Any, ...], leaves: Any) -> Any:
            item = object.__new__(made)
            for name, value in (*zip(data, leaves, strict=True), *zip(static, fixed, strict=True)):
                object.__setattr__(item, name, value)
            return item

        jax.tree_util.register_pytree_with_keys(made, flatten, unflatten)
        return made

    return decorate


def as_dtype(tree: Any, dtype: Any) -> Any:
    """The parameters as floating-point numbers of the dtype of the paths."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def parameter(process: Any, name: str) -> Any:
    """A parameter by its name, `"spot"` or `"params.v0"`.

    Raises: InputError, with the names that there are.
    """
    found = process
    for part in name.split("."):
        if part not in _fields(found):
            raise InputError(f"wrt: {name!r} is no parameter of {type(process).__name__}; there {_listed(process)}")
        found = getattr(found, part)
    return found


def replaced(process: Any, name: str, value: Any) -> Any:
    """The same with another value of one parameter."""
    first, _, rest = name.partition(".")
    inner = replaced(getattr(process, first), rest, value) if rest else value
    if hasattr(process, "_replace"):
        return process._replace(**{first: inner})
    return type(process)(**{**{field: getattr(process, field) for field in _fields(process)}, first: inner})


def _fields(node: Any) -> tuple[str, ...]:
    return tuple(getattr(node, "_fields", ())) or tuple(getattr(node, "__dataclass_fields__", ()))


def _listed(process: Any) -> str:
    names = ", ".join(_fields(process))
    return f"are {names}" if names else "are none"
