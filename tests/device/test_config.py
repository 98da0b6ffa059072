"""`DeviceConfig`: YAML both ways, overlays, and errors that name file, line, field, value and remedy."""

import json
import os
import pickle
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gpujax.device import config_file
from gpujax.device.choose import choose
from gpujax.device.config import DeviceConfig
from gpujax.errors import ConfigError

PROFILES = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))

EIGHT = DeviceConfig(
    platform="gpu",
    device_ids=range(8),
    mesh_axes={"batch": 4, "model": 2},
    parallelism="shard_map",
    pricing_dtype="float32",
    model_dtype="bfloat16",
    accumulation_dtype="float64",
    matmul_precision="high",
    random_implementation="threefry4x32",
    memory_fraction=0.3,
    preallocate=False,
    batch_margin=1,
    batch_limit=1_000_000,
    rematerialisation="blocks",
    compilation_cache="~/caché: #1",
    why={"platform": 'said "yes": {really}', "batch_limit": "null"},
)


@pytest.mark.parametrize("config", [DeviceConfig(), EIGHT])
def test_yaml_round_trip(config, tmp_path):
    assert DeviceConfig.from_yaml(config.to_yaml()) == config
    config.write(tmp_path / "gpujax.yaml")
    again = DeviceConfig.from_yaml(tmp_path / "gpujax.yaml")
    assert again == config
    assert dict(again.why) == dict(config.why)
    assert DeviceConfig.from_yaml(str(tmp_path / "gpujax.yaml")) == config


@pytest.mark.parametrize("config", [DeviceConfig(), EIGHT])
def test_other_round_trips(config):
    assert pickle.loads(pickle.dumps(config)) == config
    assert DeviceConfig.from_mapping(json.loads(json.dumps(config.to_dict()))) == config
    assert hash(pickle.loads(pickle.dumps(config))) == hash(config)


def test_values_take_their_normal_form():
    assert EIGHT.device_ids == tuple(range(8))
    assert EIGHT.mesh_axes == (("batch", 4), ("model", 2))
    assert EIGHT.batch_margin == 1.0
    assert isinstance(EIGHT.batch_margin, float)
    assert EIGHT.device_count == 8
    assert DeviceConfig(compilation_cache=Path("/tmp/x")).compilation_cache == "/tmp/x"


def test_every_field_has_a_reason_and_a_comment():
    config = DeviceConfig(pricing_dtype="float32")
    fields = set(config.to_dict()) - {"why"}
    assert set(config.why) == fields
    assert config.why["pricing_dtype"] == "set by the caller"
    assert config.why["platform"] == "the default"
    text = config.to_yaml()
    for name in fields:
        assert re.search(rf"^# .+\n{name}: ", text, re.MULTILINE), name
        assert name in config.summary()


def test_it_cannot_be_changed():
    config = DeviceConfig()
    with pytest.raises(AttributeError):
        config.platform = "gpu"
    with pytest.raises(TypeError):
        config.why["platform"] = "because"


@pytest.mark.parametrize(
    ("pricing", "accumulation", "needed"),
    [("float64", "float64", True), ("float32", "float64", True), ("float32", "float32", False)],
)
def test_when_64_bit_mode_is_needed(pricing, accumulation, needed):
    assert DeviceConfig(pricing_dtype=pricing, accumulation_dtype=accumulation).needs_64_bit is needed


