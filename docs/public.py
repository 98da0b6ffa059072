"""What is public: everything that can be reached from `gpujax` through `__all__`.

Used by the site's hooks, which fail the build where a public name is missing from the reference, and by
`tests/test_docs.py`.
"""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any, NamedTuple

import gpujax

__all__ = ["Symbol", "public_modules", "public_symbols"]


class Symbol(NamedTuple):
    """One public name: the module that offers it, its name there, what it is, and the path where it is defined."""

    module: str
    name: str
    value: Any
    path: str


def public_modules() -> list[ModuleType]:
    """`gpujax`, every module that its `__all__` names, and so on; of a package without `__all__`, all its modules."""
    found: dict[str, ModuleType] = {}
    waiting: list[ModuleType] = [gpujax]
    while waiting:
        module = waiting.pop()
        if module.__name__ in found:
            continue
        found[module.__name__] = module
        if hasattr(module, "__all__"):
            values = (getattr(module, name) for name in module.__all__)
            waiting += [value for value in values if inspect.ismodule(value) and value.__name__.startswith("gpujax.")]
        elif hasattr(module, "__path__"):
            names = (f"{module.__name__}.{info.name}" for info in pkgutil.iter_modules(module.__path__))
            waiting += [importlib.import_module(name) for name in names]
    # Reached by their results: what the pricing functions return, and the codes in it.
    for name in ("gpujax.pricing.greek_names", "gpujax.pricing.implied"):
        found[name] = importlib.import_module(name)
    return [found[name] for name in sorted(found)]


def public_symbols() -> list[Symbol]:
    """Every name in the `__all__` of a public module that is not itself a module."""
    symbols = []
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.ismodule(value) or name == "__version__":
                continue
            defined = getattr(value, "__module__", None) if callable(value) else None
            origin = defined if defined and defined.startswith("gpujax") else _origin(module, name, value)
            symbols.append(Symbol(module.__name__, name, value, f"{origin}.{name}"))
    return symbols


def _origin(module: ModuleType, name: str, value: Any) -> str:
    """The module in which a constant is assigned: the deepest one that has it under this name."""
    if not hasattr(module, "__path__"):
        return module.__name__
    for info in pkgutil.iter_modules(module.__path__):
        inner = importlib.import_module(f"{module.__name__}.{info.name}")
        if name in getattr(inner, "__all__", ()) and getattr(inner, name) is value:
            return inner.__name__
    return module.__name__
