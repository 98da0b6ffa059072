"""What a reader of a result must know about the run: machine, versions, revision, and the machine's measured limits."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["DISTRIBUTIONS", "Limits", "facts", "measure_limits"]

DISTRIBUTIONS = (
    "gpujax", "jax", "jaxlib", "numpy", "scipy", "numba", "fast-vollib", "pyvolr", "QuantLib", "mpmath", "torch", "quantkit-rs",
    "stochastic-rs",
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What the device was seen to do at best, in this run: bytes and floating-point operations per second."""

    bytes_per_second: float
    float64_operations_per_second: float
    float32_operations_per_second: float


def facts(limits: Limits | None = None) -> dict[str, Any]:
    """Machine, versions, command, date and revision, as plain JSON types."""
    import jax
    import psutil

    device = jax.devices()[0]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", _from_the_root(sys.argv[0]), *sys.argv[1:]]),
        "git": _revision(),
        "machine": {
            "processor": _processor(),
            "cores_available": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": platform.platform(),
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
            "jax_platform": device.platform,
            "jax_device": device.device_kind,
            "jax_devices": jax.device_count(),
        },
        "threads": _threads(),
        "limits": asdict(limits) if limits else None,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in DISTRIBUTIONS}},
    }


def _from_the_root(script: str) -> str:
    """The script as one would name it in a checkout, wherever that lies."""
    path, root = Path(script).resolve(), Path(__file__).resolve().parents[2]
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def measure_limits(*, quick: bool = False) -> Limits:
    """Bandwidth of a copy-like pass over arrays far larger than the caches, and throughput of multiply-adds.

    Both run through XLA on the device that gpujax uses, so they are limits that a perfect program on it would meet.
    """
    import jax
    import jax.numpy as jnp

    elements = 1 << (18 if quick else 24)
    big = jnp.ones(elements, jnp.float64)
    read_and_write = jax.jit(lambda x: x + 1.0)
    bandwidth = 2 * big.nbytes / _best(lambda: read_and_write(big).block_until_ready())

    def operations(dtype: Any) -> float:
        chains, steps = 8, 64  # eight independent chains hide the latency of a multiply-add
        small = jnp.full(1 << (14 if quick else 18), 0.5, dtype)

        @jax.jit
        def multiply_add(x: Any) -> Any:
            values = [x + np.asarray(i, dtype) for i in range(chains)]
            for _ in range(steps):
                values = [v * x + x for v in values]
            return sum(values[1:], values[0])

        return 2 * chains * steps * small.size / _best(lambda: multiply_add(small).block_until_ready())

    return Limits(bandwidth, operations(np.float64), operations(np.float32))


def _best(call: Any, tries: int = 7) -> float:
    call()
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _revision() -> dict[str, Any]:
    """Commit of the checkout this file lies in, and whether it has uncommitted changes."""
    root = Path(__file__).resolve().parents[2]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # Results are written beside the scripts by the very runs that they describe, so they do not count as changes.
        changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
    except (OSError, subprocess.CalledProcessError) as error:
        return {"commit": None, "reason": f"{type(error).__name__}: {error}"}
    return {"commit": commit, "uncommitted_changes": bool(changes)}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name; `platform.processor` is empty or generic on most Linux systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _threads() -> dict[str, Any]:
    """How many threads the contestants may use: all see the same cores unless one of these variables says otherwise."""
    names = ("NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "XLA_FLAGS")
    return {name: os.environ[name] for name in names if name in os.environ}
