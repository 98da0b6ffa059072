"""Putting a configuration into force: what JAX is told, before its first computation.

Platform, visible devices, memory and the number of CPU devices are read by JAX once, when its backend starts; 64-bit
mode, precision, random numbers and the compilation cache can be set at any time. `configure` is therefore the first
line of a program; called later, it does what can still be done and names what cannot.
"""

import dataclasses
import logging
import os
import stat
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from gpujax.device import config_file, running
from gpujax.device.choose import cache_directory, choose_around, describe
from gpujax.device.config import DeviceConfig
from gpujax.device.hardware import Hardware, detect
from gpujax.device.host_allocator import keep_freed_memory
from gpujax.device.log import start_logging
from gpujax.device.mesh import mesh_devices
from gpujax.errors import ConfigError, DeviceError

__all__ = ["LateConfigurationWarning", "configure", "current_config", "devices_in_force"]

_log = logging.getLogger("gpujax.device")

_FILE = "gpujax.yaml"
_PLUGIN_OF = {"nvidia": "cuda", "amd": "rocm"}
_FRACTION, _OLD_FRACTION = "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"
_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


class LateConfigurationWarning(UserWarning):
    """JAX had already started when `configure` was called, so that some settings could not be applied."""


@dataclasses.dataclass(frozen=True)
class _Request:
    """A resolved configuration, the fields that somebody asked for by name, and what it was resolved from."""

    config: DeviceConfig
    asked: frozenset[str]
    source: tuple[Any, ...]


# Kinds of source that a caller names, as opposed to what is found when nothing is named.
_ARGUMENTS = ("object", "mapping", "text")

_lock = threading.RLock()
_in_force: _Request | None = None


def configure(config: "str | os.PathLike[str] | DeviceConfig | Mapping[str, Any]" = "auto") -> DeviceConfig:
    """Put a configuration into force in JAX; the first line of a program, before any computation.

    Arguments:
        config: "auto" for the first of: the file named in GPUJAX_CONFIG (or GPUJAX_CONFIG=auto to ignore files),
            `./gpujax.yaml`, the automatic choice. Or the path of a YAML file, YAML text, a mapping of fields, or a
            `DeviceConfig`. A file or mapping may name some fields only; the others are chosen around them.

    Returns: the configuration as it is now in force, with a reason for every field. `current_config()` gives it again.

    Calling it again is free of charge and changes nothing, unless another configuration is given or the file has been
    edited; "auto" keeps a configuration that an earlier call was given. When JAX's backend has already started,
    everything that still can be is applied; what cannot be is named in a `LateConfigurationWarning`, and the returned
    configuration says what is in force instead.

    Raises: ConfigError for a malformed configuration, or memory settings in the environment that contradict each other;
        DeviceError, naming what was asked for and what is there, for a platform or a device that this process does not
        have.

    >>> config = configure({"platform": "cpu"})
    >>> config.platform, config.why["platform"]
    ('cpu', 'set by the caller')
    """
    global _in_force
    start_logging()
    with _lock:
        source = _source(config)
        if _in_force is not None:
            # Somebody who leaves the choice open, such as an adapter, does not undo what the program has decided.
            decided = _in_force.source[0] in _ARGUMENTS and source[0] not in _ARGUMENTS
            if decided or _in_force.source == source:
                return _in_force.config
        request = _resolve(config, source)
        _in_force = dataclasses.replace(request, config=_apply(request))
        _log.debug("in force:\n%s", _in_force.config)
        return _in_force.config


def current_config() -> DeviceConfig:
    """The configuration in force; chosen automatically and put into force now if nobody has called `configure`."""
    with _lock:
        return _in_force.config if _in_force is not None else configure()


def devices_in_force() -> list[Any]:
    """The devices that work is spread over: those of the configuration in force, or all of JAX's if nobody has configured."""
    with _lock:
        if _in_force is None:
            return list(jax.devices())
        devices = mesh_devices(_in_force.config)
        return devices[:1] if _in_force.config.parallelism == "none" else devices


def _source(config: Any) -> tuple[Any, ...]:
    """What a configuration is resolved from, such that an equal source need not be resolved again."""
    if isinstance(config, DeviceConfig):
        return ("object", config)
    if isinstance(config, Mapping):
        return ("mapping", repr(sorted(config.items(), key=lambda item: str(item[0]))))
    if not isinstance(config, (str, os.PathLike)):
        raise ConfigError(
            f"configure takes 'auto', a path, a mapping or a DeviceConfig, not {type(config).__name__} {config!r:.60}"
        )
    if config != "auto":
        return ("text", os.fspath(config), _stamp(os.fspath(config)))
    named = os.environ.get("GPUJAX_CONFIG", "")
    if named and named != "auto":
        return ("GPUJAX_CONFIG", named, _stamp(named))
    if not named and Path(_FILE).is_file():
        return ("file", str(Path(_FILE).resolve()), _stamp(_FILE))
    return ("automatic",)