BAD_VALUES = [
    ("platform", "cuda", "one of cpu, gpu, tpu"),
    ("platform", None, "one of cpu"),
    ("device_ids", 3, "list of different device numbers"),
    ("device_ids", [], "list of different"),
    ("device_ids", [0, 0], "different"),
    ("device_ids", [-1], "device numbers"),
    ("device_ids", [True], "device numbers"),
    ("device_ids", ["0"], "device numbers"),
    ("mesh_axes", {}, "such as {batch: 8}"),
    ("mesh_axes", {"batch": 0}, "such as {batch: 8}"),
    ("mesh_axes", {"a b": 1}, "such as {batch: 8}"),
    ("mesh_axes", "batch", "such as {batch: 8}"),
    ("mesh_axes", [["a", 1], ["a", 1]], "differ from each other"),
    ("parallelism", False, "one of none, pmap, shard_map"),
    ("pricing_dtype", "float16", "one of float64, float32"),
    ("model_dtype", "fp16", "one of float32, bfloat16, float16"),
    ("accumulation_dtype", 64, "one of float64"),
    ("matmul_precision", "HIGHEST", "one of highest"),
    ("random_implementation", "mt19937", "one of threefry2x32"),
    ("memory_fraction", 0, "above 0 and up to 1"),
    ("memory_fraction", 1.5, "above 0 and up to 1"),
    ("memory_fraction", float("nan"), "above 0 and up to 1"),
    ("memory_fraction", True, "above 0 and up to 1"),
    ("memory_fraction", "0.5", "above 0 and up to 1"),
    ("preallocate", "yes please", "true or false"),
    ("preallocate", 1, "true or false"),
    ("batch_margin", -0.1, "above 0 and up to 1"),
    ("batch_limit", 0, "whole number of at least 1"),
    ("batch_limit", 1e6, "write 1000000, not 1e6"),
    ("rematerialisation", "all", "one of none, blocks"),
    ("compilation_cache", 7, "path of a directory"),
    ("compilation_cache", "", "path of a directory"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD_VALUES)
def test_an_impossible_value_is_refused_by_name(name, value, expected):
    with pytest.raises(ConfigError, match=re.escape(expected)) as raised:
        DeviceConfig(**{name: value})
    assert name in str(raised.value)


def test_every_field_has_a_bad_value_above():
    assert {name for name, _, _ in BAD_VALUES} == set(DeviceConfig().to_dict()) - {"why"}


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({"device_ids": [0, 1], "mesh_axes": {"batch": 3}}, "mesh_axes"),
        ({"mesh_axes": {"a": 1, "b": 1}, "parallelism": "pmap"}, "parallelism"),
        ({"random_implementation": "philox4x32", "parallelism": "shard_map"}, "random_implementation"),
        ({"pricing_dtype": "float64", "accumulation_dtype": "float32"}, "accumulation_dtype"),
    ],
)
def test_fields_that_contradict_each_other(fields, culprit):
    with pytest.raises(ConfigError, match=f"DeviceConfig: {culprit}"):
        DeviceConfig(**fields)
    text = "\n".join(f"{name}: {config_file.flow(value)}" for name, value in fields.items())
    line = list(fields).index(culprit) + 1
    with pytest.raises(ConfigError, match=f"line {line}: {culprit}"):
        DeviceConfig.from_yaml(text, base=DeviceConfig())


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("platform: cpu\nplatfrom: gpu\n", 2, "unknown field 'platfrom' (did you mean 'platform'?)"),
        ("\n\npricing_dtype: flaot64\n", 3, "pricing_dtype is 'flaot64' (did you mean 'float64'?)"),
        ("platform: cpu\ndevice_ids: [0]\nplatform: gpu\n", 3, "platform is given twice, first on line 1"),
        ("mesh_axes: {batch: 1, batch: 1}\n", 1, "batch is given twice"),
        ("batch_limit: 1e6\n", 1, "write 1000000, not 1e6"),
        ("platform: [cpu\n", 2, "not valid YAML"),
        ("- cpu\n- gpu\n", 1, "expected lines of `field: value`"),
        ("!!python/object/apply:os.system ['true']\n", 1, "expected lines of `field: value`"),
        ("platform: !!python/object/apply:os.system ['true']\n", 1, "not valid YAML"),
        ("? [a]\n: 1\n", 1, "a field's name must be a word"),
        ("1: 2\n", 1, "unknown field 1"),
        ("why: because\n", 1, "expected one reason per field"),
        ("why: {platfrom: x}\n", 1, "'platfrom', which is no field (did you mean 'platform'?)"),
        ("why: {platform: 3}\n", 1, "the reason for platform is 3; expected text"),
        ("platform: cpu\n---\nplatform: gpu\n", 2, "not valid YAML"),
    ],
)
def test_errors_in_a_file_name_file_and_line(text, line, said, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)) as raised:
        DeviceConfig.from_yaml(path, base=DeviceConfig())
    assert str(raised.value).startswith(f"{path}, line {line}: ")
    with pytest.raises(ConfigError, match=f"YAML text, line {line}"):
        DeviceConfig.from_yaml(text, base=DeviceConfig())


