"""The device layer: from the hardware that is there to a computation placed on it.

    detect()     what is there: GPUs, TPUs, CPU, memory, container limits; starts nothing        -> Hardware
    device_card  how fast it is: a few seconds of measurement, kept for next time                -> DeviceCard
    choose()     what to do about it, each choice with its reason                                -> DeviceConfig
    configure()  put that into force in JAX; the first line of a program                         -> DeviceConfig
    accelerate() run a function so: cast, pad, shard over the mesh, split into chunks that fit

A configuration comes from the first of: the argument of `configure`, the file named in GPUJAX_CONFIG, `./gpujax.yaml`,
    the
automatic choice. A file may name only some fields; the others are chosen around them.

    import gpujax as gj

    config = gj.configure()          # before the first computation
    print(config)                    # every choice, and why

`GPUJAX_LOG=debug` logs what is detected, chosen and applied. Names resolve on first use: importing this package starts
no JAX backend, and `detect()` works without one.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpujax.device.accelerate import accelerate as accelerate
    from gpujax.device.card import DeviceCard as DeviceCard
    from gpujax.device.card import device_card as device_card
    from gpujax.device.choose import choose as choose
    from gpujax.device.config import DeviceConfig as DeviceConfig
    from gpujax.device.configure import LateConfigurationWarning as LateConfigurationWarning
    from gpujax.device.configure import configure as configure
    from gpujax.device.configure import current_config as current_config
    from gpujax.device.hardware import Hardware as Hardware
    from gpujax.device.hardware import detect as detect
    from gpujax.device.mesh import make_mesh as make_mesh

# public name -> (module, attribute of it, or "" for the module itself)
_LAZY = {
    "DeviceCard": ("card", "DeviceCard"),
    "DeviceConfig": ("config", "DeviceConfig"),
    "Hardware": ("hardware", "Hardware"),
    "LateConfigurationWarning": ("configure", "LateConfigurationWarning"),
    "accelerate": ("accelerate", "accelerate"),
    "choose": ("choose", "choose"),
    "configure": ("configure", "configure"),
    "current_config": ("configure", "current_config"),
    "detect": ("hardware", "detect"),
    "device_card": ("card", "device_card"),
    "gpus": ("gpus", ""),
    "make_mesh": ("mesh", "make_mesh"),
    "memory": ("memory", ""),
    "precision": ("precision", ""),
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'gpujax.device' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(f"gpujax.device.{module}")
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """The package's type: a function stays reachable under the name that it shares with its module.

    Importing the submodule `gpujax.device.configure` makes Python bind that module as the package's attribute
    `configure`, which would hide the function of this name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        attribute = _LAZY[name][1] if name in _LAZY else ""
        if attribute and isinstance(value, ModuleType):
            value = getattr(value, attribute)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
