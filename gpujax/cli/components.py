"""`gpujax components`: what gpujax can compute, and how each part is called."""

import argparse
from typing import Any

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  gpujax components                              everything there is, by category
  gpujax components black_scholes.greeks         arguments with units, valid values and defaults
  gpujax components black76.price --json         the same as a JSON Schema

In Python: gpujax.Adapter()["black_scholes.price"](spot=100.0, strike=105.0, expiry=0.25, volatility=0.2)
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "components",
        help="list what can be computed, and how it is called",
        description="List the components of gpujax; with a NAME, show how that one is called.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one component, such as black_scholes.price")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables, and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit code."""
    from gpujax.cli.output import console, print_json, table
    from gpujax.hub import COMPONENTS, categories, component

    chosen = [component(options.name)] if options.name else list(COMPONENTS.values())
    if options.json:
        rows = [_as_plain(row) for row in chosen]
        print_json(rows[0] if options.name else rows)
        return 0
    out = console()
    if options.name:
        _print_one(out, chosen[0])
        return 0
    for category, names in categories().items():
        out.print(category, style="bold underline")
        out.print(
            table(("name", "what it computes"), [(name, COMPONENTS[name].summary) for name in names], numbers_from=2)
        )
        out.print()
    out.print(f"{len(COMPONENTS)} components; `gpujax components NAME` shows how one is called")
    return 0


def _print_one(out: Any, row: Any) -> None:
    from gpujax.cli.output import table

    out.print(row.name, style="bold underline")
    out.print(f"{row.summary}\n")
    arguments = [
        (a.name, a.meaning, a.unit, a.valid, "required" if a.required else str(a.default)) for a in row.arguments
    ]
    out.print(table(("argument", "meaning", "unit", "valid", "default"), arguments, numbers_from=5))
    for option in row.options:
        out.print(f"\n{option.name}: {option.meaning}; {'some' if option.several else 'one'} of")
        out.print("  " + ", ".join(option.choices))
    accuracy = ", ".join(f"{t.relative:g} in {dtype}" for dtype, t in row.tolerance.items())
    out.print(f"\nrelative error on its example inputs at most {accuracy}")
    out.print(f"an accelerator pays from about {row.least_size:,} entries ({row.least_size_why})")


def _as_plain(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "category": row.category,
        "summary": row.summary,
        "signature": row.signature,
        "deterministic": row.deterministic,
        "tolerance": {dtype: tolerance._asdict() for dtype, tolerance in row.tolerance.items()},
        "least_size": row.least_size,
        "least_size_why": row.least_size_why,
        "schema": row.schema(),
    }
