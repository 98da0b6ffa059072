"""Made-up machines for the device layer: a driver library, /proc and /sys trees, and whole sets of hardware facts."""

import types

import pynvml
import pytest

from gpujax.device.facts import Cpu, Gpu, Memory, Software, Tpu
from gpujax.device.hardware import Hardware


class FakeNvml:
    """Pynvml's functions and error classes over boards described as dicts; a fact that is left out is "not supported"."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
    NVML_NVLINK_MAX_LINKS = 18

    def __init__(self, boards, *, init_error=None, driver="570.86.15", cuda=12080):
        self.boards, self.init_error, self.driver, self.cuda = boards, init_error, driver, cuda
        self.shut_down = 0

    def nvmlInit(self):
        if self.init_error is not None:
            raise self.NVMLError(self.init_error)

    def nvmlShutdown(self):
        self.shut_down += 1

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlSystemGetCudaDriverVersion_v2(self):
        return self.cuda

    def nvmlDeviceGetCount(self):
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index):
        board = self.boards[index]
        if "lost" in board:
            raise self.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return board

    def _fact(self, handle, name):
        if name not in handle:
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if isinstance(handle[name], pynvml.NVMLError):
            raise handle[name]
        return handle[name]

    def nvmlDeviceGetName(self, handle):
        return self._fact(handle, "name")

    def nvmlDeviceGetUUID(self, handle):
        return self._fact(handle, "uuid")

    def nvmlDeviceGetPciInfo(self, handle):
        return types.SimpleNamespace(busId=self._fact(handle, "bus"))

    def nvmlDeviceGetMemoryInfo(self, handle):
        total, free = self._fact(handle, "memory")
        return types.SimpleNamespace(total=total, free=free, used=total - free)

    def nvmlDeviceGetCudaComputeCapability(self, handle):
        return self._fact(handle, "capability")

    def nvmlDeviceGetNumGpuCores(self, handle):
        return self._fact(handle, "cores")

    def nvmlDeviceGetMaxClockInfo(self, handle, kind):
        return self._fact(handle, "clocks")[kind]

    def nvmlDeviceGetMemoryBusWidth(self, handle):
        return self._fact(handle, "bus_width")

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return self._fact(handle, "power")

    def nvmlDeviceGetEccMode(self, handle):
        return self._fact(handle, "ecc")

    def nvmlDeviceGetMigMode(self, handle):
        return self._fact(handle, "mig")

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index):
        instances = handle.get("instances", [])
        if index >= len(instances):
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return instances[index]

    def nvmlDeviceGetGpuInstanceId(self, handle):
        return self._fact(handle, "gi")

    def nvmlDeviceGetComputeInstanceId(self, handle):
        return self._fact(handle, "ci")

    def nvmlDeviceGetAttributes(self, handle):
        return types.SimpleNamespace(multiprocessorCount=self._fact(handle, "multiprocessors"))

    def nvmlDeviceGetMaxPcieLinkGeneration(self, handle):
        return self._fact(handle, "pcie")[0]

    def nvmlDeviceGetMaxPcieLinkWidth(self, handle):
        return self._fact(handle, "pcie")[1]

    def nvmlDeviceGetNvLinkState(self, handle, link):
        links = self._fact(handle, "nvlinks")
        if link >= len(links):
            raise self.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return links[link]


GIB = 2**30


def a100(number=0, **facts):
    """One A100 as its driver describes it."""
    return {
        "name": "NVIDIA A100-SXM4-80GB",
        "uuid": f"GPU-{number:08x}-aaaa-bbbb-cccc-000000000000",
        "bus": f"00000000:{number:02X}:00.0",
        "memory": (80 * GIB, 79 * GIB),
        "capability": (8, 0),
        "cores": 6912,
        "clocks": {1: 1410, 2: 1593},
        "bus_width": 5120,
        "power": 400_000,
        "ecc": [1, 1],
        "mig": [0, 0],
        "pcie": (4, 16),
        "nvlinks": [1] * 12,
    } | facts


def mig_instance(number):
    """The facts of one 1g.10gb instance."""
    return {
        "name": "NVIDIA A100-SXM4-80GB MIG 1g.10gb",
        "uuid": f"MIG-{number:08x}-1111-2222-3333-000000000000",
        "memory": (10 * GIB, 9 * GIB),
        "gi": 7 + number,
        "ci": 0,
        "multiprocessors": 14,
    }


@pytest.fixture
def nvml():
    """The fake driver library's class and the boards to fill it with."""
    return types.SimpleNamespace(Library=FakeNvml, a100=a100, instance=mig_instance, GIB=GIB)


@pytest.fixture
def tree(tmp_path):
    """A function that writes files under a made-up root and returns the root."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


_CHIPS = {
    "A100": ("NVIDIA A100-SXM4-80GB", (8, 0), 80),
    "H100": ("NVIDIA H100 80GB HBM3", (9, 0), 80),
    "T4": ("Tesla T4", (7, 5), 15),
    "RTX 4090": ("NVIDIA GeForce RTX 4090", (8, 9), 24),
    "B300": ("NVIDIA B300 SXM6 AC", (10, 3), 270),
    "small": ("NVIDIA GeForce RTX 3050", (8, 6), 8),
}


def gpu(kind="A100", index=0, free=1.0, **facts):
    """One GPU's facts; `free` is the share of its memory that is free."""
    name, capability, gib = _CHIPS[kind]
    values = {
        "vendor": "nvidia",
        "name": name,
        "index": index,
        "physical_index": index,
        "memory_total": gib * GIB,
        "memory_free": int(gib * GIB * free),
        "compute_capability": capability,
        "mig": False,
    }
    return Gpu(**(values | facts))


def hardware(gpus=(), *, plugins=("cuda",), environment=None, devices=1, tpu=0, hidden=(), notes=()):
    """A machine with these GPUs, an ordinary CPU and a JAX that can drive what `plugins` says."""
    return Hardware(
        gpus=tuple(gpus),
        hidden_gpus=tuple(hidden),
        tpu=Tpu(kind="TPU v5e", chips=tpu) if tpu else Tpu(),
        cpu=Cpu(model="Test CPU", architecture="x86_64", usable_cores=8, vector=("avx2",), simulated_devices=devices),
        memory=Memory(total=64 * GIB, available=48 * GIB, usable=48 * GIB),
        software=Software(python="3.11.0", jax="0.10.2", jaxlib="0.10.2", plugins=plugins, nvidia_driver="570.1"),
        environment=environment or {},
        notes=tuple(notes),
    )


@pytest.fixture
def machine():
    """Functions that make up hardware facts: `machine.hardware(...)`, `machine.gpu(...)`."""
    return types.SimpleNamespace(hardware=hardware, gpu=gpu, GIB=GIB)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Cards and caches of these tests go to a folder of their own, never to the user's."""
    monkeypatch.setenv("GPUJAX_CACHE", str(tmp_path_factory.mktemp("cache")))
