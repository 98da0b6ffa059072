r"""Samples of the difference that finer steps make: each path simulated twice from one Brownian motion, in steps h and 2h.

The normal number of a coarse step is that of its two fine ones together, $z = (z_1 + z_2) / \sqrt 2$, which makes the difference
of two payoffs as small as the scheme is accurate path by path (Giles 2008, section 3). How many steps there are is data, not
code: one program serves all levels.

Source: M. B. Giles, "Multilevel Monte Carlo Path Simulation", Operations Research 56 (2008), 607-617.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from gpujax.errors import InputError
from gpujax.numerics.random import normal_pair, threefry
from gpujax.pricing.monte_carlo.parameters import as_dtype
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation
from gpujax.pricing.monte_carlo.simulation import initial_states
from gpujax.pricing.monte_carlo.statistics import Moments, combine, merge, moments

__all__ = ["Task", "level_moments"]


class Task(NamedTuple):
    """What is simulated: a pytree of arrays.

    Fields:
        process, payoff: with parameters of any kind.
        times: the ends of intervals, `[intervals]`, each of which is cut into equal steps.
        looks: which of them payoffs see, `[intervals]`; None for all.
    """

    process: Any
    payoff: Any
    times: jax.Array
    looks: jax.Array | None


@functools.partial(jax.jit, static_argnames=("coupled", "block", "mesh"))
def level_moments(
    task: Task,
    key: Any,
    level: Any,
    steps: Any,
    first: Any,
    count: Any,
    *,
    coupled: bool,
    block: int,
    mesh: Mesh | None = None,
) -> Moments:
    """Moments of the present values of paths, or of the differences between those of fine and of coarse ones.

    Arguments:
        key, level: two words, and a number that goes with them: other levels draw other numbers.
        steps: in each interval; where coupled, the coarse ones, and there are twice as many fine ones.
        first, count: the index of the first path, and how many there are.
        coupled: differences rather than values.
        block: paths at a time.
        mesh: of devices, each of which takes an equal share of the paths.
    """
    dtype = task.times.dtype
    task = task._replace(process=as_dtype(task.process, dtype), payoff=as_dtype(task.payoff, dtype))
    level, steps, first, count = (jnp.asarray(x, jnp.uint32) for x in (level, steps, first, count))
    key = threefry(key, (level, jnp.uint32(_LEVEL)))
    devices = 1 if mesh is None else mesh.size
    share = (count + jnp.uint32(devices - 1)) // jnp.uint32(devices)

    def of_device(task: Task, key: Any, steps: Any, first: Any, count: Any, share: Any, device: jax.Array) -> Moments:
        begin = device[0] * share
        mine = jnp.minimum(share, jnp.maximum(count, begin) - begin)
        found = _blocks(task, key, steps, first + begin, mine, coupled, block)
        return jax.tree.map(lambda x: x[None], found)

    arguments = (task, key, steps, first, count, share, jnp.arange(devices, dtype=jnp.uint32))
    if mesh is None:
        parts = of_device(*arguments)
    else:
        everywhere, each = PartitionSpec(), PartitionSpec("paths")
        spread = jax.shard_map(
            of_device, mesh=mesh, in_specs=(*[everywhere] * 6, each), out_specs=each, check_vma=False
        )
        parts = spread(*arguments)
    return combine(parts)


def _blocks(task: Task, key: Any, steps: Any, first: Any, count: Any, coupled: bool, block: int) -> Moments:
    wide = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32  # pyright: ignore[reportAttributeAccessIssue]
    within = jnp.arange(block, dtype=jnp.uint32)

    def of_block(number: jax.Array) -> Moments:
        index = number * jnp.uint32(block) + within
        return moments([_samples(task, key, steps, first + index, coupled)], [], index < count, wide)

    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_block, jnp.uint32(0)))
    blocks = (count + jnp.uint32(block - 1)) // jnp.uint32(block)
    return lax.fori_loop(jnp.uint32(0), blocks, lambda i, found: merge(found, of_block(i)), nothing)


def _samples(task: Task, key: Any, steps: Any, path: jax.Array, coupled: bool) -> jax.Array:
    """Payoffs of the paths `path`, or fine ones less coarse ones, `[paths]`."""
    process, payoff, times, looks = task
    dtype, normals = times.dtype, process.normals
    starts = jnp.concatenate([jnp.zeros(1, dtype), times[:-1]])
    fine = initial_states(process, path, dtype)
    root = np.asarray(np.sqrt(0.5), dtype)

    def look(state: Any, index: Any, time: jax.Array) -> Observation:
        return Observation(index, time, process.discount(time, state), process.observe(state))

    def step(number: jax.Array, time: jax.Array, width: jax.Array, states: Any) -> Any:
        counter = number * jnp.uint32(normals)
        if not coupled:
            # A pair of numbers from each counter serves two of one step.
            used = range(0, normals, 2)
            z = [x for i in used for x in normal_pair(threefry(key, (path, counter + jnp.uint32(i))), dtype)][:normals]
            return (process.advance(states[0], time, width, tuple(z)),)
        pairs = [normal_pair(threefry(key, (path, counter + jnp.uint32(i))), dtype) for i in range(normals)]
        half = 0.5 * width
        moved = process.advance(states[0], time, half, tuple(z for z, _ in pairs))
        moved = process.advance(moved, time + half, half, tuple(z for _, z in pairs))
        return moved, process.advance(states[1], time, width, tuple(root * (a + b) for a, b in pairs))

    def interval(loop: Any, row: Any) -> tuple[Any, None]:
        states, accounts, seen = loop
        number, start, end, visible = row
        width = (end - start) / steps.astype(dtype)

        def one(i: jax.Array, states: Any) -> Any:
            return step(number * steps + i, start + i.astype(dtype) * width, width, states)

        states = lax.fori_loop(jnp.uint32(0), steps, one, states)

        def visit() -> Any:
            return tuple(payoff.update(a, look(s, seen, end)) for a, s in zip(accounts, states, strict=True))

        accounts = visit() if looks is None else lax.cond(visible, visit, lambda: accounts)
        return (states, accounts, seen + visible.astype(jnp.int32)), None

    states = (fine, fine) if coupled else (fine,)
    now = look(fine, jnp.asarray(-1, jnp.int32), jnp.zeros((), dtype))
    accounts = tuple(payoff.start(now) for _ in states)
    number = jnp.arange(len(times), dtype=jnp.uint32)
    visible = jnp.ones(len(times), bool) if looks is None else looks
    loop = (states, accounts, jnp.zeros((), jnp.int32))
    (states, accounts, seen), _ = lax.scan(interval, loop, (number, starts, times, visible))
    values = [payoff.value(a, look(s, seen - 1, times[-1])) for a, s in zip(accounts, states, strict=True)]
    if np.shape(values[0]) != path.shape:
        raise InputError(
            f"payoff: its values have shape {np.shape(values[0])}; expected one for each path of a block, {path.shape}: "
            "a payoff works on arrays of paths, entry by entry"
        )
    return values[0] - values[1] if coupled else values[0]


# Keeps the levels' numbers apart from those of other uses of a key.
_LEVEL = 0x4C45564C
