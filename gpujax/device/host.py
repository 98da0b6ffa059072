"""Facts about the host: processor, memory, container limits, operating system, installed software.

Everything is read from the operating system's own tables. Functions take the root of the file system, so that a test
can give them a made-up machine; a fact that cannot be read is None, with the reason.
"""

import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import psutil

from gpujax.device.facts import Cpu, Memory, Software, System

__all__ = ["cpu", "memory", "simulated_cpu_devices", "software", "system"]

# Vector instruction sets that change how fast arithmetic runs, widest first, as Linux names them on x86 and on Arm.
_VECTOR_FLAGS = (
    "amx_tile", "amx_bf16", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx10", "avx2", "fma", "f16c",
    "avx", "sse4_2", "sve2", "sve", "asimd", "neon", "bf16", "fphp", "asimdhp",
)  # fmt: skip

# A cgroup (version 1) without a memory limit says so with a number near 2^63.
_NO_LIMIT = 1 << 60


def cpu(root: str | os.PathLike[str] = "/", environ: Mapping[str, str] | None = None) -> Cpu:
    """The processor: model, cores, vector instructions, and how many cores this process may use.

    Arguments:
        root: the root of the file system to read `proc` and `sys` from.
        environ: the environment, for the number of simulated devices; `os.environ` by default.
    """
    base = Path(root)
    unknown: dict[str, str] = {}
    text = _read(base / "proc/cpuinfo")
    real = base == Path("/")
    model = _cpu_model(text) or (platform.processor() or None if real else None)
    if model is None:
        unknown["model"] = "the system does not name its processor in /proc/cpuinfo"
    logical = len(re.findall(r"^processor\s*:", text, re.MULTILINE)) or (os.cpu_count() if real else None)
    if logical is None:
        unknown["logical_cores"] = "/proc/cpuinfo lists no processor"
    physical = _physical_cores(text) or (psutil.cpu_count(logical=False) if real else None)
    if physical is None:
        unknown["physical_cores"] = "the system does not tell cores from hardware threads"
    affinity = _affinity(base)
    if affinity is None:
        unknown["affinity"] = "the system has no table of the cores a process may run on"
    quota = _cpu_quota(base)
    limits = [count for count in (logical, affinity, quota) if count is not None]
    vector = _vector(text)
    if not vector:
        unknown["vector"] = "/proc/cpuinfo lists no instruction sets"
    return Cpu(
        model=model,
        architecture=platform.machine(),
        physical_cores=physical,
        logical_cores=logical,
        affinity=affinity,
        quota=quota,
        usable_cores=max(1, int(min(limits))) if limits else 1,
        vector=vector,
        simulated_devices=simulated_cpu_devices(environ),
        unknown=unknown,
    )


def memory(root: str | os.PathLike[str] = "/") -> Memory:
    """Main memory: total, available, the container's limit, and what this process can still take, in bytes."""
    base = Path(root)
    unknown: dict[str, str] = {}
    text = _read(base / "proc/meminfo")
    total, available = _meminfo(text, "MemTotal"), _meminfo(text, "MemAvailable")
    if total is None and base == Path("/"):
        virtual = psutil.virtual_memory()
        total, available = virtual.total, virtual.available
    if total is None:
        unknown["total"] = unknown["available"] = "/proc/meminfo cannot be read"
    limit, used = _memory_limit(base)
    if limit is not None and total is not None and limit >= total:
        limit = None
    usable = available
    if limit is not None:
        left = max(0, limit - (used or 0))
        usable = left if available is None else min(available, left)
    if usable is None:
        unknown.setdefault("usable", "neither the available memory nor a container limit is known")
    return Memory(total=total, available=available, limit=limit, usable=usable, unknown=unknown)


def system(root: str | os.PathLike[str] = "/", environ: Mapping[str, str] | None = None) -> System:
    """Operating system, kernel, and whether this is a container or the Windows Subsystem for Linux."""
    base = Path(root)
    environ = os.environ if environ is None else environ
    kernel = _read(base / "proc/sys/kernel/osrelease").strip() or platform.release()
    version = _read(base / "proc/version")
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', _read(base / "etc/os-release"), re.MULTILINE)
    return System(
        name=release.group(1) if release else platform.system(),
        kernel=kernel,
        wsl="microsoft" in (kernel + version).lower() or "WSL_DISTRO_NAME" in environ,
        container=_container(base, environ),
    )


def software(root: str | os.PathLike[str] = "/") -> Software:
    """Installed versions of Python, JAX and its accelerator plugins, and the AMD driver; nothing is imported."""
    unknown: dict[str, str] = {}
    jax, jaxlib = _version("jax"), _version("jaxlib")
    for name, version in (("jax", jax), ("jaxlib", jaxlib)):
        if version is None:
            unknown[name] = "not installed"
    # Every accelerator plugin of JAX announces itself under this entry point ("xla_cuda13", "xla_rocm7"); TPUs need
    # libtpu.
    announced = {entry.name for entry in importlib.metadata.entry_points(group="jax_plugins")}
    found = [kind for kind in ("cuda", "rocm", "oneapi") if any(kind in name for name in announced)]
    if _version("libtpu"):
        found.append("tpu")
    return Software(
        python=platform.python_version(),
        jax=jax,
        jaxlib=jaxlib,
        plugins=tuple(found),
        amd_driver=_read(Path(root) / "sys/module/amdgpu/version").strip() or None,
        unknown=unknown,
    )


