"""The device card: how fast this device is, measured in a few seconds at first use and kept for next time.

Published peaks say little about what a program gets, and the published float64 rate of several GPUs is wrong. The
card holds
what was measured: arithmetic and matrix throughput by precision, memory bandwidth, and the time of one dispatch.
`choose` believes it over the tables in `gpus.py`, and `disagreements` says where the two differ.

Kept as one JSON file per device, driver and JAX version in the user's cache directory; a card that was measured under
another of these does not count.
"""

import dataclasses
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gpujax.device import config_file, gpus
from gpujax.device.choose import cache_directory
from gpujax.device.hardware import Hardware, detect
from gpujax.errors import DeviceError, InputError

__all__ = ["DeviceCard", "Workload", "device_card", "stored_card"]

_log = logging.getLogger("gpujax.device")

# Part of every card's file; raised when the way of measuring changes, so that old cards are measured again.
_VERSION = 1

_THROUGHPUTS = ("float64_vector", "float32_vector", "float64_matmul", "float32_matmul", "bfloat16_matmul")
_MEASURES = (*_THROUGHPUTS, "bandwidth", "dispatch")

# Measured below the first share of the published figure, or above the second: worth a word. A well-fed kernel reaches
# more than half of a vector peak and of a bandwidth, and boost clocks exceed the sheet by a tenth at most.
_LOW, _HIGH = 0.4, 1.25

# Steps of multiply-add per element of the vector measurement, as independent chains, so that a processor with several
# arithmetic pipelines of several cycles each can fill them.
_CHAINS, _STEPS = 8, 32


@dataclasses.dataclass(frozen=True)
class Workload:
    """The sizes that are measured: elements of the vector and of the stream, rows of the square matrices."""

    vector: int
    stream: int
    matrix: int

    def __post_init__(self) -> None:
        for name in ("vector", "stream", "matrix"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"Workload: {name} is {value!r}; expected a whole number of at least 1")


# Large enough to drown the launch of one kernel, small enough that the slowest (float64 matrices on a T4) takes half
# a second.
_WORKLOADS = {
    "cpu": Workload(vector=1 << 18, stream=1 << 24, matrix=1024),
    "gpu": Workload(vector=1 << 24, stream=1 << 26, matrix=4096),
    "tpu": Workload(vector=1 << 22, stream=1 << 26, matrix=4096),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceCard:
    """What was measured on one device.

    Fields:
        identity: what the figures hold for: platform, device, driver, JAX version.
        float64_vector, float32_vector: ordinary arithmetic, TFLOP/s, a multiply-add counting as two.
        float64_matmul, float32_matmul, bfloat16_matmul: dense square products, TFLOP/s; float32 at full float32
        precision.
        bandwidth: of the device's memory, reading and writing alike, GB/s.
        dispatch: from the call of a compiled function on one number to its result, microseconds.
        unknown: the reason for every figure that is None.
        disagreements: where the figures differ much from the published ones, in words.
        seconds: how long the measurement took, compilation included.
    """

    identity: Mapping[str, str] = dataclasses.field(hash=False)
    float64_vector: float | None = None
    float32_vector: float | None = None
    float64_matmul: float | None = None
    float32_matmul: float | None = None
    bfloat16_matmul: float | None = None
    bandwidth: float | None = None
    dispatch: float | None = None
    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    disagreements: tuple[str, ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("identity", "unknown"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "disagreements", tuple(self.disagreements))

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain dicts, lists and numbers, for JSON."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {
            "identity": dict(self.identity),
            "unknown": dict(self.unknown),
            "disagreements": list(self.disagreements),
        }

    def summary(self) -> str:
        """The card for people: one line a figure."""
        lines = [("device", ", ".join(self.identity.values()))]
        for name in _MEASURES:
            value, unit = getattr(self, name), _unit(name)
            text = f"{value:.3g} {unit}" if value is not None else f"unknown: {self.unknown.get(name, 'not measured')}"
            lines.append((name.replace("_", " "), text))
        lines.extend(("disagrees", text) for text in self.disagreements)
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)

    def __str__(self) -> str:
        return self.summary()


