"""Fresh Python processes: for what can be measured only once per process, such as an import or a first compilation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["run_python"]

ROOT = Path(__file__).resolve().parents[2]


def run_python(*arguments: str, environment: Mapping[str, str | None] | None = None, timeout: float = 600.0) -> Any:
    """Run Python with some arguments in a fresh process and return the JSON on the last line that it prints.

    Arguments:
        arguments: what follows `python`, such as ("-c", "import json; print(json.dumps(1))").
        environment: variables to set, or with None to unset, beside those of this process.
        timeout: seconds after which the process is given up.

    Raises: RuntimeError with what the process said on its error output if it failed.
    """
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    for name, value in (environment or {}).items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    command: Sequence[str] = (sys.executable, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=timeout, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
