"""A block of paths, step by step: the one loop that every estimate goes through.

Numbers are either made on the way or there from the start. On the way, they are drawn one pair of steps ahead of their use and
travel in the loop's carry, each pair as one complex number. On the CPU, XLA writes a loop of its own for every output of a loop
body and repeats in each what they share; a complex output is one loop for both members of a pair, and what is carried is never
computed twice (7.7 instead of 13 ns a step).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gpujax.pricing.monte_carlo.process import Process, State

__all__ = ["Branch", "Numbers", "Visit", "initial_states", "run_paths"]

# visit(carry, state, index of the time, time): what happens to the path at each time that payoffs see
Visit = Callable[[Any, State, jax.Array, jax.Array], Any]

# Either all of them, a tuple of `[steps, paths]`, or a function of the number of a pair of steps: a tuple of complex `[paths]`
# whose real parts are the numbers of the first step and whose imaginary parts are those of the second.
Numbers = tuple[jax.Array, ...] | Callable[[jax.Array], tuple[jax.Array, ...]]


class Branch(NamedTuple):
    """What a block of paths has come to: its states at the last time, what `visit` made, and its likelihood ratio (or None)."""

    state: State
    carry: Any
    weight: Any = None


def run_paths(
    process: Process,
    numbers: Numbers,
    path: jax.Array,
    times: jax.Array,
    carry: Any,
    visit: Visit,
    *,
    looks: jax.Array | None = None,
    drift: jax.Array | None = None,
    reflect: bool = False,
    remember: bool = True,
) -> list[Branch]:
    """Advance a block of paths through all times.

    Arguments:
        numbers: what the paths are made of; see `methods`.
        path: indices of the paths, uint32 `[paths]`.
        times: increasing and > 0, in years, `[steps]`; each is the end of one step.
        carry: what `visit` starts from; leaves are `[paths]`, or `[..., paths]`.
        visit: called at each time that payoffs see with the carry, the state, the number of the look and the time.
        looks: which times payoffs see, `[steps]`; None for all.
        drift: added to the normal numbers of each step, `[steps, normals]`; the paths then have a weight, the density of what was
            drawn without the drift over that with it.
        reflect: whether each path gets a second branch, in which every normal number has the other sign and u is 1 - u.

        remember: what reverse differentiation keeps of each step: everything, or only what the step starts from.

    Returns: one branch, or two.
    """
    dtype, count = times.dtype, times.shape[0]
    starts = jnp.concatenate([jnp.zeros(1, dtype), times[:-1]])
    steps = times - starts
    seen = None if looks is None else jnp.cumsum(looks.astype(jnp.int32)) - 1
    weight = None if drift is None else jnp.zeros(path.shape, dtype)
    first = Branch(initial_states(process, path, dtype), carry, weight)
    branches = [first, first] if reflect else [first]

    def step(branches: list[Branch], index: jax.Array, draws: tuple[jax.Array, ...]) -> list[Branch]:
        moved = [one(branches[0], index, draws)]
        if reflect:
            opposite = tuple(-z if i < process.normals else 1 - z for i, z in enumerate(draws))
            moved.append(one(branches[1], index, opposite))
        return moved

    if not remember:
        step = jax.checkpoint(step)

    def one(branch: Branch, index: jax.Array, draws: tuple[jax.Array, ...]) -> Branch:
        weight = branch.weight
        if drift is not None and weight is not None:
            # The density of the number that is used, z + μ, over that of the one that was drawn: -μ (z + μ / 2) in logarithms.
            row = drift[index]
            moved = [(row[i], draws[i]) for i in range(process.normals)]
            weight = weight - sum((m * (z + 0.5 * m) for m, z in moved), jnp.zeros((), dtype))
            draws = (*(z + m for m, z in moved), *draws[process.normals :])
        state = process.advance(branch.state, starts[index], steps[index], draws)
        if looks is None or seen is None:
            return Branch(state, visit(branch.carry, state, index, times[index]), weight)
        number = seen[index]
        carry = lax.cond(looks[index], lambda: visit(branch.carry, state, number, times[index]), lambda: branch.carry)
        return Branch(state, carry, weight)

    if callable(numbers):
        branches = _drawing(step, branches, numbers, count)
    else:
        branches, _ = lax.scan(
            lambda branches, row: (step(branches, row[0], row[1]), None),
            branches,
            (jnp.arange(count, dtype=jnp.int32), tuple(numbers)),
        )
    if drift is None:
        return branches
    return [branch._replace(weight=jnp.exp(branch.weight)) for branch in branches]


def initial_states(process: Process, path: jax.Array, dtype: Any) -> State:
    """The state at time zero of every path of a block: a leaf `[...]` becomes `[..., paths]`."""

    def spread(leaf: Any) -> jax.Array:
        x = jnp.asarray(leaf, dtype)
        return jnp.broadcast_to(x[..., None], (*x.shape, *path.shape))

    return jax.tree.map(spread, process.initial())


def _drawing(step: Any, branches: list[Branch], draw: Any, count: int) -> list[Branch]:
    """All steps, with numbers drawn one pair of steps ahead."""

    def two_steps(loop: Any, pair: jax.Array) -> tuple[Any, None]:
        branches, ahead = loop
        branches = step(branches, 2 * pair, tuple(z.real for z in ahead))
        branches = step(branches, 2 * pair + 1, tuple(z.imag for z in ahead))
        return (branches, draw(pair + 1)), None

    loop = (branches, draw(jnp.zeros((), jnp.int32)))
    (branches, ahead), _ = lax.scan(two_steps, loop, jnp.arange(count // 2, dtype=jnp.int32))
    if count % 2:
        branches = step(branches, jnp.asarray(count - 1), tuple(z.real for z in ahead))
    return branches