def device_card(
    platform: str | None = None,
    *,
    device_id: int | None = None,
    workload: Workload | None = None,
    limit: float = 0.3,
    fresh: bool = False,
    store: bool = True,
) -> DeviceCard:
    """The card of a device: read if it was measured before, else measured now, which takes a few seconds.

    Starts JAX, by `gpujax.configure()` if nobody has. A card that is stored counts in the automatic choice of the next
    program; it does not change a configuration that is in force.

    Arguments:
        platform: "cpu", "gpu" or "tpu"; that of the configuration in force by default.
        device_id: the device's number, as in `DeviceConfig.device_ids`; the configuration's first by default.
        workload: the sizes to measure; by default those that suit the platform. Other sizes are never stored.
        limit: seconds for each measurement beyond its compilation, > 0; a run in progress is not cut off.
        fresh: measure even if there is a card.
        store: keep the card for next time.

    Returns: the card; figures that could not be measured are None, with the reason in `unknown`.

    Raises: DeviceError if the device is not there, InputError for an impossible limit.

    >>> card = device_card("cpu", workload=Workload(vector=1024, stream=1024, matrix=64), limit=0.01)
    >>> card.float32_matmul > 0
    True
    """
    from gpujax.device.configure import current_config
    from gpujax.device.running import local_devices

    if not (isinstance(limit, (int, float)) and math.isfinite(limit) and limit > 0):
        raise InputError(f"device_card: limit is {limit!r}; expected a number of seconds above 0")
    config = current_config()
    platform = config.platform if platform is None else platform
    if device_id is None:
        device_id = config.device_ids[0] if platform == config.platform else 0
    try:
        there = local_devices(platform)
    except RuntimeError as error:
        raise DeviceError(f"device_card: platform {platform!r} was asked for, but JAX has none: {error}") from error
    if device_id not in there:
        raise DeviceError(f"device_card: {platform} device {device_id} was asked for, but there are {list(there)}")
    hardware = detect()
    if workload is None and not fresh:
        stored = stored_card(hardware, platform, device_id)
        if stored is not None:
            return stored
    identity = _identity(hardware, platform, device_id)
    card = _measure(there[device_id], identity, workload or _WORKLOADS[platform], float(limit))
    if workload is None and store:
        _keep(card)
    return card


def stored_card(hardware: Hardware, platform: str, device_id: int = 0) -> DeviceCard | None:
    """The card that was measured before on this device, under this driver and JAX version, or None; starts nothing.

    A file that is damaged or was written by another version counts as none.
    """
    identity = _identity(hardware, platform, device_id)
    path = _path(identity)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return _from_file(content, identity)


def _identity(hardware: Hardware, platform: str, device_id: int) -> dict[str, str]:
    """What a measurement depends on."""
    if platform == "gpu" and device_id < len(hardware.gpus):
        gpu = hardware.gpus[device_id]
        driver = hardware.software.nvidia_driver if gpu.vendor == "nvidia" else hardware.software.amd_driver
        device, detail = gpu.name or gpu.vendor, f"driver {driver}, {gpu.power_limit or 'unknown'} W"
    elif platform == "tpu":
        device, detail = hardware.tpu.kind or "TPU", f"{hardware.tpu.chips} chips"
    else:
        cpu = hardware.cpu
        device, detail = cpu.model or cpu.architecture, f"{cpu.usable_cores} of {cpu.logical_cores} threads"
    return {"platform": platform, "device": device, "detail": detail, "jax": f"JAX {hardware.software.jax}"}


def _path(identity: Mapping[str, str]) -> Path:
    mark = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:16]
    return cache_directory() / "cards" / f"{identity['platform']}-{mark}.json"


def _keep(card: DeviceCard) -> None:
    path = _path(card.identity)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        config_file.write_atomically(path, json.dumps({"version": _VERSION, **card.to_dict()}, indent=1))
    except OSError as error:
        # A card that cannot be kept is only measured again.
        _log.warning("the device card cannot be kept: %s: %s", path, error.strerror)


def _from_file(content: Any, identity: Mapping[str, str]) -> DeviceCard | None:
    if not isinstance(content, dict) or content.pop("version", None) != _VERSION:
        return None
    if content.get("identity") != dict(identity) or set(content) != {f.name for f in dataclasses.fields(DeviceCard)}:
        return None
    figures = [content[name] for name in _MEASURES if content[name] is not None]
    if not all(isinstance(value, float) and math.isfinite(value) and value > 0 for value in figures):
        return None
    return DeviceCard(**content)


def _unit(name: str) -> str:
    return {"bandwidth": "GB/s", "dispatch": "us"}.get(name, "TFLOP/s")


def _measure(device: Any, identity: Mapping[str, str], workload: Workload, limit: float) -> DeviceCard:
    """Measure one figure after another; one that fails does not keep the others from being had."""
    import jax

    begun = time.perf_counter()
    figures: dict[str, float] = {}
    unknown: dict[str, str] = {}
    for name in _MEASURES:
        try:
            # 64-bit mode inside only: float64 has to be measured whatever the program uses.
            with jax.enable_x64(True):
                figures[name] = _MEASUREMENTS[name](device, workload, limit)
        except jax.errors.JaxRuntimeError as error:
            unknown[name] = str(error).partition("\n")[0]
        _log.debug("device card: %s %s", name, figures.get(name, unknown.get(name)))
    return DeviceCard(
        identity=identity,
        unknown=unknown,
        disagreements=_disagreements(identity["device"], figures),
        seconds=time.perf_counter() - begun,
        **figures,
    )


