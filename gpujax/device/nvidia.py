"""Facts about NVIDIA GPUs, asked of the driver through NVML, without creating a CUDA context.

Every single question may go unanswered: consumer boards lack some, integrated GPUs (GB10, Jetson) answer "not
    supported" to the
memory question because they share the host's memory, containers may forbid some, and a GPU can fall off the bus. Each
answer that fails leaves its fact None with NVML's own words as the reason; nothing here raises.

Which of the GPUs this process can see follows the CUDA Programming Guide ("CUDA environment variables") and the MIG
User Guide ("CUDA device enumeration").
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpujax.device.facts import Gpu, MigInstance

__all__ = ["NvidiaFacts", "find"]

_NOT_SUPPORTED = "NVMLError_NotSupported"


@dataclasses.dataclass(frozen=True)
class NvidiaFacts:
    """All NVIDIA GPUs in the machine, visible ones first and in JAX's order; `reason` says why there are none."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


def find(nvml: Any = None, environ: Mapping[str, str] | None = None, root: str | os.PathLike[str] = "/") -> NvidiaFacts:
    """Ask NVML for all GPUs, their facts and which of them CUDA shows to this process.

    Where the NVML library is missing (older Jetsons, thin containers), the kernel driver's tables and device files under
    `root` are read instead: they tell little more than that a GPU is there.

    Arguments:
        nvml: a module with pynvml's functions and error classes; pynvml itself by default.
        environ: the environment that holds CUDA_VISIBLE_DEVICES; `os.environ` by default.
        root: the root of the file system to read `proc` and `dev` from.
    """
    environ = os.environ if environ is None else environ
    if nvml is None:
        try:
            import pynvml as nvml
        except ImportError:
            return _without_nvml(Path(root), environ, "nvidia-ml-py is not installed")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if type(error).__name__ == "NVMLError_LibraryNotFound":
            return _without_nvml(Path(root), environ, f"no NVIDIA driver answers ({error})")
        # Any other failure, such as a driver that was updated under a running system, stops CUDA too.
        return NvidiaFacts(reason=f"the NVIDIA driver does not work ({error})")
    try:
        return _find(nvml, environ)
    finally:
        # Shutting down can only fail when the driver has just gone; what was read before still stands.
        _Asker(nvml).ask("shutdown", "nvmlShutdown")


def _find(nvml: Any, environ: Mapping[str, str]) -> NvidiaFacts:
    asker = _Asker(nvml)
    driver = asker.text("driver", "nvmlSystemGetDriverVersion")
    version = asker.ask("cuda", "nvmlSystemGetCudaDriverVersion_v2")
    cuda = f"{version // 1000}.{version % 1000 // 10}" if version else None
    count = asker.ask("count", "nvmlDeviceGetCount")
    if not count:
        why = asker.unknown.get("count", "the NVIDIA driver is there, but no GPU")
        return NvidiaFacts(driver=driver, cuda=cuda, reason=why)
    gpus = [_gpu(nvml, number) for number in range(count)]
    shown, notes = _visible(gpus, environ)
    return NvidiaFacts(gpus=shown, driver=driver, cuda=cuda, notes=tuple(notes))


