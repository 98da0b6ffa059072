"""Plots: what is on them, that they need no display, and that Matplotlib is only loaded for them."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from gpujax.errors import DataError, InputError
from gpujax.trading import Chain, optional, plot_smile, plot_surface, plot_term_structure


@pytest.fixture
def analysis(make_quotes, oracle):
    quotes, _ = make_quotes(half_spread=0.05, step=10.0)
    return Chain.from_arrays(**quotes).analyze(rate=oracle[1])


def visible(figure):
    return [axis for axis in figure.axes if axis.get_visible()]


@pytest.mark.parametrize("x", ["strike", "log_moneyness", "deviations", "delta"])
def test_smile(analysis, x, tmp_path):
    figure = plot_smile(analysis, x=x)
    assert isinstance(figure, Figure)
    axes = visible(figure)
    assert len(axes) == 3
    for axis, date in zip(axes, ["2024-03-08", "2024-03-28", "2024-12-20"], strict=True):
        assert axis.get_title(loc="left").startswith(date)
        dots = np.concatenate([line.get_ydata() for line in axis.lines if line.get_label() in ("puts", "calls")])
        rows = (analysis.chain.expiry == np.datetime64(date)) & analysis.out_of_the_money
        drawn = analysis.mid_volatility[rows & np.isfinite(analysis.mid_volatility)]
        assert sorted(dots) == sorted(drawn)
        low, high = axis.get_ylim()
        assert low <= drawn.min()
        assert drawn.max() <= high
    assert "volatility" in figure.get_supylabel()
    assert figure.get_supxlabel()
    if x == "delta":
        left, right = axes[0].get_xlim()
        assert left > right  # low strikes, high call deltas, on the left
    figure.savefig(tmp_path / "smile.png")
    assert (tmp_path / "smile.png").stat().st_size > 10_000


def test_smile_of_some_expiries(analysis):
    figure = plot_smile(analysis, expiries="2024-03-28")
    assert len(visible(figure)) == 1
    with pytest.raises(DataError, match="no out-of-the-money quote"):
        plot_smile(analysis, expiries="2025-03-28")
    with pytest.raises(InputError, match="x: 'price'"):
        plot_smile(analysis, x="price")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="snapshot: 5; the chain has 0 to 0"):
        plot_smile(analysis, snapshot=5)


def test_the_last_full_snapshot_is_drawn(make_quotes, oracle):
    """The last minute of a recorded day often has a handful of quotes; the minute before shows the market."""
    quotes, _ = make_quotes()
    n = len(quotes["strike"])
    times = ["2024-03-04T11:00"] * n + ["2024-03-04T11:01"] * n + ["2024-03-04T11:02"] * 9
    rows = np.concatenate([np.arange(n), np.arange(n), np.arange(9)])
    columns = {name: quotes[name][rows] for name in ("expiry", "strike", "is_call", "bid", "ask")}
    day = Chain.from_arrays(**columns, underlying=400.0, time=times).analyze(rate=oracle[1])
    assert "11:01" in plot_smile(day).get_suptitle()
    assert "11:00" in plot_smile(day, snapshot=0).get_suptitle()


def test_term_structure(analysis, tmp_path):
    figure = plot_term_structure(analysis)
    volatility, skew, carry = figure.axes
    np.testing.assert_allclose(volatility.lines[0].get_ydata(), [0.45, 0.32, 0.26], rtol=5e-3)
    np.testing.assert_allclose(volatility.lines[0].get_xdata(), analysis.groups.years * 365.0)
    assert "days" in carry.get_xlabel()
    assert skew.get_ylabel()
    figure.savefig(tmp_path / "term.png")


def test_surface(analysis, tmp_path):
    figure = plot_surface(analysis)
    surface, bar = figure.axes
    assert "days" in surface.get_ylabel()
    assert "deviations" in surface.get_xlabel()
    assert "volatility" in bar.get_ylabel()
    figure.savefig(tmp_path / "surface.png")
    assert (tmp_path / "surface.png").stat().st_size > 10_000


def test_nothing_to_draw(make_quotes):
    empty = Chain.from_arrays(expiry="2024-06-21", strike=50.0, is_call=True, bid=1.0, ask=1.1).analyze()
    for plot in (plot_smile, plot_term_structure, plot_surface):
        with pytest.raises(DataError, match="NO_TIME 1"):
            plot(empty)
    quotes, _ = make_quotes()
    one = Chain.from_arrays(**quotes).select(expiry="2024-03-28").analyze()
    with pytest.raises(DataError, match="1 expiries with three or more"):
        plot_surface(one)


def test_matplotlib_is_loaded_only_for_plots():
    code = "import sys, gpujax.trading; assert not {'matplotlib', 'pyarrow', 'pandas', 'alpaca'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_is_named(monkeypatch):
    with pytest.raises(ImportError, match=r"plotting needs no_such_package: pip install 'gpujax\[trading\]'"):
        optional.optional_module("no_such_package.part", "plotting")
