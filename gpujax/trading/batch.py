"""Flat NumPy arrays through a compiled function, in few shapes.

XLA compiles once per shape. Chains come in every length, so rows are padded to one of a few lengths and long chains
run in equal blocks: three programs serve every chain, and a second chain compiles nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

__all__ = ["evaluate"]

# The longest is the block in which large arrays run fastest on a CPU (it stays in cache), and is plenty for a GPU.
_LENGTHS = (1024, 16_384, 131_072)


def evaluate(function: Callable[..., Any], arrays: Mapping[str, npt.NDArray[Any]], **static: Any) -> Any:
    """Call `function(**arrays, **static)` over rows.

    Arguments:
        function: jitted, keyword-only, element by element; may return an array or a (named) tuple of arrays and None.
        arrays: one-dimensional NumPy arrays of one length, floating or boolean.
        static: arguments passed on as they are.

    Returns: what the function returns, with NumPy arrays `[n]`; floating results in float64.
    """
    count = len(next(iter(arrays.values())))
    size = next((length for length in _LENGTHS if count <= length), _LENGTHS[-1])
    pieces = []
    for start in range(0, max(count, 1), size):
        block = {name: _padded(array[start : start + size], size) for name, array in arrays.items()}
        # Dispatch is asynchronous: the next block is prepared while this one runs.
        pieces.append(function(**block, **static))
    return jax.tree.map(lambda *parts: _joined(parts, count), *pieces)


def _padded(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    if len(array) == size:
        return array
    # Repeating the last row keeps the padding inside the function's domain.
    result = np.empty(size, dtype=array.dtype)
    result[: len(array)] = array
    result[len(array) :] = array[-1] if len(array) else 1
    return result


def _joined(parts: tuple[Any, ...], count: int) -> npt.NDArray[Any]:
    joined = np.concatenate([np.asarray(part) for part in parts])[:count]
    return joined.astype(np.float64) if joined.dtype.kind == "f" else joined
