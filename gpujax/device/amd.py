"""Facts about AMD GPUs, read from the kernel driver's tables under /sys; ROCm itself is not needed.

The compute driver (KFD) lists every node of the machine with its instruction set, clocks and memory; the graphics
driver adds memory in use, power limit and PCIe link. `amdsmi` is asked for the market name where it is installed.
Layout: Linux kernel documentation, "amdgpu" and `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`.
"""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpujax.device.facts import Gpu

__all__ = ["AmdFacts", "find"]

_PCIE_GENERATION = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}

# Kinds of memory bank that lie on the board itself (HSA_HEAPTYPE_FRAME_BUFFER_PUBLIC and _PRIVATE).
_BOARD_MEMORY = ("1", "2")


@dataclasses.dataclass(frozen=True)
class AmdFacts:
    """All AMD GPUs in the machine, visible ones first; `reason` says why there are none."""

    gpus: tuple[Gpu, ...] = ()
    reason: str | None = None
    notes: tuple[str, ...] = ()


def find(root: str | os.PathLike[str] = "/", environ: Mapping[str, str] | None = None, amdsmi: Any = None) -> AmdFacts:
    """All GPUs that the AMD compute driver lists, and which of them ROCm shows to this process.

    Arguments:
        root: the root of the file system to read `sys` from.
        environ: the environment that holds ROCR_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES; `os.environ` by default.
        amdsmi: a module with AMD SMI's functions, asked for market names; the installed one where it can be imported.
    """
    environ = os.environ if environ is None else environ
    base = Path(root)
    nodes = base / "sys/class/kfd/kfd/topology/nodes"
    try:
        folders = sorted((p for p in nodes.iterdir() if p.name.isdecimal()), key=lambda p: int(p.name))
    except OSError:
        return AmdFacts(reason="no AMD compute driver (/sys/class/kfd is missing)")
    found = [(folder, _table(folder / "properties")) for folder in folders]
    found = [(folder, table) for folder, table in found if int(table.get("simd_count", "0")) > 0]
    if not found:
        return AmdFacts(reason="the AMD compute driver lists no GPU")
    gpus = [_gpu(base, folder, table, number) for number, (folder, table) in enumerate(found)]
    gpus = _with_market_names(gpus, amdsmi, real=base == Path("/"))
    return _visible(gpus, environ)


def _gpu(base: Path, folder: Path, table: Mapping[str, str], number: int) -> Gpu:
    unknown: dict[str, str] = {}
    card = base / "sys/class/drm" / f"renderD{table.get('drm_render_minor', '')}" / "device"
    name = _read(card / "product_name") or _read(folder / "name") or None
    if name is None:
        unknown["name"] = "neither the product name nor the driver's code name can be read"
    total = _number(_read(card / "mem_info_vram_total")) or _bank_bytes(folder)
    used = _number(_read(card / "mem_info_vram_used"))
    # An integrated GPU has processor cores in its own node and no memory of its own.
    unified = int(table.get("cpu_cores_count", "0")) > 0 and not _bank_bytes(folder)
    if total is None:
        unknown["memory_total"] = "shares the host's memory" if unified else "no table of its memory can be read"
    if total is None or used is None:
        unknown["memory_free"] = "the driver does not tell how much is in use"
    power = next(iter(sorted(card.glob("hwmon/hwmon*/power1_cap"))), None)
    power_limit = _number(_read(power)) if power else None
    if power_limit is None:
        unknown["power_limit"] = "the driver gives no power limit"
    speed = re.match(r"([\d.]+) GT/s", _read(card / "max_link_speed") or _read(card / "current_link_speed"))
    width = _number(_read(card / "max_link_width") or _read(card / "current_link_width"))
    if speed is None or width is None:
        unknown["pcie_generation"] = unknown["pcie_width"] = "the driver does not describe the PCIe link"
    version = int(table.get("gfx_target_version", "0"))
    unique = int(table.get("unique_id", "0"))
    if not unique:
        unknown["uuid"] = "the board has no unique number"
    clock = int(table.get("max_engine_clk_fcompute", "0"))
    return Gpu(
        vendor="amd",
        name=name,
        physical_index=number,
        uuid=f"GPU-{unique:016x}" if unique else None,
        pci_bus=_bus(table),
        memory_total=total,
        memory_free=None if total is None or used is None else max(0, total - used),
        unified_memory=unified,
        architecture=f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}" if version else None,
        cores=int(table["simd_count"]) // max(1, int(table.get("simd_per_cu", "4"))),
        clock_max=clock or None,
        power_limit=None if power_limit is None else power_limit / 1e6,
        pcie_generation=_PCIE_GENERATION.get(f"{float(speed.group(1)):.1f}") if speed else None,
        pcie_width=width,
        unknown={**unknown, "compute_capability": "an NVIDIA notion", "ecc": "not read", "nvlinks": "an NVIDIA notion"},
    )


