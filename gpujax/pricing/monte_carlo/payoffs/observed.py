"""Payoffs that see only some of the simulated times: fixings, reset dates, windows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import places
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, check_looks

__all__ = ["at", "check_last", "looks", "place"]


@parameters(static=("looks",))
class _At:
    looks: tuple[int, ...]
    payoff: Any

    def check(self, times: int) -> None:
        check_last("looks", self.looks, times)
        check_looks(self.payoff, len(self.looks))

    def start(self, now):
        return self.payoff.start(now)

    def update(self, account, now):
        index, seen = place(now.index, self.looks)
        updated = self.payoff.update(account, now._replace(index=index))
        return jax.tree.map(lambda after, before: jnp.where(seen, after, before), updated, account)

    def value(self, account, last):
        index = jnp.asarray(len(self.looks) - 1, last.index.dtype)
        return self.payoff.value(account, last._replace(index=index))


def at(looks: Any, payoff: Payoff) -> Payoff:
    """A payoff that sees time zero and only some of the simulated times after it; it still pays at the last of all.

    Arguments:
        looks: numbers of the times it sees, counted from 0 among the simulated ones, increasing; `looks(times, dates)` finds
            those of dates.
        payoff: any.

    Raises: InputError, InputTypeError for numbers that do not increase; InputError where fewer times are simulated.

    The average of the months' ends on daily paths, and a barrier that is watched in the second half only:

    >>> from gpujax.pricing.monte_carlo import payoffs
    >>> monthly = at(range(20, 252, 21), payoffs.asian(strike=100.0))
    >>> window = at(range(126, 252), payoffs.barrier(strike=100.0, level=80.0, kind="down-and-out"))
    """
    return _At(looks=places("looks", looks), payoff=payoff)


def looks(times: npt.ArrayLike, dates: npt.ArrayLike, *, tolerance: float = 1e-6) -> tuple[int, ...]:
    """The numbers of some dates among the times that are simulated.

    Arguments:
        times: those that are simulated, increasing, in years.
        dates: some of them, increasing, in years.
        tolerance: how far a date may lie from a time, in years; half a minute unless told.

    Raises: InputError for a date that is none of the times.

    >>> looks([0.25, 0.5, 0.75, 1.0], [0.5, 1.0])
    (1, 3)
    """
    known, wanted = np.atleast_1d(np.asarray(times, float)), np.atleast_1d(np.asarray(dates, float))
    if known.ndim != 1 or not known.size or not np.all(np.isfinite(known)):
        raise InputError(f"times: {times!r}; expected increasing numbers of years in a row")
    found = []
    for date in wanted.ravel():
        nearest = int(np.argmin(np.abs(known - date)))
        if not abs(known[nearest] - date) <= tolerance:
            raise InputError(
                f"dates: {date} is none of the times; the nearest is {known[nearest]}: add it to the times"
            )
        found.append(nearest)
    return places("dates", found)


def place(index: jax.Array, looks: tuple[int, ...] | None) -> tuple[jax.Array, jax.Array | bool]:
    """The number of a time among some looks (of the next one if it is none of them), and whether it is one."""
    if looks is None:
        return index, True
    numbers = np.asarray(looks, np.int32)
    return jnp.sum(numbers < index, dtype=index.dtype), jnp.any(numbers == index)


def check_last(name: str, looks: tuple[int, ...] | None, times: int) -> None:
    """Refuse looks at times that are not simulated."""
    if looks is not None and looks[-1] >= times:
        raise InputError(f"{name}: {looks[-1]}; expected at most {times - 1}, the last of {times} simulated times")
