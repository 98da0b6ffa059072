"""Start-up: what `import gpujax` costs beside `import jax`, and what a program's second start saves through the cache.

    python benchmarks/start.py [--quick] [--rounds N] [--output FOLDER]

Imports are timed in fresh processes, interleaved; each also says whether a JAX backend had started by then. The
program is one that prices a chain, its Greeks and its implied volatilities in float64 and float32: it starts with an
empty compilation cache, then again with the cache that the first start has filled, and counts the programs that XLA
had to compile.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from rich.table import Table

from benchmarks.harness.children import run_python
from benchmarks.harness.command import folder_of, parser, save, wide_console
from benchmarks.harness.facts import facts
from benchmarks.harness.report import write_atomically

IMPORTS = {
    "import jax": "import jax",
    "import gpujax": "import gpujax",
    # Names resolve on first use, so that the import alone says little.
    "import gpujax, ready to price": "import gpujax\ngpujax.configure, gpujax.accelerate, gpujax.black_scholes.price",
    "import gpujax, every name": "import gpujax\nfor name in gpujax.__all__: getattr(gpujax, name)",
}

# `backends_are_initialized` is JAX's only way to ask without starting one.
TIMED_IMPORT = """
import json, sys, time
start = time.perf_counter()
exec({code!r})
seconds = time.perf_counter() - start
started = "jax" in sys.modules and __import__("jax._src.xla_bridge", fromlist=["_"]).backends_are_initialized()
print(json.dumps({{"seconds": seconds, "backend_started": started}}))
"""


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 1 where an import starts a backend or a second start compiles anew, else 0."""
    made = parser(__doc__, rounds=15)
    made.add_argument("--program", metavar="JSON", default=None, help="be the measured program, as this says")
    options = made.parse_args(argv)
    if options.program:
        print(json.dumps(program(**json.loads(options.program))))
        return 0
    if options.quick:
        options.rounds = 1
    console = wide_console()
    imports = time_imports(options.rounds, warm_up=not options.quick)
    dtypes = ("float64",) if options.quick else ("float64", "float32")
    starts = time_starts(max(1, options.rounds // 3), dtypes)

    reference = statistics.median(imports["import jax"]["seconds"])
    table = Table(title="Imports, fresh processes", title_justify="left", title_style="bold")
    for heading in ("statement", "median ms", "quartiles", "x import jax", "backend started"):
        table.add_column(heading, justify="left" if heading == "statement" else "right")
    for name, found in imports.items():
        low, middle, high = np.percentile(found["seconds"], [25, 50, 75])
        table.add_row(name, f"{1e3 * middle:.0f}", f"{1e3 * low:.0f} .. {1e3 * high:.0f}", f"{middle / reference:.3f}",
                      "YES" if found["backend_started"] else "no")  # fmt: skip
    console.print(table)

    table = Table(title="First and second start of a program", title_justify="left", title_style="bold")
    for heading in ("start", "median s", "programs asked for", "compiled", "read from the cache"):
        table.add_column(heading, justify="left" if heading == "start" else "right")
    for name, runs in starts.items():
        median = statistics.median(run["seconds"] for run in runs)
        table.add_row(name, f"{median:.2f}", *(str(runs[0][key]) for key in ("requests", "compiled", "hits")))
    console.print(table)

    ratios = {name: statistics.median(found["seconds"]) / reference for name, found in imports.items()}
    content = {"benchmark": "start", "facts": facts(), "imports": imports, "import_ratios": ratios, "starts": starts}
    save("start", options, content, console)
    folder = folder_of(options)
    if folder is not None:
        _plot(folder / "start.png", imports, starts)
    anew = sum(run["compiled"] for run in starts["second"])
    started = any(found["backend_started"] for found in imports.values())
    if anew or started:
        console.print("WRONG: " + ("an import starts a backend" if started else f"{anew} programs compiled anew"),
                      style="bold red")  # fmt: skip
    return 1 if anew or started else 0


def time_imports(rounds: int, *, warm_up: bool) -> dict[str, dict[str, Any]]:
    """Seconds of each import in each round, and whether any of them started a backend.

    `warm_up`: import everything once before, so that byte code and file cache are there.
    """
    found: dict[str, dict[str, Any]] = {name: {"seconds": [], "backend_started": False} for name in IMPORTS}
    for number in range(-1 if warm_up else 0, rounds):
        for name, code in IMPORTS.items():
            once = run_python("-c", TIMED_IMPORT.format(code=code))
            found[name]["backend_started"] |= once["backend_started"]
            if number >= 0:
                found[name]["seconds"].append(once["seconds"])
    return found


def time_starts(rounds: int, dtypes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """A first start with an empty cache and a second one with what the first has left there, in each round."""
    found: dict[str, list[dict[str, Any]]] = {"first": [], "second": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            order = json.dumps({"cache": str(Path(folder) / "cache"), "dtypes": dtypes})
            for runs in found.values():
                start = time.perf_counter()
                counts = run_python(str(Path(__file__).resolve()), "--program", order)
                runs.append({**counts, "seconds": time.perf_counter() - start})
    return found


def program(cache: str, dtypes: Sequence[str]) -> dict[str, int]:
    """Price a chain with a given compilation cache, and count what JAX asked XLA for.

    `requests`: programs that were needed; `hits`: those that the persistent cache had; `compiled`: the rest.
    """
    import jax

    import gpujax as gj

    counts: Counter[str] = Counter()
    jax.monitoring.register_event_listener(lambda event, **_: counts.update([event]))
    jax.monitoring.register_event_duration_secs_listener(lambda event, duration_secs, **_: counts.update([event]))
    gj.configure({"compilation_cache": cache, "pricing_dtype": "float64"})
    for dtype in (np.dtype(name).type for name in dtypes):
        strike = np.linspace(80.0, 120.0, 41).astype(dtype)
        spot, expiry, volatility, rate = (dtype(x) for x in (100.0, 0.25, 0.2, 0.03))
        market = {"spot": spot, "strike": strike, "expiry": expiry, "rate": rate}
        price = gj.black_scholes.price(**market, volatility=volatility)
        gj.black_scholes.greeks(**market, volatility=volatility, which=("delta", "gamma", "vega", "theta", "rho"))
        np.asarray(gj.implied_volatility(price=price, **market))
    requests = counts["/jax/core/compile/backend_compile_duration"]
    hits = counts["/jax/compilation_cache/cache_hits"]
    return {"requests": requests, "hits": hits, "compiled": requests - hits}


def _plot(path: Path, imports: dict[str, dict[str, Any]], starts: dict[str, list[dict[str, Any]]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.boxplot([[1e3 * s for s in found["seconds"]] for found in imports.values()], orientation="horizontal",
                 tick_labels=list(imports))  # fmt: skip
    left.set_xlabel("ms")
    left.set_title("imports", fontsize=9)
    right.bar(
        list(starts), [statistics.median(run["seconds"] for run in runs) for runs in starts.values()], color="#1b7837"
    )
    right.set_ylabel("s")
    right.set_title("start of a program", fontsize=9)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))


if __name__ == "__main__":
    raise SystemExit(main())
