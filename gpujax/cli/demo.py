"""`gpujax demo`: the whole of it on a real volatility surface."""

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser", "run"]

_EPILOG = """\
The data are the implied volatilities of options on the DAX on 5 July 2002, which come with the package. The demo looks
at the hardware, prices the surface, solves the prices for the volatilities again, computes Greeks, treats the same
options as a chain of quotes, draws smile, term structure and surface, and times this machine against plain NumPy.

A second run compiles nothing anew: compiled programs are kept (see `compilation_cache` in `gpujax detect`).
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="see it work on a real surface, in half a minute",
        description="Price a real volatility surface, draw it, and measure how fast this machine does it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, default=Path("output"), metavar="FOLDER",
                        help="where the pictures and tables are written (default: output)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables, and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit code."""
    from gpujax.cli.output import console, print_json, progress
    from gpujax.demo import report, run_demo

    with progress("pricing the DAX of 5 July 2002 ..."):
        results = run_demo(options.output)
    if options.json:
        print_json(results)
    else:
        report(results, console())
    return 0
