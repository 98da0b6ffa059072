"""Files of arrays that belong to one calculation: written whole or not at all, and refused by any other calculation."""

import hashlib
import os
import tempfile
import types
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gpujax.errors import InputError

__all__ = ["fingerprint", "read_arrays", "write_arrays"]

_MARK = "fingerprint"


def fingerprint(what: Any) -> str:
    """A hash of what a calculation depends on: arrays by their bytes, functions by name and code, the rest by its text."""
    digest = hashlib.sha256()

    def add(item: Any) -> None:
        digest.update(type(item).__qualname__.encode() + b"\0")
        if isinstance(item, (np.ndarray, np.generic, jax.Array)):
            array = np.asarray(item)
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        elif isinstance(item, types.FunctionType):
            digest.update(f"{item.__module__}.{item.__qualname__}".encode() + item.__code__.co_code)
            add([cell.cell_contents for cell in item.__closure__ or ()])
        elif isinstance(item, dict):
            for name in sorted(item, key=str):
                add(name)
                add(item[name])
        elif isinstance(item, (list, tuple)):
            for part in item:
                add(part)
        elif hasattr(item, "__dataclass_fields__"):
            for name in item.__dataclass_fields__:
                add(name)
                add(getattr(item, name))
        else:
            digest.update(repr(item).encode())

    add(what)
    return digest.hexdigest()


def write_arrays(path: Any, mark: str, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays under the fingerprint; a reader sees the old file or the new one, never a part."""
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as file:
        np.savez(file, allow_pickle=False, **{_MARK: np.frombuffer(bytes.fromhex(mark), np.uint8)}, **arrays)  # pyright: ignore[reportArgumentType]
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


def read_arrays(path: Any, mark: str) -> dict[str, np.ndarray] | None:
    """The arrays of this calculation; None where there is no file.

    Raises: InputError for a file of another calculation, or one that is none of ours.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"save: {path} is no saved run; name another file, or remove this one") from error
    found = arrays.pop(_MARK, None)
    if found is None or found.tobytes().hex() != mark:
        raise InputError(
            f"save: {path} belongs to another calculation (process, payoff, key, times, method or chunk differ); name another "
            "file, or remove this one"
        )
    return arrays
