"""Programs: a function of a batch, compiled for one device or for all devices of a mesh, and its inputs brought there.

One function, three ways to run it: on one device, under `jax.shard_map`, under `jax.pmap`. All give the same results; the
configuration's `parallelism` chooses.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gpujax.device.batching import Batch, Results
from gpujax.device.config import DeviceConfig
from gpujax.device.mesh import make_mesh, mesh_devices
from gpujax.errors import DeviceError, InputError

__all__ = [
    "Layout",
    "check_divides",
    "compile_program",
    "local_parts",
    "place",
    "plan_layout",
    "share",
    "without_padding",
]


class Layout(NamedTuple):
    """Where programs run: one device, or a mesh of several.

    Fields:
        devices: all of them, of every host.
        parallelism: "none" (then there is one device), "shard_map" or "pmap".
        mesh: None for one device.
        hosts: processes that share the mesh; each brings its part of every batch and gets that part's results.
        is_default: whether JAX would run there anyway.
    """

    devices: tuple[Any, ...]
    parallelism: str
    mesh: Mesh | None
    hosts: int
    is_default: bool

    @property
    def local_devices(self) -> int:
        """How many of the devices are this host's."""
        return len(self.devices) // self.hosts


def plan_layout(config: DeviceConfig, *, alone: bool = False) -> Layout:
    """The devices of a configuration, as `accelerate` uses them; or, `alone`, this host's first one.

    Raises: DeviceError if a device is not there, or if pmap is asked for on several hosts.
    """
    devices = tuple(mesh_devices(config))
    hosts = len({device.process_index for device in devices})
    if alone or config.parallelism == "none" or len(devices) == 1:
        first = next(device for device in devices if device.process_index == jax.process_index())
        return Layout((first,), "none", None, 1, first == _default_device())
    if config.parallelism == "pmap" and hosts > 1:
        raise DeviceError(
            f"parallelism is 'pmap', but the devices belong to {hosts} hosts; use 'shard_map', which spans them"
        )
    return Layout(devices, config.parallelism, make_mesh(config), hosts, False)


def share(size: int, layout: Layout) -> int:
    """How many of `size` entries each device of this host takes, padding included.

    At least two: XLA rewrites some operations on arrays of more than one element (a division by a broadcast scalar becomes a
    multiplication), so that single entries could differ from the same ones in a batch in the last digit.
    """
    return max(2, math.ceil(size / layout.local_devices))


def compile_program(
    local: Callable[..., Sequence[jax.Array]], batch: Batch, results: Results, layout: Layout
) -> Callable[..., Sequence[jax.Array]]:
    """Compile a function of one device's share of the leaves into one of the leaves placed by `place`.

    Arguments:
        local: takes the leaves of any number of entries, gives the leaves of their results.
        batch, results: where inputs and results carry the batch.
        layout: the devices.
    """
    if layout.mesh is None:
        return jax.jit(local)
    if layout.parallelism == "pmap":
        return _with_pmap(local, batch, results, layout)
    mapped = jax.shard_map(
        local,
        mesh=layout.mesh,
        in_specs=tuple(_specification(axis, layout) for axis in batch.axes),
        out_specs=[_specification(axis, layout) for axis in results.axes],
        # Entries do not communicate, so there is nothing to check, and loops in `local` need no marks for it.
        check_vma=False,
    )
    return jax.jit(mapped)


def place(leaves: Sequence[Any], batch: Batch, layout: Layout) -> list[Any]:
    """Bring the leaves of a call to where its program runs, padded to a multiple of the devices by repeating the last entry.

    The last entry, and not zeros, because it is a valid input: padding raises no NaN and no warning.
    """
    return [_placed(leaf, axis, layout) for leaf, axis in zip(leaves, batch.axes, strict=True)]


def check_divides(name: str, batch: Batch, layout: Layout) -> None:
    """Refuse a batch whose padding on each host would end up inside the one array over all hosts."""
    size = share(batch.size or 0, layout) * layout.local_devices
    if batch.size != size:
        raise InputError(
            f"{name}: a batch of {batch.size} on each of {layout.hosts} hosts does not divide evenly over {layout.local_devices} "
            f"devices; give JAX arrays of {size} entries, or NumPy arrays, which may have any size"
        )


