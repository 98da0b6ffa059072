"""The records in which hardware facts are kept: plain, immutable, and honest about what could not be found out.

A fact that is not known is None, and the record's `unknown` maps its name to the reason. Sizes are in bytes, clocks in
MHz, power in watts.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["Cpu", "Facts", "Gpu", "Memory", "MigInstance", "Software", "System", "Tpu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """Base of the records: `unknown` holds the reason for every fact that is None for want of an answer."""

    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unknown", MappingProxyType(dict(self.unknown)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping does not pickle by itself.
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return (_rebuild, (type(self), {**values, "unknown": dict(self.unknown)}))

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain lists, dicts and scalars, for JSON."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MigInstance(Facts):
    """One slice of a partitioned NVIDIA GPU (multi-instance GPU)."""

    uuid: str | None = None
    name: str | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    memory_total: int | None = None
    memory_free: int | None = None
    multiprocessors: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu(Facts):
    """One GPU, or one MIG instance where a process sees only that.

    `index` is the number by which JAX knows the device (its place among the visible ones), or None for a device that
    this process cannot see, with the reason in `hidden`. `physical_index` is the driver's own number.
    """

    vendor: str
    name: str | None = None
    index: int | None = None
    physical_index: int | None = None
    hidden: str | None = None
    uuid: str | None = None
    pci_bus: str | None = None
    memory_total: int | None = None
    memory_free: int | None = None
    unified_memory: bool = False
    compute_capability: tuple[int, int] | None = None
    architecture: str | None = None
    cores: int | None = None
    clock_max: int | None = None
    memory_clock_max: int | None = None
    memory_bus_bits: int | None = None
    power_limit: float | None = None
    ecc: bool | None = None
    mig: bool | None = None
    mig_instances: tuple[MigInstance, ...] = ()
    pcie_generation: int | None = None
    pcie_width: int | None = None
    nvlinks: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tpu(Facts):
    """The TPU chips attached to this host."""

    kind: str | None = None
    chips: int = 0
    found_by: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cpu(Facts):
    """The processor, and how much of it this process may use.

    `usable_cores` is the least of the logical cores, those the process may be scheduled on (`affinity`) and the
    container's quota (`quota`, in cores, not always whole). `vector` names the vector instructions that matter for
    arithmetic.
    """

    model: str | None = None
    architecture: str = ""
    physical_cores: int | None = None
    logical_cores: int | None = None
    affinity: int | None = None
    quota: float | None = None
    usable_cores: int = 1
    vector: tuple[str, ...] = ()
    simulated_devices: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory(Facts):
    """Main memory in bytes; `limit` is the container's, `usable` what this process can still take."""

    total: int | None = None
    available: int | None = None
    limit: int | None = None
    usable: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class System(Facts):
    """Operating system, and what stands between it and the machine."""

    name: str = ""
    kernel: str = ""
    wsl: bool = False
    container: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Software(Facts):
    """Installed versions, read without importing; `plugins` are the accelerators that this JAX can drive."""

    python: str = ""
    jax: str | None = None
    jaxlib: str | None = None
    plugins: tuple[str, ...] = ()
    nvidia_driver: str | None = None
    cuda: str | None = None
    amd_driver: str | None = None


def _rebuild(kind: type[Facts], values: dict[str, Any]) -> Facts:
    return kind(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Facts):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
