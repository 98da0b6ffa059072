"""Pictures into files, whole or not at all."""

import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["save_picture"]


def save_picture(figure: Any, path: Path) -> None:
    """Write a Matplotlib figure as PNG: into a temporary file beside `path`, then moved over it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            figure.savefig(file, format="png")
        os.chmod(temporary, 0o644)  # mkstemp makes it private; pictures are meant to be looked at
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
