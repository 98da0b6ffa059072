"""The table of published figures: complete, consistent with itself, and found under the names that drivers use."""

from fractions import Fraction

import pytest

from gpujax.device import gpus
from gpujax.device.facts import Gpu

NAMES = {
    "Tesla T4": "T4",
    "NVIDIA T4": "T4",
    "NVIDIA L4": "L4",
    "NVIDIA A10": "A10",
    "NVIDIA GeForce RTX 4090": "RTX 4090",
    "GeForce RTX 4090": "RTX 4090",
    "NVIDIA GeForce RTX 5090": "RTX 5090",
    "A100-SXM4-40GB": "A100 40GB",
    "NVIDIA A100-SXM4-40GB": "A100 40GB",
    "NVIDIA A100-PCIE-40GB": "A100 40GB",
    "NVIDIA A100-SXM4-80GB": "A100 80GB SXM",
    "NVIDIA A100-SXM-80GB": "A100 80GB SXM",
    "NVIDIA A100 80GB PCIe": "A100 80GB PCIe",
    "NVIDIA L40S": "L40S",
    "NVIDIA H100 PCIe": "H100 PCIe",
    "NVIDIA H100 80GB HBM3": "H100 SXM",
    "NVIDIA H100 NVL": "H100 NVL",
    "NVIDIA H200": "H200 SXM",
    "NVIDIA H200 NVL": "H200 NVL",
    "NVIDIA H200 141GB HBM3e": "H200 SXM",
    "NVIDIA B200": "B200",
    "NVIDIA B300 SXM6 AC": "B300",
    "NVIDIA GB200": "GB200",
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_the_names_that_drivers_give(name, expected):
    found = gpus.lookup(name)
    assert found is not None
    assert found.name == expected


def test_every_row_is_found_under_some_driver_name():
    assert {row.name for row in gpus.TABLE} == set(NAMES.values())


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A10G",
        "NVIDIA A100X",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA L40",
        "NVIDIA GB300",
        "NVIDIA H100 80GB HBM3 something",
        "GRID A100-10C",
        "Quadro T400",
        "",
    ],
)
def test_relatives_that_are_other_chips_are_refused(name):
    assert gpus.lookup(name) is None


def test_figures_are_ordered_as_physics_has_it():
    for row in gpus.TABLE:
        assert row.memory > 0, row.name
        assert row.bandwidth > 100, row.name
        assert row.float64 < row.float32, row.name
        for narrow, wide in (("float8", "bfloat16"), ("bfloat16", "tf32")):
            if getattr(row, narrow) is not None:
                # Matrix units double their rate each time the number halves.
                assert getattr(row, narrow) / getattr(row, wide) == pytest.approx(2.0, rel=0.03), row.name
        assert row.source, row.name


def test_float64_figures_agree_with_the_ratio_of_the_instruction_set():
    for row in gpus.TABLE:
        ratio = gpus.float64_ratio(Gpu(vendor="nvidia", compute_capability=row.compute_capability))
        assert ratio is not None, row.name
        assert row.float64 / row.float32 == pytest.approx(float(ratio), rel=0.1), row.name


def test_disputed_float64_is_noted():
    disputed = {row.name for row in gpus.TABLE if row.disagreement and "float64" in row.disagreement}
    assert {"T4", "L4", "A10", "RTX 4090", "RTX 5090", "L40S", "B200", "B300", "GB200"} <= disputed
    b300 = gpus.lookup("NVIDIA B300 SXM6 AC")
    assert b300.float64 / b300.float32 == pytest.approx(1 / 60, rel=0.05)


def test_a_mig_instance_has_its_share():
    whole, part = gpus.lookup("NVIDIA A100-SXM4-80GB"), gpus.lookup("NVIDIA A100-SXM4-80GB MIG 2g.20gb")
    assert part.memory == 20
    assert part.float64 == pytest.approx(whole.float64 * 2 / 7)
    assert part.bandwidth == pytest.approx(whole.bandwidth / 4)
    assert part.float8 is None
    assert "2 of 7 slices" in part.source
    assert gpus.lookup("NVIDIA H100 80GB HBM3 MIG 1g.10gb").name == "H100 SXM MIG 1g.10gb"


@pytest.mark.parametrize(
    ("facts", "ratio", "bfloat16"),
    [
        ({"compute_capability": (7, 0)}, Fraction(1, 2), False),
        ({"compute_capability": (7, 5)}, Fraction(1, 32), False),
        ({"compute_capability": (8, 0)}, Fraction(1, 2), True),
        ({"compute_capability": (8, 9)}, Fraction(1, 64), True),
        ({"compute_capability": (10, 3)}, Fraction(1, 64), True),
        ({"compute_capability": (99, 0)}, None, True),
        ({"architecture": "gfx942"}, Fraction(1, 2), True),
        ({"architecture": "gfx90a"}, Fraction(1, 1), True),
        ({"architecture": "gfx1030"}, Fraction(1, 16), False),
        ({"architecture": "gfx1100"}, Fraction(1, 32), True),
        ({}, None, None),
    ],
)
def test_what_an_instruction_set_can_do(facts, ratio, bfloat16):
    gpu = Gpu(vendor="any", **facts)
    assert gpus.float64_ratio(gpu) == ratio
    assert gpus.supports_bfloat16(gpu) is bfloat16
