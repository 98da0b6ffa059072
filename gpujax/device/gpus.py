"""Published figures of common GPUs: memory, bandwidth, peak arithmetic, compute capability, and where they come from.

For orientation and for choosing before anything has been measured. Peaks are marketing figures at boost clock, and
published
float64 figures of several GPUs are wrong or disagree: `card.py` measures, and what is measured wins. Matrix peaks are
    dense,
without structured sparsity, which doubles them on paper only.
"""

import dataclasses
import re
from fractions import Fraction

from gpujax.device.facts import Gpu

__all__ = ["TABLE", "GpuSpecification", "float64_ratio", "lookup", "supports_bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuSpecification:
    """Published figures of one GPU; None where it has no such arithmetic or none is published.

    Fields:
        name: as people call it. `memory` in GiB as sold (decimal and binary are mixed by vendors; the driver's figure
            is what is usable).
        bandwidth: of the board's memory, in GB/s.
        float64, float32: peak of ordinary (vector) arithmetic, in TFLOP/s, a fused multiply-add counting as two.
        float64_matrix, tf32, bfloat16, float8: peak of matrix units, dense, float32 accumulation, in TFLOP/s.
        compute_capability: NVIDIA's number of the instruction set.
        source: where the figures are published. `disagreement`: where publications differ, or None.
    """

    name: str
    memory: float
    bandwidth: float
    float64: float
    float32: float
    float64_matrix: float | None = None
    tf32: float | None = None
    bfloat16: float | None = None
    float8: float | None = None
    compute_capability: tuple[int, int]
    source: str
    disagreement: str | None = None


def lookup(name: str) -> GpuSpecification | None:
    """The published figures for the name that the driver gives a device, or None where it is not in the table.

    Recognises the driver's spellings ("NVIDIA A100-SXM4-80GB", "Tesla T4", "NVIDIA H100 80GB HBM3"), refuses relatives
    that are other chips ("NVIDIA A10G", "RTX 4090 Laptop GPU"), and scales the figures to the slice for a MIG instance.

    >>> lookup("NVIDIA A100-SXM4-80GB").bandwidth
    2039.0
    >>> lookup("NVIDIA A10G") is None
    True
    """
    words = re.sub(r"[\s_-]+", " ", name).strip().upper()
    slice_of = re.search(r"\bMIG (\d+)(?:C\.(\d+))?G\.(\d+)GB", words)
    whole = re.sub(r"\bMIG\b.*$", "", words)
    whole = re.sub(r"\b(NVIDIA|TESLA|GEFORCE|GRAPHICS DEVICE)\b", "", whole)
    whole = re.sub(r"\s+", " ", whole).strip()
    for pattern, specification in _PATTERNS:
        if pattern.fullmatch(whole):
            return _slice(specification, slice_of) if slice_of else specification
    return None


def float64_ratio(gpu: Gpu) -> Fraction | None:
    """Published float64 rate of ordinary arithmetic as a share of the float32 rate, or None for an unknown chip.

    By instruction set, so that it also holds for boards that are not in the table. Sources: CUDA C++ Programming Guide,
    table "Throughput of Native Arithmetic Instructions"; AMD data sheets of the Instinct and Radeon series.
    """
    if gpu.compute_capability is not None:
        return _NVIDIA_FLOAT64.get(gpu.compute_capability)
    for prefix, ratio in _AMD_FLOAT64.items():
        if (gpu.architecture or "").startswith(prefix):
            return ratio
    return None


def supports_bfloat16(gpu: Gpu) -> bool | None:
    """Whether the GPU has bfloat16 matrix units (NVIDIA from compute capability 8.0, AMD from CDNA and RDNA 3); None if
    unknown."""
    if gpu.compute_capability is not None:
        return gpu.compute_capability >= (8, 0)
    if gpu.architecture:
        return gpu.architecture.startswith(("gfx908", "gfx90a", "gfx94", "gfx95", "gfx11", "gfx12"))
    return None


_NVIDIA_FLOAT64 = {
    (5, 0): Fraction(1, 32), (5, 2): Fraction(1, 32), (5, 3): Fraction(1, 32),
    (6, 0): Fraction(1, 2), (6, 1): Fraction(1, 32), (6, 2): Fraction(1, 32),
    (7, 0): Fraction(1, 2), (7, 5): Fraction(1, 32),
    (8, 0): Fraction(1, 2), (8, 6): Fraction(1, 64), (8, 7): Fraction(1, 64), (8, 9): Fraction(1, 64),
    (9, 0): Fraction(1, 2), (10, 0): Fraction(1, 2), (10, 3): Fraction(1, 64),
    (12, 0): Fraction(1, 64), (12, 1): Fraction(1, 64),
}  # fmt: skip

# Longest prefixes first.
_AMD_FLOAT64 = {
    "gfx90a": Fraction(1, 1), "gfx906": Fraction(1, 2), "gfx908": Fraction(1, 2), "gfx94": Fraction(1, 2),
    "gfx95": Fraction(1, 2), "gfx10": Fraction(1, 16), "gfx11": Fraction(1, 32), "gfx12": Fraction(1, 32),
}  # fmt: skip

_RATIO_DISPUTE = (
    "float64 is given as 1/32 of float32 by some tables and as 1/64 by others; the CUDA C++ Programming Guide has "
    "1/64 for this "
    "instruction set"
)

TABLE: tuple[GpuSpecification, ...] = (
    GpuSpecification(
        name="T4", memory=16, bandwidth=320.0, float64=0.254, float32=8.1, compute_capability=(7, 5),
        source="NVIDIA Turing GPU Architecture whitepaper WP-09183 (2018); T4 data sheet (2019)",
        disagreement="the data sheet gives 300 GB/s, the whitepaper 320; float64 is 1/32 by the whitepaper and not in "
        "the data sheet",
    ),
    GpuSpecification(
        name="L4", memory=24, bandwidth=300.0, float64=0.47, float32=30.3, tf32=60.0, bfloat16=121.0, float8=242.0,
        compute_capability=(8, 9), source="NVIDIA L4 data sheet (2023); float64 by the CUDA C++ Programming Guide",
        disagreement=_RATIO_DISPUTE,
    ),
    GpuSpecification(
        name="A10", memory=24, bandwidth=600.0, float64=0.49, float32=31.2, tf32=62.5, bfloat16=125.0,
        compute_capability=(8, 6), source="NVIDIA A10 data sheet (2021); float64 by the CUDA C++ Programming Guide",
        disagreement=_RATIO_DISPUTE,
    ),
    GpuSpecification(
        name="RTX 4090", memory=24, bandwidth=1008.0, float64=1.29, float32=82.6, tf32=82.6,
        bfloat16=165.2, float8=330.3,
        compute_capability=(8, 9), source="NVIDIA Ada GPU Architecture whitepaper v2.01 (2022), appendix A",
        disagreement=_RATIO_DISPUTE,
    ),
    GpuSpecification(
        name="RTX 5090", memory=32, bandwidth=1792.0, float64=1.64, float32=104.8, tf32=104.8,
        bfloat16=209.5, float8=419.0,
        compute_capability=(12, 0), source="NVIDIA RTX Blackwell GPU Architecture whitepaper v1.1 (2025), appendix A",
        disagreement=_RATIO_DISPUTE,
    ),
    GpuSpecification(
        name="A100 40GB", memory=40, bandwidth=1555.0, float64=9.7, float32=19.5, float64_matrix=19.5, tf32=156.0,
        bfloat16=312.0, compute_capability=(8, 0), source="NVIDIA A100 data sheet (2020); GA100 whitepaper v1.0",
    ),
    GpuSpecification(
        name="A100 80GB SXM", memory=80, bandwidth=2039.0, float64=9.7, float32=19.5, float64_matrix=19.5, tf32=156.0,
        bfloat16=312.0, compute_capability=(8, 0), source="NVIDIA A100 80GB data sheet (2021)",
    ),
    GpuSpecification(
        name="A100 80GB PCIe", memory=80, bandwidth=1935.0, float64=9.7, float32=19.5, float64_matrix=19.5, tf32=156.0,
        bfloat16=312.0, compute_capability=(8, 0), source="NVIDIA A100 80GB data sheet (2021)",
    ),
    GpuSpecification(
        name="L40S", memory=48, bandwidth=864.0, float64=1.43, float32=91.6, tf32=183.0, bfloat16=362.0, float8=733.0,
        compute_capability=(8, 9), source="NVIDIA L40S data sheet (2023); float64 by the CUDA C++ Programming Guide",
        disagreement=_RATIO_DISPUTE,
    ),
    GpuSpecification(
        name="H100 PCIe", memory=80, bandwidth=2000.0, float64=26.0, float32=51.0, float64_matrix=51.0, tf32=378.0,
        bfloat16=756.0, float8=1513.0, compute_capability=(9, 0),
        source="NVIDIA H100 data sheet (2022); GH100 whitepaper v1.02",
    ),
    GpuSpecification(
        name="H100 SXM", memory=80, bandwidth=3350.0, float64=34.0, float32=67.0, float64_matrix=67.0, tf32=495.0,
        bfloat16=989.0, float8=1979.0, compute_capability=(9, 0),
        source="NVIDIA H100 data sheet (2022); GH100 whitepaper v1.02",
    ),
    GpuSpecification(
        name="H100 NVL", memory=94, bandwidth=3900.0, float64=30.0, float32=60.0, float64_matrix=60.0, tf32=418.0,
        bfloat16=836.0, float8=1671.0, compute_capability=(9, 0), source="NVIDIA H100 data sheet (2024)",
    ),
    GpuSpecification(
        name="H200 SXM", memory=141, bandwidth=4800.0, float64=34.0, float32=67.0, float64_matrix=67.0, tf32=495.0,
        bfloat16=989.0, float8=1979.0, compute_capability=(9, 0), source="NVIDIA H200 data sheet (2024)",
    ),
    GpuSpecification(
        name="H200 NVL", memory=141, bandwidth=4800.0, float64=30.0, float32=60.0, float64_matrix=60.0, tf32=418.0,
        bfloat16=836.0, float8=1671.0, compute_capability=(9, 0), source="NVIDIA H200 data sheet (2024)",
    ),
    GpuSpecification(
        name="B200", memory=180, bandwidth=8000.0, float64=37.0, float32=75.0, float64_matrix=37.0, tf32=1100.0,
        bfloat16=2250.0, float8=4500.0, compute_capability=(10, 0), source="NVIDIA HGX B200 data sheet (2025), per GPU",
        disagreement="float64 is 40 TFLOP/s in the architecture brief of 2024 and 37 in the data sheet; memory 180, "
        "186 and 192 GB",
    ),
    GpuSpecification(
        name="B300", memory=288, bandwidth=8000.0, float64=1.25, float32=75.0, float64_matrix=1.25, tf32=1125.0,
        bfloat16=2250.0, float8=4500.0, compute_capability=(10, 3), source="NVIDIA HGX B300 data sheet (2025), per GPU",
        disagreement="float64 is about 1/60 of float32 here; tables that copy B200, such as XLA's "
        "target_config/specs/b300.txtpb, give about 40 TFLOP/s",
    ),
    GpuSpecification(
        name="GB200", memory=186, bandwidth=8000.0, float64=40.0, float32=80.0, float64_matrix=40.0, tf32=1250.0,
        bfloat16=2500.0, float8=5000.0, compute_capability=(10, 0),
        source="NVIDIA GB200 NVL72 data sheet (2025), per GPU",
        disagreement="float64 is 45 TFLOP/s in the architecture brief of 2024 and 40 in the data sheet",
    ),
)  # fmt: skip

_BY_NAME = {specification.name: specification for specification in TABLE}

# The driver's spellings, after "NVIDIA", "Tesla" and "GeForce" are taken off and hyphens become spaces.
_PATTERNS = tuple(
    (re.compile(pattern), _BY_NAME[name])
    for pattern, name in (
        (r"T4", "T4"),
        (r"L4", "L4"),
        (r"A10(?: PCIE)?", "A10"),
        (r"RTX 4090", "RTX 4090"),
        (r"RTX 5090", "RTX 5090"),
        (r"A100(?: SXM4?| PCIE)? 40GB(?: PCIE| HBM2)?", "A100 40GB"),
        (r"A100 SXM4? 80GB|A100 80GB SXM4?", "A100 80GB SXM"),
        (r"A100 80GB PCIE|A100 PCIE 80GB", "A100 80GB PCIe"),
        (r"L40S", "L40S"),
        (r"H100 PCIE(?: 80GB)?|H100 80GB HBM2E", "H100 PCIe"),
        (r"H100 80GB HBM3|H100 SXM5?(?: 80GB)?", "H100 SXM"),
        (r"H100 NVL", "H100 NVL"),
        (r"H200(?: SXM5?)?(?: 141GB)?(?: HBM3E)?", "H200 SXM"),
        (r"H200 NVL", "H200 NVL"),
        (r"B200", "B200"),
        (r"B300(?: SXM6(?: AC)?)?", "B300"),
        (r"GB200", "GB200"),
    )
)

# A full GPU has seven compute slices from A100 on; an instance with `c` has only part of its GPU instance's.
_COMPUTE_SLICES = 7


def _slice(whole: GpuSpecification, match: re.Match[str]) -> GpuSpecification:
    """The figures of a MIG instance: compute by its share of the seven slices, memory and bandwidth by its share of the
    memory."""
    compute_slices, memory = int(match.group(1)), float(match.group(3))
    share, memory_share = compute_slices / _COMPUTE_SLICES, min(1.0, memory / whole.memory)
    scaled = {
        field: None if value is None else value * share
        for field in ("float64", "float32", "float64_matrix", "tf32", "bfloat16", "float8")
        for value in [getattr(whole, field)]
    }
    return dataclasses.replace(
        whole,
        name=f"{whole.name} MIG {match.group(0)[4:].lower()}",
        memory=memory,
        bandwidth=whole.bandwidth * memory_share,
        source=f"{whole.source}, {compute_slices} of {_COMPUTE_SLICES} slices",
        **scaled,
    )
