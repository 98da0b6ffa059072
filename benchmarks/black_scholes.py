"""Black-Scholes prices and Greeks: gpujax against fast-vollib, pyvolr, QuantLib, numba loops and NumPy with SciPy.

    python benchmarks/black_scholes.py [--quick] [--size N] [--rounds N] [--output FOLDER]

Rows: price, and price with five Greeks (delta, gamma, vega, theta, rho), for one million options, chains of 10,000
    and 100, each in float64 and float32, and one option from Python floats.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a file: make `benchmarks` importable, and keep this folder's own names from shadowing installed modules.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

import gpujax as gj
from benchmarks.contestants import gather, gpujax_forms
from benchmarks.contestants.options import GREEKS, Options, chain, reference_greeks, reference_price
from benchmarks.harness.command import configure, parser, run_workloads
from benchmarks.harness.measure import Tolerance, Workload

# Textbook formulas lose the digits that call and put share with their parts (spot and strike of about 100), so
# answers are compared in currency; the accuracy of gpujax itself is the subject of accuracy.py.
TOLERANCES = {
    "float64": {name: Tolerance(relative=1e-9, absolute=1e-9) for name in ("price", *GREEKS)},
    "float32": {
        "price": Tolerance(relative=1e-4, absolute=1e-3),
        "delta": Tolerance(absolute=1e-4),
        "gamma": Tolerance(relative=1e-3, absolute=1e-5),
        "vega": Tolerance(relative=1e-3, absolute=1e-3),
        "theta": Tolerance(relative=1e-3, absolute=1e-2),
        "rho": Tolerance(relative=1e-4, absolute=1e-2),
    },
}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 where gpujax agrees with the reference everywhere, else 1."""
    options = parser(__doc__, size=1_000_000, rounds=21).parse_args(argv)
    if options.quick:
        options.size, options.rounds = min(options.size, 2_000), min(options.rounds, 3)
    configure(quick=options.quick)
    sizes = sorted({options.size, *(n for n in (10_000, 100) if n < options.size and not options.quick)}, reverse=True)
    rows: list[Callable[[], Workload]] = [
        functools.partial(workload, what, size, dtype, largest=size == options.size)
        for size in sizes
        for dtype in (np.float64, np.float32)
        for what in ("price", "greeks")
    ]
    rows += [functools.partial(one_option, what) for what in ("price", "greeks")]
    if options.quick:
        rows = [rows[0], rows[3], rows[4]]  # each task and each dtype once
    return run_workloads("black_scholes", options, rows, title="Black-Scholes prices and Greeks")


def workload(what: str, size: int, dtype: type, *, largest: bool = True) -> Workload:
    """Price or Greeks of `size` options in one dtype.

    Arguments:
        largest: whether to relate the time to the limits of the hardware; smaller chains stay in the caches, where the
            measured bandwidth says nothing.
    """
    inputs, name = chain(size, dtype), np.dtype(dtype).name
    reference = reference_price(inputs) if what == "price" else reference_greeks(inputs)
    taking_part, absent = gather(what, inputs)
    function = gj.black_scholes.price if what == "price" else functools.partial(
        gj.black_scholes.greeks, which=("price", *GREEKS)
    )  # fmt: skip
    width = np.dtype(dtype).itemsize
    return Workload(
        name=f"{title(what)}, {size:,} options, {name}",
        unit="an option",
        reference=reference,
        tolerance={key: TOLERANCES[name][key] for key in reference},
        contestants=taking_part,
        absent=absent,
        # Five inputs and the flag are read, one price or six numbers are written.
        bytes_per_item=5 * width + 1 + len(reference) * width if largest else None,
        operations_per_item=gpujax_forms.operations(function, inputs) if largest else None,
    )


def one_option(what: str) -> Workload:
    """One option from Python floats, as a strategy asks for it in the middle of a loop."""
    option: dict[str, Any] = {
        "spot": 100.0,
        "strike": 110.0,
        "expiry": 0.5,
        "volatility": 0.2,
        "rate": 0.01,
        "is_call": True,
    }
    inputs = Options(**{k: np.array([v]) for k, v in option.items()})
    reference = reference_price(inputs) if what == "price" else reference_greeks(inputs)
    taking_part, absent = gather(f"{what}_one", option)
    return Workload(
        name=f"{title(what)}, one option from Python floats",
        unit="a call",
        reference=reference,
        tolerance={key: TOLERANCES["float64"][key] for key in reference},
        contestants=taking_part,
        absent=absent,
    )


def title(what: str) -> str:
    """The task in words."""
    return "Price" if what == "price" else "Price and five Greeks"


if __name__ == "__main__":
    raise SystemExit(main())
