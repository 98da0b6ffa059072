"""Run the notebooks and write them back with their outputs, without what belongs to one machine.

    python docs/notebooks.py [--timings] [NOTEBOOK ...]

Cells tagged `machine` show what depends on the machine, and keep their outputs with paths shortened; cells tagged `timing`
lose theirs, unless `--timings` says that this machine does nothing else. `tests/test_notebooks.py` compares the others.
"""

import argparse
import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

__all__ = ["NOTEBOOKS", "main", "run", "text_of", "tidied"]

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT = 300  # seconds for one cell


def main() -> None:
    """Run the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("notebook", nargs="*", type=Path, default=NOTEBOOKS)
    parser.add_argument("--timings", action="store_true", help="keep the outputs of cells that time something")
    options = parser.parse_args()
    for path in options.notebook:
        with tempfile.TemporaryDirectory() as folder:
            done = tidied(run(path, Path(folder)), Path(folder), timings=options.timings)
        temporary = path.with_suffix(".ipynb.tmp")
        temporary.write_text(nbformat.writes(done) + "\n", encoding="utf-8")
        os.replace(temporary, path)
        print(f"written: {path} ({path.stat().st_size:,} bytes)")


def run(path: Path, folder: Path) -> Any:
    """The notebook with the outputs of a run in an empty folder, in this Python and with the automatic configuration."""
    notebook = nbformat.read(path, as_version=4)
    os.environ.pop("GPUJAX_CONFIG", None)
    client = NotebookClient(
        notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    manager = client.create_kernel_manager()
    # This Python, whatever kernel is registered under the name.
    manager.kernel_spec.argv[0] = sys.executable
    return client.execute()


def tidied(notebook: Any, folder: Path, *, timings: bool = False) -> Any:
    """The notebook without times of execution, with paths shortened, and without timings unless they are wanted."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            if "timing" in cell.metadata.get("tags", ()) and not timings:
                cell.outputs, cell.execution_count = [], None
            for output in cell.outputs:
                _shorten(output, folder)
                if "image/png" in output.get("data", {}):
                    output["data"]["image/png"] = _with_a_palette(output["data"]["image/png"])
    return notebook


def text_of(cell: Any) -> str:
    """What a cell has printed and returned, as text."""
    parts = []
    for output in cell.get("outputs", ()):
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        parts.append("" if "image/png" in output.get("data", {}) else "".join(text))
    return "".join(parts)


def _shorten(output: Any, folder: Path) -> None:
    output.get("metadata", {}).clear()
    replaced = ((str(folder), "."), (str(ROOT), "."), (str(Path.home()), "~"), (tempfile.gettempdir(), "/tmp"))
    for holder, key in ((output, "text"), (output.get("data", {}), "text/plain")):
        if key in holder:
            text = "".join(holder[key])
            for long, short in replaced:
                text = text.replace(long, short)
            holder[key] = re.sub(r" at 0x[0-9a-f]+| \(kernel [^)]*\)|, in docker", "", text)


def _with_a_palette(encoded: str) -> str:
    """The same PNG with 256 colours, which takes a third of the space."""
    out = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


if __name__ == "__main__":
    main()
