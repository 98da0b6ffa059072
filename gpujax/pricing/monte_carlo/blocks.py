"""Samples over blocks of paths and over devices.

A block is simulated, its moments are kept, and it is forgotten: 10^9 paths need no more memory than one block. Devices take
neighbouring blocks each; moments of blocks are combined in the order of the blocks, so that the result does not depend on the
devices, up to the rounding of sums that are cut in other places.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gpujax.device.configure import devices_in_force
from gpujax.errors import InputTypeError
from gpujax.pricing.monte_carlo.arguments import Grid
from gpujax.pricing.monte_carlo.methods import Layout, Method
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.statistics import Moments, combine, moments, of_means

__all__ = ["Plan", "Sampler", "at_home", "make_plan", "moments_of_blocks", "repetitions"]

BLOCK = 1 << 16
# Of the numbers of a block that are in memory at once.
_WHOLE_BYTES = 1 << 24
_LEAST_BLOCK = 1 << 13

# sampler(inputs, paths) gives quantities and controls, lists of `[paths]`
Sampler = Callable[[Any, jax.Array], tuple[list[jax.Array], list[jax.Array]]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How paths are cut up: everything about a run that selects code.

    Fields:
        method: which numbers paths are made of.
        layout: how many numbers a path takes.
        samples: how many there are: paths, or pairs of them.
        points: samples that depend on each other; None where every one is independent.
        block: samples of a block.
        known: the simulated times where the numbers depend on them.
        mesh: the devices, where there are several.
    """

    method: Method
    layout: Layout
    samples: int
    points: int | None
    block: int
    known: tuple[float, ...] | None = None
    mesh: Mesh | None = None

    @property
    def paths(self) -> int:
        """Paths of all samples together."""
        return self.samples * (2 if self.method.antithetic else 1)


def make_plan(
    process: Process,
    method: Method,
    paths: int,
    grid: Grid,
    inputs: Any,
    *,
    devices: Sequence[Any] | None = None,
    most: int | None = None,
) -> Plan:
    """The plan for so many paths; devices are those in force unless named, and one where `inputs` are traced.

    Raises: InputError for paths that the method cannot give; InputTypeError for traced times where the method needs them known.
    """
    layout = Layout.of(process, len(grid.times))
    method.check(paths, layout)
    prepared = hasattr(process, "prepare")
    if (method.needs_times or prepared) and grid.known is None:
        who = type(process).__name__ if prepared else type(method).__name__
        raise InputTypeError(f"times: traced, but {who} needs them known; close over times that are numbers")
    samples = paths // 2 if method.antithetic else paths
    points = method.points(samples)
    most = BLOCK if most is None else most
    if method.whole or prepared:
        size = layout.steps * layout.each * grid.times.dtype.itemsize
        most = min(most, max(256, 1 << math.floor(math.log2(max(_WHOLE_BYTES / size, 1)))))
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(inputs))
    found = [] if traced else list(devices_in_force() if devices is None else devices)
    block = min(most, samples if points is None else points)
    if len(found) > 1:
        share = 1 << math.ceil(math.log2(max(1, samples / len(found))))
        block = min(block, max(share, _LEAST_BLOCK))
    if method.indivisible:
        block = points or block
    used = found[: math.ceil(samples / block)]
    mesh = Mesh(np.asarray(used), ("blocks",)) if len(used) > 1 else None
    known = grid.known if method.needs_times or prepared else None
    return Plan(method, layout, samples, points, block, known, mesh)


def moments_of_blocks(sampler: Sampler, inputs: Any, plan: Plan, first: Any = 0) -> Moments:
    """Moments of every block, `[blocks, ...]`.

    Arguments:
        sampler: what is sampled; sees `inputs`, so that these can be copied to every device.
        first: index of the first sample.
    """
    blocks = math.ceil(plan.samples / plan.block)
    index = jnp.int64 if plan.samples >= 1 << 31 else jnp.int32
    wide = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32  # pyright: ignore[reportAttributeAccessIssue]
    begin = jnp.asarray(first, jnp.uint32)

    def some(inputs: Any, begin: jax.Array, numbers: jax.Array) -> Moments:
        def one(_: None, number: jax.Array) -> tuple[None, Moments]:
            within = jnp.arange(plan.block, dtype=jnp.uint32)
            path = begin + number.astype(jnp.uint32) * jnp.uint32(plan.block) + within
            counted = number * plan.block + within.astype(index) < plan.samples
            return None, moments(*sampler(inputs, path), counted, wide)

        return lax.scan(one, None, numbers)[1]

    if plan.mesh is None:
        return some(inputs, begin, jnp.arange(blocks, dtype=index))
    size = plan.mesh.size
    everywhere, each = PartitionSpec(), PartitionSpec("blocks")
    spread = jax.shard_map(
        some, mesh=plan.mesh, in_specs=(everywhere, everywhere, each), out_specs=each, check_vma=False
    )
    # Blocks beyond the last hold no samples; every device gets as many.
    found = spread(inputs, begin, jnp.arange(math.ceil(blocks / size) * size, dtype=index))
    whole = lax.with_sharding_constraint(found, NamedSharding(plan.mesh, everywhere))
    return jax.tree.map(lambda x: x[:blocks], whole)


def at_home(results: Any, plan: Plan) -> Any:
    """Results on one device again, so that those of runs over different devices may be combined."""
    if plan.mesh is None:
        return results
    # Every device has the whole of them; inside a user's own jit they are not there yet.
    return jax.tree.map(lambda x: x if isinstance(x, Tracer) else x.addressable_data(0), results)


def repetitions(parts: Moments, plan: Plan) -> Moments | None:
    """Moments of the means of independent repetitions; None where samples are independent."""
    if plan.points is None:
        return None
    each = plan.points // plan.block
    grouped = jax.tree.map(lambda x: x.reshape(len(x) // each, each, *x.shape[1:]), parts)
    return of_means(jax.vmap(combine)(grouped))
