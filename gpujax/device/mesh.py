"""The mesh: a configuration's devices, arranged into named axes over which arrays are sharded.

Works alike for one device, several, simulated CPU devices (`--xla_force_host_platform_device_count=8`) and several hosts
(`jax.distributed`). It decides nothing: which devices and which axes is the configuration's business (`choose.py`).
"""

import math
from typing import Any

import jax
from jax.sharding import AxisType, Mesh

from gpujax.device import running
from gpujax.device.config import DeviceConfig
from gpujax.errors import DeviceError

__all__ = ["make_mesh", "mesh_devices"]


def make_mesh(config: DeviceConfig) -> Mesh:
    """The mesh of a configuration: its `device_ids`, in that order, arranged into its `mesh_axes`.

    Axes are of type Auto: arrays that are sharded differently may meet in one computation, and the compiler moves them.

    On several hosts the devices are those of the first host, then those of the second, and so on; `mesh_axes` may describe one
    host (what `choose` writes) or all of them: in the first case the first axis grows by the number of hosts.

    Returns: a `jax.sharding.Mesh`, usable with `jax.set_mesh`, `NamedSharding` and `jax.shard_map`.

    Raises: DeviceError if the platform or one of the devices is not there (it names what was asked for and what there is), or
        if the axes' sizes do not multiply to the number of devices.

    >>> from gpujax.device import DeviceConfig
    >>> make_mesh(DeviceConfig(device_ids=(0,), mesh_axes=(("batch", 1),))).axis_names
    ('batch',)
    """
    arranged = mesh_devices(config)
    names = tuple(name for name, _ in config.mesh_axes)
    sizes = [size for _, size in config.mesh_axes]
    hosts = len(arranged) // len(config.device_ids)
    if math.prod(sizes) == len(config.device_ids):
        sizes[0] *= hosts
    if math.prod(sizes) != len(arranged):
        raise DeviceError(
            f"mesh_axes {dict(config.mesh_axes)} multiplies to {math.prod(sizes)}, but there are {len(arranged)} devices "
            f"({len(config.device_ids)} on each of {hosts} hosts); make the sizes multiply to that number"
        )
    # Sizes and names by position: the keyword's name differs between JAX's lines. Auto, because jax.make_mesh's own default
    # (Explicit) rejects arguments that are sharded differently.
    return jax.make_mesh(tuple(sizes), names, axis_types=(AxisType.Auto,) * len(sizes), devices=arranged)


def mesh_devices(config: DeviceConfig) -> list[Any]:
    """The devices that a configuration names: its `device_ids` of every host, host by host; starts the backend.

    Raises: DeviceError if the platform or one of the devices is not there, on this host or another.
    """
    try:
        present = jax.devices(config.platform)
    except RuntimeError as error:
        there = ", ".join(sorted({device.platform for device in jax.devices()}))
        raise DeviceError(
            f"platform {config.platform!r} was asked for, but JAX finds only: {there}. {_remedy(config.platform)}"
        ) from error
    chosen: list[Any] = []
    for host in sorted({device.process_index for device in present}):
        # A device's number counts within its host: JAX's own ids leave gaps between processes.
        local = running.numbered(config.platform, (d for d in present if d.process_index == host))
        missing = [number for number in config.device_ids if number not in local]
        if missing:
            raise DeviceError(
                f"device_ids {list(config.device_ids)}: {config.platform} device {', '.join(map(str, missing))} is not there; "
                f"{'this host' if jax.process_count() == 1 else f'host {host}'} has {len(local)}, numbered {list(local)}. "
                "Change device_ids, or leave the field out to have it chosen"
            )
        chosen += [local[number] for number in config.device_ids]
    return chosen


def _remedy(platform: str) -> str:
    extra = {"gpu": "cuda12", "tpu": "tpu"}.get(platform)
    install = f"Install the driver and `pip install gpujax[{extra}]`, or set" if extra else "Set"
    return (
        f"{install} platform to what is there, or leave the field out to have it chosen; JAX_PLATFORMS may also hide it"
    )
