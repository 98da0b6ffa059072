"""How much of a batch fits: the compiler's own account of a program's memory, against what the device has free.

A program's memory grows along a line in the batch size, `bytes = fixed + per_entry * n`. The line is drawn through programs
compiled, not run, at small sizes (`jax.stages.Compiled.memory_analysis`), and the largest batch below a budget read off it.
Running out of memory and trying again with half is only what remains for cases the line does not foresee, such as another
process that took the memory meanwhile.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from gpujax.device import host

__all__ = [
    "MemoryModel",
    "fit_memory",
    "free_memory",
    "is_out_of_memory",
    "largest_batch",
    "program_bytes",
    "upper_bound",
]


class MemoryModel(NamedTuple):
    """The line `bytes(n) = fixed + per_entry * n` for a batch of n entries, in bytes."""

    fixed: float
    per_entry: float

    def bytes(self, size: int) -> int:
        """Memory in bytes that a batch of `size` entries takes: arguments, results and temporaries."""
        return round(self.fixed + self.per_entry * size)


def free_memory(device: Any, sharers: int = 1) -> int | None:
    """Memory in bytes that a computation on this device may still take, or None where nobody tells.

    Arguments:
        device: an accelerator answers for itself. For a CPU it is the host's available memory or what the container's limit
            leaves, whichever is less.
        sharers: how many devices in use share that host's memory (simulated CPU devices do); each gets its part.

    >>> free_memory(jax.devices("cpu")[0]) > 0
    True
    """
    statistics = device.memory_stats()
    if statistics and "bytes_limit" in statistics:
        return max(0, statistics["bytes_limit"] - statistics.get("bytes_in_use", 0))
    if device.platform == "cpu":
        usable = host.memory().usable
        return None if usable is None else usable // sharers
    return None


def program_bytes(compiled: jax.stages.Compiled) -> int | None:
    """Memory in bytes that a compiled program needs on each device while it runs, or None where the compiler does not tell.

    Arguments, results and temporaries count; a result that takes over the memory of an argument counts once.
    """
    try:
        analysis = compiled.memory_analysis()
    except NotImplementedError:
        return None
    if analysis is None:
        return None
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
        - analysis.alias_size_in_bytes
    )


def fit_memory(measure: Callable[[int], int], sizes: Sequence[int]) -> MemoryModel:
    """Fit `bytes = fixed + per_entry * n` from above: no measured size takes more than the line says.

    Arguments:
        measure: bytes that a batch of a given size takes (`program_bytes` of the program compiled for it).
        sizes: at least two different batch sizes, increasing. The slope is the steepest between neighbours, because
            temporaries that small programs keep in registers must not hide what large ones allocate.

    >>> fit_memory(lambda n: 1000 + 24 * n, (64, 256))
    MemoryModel(fixed=1000.0, per_entry=24.0)
    """
    taken = [measure(size) for size in sizes]
    pairs = zip(sizes[:-1], sizes[1:], taken[:-1], taken[1:], strict=True)
    slope = max(0.0, *((high - low) / (n - m) for m, n, low, high in pairs))
    fixed = max(0.0, *(total - slope * size for size, total in zip(sizes, taken, strict=True)))
    return MemoryModel(float(fixed), float(slope))


def largest_batch(model: MemoryModel, budget: int, wanted: int) -> int:
    """The largest batch that fits: `wanted` if that does, else the largest 2^k or 3*2^k that does, or 0 if not one entry does.

    Few distinct sizes, so that nearly equal budgets do not compile a program each.

    Arguments:
        model: what a batch takes.
        budget: bytes that it may take.
        wanted: the whole batch, in entries.

    >>> largest_batch(MemoryModel(1000.0, 24.0), budget=4000, wanted=1_000_000)
    96
    """
    if model.bytes(wanted) <= budget:
        return wanted
    fitting = int((budget - model.fixed) // model.per_entry) if budget >= model.fixed else 0
    if fitting < 1:
        return 0
    power = 1 << (fitting.bit_length() - 1)
    return power + power // 2 if power >= 2 and power + power // 2 <= fitting else power


def upper_bound(jaxpr: ClosedJaxpr) -> int:
    """Bytes of all arguments and every intermediate value of a traced function, as if none were fused or freed.

    A cheap, deliberately high estimate: where even this fits, nothing needs to be compiled to find out. Loops count their body
    once, since each round reuses the memory of the last.
    """
    # JAX's newer line has one class for both, without the inner `jaxpr`.
    open_jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    return sum(_bytes(variable) for variable in open_jaxpr.invars) + _equation_bytes(open_jaxpr)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of JAX says that a device ran out of memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and str(error).startswith("RESOURCE_EXHAUSTED")


def _equation_bytes(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        total += sum(_bytes(variable) for variable in equation.outvars)
        total += sum(_equation_bytes(inner) for inner in _inner_jaxprs(equation.params.values()))
    return total


def _inner_jaxprs(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _inner_jaxprs(value)
        elif hasattr(value, "eqns"):
            yield getattr(value, "jaxpr", value)


def _bytes(variable: Any) -> int:
    shape, dtype = getattr(variable.aval, "shape", ()), getattr(variable.aval, "dtype", None)
    # Random keys have a dtype of their own without a NumPy item size; they are few and small.
    return int(np.prod(shape, dtype=np.int64)) * getattr(dtype, "itemsize", 8)
