"""What hardware is there, found out without starting JAX.

`detect()` asks the NVIDIA driver, the AMD driver's tables, the PCI bus and the operating system. It creates no context
on any device and starts no JAX backend, because environment variables and `jax.distributed.initialize` have to come
before that. It
never raises for a missing tool: a fact that cannot be had is None, with the reason. How fast things are is not asked
    here: see
`card.py` (measured) and `gpus.py` (published).
"""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

from gpujax.device import amd, host, nvidia, tpu
from gpujax.device.facts import Cpu, Facts, Gpu, Memory, MigInstance, Software, System, Tpu
from gpujax.device.log import start_logging

__all__ = ["Cpu", "Gpu", "Hardware", "Memory", "MigInstance", "Software", "System", "Tpu", "detect"]

_log = logging.getLogger("gpujax.device")

# Settings that change what JAX sees or does; reported as they stand, since they explain many a surprise.
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS", "TPU_ACCELERATOR_TYPE", "JAX_PLATFORMS", "JAX_ENABLE_X64",
    "JAX_NUM_CPU_DEVICES", "JAX_COMPILATION_CACHE_DIR", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_DEFAULT_PRNG_IMPL",
    "XLA_FLAGS", "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE",
    "XLA_PYTHON_CLIENT_ALLOCATOR", "TF_GPU_ALLOCATOR", "OMP_NUM_THREADS", "GPUJAX_CONFIG", "GPUJAX_CACHE",
    "GPUJAX_LOG",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware(Facts):
    """The machine as this process sees it.

    Fields:
        gpus: the GPUs that JAX can see, in its order; `gpus[i].index == i`.
        hidden_gpus: GPUs that are there but not for this process, each with the reason in `hidden`.
        tpu: the TPU chips of this host.
        cpu, memory, system, software: the host.
        environment: the settings in force that change what JAX sees or does.
        notes: what a reader should know, such as why no GPU was found.

    Every record has `unknown`, which maps the name of a fact that is None to the reason, and `to_dict()` for JSON.
    """

    gpus: tuple[Gpu, ...] = ()
    hidden_gpus: tuple[Gpu, ...] = ()
    tpu: Tpu = dataclasses.field(default_factory=Tpu)
    cpu: Cpu = dataclasses.field(default_factory=Cpu)
    memory: Memory = dataclasses.field(default_factory=Memory)
    system: System = dataclasses.field(default_factory=System)
    software: Software = dataclasses.field(default_factory=Software)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """What is there, for people: one line a fact, devices first."""
        lines = [line for gpu in (*self.gpus, *self.hidden_gpus) for line in _gpu_lines(gpu)]
        if self.tpu.chips:
            lines.append(
                ("TPU", f"{self.tpu.chips} chips, {self.tpu.kind or 'unknown kind'} (found by {self.tpu.found_by})")
            )
        lines.extend(_host_lines(self))
        lines.extend(("setting", f"{name}={value}") for name, value in self.environment.items())
        lines.extend(("note", note) for note in self.notes)
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)

    def __str__(self) -> str:
        return self.summary()


def detect(
    *,
    root: str | os.PathLike[str] = "/",
    environ: Mapping[str, str] | None = None,
    nvml: Any = None,
    amdsmi: Any = None,
) -> Hardware:
    """Look at the hardware, without starting JAX and without raising for missing tools.

    Arguments (all for tests and for looking at another machine's tables; none is needed):
        root: the root of the file system whose `proc`, `sys` and `dev` are read.
        environ: the environment whose settings apply; `os.environ` by default.
        nvml: a module with pynvml's functions and error classes; pynvml by default.
        amdsmi: a module with AMD SMI's functions; the installed one by default.

    Returns: the facts as they are now (free memory changes); nothing is kept between calls.

    >>> hardware = detect()
    >>> hardware.cpu.usable_cores >= 1
    True

    Sources: NVML API reference; CUDA Programming Guide, "CUDA environment variables"; Linux kernel documentation,
        "cgroup v2",
    "proc" and "amdgpu".
    """
    start_logging()
    environ = os.environ if environ is None else environ
    memory = host.memory(root)
    software = host.software(root)
    nvidia_found = nvidia.find(nvml, environ, root)
    amd_found = amd.find(root, environ, amdsmi)
    tpu_found = tpu.find(root, environ)
    gpus = [_with_host_memory(gpu, memory) for gpu in (*nvidia_found.gpus, *amd_found.gpus)]
    notes = [*nvidia_found.notes, *amd_found.notes]
    notes += [f"NVIDIA: {nvidia_found.reason}"] if nvidia_found.reason else []
    notes += [f"AMD: {amd_found.reason}"] if amd_found.reason else []
    software = dataclasses.replace(software, nvidia_driver=nvidia_found.driver, cuda=nvidia_found.cuda)
    hardware = Hardware(
        gpus=tuple(gpu for gpu in gpus if gpu.hidden is None),
        hidden_gpus=tuple(gpu for gpu in gpus if gpu.hidden is not None),
        tpu=tpu_found,
        cpu=host.cpu(root, environ),
        memory=memory,
        system=host.system(root, environ),
        software=software,
        environment={name: environ[name] for name in _VARIABLES if name in environ},
        notes=tuple(notes + _plugin_notes(gpus, tpu_found, software)),
    )
    _log.debug("detected:\n%s", hardware)
    return hardware


