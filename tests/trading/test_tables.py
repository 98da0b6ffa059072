"""Summaries by expiry, and files of results."""

import csv
import gzip

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import norm

from gpujax.trading import Chain, ForwardMethod, expiry_table
from gpujax.trading.tables import write_csv


@pytest.fixture
def analysis(make_quotes, oracle):
    quotes, _ = make_quotes(half_spread=0.02, step=2.5, width=0.45)
    return Chain.from_arrays(**quotes).analyze(rate=oracle[1])


def test_at_the_money_and_skew(analysis):
    table = expiry_table(analysis)
    np.testing.assert_allclose(table.at_the_money, [0.45, 0.32, 0.26], rtol=1e-3)
    np.testing.assert_allclose(table.carry, [0.03, 0.035, 0.02], atol=1e-6)
    # the 25-delta strikes of the smile that the quotes were made with, found by hand
    for group, (level, years) in enumerate(zip([0.45, 0.32, 0.26], analysis.groups.years, strict=True)):
        k = np.linspace(-2.0, 2.0, 40_001) * level * np.sqrt(years)
        z = k / (level * np.sqrt(years))
        volatility = level * (1 - 0.06 * z + 0.015 * z * z)
        total = volatility * np.sqrt(years)
        delta = norm.cdf(-k / total + total / 2)
        expected = volatility[np.argmin(abs(delta - 0.75))] - volatility[np.argmin(abs(delta - 0.25))]
        assert table.skew[group] == pytest.approx(expected, abs=4e-4)
    assert table.quotes.sum() == len(analysis)


def test_summary_text(analysis):
    text = analysis.summary()
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("expiry"))
    row = next(line for line in lines if line.startswith("2024-03-28"))
    cells = dict(zip(header.replace("± error", "error").split(), row.split(), strict=True))
    assert cells["days"] == "24.2"
    assert cells["vol"] == "32.00%"
    assert cells["parity"] == "100%"
    assert cells["carry"] == "+3.50%"
    assert float(cells["forward"]) == pytest.approx(analysis.forwards.forward[1], abs=0.005)
    assert len({len(line) for line in lines if line.startswith(("20", "expiry"))}) == 1  # aligned


def test_summary_says_what_it_does_not_know():
    chain = Chain.from_alpaca(
        {
            "snapshots": {"XYZ240621C00050000": {"latestTrade": {"p": 1.0, "t": "2024-05-01T15:00:00Z"}}},
            "next_page_token": "x",
        }
    )
    text = chain.analyze().summary()
    assert "note: page 1 says that more pages follow" in text
    assert "NO_FORWARD 1" in text
    assert " - " in text


def test_carry_from_elsewhere_is_left_out(make_quotes, oracle):
    quotes, _ = make_quotes()
    first = Chain.from_arrays(**quotes)
    later = quotes | {"time": "2024-03-04T11:01", "ask": np.where(quotes["is_call"], quotes["ask"], np.nan)}
    both = {
        n: np.concatenate([np.broadcast_to(quotes[n], len(first)), np.broadcast_to(later[n], len(first))])
        for n in quotes
    }
    analysis = Chain.from_arrays(**both).analyze(rate=oracle[1])
    assert analysis.forwards.method.tolist() == [ForwardMethod.PARITY] * 3 + [ForwardMethod.EARLIER] * 3
    assert np.isfinite(expiry_table(analysis).carry).tolist() == [True] * 3 + [False] * 3
    assert "50%" in analysis.summary()


def test_csv_and_parquet_come_back(analysis, tmp_path):
    analysis.to_csv(tmp_path / "a.csv")
    analysis.to_csv(tmp_path / "a.csv.gz")
    analysis.to_parquet(tmp_path / "a.parquet")
    with open(tmp_path / "a.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(analysis)
    assert rows[0]["symbol"] == "XYZ240308C00" + f"{analysis.chain.strike[0] * 1000:06.0f}"
    assert rows[0]["time"] == "2024-03-04 11:00:00"
    np.testing.assert_array_equal([float(r["mid_volatility"] or "nan") for r in rows], analysis.mid_volatility)
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == (tmp_path / "a.csv").read_bytes()
    table = pq.read_table(tmp_path / "a.parquet")
    np.testing.assert_array_equal(table["delta"].to_numpy(), analysis.greeks.delta)
    assert table["mid_volatility"].null_count == np.isnan(analysis.mid_volatility).sum()
    for again in (Chain.from_csv(tmp_path / "a.csv"), Chain.from_parquet(tmp_path / "a.parquet")):
        np.testing.assert_array_equal(again.bid, analysis.chain.bid)
        np.testing.assert_array_equal(again.time, analysis.chain.time)
        np.testing.assert_array_equal(again.symbols(), analysis.chain.symbols())
        np.testing.assert_array_equal(again.flags, analysis.chain.flags)


def test_writing_is_all_or_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="length"):
        write_csv({"a": np.ones(2), "b": np.ones(3)}, path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    write_csv({"a": np.array([1.0, np.nan])}, path)
    assert path.read_text() == '"a"\n1\n\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert path.stat().st_mode & 0o444 == 0o444
    with pytest.raises(OSError, match="nowhere"):
        write_csv({"a": np.ones(2)}, tmp_path / "nowhere" / "a.csv")
