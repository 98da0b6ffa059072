"""One file per library: how each computes prices, Greeks and implied volatilities in its best form.

Every module offers `price`, `greeks` and `implied_volatility`, each taking `Options` and returning contestants (or an
`Absent` with its reason), and
`price_one`, `greeks_one` and `implied_volatility_one` for a single option from Python floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.contestants import (
    fast_vollib_forms,
    gpujax_forms,
    numba_forms,
    numpy_forms,
    pyvolr_forms,
    quantlib_forms,
)
from benchmarks.contestants.options import Options
from benchmarks.harness.measure import Absent, Contestant

__all__ = ["gather"]

LIBRARIES = (gpujax_forms, numba_forms, numpy_forms, fast_vollib_forms, pyvolr_forms, quantlib_forms)


def gather(task: str, inputs: Options | Mapping[str, Any]) -> tuple[list[Contestant], list[Absent]]:
    """Ask every library for its forms of one task, such as "price" or "greeks_one"; absent ones say why."""
    found = [form for library in LIBRARIES for form in getattr(library, task)(inputs)]
    return [f for f in found if isinstance(f, Contestant)], [f for f in found if isinstance(f, Absent)]