def _stamp(path: str) -> tuple[int, ...] | None:
    # A file that has been edited is another source; text that is no path has no stamp.
    try:
        status = os.stat(os.path.expanduser(path))
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _resolve(config: Any, source: tuple[Any, ...]) -> _Request:
    if isinstance(config, DeviceConfig):
        return _Request(config, frozenset(config.why), source)
    if isinstance(config, Mapping):
        return _Request(DeviceConfig.from_mapping(config), frozenset(config), source)
    if source == ("automatic",):
        return _Request(choose_around({}), frozenset(), source)
    path = source[1]
    _log.debug("reading the configuration %s", path)
    if source[0] == "GPUJAX_CONFIG" and source[2] is None:
        raise ConfigError(f"GPUJAX_CONFIG names {path!r}, but there is no such file; correct it or unset it")
    # What exists is a path, whatever characters its name has.
    text = path if source[2] is None else Path(path)
    return _Request(DeviceConfig.from_yaml(text), frozenset(config_file.read(text).values), source)


def _apply(request: _Request) -> DeviceConfig:
    """Tell JAX; returns the configuration as it is then in force."""
    # Whatever can be wrong is found out before anything is changed.
    config = _with_usable_cache(request.config, request.asked)
    if running.backend_started():
        config = _apply_late(config, request.asked)
    else:
        _apply_early(config)
    if config.platform == "cpu" and config.preallocate:
        keep_freed_memory()
    _tell_cache(config.compilation_cache)
    _tell("jax_enable_x64", config.needs_64_bit)
    _tell("jax_default_matmul_precision", config.matmul_precision)
    _tell("jax_default_prng_impl", config.random_implementation)
    return config


def _tell(name: str, value: Any) -> None:
    _log.debug("jax.config.update(%r, %r)", name, value)
    # What the program had already set to the same value stays the program's own setting.
    ours = name in running.told_by_us or value != running.setting(name)
    jax.config.update(name, value)
    if ours:
        running.told_by_us[name] = value


# --- before JAX has started ---


def _apply_early(config: DeviceConfig) -> None:
    hardware = detect() if config.platform != "cpu" else None
    if hardware is not None:
        _check_there(config, hardware)
        _check_memory_settings()
    if config.platform == "gpu" and hardware is not None:
        vendors = [gpu.vendor for gpu in hardware.gpus if gpu.index in config.device_ids]
        plugin = _PLUGIN_OF.get(vendors[0] if vendors else "", "cuda")
        # The CPU stays at hand: for what falls back to it, and for data on its way.
        _tell("jax_platforms", f"{plugin},cpu")
        some = len(config.device_ids) < sum(gpu.vendor == vendors[0] for gpu in hardware.gpus)
        chosen = ",".join(map(str, sorted(config.device_ids)))
        # JAX would reserve memory on every GPU it sees, used or not.
        _tell(f"jax_{plugin}_visible_devices", chosen if some else "all")
        running.restrict(config.device_ids if some else None)
        _set_memory(config)
    elif config.platform == "tpu":
        _tell("jax_platforms", "tpu,cpu")
    else:
        _tell("jax_platforms", "cpu")
        wanted = max(config.device_ids) + 1
        if wanted > running.cpu_devices():
            _tell("jax_num_cpu_devices", wanted)


def _check_there(config: DeviceConfig, hardware: Hardware) -> None:
    """DeviceError if the platform or a device is not there, found out without starting JAX."""
    count = len(hardware.gpus) if config.platform == "gpu" else hardware.tpu.chips
    missing = [number for number in config.device_ids if number >= count]
    if missing:
        raise DeviceError(
            f"the configuration asks for {config.platform} devices {list(config.device_ids)} "
            f"({config.why['platform']}), but there is {describe(hardware)}. Set platform and device_ids to what is "
            "there, or leave them out to have them chosen"
        )
    notes = [note for note in hardware.notes if "pip install" in note]
    plugins = {_PLUGIN_OF.get(gpu.vendor) for gpu in hardware.gpus} if config.platform == "gpu" else {"tpu"}
    if not plugins & set(hardware.software.plugins):
        raise DeviceError(f"the configuration asks for platform {config.platform!r}: {'; '.join(notes)}")


def _check_memory_settings() -> None:
    new, old = os.environ.get(_FRACTION), os.environ.get(_OLD_FRACTION)
    if new is not None and old is not None and new != old:
        raise ConfigError(
            f"{_FRACTION}={new} and the deprecated {_OLD_FRACTION}={old} contradict each other, and JAX refuses to "
            f"start with both; unset {_OLD_FRACTION}"
        )