def without_padding(values: Sequence[jax.Array], axes: Sequence[int], size: int) -> list[jax.Array]:
    """Results cut to the batch's size, where it had been padded."""
    return [
        value if value.shape[axis] == size else jax.lax.slice_in_dim(value, 0, size, axis=axis)
        for value, axis in zip(values, axes, strict=True)
    ]


def local_parts(values: Sequence[jax.Array], axes: Sequence[int], size: int) -> list[np.ndarray]:
    """The first `size` of those entries of each result that are on this host, as new NumPy arrays."""
    parts = []
    for value, axis in zip(values, axes, strict=True):
        shards = {shard.index[axis].start or 0: shard for shard in value.addressable_shards}
        whole = np.concatenate([np.asarray(shards[start].data) for start in sorted(shards)], axis)
        parts.append(whole[(slice(None),) * axis + (slice(0, size),)])
    return parts


def _default_device() -> Any:
    """The device on which JAX computes when it is not told."""
    chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(chosen, jax.Device):
        return chosen
    return jax.local_devices(backend=chosen)[0]


def _with_pmap(
    local: Callable[..., Sequence[jax.Array]], batch: Batch, results: Results, layout: Layout
) -> Callable[..., Sequence[jax.Array]]:
    count = len(layout.devices)
    mapped = jax.pmap(local, in_axes=tuple(batch.axes), out_axes=list(results.axes), devices=layout.devices)

    def program(*leaves: Any) -> Sequence[jax.Array]:
        split = [
            leaf if axis is None else leaf.reshape(*leaf.shape[:axis], count, -1, *leaf.shape[axis + 1 :])
            for leaf, axis in zip(leaves, batch.axes, strict=True)
        ]
        return [
            value.reshape(*value.shape[:axis], -1, *value.shape[axis + 2 :])
            for value, axis in zip(mapped(*split), results.axes, strict=True)
        ]

    return program


def _placed(leaf: Any, axis: int | None, layout: Layout) -> Any:
    if not hasattr(leaf, "dtype"):
        return leaf
    if layout.mesh is None:
        return leaf if layout.is_default else jax.device_put(leaf, layout.devices[0])
    sharding = NamedSharding(layout.mesh, _specification(axis, layout))
    if layout.hosts > 1:
        return _placed_on_hosts(leaf, axis, layout, sharding)
    if axis is None:
        return jax.device_put(leaf, sharding)
    size = share(leaf.shape[axis], layout) * len(layout.devices)
    if leaf.shape[axis] == size:
        return jax.device_put(leaf, sharding)
    if isinstance(leaf, jax.Array):
        return jax.device_put(_pad(leaf, axis, size), sharding)

    def shard(index: Any) -> np.ndarray:
        # Only the shards at the end are copied for padding; the others are slices.
        return _padded(leaf[index], leaf, axis, index[axis].stop - index[axis].start)

    shape = (*leaf.shape[:axis], size, *leaf.shape[axis + 1 :])
    return jax.make_array_from_callback(shape, sharding, shard)


def _placed_on_hosts(leaf: Any, axis: int | None, layout: Layout, sharding: NamedSharding) -> jax.Array:
    """This host's part of a batch as part of one array over all hosts."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return leaf
    values = np.asarray(leaf)
    if axis is not None:
        values = _padded(values, values, axis, share(values.shape[axis], layout) * layout.local_devices)
    return jax.make_array_from_process_local_data(sharding, values)


def _padded(part: np.ndarray, whole: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Part of an array, brought to a size by repeating the last entry of the whole."""
    missing = size - part.shape[axis]
    return np.concatenate([part, np.repeat(whole.take([-1], axis), missing, axis)], axis) if missing else part


@functools.partial(jax.jit, static_argnums=(1, 2))
def _pad(leaf: jax.Array, axis: int, size: int) -> jax.Array:
    last = jax.lax.slice_in_dim(leaf, leaf.shape[axis] - 1, leaf.shape[axis], axis=axis)
    missing = (*leaf.shape[:axis], size - leaf.shape[axis], *leaf.shape[axis + 1 :])
    return jnp.concatenate([leaf, jnp.broadcast_to(last, missing)], axis)


def _specification(axis: int | None, layout: Layout) -> PartitionSpec:
    """The batch axis is spread over all axes of the mesh together."""
    assert layout.mesh is not None
    return PartitionSpec() if axis is None else PartitionSpec(*(None,) * axis, layout.mesh.axis_names)
