"""Refusing parameters that a process cannot have."""

from typing import Any

import numpy as np

from gpujax.errors import InputError, InputTypeError

__all__ = ["check_bounds"]


def check_bounds(**parameters: tuple[Any, str]) -> None:
    """Refuse numbers that are out of bounds, NaN included.

    Arguments:
        parameters: for each name its value and what is expected, one of "> 0", ">= 0", "in [-1, 1]", "finite". Only Python's and
            NumPy's numbers are looked at: one that JAX traces has no value yet, one on a device would have to be waited for, and
            JAX builds trees of None.

    Raises: InputError with the name, the value and what was expected; InputTypeError for text and truth values.

    >>> check_bounds(kappa=(1.5, "> 0"), rho=(-0.7, "in [-1, 1]"))
    """
    for name, (value, expected) in parameters.items():
        if isinstance(value, (str, bytes, bool)):
            raise InputTypeError(f"{name}: {value!r}; expected a number {expected}")
        parts = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(part, (int, float, np.ndarray, np.generic)) for part in parts):
            continue
        array = np.asarray(value)
        if not np.all(_HOLDS[expected](array.astype(np.float64))):
            shown = value if array.ndim == 0 else array.tolist()
            raise InputError(f"{name}: {shown}; expected {'a number' if array.ndim == 0 else 'numbers'} {expected}")


_HOLDS = {
    "> 0": lambda x: (x > 0) & (x < np.inf),
    ">= 0": lambda x: (x >= 0) & (x < np.inf),
    "in [-1, 1]": lambda x: np.abs(x) <= 1,
    "finite": np.isfinite,
}
