"""`configure()`: what JAX is told, in which order settings win, and what happens when JAX has already started.

What changes JAX for the whole process runs in a process of its own; the rest records what would have been told.
"""

import importlib
import os
import re
import subprocess
import sys
import textwrap
import types

import jax
import pytest

import gpujax.device
from gpujax.device import DeviceConfig, running
from gpujax.errors import ConfigError, DeviceError

# The package shows the function under this name; the module has to be asked for.
configure_module = importlib.import_module("gpujax.device.configure")
configure = configure_module.configure
LateConfigurationWarning = configure_module.LateConfigurationWarning

# The one function that changes JAX, as it is before the tests replace it.
TELL = configure_module._tell

MEMORY = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE")


def run(code, *, folder, **variables):
    """Run Python in a fresh process, in `folder`, without this process's JAX settings; its standard output and error."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "GPUJAX_"))}
    environment |= {"GPUJAX_CACHE": str(folder / "cache"), "PYTHONWARNINGS": "error"} | variables
    script = "import jax, gpujax as gj\nfrom gpujax.device import running\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def told(monkeypatch):
    """Nothing is in force, JAX has not started, and what JAX would be told is only written down."""
    written = {}
    monkeypatch.setattr(configure_module, "_tell", written.__setitem__)
    monkeypatch.setattr(configure_module, "_in_force", None)
    monkeypatch.setattr(configure_module.compilation_cache, "reset_cache", lambda: None)
    monkeypatch.setattr(running, "backend_started", lambda: False)
    monkeypatch.setattr(running, "_restriction", None)
    monkeypatch.setattr(running, "told_by_us", {})
    for name in MEMORY:
        # Set first, so that what `configure` writes is taken back after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return written


@pytest.fixture
def on(monkeypatch):
    """A function that makes a made-up machine the one that is found."""

    def use(hardware):
        monkeypatch.setattr(configure_module, "detect", lambda: hardware)
        choose_module = importlib.import_module("gpujax.device.choose")
        monkeypatch.setattr(choose_module, "detect", lambda: hardware)
        monkeypatch.setattr(running, "seen_by_jax", lambda hardware: hardware)

    return use


# --- in a process of its own ---


def test_the_first_line_of_a_program(tmp_path):
    run(
        """
        config = gj.configure()
        assert not running.backend_started(), "configure() started JAX"
        assert gj.configure() is config, "not idempotent"
        assert gj.device.current_config() is config
        assert config.platform == "cpu" and config.pricing_dtype == "float64"
        assert jax.config.jax_enable_x64
        assert jax.config.jax_platforms == "cpu"
        assert jax.config.jax_default_matmul_precision == "highest"
        assert jax.config.jax_default_prng_impl == "threefry2x32"
        assert jax.config.jax_persistent_cache_min_compile_time_secs == 0.0
        assert jax.config.jax_persistent_cache_min_entry_size_bytes == -1
        import os, stat
        folder = jax.config.jax_compilation_cache_dir
        assert folder == config.compilation_cache and folder.startswith(os.environ["GPUJAX_CACHE"])
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert str(jax.numpy.ones(1).dtype) == "float64"
        assert gj.configure() is config
        """,
        folder=tmp_path,
    )


def test_a_second_start_compiles_nothing_anew(tmp_path):
    code = """
    import collections
    seen = collections.Counter()
    jax.monitoring.register_event_listener(lambda event, **_: seen.update([event]))
    gj.configure()
    import jax.numpy as jnp
    x = jnp.linspace(0.0, 1.0, 11)
    jax.jit(lambda x: jnp.exp(x) @ x)(x).block_until_ready()
    (x + 1).block_until_ready()
    where = "/jax/compilation_cache/"
    print(seen[where + "cache_misses"], seen[where + "cache_hits"], seen[where + "compile_requests_use_cache"])
    """
    misses, _, requests = map(int, run(code, folder=tmp_path)[0].split())
    assert misses == requests >= 3
    assert list(map(int, run(code, folder=tmp_path)[0].split())) == [0, requests, requests]


def test_float32_throughout_keeps_64_bit_mode_off(tmp_path):
    run(
        """
        gj.configure({"pricing_dtype": "float32", "accumulation_dtype": "float32"})
        assert not jax.config.jax_enable_x64
        # Set late, it still takes effect.
        jax.devices()
        gj.configure({"pricing_dtype": "float64"})
        assert str(jax.numpy.ones(1).dtype) == "float64"
        """,
        folder=tmp_path,
    )


def test_cpu_devices_are_made_and_the_rest_follows_them(tmp_path):
    run(
        """
        config = gj.configure({"device_ids": list(range(8))})
        assert not running.backend_started()
        assert len(jax.devices()) == 8 and config.parallelism == "shard_map" and config.mesh_axes == (("batch", 8),)
        try:
            gj.configure({"device_ids": [8]})
        except gj.errors.DeviceError as error:
            assert "cpu devices [8] were asked for" in str(error) and "started with 8" in str(error), error
        else:
            raise AssertionError("a device that is not there was accepted")
        assert gj.device.current_config() is config, "a refused configuration displaced the one in force"
        """,
        folder=tmp_path,
    )


def test_a_refused_configuration_changes_nothing(tmp_path):
    (tmp_path / "gpujax.yaml").write_text("platform: gpu\ndevice_ids: [0]\nmemory_fraction: 0.5\n")
    run(
        """
        import os
        try:
            gj.configure()
        except gj.errors.DeviceError as error:
            assert "a GPU was asked for" in str(error) and "there is the CPU" in str(error), error
        else:
            raise AssertionError("a GPU that is not there was accepted")
        assert jax.config.jax_platforms is None
        assert "XLA_CLIENT_MEM_FRACTION" not in os.environ
        assert not jax.config.jax_enable_x64
        """,
        folder=tmp_path,
    )


def test_logging(tmp_path):
    _, log = run("gj.configure()", folder=tmp_path, GPUJAX_LOG="debug")
    assert "detected:" in log
    assert "chosen:" in log
    assert "jax.config.update('jax_enable_x64', True)" in log
    assert log.count("in force:") == 1
    _, silent = run("gj.configure()", folder=tmp_path)
    assert silent == ""
    code = """
    try:
        gj.configure()
    except gj.errors.ConfigError as error:
        print(error)
    """
    assert "GPUJAX_LOG is 'loud'; expected one of debug" in run(code, folder=tmp_path, GPUJAX_LOG="loud")[0]


# --- where a configuration comes from ---


def resolved(config="auto"):
    return configure_module._resolve(config, configure_module._source(config)).config


def test_precedence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPUJAX_CONFIG", raising=False)
    assert resolved().why["batch_limit"] == "memory is the only limit"
    (tmp_path / "gpujax.yaml").write_text("batch_limit: 1\n")
    assert resolved().batch_limit == 1
    (tmp_path / "other.yaml").write_text("batch_limit: 2\n")
    monkeypatch.setenv("GPUJAX_CONFIG", "other.yaml")
    assert resolved().batch_limit == 2
    assert resolved().why["batch_limit"] == "set in other.yaml"
    assert resolved({"batch_limit": 3}).batch_limit == 3
    (tmp_path / "third.yaml").write_text("batch_limit: 4\n")
    assert resolved("third.yaml").batch_limit == 4
    assert resolved(tmp_path / "third.yaml").batch_limit == 4
    assert resolved("batch_limit: 5").batch_limit == 5
    config = DeviceConfig(batch_limit=6)
    assert resolved(config) is config
    monkeypatch.setenv("GPUJAX_CONFIG", "auto")
    assert resolved().batch_limit is None
    monkeypatch.setenv("GPUJAX_CONFIG", "absent.yaml")
    with pytest.raises(ConfigError, match=r"GPUJAX_CONFIG names 'absent.yaml', but there is no such file"):
        resolved()


def test_auto_keeps_what_the_program_has_decided(told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPUJAX_CONFIG", raising=False)
    first = configure("auto")
    assert configure("auto") is first
    (tmp_path / "gpujax.yaml").write_text("batch_limit: 1\n")
    assert configure("auto").batch_limit == 1
    decided = configure({"batch_limit": 2})
    assert configure("auto") is decided
    assert configure_module.current_config() is decided
    assert configure({"batch_limit": 3}).batch_limit == 3


def test_an_edited_file_is_another_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpujax.yaml").write_text("batch_limit: 1\n")
    first = configure_module._source("auto")
    assert configure_module._source("auto") == first
    (tmp_path / "gpujax.yaml").write_text("batch_limit: 12\n")
    assert configure_module._source("auto") != first


@pytest.mark.parametrize("wrong", [3, None, ["gpujax.yaml"]])
def test_something_else_is_refused(wrong):
    with pytest.raises(ConfigError, match="configure takes 'auto', a path, a mapping or a DeviceConfig"):
        configure(wrong)


# --- what JAX is told about GPUs ---


def test_one_of_several_gpus(told, on, machine):
    on(machine.hardware([machine.gpu("H100", index) for index in range(4)]))
    config = configure({"platform": "gpu", "device_ids": [3, 1], "memory_fraction": 0.5, "preallocate": False})
    assert told["jax_platforms"] == "cuda,cpu"
    assert told["jax_cuda_visible_devices"] == "1,3"
    assert os.environ["XLA_CLIENT_MEM_FRACTION"] == "0.5"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ
    assert told["jax_enable_x64"] is True
    assert config.device_ids == (3, 1)
    # JAX will number them 0 and 1; the configuration goes on calling them 1 and 3.
    devices = [types.SimpleNamespace(id=0), types.SimpleNamespace(id=1)]
    assert running.numbered("gpu", devices) == {1: devices[0], 3: devices[1]}
    assert running.numbered("cpu", devices) == {0: devices[0], 1: devices[1]}


def test_all_gpus(told, on, machine):
    on(machine.hardware([machine.gpu("H100", index) for index in range(2)]))
    configure("auto")
    assert told["jax_cuda_visible_devices"] == "all"
    assert os.environ["XLA_CLIENT_MEM_FRACTION"] == "0.9"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


def test_amd_gpus_and_tpus(told, on, machine):
    on(machine.hardware([machine.gpu(vendor="amd", compute_capability=None)], plugins=("rocm",)))
    configure("auto")
    assert told["jax_platforms"] == "rocm,cpu"
    assert told["jax_rocm_visible_devices"] == "all"
    on(machine.hardware(tpu=4, plugins=("tpu",)))
    configure({"platform": "tpu"})
    assert told["jax_platforms"] == "tpu,cpu"
    assert told["jax_enable_x64"] is False


def test_the_deprecated_memory_setting_is_replaced(told, on, machine, monkeypatch):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.4")
    on(machine.hardware([machine.gpu("H100")], environment={"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.4"}))
    config = configure("auto")
    assert config.memory_fraction == 0.4
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ
    assert os.environ["XLA_CLIENT_MEM_FRACTION"] == "0.4"


def test_contradicting_memory_settings_are_an_error_and_nothing_is_told(told, on, machine, monkeypatch):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.4")
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")
    on(machine.hardware([machine.gpu("H100")]))
    with pytest.raises(ConfigError, match=r"unset XLA_PYTHON_CLIENT_MEM_FRACTION"):
        configure("auto")
    assert told == {}
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    configure("auto")
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ


def test_a_configuration_for_gpus_that_are_not_there(told, on, machine):
    eight = DeviceConfig(platform="gpu", device_ids=range(8), mesh_axes={"batch": 8}, parallelism="shard_map")
    on(machine.hardware([machine.gpu("T4", index) for index in range(2)]))
    with pytest.raises(DeviceError, match=r"asks for gpu devices \[0, 1, 2, 3, 4, 5, 6, 7\].*GPU 1 \(Tesla T4\)"):
        configure(eight)
    on(machine.hardware())
    with pytest.raises(DeviceError, match=r"asks for gpu devices.*there is the CPU"):
        configure(eight)
    note = "an NVIDIA GPU is there, but JAX has no CUDA plugin: pip install 'gpujax[cuda13]'"
    on(machine.hardware([machine.gpu("T4", index) for index in range(8)], plugins=(), notes=[note]))
    with pytest.raises(DeviceError, match=re.escape("pip install 'gpujax[cuda13]'")):
        configure(eight)
    assert told == {}


# --- when JAX has already started ---


@pytest.fixture
def started_on_gpu(told, on, machine, monkeypatch):
    """JAX runs on two GPUs, with a quarter of their memory."""
    on(machine.hardware([machine.gpu("H100", index) for index in range(2)]))
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.25")
    monkeypatch.setattr(running, "backend_started", lambda: True)
    monkeypatch.setattr(running, "started_platform", lambda: "gpu")
    monkeypatch.setattr(running, "local_devices", lambda platform: {0: "gpu 0", 1: "gpu 1"})
    return told


def test_what_comes_too_late_is_named(started_on_gpu):
    with pytest.warns(LateConfigurationWarning, match=r"memory_fraction=0.5 \(in force: 0.25\)") as caught:
        config = configure({"memory_fraction": 0.5, "batch_limit": 7, "pricing_dtype": "float64"})
    assert "preallocate" not in str(caught[0].message)
    assert caught[0].filename == __file__
    assert config.memory_fraction == 0.25
    assert config.why["memory_fraction"] == "JAX had already started with it"
    # The rest is applied.
    assert config.batch_limit == 7
    assert started_on_gpu["jax_enable_x64"] is True
    assert "jax_platforms" not in started_on_gpu
    assert os.environ["XLA_CLIENT_MEM_FRACTION"] == "0.25"


def test_what_nobody_asked_for_by_name_is_not_warned_about(started_on_gpu):
    config = configure("auto")
    assert config.memory_fraction == 0.25
    assert configure("auto") is config


def test_a_device_that_the_running_jax_lacks(started_on_gpu):
    with pytest.raises(DeviceError, match=r"gpu devices \[5\] were asked for"):
        configure(DeviceConfig(platform="gpu", device_ids=[5]))


def test_a_platform_that_the_running_jax_lacks(told, monkeypatch):
    monkeypatch.setattr(running, "backend_started", lambda: True)
    with pytest.raises(DeviceError, match=r"platform 'gpu' was asked for, but JAX has started with cpu only"):
        configure(DeviceConfig(platform="gpu"))


def test_a_platform_that_started_beside_another_becomes_the_default(started_on_gpu, monkeypatch):
    monkeypatch.setattr(running, "local_devices", lambda platform: {0: f"{platform} 0"})
    configure(DeviceConfig(platform="cpu"))
    assert started_on_gpu["jax_default_device"] == "cpu 0"


# --- the compilation cache ---


def test_a_cache_directory_must_be_private(told, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match=f"can be written by everybody.*chmod 700 {shared}"):
        configure(DeviceConfig(compilation_cache=shared))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made: File exists"):
        configure(DeviceConfig(compilation_cache=tmp_path / "file"))
    assert told == {}


def test_a_cache_of_another_user_is_refused(told, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        configure(DeviceConfig(compilation_cache=tmp_path))


def test_without_a_place_for_it_there_is_no_cache(told, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUJAX_CACHE", str(tmp_path / "file"))
    config = configure(DeviceConfig(compilation_cache=tmp_path / "file" / "compiled"))
    assert config.compilation_cache is None
    assert "cannot be made" in config.why["compilation_cache"]
    assert "cannot be made" in caplog.text
    assert told["jax_compilation_cache_dir"] is None


def test_our_own_cache_is_made_private_again(told, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUJAX_CACHE", str(tmp_path))
    (tmp_path / "compiled").mkdir(mode=0o755)
    (tmp_path / "compiled").chmod(0o777)
    configure(DeviceConfig(compilation_cache=tmp_path / "compiled"))
    assert (tmp_path / "compiled").stat().st_mode & 0o777 == 0o700


def test_a_cache_that_the_program_told_jax_stays(told):
    settled = jax.config.jax_compilation_cache_dir
    # Told again by `configure`, it is still the program's own.
    TELL("jax_compilation_cache_dir", settled)
    assert "jax_compilation_cache_dir" not in running.told_by_us
    config = configure("auto")
    assert config.compilation_cache == jax.config.jax_compilation_cache_dir
    assert "JAX_COMPILATION_CACHE_DIR" in config.why["compilation_cache"]


# --- the package ---


def test_a_function_is_not_hidden_by_the_module_of_its_name():
    for name in ("configure", "choose"):
        module = importlib.import_module(f"gpujax.device.{name}")
        assert isinstance(module, types.ModuleType)
        assert getattr(gpujax.device, name) is getattr(module, name)


def test_every_public_name_of_the_first_half_resolves():
    for name in (
        "DeviceCard",
        "DeviceConfig",
        "Hardware",
        "choose",
        "configure",
        "current_config",
        "detect",
        "device_card",
        "gpus",
    ):
        assert getattr(gpujax.device, name) is not None
        assert name in dir(gpujax.device)
    with pytest.raises(AttributeError, match="has no attribute 'confgure'"):
        gpujax.device.confgure  # noqa: B018


def test_jax_still_answers_whether_it_has_started():
    # Private to JAX; both supported lines have it.
    from jax._src import xla_bridge

    assert xla_bridge.backends_are_initialized() is True
    assert running.backend_started() is True
    assert running.started_platform() == "cpu"
    assert running.cpu_devices() == len(jax.devices("cpu"))
