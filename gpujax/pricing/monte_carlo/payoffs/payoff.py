"""What the engine asks of a payoff, payoffs on a transformed underlying, and payoffs that are a function of the whole path."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax

from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.process import Spot

__all__ = ["Observation", "Payoff", "of_path", "on"]


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
    """A payoff as a running account of each path: a pytree of parameters with three methods."""

    def start(self, now: Observation) -> Any:
        """The account at time zero: a pytree of `[paths]`, or of what broadcasts to it."""
        ...

    def update(self, account: Any, now: Observation) -> Any:
        """The account after one more time."""
        ...

    def value(self, account: Any, last: Observation) -> jax.Array:
        """The present value of what the path pays, `[paths]`."""
        ...


@parameters(static=("underlying",))
class _On:
    underlying: Callable[[Any], jax.Array]
    payoff: Any

    def _seen(self, now: Observation) -> Observation:
        return now._replace(spot=self.underlying(now.spot))

    def start(self, now):
        return self.payoff.start(self._seen(now))

    def update(self, account, now):
        return self.payoff.update(account, self._seen(now))

    def value(self, account, last):
        return self.payoff.value(account, self._seen(last))


def on(underlying: Callable[[Any], jax.Array], payoff: Payoff) -> Payoff:
    """A payoff written on a function of the prices: `on(lambda spots: spots[0] - spots[1], asian(strike=0.0))`.

    Arguments:
        underlying: takes what the process shows (a tuple of prices if it has several assets), gives one price, `[paths]`.
    """
    return _On(underlying=underlying, payoff=payoff)


@parameters(static=("function", "times"))
class _OfPath:
    function: Callable[..., jax.Array]
    times: int

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
        times: how many times are simulated. The paths of one block are kept in memory.

    >>> half = of_path(lambda path: jnp.maximum(path[-1] - path[2], 0), times=4)
    """
    return _OfPath(function=function, times=times)
