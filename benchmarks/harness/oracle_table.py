"""Exact results for arrays of floating-point inputs: worked out on all cores, kept in a private folder for next time.

An exact number is kept as two float64 parts whose sum holds some thirty digits, so that errors of float64 results can
be taken by plain array arithmetic.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mpmath import mpf

from benchmarks.harness import oracle

__all__ = ["Column", "exact_table"]


@dataclass(frozen=True)
class Column:
    """One exact result over all points: `high + low` is the number; conditioning and scale as in `oracle.Exact`."""

    high: np.ndarray
    low: np.ndarray
    conditioning: np.ndarray
    scale: np.ndarray

    def take(self, mask: np.ndarray) -> Column:
        """Only the points where `mask` is true."""
        return Column(self.high[mask], self.low[mask], self.conditioning[mask], self.scale[mask])

    def error(self, computed: np.ndarray) -> np.ndarray:
        """|computed - exact|: the first difference is exact where the two are close, so nothing is lost to rounding."""
        return np.abs((computed.astype(np.float64) - self.high) - self.low)


def exact_table(kind: str, inputs: Mapping[str, np.ndarray], *, workers: int = 0) -> dict[str, Column]:
    """The exact results of one kind of `oracle.KINDS` for arrays of inputs, each float taken at its exact value.

    Arguments:
        inputs: arrays of one length; booleans stay booleans.
        workers: processes to share the work; at most one does it in this one.
    """
    path = _folder() / f"{_key(kind, inputs)}.npz"
    if not path.exists():
        _store(path, *_compute(kind, inputs, workers))
    names, numbers = _load(path)
    return {name: Column(*numbers[i]) for i, name in enumerate(names.tolist())}


def _compute(kind: str, inputs: Mapping[str, np.ndarray], workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Names, and an array [name, (high, low, conditioning, scale), point]."""
    if workers <= 1:
        return _evaluate(kind, inputs)
    size = len(next(iter(inputs.values())))
    names, numbers = np.empty(0), np.empty(0)
    with tempfile.TemporaryDirectory() as folder:
        shares = [(Path(folder) / f"{i}.npz", slice(i, None, workers)) for i in range(min(workers, size))]
        processes = []
        for path, share in shares:
            np.savez(path, **{name: array[share] for name, array in inputs.items()})  # pyright: ignore[reportArgumentType]
            processes.append(_start_worker(kind, path))
        failures = [process.wait() for process in processes]  # all of them, so that none is left behind
        if any(failures):
            raise RuntimeError(f"a process that worked out exact results of {kind!r} failed; its message is above")
        for path, share in shares:
            names, found = _load(path)
            if not numbers.size:
                numbers = np.empty((*found.shape[:-1], size))
            numbers[..., share] = found
    return names, numbers


def _start_worker(kind: str, path: Path) -> subprocess.Popen[bytes]:
    """A process of its own that runs this file.

    A fork of a process in which JAX has threads may hang, and multiprocessing's fresh processes would import the
    caller's script, JAX and all, once more.
    """
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen([sys.executable, "-m", "benchmarks.harness.oracle_table", kind, str(path)], env=environment)


def _evaluate(kind: str, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    columns = {name: array.tolist() for name, array in inputs.items()}
    rows = []
    names: list[str] = []
    for values in zip(*columns.values(), strict=True):
        point = {k: v if isinstance(v, bool) else mpf(v) for k, v in zip(columns, values, strict=True)}
        exact = oracle.evaluate(kind, point)
        names = list(exact)
        rows.append([_parts(result) for result in exact.values()])
    return np.array(names), np.moveaxis(np.array(rows), 0, -1)


def _parts(result: oracle.Exact) -> tuple[float, float, float, float]:
    with oracle.mp.workdps(oracle.DIGITS):
        high = float(result.value)
        low = float(result.value - high) if np.isfinite(high) else 0.0
        return high, low, float(result.conditioning), float(result.scale)


def _key(kind: str, inputs: Mapping[str, np.ndarray]) -> str:
    """Changes with the inputs and with the text of the oracle, so that a stored table is never out of date."""
    digest = hashlib.sha256(kind.encode())
    for module in (oracle.__file__, __file__):
        digest.update(Path(module).read_bytes())
    for name, array in inputs.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _folder() -> Path:
    """A folder of this user's own: in a shared temporary directory nobody else may plant a table there."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"gpujax-oracle-{owner}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.stat()
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077):
        raise PermissionError(f"{folder} belongs to somebody else or is open to others; remove it and run again")
    return folder


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return stored["names"], stored["numbers"]


def _store(path: Path, names: np.ndarray, numbers: np.ndarray) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, names=names, numbers=numbers)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _work(kind: str, path: Path) -> None:
    """What a worker does: read its share of the inputs, and put the results in their place."""
    with np.load(path, allow_pickle=False) as stored:
        inputs = {name: stored[name] for name in stored.files}
    _store(path, *_evaluate(kind, inputs))


if __name__ == "__main__":
    _work(sys.argv[1], Path(sys.argv[2]))
