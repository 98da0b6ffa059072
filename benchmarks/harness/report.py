"""Show results as a terminal table, and keep them as JSON with every raw timing and as a PNG plot."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.table import Table

from benchmarks.harness.facts import Limits
from benchmarks.harness.measure import Outcome, Result

__all__ = [
    "comparisons",
    "headline",
    "print_absent",
    "print_result",
    "result_as_json",
    "write_atomically",
    "write_json",
    "write_plot",
]

# What a headline adds to the name of whom gpujax is compared with.
LABELS = {
    "fastest_peer": ", the fastest peer",
    "fastest_below_public_interface": ", the fastest below its public interface",
    "own_first_form": "",
}


def print_result(console: Console, result: Result, limits: Limits | None) -> None:
    """One table: a line per contestant, the fastest first, and the headline below."""
    peer = result.fastest(ours=False)
    scores = sorted({name for outcome in result.outcomes for name in outcome.score})
    unit, scale = _scale(result)
    table = Table(title=result.workload.name, title_justify="left", title_style="bold")
    table.add_column("contestant", overflow="fold")
    for heading in (f"median {unit}", "quartiles", "x fastest peer", "first call s", *scores, "note"):
        table.add_column(heading, justify="left" if heading == "note" else "right", overflow="fold")
    for outcome in sorted(result.outcomes, key=lambda o: o.median):
        low, middle, high = (scale * t for t in outcome.quartiles)
        times_faster = f"{peer.median / outcome.median:.2f}" if peer else "-"
        table.add_row(
            outcome.name,
            f"{middle:.4g}",
            f"{low:.4g} .. {high:.4g}",
            times_faster,
            f"{outcome.first_call:.2f}",
            *(f"{outcome.score[name]:.2e}" if name in outcome.score else "-" for name in scores),
            _note(outcome),
            style="bold green" if outcome.ours else ("dim" if outcome.disagreement else None),
        )
    for absent in result.workload.absent:
        table.add_row(absent.name, "absent", "", "", "", *("" for _ in scores), absent.reason, style="dim")
    console.print(table)
    for line in headline(result, limits):
        console.print(line, highlight=False)
    console.print()


def headline(result: Result, limits: Limits | None) -> list[str]:
    """What to remember of one workload: gpujax's forms against the fastest peer, and the share of the limits."""
    lines = []
    for name, comparison in comparisons(result).items():
        parts = []
        for label, to in comparison.items():
            low, high = to["quartiles_of_rounds"]
            parts.append(f"{to['ratio']:.2f}x ({low:.2f} .. {high:.2f}) the speed of {to['to']}{LABELS[label]}")
        lines.append(f"  {name}: " + ("; ".join(parts) or "no peer to compare with"))
    ours = result.fastest(ours=True)
    if ours is None:
        return ["  no form of gpujax gave the right answer"]
    for score in ours.score:
        best = min(
            (o for o in result.outcomes if not o.ours and score in o.score), key=lambda o: o.score[score], default=None
        )
        if best:
            lines.append(f"  {score}: {ours.score[score]:.2e}; the best peer's: {best.score[score]:.2e} ({best.name})")
    shares = ", ".join(
        f"{100 * share:.1f} % of the measured {name}" for name, share in _shares(result, ours, limits).items()
    )
    if shares:
        lines.append(f"  {ours.name} reaches {shares}")
    return lines


def comparisons(result: Result) -> dict[str, dict[str, dict[str, Any]]]:
    """How many times faster each form of gpujax is than others.

    These are the fastest peer, the fastest function below a peer's public interface where that is faster still, and
    gpujax's own first form (arrays on the device).
    """
    peer, strict = result.fastest(ours=False), result.fastest(ours=False, internal=True)
    forms = [outcome for outcome in result.outcomes if outcome.ours and not outcome.disagreement]
    opponents = {"fastest_peer": peer, "fastest_below_public_interface": None if strict is peer else strict}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for form in forms:
        against = {**opponents, "own_first_form": None if form is forms[0] else forms[0]}
        found[form.name] = {}
        for label, opponent in against.items():
            if opponent is not None:
                ratio, low, high = result.ratio(form, opponent)
                found[form.name][label] = {"to": opponent.name, "ratio": ratio, "quartiles_of_rounds": [low, high]}
    return found


