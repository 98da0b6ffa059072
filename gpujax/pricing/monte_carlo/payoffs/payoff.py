"""What the engine asks of a payoff, payoffs on a transformed underlying, and payoffs that are a function of the whole path."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_numbers
from gpujax.pricing.monte_carlo.process import Spot

__all__ = ["AtTheEnd", "Observation", "Payoff", "check_looks", "of_path", "of_price", "on", "one_price", "prices"]


class Observation(NamedTuple):
    """What a payoff sees at one time of a block of paths.

    Fields:
        index: of the time among those simulated, from 0; -1 at time zero.
        time: in years.
        discount: what one paid at `time` is worth today: a number, or `[paths]` where rates are random.
        spot: the price, `[paths]`, or a tuple of them, one for each asset.
    """

    index: jax.Array
    time: jax.Array
    discount: Any
    spot: Spot


@runtime_checkable
class Payoff(Protocol):
    """A payoff as a running account of each path: a pytree of parameters with three methods.

    Optional: `check(times)`, which raises InputError if the payoff cannot be written on that many times (see `check_looks`).
    """

    def start(self, now: Observation) -> Any:
        """The account at time zero: a pytree of `[paths]`, or of what broadcasts to it."""
        ...

    def update(self, account: Any, now: Observation) -> Any:
        """The account after one more time."""
        ...

    def value(self, account: Any, last: Observation) -> jax.Array:
        """The present value of what the path pays, `[paths]`."""
        ...


class AtTheEnd:
    """Base of payoffs of one price at the last time: no account is kept; `value` remains to be written."""

    def start(self, now: Observation) -> tuple[()]:
        one_price(now.spot)
        return ()

    def update(self, account: tuple[()], now: Observation) -> tuple[()]:
        return ()


def one_price(spot: Spot) -> jax.Array:
    """The price, where a payoff is written on one.

    Raises: InputError if there are several.
    """
    if isinstance(spot, (tuple, list)):
        raise InputError(
            f"payoff: written on one price, but the process shows {len(spot)}; choose or combine them by "
            "on(lambda spots: spots[0], payoff), or use basket, best_of, worst_of or spread"
        )
    return spot


def prices(spot: Spot, least: int = 1) -> tuple[jax.Array, ...]:
    """All prices, where a payoff may be written on several.

    Raises: InputError if there are fewer than `least`.
    """
    found = tuple(spot) if isinstance(spot, (tuple, list)) else (spot,)
    if len(found) < least:
        raise InputError(f"payoff: written on at least {least} prices, but the process shows {len(found)}")
    return found


def check_looks(payoff: Any, times: int) -> None:
    """Refuse a payoff that asks for other times than there are.

    Arguments:
        times: how many the payoff sees.

    Raises: InputError, from the payoff's own `check`.
    """
    check = getattr(payoff, "check", None)
    if check is not None:
        check(times)


@parameters(static=("underlying",))
class _On:
    underlying: Callable[[Any], jax.Array]
    payoff: Any

    def check(self, times: int) -> None:
        check_looks(self.payoff, times)

    def _seen(self, now: Observation) -> Observation:
        return now._replace(spot=self.underlying(now.spot))

    def start(self, now):
        return self.payoff.start(self._seen(now))

    def update(self, account, now):
        return self.payoff.update(account, self._seen(now))

    def value(self, account, last):
        return self.payoff.value(account, self._seen(last))


def on(underlying: Callable[[Any], Spot], payoff: Payoff) -> Payoff:
    """A payoff written on a function of the prices: `on(lambda spots: spots[0] - spots[1], asian(strike=0.0))`.

    Arguments:
        underlying: takes what the process shows (a tuple of prices if it has several assets), gives one price, `[paths]`, or a
            tuple of them for a payoff of several.
    """
    return _On(underlying=underlying, payoff=payoff)


@parameters(static=("function",))
class _OfPrice:
    function: Callable[[Any], jax.Array]

    def start(self, now):
        return ()

    def update(self, account, now):
        return account

    def value(self, account, last):
        return last.discount * self.function(last.spot)


def of_price(function: Callable[[Any], jax.Array]) -> Payoff:
    """A payoff that is any pure function of the price at the last time, and paid then.

    Arguments:
        function: takes the price `[paths]` (a tuple of them if the process has several assets), gives what is paid, `[paths]`.

    >>> squared = of_price(lambda spot: spot * spot)
    """
    return _OfPrice(function=function)


@parameters(static=("function", "times"))
class _OfPath:
    function: Callable[..., jax.Array]
    times: int

    def check(self, times: int) -> None:
        if times != self.times:
            raise InputError(f"times: {self.times} in of_path, but {times} are simulated; expected the same number")

    def start(self, now):
        def room(x):
            return jnp.zeros((self.times + 1, *x.shape), x.dtype).at[0].set(x)

        return jax.tree.map(room, now.spot)

    def update(self, account, now):
        def put(path, x):
            return lax.dynamic_update_index_in_dim(path, x, now.index + 1, 0)

        return jax.tree.map(put, account, now.spot)

    def value(self, account, last):
        return last.discount * self.function(account)


def of_path(function: Callable[..., jax.Array], *, times: int) -> Payoff:
    """A payoff that is any pure function of the whole path, paid at the last time.

    Arguments:
        function: takes the path `[times + 1, paths]`, the spot at time zero first (a tuple of such arrays if the process has
            several assets), and gives what is paid at the last time, `[paths]`.
        times: how many times are simulated, >= 1. The paths of one block are kept in memory.

    Raises: InputError where another number of times is simulated.

    >>> half = of_path(lambda path: jnp.maximum(path[-1] - path[2], 0), times=4)
    """
    check_numbers(1, times=times)
    return _OfPath(function=function, times=int(times))
