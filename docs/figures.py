"""Put the figures of benchmarks/results/ into the tables of README and documentation.

    python docs/figures.py            after `gpujax bench black_scholes implied_volatility monte_carlo accuracy`

A table stands between `<!-- figures: NAME -->` and `<!-- end of figures -->`; the function `_NAME` below makes it from the
results. Tables whose results are not there are left as they are.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "filled", "main"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [ROOT / "README.md", ROOT / "docs" / "numerics.md", ROOT / "docs" / "benchmarks.md"]

_TABLE = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
_FORMS = ("gpujax, device arrays", "gpujax, to the result")
_NUMPY = "gpujax, NumPy, accelerate"

# Function -> what README calls it; of a group's functions, those that stand for the others.
_IN_SHORT = {
    ("normal distribution", "cdf"): "normal distribution function",
    ("normal distribution", "quantile"): "normal quantile",
    ("Black-Scholes", "price"): "Black-Scholes price",
    ("Black-Scholes", "delta"): "Black-Scholes delta",
    ("Black-Scholes", "vega"): "Black-Scholes vega",
    ("Bachelier", "price"): "Bachelier price",
    ("implied volatility, Black-Scholes", "volatility"): "implied volatility, lognormal",
    ("implied volatility, Bachelier", "volatility"): "implied volatility, normal",
}


def main() -> None:
    """Rewrite the pages, each whole or not at all."""
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = filled(old, RESULTS)
        if new != old:
            temporary = page.with_suffix(".md.tmp")
            temporary.write_text(new, encoding="utf-8")
            os.replace(temporary, page)
            print(f"written: {page.relative_to(ROOT)}")


def filled(text: str, results: Path) -> str:
    """A page's text with every table made anew from the results of a folder, as far as they are there."""

    def table(match: re.Match[str]) -> str:
        made = _MAKERS[match[2]](results)
        return match[0] if made is None else f"{match[1]}{made}\n{match[3]}"

    return _TABLE.sub(table, text)


def _read(results: Path, name: str) -> Any:
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    rule = [":---"] * left + ["---:"] * (len(header) - left)
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *rows))


def _machine(content: Mapping[str, Any]) -> str:
    machine, versions = content["facts"]["machine"], content["facts"]["versions"]
    return (
        f"\n{machine['processor']}, {machine['cores_available']} cores, {machine['jax_device'].upper()}; "
        f"JAX {versions['jax']}, Python {versions['python']}; {content['facts']['date'][:10]}."
    )


def _speed(results: Path) -> str | None:
    return _speed_of(results, lambda workload: "1,000,000" in workload)


def _speed_in_full(results: Path) -> str | None:
    return _speed_of(results, lambda workload: True)


def _speed_of(results: Path, wanted: Callable[[str], bool]) -> str | None:
    contents = [_read(results, name) for name in ("black_scholes", "implied_volatility")]
    there = [content for content in contents if content is not None]
    rows = [_speed_row(result) for content in there for result in content["results"] if wanted(result["workload"])]
    header = ("workload", "gpujax, arrays on the device", "gpujax, NumPy in and out", "fastest peer", "times faster")
    return f"{_markdown(header, rows)}\n{_machine(there[0])}" if there else None


def _speed_row(result: Mapping[str, Any]) -> tuple[str, ...]:
    unit, scale = ("us", 1e6) if result["unit"] == "a call" else ("ns", 1e9)
    medians = {name: scale * seconds for name, seconds in _medians(result).items()}
    form = next((name for name in _FORMS if name in medians), None)
    peer = result["headline"].get(form or "", {}).get("fastest_peer")
    return (
        result["workload"],
        f"{medians[form]:.3g} {unit}" if form else "disagrees",
        f"{medians[_NUMPY]:.3g} {unit}" if _NUMPY in medians else "",
        f"{medians[peer['to']]:.3g} {unit} ({peer['to']})" if peer else "none",
        _times(peer["ratio"]) if peer else "",
    )


def _simulation(results: Path) -> str | None:
    """Plain simulation, a step of a path."""
    content = _read(results, "monte_carlo")
    if content is None:
        return None
    rows = []
    for result in content["results"]:
        if result["unit"] == "a path-step":
            medians = _medians(result)
            peer = result["headline"]["gpujax"]["fastest_peer"]
            rows.append((
                result["workload"], f"{1e9 * medians['gpujax']:.3g} ns", f"{1e9 * medians[peer['to']]:.3g} ns ({peer['to']})",
                _times(peer["ratio"]),
            ))  # fmt: skip
    return f"{_markdown(('workload', 'gpujax', 'fastest peer', 'times faster'), rows)}\n{_machine(content)}"


def _to_an_error(results: Path) -> str | None:
    """The best of gpujax's methods, the time that a value to a standard error takes."""
    content = _read(results, "monte_carlo")
    if content is None:
        return None
    rows = []
    for result in content["results"]:
        if result["unit"] == "an answer":
            medians = _medians(result)
            method = min((name for name in medians if name.startswith("gpujax")), key=medians.__getitem__)
            peer = result["headline"][method]["fastest_peer"]
            rows.append((
                result["workload"], f"{1e3 * medians[method]:.3g} ms ({method.removeprefix('gpujax, ')})",
                f"{medians[peer['to']]:.3g} s ({peer['to']})", _times(peer["ratio"]),
            ))  # fmt: skip
    return f"{_markdown(('workload', 'gpujax', 'fastest peer', 'times faster'), rows)}\n{_machine(content)}"


def _times(ratio: float) -> str:
    return f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"


def _medians(result: Mapping[str, Any]) -> dict[str, float]:
    agreeing = [c for c in result["contestants"] if not c["disagreement"]]
    return {c["name"]: c["quartiles_seconds_per_item"][1] for c in agreeing}


def _accuracy(results: Path) -> str | None:
    content = _read(results, "accuracy")
    if content is None:
        return None
    worst: dict[tuple[str, str], dict[str, float]] = {}
    for row in content["rows"]:
        here = worst.setdefault((row["group"], row["function"]), {})
        here[row["dtype"]] = max(here.get(row["dtype"], 0.0), row["worst_by_inputs"])
    rows = [
        (name, *(f"{worst[key][dtype]:.2g}" if dtype in worst[key] else "" for dtype in ("float64", "float32")))
        for key, name in _IN_SHORT.items()
        if key in worst
    ]
    return _markdown(("function", "float64", "float32"), rows)


def _accuracy_in_full(results: Path) -> str | None:
    content = _read(results, "accuracy")
    if content is None:
        return None
    worst: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in content["rows"]:
        key = (row["group"], row["function"], row["dtype"])
        before = worst.get(key, row)
        relative = max(row["worst_relative"], before["worst_relative"])
        worst[key] = {**max(before, row, key=lambda r: r["worst_by_inputs"]), "worst_relative": relative}
    rows = [
        (f"{group}: {function}", dtype, row["region"], f"{row['worst_relative']:.1e}", f"{row['worst_by_inputs']:.2g}")
        for (group, function, dtype), row in worst.items()
    ]
    return f"{_markdown(('function', 'dtype', 'worst where', 'worst relative', 'by inputs'), rows, 3)}\n{_machine(content)}"


_MAKERS: dict[str, Callable[[Path], str | None]] = {
    "speed": _speed,
    "speed-in-full": _speed_in_full,
    "simulation": _simulation,
    "to-an-error": _to_an_error,
    "accuracy": _accuracy,
    "accuracy-in-full": _accuracy_in_full,
}

if __name__ == "__main__":
    main()
