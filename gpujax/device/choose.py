"""From facts to decisions: the configuration for the hardware found, every field with its reason.

`choose` is a pure function of the facts (and of what was measured, if it was): it looks at nothing itself, so that the
choice for any machine can be made, tested and shown on any other.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpujax.device import gpus, running
from gpujax.device.config import DeviceConfig
from gpujax.device.hardware import Gpu, Hardware, detect
from gpujax.errors import DeviceError

if TYPE_CHECKING:
    from gpujax.device.card import DeviceCard

__all__ = ["cache_directory", "choose", "choose_around", "describe"]

_log = logging.getLogger("gpujax.device")

# Below this share of the float32 rate, float64 on an accelerator is a facility for the occasional number, not for a
# batch.
USABLE_FLOAT64 = 0.25

# JAX's own default; the rest is left to CUDA's context, cuDNN's workspaces and the display.
_DEFAULT_MEMORY_FRACTION = 0.75
_DEDICATED_MEMORY_FRACTION = 0.9

_SMALL_GPU = 12 * 2**30

_PLATFORM_OF = {"cpu": "cpu", "cuda": "gpu", "rocm": "gpu", "gpu": "gpu", "tpu": "tpu"}
_PLUGIN_OF = {"nvidia": "cuda", "amd": "rocm"}


def choose(
    hardware: Hardware,
    card: "DeviceCard | None" = None,
    *,
    platform: str | None = None,
    device_ids: Sequence[int] | None = None,
) -> DeviceConfig:
    """The configuration that suits the hardware, each field with its reason in `why`.

    Arguments:
        hardware: what `detect()` found, here or on another machine.
        card: what was measured on the device; it overrules published figures.
        platform: "cpu", "gpu" or "tpu" where that is already decided; by default the fastest that JAX can drive.
        device_ids: the devices to use where that is already decided; by default all that are alike.

    Returns: a complete configuration. It is the same for the same facts; nothing is put into force (`gpujax.configure`
        does that).

    Raises: DeviceError, naming what was asked for and what is there, if `platform` or `device_ids` asks for what the
        hardware lacks.

    >>> config = choose(detect(), platform="cpu")
    >>> config.pricing_dtype, config.why["platform"]
    ('float64', 'asked for')
    """
    if platform is None:
        platform, reason = _platform(hardware)
    else:
        _check_there(hardware, platform)
        reason = "asked for"
    fields: dict[str, tuple[Any, str]] = {"platform": (platform, reason)}
    fields.update(_devices(hardware, platform, device_ids))
    used = [gpu for gpu in hardware.gpus if gpu.index in fields["device_ids"][0]] if platform == "gpu" else []
    fields.update(_precision(platform, used, card))
    fields.update(_memory(hardware, platform, used))
    fields["random_implementation"] = (
        "threefry2x32",
        "the same numbers on one device, on many and on the CPU; philox does not compile when sharded",
    )
    fields["compilation_cache"] = _compilation_cache(hardware)
    fields.update(_by_environment(hardware))
    config = DeviceConfig(
        **{name: value for name, (value, _) in fields.items()}, why={name: why for name, (_, why) in fields.items()}
    )
    _log.debug("chosen:\n%s", config)
    return config


def choose_around(given: Mapping[str, Any], hardware: Hardware | None = None) -> DeviceConfig:
    """The automatic choice around fields that are already decided, so that the rest suits them.

    Takes into account what a program has already told JAX, the platform on which JAX may already have started, and the
    card that was measured on this device, if it ever was.

    Arguments:
        given: decided fields in their normal form, such as `{"platform": "cpu"}`; none for the wholly automatic choice.
        hardware: what was found; `detect()` by default.
    """
    # Not at the top: the card imports JAX, which somebody who reads a complete configuration does not need.
    from gpujax.device.card import stored_card

    hardware = running.seen_by_jax(detect() if hardware is None else hardware)
    platform, started = given.get("platform"), running.started_platform()
    device_ids = given.get("device_ids")
    if device_ids is None and given.get("parallelism") == "none":
        device_ids = choose(hardware, platform=platform or started).device_ids[:1]
    decided = platform or started or _platform(hardware)[0]
    config = choose(hardware, stored_card(hardware, decided), platform=platform or started, device_ids=device_ids)
    if platform is None and started is not None:
        return config.replace(platform=started, why="JAX has already started on it")
    return config


def cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """The directory for what gpujax keeps between runs: GPUJAX_CACHE, or the user's cache directory of the operating
    system."""
    environ = os.environ if environ is None else environ
    if environ.get("GPUJAX_CACHE"):
        return Path(environ["GPUJAX_CACHE"]).expanduser()
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "gpujax" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gpujax"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpujax"


def _platform(hardware: Hardware) -> tuple[str, str]:
    """The platform and the reason for it."""
    setting = hardware.environment.get("JAX_PLATFORMS", "")
    named = [_PLATFORM_OF.get(word.strip()) for word in setting.split(",") if word.strip()]
    if named and named[0] is not None:
        return named[0], f"JAX_PLATFORMS={setting} says so"
    if hardware.tpu.chips and "tpu" in hardware.software.plugins:
        return "tpu", f"{hardware.tpu.chips} chips of {hardware.tpu.kind or 'a TPU'} found"
    drivable = [gpu for gpu in hardware.gpus if _PLUGIN_OF.get(gpu.vendor) in hardware.software.plugins]
    if drivable:
        return "gpu", f"{len(drivable)} x {drivable[0].name or drivable[0].vendor} found"
    if hardware.gpus:
        return "cpu", f"{hardware.gpus[0].name} found, but the installed JAX has no plugin for it"
    if hardware.hidden_gpus:
        return "cpu", f"{hardware.hidden_gpus[0].name or 'a GPU'} is there but hidden: {hardware.hidden_gpus[0].hidden}"
    return "cpu", "no GPU or TPU found"


def _check_there(hardware: Hardware, platform: str) -> None:
    there = describe(hardware)
    if platform == "tpu" and not hardware.tpu.chips:
        raise DeviceError(f"a TPU was asked for, but there is none here; there is {there}. {_REMEDY}")
    if platform == "gpu":
        if not hardware.gpus:
            raise DeviceError(f"a GPU was asked for, but there is none for this process; there is {there}. {_REMEDY}")
        vendors = {gpu.vendor for gpu in hardware.gpus}
        if not any(_PLUGIN_OF.get(vendor) in hardware.software.plugins for vendor in vendors):
            notes = "; ".join(note for note in hardware.notes if "pip install" in note)
            raise DeviceError(f"a GPU was asked for, but the installed JAX cannot drive it: {notes}")


_REMEDY = "Leave `platform` out to have it chosen, or set it to what is there"


def describe(hardware: Hardware) -> str:
    """What devices there are, in half a sentence, for error messages."""
    parts = [f"GPU {gpu.index} ({gpu.name})" for gpu in hardware.gpus]
    parts += [f"a hidden GPU ({gpu.name or gpu.vendor}: {gpu.hidden})" for gpu in hardware.hidden_gpus]
    parts += [f"a TPU with {hardware.tpu.chips} chips"] if hardware.tpu.chips else []
    devices = hardware.cpu.simulated_devices
    parts += [f"the CPU ({devices} simulated devices)" if devices > 1 else "the CPU"]
    return ", ".join(parts)


def _devices(hardware: Hardware, platform: str, asked: Sequence[int] | None) -> dict[str, tuple[Any, str]]:
    """Which devices, in what arrangement, and how a batch is spread over them."""
    there, why = _there(hardware, platform)
    if asked is not None:
        missing = [number for number in asked if number not in range(_count(hardware, platform))]
        # CPU devices are simulated, and can be made as long as JAX has not started; `configure` knows.
        if missing and platform != "cpu":
            raise DeviceError(
                f"{platform} devices {missing} were asked for, but there is {describe(hardware)}. "
                "Correct `device_ids`, or leave it out to use all"
            )
        there, why = tuple(asked), "asked for"
    count = len(there)
    spread = ("shard_map", f"{count} devices share a batch") if count > 1 else ("none", "one device")
    return {
        "device_ids": (there, why),
        "mesh_axes": ((("batch", count),), "one axis over all devices: a batch of contracts or paths splits freely"),
        "parallelism": spread,
    }


def _count(hardware: Hardware, platform: str) -> int:
    return {"cpu": hardware.cpu.simulated_devices, "gpu": len(hardware.gpus), "tpu": hardware.tpu.chips}[platform]


def _there(hardware: Hardware, platform: str) -> tuple[tuple[int, ...], str]:
    count = _count(hardware, platform)
    if platform == "cpu":
        return tuple(range(count)), "one CPU" if count == 1 else f"{count} CPU devices are simulated"
    if platform == "tpu":
        return tuple(range(max(1, count))), f"all {count} chips"
    if not hardware.gpus:
        return (0,), "the first GPU, whatever it turns out to be: none could be asked"
    # A batch is split into equal parts, so that the slowest device sets the pace: only like devices are put together.
    best = max(hardware.gpus, key=lambda gpu: (gpu.memory_total or 0, gpu.compute_capability or (0, 0)))
    alike = tuple(gpu.index for gpu in hardware.gpus if gpu.name == best.name and gpu.index is not None)
    if best.mig:
        return alike[:1], "one MIG instance: CUDA shows a process no more than one"
    if len(alike) < count:
        return (
            alike,
            f"the {len(alike)} of {count} GPUs that are {best.name}; unlike devices would wait for the slowest",
        )
    return alike, f"all {count} GPUs" if count > 1 else "the only visible GPU"


def _precision(platform: str, used: list[Gpu], card: "DeviceCard | None") -> dict[str, tuple[Any, str]]:
    pricing = _pricing(platform, used, card)
    if pricing[0] == "float64":
        accumulation = ("float64", "as wide as the terms")
    elif platform == "gpu":
        accumulation = ("float64", "one addition per term costs less than reading the term, even at a slow float64")
    else:
        accumulation = ("float32", "float64 is emulated on this platform")
    return {
        "pricing_dtype": pricing,
        "accumulation_dtype": accumulation,
        "model_dtype": _model(platform, used),
        "matmul_precision": (
            "highest",
            "float32 products stay float32; lower settings may round to TF32 (ten bits) in silence",
        ),
    }


def _pricing(platform: str, used: list[Gpu], card: "DeviceCard | None") -> tuple[str, str]:
    if card is not None and card.float64_vector and card.float32_vector:
        ratio = card.float64_vector / card.float32_vector
        said = f"measured float64 at {ratio:.2g} of the float32 rate ({card.float64_vector:.3g} TFLOP/s)"
        if ratio >= USABLE_FLOAT64 or platform == "cpu":
            return "float64", said
        return "float32", said + ": too slow for batches"
    if platform == "cpu":
        return "float64", "a CPU computes float64 at half the float32 rate, with twice the digits and more"
    if platform == "tpu":
        return "float32", "a TPU has no float64 units; it is emulated many times slower"
    ratio = gpus.float64_ratio(used[0]) if used else None
    if ratio is None:
        return "float32", "the float64 rate of this GPU is not known; measure it with gpujax.device.device_card()"
    name = used[0].name or "this GPU"
    said = f"float64 runs at {ratio.numerator}/{ratio.denominator} of the float32 rate on {name}, as published"
    return ("float64", said) if ratio >= USABLE_FLOAT64 else ("float32", said + ": too slow for batches")


def _model(platform: str, used: list[Gpu]) -> tuple[str, str]:
    if platform == "tpu":
        return "bfloat16", "the matrix units of a TPU take bfloat16"
    if platform == "cpu":
        return "float32", "a CPU gains little or nothing from 16-bit arithmetic"
    supported = gpus.supports_bfloat16(used[0]) if used else None
    if supported:
        return "bfloat16", "this GPU has bfloat16 matrix units, and bfloat16 needs no loss scaling"
    if supported is None:
        return "float32", "not known whether this GPU has bfloat16 units"
    return "float32", "this GPU has no bfloat16 units; float16 would need loss scaling, so set it only knowingly"


def _memory(hardware: Hardware, platform: str, used: list[Gpu]) -> dict[str, tuple[Any, str]]:
    fraction, preallocate = _memory_fraction(hardware, platform, used)
    if platform == "cpu":
        margin = (0.25, "the memory is shared with the data and with everything else that runs")
    else:
        margin = (0.5, "leaves room for what the compiler keeps between steps")
    least = min((gpu.memory_total for gpu in used if gpu.memory_total is not None), default=None)
    if platform == "gpu" and least is not None and least < _SMALL_GPU:
        blocks = ("blocks", f"{least / 2**30:.0f} GiB is little for training: recompute rather than store")
    else:
        blocks = ("none", "memory suffices; recomputing would cost time")
    return {
        "memory_fraction": fraction,
        "preallocate": preallocate,
        "batch_margin": margin,
        "batch_limit": (None, "memory is the only limit"),
        "rematerialisation": blocks,
    }


def _memory_fraction(hardware: Hardware, platform: str, used: list[Gpu]) -> tuple[tuple[float, str], tuple[bool, str]]:
    if platform != "gpu":
        nowhere = f"without effect on a {platform.upper()}"
        kept = "fresh pages cost a computation on the CPU more than its arithmetic" if platform == "cpu" else nowhere
        return (_DEFAULT_MEMORY_FRACTION, nowhere), (True, kept)
    fraction, preallocate = _fraction_by_facts(used)
    for name in ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        setting = _number(hardware.environment.get(name))
        if setting is not None:
            fraction = (setting, f"{name}={hardware.environment[name]} says so")
            break
    setting = hardware.environment.get("XLA_PYTHON_CLIENT_PREALLOCATE", "").lower()
    if setting in ("true", "1", "false", "0"):
        preallocate = (setting in ("true", "1"), f"XLA_PYTHON_CLIENT_PREALLOCATE={setting} says so")
    return fraction, preallocate


def _fraction_by_facts(used: list[Gpu]) -> tuple[tuple[float, str], tuple[bool, str]]:
    if any(gpu.unified_memory for gpu in used):
        return (0.5, "the GPU shares the host's memory"), (
            False,
            "the GPU shares the host's memory: take only what is needed",
        )
    shares = [gpu.memory_free / gpu.memory_total for gpu in used if gpu.memory_free is not None and gpu.memory_total]
    if not shares:
        return (_DEFAULT_MEMORY_FRACTION, "JAX's default: free memory is not known"), (True, "JAX's default")
    free = min(shares)
    if free >= 0.95:
        return (_DEDICATED_MEMORY_FRACTION, "nothing else uses this GPU"), (
            True,
            "avoids fragmentation on a GPU of one's own",
        )
    share = max(0.05, round(_DEDICATED_MEMORY_FRACTION * free, 2))
    said = f"others use {1 - free:.0%} of the GPU's memory now"
    return (share, said), (False, said + ": take only what is needed")


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0.0 < value <= 1.0 else None


def _by_environment(hardware: Hardware) -> dict[str, tuple[Any, str]]:
    """What the user has told JAX by variables of its own, where a configuration can say the same."""
    said: dict[str, tuple[Any, str]] = {}
    precision = hardware.environment.get("JAX_DEFAULT_MATMUL_PRECISION")
    if precision in ("highest", "high", "default"):
        said["matmul_precision"] = (precision, f"JAX_DEFAULT_MATMUL_PRECISION={precision} says so")
    return said


def _compilation_cache(hardware: Hardware) -> tuple[str | None, str]:
    setting = hardware.environment.get("JAX_COMPILATION_CACHE_DIR")
    if setting:
        return setting, f"JAX_COMPILATION_CACHE_DIR={setting} says so"
    # Programs compiled for one processor may not run on another, and home directories are shared between machines.
    processor = f"{hardware.cpu.model} {hardware.cpu.architecture} {' '.join(hardware.cpu.vector)}"
    mark = hashlib.sha256(processor.encode()).hexdigest()[:8]
    folder = cache_directory() / "compiled" / f"jax-{hardware.software.jax or 'unknown'}-{mark}"
    return str(
        folder
    ), "a second start compiles nothing anew; private to the user, one folder per JAX version and processor"
