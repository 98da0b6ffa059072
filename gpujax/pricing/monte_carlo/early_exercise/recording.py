"""Blocks of paths that are kept on the dates of exercise: what regressions and nested simulations start from."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gpujax.pricing.monte_carlo.early_exercise.bases import Seen
from gpujax.pricing.monte_carlo.engine import look
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation, Payoff
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.simulation import Numbers, initial_states, run_paths

__all__ = ["Place", "beginning", "control_count", "noise_controls", "record", "seen_at"]


class Place(NamedTuple):
    """Where paths are: all that their future depends on.

    Fields:
        state: of the process.
        account: of the payoff, with the time of the place in it.
        noise: Brownian motions that have driven the process so far, a tuple; empty where they were not kept.
    """

    state: Any
    account: Any
    noise: tuple[Any, ...] = ()


def record(
    process: Process,
    payoff: Payoff,
    numbers: Numbers,
    path: jax.Array,
    times: jax.Array,
    looks: jax.Array | None,
    dates: jax.Array,
    *,
    noise: bool = False,
) -> Place:
    """Places of a block of paths on all dates of exercise, `[dates, ..., paths]`.

    Arguments:
        dates: which of the times that payoffs see are dates of exercise, increasing.
        noise: whether to keep the noise; for processes that do not prepare it.
        others: as for `run_paths`.
    """
    start = beginning(process, payoff, path, times.dtype)
    if noise:
        start = start._replace(noise=(jnp.zeros(path.shape, times.dtype),) * process.normals)
    room = jax.tree.map(lambda x: jnp.zeros((dates.shape[0], *x.shape), x.dtype), start)

    def visit(carry: Any, state: Any, index: jax.Array, time: jax.Array) -> Any:
        account, room = carry
        index = jnp.asarray(index, jnp.int32)
        state, driven = state if noise else (state, ())
        account = payoff.update(account, look(process, state, index, time))
        # Times between two dates write where the second one will.
        slot = jnp.sum(dates < index, dtype=jnp.int32)
        place = Place(state, account, driven)
        return account, jax.tree.map(lambda r, x: lax.dynamic_update_index_in_dim(r, x, slot, 0), room, place)

    followed: Any = _WithNoise(process=process) if noise else process
    return run_paths(followed, numbers, path, times, (start.account, room), visit, looks=looks)[0].carry[1]


def beginning(process: Process, payoff: Payoff, path: jax.Array, dtype: Any) -> Place:
    """Places at time zero; accounts are as wide as the paths, also those that begin with a number for all."""
    state = initial_states(process, path, dtype)
    now = look(process, state, jnp.asarray(-1, jnp.int32), jnp.zeros((), dtype))
    account = payoff.start(now)
    after = jax.eval_shape(payoff.update, account, now)
    return Place(state, jax.tree.map(lambda x, y: jnp.broadcast_to(x, y.shape), account, after))


@parameters()
class _WithNoise:
    """A process that keeps the Brownian motions that drive it, besides its state."""

    process: Any

    @property
    def normals(self) -> int:
        return self.process.normals

    def initial(self):
        return self.process.initial(), (0.0,) * self.normals

    def advance(self, state, time, step, draws):
        root = jnp.sqrt(step)
        driven = tuple(w + root * z for w, z in zip(state[1], draws, strict=False))
        return self.process.advance(state[0], time, step, draws), driven


def noise_controls(added: Sequence[jax.Array], elapsed: jax.Array) -> list[jax.Array]:
    """Martingales of Brownian motions over some time: what they added, its squares less their mean, and the product of two."""
    squares = [w * w - elapsed for w in added]
    # Of many, the products are too many.
    product = [added[0] * added[1]] if len(added) == 2 else []
    return [*added, *squares, *product]


def control_count(normals: int) -> int:
    """How many controls there are for so many normal numbers a step."""
    return 2 * normals + (normals == 2)


def seen_at(payoff: Payoff, now: Observation, state: Any, account: Any) -> tuple[jax.Array, Seen]:
    """The present value of exercise, and what the decision may depend on."""
    worth = payoff.value(account, now)
    return worth, Seen(now.spot, worth / now.discount, state, account)
