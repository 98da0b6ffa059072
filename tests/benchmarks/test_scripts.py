"""Every benchmark script runs at a tiny size, agrees with its reference, and writes what it says."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("GPUJAX_TEST_CACHE", ROOT / ".jax_cache")) / "gpujax"


def run(script, output, *arguments, as_module=False):
    """A script in a process of its own, as a user runs it; the settings of this test process stay behind."""
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    environment |= {"GPUJAX_CACHE": str(CACHE), "JAX_PLATFORMS": "cpu"}
    target = ["-m", f"benchmarks.{script}"] if as_module else [str(ROOT / "benchmarks" / f"{script}.py")]
    command = [sys.executable, *target, "--quick", "--output", str(output), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, json.loads((output / f"{script}.json").read_text())


@pytest.mark.parametrize(("script", "as_module"), [("black_scholes", False), ("implied_volatility", True)])
def test_speed_scripts_name_every_peer_and_agree(script, as_module, tmp_path):
    text, stored = run(script, tmp_path, "--size", "50", "--rounds", "2", as_module=as_module)
    assert (tmp_path / f"{script}.png").read_bytes().startswith(b"\x89PNG")
    assert stored["facts"]["versions"]["jax"]
    assert {"date", "command", "git", "machine", "limits"} <= set(stored["facts"])
    for result in stored["results"]:
        named = [entry["name"] for entry in (*result["contestants"], *result["absent"])]
        one = "one option" in result["workload"]
        for peer in ("gpujax", "numba", "fast-vollib", "pyvolr", "QuantLib", "math module" if one else "SciPy"):
            assert any(peer in name for name in named), f"{peer} is missing from {result['workload']}"
        assert all(len(c["seconds_per_item"]) == 2 for c in result["contestants"])
        ours = [c for c in result["contestants"] if c["ours"]]
        assert len(ours) == (2 if one else 3)
        assert all(c["disagreement"] is None for c in ours)
        assert result["workload"] in text.replace("\n", " ")
        if script == "implied_volatility" and not one:
            for contestant in result["contestants"]:
                score = contestant["score"]
                assert 0.0 <= score["error, 99.9 %"] <= score["error, worst"] < 1e-2, contestant["name"]
    workloads = " ".join(result["workload"] for result in stored["results"])
    assert all(word in workloads for word in ("float64", "float32", "one option"))


def test_accelerate(tmp_path):
    _, stored = run("accelerate", tmp_path, "--size", "50", "--rounds", "1")
    names = {c["name"] for r in stored["results"] for c in r["contestants"]}
    assert {
        "the function itself, device arrays",
        "gpujax, device arrays, accelerate",
        "gpujax, NumPy, accelerate",
    } <= names


def test_start_compiles_nothing_the_second_time(tmp_path):
    _, stored = run("start", tmp_path, "--rounds", "1")
    first, second = stored["starts"]["first"][0], stored["starts"]["second"][0]
    assert first["compiled"] == first["requests"] > 0
    assert second["requests"] == second["hits"] == first["requests"]
    assert not any(found["backend_started"] for found in stored["imports"].values())
    assert stored["import_ratios"]["import jax"] == 1.0


def test_devices_agree_to_the_stated_digits(tmp_path):
    _, stored = run("devices", tmp_path, "--size", "83", "--rounds", "1")
    settings = {(s["form"], s["devices"]) for s in stored["settings"]}
    assert {("jit", 1), ("pmap", 8), ("shard_map", 8), ("accelerate shard_map", 8)} <= settings
    for setting in stored["settings"]:
        assert setting["results"]["float64"]["digits"] >= 12, setting


def test_accuracy_tables(tmp_path):
    _, stored = run("accuracy", tmp_path, "--size", "2")
    rows = stored["rows"]
    assert {row["group"] for row in rows} == set(importlib.import_module("benchmarks.accuracy").GROUPS)
    assert {row["dtype"] for row in rows} == {"float64", "float32"}
    assert sum(row["not_a_number"] for row in rows) == 0
    assert all(row["points"] > 0 or row["underflowing"] > 0 for row in rows)


def test_memory_of_simulations(tmp_path):
    _, stored = run("monte_carlo_memory", tmp_path)
    assert {row["form"] for row in stored["results"]} == {"plain", "Sobol", "reverse Greeks"}
    assert all(50 << 20 < row["peak bytes"] < 1 << 30 for row in stored["results"])


def test_greeks_like_those_of_stac_a2(tmp_path):
    text, stored = run("stac_a2_like", tmp_path)
    assert "WRONG" not in text
    (result,) = stored["results"]
    gamma, seconds = np.asarray(result["values"]["gamma"]), result["seconds"]["all"]
    assert gamma.shape == (2, 2)
    assert np.all(np.diagonal(gamma) > 0)
    assert seconds["cold"] > seconds["warm"][0]


def test_accuracy_sees_a_wrong_digit():
    accuracy = importlib.import_module("benchmarks.accuracy")
    samples = accuracy.normal_arguments(2, "float64")
    exact = accuracy.exact_table("normal", samples.inputs)
    right = exact["cdf"].high
    wrong = right * np.where(samples.region == "lower tail", 1 + 1e-12, 1.0)
    missing = np.where(samples.region == "upper tail", np.nan, right)
    rows = {
        name: {row.region: row for row in accuracy._rows("group", "float64", samples, exact, {"cdf": values})}
        for name, values in {"right": right, "wrong": wrong, "missing": missing}.items()
    }
    assert max(row.worst_relative for row in rows["right"].values()) < 2e-16
    assert rows["wrong"]["lower tail"].worst_relative == pytest.approx(1e-12, rel=1e-3)
    assert rows["wrong"]["centre"].worst_relative < 2e-16
    assert rows["missing"]["upper tail"].not_a_number == (samples.region == "upper tail").sum()


def test_devices_sees_a_different_bit_and_counts_digits():
    devices = importlib.import_module("benchmarks.devices")
    values = np.array([1.0, 2.0, np.nan, 1e-9])
    same = devices.compare({"float64 price": (values, values.copy())})
    assert (same["differing"], same["digits"]) == (0, 17.0)
    other = values * np.array([1.0, 1.0 + 1e-9, 1.0, 1.0])
    found = devices.compare({"float64 price": (other, values)})
    assert found["differing"] == 1
    assert found["digits"] == pytest.approx(9.0, abs=1e-6)
    assert found["hash"] != same["hash"]
    missing = devices.compare({"float64 price": (np.array([np.nan]), np.array([1.0]))})
    assert missing["digits"] == 0.0
    near_zero = (values + np.array([0.0, 0.0, 0.0, 1e-12]), values)
    assert devices.compare({"float64 price": near_zero})["digits"] == pytest.approx(3.0, abs=1e-6)
    assert devices.compare({"float64 volga": near_zero})["digits"] == pytest.approx(12.0, abs=1e-3)