def _with_market_names(gpus: list[Gpu], amdsmi: Any, *, real: bool) -> list[Gpu]:
    """The GPUs under the names they are sold by, where AMD SMI knows them."""
    if amdsmi is None and real:
        try:
            import amdsmi  # pyright: ignore[reportMissingImports]
        except (ImportError, KeyError, OSError):
            # amdsmi loads ROCm's library when imported; a missing or foreign one shows as KeyError or OSError.
            return gpus
    if amdsmi is None:
        return gpus
    try:
        amdsmi.amdsmi_init()
        handles = amdsmi.amdsmi_get_processor_handles()
        names = {
            amdsmi.amdsmi_get_gpu_device_bdf(h).lower(): amdsmi.amdsmi_get_gpu_asic_info(h).get("market_name")
            for h in handles
        }
        amdsmi.amdsmi_shut_down()
    except amdsmi.AmdSmiException:
        return gpus
    return [dataclasses.replace(gpu, name=names.get(gpu.pci_bus or "") or gpu.name) for gpu in gpus]


def _visible(gpus: list[Gpu], environ: Mapping[str, str]) -> AmdFacts:
    """Apply ROCR_VISIBLE_DEVICES, then HIP_VISIBLE_DEVICES (or its alias), which counts within what the first one
    left."""
    shown, notes, hidden_by = list(gpus), [], "no setting"
    for variables in (("ROCR_VISIBLE_DEVICES",), ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")):
        variable = next((v for v in variables if v in environ), None)
        if variable is None:
            continue
        before, shown = shown, []
        for token in (part.strip() for part in environ[variable].split(",")):
            if token.isdecimal() and int(token) < len(before):
                match = before[int(token)]
            else:
                uuid = token.lower().replace("gpu-", "GPU-")
                match = next((gpu for gpu in before if gpu.uuid == uuid), None)
            if match is None or match in shown:
                break
            shown.append(match)
        hidden_by = f"{variable}={environ[variable]!r}"
        notes.append(f"{hidden_by} shows {len(shown)} of {len(before)} AMD GPUs")
    visible = [dataclasses.replace(gpu, index=index) for index, gpu in enumerate(shown)]
    rest = [dataclasses.replace(gpu, hidden=f"{hidden_by} leaves it out") for gpu in gpus if gpu not in shown]
    return AmdFacts(gpus=(*visible, *rest), notes=tuple(notes))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _table(path: Path) -> dict[str, str]:
    """A KFD table: one name and one number a line."""
    pairs = (line.partition(" ") for line in _read(path).splitlines())
    return {key: value for key, _, value in pairs if value.isdecimal()}


def _bank_bytes(folder: Path) -> int | None:
    total = 0
    for bank in sorted(folder.glob("mem_banks/*/properties")):
        table = _table(bank)
        if table.get("heap_type") in _BOARD_MEMORY:
            total += int(table.get("size_in_bytes", "0"))
    return total or None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _bus(table: Mapping[str, str]) -> str | None:
    if "location_id" not in table:
        return None
    location = int(table["location_id"])
    return f"{int(table.get('domain', '0')):04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7:x}"
