"""The kinds of field of a configuration: each check gives a value its normal form, or says what would do."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "Check",
    "Unsuitable",
    "boolean",
    "count_or_none",
    "device_ids_of",
    "field",
    "mesh_axes_of",
    "one_of",
    "path_or_none",
    "share",
]

Check = Callable[[Any], Any]


def field(default: Any, check: Check, meaning: str) -> Any:
    """A dataclass field that knows what it accepts and what it means in a sentence."""
    return dataclasses.field(default=default, metadata={"check": check, "meaning": meaning})


class Unsuitable(ValueError):
    """A value does not fit its field; the text says what would."""

    def __init__(self, expected: str, choices: tuple[str, ...] = ()) -> None:
        super().__init__(expected)
        self.expected, self.choices = expected, choices


def one_of(*choices: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise Unsuitable("one of " + ", ".join(choices), choices)
        return value

    return check


def share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value <= 1.0:
        raise Unsuitable("a number above 0 and up to 1")
    return float(value)


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unsuitable("true or false")
    return value


def count_or_none(value: Any) -> int | None:
    if value is not None and (not _is_integer(value) or value < 1):
        raise Unsuitable("a whole number of at least 1 (write 1000000, not 1e6), or null for no limit")
    return value


def path_or_none(value: Any) -> str | None:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise Unsuitable("the path of a directory, or null for no cache")
    return value


def device_ids_of(value: Any) -> tuple[int, ...]:
    expected = "a list of different device numbers such as [0, 1]"
    if not isinstance(value, (list, tuple, range)) or not value:
        raise Unsuitable(expected)
    if not all(_is_integer(v) and v >= 0 for v in value) or len(set(value)) != len(value):
        raise Unsuitable(expected)
    return tuple(value)


def mesh_axes_of(value: Any) -> tuple[tuple[str, int], ...]:
    expected = "axis names with their sizes, such as {batch: 8}"
    if isinstance(value, Mapping):
        value = tuple(value.items())
    if not isinstance(value, (list, tuple)) or not value:
        raise Unsuitable(expected)
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value):
        raise Unsuitable(expected)
    axes = tuple((name, size) for name, size in value)
    if not all(
        isinstance(name, str) and name.isidentifier() and _is_integer(size) and size >= 1 for name, size in axes
    ):
        raise Unsuitable(expected)
    if len({name for name, _ in axes}) != len(axes):
        raise Unsuitable("axis names that differ from each other")
    return axes


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