def _set_memory(config: DeviceConfig) -> None:
    """Hand JAX its share of memory by the variable that is not deprecated; both at once are an error to JAX."""
    os.environ.pop(_OLD_FRACTION, None)
    for name, value in ((_FRACTION, repr(config.memory_fraction)), (_PREALLOCATE, str(config.preallocate).lower())):
        _log.debug("environment: %s=%s", name, value)
        os.environ[name] = value


# --- after JAX has started ---


def _apply_late(config: DeviceConfig, asked: frozenset[str]) -> DeviceConfig:
    """Apply what can still be applied; the configuration returned says what is in force where it could not."""
    there = _devices(config)
    default = running.started_platform() == config.platform
    if not default or running.told_by_us.get("jax_default_device") is not None:
        # The platform has started beside another one: computations can still be sent to it.
        _tell("jax_default_device", None if default else there[0])
    if config.platform != "gpu":
        return config
    in_force = {
        "memory_fraction": _fraction_in_force(),
        "preallocate": os.environ.get(_PREALLOCATE, "true").lower() not in ("false", "0"),
    }
    late = {name: value for name, value in in_force.items() if value != getattr(config, name)}
    named = [f"{name}={getattr(config, name)} (in force: {value})" for name, value in late.items() if name in asked]
    if named:
        warnings.warn(
            f"JAX had already started, so these settings could not be applied: {', '.join(named)}. Call "
            "gpujax.configure() before the first computation and before anything else that asks JAX for its devices.",
            LateConfigurationWarning,
            stacklevel=4,
        )
    return config.replace(why="JAX had already started with it", **late)


def _devices(config: DeviceConfig) -> list[Any]:
    """This host's JAX devices that a configuration names, or the DeviceError that says what is there."""
    try:
        there = running.local_devices(config.platform)
    except RuntimeError as error:
        raise DeviceError(
            f"platform {config.platform!r} was asked for, but JAX has started with {_started()} only: "
            f"{_first_line(error)}"
        ) from error
    missing = [number for number in config.device_ids if number not in there]
    if missing:
        raise DeviceError(
            f"{config.platform} devices {missing} were asked for in device_ids {list(config.device_ids)}, but JAX has "
            f"started with {len(there)}, numbered {list(there)}. Correct device_ids, or call gpujax.configure() before "
            "the first computation"
        )
    return [there[number] for number in config.device_ids]


def _fraction_in_force() -> float:
    # 0.75 is what JAX takes without a setting.
    setting = os.environ.get(_FRACTION) or os.environ.get(_OLD_FRACTION) or "0.75"
    try:
        return float(setting)
    except ValueError:
        return 0.75


def _started() -> str:
    return ", ".join(sorted({device.platform for device in jax.devices()}))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


# --- the compilation cache ---


def _with_usable_cache(config: DeviceConfig, asked: frozenset[str]) -> DeviceConfig:
    """Make the cache's directory, private. One that cannot serve is an error if a configuration asks for it; our own
    is done without; one that the program or the environment told JAX stays as it is, with a warning.
    """
    path = config.compilation_cache
    if path is None or "://" in path:
        return config
    folder = Path(path).expanduser()
    ours = folder.is_relative_to(cache_directory())
    problem = _make_private(folder, ours=ours)
    if problem is None:
        return config
    if not ours and "compilation_cache" in asked:
        raise ConfigError(f"compilation_cache {str(folder)!r} ({config.why['compilation_cache']}): {problem}")
    _log.warning("compilation cache %s: %s", folder, problem)
    return config.replace(compilation_cache=None, why=f"{folder} {problem}") if ours else config


def _tell_cache(path: str | None) -> None:
    if path is not None and "://" not in path:
        path = str(Path(path).expanduser())
    if path != running.setting("jax_compilation_cache_dir"):
        # JAX remembers the first directory it has used, and whether there was one.
        compilation_cache.reset_cache()
    _tell("jax_compilation_cache_dir", path)
    if path is not None:
        # By default JAX keeps only what took a second to compile; a demo is made of many small programs.
        _tell("jax_persistent_cache_min_compile_time_secs", 0.0)
        _tell("jax_persistent_cache_min_entry_size_bytes", -1)


def _make_private(folder: Path, *, ours: bool) -> str | None:
    """Make the directory for the user alone; returns what is wrong with it, if anything.

    Whoever can write into the cache can have code run by whoever reads it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        return f"cannot be made: {error.strerror}"
    if not stat.S_ISDIR(status.st_mode):
        return "is not a directory"
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return "belongs to another user, who could have code run by you through it; choose a directory of your own"
    if ours and stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    elif status.st_mode & stat.S_IWOTH:
        return f"can be written by everybody, who could have code run by you through it: chmod 700 {folder}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "cannot be written"
    return None