def _without_nvml(base: Path, environ: Mapping[str, str], reason: str) -> NvidiaFacts:
    """What can be said without NVML: the kernel driver's list of boards, or the device files of an integrated GPU."""
    asked = ("memory_total", "memory_free", "compute_capability", "mig")
    texts = [_read(path) for path in sorted((base / "proc/driver/nvidia/gpus").glob("*/information"))]
    gpus: list[Gpu] = []
    for number, text in enumerate(texts):
        name, uuid = _after("Model", text), _after("GPU UUID", text)
        missing = [fact for fact, value in (("name", name), ("uuid", uuid)) if value is None]
        unknown = dict.fromkeys((*missing, *asked), reason)
        gpus.append(
            Gpu(
                vendor="nvidia",
                name=name,
                physical_index=number,
                uuid=uuid,
                pci_bus=_after("Bus Location", text),
                unknown=unknown,
            )
        )
    integrated = [path for path in ("dev/nvhost-gpu", "dev/nvgpu/igpu0") if (base / path).exists()]
    if not gpus and integrated:
        model = _read(base / "proc/device-tree/model").strip("\0\n ") or None
        unknown: dict[str, str] = dict.fromkeys(("uuid", "compute_capability", "mig"), reason)
        gpus.append(Gpu(vendor="nvidia", name=model, physical_index=0, unified_memory=True, unknown=unknown))
    if not gpus:
        return NvidiaFacts(reason=reason)
    version = re.search(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)", _read(base / "proc/driver/nvidia/version"))
    shown, notes = _visible(gpus, environ)
    notes.append(f"NVIDIA: {reason}; what is known comes from the kernel driver's tables")
    return NvidiaFacts(gpus=shown, driver=version.group(1) if version else None, notes=tuple(notes))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _after(key: str, text: str) -> str | None:
    match = re.search(rf"^{key}:\s*(\S.*)$", text, re.MULTILINE)
    # A GPU that is not initialised shows a UUID of question marks.
    return match.group(1).strip() if match and "?" not in match.group(1) else None


