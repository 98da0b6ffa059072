"""What the engine asks of a process, and a process made of a user's own functions.

A process is a pytree of parameters with four methods and a number. States are pytrees of scalars when they are made and of
blocks of paths, `[paths]`, when they are advanced (a leaf `[n]` becomes `[n, paths]`); nothing in a process knows how many
paths there are.

Three members are optional:

- `uniforms`, an integer: so many numbers of each step are uniform on (0, 1), and follow the normal ones.
- `dates`, a tuple of times that must be stepped on: where dividends are paid, where parameters jump. Payoffs do not see them.
- `prepare(times, draws)`: takes the numbers of whole paths, a tuple of `normals + uniforms` arrays `[steps, paths]`, and gives
  the tuple of arrays `[steps, paths]` that `advance` gets instead, a row at each step: for dynamics that need the whole past
  of their noise, which is one matrix product here. The paths of a block are then in memory at once.
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

    def advance(self, state: State, time: jax.Array, step: jax.Array, draws: tuple[jax.Array, ...]) -> State:
        """The state after `step` years, from that at `time`; `draws` are this step's normal numbers, then its uniform ones."""
        ...

    def observe(self, state: State) -> Spot:
        """What payoffs are written on: the price, or one for each asset."""
        ...

    def discount(self, time: jax.Array, state: State) -> jax.Array:
        """What one paid at `time`, where the path is in `state`, is worth today: a number, or one for each path."""
        ...


@parameters(static=("normals", "uniforms", "start", "move", "price"))
class CustomProcess:
    """A process of your own, from a pair of pure functions.

    Arguments:
        start: `start(values)` gives the state at time zero, a pytree of scalars.
        move: `move(values, state, time, step, draws)` gives the state one step later; `draws` is a tuple of arrays of
            independent standard normal numbers, then uniform ones. Written for one path it serves a block, entry by entry.
        values: the parameters, a pytree of numbers; derivatives are taken by these.
        normals, uniforms: how many normal numbers and how many uniform ones a step takes.
        price: `price(state)` gives the spot; by default the state itself.
        rate: continuously compounded, for the discount factor.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> jumpy = CustomProcess(
    ...     start=lambda values: values["spot"],
    ...     move=lambda values, spot, time, step, draws: spot + values["volatility"] * step**0.5 * draws[0],
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
    uniforms: int = 0

    def initial(self) -> State:
        return self.start(self.values)

    def advance(self, state, time, step, draws):
        return self.move(self.values, state, time, step, draws)

    def observe(self, state):
        return state if self.price is None else self.price(state)

    def discount(self, time, state):
        return jax.numpy.exp(-self.rate * time)
