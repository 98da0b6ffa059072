"""The device card: measured, plausible, kept, forgotten when it no longer holds, and believed by `choose`."""

import dataclasses
import json
import os
import re

import jax
import numpy as np
import pytest

from gpujax.device import card as card_module
from gpujax.device.card import DeviceCard, Workload, device_card, stored_card
from gpujax.device.choose import cache_directory, choose_around
from gpujax.device.hardware import detect
from gpujax.errors import DeviceError, InputError

SMALL = Workload(vector=4096, stream=65536, matrix=128)


@pytest.fixture(scope="module")
def measured():
    return device_card("cpu", workload=SMALL, limit=0.02)


def test_every_figure_is_measured_on_the_cpu(measured):
    assert dict(measured.unknown) == {}
    for name in card_module._MEASURES:
        value = getattr(measured, name)
        assert np.isfinite(value), name
        assert value > 0, name
    # No CPU does less than a tenth of a GFLOP/s or more than 100 TFLOP/s; no dispatch takes less than 0.1 us or more
    # than 0.1 s.
    assert 1e-4 < measured.float32_matmul < 100
    assert 1e-4 < measured.float64_vector < 100
    assert 0.1 < measured.dispatch < 1e5
    assert 0.01 < measured.bandwidth < 1e5
    assert measured.seconds > 0


def test_a_throughput_is_work_by_time(monkeypatch):
    # With the clock taken out, a figure is a count of operations: 2 n^3 of a product, 2 x chains x steps of each
    # element, and each byte read and written of the stream.
    monkeypatch.setattr(card_module, "_seconds_per_call", lambda call, limit: 1e-3)
    device = jax.devices("cpu")[0]
    with jax.enable_x64(True):
        figures = {name: measure(device, SMALL, 0.01) for name, measure in card_module._MEASUREMENTS.items()}
    assert figures["float64_matmul"] == pytest.approx(2 * 128**3 / 1e-3 / 1e12)
    assert figures["bfloat16_matmul"] == figures["float64_matmul"]
    assert figures["float32_vector"] == pytest.approx(4096 * 8 * 32 * 2 / 1e-3 / 1e12)
    assert figures["bandwidth"] == pytest.approx(2 * 65536 * 4 / 1e-3 / 1e9)
    assert figures["dispatch"] == pytest.approx(1e3)


def test_the_compiler_keeps_the_work_of_the_vector_measurement():
    # Were the chains merged or dropped, the figure would be a fiction.
    compiled = {}

    def keep(call, limit):
        compiled["call"] = call
        return 1.0

    original, card_module._seconds_per_call = card_module._seconds_per_call, keep
    try:
        card_module._MEASUREMENTS["float32_vector"](jax.devices("cpu")[0], SMALL, 0.01)
    finally:
        card_module._seconds_per_call = original
    program = compiled["call"].__closure__
    function = next(cell.cell_contents for cell in program if hasattr(cell.cell_contents, "lower"))
    text = function.lower(jax.ShapeDtypeStruct((4096,), np.float32)).compile().as_text()
    multiplies = len(re.findall(r"= f32\[4096\]\S* multiply\(", text))
    assert multiplies >= 8 * 32 * 0.95


def test_the_limit_bounds_the_repetitions():
    calls = []

    class Result:
        def block_until_ready(self):
            return self

    def call():
        calls.append(1)
        return Result()

    card_module._seconds_per_call(call, 1e-9)
    assert len(calls) == 2
    calls.clear()
    card_module._seconds_per_call(call, 10.0)
    assert len(calls) == 201


def test_float64_is_measured_in_float64_whatever_the_program_uses(monkeypatch):
    seen = []
    monkeypatch.setattr(card_module, "_seconds_per_call", lambda call, limit: seen.append(call().dtype) or 1.0)
    with jax.enable_x64(False):
        card_module._measure(jax.devices("cpu")[0], {"device": "x"}, SMALL, 0.01)
        assert not jax.config.jax_enable_x64
    assert [str(dtype) for dtype in seen] == [
        "float64", "float32", "float64", "float32", "bfloat16", "float32", "float32",
    ]  # fmt: skip


def test_a_measurement_that_fails_is_unknown_and_leaves_the_others(monkeypatch):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\nmore")

    monkeypatch.setitem(card_module._MEASUREMENTS, "float64_matmul", fail)
    found = device_card("cpu", workload=SMALL, limit=0.001)
    assert found.float64_matmul is None
    assert found.unknown["float64_matmul"] == "RESOURCE_EXHAUSTED: out of memory"
    assert found.float32_matmul > 0
    assert "unknown: RESOURCE_EXHAUSTED" in found.summary()


