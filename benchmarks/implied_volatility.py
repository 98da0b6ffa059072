"""Implied volatility: gpujax against fast-vollib, pyvolr, QuantLib, a numba loop and NumPy with SciPy; speed and error.

    python benchmarks/implied_volatility.py [--quick] [--size N] [--rounds N] [--output FOLDER]

Rows: one million out-of-the-money options, chains of 10,000 and 100, each in float64 and float32, and one option from
    Python floats. Every contestant's error is taken against the volatility that the options were priced with, over
    the first options of each row: their prices come from mpmath, rounded once, so that the error is the solver's and
    not the price's.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.contestants import gather
from benchmarks.contestants.options import Options, out_of_the_money, reference_price
from benchmarks.harness.command import configure, parser, run_workloads
from benchmarks.harness.measure import Tolerance, Workload
from benchmarks.harness.oracle_table import exact_table

EXACT = 20_000  # options per row whose price is worked out by mpmath, and whose error counts

# Loose on purpose: a solver that stops at a millionth of a price still takes part; the errors stand beside the times.
TOLERANCES = {"float64": Tolerance(absolute=1e-4), "float32": Tolerance(absolute=1e-3)}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 where gpujax agrees with the known volatilities everywhere, else 1."""
    options = parser(__doc__, size=1_000_000, rounds=21).parse_args(argv)
    if options.quick:
        options.size, options.rounds = min(options.size, 200), min(options.rounds, 3)
    configure(quick=options.quick)
    sizes = sorted({options.size, *(n for n in (10_000, 100) if n < options.size and not options.quick)}, reverse=True)
    rows: list[Callable[[], Workload]] = [
        functools.partial(
            workload, size, dtype, largest=size == options.size, workers=0 if options.quick else os.cpu_count() or 1
        )
        for size in sizes
        for dtype in (np.float64, np.float32)
    ]
    return run_workloads("implied_volatility", options, [*rows, one_option], title="Implied volatility")


def workload(size: int, dtype: type, *, largest: bool, workers: int) -> Workload:
    """Implied volatilities of `size` out-of-the-money options in one dtype; `workers` processes work out exact prices.

    Only the largest row is related to the memory bandwidth: smaller ones stay in the caches.
    """
    inputs, name, exact = out_of_the_money(size, dtype), np.dtype(dtype).name, min(size, EXACT)
    market = ("spot", "strike", "expiry", "volatility", "rate", "is_call")
    table = exact_table("price", {k: getattr(inputs.first(exact), k) for k in market}, workers=workers)
    price = reference_price(inputs)["price"]
    price[:exact] = table["price"].high
    inputs = dataclasses.replace(inputs, price=price.astype(dtype))
    known = inputs.double().volatility

    def score(answer: Mapping[str, np.ndarray]) -> dict[str, float]:
        got = np.asarray(answer["volatility"], dtype=float)[:exact]
        error = np.abs(got / known[: got.size] - 1.0)
        error = np.where(np.isnan(error), 1.0, error)  # no answer counts as all wrong
        return {
            "error, worst": float(error.max()),
            "error, 99.9 %": float(np.percentile(error, 99.9)),
        }

    taking_part, absent = gather("implied_volatility", inputs)
    return Workload(
        name=f"Implied volatility, {size:,} out-of-the-money options, {name}",
        unit="an option",
        reference={"volatility": known},
        tolerance={"volatility": TOLERANCES[name]},
        contestants=taking_part,
        absent=absent,
        # Price, spot, strike, expiry, rate and the flag are read, the volatility is written.
        bytes_per_item=6 * np.dtype(dtype).itemsize + 1 if largest else None,
        score=score,
    )


def one_option() -> Workload:
    """One option from Python floats."""
    option: dict[str, Any] = {"spot": 100.0, "strike": 110.0, "expiry": 0.5, "rate": 0.01, "is_call": True}
    arrays = Options(**{k: np.array([v]) for k, v in {**option, "volatility": 0.2}.items()})
    option["price"] = reference_price(arrays)["price"].item()
    taking_part, absent = gather("implied_volatility_one", option)
    return Workload(
        name="Implied volatility, one option from Python floats",
        unit="a call",
        reference={"volatility": np.array([0.2])},
        tolerance={"volatility": TOLERANCES["float64"]},
        contestants=taking_part,
        absent=absent,
    )


if __name__ == "__main__":
    raise SystemExit(main())
