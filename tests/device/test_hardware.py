"""`detect()` over made-up drivers and /proc and /sys trees: facts, refusals, visibility, container limits."""

import json
import pickle
import subprocess
import sys

import pynvml
import pytest

from gpujax.device import amd, host, nvidia, tpu
from gpujax.device.hardware import Hardware, detect

CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse sse2 sse4_2 avx f16c fma avx2 avx512f avx512_bf16 amx_bf16 amx_tile

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: 0
core id\t\t: 0

processor\t: 2
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: 0
core id\t\t: 1

processor\t: 3
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: 0
core id\t\t: 1
"""
MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n"
GIB = 2**30


# --- the whole ---


def test_detect_starts_no_backend_and_does_not_import_jax():
    code = """
import sys
from gpujax.device import detect
print(detect())
assert "jax" not in sys.modules, "detect() imported jax"
import jax
detect()
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), "detect() started a backend"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CPU" in done.stdout


def test_detect_on_an_empty_machine_knows_nothing_and_says_why(tmp_path, nvml):
    library = nvml.Library([], init_error=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    hardware = detect(root=tmp_path, environ={}, nvml=library)
    assert hardware.gpus == ()
    assert hardware.tpu.chips == 0
    assert hardware.memory.total is None
    assert "meminfo" in hardware.memory.unknown["total"]
    assert hardware.cpu.logical_cores is None
    assert hardware.cpu.usable_cores == 1
    assert any("NVML Shared Library Not Found" in note for note in hardware.notes)
    assert any("AMD" in note for note in hardware.notes)
    assert "unknown" in hardware.summary()


def test_detect_goes_to_json_and_through_pickle(nvml, tree):
    root = tree({"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO})
    hardware = detect(root=root, environ={"CUDA_VISIBLE_DEVICES": "0"}, nvml=nvml.Library([nvml.a100()]))
    plain = json.loads(json.dumps(hardware.to_dict()))
    assert plain["gpus"][0]["name"] == "NVIDIA A100-SXM4-80GB"
    assert plain["cpu"]["physical_cores"] == 2
    assert pickle.loads(pickle.dumps(hardware)) == hardware
    assert isinstance(hash(hardware), int)


def test_a_gpu_without_its_plugin_says_what_to_install(nvml, tree):
    hardware = detect(root=tree({}), environ={}, nvml=nvml.Library([nvml.a100()], cuda=12080))
    assert hardware.software.plugins == ()
    assert any("pip install 'gpujax[cuda12]'" in note for note in hardware.notes)
    newer = detect(root=tree({}), environ={}, nvml=nvml.Library([nvml.a100()], cuda=13000))
    assert any("gpujax[cuda13]" in note for note in newer.notes)


def test_settings_that_matter_are_reported():
    environ = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu", "HOME": "/nobody"}
    hardware = detect(environ=environ)
    assert hardware.environment == {"XLA_FLAGS": environ["XLA_FLAGS"], "JAX_PLATFORMS": "cpu"}
    assert hardware.cpu.simulated_devices == 4
    assert "4 simulated" in str(hardware)


# --- NVIDIA ---


def test_every_question_asked_of_nvml_exists_in_pynvml(nvml):
    ours = {name for name in vars(nvml.Library) if name.startswith("nvml")}
    assert len(ours) > 20
    assert {name for name in ours if not hasattr(pynvml, name)} == set()


def test_facts_of_an_ordinary_gpu(nvml):
    library = nvml.Library([nvml.a100()])
    found = nvidia.find(library, {})
    gpu = found.gpus[0]
    assert (found.driver, found.cuda) == ("570.86.15", "12.8")
    assert gpu.name == "NVIDIA A100-SXM4-80GB"
    assert gpu.index == 0
    assert gpu.hidden is None
    assert (gpu.memory_total, gpu.memory_free) == (80 * GIB, 79 * GIB)
    assert gpu.compute_capability == (8, 0)
    assert gpu.architecture == "sm_80"
    assert gpu.cores == 6912
    assert (gpu.clock_max, gpu.memory_clock_max) == (1410, 1593)
    assert gpu.power_limit == 400.0
    assert gpu.ecc is True
    assert gpu.mig is False
    assert (gpu.pcie_generation, gpu.pcie_width, gpu.nvlinks) == (4, 16, 12)
    assert gpu.unified_memory is False
    assert dict(gpu.unknown) == {}
    assert library.shut_down == 1


def test_a_gpu_that_answers_not_supported_to_everything(nvml):
    gpu = nvidia.find(nvml.Library([{}]), {}).gpus[0]
    assert gpu.name is None
    assert gpu.ecc is None
    assert gpu.power_limit is None
    assert gpu.index == 0
    assert "Not Supported" in gpu.unknown["ecc"]
    assert "nvmlDeviceGetName" in gpu.unknown["name"]
    # Every fact that is None for want of an answer has its reason.
    asked = {"name", "uuid", "pci_bus", "memory_total", "memory_free", "compute_capability", "cores", "clock_max"}
    asked |= {"memory_clock_max", "memory_bus_bits", "power_limit", "ecc", "mig", "pcie_generation", "pcie_width"}
    assert asked | {"nvlinks"} == set(gpu.unknown)


def test_unified_memory_is_the_hosts(nvml, tree):
    board = nvml.a100(name="NVIDIA GB10", capability=(12, 1))
    del board["memory"]
    gpu = detect(root=tree({"proc/meminfo": MEMINFO}), environ={}, nvml=nvml.Library([board])).gpus[0]
    assert gpu.unified_memory
    assert gpu.memory_total == 16 * GIB
    assert gpu.memory_free == 8 * GIB
    assert "memory_total" not in gpu.unknown


def test_memory_that_may_not_be_read_is_not_unified(nvml):
    board = nvml.a100(memory=pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION))
    gpu = nvidia.find(nvml.Library([board]), {}).gpus[0]
    assert not gpu.unified_memory
    assert gpu.memory_total is None
    assert "Insufficient Permissions" in gpu.unknown["memory_total"]


def test_a_gpu_that_fell_off_the_bus_is_hidden_and_does_not_stop_the_others(nvml):
    found = nvidia.find(nvml.Library([nvml.a100(0), {"lost": True}, nvml.a100(2)]), {})
    assert [gpu.physical_index for gpu in found.gpus if gpu.hidden is None] == [0, 2]
    lost = next(gpu for gpu in found.gpus if gpu.hidden)
    assert lost.physical_index == 1
    assert "GPU is lost" in lost.hidden


def test_a_driver_that_was_updated_under_the_system_gives_a_reason(nvml):
    found = nvidia.find(nvml.Library([], init_error=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH), {})
    assert found.gpus == ()
    assert "does not work" in found.reason


def test_a_driver_that_vanishes_between_questions(nvml):
    library = nvml.Library([nvml.a100()])

    def vanish():
        raise library.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    library.nvmlDeviceGetCount = vanish
    library.nvmlShutdown = vanish
    found = nvidia.find(library, {})
    assert found.gpus == ()
    assert "Driver Not Loaded" in found.reason


def test_bindings_that_lack_a_function(nvml, monkeypatch):
    monkeypatch.delattr(nvml.Library, "nvmlDeviceGetNumGpuCores")
    gpu = nvidia.find(nvml.Library([nvml.a100()]), {}).gpus[0]
    assert gpu.cores is None
    assert "this nvidia-ml-py has no nvmlDeviceGetNumGpuCores" in gpu.unknown["cores"]


def test_without_the_nvml_library_the_kernel_driver_still_names_its_boards(nvml, tree):
    library = nvml.Library([], init_error=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    information = "Model: \t\t NVIDIA H100 PCIe\nGPU UUID: \t GPU-12ab\nBus Location: \t 0000:65:00.0\n"
    root = tree(
        {
            "proc/driver/nvidia/gpus/0000:65:00.0/information": information,
            "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan\n",
        }
    )
    found = nvidia.find(library, {}, root)
    assert found.gpus[0].name == "NVIDIA H100 PCIe"
    assert found.gpus[0].index == 0
    assert found.driver == "570.86.15"
    assert "memory_total" in found.gpus[0].unknown


def test_a_jetson_without_nvml(nvml, tree):
    library = nvml.Library([], init_error=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    files = {"dev/nvhost-gpu": "", "proc/device-tree/model": "NVIDIA Jetson AGX Orin\0", "proc/meminfo": MEMINFO}
    gpu = detect(root=tree(files), environ={}, nvml=library).gpus[0]
    assert gpu.name == "NVIDIA Jetson AGX Orin"
    assert gpu.unified_memory
    assert gpu.memory_total == 16 * GIB


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        (" 1 ", [1]),
        ("", []),
        ("-1", []),
        ("0,-1,1", [0]),
        ("0,7,1", [0]),
        ("1,1", []),
        ("GPU-00000002", [2]),
        ("GPU-00000001-aaaa-bbbb-cccc-000000000000,0", [1, 0]),
        ("GPU-0000000", []),
        ("NoDevFiles", []),
    ],
)
def test_cuda_visible_devices(nvml, setting, expected):
    environ = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
    found = nvidia.find(nvml.Library([nvml.a100(number) for number in range(3)]), environ)
    visible = [gpu for gpu in found.gpus if gpu.hidden is None]
    assert [gpu.physical_index for gpu in visible] == expected
    assert [gpu.index for gpu in visible] == list(range(len(expected)))
    assert len(found.gpus) == 3
    if setting is not None:
        assert any(f"CUDA_VISIBLE_DEVICES={setting!r}" in note for note in found.notes)
        assert all("CUDA_VISIBLE_DEVICES" in gpu.hidden for gpu in found.gpus if gpu.hidden)


def partitioned(nvml, number=0, instances=2):
    slices = [nvml.instance(10 * number + i) for i in range(instances)]
    return nvml.a100(number, mig=[1, 1], instances=slices)


def test_mig_shows_a_process_one_instance(nvml):
    found = nvidia.find(nvml.Library([partitioned(nvml), nvml.a100(1)]), {})
    visible = [gpu for gpu in found.gpus if gpu.hidden is None]
    assert len(visible) == 1
    assert visible[0].name.endswith("MIG 1g.10gb")
    assert visible[0].memory_total == 10 * GIB
    assert visible[0].mig_instances[0].multiprocessors == 14
    assert visible[0].cores is None
    assert visible[0].unknown["cores"] == "a MIG instance"
    assert any("one instance only" in note for note in found.notes)
    assert "beside a MIG instance" in next(gpu.hidden for gpu in found.gpus if gpu.hidden)


@pytest.mark.parametrize(
    ("setting", "uuid"),
    [
        ("MIG-00000001-1111-2222-3333-000000000000", "MIG-00000001"),
        ("MIG-00000000", "MIG-00000000"),
        ("MIG-GPU-00000000-aaaa-bbbb-cccc-000000000000/8/0", "MIG-00000001"),
        ("0", "MIG-00000000"),
    ],
)
def test_mig_instances_by_name(nvml, setting, uuid):
    found = nvidia.find(nvml.Library([partitioned(nvml)]), {"CUDA_VISIBLE_DEVICES": setting})
    assert found.gpus[0].hidden is None
    assert found.gpus[0].uuid.startswith(uuid)


def test_mig_without_instances_shows_nothing_and_says_how_to_make_one(nvml):
    found = nvidia.find(nvml.Library([partitioned(nvml, instances=0)]), {})
    assert "nvidia-smi mig" in found.gpus[0].hidden


def test_gpus_of_different_models_are_warned_about(nvml):
    boards = [nvml.a100(0), nvml.a100(1, name="Tesla T4", capability=(7, 5))]
    assert any("CUDA_DEVICE_ORDER" in note for note in nvidia.find(nvml.Library(boards), {}).notes)
    in_order = nvidia.find(nvml.Library(boards), {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    assert not any("CUDA_DEVICE_ORDER" in note for note in in_order.notes)


# --- AMD ---


def amd_tree(count=2):
    nodes = "sys/class/kfd/kfd/topology/nodes"
    files = {f"{nodes}/0/properties": "cpu_cores_count 64\nsimd_count 0\n", f"{nodes}/0/name": "\n"}
    for i in range(count):
        card = f"sys/class/drm/renderD{128 + i}/device"
        files |= {
            f"{nodes}/{i + 1}/properties": f"cpu_cores_count 0\nsimd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\n"
            f"location_id {(5 + i) << 8}\ndomain 0\ndrm_render_minor {128 + i}\nunique_id {4660 + i}\n"
            "max_engine_clk_fcompute 2100\n",
            f"{nodes}/{i + 1}/name": "ip discovery\n",
            f"{nodes}/{i + 1}/mem_banks/0/properties": f"heap_type 1\nsize_in_bytes {192 * GIB}\n",
            f"{card}/product_name": "AMD Instinct MI300X\n",
            f"{card}/mem_info_vram_total": f"{192 * GIB}\n",
            f"{card}/mem_info_vram_used": f"{2 * GIB}\n",
            f"{card}/hwmon/hwmon3/power1_cap": "750000000\n",
            f"{card}/max_link_speed": "32.0 GT/s PCIe\n",
            f"{card}/max_link_width": "16\n",
        }
    return files


def test_facts_of_amd_gpus(tree):
    gpu = amd.find(tree(amd_tree()), {}).gpus[1]
    assert gpu.vendor == "amd"
    assert gpu.name == "AMD Instinct MI300X"
    assert (gpu.memory_total, gpu.memory_free) == (192 * GIB, 190 * GIB)
    assert gpu.architecture == "gfx942"
    assert gpu.cores == 304
    assert gpu.power_limit == 750.0
    assert (gpu.pcie_generation, gpu.pcie_width) == (5, 16)
    assert gpu.pci_bus == "0000:06:00.0"
    assert gpu.uuid == "GPU-0000000000001235"
    assert gpu.index == 1


def test_amd_gpu_with_nothing_but_its_node(tree):
    node = "sys/class/kfd/kfd/topology/nodes/1/properties"
    gpu = amd.find(tree({node: "simd_count 8\ngfx_target_version 110003\ncpu_cores_count 16\n"}), {}).gpus[0]
    assert gpu.architecture == "gfx1103"
    assert gpu.unified_memory
    assert gpu.memory_total is None
    assert gpu.name is None
    assert {"name", "memory_total", "power_limit", "pcie_width", "uuid"} <= set(gpu.unknown)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HIP_VISIBLE_DEVICES": "1"}, [1]),
        ({"ROCR_VISIBLE_DEVICES": "1,0"}, [1, 0]),
        ({"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1"}, [2]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-0000000000001236"}, [2]),
        ({"HIP_VISIBLE_DEVICES": ""}, []),
    ],
)
def test_amd_visibility_settings_apply_one_within_the_other(tree, environ, expected):
    found = amd.find(tree(amd_tree(3)), environ)
    assert [gpu.physical_index for gpu in found.gpus if gpu.hidden is None] == expected
    assert len(found.gpus) == 3
    assert found.notes


def test_amd_smi_gives_the_market_name_and_may_fail(tree):
    class Smi:
        class AmdSmiException(Exception):
            pass

        fails = False

        def amdsmi_init(self):
            if self.fails:
                raise self.AmdSmiException("driver not loaded")

        def amdsmi_shut_down(self):
            pass

        def amdsmi_get_processor_handles(self):
            return ["0000:05:00.0"]

        def amdsmi_get_gpu_device_bdf(self, handle):
            return handle

        def amdsmi_get_gpu_asic_info(self, handle):
            return {"market_name": "MI300X OAM"}

    smi = Smi()
    names = [gpu.name for gpu in amd.find(tree(amd_tree()), {}, smi).gpus]
    assert names == ["MI300X OAM", "AMD Instinct MI300X"]
    smi.fails = True
    assert amd.find(tree(amd_tree()), {}, smi).gpus[0].name == "AMD Instinct MI300X"


# --- TPU ---


def test_tpu_on_the_pci_bus(tree):
    bus = "sys/bus/pci/devices"
    files = {f"{bus}/0000:00:0{i}.0/vendor": "0x1ae0\n" for i in range(4)}
    files |= {f"{bus}/0000:00:0{i}.0/device": "0x0063\n" for i in range(4)}
    files |= {f"{bus}/0000:00:09.0/vendor": "0x10de\n", f"{bus}/0000:00:09.0/device": "0x0063\n"}
    root = tree(files)
    found = tpu.find(root, {})
    assert (found.kind, found.chips) == ("TPU v5e", 4)
    assert tpu.find(root, {"TPU_VISIBLE_CHIPS": "0,2"}).chips == 2


def test_tpu_by_device_files(tree):
    root = tree({"dev/accel0": "", "dev/accel1": ""})
    found = tpu.find(root, {"TPU_ACCELERATOR_TYPE": "v4-8"})
    assert (found.kind, found.chips) == ("v4-8", 2)


def test_vfio_devices_count_as_tpu_only_where_the_environment_speaks_of_one(tree):
    root = tree({"dev/vfio/0": "", "dev/vfio/1": "", "dev/vfio/vfio": ""})
    assert tpu.find(root, {}).chips == 0
    assert tpu.find(root, {"TPU_ACCELERATOR_TYPE": "v6e-8"}).chips == 2


# --- the host ---


def test_cpu_facts(tree):
    cpu = host.cpu(tree({"proc/cpuinfo": CPUINFO, "proc/self/status": "Cpus_allowed_list:\t0-1,3\n"}), {})
    assert cpu.model == "Intel(R) Xeon(R) Platinum 8480+"
    assert (cpu.physical_cores, cpu.logical_cores, cpu.affinity, cpu.usable_cores) == (2, 4, 3, 3)
    assert cpu.vector == ("amx_tile", "amx_bf16", "avx512f", "avx512_bf16", "avx2", "fma", "f16c", "avx", "sse4_2")
    assert cpu.simulated_devices == 1


def test_arm_cpu(tree):
    text = "processor\t: 0\nFeatures\t: fp asimd sve sve2 bf16 asimdhp\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"
    cpu = host.cpu(tree({"proc/cpuinfo": text}), {})
    assert cpu.vector == ("sve2", "sve", "asimd", "bf16", "asimdhp")
    assert cpu.model == "Arm implementer 0x41 part 0xd4f"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"}, None),
        ({}, None),
    ],
)
def test_cpu_quota_of_a_container(tree, files, quota):
    cpu = host.cpu(tree({"proc/cpuinfo": CPUINFO, **files}), {})
    assert cpu.quota == quota
    assert cpu.usable_cores == (max(1, int(quota)) if quota else 4)


@pytest.mark.parametrize(
    ("files", "limit", "usable"),
    [
        (
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
                "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {2 * GIB}\n",
            },
            4 * GIB,
            3 * GIB,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None, 8 * GIB),
        (
            {
                "proc/self/cgroup": "2:memory:/x\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
            },
            2 * GIB,
            GIB,
        ),
        (
            {
                "proc/self/cgroup": "2:memory:/x\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            None,
            8 * GIB,
        ),
    ],
)
def test_memory_limit_of_a_container(tree, files, limit, usable):
    memory = host.memory(tree({"proc/meminfo": MEMINFO, **files}))
    assert memory.total == 16 * GIB
    assert memory.limit == limit
    assert memory.usable == usable


@pytest.mark.parametrize(
    ("files", "environ", "wsl", "container"),
    [
        ({"proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n"}, {}, True, None),
        ({"proc/sys/kernel/osrelease": "6.8.0-45-generic\n", ".dockerenv": ""}, {}, False, "docker"),
        ({"run/.containerenv": ""}, {}, False, "podman"),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False, "kubernetes"),
        ({"proc/1/cgroup": "0::/kubepods/pod1\n"}, {}, False, "kubepods"),
        ({}, {}, False, None),
    ],
)
def test_wsl_and_containers(tree, files, environ, wsl, container):
    system = host.system(tree(files), environ)
    assert system.wsl is wsl
    assert system.container == container


def test_simulated_cpu_devices():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_force_host_platform_device_count=8"}
    assert host.simulated_cpu_devices(flags) == 8
    assert host.simulated_cpu_devices({**flags, "JAX_NUM_CPU_DEVICES": "3"}) == 3
    assert host.simulated_cpu_devices({}) == 1


def test_summary_names_devices_first_and_what_is_unknown(nvml, tree):
    board = nvml.a100(memory=pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN))
    hardware = detect(root=tree({"proc/cpuinfo": CPUINFO}), environ={}, nvml=nvml.Library([board]))
    lines = str(hardware).splitlines()
    assert lines[0].startswith("GPU 0")
    assert "NVIDIA A100-SXM4-80GB" in lines[0]
    assert any(line.startswith("unknown") and "memory_total" in line for line in lines)


def test_hardware_records_cannot_be_changed():
    hardware = Hardware()
    with pytest.raises(AttributeError):
        hardware.gpus = (1,)
    with pytest.raises(TypeError):
        hardware.unknown["x"] = "y"
