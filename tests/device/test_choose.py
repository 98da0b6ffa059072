"""`choose()` on made-up machines: what is chosen, and that the reason says why."""

import re
import types

import pytest

from gpujax.device.choose import cache_directory, choose, choose_around
from gpujax.device.config import DeviceConfig
from gpujax.errors import DeviceError


def card(float64, float32):
    return types.SimpleNamespace(float64_vector=float64, float32_vector=float32)


def test_every_choice_has_a_reason_of_its_own(machine):
    for hardware in (
        machine.hardware(),
        machine.hardware([machine.gpu("H100")]),
        machine.hardware(tpu=4, plugins=("tpu",)),
    ):
        config = choose(hardware)
        assert set(config.why) == set(config.to_dict()) - {"why"}
        assert not [name for name, why in config.why.items() if why in ("the default", "set by the caller")]
        assert DeviceConfig.from_yaml(config.to_yaml()) == config
        assert choose(hardware) == config


def test_a_machine_without_accelerator(machine):
    config = choose(machine.hardware(plugins=()))
    assert config.platform == "cpu"
    assert config.why["platform"] == "no GPU or TPU found"
    assert (config.pricing_dtype, config.model_dtype, config.accumulation_dtype) == ("float64", "float32", "float64")
    assert (config.device_ids, config.parallelism, config.mesh_axes) == ((0,), "none", (("batch", 1),))
    assert config.matmul_precision == "highest"
    assert config.random_implementation == "threefry2x32"


@pytest.mark.parametrize(
    ("kind", "dtype", "said"),
    [
        ("A100", "float64", "1/2"),
        ("H100", "float64", "1/2"),
        ("T4", "float32", "1/32"),
        ("RTX 4090", "float32", "1/64"),
        ("B300", "float32", "1/64"),
    ],
)
def test_pricing_precision_follows_the_float64_rate_and_states_it(machine, kind, dtype, said):
    config = choose(machine.hardware([machine.gpu(kind)]))
    assert config.platform == "gpu"
    assert config.pricing_dtype == dtype
    assert said in config.why["pricing_dtype"]
    assert machine.gpu(kind).name in config.why["pricing_dtype"]
    assert config.accumulation_dtype == "float64"


def test_what_was_measured_wins_over_the_table(machine):
    slow = choose(machine.hardware([machine.gpu("H100")]), card(0.6, 60.0))
    assert slow.pricing_dtype == "float32"
    assert "measured float64 at 0.01 of the float32 rate" in slow.why["pricing_dtype"]
    fast = choose(machine.hardware([machine.gpu("B300")]), card(30.0, 60.0))
    assert fast.pricing_dtype == "float64"
    assert "measured float64 at 0.5" in fast.why["pricing_dtype"]
    # A card on which one of the two could not be measured says nothing about their ratio.
    assert choose(machine.hardware([machine.gpu("H100")]), card(None, 60.0)).pricing_dtype == "float64"


def test_an_unknown_gpu_is_not_trusted_with_float64(machine):
    config = choose(machine.hardware([machine.gpu("A100", name="NVIDIA Z9", compute_capability=(77, 0))]))
    assert config.pricing_dtype == "float32"
    assert "device_card()" in config.why["pricing_dtype"]


@pytest.mark.parametrize(("kind", "dtype"), [("A100", "bfloat16"), ("RTX 4090", "bfloat16"), ("T4", "float32")])
def test_models_use_bfloat16_where_there_is_such(machine, kind, dtype):
    assert choose(machine.hardware([machine.gpu(kind)])).model_dtype == dtype


def test_several_gpus_share_a_batch(machine):
    config = choose(machine.hardware([machine.gpu("H100", index) for index in range(8)]))
    assert config.device_ids == tuple(range(8))
    assert config.mesh_axes == (("batch", 8),)
    assert config.parallelism == "shard_map"
    assert config.why["device_ids"] == "all 8 GPUs"


def test_unlike_gpus_are_not_put_together(machine):
    kinds = ["T4", "A100", "T4", "A100"]
    config = choose(machine.hardware([machine.gpu(kind, index) for index, kind in enumerate(kinds)]))
    assert config.device_ids == (1, 3)
    assert "slowest" in config.why["device_ids"]
    assert config.pricing_dtype == "float64"


def test_mig_means_one_device(machine):
    gpus = [machine.gpu("A100", index, mig=True, name="NVIDIA A100-SXM4-80GB MIG 1g.10gb") for index in range(2)]
    config = choose(machine.hardware(gpus))
    assert config.device_ids == (0,)
    assert config.parallelism == "none"
    assert "MIG" in config.why["device_ids"]


def test_tpu(machine):
    config = choose(machine.hardware(tpu=4, plugins=("tpu",)))
    assert (config.platform, config.device_ids) == ("tpu", (0, 1, 2, 3))
    assert (config.pricing_dtype, config.accumulation_dtype, config.model_dtype) == ("float32", "float32", "bfloat16")
    assert config.needs_64_bit is False


def test_amd(machine):
    gpu = machine.gpu("A100", vendor="amd", name="AMD Instinct MI300X", compute_capability=None, architecture="gfx942")
    config = choose(machine.hardware([gpu], plugins=("rocm",)))
    assert (config.platform, config.pricing_dtype, config.model_dtype) == ("gpu", "float64", "bfloat16")


def test_a_gpu_that_jax_cannot_drive_is_left_alone(machine):
    config = choose(machine.hardware([machine.gpu("H100")], plugins=()))
    assert config.platform == "cpu"
    assert "no plugin" in config.why["platform"]


