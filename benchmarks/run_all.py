"""Run every benchmark, one after the other, each in a process of its own.

python benchmarks/run_all.py [--quick] [--output FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.harness.command import parser

SCRIPTS = ("accuracy", "black_scholes", "implied_volatility", "accelerate", "start", "devices")


def main(argv: list[str] | None = None) -> int:
    """Run all scripts; returns the number of those that failed."""
    options = parser(__doc__).parse_args(argv)
    passed_on = ["--quick"] * options.quick + (["--output", str(options.output)] if options.output else [])
    failed = []
    for script in SCRIPTS:
        # A process each: what one measures must not depend on threads, memory and settings that another leaves.
        print(f"=== {script}", flush=True)
        done = subprocess.run([sys.executable, str(Path(__file__).with_name(f"{script}.py")), *passed_on], check=False)
        if done.returncode:
            failed.append(script)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    raise SystemExit(main())
