"""A block of paths, step by step: the one loop that every estimate goes through.

Normal numbers are drawn one pair of steps ahead of their use and travel in the loop's carry, each pair as one complex number. On
the CPU, XLA writes a loop of its own for every output of a loop body and repeats in each what they share; a complex output is
one loop for both members of a pair, and what is carried is never computed twice (7.7 instead of 13 ns a step).

The number with index i of step k of path p is the word counted (p, (k // 2) (normals + uniforms) + i): it does not depend on the
block, its size or the device.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gpujax.numerics.random import normal_pair, threefry, uniform
from gpujax.pricing.monte_carlo.process import Process, State

__all__ = ["Visit", "initial_states", "run_paths"]

# visit(carry, state, index of the time): what happens to the path at each time
Visit = Callable[[Any, State, jax.Array], Any]


def run_paths(
    process: Process, key: tuple[jax.Array, jax.Array], path: jax.Array, times: jax.Array, carry: Any, visit: Visit
) -> tuple[State, Any]:
    """Advance a block of paths through all times.

    Arguments:
        path: indices of the paths, uint32 `[paths]`.
        times: increasing and > 0, in years, `[times]`; each is one step.
        carry: what `visit` starts from; leaves are `[paths]` or may be broadcast to it once.
        visit: called after each step with the carry, the state and the index of its time.

    Returns: the states at the last time, and the carry.
    """
    dtype, count = times.dtype, times.shape[0]
    uniforms = getattr(process, "uniforms", 0)
    starts = jnp.concatenate([jnp.zeros(1, dtype), times[:-1]])
    steps = times - starts
    state = initial_states(process, path, dtype)

    def draw(pair: jax.Array) -> tuple[jax.Array, ...]:
        first = pair.astype(jnp.uint32) * jnp.uint32(process.normals + uniforms)
        drawn = []
        for i in range(process.normals + uniforms):
            words = threefry(key, (path, first + jnp.uint32(i)))
            drawn.append(normal_pair(words, dtype) if i < process.normals else [uniform(w, dtype) for w in words])
        return tuple(lax.complex(*two) for two in drawn)

    def advance(state: State, carry: Any, index: jax.Array, draws: tuple[jax.Array, ...]) -> tuple[State, Any]:
        state = process.advance(state, starts[index], steps[index], draws)
        return state, visit(carry, state, index)

    def two_steps(loop: Any, pair: jax.Array) -> tuple[Any, None]:
        state, carry, ahead = loop
        state, carry = advance(state, carry, 2 * pair, tuple(z.real for z in ahead))
        state, carry = advance(state, carry, 2 * pair + 1, tuple(z.imag for z in ahead))
        return (state, carry, draw(pair + 1)), None

    loop = (state, carry, draw(jnp.zeros((), jnp.int32)))
    (state, carry, ahead), _ = lax.scan(two_steps, loop, jnp.arange(count // 2, dtype=jnp.int32))
    if count % 2:
        state, carry = advance(state, carry, jnp.asarray(count - 1), tuple(z.real for z in ahead))
    return state, carry


def initial_states(process: Process, path: jax.Array, dtype: Any) -> State:
    """The state at time zero of every path of a block: a leaf `[...]` becomes `[..., paths]`."""

    def spread(leaf: Any) -> jax.Array:
        x = jnp.asarray(leaf, dtype)
        return jnp.broadcast_to(x[..., None], (*x.shape, *path.shape))

    return jax.tree.map(spread, process.initial())
