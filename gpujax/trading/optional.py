"""Packages that only some functions need: imported when used, and named with the remedy where they are missing."""

import importlib
from types import ModuleType

__all__ = ["optional_module"]


def optional_module(name: str, purpose: str) -> ModuleType:
    """Import a module of the `trading` extra.

    Raises: ImportError that says what it was needed for and how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ImportError(f"{purpose} needs {package}: pip install 'gpujax[trading]'", name=package) from error
