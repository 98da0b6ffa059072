"""Make the pictures of README and documentation, in docs/assets/, from the surface that comes with the package.

    python docs/make_pictures.py

Run it after a change of `gpujax.trading.plots`.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

import gpujax as gj
from gpujax.demo import run_demo

ASSETS = Path(__file__).parent / "assets"
INK, SOFT, GRID = "#1f2933", "#7b8794", "#eef1f4"
LARGEST = 200_000  # bytes: pictures are part of every clone


def main() -> None:
    """Analyse the chain that the demo writes, and draw it."""
    gj.configure()
    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder), options=1000, rounds=1)
        analysis = gj.Chain.from_csv(Path(folder) / "dax_chain.csv").analyze(rate="implied")
    pictures = {
        "dax": overview(analysis),
        "smile": analysis.plot_smile(x="log_moneyness"),
        "term_structure": analysis.plot_term_structure(),
        "surface": analysis.plot_surface(width=2.0),
    }
    for name, figure in pictures.items():
        path = ASSETS / f"{name}.png"
        # Without metadata the same picture is the same file, whatever made it.
        figure.savefig(path, metadata={"Software": None})
        size = path.stat().st_size
        print(f"{path.name}: {size:,} bytes")
        if size > LARGEST:
            raise SystemExit(f"{path} is larger than {LARGEST:,} bytes; make the figure smaller")


def overview(analysis: Any) -> Figure:
    """All smiles in one panel, the volatility at the money beside it."""
    from gpujax.trading import expiry_table

    figure = Figure(figsize=(11.0, 4.3), dpi=110, layout="constrained", facecolor="white")
    figure.suptitle("DAX, 5 July 2002", x=0.012, ha="left", fontsize=13, color=INK)
    smiles, terms = figure.subplots(1, 2, width_ratios=(1.35, 1.0))
    table, groups = expiry_table(analysis), analysis.groups
    colours = colormaps["viridis"](np.linspace(0.0, 0.92, len(groups.years)))
    for group, colour in enumerate(colours):
        rows = np.flatnonzero((analysis.group == group) & analysis.out_of_the_money & np.isfinite(analysis.volatility))
        rows = rows[np.argsort(analysis.chain.strike[rows])]
        days = f"{365.0 * groups.years[group]:.0f} days"
        smiles.plot(
            analysis.log_moneyness[rows],
            analysis.volatility[rows],
            "-o",
            color=colour,
            markersize=3,
            linewidth=1.3,
            label=days,
        )
    smiles.axvline(0.0, color="#c3cfd9", linewidth=0.9, zorder=0)
    smiles.set_xlabel("ln(strike / forward)")
    smiles.set_title("implied volatility by strike, one line an expiry", loc="left", fontsize=10, color=INK)
    smiles.legend(frameon=False, fontsize=8.5, labelcolor=INK)

    days = 365.0 * groups.years
    terms.plot(days, table.at_the_money, "-", color=SOFT, linewidth=1.2, zorder=1)
    terms.scatter(days, table.at_the_money, c=colours, s=34, zorder=2)
    terms.set_xscale("log")
    terms.xaxis.set_major_locator(FixedLocator([14, 30, 60, 90, 180, 365, 730]))
    terms.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    terms.xaxis.set_minor_locator(NullLocator())
    terms.set_xlabel("days to expiry (logarithmic)")
    terms.set_title("at the money, by expiry", loc="left", fontsize=10, color=INK)
    for axis in (smiles, terms):
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axis.spines[side].set_color(SOFT)
        axis.tick_params(labelsize=8.5, colors=INK, color=SOFT)
        axis.xaxis.label.set_color(INK)
        axis.grid(True, color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:.0f}%"))
    return figure


if __name__ == "__main__":
    main()
