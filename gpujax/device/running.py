"""What the running JAX has been told and which devices it shows, by the numbers that a configuration uses.

The only place that looks into JAX's state: whether a backend has started, which settings a program made for itself, and
how JAX's devices relate to `DeviceConfig.device_ids`. Asking for devices starts the backend; everything else here does
not.
"""

import dataclasses
import sys
from collections.abc import Iterable
from typing import Any

from gpujax.device import host
from gpujax.device.hardware import Hardware

__all__ = [
    "backend_started",
    "cpu_devices",
    "local_devices",
    "numbered",
    "restrict",
    "seen_by_jax",
    "setting",
    "started_platform",
    "told_by_us",
]

# Settings of JAX that a program may have made for itself, and the variables that stand for the same.
_SETTINGS = {
    "jax_platforms": "JAX_PLATFORMS",
    "jax_compilation_cache_dir": "JAX_COMPILATION_CACHE_DIR",
    "jax_default_matmul_precision": "JAX_DEFAULT_MATMUL_PRECISION",
}

# What `configure` itself told JAX, so that it does not mistake its own settings for the user's.
told_by_us: dict[str, Any] = {}

# The accelerators that JAX was restricted to before it started, by their numbers without the restriction; None for all.
_restriction: tuple[int, ...] | None = None


def backend_started() -> bool:
    """Whether JAX has started a backend; until then platform, visible devices and memory can still be set."""
    if "jax" not in sys.modules:
        return False
    # There is no public question for this; both supported lines of JAX have this one, and a test holds it.
    from jax._src import xla_bridge

    return xla_bridge.backends_are_initialized()


def setting(name: str) -> Any:
    """The value of a JAX setting now; None for one that JAX does not show (those of a plugin)."""
    import jax

    return getattr(jax.config, name, None)


def local_devices(platform: str) -> dict[int, Any]:
    """This host's devices of a platform by the numbers that `DeviceConfig.device_ids` uses; starts the backend.

    Raises: RuntimeError, from JAX, where the platform is not there.
    """
    import jax

    return numbered(platform, jax.local_devices(backend=platform))


def numbered(platform: str, devices: Iterable[Any]) -> dict[int, Any]:
    """One host's JAX devices by the numbers that `DeviceConfig.device_ids` uses."""
    present = sorted(devices, key=lambda device: device.id)
    # JAX numbers what it sees from 0; under a restriction to GPUs 2 and 5 these are its devices 0 and 1.
    if platform == "gpu" and _restriction is not None and len(_restriction) == len(present):
        return dict(zip(sorted(_restriction), present, strict=True))
    return dict(enumerate(present))


def restrict(device_ids: tuple[int, ...] | None) -> None:
    """Note the accelerators that JAX will be restricted to when it starts."""
    global _restriction
    _restriction = device_ids


def started_platform() -> str | None:
    """The platform on which computations run by default, or None while no backend has started."""
    if not backend_started():
        return None
    import jax

    name = jax.default_backend()
    return {"cuda": "gpu", "rocm": "gpu"}.get(name, name)


def seen_by_jax(hardware: Hardware) -> Hardware:
    """The hardware with the settings that the program has already made in JAX itself, as if they stood in the
    environment.

    Only what is already imported is looked at, and nothing is started.
    """
    if "jax" not in sys.modules:
        return hardware
    environment = dict(hardware.environment)
    for name, variable in _SETTINGS.items():
        value = setting(name)
        if value and value != told_by_us.get(name):
            environment[variable] = str(value)
    return dataclasses.replace(
        hardware,
        environment=environment,
        cpu=dataclasses.replace(hardware.cpu, simulated_devices=cpu_devices(hardware.cpu.simulated_devices)),
    )


def cpu_devices(by_environment: int | None = None) -> int:
    """How many CPU devices JAX shows, or will show when it starts."""
    if by_environment is None:
        by_environment = host.simulated_cpu_devices()
    if backend_started():
        try:
            return len(local_devices("cpu"))
        except RuntimeError:
            # The program told JAX to leave the CPU out.
            return by_environment
    told = setting("jax_num_cpu_devices")
    return told if told > 0 and told != told_by_us.get("jax_num_cpu_devices") else by_environment
