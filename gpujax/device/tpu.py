"""Facts about TPUs: chips on the PCI bus, device files, and what the cloud's environment says.

Opening a TPU locks it for this process, so nothing is opened: the PCI table, the names under /dev and the environment
    are read.
The PCI numbers are those of JAX (`jax/_src/hardware_utils.py`) and of Google's cloud documentation.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from gpujax.device.facts import Tpu

__all__ = ["find"]

_GOOGLE = "0x1ae0"
_KINDS = {
    "0x0027": "TPU v3",
    "0x005e": "TPU v4",
    "0x0062": "TPU v5p",
    "0x0063": "TPU v5e",
    "0x006f": "TPU v6e",
    "0x0076": "TPU7x",
}


def find(root: str | os.PathLike[str] = "/", environ: Mapping[str, str] | None = None) -> Tpu:
    """The TPU chips of this host that this process may use; `chips` is 0 where there are none.

    Arguments:
        root: the root of the file system to read `sys` and `dev` from.
        environ: the environment that holds TPU_ACCELERATOR_TYPE and TPU_VISIBLE_CHIPS; `os.environ` by default.
    """
    environ = os.environ if environ is None else environ
    base = Path(root)
    on_bus = [kind for kind in map(_kind, sorted((base / "sys/bus/pci/devices").glob("*"))) if kind]
    announced = environ.get("TPU_ACCELERATOR_TYPE") or environ.get("ACCELERATOR_TYPE") or None
    if on_bus:
        kind, chips, found_by = on_bus[0], len(on_bus), "PCI bus"
    else:
        # Chips behind a container's device files may be hidden from its PCI table. Virtual machines pass other devices
        # through /dev/vfio too, so that these files count only where the environment speaks of a TPU.
        files = sorted((base / "dev").glob("accel[0-9]*"))
        if not files and announced:
            files = [path for path in sorted((base / "dev/vfio").glob("*")) if path.name.isdecimal()]
        if not files:
            return Tpu(unknown={"kind": "no TPU on the PCI bus or under /dev"})
        kind, chips, found_by = announced, len(files), f"device files such as {files[0].name}"
    visible = environ.get("TPU_VISIBLE_CHIPS") or environ.get("TPU_VISIBLE_DEVICES")
    if visible:
        named = {token.strip() for token in visible.split(",") if token.strip().isdecimal() and int(token) < chips}
        chips, found_by = len(named), f"{found_by}, of which TPU_VISIBLE_CHIPS={visible!r} shows {len(named)}"
    unknown = {} if kind else {"kind": "TPU_ACCELERATOR_TYPE is not set and the PCI bus does not tell"}
    return Tpu(kind=kind, chips=chips, found_by=found_by, unknown=unknown)


def _kind(device: Path) -> str | None:
    try:
        if (device / "vendor").read_text().strip() != _GOOGLE:
            return None
        return _KINDS.get((device / "device").read_text().strip())
    except (OSError, UnicodeDecodeError):
        return None