def _disagreements(device: str, figures: Mapping[str, float]) -> tuple[str, ...]:
    """Where measured and published figures of a GPU differ by more than conditions explain."""
    published = gpus.lookup(device)
    if published is None:
        return ()
    expected = {
        "float64_vector": published.float64,
        "float32_vector": published.float32,
        "float64_matmul": published.float64_matrix or published.float64,
        "float32_matmul": published.float32,
        "bfloat16_matmul": published.bfloat16,
        "bandwidth": published.bandwidth,
    }
    found = []
    for name, figure in expected.items():
        measured = figures.get(name)
        if measured is None or figure is None or _LOW <= measured / figure <= _HIGH:
            continue
        said = f"; {published.disagreement}" if published.disagreement and name.startswith("float64") else ""
        found.append(
            f"{name.replace('_', ' ')}: measured {measured:.3g} {_unit(name)}, published {figure:.3g} "
            f"({published.source}){said}"
        )
    return tuple(found)


def _seconds_per_call(call: Callable[[], Any], limit: float) -> float:
    """Median time of a call, result awaited, over as many calls as fit the limit (at least one, at most 200)."""
    call().block_until_ready()  # compiles
    times: list[float] = []
    end = time.perf_counter() + limit
    while len(times) < 200 and (not times or time.perf_counter() < end):
        begun = time.perf_counter()
        call().block_until_ready()
        times.append(time.perf_counter() - begun)
    times.sort()
    return times[len(times) // 2]


def _vector(dtype: str) -> Callable[[Any, Workload, float], float]:
    def measure(device: Any, workload: Workload, limit: float) -> float:
        import jax
        import numpy as np

        def chains(x: Any) -> Any:
            one = np.dtype(dtype).type
            total = x
            for chain in range(_CHAINS):
                y = x
                # Factors differ, so that the compiler cannot merge the chains; below 1, so that they stay bounded.
                factor, shift = one(0.5 + chain / 32.0), one(0.25)
                for _ in range(_STEPS):
                    y = y * factor + shift
                total = total + y
            return total

        x = jax.device_put(np.linspace(0.0, 1.0, workload.vector, dtype=dtype), device)
        compiled = jax.jit(chains)
        return workload.vector * _CHAINS * _STEPS * 2 / _seconds_per_call(lambda: compiled(x), limit) / 1e12

    return measure


def _matmul(dtype: str) -> Callable[[Any, Workload, float], float]:
    def measure(device: Any, workload: Workload, limit: float) -> float:
        import jax
        import jax.numpy as jnp
        import numpy as np

        size = workload.matrix
        values = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
        a = jax.device_put(values.astype(jnp.dtype(dtype)), device)
        precision = jax.lax.Precision.HIGHEST if dtype != "bfloat16" else jax.lax.Precision.DEFAULT
        compiled = jax.jit(lambda a: jnp.matmul(a, a, precision=precision))
        return 2.0 * size**3 / _seconds_per_call(lambda: compiled(a), limit) / 1e12

    return measure


def _bandwidth(device: Any, workload: Workload, limit: float) -> float:
    import jax
    import numpy as np

    x = jax.device_put(np.ones(workload.stream, dtype=np.float32), device)
    size = x.nbytes
    # In place: fresh memory for every result would measure the operating system's page faults instead.
    compiled = jax.jit(lambda x: -x, donate_argnums=0)

    def call() -> Any:
        nonlocal x
        x = compiled(x)
        return x

    # Every element is read once and written once.
    return 2.0 * size / _seconds_per_call(call, limit) / 1e9


def _dispatch(device: Any, workload: Workload, limit: float) -> float:
    import jax
    import numpy as np

    x = jax.device_put(np.float32(1.0), device)
    compiled = jax.jit(lambda x: x + np.float32(1.0))
    return _seconds_per_call(lambda: compiled(x), limit) * 1e6


_MEASUREMENTS: dict[str, Callable[[Any, Workload, float], float]] = {
    "float64_vector": _vector("float64"),
    "float32_vector": _vector("float32"),
    "float64_matmul": _matmul("float64"),
    "float32_matmul": _matmul("float32"),
    "bfloat16_matmul": _matmul("bfloat16"),
    "bandwidth": _bandwidth,
    "dispatch": _dispatch,
}
