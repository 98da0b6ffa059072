"""`gpujax detect`: what hardware is there, what is chosen for it and why; starts no backend unless asked to measure."""

import argparse
from pathlib import Path
from typing import Any

from gpujax.errors import InputError

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  gpujax detect                          hardware, and the choice for it
  gpujax detect --write                  write the choice to ./gpujax.yaml, which every later run reads; edit any line
                                         of it, delete a line to have that field chosen automatically again
  gpujax detect --write profiles/a.yaml  another file; use it with GPUJAX_CONFIG=profiles/a.yaml
  gpujax detect --measure                measure the device (a few seconds): that overrules published tables
  gpujax detect --json | jq .configuration.platform
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "detect",
        help="look at the hardware and choose a configuration for it",
        description="Look at the hardware without starting JAX, and choose a configuration for it, with a reason for "
        "every field.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", nargs="?", const="gpujax.yaml", metavar="FILE", type=Path,
                        help="write the configuration as YAML (default: gpujax.yaml)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="with --write, replace a file that says something else")
    parser.add_argument("--measure", action="store_true", help="measure how fast the device is, and keep the result")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables, and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit code."""
    from gpujax.cli.output import console, facts_table, print_json, progress
    from gpujax.device import detect, device_card
    from gpujax.device.card import stored_card
    from gpujax.device.choose import choose_around

    hardware = detect()
    if options.measure:
        with progress("measuring the device ..."):
            card = device_card(fresh=True)
    else:
        card = stored_card(hardware, choose_around({}, hardware).platform)
    config = choose_around({}, hardware)
    if options.write is not None:
        _write(config.to_yaml(), options.write, force=options.force)
    if options.json:
        found: dict[str, Any] = {"hardware": hardware.to_dict(), "configuration": config.to_dict()}
        found["card"] = None if card is None else card.to_dict()
        found["written"] = None if options.write is None else str(options.write)
        print_json(found)
        return 0
    out = console()
    out.print("Hardware", style="bold underline")
    out.print(facts_table(str(hardware)))
    if card is not None:
        out.print("\nMeasured", style="bold underline")
        out.print(facts_table(str(card)))
    out.print("\nConfiguration", style="bold underline")
    out.print(_choices(config))
    if options.write is not None:
        out.print(f"\nwritten: {options.write}")
    elif Path("gpujax.yaml").is_file():
        out.print("\n./gpujax.yaml is there and will be used where it names a field; this is the choice without it.")
    return 0


def _choices(config: Any) -> Any:
    from rich.table import Table

    fields = config.to_dict()
    why = fields.pop("why")
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("field", no_wrap=True, style="bold")
    made.add_column("value")
    made.add_column("reason")
    for name, value in fields.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else shown
        made.add_row(name, str(shown).lower() if isinstance(value, bool) or value is None else str(shown), why[name])
    return made


def _write(text: str, path: Path, *, force: bool) -> None:
    """Write the file whole or not at all; a file that says something else is somebody's work."""
    from gpujax.device.config_file import write_atomically

    if path.exists() and not force and path.read_text(encoding="utf-8", errors="replace") != text:
        raise InputError(f"{path} is there and says something else; --force replaces it, --write FILE names another")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
