"""`Component`: everything the project knows about one capability, in one row.

Tests, the `Adapter`, the command line, servers and the documentation all read the same row, so that a capability is
described once and nothing about it can drift apart.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Argument", "Component", "Example", "Option", "Oracle", "Tolerance"]

Example = Callable[[int, int, Any], dict[str, np.ndarray]]
Oracle = Callable[..., Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Argument:
    """One input that carries data: numbers or booleans, one or an array of them.

    Fields:
        name: as the function calls it.
        meaning: what it is, in a few words.
        unit: "currency", "years", "per year", ...; empty for a pure number.
        least, greatest: the values that make sense, both included unless `above_least`. NaN stands for "not known" and
            is always allowed: it gives NaN in its row and leaves the other rows alone.
        above_least: whether `least` itself is excluded.
        default: the value where none is given, or None where one must be.
        boolean: whether it takes True and False instead of numbers.
    """

    name: str
    meaning: str
    unit: str = ""
    least: float = -math.inf
    greatest: float = math.inf
    above_least: bool = False
    default: float | bool | None = None
    boolean: bool = False

    @property
    def required(self) -> bool:
        """Whether every call has to give it."""
        return self.default is None

    @property
    def valid(self) -> str:
        """The values that make sense, in words: `>= 0`, `in [0, 1]`, `True or False`."""
        if self.boolean:
            return "True or False"
        if self.least > -math.inf and self.greatest < math.inf:
            return f"in {'(' if self.above_least else '['}{self.least:g}, {self.greatest:g}]"
        if self.least > -math.inf:
            return f"{'>' if self.above_least else '>='} {self.least:g}"
        return f"<= {self.greatest:g}" if self.greatest < math.inf else "any number"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One input that selects code: a name, or several, of a fixed set; another choice compiles another program.

    Fields:
        name: as the function calls it.
        meaning: what it selects, in a few words.
        choices: the names there are.
        default: what the function takes where nothing is given.
        several: whether it takes a tuple of names instead of one.
    """

    name: str
    meaning: str
    choices: tuple[str, ...]
    default: str | tuple[str, ...]
    several: bool = False


class Tolerance(NamedTuple):
    """How far a result may be from the exact one.

    Fields:
        relative: error over the size of the exact number itself.
        of_largest: error over the largest exact number of the batch; for results that pass through zero.
    """

    relative: float
    of_largest: float = 0.0

    def allowed(self, exact: np.ndarray) -> np.ndarray:
        """The greatest allowed error of each entry."""
        size = np.abs(exact)
        return self.relative * size + self.of_largest * np.max(size, initial=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Component:
    """One capability: a pure function and what has to be known to call, test, place and describe it.

    Fields:
        name: unique, `module.function`.
        category: what it belongs to, for lists.
        summary: one line.
        function: pure, keyword arguments, entry by entry: an array of n entries gives n results, which do not depend on
            each other. May return an array or a NamedTuple of arrays, with None for what was not asked for.
        arguments: the inputs that carry data; all of them broadcast against each other.
        options: the inputs that select code.
        example: `example(n, seed, dtype)` gives valid inputs of n entries each, the same for the same seed.
        oracle: takes what `function` takes, as NumPy arrays, and gives the exact results as float64 (an array, or a
            dict of the fields that it knows). Independent of gpujax, slow; for tests.
        tolerance: per dtype, how far results may be from the oracle's on the example inputs.
        least_size: entries from which an accelerator is worth the way there and back.
        least_size_why: where that number comes from.
        deterministic: False where the result depends on a random key.
        differentiable: the arguments by which results have a finite derivative on the example inputs.
    """

    name: str
    category: str
    summary: str
    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    options: tuple[Option, ...] = ()
    example: Example
    oracle: Oracle
    tolerance: Mapping[str, Tolerance]
    least_size: int
    least_size_why: str
    deterministic: bool = True
    differentiable: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Component({self.signature})"

    @property
    def signature(self) -> str:
        """How it is called: `black76.price(*, forward, strike, expiry, volatility, rate=0.0, is_call=True)`."""
        parts = [a.name if a.required else f"{a.name}={a.default}" for a in self.arguments]
        parts += [f"{o.name}=..." if o.several else f"{o.name}={o.default!r}" for o in self.options]
        return f"{self.name}(*, {', '.join(parts)})"

    def schema(self) -> dict[str, Any]:
        """The inputs as a JSON Schema object, for servers, forms and generated documentation.

        Every argument takes one value or a (nested) list; null in a list of numbers stands for NaN.
        """
        properties = {argument.name: _argument_schema(argument) for argument in self.arguments}
        properties |= {option.name: _option_schema(option) for option in self.options}
        return {
            "title": self.name,
            "description": self.summary,
            "type": "object",
            "properties": properties,
            "required": [argument.name for argument in self.arguments if argument.required],
            "additionalProperties": False,
        }


def _argument_schema(argument: Argument) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "boolean" if argument.boolean else "number"}
    if argument.least > -math.inf:
        one["exclusiveMinimum" if argument.above_least else "minimum"] = argument.least
    if argument.greatest < math.inf:
        one["maximum"] = argument.greatest
    unit = f", {argument.unit}" if argument.unit else ""
    said = {"description": f"{argument.meaning}{unit}; {argument.valid}"}
    missing = [] if argument.boolean else [{"type": "null"}]
    schema = {"anyOf": [one, {"type": "array", "items": {"anyOf": [one, *missing, {"type": "array"}]}}], **said}
    return schema if argument.required else {**schema, "default": argument.default}


def _option_schema(option: Option) -> dict[str, Any]:
    one = {"type": "string", "enum": list(option.choices)}
    default = list(option.default) if option.several else option.default
    several = {"type": "array", "items": one} if option.several else one
    return {**several, "description": option.meaning, "default": default}
