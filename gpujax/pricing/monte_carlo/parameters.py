"""`parameters`: frozen dataclasses that JAX sees as pytrees, for processes and payoffs."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar, dataclass_transform

import jax

__all__ = ["parameters"]

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def parameters(*, static: tuple[str, ...] = ()) -> Callable[[Class], Class]:
    """A frozen, keyword-only dataclass whose fields are data to JAX, but for those named, which select code."""

    def decorate(cls: Class) -> Class:
        made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        data = tuple(field.name for field in dataclasses.fields(made) if field.name not in static)
        return jax.tree_util.register_dataclass(made, data_fields=data, meta_fields=static)

    return decorate