def test_a_hidden_gpu_is_mentioned(machine):
    hidden = machine.gpu("H100", index=None, hidden="CUDA_VISIBLE_DEVICES='' leaves it out")
    config = choose(machine.hardware(hidden=[hidden]))
    assert config.platform == "cpu"
    assert "CUDA_VISIBLE_DEVICES=''" in config.why["platform"]


def test_jax_platforms_is_obeyed(machine):
    config = choose(machine.hardware([machine.gpu("H100")], environment={"JAX_PLATFORMS": "cpu"}))
    assert config.platform == "cpu"
    assert config.why["platform"] == "JAX_PLATFORMS=cpu says so"
    config = choose(machine.hardware([machine.gpu("H100")], environment={"JAX_PLATFORMS": "cuda,cpu"}))
    assert config.platform == "gpu"


def test_simulated_cpu_devices_are_used(machine):
    config = choose(machine.hardware(devices=8))
    assert (config.device_ids, config.parallelism) == (tuple(range(8)), "shard_map")
    assert "simulated" in config.why["device_ids"]


@pytest.mark.parametrize(
    ("facts", "environment", "fraction", "preallocate", "said"),
    [
        ({}, {}, 0.9, True, "nothing else uses"),
        ({"free": 0.5}, {}, 0.45, False, "others use 50%"),
        ({"free": 0.0}, {}, 0.05, False, "others use 100%"),
        ({"unified_memory": True}, {}, 0.5, False, "shares the host's memory"),
        ({"memory_total": None, "memory_free": None}, {}, 0.75, True, "not known"),
        ({}, {"XLA_CLIENT_MEM_FRACTION": "0.3"}, 0.3, True, "XLA_CLIENT_MEM_FRACTION=0.3 says so"),
        ({}, {"XLA_PYTHON_CLIENT_MEM_FRACTION": ".25"}, 0.25, True, "XLA_PYTHON_CLIENT_MEM_FRACTION=.25"),
        ({}, {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}, 0.9, False, "nothing else uses"),
        ({}, {"XLA_CLIENT_MEM_FRACTION": "lots"}, 0.9, True, "nothing else uses"),
    ],
)
def test_memory(machine, facts, environment, fraction, preallocate, said):
    config = choose(machine.hardware([machine.gpu("A100", **facts)], environment=environment))
    assert config.memory_fraction == pytest.approx(fraction)
    assert config.preallocate is preallocate
    assert said in config.why["memory_fraction"]


def test_small_gpus_recompute(machine):
    assert choose(machine.hardware([machine.gpu("small")])).rematerialisation == "blocks"
    assert choose(machine.hardware([machine.gpu("A100")])).rematerialisation == "none"


def test_what_is_not_there_is_refused_with_what_is(machine):
    with pytest.raises(DeviceError, match=r"a GPU was asked for.*there is the CPU"):
        choose(machine.hardware(), platform="gpu")
    with pytest.raises(DeviceError, match=r"a TPU was asked for.*GPU 0 \(Tesla T4\)"):
        choose(machine.hardware([machine.gpu("T4")]), platform="tpu")
    with pytest.raises(DeviceError, match=r"gpu devices \[3\] were asked for.*GPU 0.*GPU 1"):
        choose(machine.hardware([machine.gpu("T4", i) for i in range(2)]), device_ids=(0, 3))
    note = "an NVIDIA GPU is there, but JAX has no CUDA plugin: pip install 'gpujax[cuda13]'"
    with pytest.raises(DeviceError, match=re.escape("pip install 'gpujax[cuda13]'")):
        choose(machine.hardware([machine.gpu("T4")], plugins=(), notes=[note]), platform="gpu")


def test_decided_fields_shape_the_rest(machine):
    hardware = machine.hardware([machine.gpu("H100", index) for index in range(4)])
    config = choose(hardware, platform="cpu")
    assert (config.device_ids, config.model_dtype) == ((0,), "float32")
    config = choose(hardware, platform="gpu", device_ids=(2, 3))
    assert (config.device_ids, config.mesh_axes, config.parallelism) == ((2, 3), (("batch", 2),), "shard_map")


def test_around_a_program_that_already_runs_on_the_cpu(machine):
    # These tests run JAX on eight simulated CPU devices; a machine with a GPU would be no reason to leave them.
    import jax

    assert jax.default_backend() == "cpu"
    config = choose_around({}, machine.hardware([machine.gpu("H100")]))
    assert config.platform == "cpu"
    assert config.why["platform"] == "JAX has already started on it"
    assert config.device_ids == tuple(range(8))
    assert choose_around({"parallelism": "none"}, machine.hardware()).device_ids == (0,)


def test_the_compilation_cache_is_the_users_and_of_this_processor(machine):
    first = choose(machine.hardware()).compilation_cache
    assert first.startswith(str(cache_directory()))
    assert "jax-0.10.2" in first
    import dataclasses

    other = machine.hardware()
    other = dataclasses.replace(other, cpu=dataclasses.replace(other.cpu, vector=("avx512f",)))
    assert choose(other).compilation_cache != first
    set_by_user = machine.hardware(environment={"JAX_COMPILATION_CACHE_DIR": "/scratch/me"})
    assert choose(set_by_user).compilation_cache == "/scratch/me"


def test_where_the_cache_is():
    assert str(cache_directory({"GPUJAX_CACHE": "/scratch/g"})) == "/scratch/g"
    assert cache_directory({"XDG_CACHE_HOME": "/x"}).as_posix() in ("/x/gpujax", cache_directory({}).as_posix())
    assert cache_directory({}).is_absolute()


def test_matmul_precision_of_the_environment(machine):
    config = choose(machine.hardware(environment={"JAX_DEFAULT_MATMUL_PRECISION": "high"}))
    assert config.matmul_precision == "high"
    assert "JAX_DEFAULT_MATMUL_PRECISION" in config.why["matmul_precision"]
