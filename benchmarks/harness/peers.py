"""Import a peer, or say why it cannot take part."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.harness.measure import Absent

__all__ = ["load"]


def load(name: str, *modules: str) -> tuple[Any, ...]:
    """The modules (`None` each if any is missing), and last the list of absences: empty, or one with its reason.

    A peer may be installed and yet not import, for want of a shared library or another version of something, which
    shows as one of several errors; each is a reason to go on without it.
    """
    try:
        return (*(importlib.import_module(module) for module in modules), [])
    except (ImportError, AttributeError, OSError, RuntimeError, TypeError) as error:
        return (*(None for _ in modules), [Absent(name, f"{type(error).__name__}: {error}")])
