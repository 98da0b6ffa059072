"""What makers of payoffs refuse: values that no contract has, named before anything runs. Traced values are not checked."""

import math
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError

__all__ = ["check_choice", "check_flags", "check_numbers", "check_width", "places"]


def check_numbers(low: float = -math.inf, *, above: float = -math.inf, **named: Any) -> None:
    """Refuse what is no real number, or not >= `low`, or not > `above`; None and infinite numbers pass."""
    for name, value in named.items():
        known = [x for x in jax.tree.leaves(value) if not isinstance(x, Tracer)]
        try:
            arrays = [np.asarray(x) for x in known]
        except ValueError:
            arrays = [np.asarray(None)]
        if any(a.dtype.kind not in "iuf" for a in arrays):
            raise InputTypeError(f"{name}: {value!r}; expected real numbers")
        # Written so that NaN fails.
        if not all(np.all((a >= low) & ((a > above) | (above == -math.inf))) for a in arrays):
            wanted = f" >= {low:g}" if low > -math.inf else f" > {above:g}" if above > -math.inf else ""
            raise InputError(f"{name}: {value!r}; expected numbers{wanted}")


def check_flags(**named: Any) -> None:
    """Refuse what is not True or False: flags select code, so that an array of them cannot work."""
    for name, value in named.items():
        if not isinstance(value, (bool, np.bool_)):
            raise InputTypeError(f"{name}: {value!r}; expected True or False, one for the whole contract")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse a name that is not among the choices."""
    if value not in choices:
        listed = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
        raise InputError(f"{name}: {value!r}; expected {listed}")


def check_width(smoothing: Any) -> Any:
    """The width of a ramp, or None for a jump.

    Raises: InputError for a width below 0 or above 1.
    """
    check_numbers(0.0, smoothing=smoothing)
    if isinstance(smoothing, Tracer):
        return smoothing
    if np.any(np.asarray(smoothing) > 1):
        raise InputError(f"smoothing: {smoothing!r}; expected a width from 0 to 1, such as 0.01")
    return smoothing if np.any(np.asarray(smoothing) > 0) else None


def places(name: str, looks: Any) -> tuple[int, ...]:
    """Numbers of looks as a tuple of increasing integers from 0.

    Raises: InputError, InputTypeError.
    """
    if isinstance(looks, (int, np.integer)) and not isinstance(looks, bool):
        looks = (looks,)
    numbers = np.asarray(looks if not isinstance(looks, str) else None)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or not numbers.size:
        raise InputTypeError(
            f"{name}: {looks!r}; expected numbers of simulated times, counted from 0, such as (2, 5, 8): "
            f"payoffs.looks(times, dates) finds those of dates"
        )
    if numbers[0] < 0 or np.any(np.diff(numbers) <= 0):
        raise InputError(
            f"{name}: {tuple(numbers.tolist())}; expected increasing numbers from 0, the first simulated time"
        )
    return tuple(numbers.tolist())
