"""The `gpujax` command: parsing, errors as one line, exit codes.

Exit codes: 0 done; 1 the data, the device or a file did not allow it; 2 wrong usage; 130 interrupted.
"""

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import gpujax
from gpujax.cli import bench, chain, components, demo, detect
from gpujax.errors import GpujaxError

__all__ = ["main"]

_EPILOG = """\
examples:
  gpujax detect                                  what hardware is there, and what would be chosen for it, with reasons
  gpujax detect --write gpujax.yaml              keep that choice in a file to edit; it is read from the current folder
  gpujax chain quotes.csv --rate 0.05            implied volatilities, Greeks and forwards of an option chain
  gpujax chain page.json --spot 169.74 --output results/
  gpujax components black_scholes.price          how one component is called
  gpujax demo                                    the whole of it on a real surface, in half a minute

GPUJAX_LOG=debug shows what is detected, chosen and applied, and the traceback of an error.
GPUJAX_CONFIG=FILE names the configuration to use; without it ./gpujax.yaml is read if it is there.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Arguments:
        arguments: what comes after `gpujax`; `sys.argv[1:]` by default.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = options.run(options)
            sys.stdout.flush()  # here, where a reader that has left can still be answered
            return code
        except (GpujaxError, OSError, ImportError) as error:
            if isinstance(error, BrokenPipeError):
                return _reader_left()
            return _complain(error)
        except KeyboardInterrupt:
            print("gpujax: interrupted", file=sys.stderr)
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpujax",
        description="Prices, implied volatilities and Greeks of options, on whatever hardware is there.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gpujax {gpujax.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (detect, demo, chain, components, bench):
        command.add_parser(commands)
    return parser


def _complain(error: Exception) -> int:
    if os.environ.get("GPUJAX_LOG", "").strip().lower() == "debug":
        traceback.print_exc()
    # An OSError puts the number of the error first, which says nothing to a person.
    named = isinstance(error, OSError) and error.strerror is not None
    text = f"{error.filename}: {error.strerror}" if named and error.filename else str(error)  # pyright: ignore
    print(f"gpujax: error: {text}", file=sys.stderr)
    return 1


def _reader_left() -> int:
    """Whoever read our output (`| head`) has enough; nothing more may be written, not even by the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    print(f"gpujax: warning: {message}", file=sys.stderr)