def test_a_card_is_kept_and_read_back(monkeypatch):
    monkeypatch.setitem(card_module._WORKLOADS, "cpu", SMALL)
    assert stored_card(detect(), "cpu") is None
    first = device_card("cpu", limit=0.001)
    assert stored_card(detect(), "cpu") == first

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(card_module, "_measure", never)
    assert device_card("cpu") == first
    with pytest.raises(AssertionError, match="measured again"):
        device_card("cpu", fresh=True)
    (folder,) = list(cache_directory().glob("cards"))
    if os.name == "posix":
        assert folder.stat().st_mode & 0o077 == 0


def test_a_card_of_other_sizes_is_not_kept(measured):
    device_card("cpu", workload=SMALL, limit=0.001)
    assert stored_card(detect(), "cpu") is None


def test_a_card_holds_for_its_device_driver_and_jax_only(machine, measured):
    hardware = machine.hardware([machine.gpu("H100")])
    identity = card_module._identity(hardware, "gpu", 0)
    card_module._keep(dataclasses.replace(measured, identity=identity))
    assert stored_card(hardware, "gpu") is not None
    assert stored_card(hardware, "cpu") is None
    for change in ({"nvidia_driver": "999"}, {"jax": "0.99"}):
        changed = dataclasses.replace(hardware, software=dataclasses.replace(hardware.software, **change))
        assert stored_card(changed, "gpu") is None, change
    assert stored_card(machine.hardware([machine.gpu("A100")]), "gpu") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps(json.loads(text) | {"version": 0}),
        lambda text: json.dumps(json.loads(text) | {"bandwidth": -1.0}),
        lambda text: json.dumps(json.loads(text) | {"bandwidth": "fast"}),
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "dispatch"}),
        lambda text: json.dumps(json.loads(text) | {"extra": 1}),
        lambda text: text.replace("H100", "H200"),
    ],
)
def test_a_damaged_card_counts_as_none(machine, measured, damage):
    hardware = machine.hardware([machine.gpu("H100")])
    card_module._keep(dataclasses.replace(measured, identity=card_module._identity(hardware, "gpu", 0)))
    (path,) = (cache_directory() / "cards").glob("*.json")
    path.write_text(damage(path.read_text()))
    assert stored_card(hardware, "gpu") is None


def test_a_card_that_cannot_be_kept_is_still_given(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUJAX_CACHE", str(tmp_path / "file"))
    monkeypatch.setitem(card_module._WORKLOADS, "cpu", SMALL)
    assert device_card("cpu", limit=0.001).float32_matmul > 0
    assert "cannot be kept" in caplog.text


def test_disagreement_with_the_table_is_reported():
    figures = {"float64_vector": 0.6, "float32_vector": 60.0, "bandwidth": 6000.0, "float64_matmul": 30.0}
    said = card_module._disagreements("NVIDIA B200", figures)
    assert len(said) == 1
    assert said[0].startswith("float64 vector: measured 0.6 TFLOP/s, published 37 (NVIDIA HGX B200 data sheet")
    assert card_module._disagreements("NVIDIA B200", {"bandwidth": 12000.0})[0].startswith(
        "bandwidth: measured 1.2e+04"
    )
    assert card_module._disagreements("Some other chip", figures) == ()
    card = DeviceCard(identity={"device": "NVIDIA B200"}, disagreements=said, **figures)
    assert "disagrees" in card.summary()
    assert "measured 0.6 TFLOP/s, published 37" in str(card)


def test_choose_believes_the_stored_card(machine, measured, monkeypatch):
    hardware = machine.hardware([machine.gpu("H100")])
    monkeypatch.setattr("gpujax.device.running.started_platform", lambda: None)
    monkeypatch.setattr("gpujax.device.running.seen_by_jax", lambda hardware: hardware)
    assert choose_around({}, hardware).pricing_dtype == "float64"
    crippled = dataclasses.replace(
        measured, identity=card_module._identity(hardware, "gpu", 0), float64_vector=0.5, float32_vector=50.0
    )
    card_module._keep(crippled)
    config = choose_around({}, hardware)
    assert config.pricing_dtype == "float32"
    assert "measured" in config.why["pricing_dtype"]


def test_a_card_goes_to_json_and_cannot_be_changed(measured):
    plain = json.loads(json.dumps(measured.to_dict()))
    assert plain["identity"]["platform"] == "cpu"
    assert DeviceCard(**plain) == measured
    assert isinstance(hash(measured), int)
    with pytest.raises(AttributeError):
        measured.bandwidth = 1.0


def test_bad_arguments():
    with pytest.raises(InputError, match="limit is 0"):
        device_card("cpu", limit=0)
    with pytest.raises(InputError, match="matrix is 0"):
        Workload(vector=1, stream=1, matrix=0)
    with pytest.raises(DeviceError, match="cpu device 99 was asked for"):
        device_card("cpu", device_id=99)
    with pytest.raises(DeviceError, match="platform 'tpu' was asked for"):
        device_card("tpu")