class _Asker:
    """Asks NVML one question at a time and keeps, by fact, the reason why an answer is missing."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.unknown: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def ask(self, fact: str, function: str, *arguments: Any, convert: Callable[[Any], Any] = lambda x: x) -> Any:
        call = getattr(self.nvml, function, None)
        if call is None:
            self.unknown[fact] = f"this nvidia-ml-py has no {function}"
            return None
        try:
            return convert(call(*arguments))
        except self.nvml.NVMLError as error:
            self.unknown[fact] = f"{function}: {error}"
            self.errors[fact] = type(error).__name__
            return None

    def text(self, fact: str, function: str, *arguments: Any) -> str | None:
        # Older bindings return bytes.
        return self.ask(fact, function, *arguments, convert=lambda x: x.decode() if isinstance(x, bytes) else str(x))


def _gpu(nvml: Any, number: int) -> Gpu:
    asker = _Asker(nvml)
    handle = asker.ask("handle", "nvmlDeviceGetHandleByIndex", number)
    if handle is None:
        reason = asker.unknown.pop("handle")
        return Gpu(vendor="nvidia", physical_index=number, hidden=f"the driver cannot reach it ({reason})")
    memory = asker.ask("memory_total", "nvmlDeviceGetMemoryInfo", handle)
    if memory is None:
        asker.unknown["memory_free"] = asker.unknown["memory_total"]
    mig = asker.ask("mig", "nvmlDeviceGetMigMode", handle, convert=lambda modes: bool(modes[0]))
    maximum = getattr(nvml, "NVML_CLOCK_SM", 1), getattr(nvml, "NVML_CLOCK_MEM", 2)
    capability = asker.ask("compute_capability", "nvmlDeviceGetCudaComputeCapability", handle, convert=tuple)
    return Gpu(
        vendor="nvidia",
        name=asker.text("name", "nvmlDeviceGetName", handle),
        physical_index=number,
        uuid=asker.text("uuid", "nvmlDeviceGetUUID", handle),
        pci_bus=asker.ask("pci_bus", "nvmlDeviceGetPciInfo", handle, convert=_bus),
        memory_total=None if memory is None else int(memory.total),
        memory_free=None if memory is None else int(memory.free),
        unified_memory=asker.errors.get("memory_total") == _NOT_SUPPORTED,
        compute_capability=capability,
        architecture=None if capability is None else f"sm_{capability[0]}{capability[1]}",
        cores=asker.ask("cores", "nvmlDeviceGetNumGpuCores", handle, convert=int),
        clock_max=asker.ask("clock_max", "nvmlDeviceGetMaxClockInfo", handle, maximum[0], convert=int),
        memory_clock_max=asker.ask("memory_clock_max", "nvmlDeviceGetMaxClockInfo", handle, maximum[1], convert=int),
        memory_bus_bits=asker.ask("memory_bus_bits", "nvmlDeviceGetMemoryBusWidth", handle, convert=int),
        # Milliwatts.
        power_limit=asker.ask("power_limit", "nvmlDeviceGetEnforcedPowerLimit", handle, convert=lambda mw: mw / 1000.0),
        ecc=asker.ask("ecc", "nvmlDeviceGetEccMode", handle, convert=lambda modes: bool(modes[0])),
        mig=mig,
        mig_instances=_mig_instances(nvml, handle, asker) if mig else (),
        pcie_generation=asker.ask("pcie_generation", "nvmlDeviceGetMaxPcieLinkGeneration", handle, convert=int),
        pcie_width=asker.ask("pcie_width", "nvmlDeviceGetMaxPcieLinkWidth", handle, convert=int),
        nvlinks=_nvlinks(nvml, handle, asker),
        unknown=asker.unknown,
    )


def _bus(info: Any) -> str:
    bus = info.busId
    return bus.decode() if isinstance(bus, bytes) else str(bus)


def _mig_instances(nvml: Any, handle: Any, parent: _Asker) -> tuple[MigInstance, ...]:
    instances: list[MigInstance] = []
    for number in range(parent.ask("mig_instances", "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        asker = _Asker(nvml)
        device = asker.ask("handle", "nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
        if device is None:
            # Slots without an instance answer "not found"; only other errors are worth a word.
            if asker.errors["handle"] not in ("NVMLError_NotFound", "NVMLError_InvalidArgument"):
                parent.unknown["mig_instances"] = asker.unknown["handle"]
            continue
        memory = asker.ask("memory_total", "nvmlDeviceGetMemoryInfo", device)
        instances.append(
            MigInstance(
                uuid=asker.text("uuid", "nvmlDeviceGetUUID", device),
                name=asker.text("name", "nvmlDeviceGetName", device),
                gpu_instance=asker.ask("gpu_instance", "nvmlDeviceGetGpuInstanceId", device),
                compute_instance=asker.ask("compute_instance", "nvmlDeviceGetComputeInstanceId", device),
                memory_total=None if memory is None else int(memory.total),
                memory_free=None if memory is None else int(memory.free),
                multiprocessors=asker.ask(
                    "multiprocessors", "nvmlDeviceGetAttributes", device, convert=lambda a: int(a.multiprocessorCount)
                ),
                unknown=asker.unknown,
            )
        )
    return tuple(instances)


def _nvlinks(nvml: Any, handle: Any, parent: _Asker) -> int | None:
    active = 0
    for link in range(getattr(nvml, "NVML_NVLINK_MAX_LINKS", 18)):
        asker = _Asker(nvml)
        state = asker.ask("nvlinks", "nvmlDeviceGetNvLinkState", handle, link)
        if state is None:
            if link == 0:
                parent.unknown["nvlinks"] = asker.unknown["nvlinks"]
                return None
            break
        active += bool(state)
    return active


def _visible(gpus: list[Gpu], environ: Mapping[str, str]) -> tuple[tuple[Gpu, ...], list[str]]:
    """The GPUs with their JAX index or the reason why they are hidden; visible ones first, in CUDA's order."""
    setting = environ.get("CUDA_VISIBLE_DEVICES")
    notes: list[str] = []
    reachable = [gpu for gpu in gpus if gpu.hidden is None]
    if setting is None:
        chosen: list[tuple[Gpu, MigInstance | None]] = []
        for gpu in reachable:
            chosen.extend([(gpu, instance) for instance in gpu.mig_instances] if gpu.mig else [(gpu, None)])
    else:
        chosen, problem = _named(setting, gpus)
        notes.append(f"CUDA_VISIBLE_DEVICES={setting!r} shows {len(chosen)} of {len(gpus)} GPUs" + problem)
    instances = [pair for pair in chosen if pair[1] is not None]
    if instances:
        # CUDA enumerates a single compute instance, and no whole GPU beside one (MIG User Guide).
        if len(chosen) > 1:
            notes.append(f"MIG: a CUDA process sees one instance only, so {len(chosen) - 1} other devices are left out")
        chosen = instances[:1]
    names = {gpu.name for gpu in reachable}
    if len(names) > 1 and environ.get("CUDA_DEVICE_ORDER", "FASTEST_FIRST") != "PCI_BUS_ID":
        notes.append(
            "GPUs of different models: CUDA numbers the fastest first, the driver by slot, so numbers here may differ "
            "from "
            "JAX's; set CUDA_DEVICE_ORDER=PCI_BUS_ID to have one order"
        )
    shown = [
        dataclasses.replace(gpu, index=index, **_slice(gpu, instance)) for index, (gpu, instance) in enumerate(chosen)
    ]
    seen = {gpu.physical_index for gpu, _ in chosen}
    rest = [
        gpu if gpu.hidden else dataclasses.replace(gpu, hidden=_why_hidden(gpu, setting, bool(instances)))
        for gpu in gpus
        if gpu.physical_index not in seen
    ]
    return (*shown, *rest), notes