def simulated_cpu_devices(environ: Mapping[str, str] | None = None) -> int:
    """How many CPU devices JAX will show: XLA_FLAGS' forced count, or JAX_NUM_CPU_DEVICES, or 1."""
    environ = os.environ if environ is None else environ
    forced = re.findall(r"--xla_force_host_platform_device_count=(\d+)", environ.get("XLA_FLAGS", ""))
    wanted = environ.get("JAX_NUM_CPU_DEVICES", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return max(1, int(forced[-1])) if forced else 1


def _read(path: Path) -> str:
    """The text of a file of the system, or nothing where it is absent, forbidden or refuses to be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model(cpuinfo: str) -> str | None:
    for key in ("model name", "Model", "Hardware", "cpu model", "uarch", "cpu"):
        match = re.search(rf"^{key}\s*:\s*(\S.*)$", cpuinfo, re.MULTILINE)
        if match:
            return match.group(1).strip()
    part = re.search(r"^CPU implementer\s*:\s*(\S+)[\s\S]*?^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    return f"Arm implementer {part.group(1)} part {part.group(2)}" if part else None


def _physical_cores(cpuinfo: str) -> int | None:
    cores: set[tuple[str, str]] = set()
    for block in re.split(r"\n\s*\n", cpuinfo):
        package = re.search(r"^physical id\s*:\s*(\d+)", block, re.MULTILINE)
        core = re.search(r"^core id\s*:\s*(\d+)", block, re.MULTILINE)
        if package and core:
            cores.add((package.group(1), core.group(1)))
    return len(cores) or None


def _vector(cpuinfo: str) -> tuple[str, ...]:
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    present = set(match.group(1).split()) if match else set()
    return tuple(flag for flag in _VECTOR_FLAGS if flag in present)


def _affinity(base: Path) -> int | None:
    if base == Path("/") and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    match = re.search(r"^Cpus_allowed_list:\s*(\S+)", _read(base / "proc/self/status"), re.MULTILINE)
    return _count_list(match.group(1)) if match else None


def _count_list(text: str) -> int:
    """How many numbers a list such as `0-3,8` names."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count


def _meminfo(text: str, key: str) -> int | None:
    match = re.search(rf"^{key}:\s*(\d+) kB", text, re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None


def _cgroup_folders(base: Path, controller: str) -> list[tuple[int, Path]]:
    """This process's control group and all its parents for one controller, as (version, folder), innermost first.

    A limit on any parent binds, so all have to be read. Inside a container the path in /proc/self/cgroup is often the
    host's and does not exist; the mount's own root then holds the container's limits.
    """
    folders: list[tuple[int, Path]] = []
    for line in _read(base / "proc/self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            version, mounts = 2, [base / "sys/fs/cgroup", base / "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            version, mounts = 1, [base / "sys/fs/cgroup" / controllers, base / "sys/fs/cgroup" / controller]
        else:
            continue
        for mount in mounts:
            inner = Path(path.strip().lstrip("/"))
            chain = [inner, *inner.parents] if inner.parts else [Path()]
            folders.extend((version, mount / step) for step in chain)
    return folders


def _cpu_quota(base: Path) -> float | None:
    quotas: list[float] = []
    for version, folder in _cgroup_folders(base, "cpu"):
        if version == 2:
            quota, _, period = _read(folder / "cpu.max").partition(" ")
        else:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.strip().isdecimal() and period.strip().isdecimal() and int(period) > 0:
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def _memory_limit(base: Path) -> tuple[int | None, int | None]:
    """The tightest memory limit over this process's control groups, and what is used under it, in bytes."""
    tightest: tuple[int, int | None] | None = None
    for version, folder in _cgroup_folders(base, "memory"):
        names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        limit, used = (_read(folder / name).strip() for name in names)
        if not limit.isdecimal() or int(limit) >= _NO_LIMIT:
            continue
        if tightest is None or int(limit) < tightest[0]:
            tightest = int(limit), _without_page_cache(folder, version, used)
    return tightest or (None, None)


def _without_page_cache(folder: Path, version: int, used: str) -> int | None:
    # Cached file pages count as used but are given back as soon as memory is wanted.
    if not used.isdecimal():
        return None
    key = "inactive_file" if version == 2 else "total_inactive_file"
    cached = re.search(rf"^{key} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
    return max(0, int(used) - (int(cached.group(1)) if cached else 0))


def _container(base: Path, environ: Mapping[str, str]) -> str | None:
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes"
    if (base / ".dockerenv").exists():
        return "docker"
    if (base / "run/.containerenv").exists():
        return "podman"
    if environ.get("SINGULARITY_NAME") or environ.get("APPTAINER_NAME"):
        return "apptainer"
    groups = _read(base / "proc/1/cgroup")
    for name in ("kubepods", "docker", "containerd", "libpod", "lxc"):
        if name in groups:
            return name
    return None
