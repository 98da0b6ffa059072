"""The command line and the flow that the speed benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console

from benchmarks.harness.facts import facts, measure_limits
from benchmarks.harness.measure import Result, Workload, measure
from benchmarks.harness.report import print_absent, print_result, result_as_json, write_json, write_plot

__all__ = ["RESULTS", "configure", "folder_of", "parser", "positive", "run_workloads", "save", "wide_console"]

RESULTS = Path(__file__).resolve().parents[1] / "results"


def parser(documentation: str | None, *, size: int | None = None, rounds: int | None = None) -> argparse.ArgumentParser:
    """The options that every script takes, under the first line of its documentation.

    `size` and `rounds` are the defaults of those options, which a script that has no use for them leaves out.
    """
    made = argparse.ArgumentParser(
        description=(documentation or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; writes no files unless "
                      "--output is given, because its figures mean nothing")  # fmt: skip
    if size is not None:
        made.add_argument("--size", type=positive, default=size, help="items in the largest row")
    if rounds is not None:
        made.add_argument("--rounds", type=positive, default=rounds, help="how often every contestant is timed")
    made.add_argument(
        "--output", type=Path, default=None, help=f"folder for the JSON and the plot (default: {RESULTS})"
    )
    return made


def positive(text: str) -> int:
    """An argparse type: a whole number of at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def configure(*, quick: bool = False) -> None:
    """Put gpujax's configuration into force for a measurement, as the first thing that a script does.

    64-bit mode is on whatever the device (float32 rows pass float32 arrays). The compilation cache is off, so that
    first calls show what compiling costs, except on a quick run.
    """
    import gpujax

    gpujax.configure({"pricing_dtype": "float64", **({} if quick else {"compilation_cache": None})})


def run_workloads(
    name: str, options: argparse.Namespace, workloads: Iterable[Callable[[], Workload]], *, title: str
) -> int:
    """Measure the workloads one after the other, print each when it is done, and write `name`.json and `name`.png.

    Returns: 0, or 1 where no form of gpujax gave the right answer to some workload.
    """
    console = wide_console()
    limits = measure_limits(quick=options.quick)
    about = facts(limits)
    machine = about["machine"]
    double, single = limits.float64_operations_per_second / 1e9, limits.float32_operations_per_second / 1e9
    console.print(
        f"{title}\n{machine['processor']}, {machine['cores_available']} cores; JAX on {machine['jax_device']}; "
        f"measured: {limits.bytes_per_second / 1e9:.1f} GB/s, {double:.0f} GFLOP/s float64, {single:.0f} float32\n",
        highlight=False,
    )
    results: list[Result] = []
    for make in workloads:
        result = measure(make(), rounds=options.rounds, least_sample=0.0005 if options.quick else 0.01)
        print_result(console, result, limits)
        results.append(result)
    print_absent(console, results)
    written = [result_as_json(result, limits) for result in results]
    save(name, options, {"benchmark": name, "facts": about, "results": written}, console)
    folder = folder_of(options)
    if folder is not None:
        write_plot(folder / f"{name}.png", results, f"{title}\n{machine['processor']}, {about['date']}")
    wrong = [o for result in results for o in result.outcomes if o.ours and o.disagreement]
    for outcome in wrong:
        console.print(f"WRONG: {outcome.name}: {outcome.disagreement}", style="bold red", highlight=False)
    return 1 if wrong else 0


def folder_of(options: argparse.Namespace) -> Path | None:
    """Where files go: where asked, else beside the scripts; nowhere on a quick run."""
    return options.output or (None if options.quick else RESULTS)


def save(name: str, options: argparse.Namespace, content: object, console: Console) -> None:
    """Write `name`.json where files go, and say so."""
    folder = folder_of(options)
    if folder is not None:
        write_json(folder / f"{name}.json", content)
        console.print(f"written: {folder / name}.json", highlight=False)


def wide_console() -> Console:
    """A console that does not squeeze the tables when the output goes to a file or a log."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
