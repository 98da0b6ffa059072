"""Peak memory of a process that simulates ever more paths: it should not grow with them.

    python benchmarks/monte_carlo_memory.py [--quick] [--size N] [--output FOLDER]

Every row is a process of its own, whose peak resident memory is read at its end: the interpreter, JAX and the compiler are part
of it, and the first row, which simulates 1,000 paths, shows what these take by themselves.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.table import Table

from benchmarks.harness.children import run_python
from benchmarks.harness.command import parser, save, wide_console
from benchmarks.harness.facts import facts

LIMIT = 1 << 30
STEPS = 12


def main(argv: list[str] | None = None) -> int:
    """Run every row; returns 0 where all stay under the limit, else 1."""
    made = parser(__doc__, size=100_000_000)
    made.add_argument("--process", metavar="JSON", default=None, help="be one of the processes, as this says")
    options = made.parse_args(argv)
    if options.process:
        print(json.dumps(run_process(**json.loads(options.process))))
        return 0
    size = min(options.size, 20_000) if options.quick else options.size
    rows = [("plain", 1_000), ("plain", size // 100), ("plain", size), ("Sobol", size), ("reverse Greeks", size // 10)]
    table = Table(title=f"arithmetic Asian call, {STEPS} dates, float64", title_justify="left")
    for heading in ("run", "paths", "peak MiB", "seconds"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    found: list[dict[str, Any]] = []
    for form, paths in rows:
        one = run_python(__file__, "--process", json.dumps({"form": form, "paths": paths}), timeout=3600)
        found.append(one)
        table.add_row(form, f"{one['paths']:,}", f"{one['peak bytes'] / 2**20:.0f}", f"{one['seconds']:.1f}")
    console = wide_console()
    console.print(table)
    console.print(f"limit {LIMIT / 2**20:.0f} MiB", highlight=False)
    save(
        "monte_carlo_memory", options, {"benchmark": "monte_carlo_memory", "facts": facts(), "results": found}, console
    )
    return 0 if all(one["peak bytes"] < LIMIT for one in found) else 1


def run_process(form: str, paths: int) -> dict[str, Any]:
    """Inside a fresh process: simulate, and say how much memory that took."""
    import jax
    import numpy as np

    import gpujax as gj

    gj.configure({"pricing_dtype": "float64"})
    mc = gj.monte_carlo
    stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    payoff, run = mc.payoffs.asian(strike=100.0), {"key": 1, "times": np.arange(1, STEPS + 1) / STEPS}
    begin = time.perf_counter()
    if form == "Sobol":
        replicates = 16
        paths = replicates << (max(paths // replicates, 1).bit_length() - 1)
        found = mc.price(stock, payoff, paths=paths, method=mc.methods.Sobol(replicates=replicates), **run)
    elif form == "plain":
        found = mc.price(stock, payoff, paths=paths, **run)
    else:
        found = mc.greeks(stock, payoff, wrt=("spot", "volatility"), estimator="reverse", paths=paths, **run)
    jax.block_until_ready(found)
    seconds = time.perf_counter() - begin
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"form": form, "paths": paths, "peak bytes": peak, "seconds": seconds}


if __name__ == "__main__":
    raise SystemExit(main())