def _slice(gpu: Gpu, instance: MigInstance | None) -> dict[str, Any]:
    """What changes in a GPU's facts when the process sees only one MIG instance of it."""
    if instance is None:
        return {}
    return {
        "uuid": instance.uuid,
        "name": instance.name or gpu.name,
        "memory_total": instance.memory_total,
        "memory_free": instance.memory_free,
        "mig_instances": (instance,),
        "unified_memory": False,
        # The whole GPU's count and links would mislead about a slice of it.
        "cores": None,
        "nvlinks": None,
        "unknown": {**gpu.unknown, **instance.unknown, "cores": "a MIG instance", "nvlinks": "a MIG instance"},
    }


def _why_hidden(gpu: Gpu, setting: str | None, beside_instance: bool) -> str:
    if setting is None and gpu.mig and not gpu.mig_instances:
        return "MIG is on, but no instance has been made: `nvidia-smi mig -cgi ... -C`"
    if beside_instance:
        return "CUDA shows no other device beside a MIG instance"
    return f"CUDA_VISIBLE_DEVICES={setting!r} leaves it out"


def _named(setting: str, gpus: list[Gpu]) -> tuple[list[tuple[Gpu, MigInstance | None]], str]:
    """The devices that CUDA_VISIBLE_DEVICES names, in its order; CUDA stops at the first name it does not know."""
    chosen: list[tuple[Gpu, MigInstance | None]] = []
    for token in (part.strip() for part in setting.split(",")):
        match = _match(token, gpus)
        if match is None:
            known = not token or token in ("-1", "NoDevFiles", "none", "void")
            return chosen, "" if known else f" ({token!r} names none, and CUDA ignores what follows)"
        if match in chosen:
            return [], f" ({token!r} is named twice, which CUDA answers with no device at all)"
        chosen.append(match)
    return chosen, ""


def _match(token: str, gpus: list[Gpu]) -> tuple[Gpu, MigInstance | None] | None:
    if token.isdecimal():
        for gpu in gpus:
            if gpu.physical_index == int(token) and gpu.hidden is None:
                if not gpu.mig:
                    return (gpu, None)
                return (gpu, gpu.mig_instances[0]) if gpu.mig_instances else None
        return None
    if not token.startswith(("GPU-", "MIG-")):
        return None
    matches = [(gpu, i) for gpu in gpus for i in gpu.mig_instances if (i.uuid or "").startswith(token)]
    matches += [(gpu, i) for gpu in gpus for i in gpu.mig_instances if token == _old_mig_name(gpu, i)]
    matches += [(gpu, None) for gpu in gpus if not gpu.mig and (gpu.uuid or "").startswith(token)]
    # A prefix has to be unique.
    return matches[0] if len(matches) == 1 else None


def _old_mig_name(gpu: Gpu, instance: MigInstance) -> str:
    """The name of an instance under drivers before R470: `MIG-<GPU's UUID>/<GPU instance>/<compute instance>`."""
    return f"MIG-{gpu.uuid}/{instance.gpu_instance}/{instance.compute_instance}"