def print_absent(console: Console, results: Sequence[Result]) -> None:
    """Name once more, at the end, every peer that did not take part."""
    absent = {a.name: a.reason for result in results for a in result.workload.absent}
    for name, reason in absent.items():
        console.print(f"absent: {name}: {reason}", style="yellow", highlight=False)


def result_as_json(result: Result, limits: Limits | None) -> dict[str, Any]:
    """Everything about one workload, raw timings included, as plain JSON types."""
    ours = result.fastest(ours=True)
    return {
        "workload": result.workload.name,
        "unit": result.workload.unit,
        "tolerance": {name: asdict(tolerance) for name, tolerance in result.workload.tolerance.items()},
        "bytes_per_item": result.workload.bytes_per_item,
        "operations_per_item": result.workload.operations_per_item,
        "headline": comparisons(result),
        "share_of_limits": _shares(result, ours, limits) if ours else {},
        "contestants": [
            {
                "name": outcome.name,
                "how": outcome.how,
                "ours": outcome.ours,
                "internal": outcome.internal,
                "items_per_call": outcome.items,
                "calls_per_sample": outcome.repeats,
                "first_call_seconds": outcome.first_call,
                "disagreement": outcome.disagreement,
                "score": dict(outcome.score),
                "quartiles_seconds_per_item": list(outcome.quartiles),
                "seconds_per_item": outcome.times,
            }
            for outcome in result.outcomes
        ],
        "absent": [asdict(absent) for absent in result.workload.absent],
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader never meets half a file."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def write_plot(path: Path, results: Sequence[Result], title: str) -> None:
    """One panel per workload: median time per item with quartiles, on a logarithmic axis."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    tallest = max(len(result.outcomes) for result in results)
    figure = Figure(figsize=(6.4 * columns, rows * (1.0 + 0.28 * tallest)), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for result, panel in zip(results, panels, strict=False):  # in this order: zip takes no panel too many
        unit, scale = _scale(result)
        ordered = sorted(result.outcomes, key=lambda o: o.median, reverse=True)
        for height, outcome in enumerate(ordered):
            low, middle, high = (scale * t for t in outcome.quartiles)
            colour = "#1b7837" if outcome.ours else ("#cccccc" if outcome.disagreement else "#5e81ac")
            panel.barh(height, middle, color=colour, xerr=[[middle - low], [high - middle]], ecolor="black", capsize=2)
            panel.text(
                high, height, f"  {middle:,.3g}" if middle < 1000 else f"  {middle:,.0f}", va="center", fontsize=7
            )
        panel.set_yticks(range(len(ordered)), [outcome.name for outcome in ordered], fontsize=7)
        panel.set_xscale("log")
        panel.margins(x=0.22)
        low, high = panel.get_xlim()
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
        panel.xaxis.set_major_formatter("{x:,g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(axis="x", labelsize=7)
        panel.set_xlabel(unit, fontsize=8)
        panel.set_title(result.workload.name, fontsize=9)
    for panel in panels:
        panel.set_visible(False)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o644)  # mkstemp makes it private; results are meant to be read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _scale(result: Result) -> tuple[str, float]:
    """Unit in which the row reads well: nanoseconds for items of a batch, microseconds for a call, milliseconds for an answer."""
    unit = result.workload.unit
    prefix, scale = {"a call": ("us", 1e6), "an answer": ("ms", 1e3)}.get(unit, ("ns", 1e9))
    return f"{prefix} {unit}", scale


def _note(outcome: Outcome) -> str:
    notes = []
    if outcome.disagreement:
        notes.append(f"disagrees: {outcome.disagreement}")
    if outcome.internal:
        notes.append("below the public interface")
    return "; ".join(notes)


def _shares(result: Result, outcome: Outcome, limits: Limits | None) -> dict[str, float]:
    """How much of the device's measured bandwidth and arithmetic one contestant's median uses."""
    if limits is None:
        return {}
    workload, shares = result.workload, {}
    if workload.bytes_per_item:
        shares["memory bandwidth"] = workload.bytes_per_item / outcome.median / limits.bytes_per_second
    if workload.operations_per_item:
        single = "float32" in workload.name
        most = limits.float32_operations_per_second if single else limits.float64_operations_per_second
        shares["multiply-add throughput"] = workload.operations_per_item / outcome.median / most
    return shares
