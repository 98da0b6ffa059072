"""What callers give, checked before anything runs and brought into the engine's form."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff
from gpujax.pricing.monte_carlo.process import Process

__all__ = [
    "MOST_PATHS",
    "Grid",
    "check_payoff",
    "check_process",
    "flat_payoffs",
    "float_dtype",
    "make_grid",
    "path_count",
]

MOST_PATHS = 1 << 32

# Times that are nearer to each other than this, in years, are one: a third of a millisecond.
_SAME = 1e-11


class Grid(NamedTuple):
    """The times that are simulated.

    Fields:
        times: the end of every step, `[steps]`.
        looks: which of them payoffs see, `[steps]`; None for all.
        known: the times as float64 numbers, or None where JAX traces them.
        seen: how many payoffs see.
    """

    times: Any
    looks: Any
    known: tuple[float, ...] | None
    seen: int


def make_grid(times: Any, process: Process, dtype: Any, max_step: float | None = None) -> Grid:
    """The times that payoffs see, those that the process needs, and steps no longer than `max_step` between them.

    Raises: InputError for times that do not increase from above zero, or a step that is not positive; InputTypeError where steps
        have to be added between times that are traced.
    """
    dates = tuple(getattr(process, "dates", ()))
    if max_step is not None and not max_step > 0:
        raise InputError(f"max_step: {max_step}; expected a number of years > 0, or None")
    if isinstance(times, Tracer):
        if max_step is not None or dates:
            what = "max_step" if max_step is not None else f"the dates of {type(process).__name__}"
            raise InputTypeError(f"times: traced, but {what} adds steps between them; close over times that are known")
        traced = jnp.atleast_1d(times.astype(dtype))
        return Grid(traced, None, None, traced.shape[0])
    known = _increasing(times)
    grid = known
    added = np.asarray([d for d in dates if _SAME < d < known[-1] - _SAME and np.min(np.abs(known - d)) > _SAME])
    if added.size:
        grid = np.unique(np.concatenate([known, added]))
    if max_step is not None:
        grid = _refined(grid, max_step)
    looks = np.isin(grid, known)
    return Grid(grid.astype(dtype), None if looks.all() else looks, tuple(grid.tolist()), int(looks.sum()))


def check_process(process: Any) -> None:
    """Refuse what is no process."""
    if not isinstance(process, Process):
        raise InputTypeError(
            f"process: {process!r}; expected one of monte_carlo.processes, such as GeometricBrownianMotion(...)"
        )


def check_payoff(payoff: Any) -> None:
    """Refuse what is no payoff."""
    if not isinstance(payoff, Payoff):
        raise InputTypeError(f"payoff: {payoff!r}; expected one of monte_carlo.payoffs, such as european(strike=100.0)")


def flat_payoffs(payoff: Any) -> tuple[list[Payoff], Any]:
    """The payoffs of a mapping, a tuple or a single one in a row, and the structure that they came in."""
    if not isinstance(payoff, (Mapping, tuple, list)):
        check_payoff(payoff)
    if isinstance(payoff, Mapping) and len({type(name) for name in payoff}) > 1:
        raise InputTypeError(f"payoff: names {list(payoff)} of different types; expected all text, or all numbers")
    leaves, tree = jax.tree.flatten(payoff, is_leaf=lambda x: isinstance(x, Payoff))
    for leaf in leaves:
        check_payoff(leaf)
    if not leaves:
        raise InputError("payoff: there is none; expected at least one")
    return leaves, tree


def path_count(paths: Any, name: str = "paths") -> int:
    """A number of paths, from 1 to 2^32."""
    if isinstance(paths, bool) or not isinstance(paths, (int, np.integer)):
        raise InputTypeError(f"{name}: {paths!r}; expected an integer")
    if not 1 <= paths <= MOST_PATHS:
        raise InputError(f"{name}: {paths}; expected 1 to {MOST_PATHS} (2^32)")
    return int(paths)


def float_dtype(dtype: Any) -> np.dtype:
    """The dtype of the paths."""
    found = np.dtype(jnp.result_type(float) if dtype is None else dtype)
    if found not in (np.float64, np.float32):
        raise InputTypeError(f"dtype: {dtype!r}; expected float64 or float32")
    if found == np.float64 and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise InputTypeError("dtype: float64 while JAX's 64-bit mode is off; call gpujax.configure() first")
    return found


def _increasing(times: Any) -> np.ndarray:
    known = np.atleast_1d(np.asarray(times, np.float64))
    if known.ndim != 1 or not known.size:
        raise InputError(f"times: shape {known.shape}; expected one time or several in a row")
    wrong = np.flatnonzero(~(np.diff(known, prepend=0.0) > 0))
    if wrong.size:
        place = int(wrong[0])
        before = known[place - 1] if place else 0.0
        raise InputError(
            f"times: {known[place]} at place {place} does not come after {before}; expected increasing times > 0"
        )
    if not np.all(np.isfinite(known)):
        raise InputError("times: infinite; expected numbers of years")
    return known


def _refined(grid: np.ndarray, max_step: float) -> np.ndarray:
    ends, before = [], 0.0
    for end in grid:
        parts = max(1, math.ceil((end - before) / max_step - 1e-9))
        inner = before + (end - before) * np.arange(1, parts) / parts
        ends += [*inner.tolist(), float(end)]
        before = end
    return np.asarray(ends)
