"""The notebooks run, print what their committed outputs show, draw their plots, and say nothing about one machine."""

import re
import sys
from pathlib import Path

import jax
import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import notebooks

# Figures of one machine; their text is not compared.
VARYING = {"machine", "timing"}


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", ()))


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


@pytest.fixture(params=notebooks.NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_there_are_notebooks():
    assert [path.name for path in notebooks.NOTEBOOKS][:1] == ["01_option_chain.ipynb"]


@pytest.mark.integration
def test_notebooks_run_and_print_what_they_show(path, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("GPUJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
    monkeypatch.setenv("PYTHONPATH", str(notebooks.ROOT))
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # one device, as most readers have
    shown = code_cells(nbformat.read(path, as_version=4))
    done = notebooks.run(path, tmp_path)  # raises CellExecutionError where a cell fails
    unexpected = [output for cell in code_cells(done) for output in cell.outputs if output.get("name") == "stderr"]
    assert not unexpected, unexpected
    ran = code_cells(notebooks.tidied(done, tmp_path, timings=True))
    for number, (before, now) in enumerate(zip(shown, ran, strict=True)):
        if "timing" not in tags(before):
            assert pictures(before) == pictures(now), (
                f"code cell {number}: another number of plots; run docs/notebooks.py"
            )
        if not tags(before) & VARYING:
            assert notebooks.text_of(before) == notebooks.text_of(now), f"code cell {number}; run docs/notebooks.py"
    assert sum(map(pictures, ran)) >= 6
    assert any("timing" in tags(cell) and pictures(cell) for cell in ran)


def test_committed_outputs_are_there_and_belong_to_no_machine(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert len(text) < 600_000, "larger than 600 kB; make plots smaller"
    assert sum(pictures(cell) for cell in code_cells(notebook)) >= 6
    for number, cell in enumerate(code_cells(notebook)):
        assert not any(output.output_type == "error" for output in cell.outputs)
        said = notebooks.text_of(cell)
        foreign = re.findall(r"(?<![\w.~])/(?:home|root|tmp|work|Users|usr|opt)/\S*", said)
        assert not foreign, f"code cell {number} shows {foreign[0]}; run docs/notebooks.py"


def test_the_first_computation_is_configured(path):
    code = "\n".join(cell.source for cell in code_cells(nbformat.read(path, as_version=4)))
    assert re.findall(r"\bgj\.[\w.]+\(", code)[0] == "gj.configure("
