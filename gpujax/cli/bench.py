"""`gpujax bench`: the benchmark scripts of a checkout, each in a process of its own."""

import argparse
import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpujax.errors import InputError

__all__ = ["add_parser", "find_scripts", "run"]

_EPILOG = """\
examples:
  gpujax bench --list                            which benchmarks there are
  gpujax bench black_scholes                     one of them; results go to benchmarks/results/
  gpujax bench --quick                           all, at tiny sizes: shows that they run, their figures mean nothing
  gpujax bench black_scholes --output out/ --pass-on --size 100000 --rounds 5

Benchmarks measure gpujax beside its peers in one run; the peers come with pip install 'gpujax[bench]', and one that is
missing is listed as absent. They live in the benchmarks/ folder of a checkout of the repository and are not part of the
installed package.
"""

# What belongs to the folder but is not a benchmark itself.
_NOT_BENCHMARKS = ("__init__", "run_all")


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="run the benchmarks of a checkout",
        description="Run the benchmark scripts of a checkout: all of them, or those named.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that they run")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where results are written")
    parser.add_argument("--json", action="store_true", help="print JSON; what the scripts print goes to standard error")
    parser.add_argument("--pass-on", nargs=argparse.REMAINDER, default=[], metavar="...",
                        help="hand everything after this to the scripts")  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit code."""
    from gpujax.cli.output import console, print_json, table

    scripts = find_scripts()
    unknown = [name for name in options.name if name not in scripts]
    if unknown:
        raise InputError(f"no benchmark {unknown[0]!r}; there are {', '.join(scripts)}")
    chosen = {name: scripts[name] for name in options.name} or scripts
    if options.list:
        listed = [{"name": name, "what": _first_line(path), "path": str(path)} for name, path in chosen.items()]
        if options.json:
            print_json(listed)
        else:
            console().print(
                table(("name", "what it measures"), [(e["name"], e["what"]) for e in listed], numbers_from=2)
            )
        return 0
    passed_on = ["--quick"] if options.quick else []
    passed_on += ["--output", str(options.output)] if options.output else []
    passed_on += options.pass_on
    done = []
    for name, path in chosen.items():
        # A process each: what one measures must not depend on threads, memory and settings that another leaves.
        print(f"=== {name}", file=sys.stderr, flush=True)
        ended = subprocess.run(
            [sys.executable, str(path), *passed_on],
            check=False,
            stdout=2 if options.json else None,  # 2: standard error
        )
        done.append({"name": name, "exit_code": ended.returncode})
    if options.json:
        print_json(done)
    failed = [entry["name"] for entry in done if entry["exit_code"]]
    if failed:
        print(f"gpujax: error: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def find_scripts(root: Path | None = None) -> dict[str, Path]:
    """Name -> path of the benchmarks in the checkout that this package runs from.

    Arguments:
        root: the folder that holds `gpujax/`; that of the running package by default.

    Raises: InputError that says where they are, if this is no checkout.
    """
    root = Path(__file__).resolve().parents[2] if root is None else root
    folder = root / "benchmarks"
    if not (root / "pyproject.toml").is_file() or not folder.is_dir():
        raise InputError(
            f"no benchmarks at {folder}: they are in the repository, not in the installed package. In a checkout: "
            "pip install -e '.[bench]', then gpujax bench"
        )
    return {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem not in _NOT_BENCHMARKS}


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
