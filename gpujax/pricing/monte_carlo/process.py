"""What the engine asks of a process, and a process made of a user's own functions.

A process is a pytree of parameters with three methods and a number. States are pytrees of scalars when they are made and of
blocks of paths, `[paths]`, when they are advanced; nothing in a process knows how many paths there are.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax

from gpujax.pricing.monte_carlo.parameters import parameters

__all__ = ["CustomProcess", "Process", "Spot", "State"]

State = Any
# One array of paths, or a tuple of them, one for each asset.
Spot = Any


@runtime_checkable
class Process(Protocol):
    """Dynamics that the engine can simulate."""

    @property
    def normals(self) -> int:
        """How many independent standard normal numbers a step takes."""
        ...

    def initial(self) -> State:
        """The state at time zero."""
        ...

    def advance(self, state: State, time: jax.Array, step: jax.Array, normals: tuple[jax.Array, ...]) -> State:
        """The state after `step` years, from that at `time`."""
        ...

    def observe(self, state: State) -> Spot:
        """What payoffs are written on: the price, or one for each asset."""
        ...

    def discount(self, time: jax.Array) -> jax.Array:
        """The price today of one paid at `time`."""
        ...


@parameters(static=("normals", "start", "move", "price"))
class CustomProcess:
    """A process of your own, from a pair of pure functions.

    Arguments:
        start: `start(values)` gives the state at time zero, a pytree of scalars.
        move: `move(values, state, time, step, normals)` gives the state one step later; `normals` is a tuple of arrays of
            independent standard normal numbers. Written for one path it serves a block of them, entry by entry.
        values: the parameters, a pytree of numbers; derivatives are taken by these.
        normals: how many normal numbers a step takes.
        price: `price(state)` gives the spot; by default the state itself.
        rate: continuously compounded, for the discount factor.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> jumpy = CustomProcess(
    ...     start=lambda values: values["spot"],
    ...     move=lambda values, spot, time, step, normals: spot + values["volatility"] * step**0.5 * normals[0],
    ...     values={"spot": 100.0, "volatility": 20.0}, normals=1)
    >>> mc.price(jumpy, mc.payoffs.european(strike=100.0), key=1, paths=100_000, times=1.0).value.round(1)
    Array(8., dtype=float64)
    """

    start: Callable[[Any], State]
    move: Callable[..., State]
    values: Any
    normals: int
    price: Callable[[State], Spot] | None = None
    rate: Any = 0.0

    def initial(self) -> State:
        return self.start(self.values)

    def advance(self, state, time, step, normals):
        return self.move(self.values, state, time, step, normals)

    def observe(self, state):
        return state if self.price is None else self.price(state)

    def discount(self, time):
        return jax.numpy.exp(-self.rate * time)