def test_nothing_in_a_file_is_run(tmp_path):
    marker = tmp_path / "ran"
    text = f"platform: !!python/object/apply:os.system ['touch {marker}']\n"
    with pytest.raises(ConfigError):
        DeviceConfig.from_yaml(text, base=DeviceConfig())
    assert not marker.exists()


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        DeviceConfig.from_yaml(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00platform")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        DeviceConfig.from_yaml(tmp_path / "binary.yaml")
    (tmp_path / "large.yaml").write_text("# " + "x" * 1_000_001)
    with pytest.raises(ConfigError, match="too large"):
        DeviceConfig.from_yaml(tmp_path / "large.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        DeviceConfig.from_yaml(tmp_path)


def test_a_partial_file_is_an_overlay_and_says_so(tmp_path, machine):
    base = choose(machine.hardware([machine.gpu("A100", i) for i in range(2)]))
    (tmp_path / "mine.yaml").write_text("memory_fraction: 0.4\n")
    config = DeviceConfig.from_yaml(tmp_path / "mine.yaml", base=base)
    assert config.memory_fraction == 0.4
    assert config.why["memory_fraction"] == f"set in {tmp_path / 'mine.yaml'}"
    assert config.replace(memory_fraction=base.memory_fraction, why=dict(base.why)) == base
    assert DeviceConfig.from_yaml(Path(os.devnull), base=base) == base


def test_a_partial_file_is_completed_for_this_machine():
    config = DeviceConfig.from_yaml("platform: cpu\ndevice_ids: [0, 1]\n")
    assert config.parallelism == "shard_map"
    assert config.mesh_axes == (("batch", 2),)
    assert config.why["platform"] == "set in YAML text"
    assert config.why["parallelism"] == "2 devices share a batch"
    alone = DeviceConfig.from_yaml("platform: cpu\nparallelism: none\n")
    assert alone.device_ids == (0,)


def test_a_reason_goes_when_its_value_is_changed():
    text = EIGHT.to_yaml().replace("memory_fraction: 0.3", "memory_fraction: 0.5", 1)
    edited = DeviceConfig.from_yaml(text)
    assert edited.memory_fraction == 0.5
    assert edited.why["memory_fraction"] == "set in YAML text"
    assert edited.why["platform"] == EIGHT.why["platform"]
    # A reason in plain words is the user's own and stays.
    own = DeviceConfig.from_yaml("batch_limit: 5\nwhy: {batch_limit: our rule}\n", base=DeviceConfig())
    assert own.why["batch_limit"] == "our rule"


def test_replace_gives_reasons_and_keeps_fields_in_agreement():
    config = DeviceConfig(pricing_dtype="float32", accumulation_dtype="float32")
    wider = config.replace(pricing_dtype="float64", device_ids=(0, 1), why="asked")
    assert (wider.accumulation_dtype, wider.mesh_axes) == ("float64", (("batch", 2),))
    assert wider.why["pricing_dtype"] == "asked"
    assert "follows pricing_dtype" in wider.why["accumulation_dtype"]
    assert "follows device_ids" in wider.why["mesh_axes"]
    assert config.pricing_dtype == "float32"
    with pytest.raises(ConfigError, match=re.escape("unknown field 'batchlimit' (did you mean 'batch_limit'?)")):
        config.replace(batchlimit=3)
    with pytest.raises(ConfigError, match="mesh_axes"):
        config.replace(device_ids=(0, 1), mesh_axes={"batch": 3})


def test_writing_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "gpujax.yaml"
    DeviceConfig().write(path)
    before = path.read_text()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        EIGHT.write(path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["gpujax.yaml"]


def test_a_written_file_follows_the_umask(tmp_path):
    DeviceConfig().write(tmp_path / "a.yaml")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a.yaml").stat().st_mode) == 0o666 & ~umask


def test_there_are_profiles():
    names = {path.stem for path in PROFILES}
    assert {"laptop-cpu", "one-gpu", "eight-gpus", "float32", "simulated-eight"} <= names


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_the_profiles_that_users_edit_are_sound(path, machine):
    gpus = [machine.gpu("H100", index) for index in range(8)]
    parsed = config_file.read(path)
    base = choose(
        machine.hardware(gpus),
        platform=parsed.values.get("platform"),
        device_ids=parsed.values.get("device_ids"),
    )
    config = DeviceConfig.from_yaml(path, base=base)
    for name, value in parsed.values.items():
        assert config.to_dict()[name] == value
        assert config.why[name] == f"set in {path}"
    # A profile explains itself: comments stand above what it sets.
    assert path.read_text().startswith("# ")
    assert sum(line.startswith("#") for line in path.read_text().splitlines()) >= 4


def test_reading_a_complete_file_needs_neither_hardware_nor_jax(tmp_path):
    EIGHT.write(tmp_path / "c.yaml")
    code = f"""
import sys
from gpujax.device import DeviceConfig
print(DeviceConfig.from_yaml({str(tmp_path / "c.yaml")!r}).platform)
assert "jax" not in sys.modules
assert "gpujax.device.hardware" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "gpu"
