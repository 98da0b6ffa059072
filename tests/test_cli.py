"""The command line as a person and as a script meet it: help, tables, JSON, files, exit codes, errors in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from gpujax.cli import bench, chain, main
from gpujax.device import DeviceConfig
from gpujax.hub import COMPONENTS
from gpujax.trading import conventions, expiry
from gpujax.trading.analysis import Price

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("detect", "demo", "chain", "components", "bench")


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def a_process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(capsys, command):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"gpujax {command}" in capsys.readouterr().out.replace("\n", " ")


def test_wrong_usage_exits_with_2(capsys):
    for arguments in (
        [],
        ["unknown"],
        ["chain"],
        ["chain", "x.csv", "--rate", "five"],
        ["chain", "x.csv", "--spot", "-3"],
    ):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        assert "usage: gpujax" in capsys.readouterr().err


def test_help_starts_neither_jax_nor_numpy():
    code = (
        "import sys\nfrom gpujax.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('jax', 'rich', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = a_process("-c", code)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    assert "examples:" in done.stdout


def test_the_module_runs_as_the_command():
    done = a_process("-m", "gpujax", "--version")
    assert (done.returncode, done.stdout) == (0, "gpujax 0.1.0\n")


@pytest.mark.parametrize("what", ["--json", "normal.cdf"], ids=["much", "little"])
def test_a_reader_that_leaves_is_no_error(what):
    # Much output fails while it is printed, little when the interpreter ends.
    command = f"{sys.executable} -m gpujax components {what} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=120, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_an_interruption_exits_with_130(capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("gpujax.hub.categories", interrupt)
    assert run(capsys, "components") == (130, "", "gpujax: interrupted\n")


# --- detect -------------------------------------------------------------------------------------------------------------


def test_detect_shows_hardware_and_choices(capsys):
    code, out, _ = run(capsys, "detect")
    assert code == 0
    for said in ("Hardware", "CPU", "Configuration", "pricing_dtype", "reason"):
        assert said in out
    found = run_json(capsys, "detect")
    assert found["hardware"]["cpu"]["usable_cores"] >= 1
    assert found["configuration"]["why"].keys() == found["configuration"].keys() - {"why"}


def test_detect_writes_what_configure_reads_and_replaces_nobodys_work(capsys, tmp_path):
    path = tmp_path / "new" / "gpujax.yaml"
    written = run_json(capsys, "detect", "--write", path)
    assert written["written"] == str(path)
    assert DeviceConfig.from_yaml(path).to_dict() == written["configuration"]
    path.write_text("platform: cpu\n")
    code, _, err = run(capsys, "detect", "--write", path)
    assert (code, path.read_text()) == (1, "platform: cpu\n")
    assert err.startswith(f"gpujax: error: {path} is there and says something else; --force")
    assert run(capsys, "detect", "--write", path, "--force")[0] == 0
    assert DeviceConfig.from_yaml(path).to_dict() == written["configuration"]
    assert [p.name for p in path.parent.iterdir()] == ["gpujax.yaml"]


# --- components ---------------------------------------------------------------------------------------------------------


def test_components_are_listed_and_described(capsys):
    _, out, _ = run(capsys, "components")
    assert all(name in out for name in COMPONENTS)
    _, out, _ = run(capsys, "components", "black_scholes.price")
    for said in ("volatility", "per √year", ">= 0", "required", "dividend_yield"):
        assert said in out
    assert [row["name"] for row in run_json(capsys, "components")] == list(COMPONENTS)
    one = run_json(capsys, "components", "normal.quantile")
    assert one["schema"]["properties"]["p"]["anyOf"][0] == {"type": "number", "minimum": 0.0, "maximum": 1.0}


def test_an_error_is_one_line_and_debug_shows_where(capsys, monkeypatch):
    code, out, err = run(capsys, "components", "black_scholes.prise")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("gpujax: error: component 'black_scholes.prise'")
    monkeypatch.setenv("GPUJAX_LOG", "debug")
    _, _, err = run(capsys, "components", "black_scholes.prise")
    assert "Traceback" in err


# --- chain --------------------------------------------------------------------------------------------------------------

QUOTES = """\
expiration,strike,right,bid,ask,timestamp,spot
2024-06-21,95,C,9.05,9.15,2024-04-26T15:30,100
2024-06-21,95,P,2.95,3.05,2024-04-26T15:30,100
2024-06-21,100,C,5.95,6.05,2024-04-26T15:30,100
2024-06-21,100,P,4.85,4.95,2024-04-26T15:30,100
2024-06-21,105,C,3.65,3.75,2024-04-26T15:30,100
2024-06-21,105,P,7.50,7.60,2024-04-26T15:30,100
2024-09-20,95,C,12.0,12.2,2024-04-26T15:30,100
2024-09-20,95,P,5.0,5.2,2024-04-26T15:30,100
2024-09-20,100,C,9.2,9.4,2024-04-26T15:30,100
2024-09-20,100,P,7.1,7.3,2024-04-26T15:30,100
2024-09-20,105,C,6.9,7.1,2024-04-26T15:30,100
2024-09-20,105,P,9.7,9.9,2024-04-26T15:30,100
"""


@pytest.fixture
def quotes(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text(QUOTES)
    return path


def test_chain_as_table_and_as_json(capsys, quotes):
    code, out, err = run(capsys, "chain", quotes, "--rate", "5%")
    assert (code, err) == (0, "")
    assert "Chain(12 quotes, 2 expiries" in out
    assert "2024-06-21" in out
    found = run_json(capsys, "chain", quotes, "--rate", "0.05")
    near, far = found["expiries"]
    assert (found["quotes"], found["with_volatility"]) == (12, 12)
    # By hand: F = K + (C - P) e^{rT} at the money, T = 56 days and half an hour.
    assert near["forward"] == pytest.approx(100 + 1.1 * np.exp(0.05 * 56.02 / 365), abs=0.06)
    assert near["at_the_money"] == pytest.approx(0.35, abs=0.02)
    assert far["forward_by_parity"] == 1.0
    assert near["skew"] is None  # the strikes do not reach a 25 delta


def test_chain_writes_tables_and_pictures(capsys, quotes, tmp_path):
    folder = tmp_path / "out"
    found = run_json(capsys, "chain", quotes, "--rate", "0.05", "--output", folder)
    names = {"quotes.csv", "quotes.parquet", "quotes_smile.png", "quotes_term_structure.png", "quotes_surface.png"}
    assert {Path(path).name for path in found["files"]} == names == {path.name for path in folder.iterdir()}
    assert (folder / "quotes_smile.png").read_bytes().startswith(b"\x89PNG")
    header, *rows = (folder / "quotes.csv").read_text().splitlines()
    assert "mid_volatility" in header
    assert len(rows) == 12
    again = run_json(capsys, "chain", folder / "quotes.parquet", "--rate", "0.05")
    assert again["expiries"][0]["at_the_money"] == found["expiries"][0]["at_the_money"]
    only = run_json(capsys, "chain", quotes, "--output", tmp_path / "csv", "--write", "csv")
    assert [Path(path).name for path in only["files"]] == ["quotes.csv"]


def test_chain_of_one_expiry_has_no_surface_and_says_so(capsys, quotes, tmp_path):
    arguments = (quotes, "--expiry", "2024-06-21", "--output", tmp_path, "--write", "plots")
    found = run_json(capsys, "chain", *arguments)
    assert [Path(path).name for path in found["files"]] == ["quotes_smile.png", "quotes_term_structure.png"]
    assert found["notes"][0].startswith("no plot of the surface: ")


def test_chain_takes_from_options_what_a_file_lacks(capsys, tmp_path):
    path = tmp_path / "eod.csv"
    path.write_text("contract,BidPx,ask\nAAPL240621C00100000,5.95,6.05\nAAPL240621P00100000,4.85,4.95\n")
    found = run_json(
        capsys,
        "chain",
        path,
        "--date",
        "2024-04-26T15:30",
        "--spot",
        "100",
        "--column",
        "bid=BidPx",
        "--rate",
        "implied",
    )
    assert found["expiries"][0]["root"] == "AAPL"
    assert found["expiries"][0]["spot"] == 100.0
    assert found["with_volatility"] == 2


def test_chain_of_alpaca_pages(capsys, tmp_path):
    pages = []
    for number, symbol in enumerate(("AAPL240503P00155000", "AAPL240503C00175000")):
        quote = {
            "t": "2024-04-26T19:59:59.99Z",
            "bp": 0.32,
            "ap": 0.35,
            "bs": 1,
            "as": 2,
            "ax": "X",
            "bx": "X",
            "c": " ",
        }
        pages.append(tmp_path / f"page{number}.json")
        pages[-1].write_text(json.dumps({"next_page_token": None, "snapshots": {symbol: {"latestQuote": quote}}}))
    arguments = ("--spot", "AAPL=169.3", "--rate", "0.0529", "--convention", "alpaca")
    found = run_json(capsys, "chain", *pages, *arguments)
    assert (found["quotes"], found["with_volatility"], found["convention"]) == (2, 2, "alpaca")
    code, _, err = run(capsys, "chain", *pages, "--root", "AAPL")
    assert (code, err) == (1, "gpujax: error: --root is for tables; Alpaca's JSON says it itself\n")


def test_chain_names_what_is_wrong_with_a_file(capsys, quotes, tmp_path):
    broken = tmp_path / "broken.csv"
    broken.write_text(QUOTES.replace("9.05", "nine"))
    half = tmp_path / "half.json"
    half.write_text('{"snapshots": {"AAPL2405')
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    for arguments, said in (
        ((tmp_path / "nowhere.csv",), "nowhere.csv: no such file"),
        ((tmp_path,), "a folder, not a file"),
        ((broken,), "row 1"),
        ((half,), "half.json"),
        ((empty,), "empty.csv: empty file"),
        ((quotes, "--expiry", "2031-01-01"), "no quote of that choice"),
        ((quotes, quotes), "only the pages of one Alpaca request"),
        ((quotes, "--spot", "AAPL=100"), "--spot ROOT=PRICE is for Alpaca"),
    ):
        code, out, err = run(capsys, "chain", *arguments)
        assert (code, out) == (1, ""), arguments
        assert err.startswith("gpujax: error: ")
        assert err.count("\n") == 1
        assert said in err
    assert run_json(capsys, "chain", broken, "--errors", "flag")["flags"]["BAD_CELL"] == 1


def test_chain_offers_what_the_library_has():
    assert get_args(expiry.Clock) == chain._CLOCKS
    assert get_args(expiry.Settlement) == chain._SETTLEMENTS
    assert get_args(conventions.Convention) == chain._CONVENTIONS
    assert get_args(Price) == chain._PRICES


# --- bench --------------------------------------------------------------------------------------------------------------


def test_bench_lists_the_scripts_of_a_checkout(capsys):
    _, out, _ = run(capsys, "bench", "--list")
    assert "black_scholes" in out
    assert "run_all" not in out
    listed = run_json(capsys, "bench", "implied_volatility", "--list")
    assert [entry["name"] for entry in listed] == ["implied_volatility"]
    assert listed[0]["what"].startswith("Implied volatility")


def test_bench_runs_scripts_and_reports_failures(capsys, monkeypatch, tmp_path):
    record = tmp_path / "record.txt"
    for name, code in (("good", 0), ("bad", 3)):
        (tmp_path / f"{name}.py").write_text(
            f"import sys\nopen({str(record)!r}, 'a').write({name!r} + ' '.join(sys.argv[1:]) + ';')\nsys.exit({code})\n"
        )
    scripts = {"good": tmp_path / "good.py", "bad": tmp_path / "bad.py"}
    monkeypatch.setattr(bench, "find_scripts", lambda: scripts)
    assert run(capsys, "bench", "--quick", "good", "--pass-on", "--size", "3")[0] == 0
    assert record.read_text() == "good--quick --size 3;"
    code, out, err = run(capsys, "bench", "--json")
    assert code == 1
    assert json.loads(out) == [{"name": "good", "exit_code": 0}, {"name": "bad", "exit_code": 3}]
    assert err.endswith("gpujax: error: failed: bad\n")
    assert run(capsys, "bench", "ugly")[2] == "gpujax: error: no benchmark 'ugly'; there are good, bad\n"


def test_bench_outside_of_a_checkout_says_where_they_are(tmp_path):
    with pytest.raises(ValueError, match="they are in the repository, not in the installed package"):
        bench.find_scripts(tmp_path)
