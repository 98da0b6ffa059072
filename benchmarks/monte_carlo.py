"""Monte Carlo: gpujax against numba loops, plain JAX, NumPy, PyTorch, QuantLib, quantkit-rs and stochastic-rs.

    python benchmarks/monte_carlo.py [--quick] [--size N] [--rounds N] [--output FOLDER]

Rows: an arithmetic Asian call (200,000 paths of 50 steps), a call on a basket of five correlated assets (100,000 x 12), a
    Heston call (100,000 x 50) and five American puts by regression (100,000 x 50 each), in float64 and float32.

These are plain Monte Carlo: no antithetic paths, no control variate, no quasi-random points, a path a payoff. A contestant agrees
where its estimate is within four and a half of its own standard errors of a value found by quadrature, and where that
standard error is what the contract's variance makes it.

Then the time to a standard error, that of 2,500,000 plain paths (100,000 for the American puts) at full size: gpujax by Sobol
points, control variates and antithetic paths against the fastest peers by as many plain paths as it takes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path

if not __package__:
    # Run as a file: make `benchmarks` importable, and keep this folder's own names from shadowing installed modules.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.contestants import (
    monte_carlo_gpujax,
    monte_carlo_jax,
    monte_carlo_numba,
    monte_carlo_numpy,
    monte_carlo_quantkit,
    monte_carlo_quantlib,
    monte_carlo_reduced,
    monte_carlo_stochastic_rs,
    monte_carlo_torch,
)
from benchmarks.contestants.monte_carlo_contracts import (
    AmericanPut,
    AsianCall,
    BasketCall,
    Contract,
    HestonCall,
    reference,
    tolerances,
)
from benchmarks.harness.command import configure, parser, run_workloads
from benchmarks.harness.measure import Absent, Contestant, Workload

LIBRARIES = (
    monte_carlo_gpujax,
    monte_carlo_numba,
    monte_carlo_jax,
    monte_carlo_numpy,
    monte_carlo_torch,
    monte_carlo_quantlib,
    monte_carlo_quantkit,
    monte_carlo_stochastic_rs,
)

# Those that would end within the hour.
FASTEST = (monte_carlo_numba, monte_carlo_jax, monte_carlo_stochastic_rs)

TITLES = {
    "asian": "Arithmetic Asian call",
    "basket": "Call on a basket of five",
    "heston": "Heston call",
    "american": "American puts by regression",
}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 where gpujax agrees with the reference everywhere, else 1."""
    options = parser(__doc__, size=200_000, rounds=11).parse_args(argv)
    if options.quick:
        options.size, options.rounds = min(options.size, 4_000), min(options.rounds, 2)
    configure(quick=options.quick)
    contracts: dict[str, Contract] = {
        "asian": AsianCall(paths=options.size),
        "basket": BasketCall(paths=max(options.size // 2, 2)),
        "heston": HestonCall(paths=max(options.size // 2, 2)),
        "american": AmericanPut(paths=max(options.size // 2, 2)),
    }
    rows: list[Callable[[], Workload]] = [
        functools.partial(workload, task, contract, dtype)
        for task, contract in contracts.items()
        for dtype in ("float64", "float32")
    ]
    rows += [
        functools.partial(to_error, task, contract, contract.paths if task == "american" else options.size * 25 // 2)
        for task, contract in contracts.items()
    ]
    if options.quick:
        rows = [rows[0], rows[3], rows[4], rows[7], rows[8], rows[11]]  # each task once, each dtype twice, two targets
    return run_workloads("monte_carlo", options, rows, title="Monte Carlo")


def workload(task: str, contract: Contract, dtype: str) -> Workload:
    """One contract in one dtype."""
    found = [form for library in LIBRARIES for form in getattr(library, task)(contract, dtype)]
    return Workload(
        name=f"{TITLES[task]}, {contract.paths:,} paths x {contract.steps} steps, {dtype}",
        unit="a path-step",
        reference=reference(contract),
        tolerance=tolerances(contract),
        contestants=[form for form in found if isinstance(form, Contestant)],
        absent=[form for form in found if isinstance(form, Absent)],
    )


def to_error(task: str, contract: Contract, paths: int) -> Workload:
    """The time to the standard error of so many plain paths, in float64."""
    plain = dataclasses.replace(contract, paths=paths)
    exact = reference(plain)
    target = exact["deviation"] / math.sqrt(paths)
    peers = [
        form
        for library in (*FASTEST, *((monte_carlo_numpy,) if task == "american" else ()))
        for form in getattr(library, task)(plain, "float64")
    ]
    ours = monte_carlo_reduced.to_error(plain, "float64", target)
    return Workload(
        name=f"{TITLES[task]}, {contract.steps} steps, to a standard error of {target.max():.2g}, float64",
        unit="an answer",
        reference={"price": exact["price"]},
        tolerance={"price": tolerances(plain)["price"]},
        contestants=[*ours, *(dataclasses.replace(form, items=1) for form in peers if isinstance(form, Contestant))],
        absent=[form for form in peers if isinstance(form, Absent)],
    )


if __name__ == "__main__":
    raise SystemExit(main())