def _with_host_memory(gpu: Gpu, memory: Memory) -> Gpu:
    """A GPU without memory of its own has the host's."""
    if not gpu.unified_memory or gpu.memory_total is not None:
        return gpu
    unknown = {name: why for name, why in gpu.unknown.items() if name not in ("memory_total", "memory_free")}
    return dataclasses.replace(gpu, memory_total=memory.total, memory_free=memory.usable, unknown=unknown)


def _plugin_notes(gpus: list[Gpu], tpu_found: Tpu, software: Software) -> list[str]:
    """A device that the installed JAX cannot drive is the commonest surprise of all; say what to install."""
    notes: list[str] = []
    vendors = {gpu.vendor for gpu in gpus if gpu.hidden is None}
    if "nvidia" in vendors and "cuda" not in software.plugins:
        extra = "cuda12" if software.cuda and software.cuda.startswith("12") else "cuda13"
        notes.append(f"an NVIDIA GPU is there, but JAX has no CUDA plugin: pip install 'gpujax[{extra}]'")
    if "amd" in vendors and "rocm" not in software.plugins:
        notes.append("an AMD GPU is there, but JAX has no ROCm plugin: pip install jax-rocm7-plugin jax-rocm7-pjrt")
    if tpu_found.chips and "tpu" not in software.plugins:
        notes.append("a TPU is there, but libtpu is not installed: pip install 'gpujax[tpu]'")
    return notes


def _gpu_lines(gpu: Gpu) -> list[tuple[str, str]]:
    label = f"GPU {gpu.index}" if gpu.index is not None else "GPU hidden"
    total = "memory unknown" if gpu.memory_total is None else f"{_gib(gpu.memory_total)} memory"
    free = "" if gpu.memory_free is None else f" ({_gib(gpu.memory_free)} free)"
    parts = [gpu.name or f"{gpu.vendor} GPU", total + free]
    parts += ["shares the host's memory"] if gpu.unified_memory else []
    if gpu.compute_capability:
        parts.append(f"compute capability {gpu.compute_capability[0]}.{gpu.compute_capability[1]}")
    elif gpu.architecture:
        parts.append(gpu.architecture)
    parts += [f"{gpu.power_limit:.0f} W"] if gpu.power_limit else []
    parts += [f"PCIe {gpu.pcie_generation} x{gpu.pcie_width}"] if gpu.pcie_generation and gpu.pcie_width else []
    parts += [f"{gpu.nvlinks} NVLinks"] if gpu.nvlinks else []
    parts += [f"ECC {'on' if gpu.ecc else 'off'}"] if gpu.ecc is not None else []
    parts += [f"MIG on, {len(gpu.mig_instances)} instances"] if gpu.mig else []
    parts += [f"hidden: {gpu.hidden}"] if gpu.hidden else []
    lines = [(label, ", ".join(parts))]
    lines.extend(("unknown", f"{label} {name}: {why}") for name, why in gpu.unknown.items() if name in _WORTH_SAYING)
    return lines


# Of the facts a driver may refuse, those whose absence changes what is chosen.
_WORTH_SAYING = ("name", "memory_total", "memory_free", "mig_instances")


def _host_lines(hardware: Hardware) -> list[tuple[str, str]]:
    cpu, memory, system, software = hardware.cpu, hardware.memory, hardware.system, hardware.software
    cores = (
        f"{cpu.physical_cores or 'unknown'} cores, {cpu.logical_cores or 'unknown'} threads, {cpu.usable_cores} usable"
    )
    quota = f" (container limit {cpu.quota:g})" if cpu.quota is not None else ""
    vector = f"; {' '.join(cpu.vector)}" if cpu.vector else ""
    limit = f", container limit {_gib(memory.limit)}" if memory.limit is not None else ""
    total = "unknown" if memory.total is None else _gib(memory.total)
    usable = "" if memory.usable is None else f", {_gib(memory.usable)} usable"
    lines = [("CPU", f"{cpu.model or cpu.architecture}: {cores}{quota}{vector}"), ("memory", total + limit + usable)]
    if cpu.simulated_devices > 1:
        lines.append(("CPU devices", f"{cpu.simulated_devices} simulated"))
    around = [
        text for text in ("WSL" if system.wsl else "", f"in {system.container}" if system.container else "") if text
    ]
    lines.append(("system", ", ".join([f"{system.name} (kernel {system.kernel})", *around])))
    versions = [f"Python {software.python}", f"JAX {software.jax or 'not installed'}"]
    versions += [f"plugins: {', '.join(software.plugins)}"] if software.plugins else ["no accelerator plugin"]
    versions += [f"NVIDIA driver {software.nvidia_driver}"] if software.nvidia_driver else []
    versions += [f"CUDA up to {software.cuda}"] if software.cuda else []
    lines.append(("software", ", ".join(versions)))
    return lines


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
