"""The demo: its data are the published ones, its numbers come back, its pictures are there, a second start compiles nothing."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gpujax.demo import dax, report, run_demo

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo") / "output", options=2_000, rounds=1)


@pytest.mark.shared_data
def test_the_data_are_the_published_ones(shared):
    lines = (shared / "refvalues" / "dax_20020705_implied_vols.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    surface = dax.surface()
    ours = set(zip(surface.strike, surface.days, surface.rate, surface.volatility, strict=True))
    theirs = {(*(float(row[k]) for k in ("strike", "days", "zero_rate", "implied_vol")),) for row in rows}
    assert ours == theirs
    assert len(surface.days) == len(rows)
    assert {float(row["spot"]) for row in rows} == {dax.SPOT}


def test_the_options_are_out_of_the_money():
    surface = dax.surface()
    assert 0 < np.count_nonzero(surface.is_call) < len(surface.is_call)
    forward = dax.SPOT * np.exp(surface.rate * surface.days / 365)
    assert np.all(np.where(surface.is_call, surface.strike - forward, forward - surface.strike) >= 0)


def test_volatilities_come_back(results):
    trip = results["round_trip"]
    assert trip["options"] == 104
    assert 0 < trip["largest_error"] < 1e-13
    assert [option["days"] for option in trip["near_the_money"]] == list(dax.DAYS)
    for option in trip["near_the_money"]:
        assert abs(option["strike"] - dax.SPOT) < 100
        assert (option["delta"] > 0) == (option["right"] == "call")


def test_the_chain_finds_the_forwards(results):
    assert results["quotes"] == 208
    assert len(results["chain"]) == 8
    for group in results["chain"]:
        assert abs(group["forward"] - group["expected"]) < max(4 * group["error"], 0.1)
        assert group["with_volatility"] == group["quotes"] == 26
    levels = [group["at_the_money"] for group in results["chain"]]
    # Between the published volatilities of the strikes around the forward.
    assert 0.3428 < levels[0] < 0.3726
    assert 0.2504 < levels[-1] < 0.2620


def test_pictures_and_tables_are_written(results):
    names = [path.name for path in results["files"]]
    assert names == ["dax_smile.png", "dax_term_structure.png", "dax_surface.png", "dax_chain.csv"]
    for path in results["files"]:
        content = path.read_bytes()
        assert len(content) > 10_000
        assert path.suffix != ".png" or content.startswith(b"\x89PNG\r\n")
    assert {path.name for path in results["files"][0].parent.iterdir()} == set(names)


def test_the_report_says_all_of_it(results):
    out = Console(width=150, record=True, file=io.StringIO(), highlight=False, markup=False)
    report(results, out)
    text = out.export_text()
    for said in (
        "Hardware",
        "pricing_dtype",
        "104 published volatilities",
        "208 quotes",
        "plain NumPy",
        "dax_surface.png",
    ):
        assert said in text
    assert "nan" not in text


def test_a_second_start_compiles_nothing_anew(tmp_path):
    code = (
        "import json, sys, pathlib\nfrom gpujax.cli.output import plain\nfrom gpujax.demo import run_demo\n"
        "results = run_demo(pathlib.Path(sys.argv[1]), options=2000, rounds=1)\n"
        "print(json.dumps(plain({k: results[k] for k in ('programs', 'compiled_anew')})))"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "GPUJAX_CONFIG")}
    environment |= {"GPUJAX_CACHE": str(tmp_path / "cache"), "JAX_PLATFORMS": "cpu"}
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "output")],
            capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    first, second = found
    assert first["compiled_anew"] == first["programs"] > 5
    assert second == {"programs": first["programs"], "compiled_anew": 0}
