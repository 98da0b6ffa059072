"""Pictures of an analysed chain: the smile of each expiry, the term structure, the surface.

Matplotlib is imported when a plot is made, and only through its object interface: no window, no global state, no
change to the user's settings. Every function returns a Figure, to save or to show.
"""

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gpujax.errors import DataError, InputError
from gpujax.trading.flags import QuoteFlag, has_flag
from gpujax.trading.forward import ForwardMethod
from gpujax.trading.optional import optional_module
from gpujax.trading.tables import expiry_table
from gpujax.trading.times import to_new_york

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gpujax.trading.analysis import ChainAnalysis

__all__ = ["Axis", "plot_smile", "plot_surface", "plot_term_structure"]

Floats = npt.NDArray[np.float64]
Axis = Literal["strike", "log_moneyness", "deviations", "delta"]

_AXES: dict[str, str] = {
    "strike": "strike (currency)",
    "log_moneyness": "ln(strike / forward)",
    "deviations": "ln(strike / forward) in standard deviations of the price at expiry",
    "delta": "forward delta of the call, N(d1); low strikes on the left",
}
_INK, _SOFT, _ACCENT, _LINE = "#1f2933", "#7b8794", "#1d6fb8", "#c3cfd9"
_PUT, _CALL = "#b5473c", "#1d6fb8"
_BAD = QuoteFlag.CROSSED | QuoteFlag.EXPIRED | QuoteFlag.STALE | QuoteFlag.DUPLICATE


def plot_smile(
    analysis: "ChainAnalysis",
    *,
    x: Axis = "strike",
    snapshot: int | None = None,
    expiries: Any = None,
) -> "Figure":
    """One panel per expiry: implied volatility of out-of-the-money puts and calls, bar from bid to ask, dot at the mid.

    Arguments:
        analysis: from `Chain.analyze`.
        x: "strike", "log_moneyness", "deviations" (log-moneyness over volatility times root time) or "delta".
        snapshot: which snapshot to draw; None for the last with at least half as many volatilities as the fullest.
        expiries: dates to draw; None for all.

    Returns: a Matplotlib Figure.

    Raises: InputError for an unknown axis; DataError where nothing can be drawn; ImportError without Matplotlib.
    """
    if x not in get_args(Axis):
        raise InputError(f"x: {x!r}; expected one of {', '.join(get_args(Axis))}")
    analysis, when = _one_snapshot(analysis, snapshot)
    drawable = _drawable(analysis, _BAD)
    dates = np.unique(analysis.chain.expiry[drawable])
    if expiries is not None:
        dates = dates[np.isin(dates, np.atleast_1d(np.asarray(expiries, dtype="M8[D]")))]
    if not len(dates):
        raise DataError("no out-of-the-money quote with a volatility to draw" + _seen(analysis))
    positions = _positions(analysis, x)
    table = expiry_table(analysis)

    columns = min(3, len(dates))
    rows = -(-len(dates) // columns)
    figure = _figure(4.0 * columns, 2.7 * rows + 0.9)
    figure.suptitle(f"Implied volatility smile{_of(analysis)}, {when}", x=0.012, ha="left", fontsize=13, color=_INK)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, date in zip(axes.flat, dates, strict=False):
        here = drawable & (analysis.chain.expiry == date)
        for is_call, colour, label in ((False, _PUT, "puts"), (True, _CALL, "calls")):
            side = here & (analysis.chain.is_call == is_call)
            _bars(axis, positions[side], analysis, side, colour, label)
        group = analysis.group[here][0]
        _mark_the_money(axis, x, analysis, group, float(table.at_the_money[group]))
        _limits(axis, positions[here], analysis, here)
        _decorate(axis)
        level = table.at_the_money[group]
        axis.set_title(
            f"{date}   {_days(float(analysis.groups.years[group]), analysis.clock)}"
            + (f"   at the money {level:.1%}" if np.isfinite(level) else ""),
            loc="left", fontsize=9.5, color=_INK,
        )  # fmt: skip
        if x == "delta":
            axis.invert_xaxis()
    for axis in axes.flat[len(dates) :]:
        axis.set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=8.5, labelcolor=_INK, handletextpad=0.3)
    figure.supxlabel(_AXES[x], fontsize=10, color=_INK)
    separator = "; " if rows > 1 else "\n"  # one row of panels is shorter than the label
    label = f"implied volatility (per year){separator}bar from bid to ask"
    figure.supylabel(label, fontsize=10, color=_INK)
    return figure


def plot_term_structure(analysis: "ChainAnalysis", *, snapshot: int | None = None) -> "Figure":
    """At-the-money volatility, skew and carry against time to expiry, three panels under each other.

    Arguments:
        analysis: from `Chain.analyze`.
        snapshot: which snapshot to draw; None for the last with at least half as many volatilities as the fullest.

    Returns: a Matplotlib Figure. Raises: as `plot_smile`.
    """
    analysis, when = _one_snapshot(analysis, snapshot)
    table, groups = expiry_table(analysis), analysis.groups
    group = np.unique(analysis.group)
    group = group[np.isfinite(table.at_the_money[group])]
    if not len(group):
        raise DataError("no expiry has volatilities on both sides of its forward" + _seen(analysis))
    group = group[np.argsort(groups.years[group])]
    days = groups.years[group] * 365.0
    figure = _figure(7.5, 7.0)
    figure.suptitle(f"Term structure{_of(analysis)}, {when}", x=0.012, ha="left", fontsize=13, color=_INK)
    volatility, skew, carry = figure.subplots(3, 1, sharex=True, height_ratios=(2.0, 1.2, 1.2))
    volatility.plot(days, table.at_the_money[group], "-o", color=_ACCENT, markersize=4.5, linewidth=1.4)
    volatility.set_ylabel("at-the-money\nvolatility (per year)")
    known = np.isfinite(table.skew[group])
    skew.plot(days[known], table.skew[group][known], "-o", color=_PUT, markersize=4, linewidth=1.2)
    skew.set_ylabel("25-delta put\nminus call")
    _draw_carry(carry, days, table.carry[group], analysis, group)
    carry.set_ylabel("carry from spot\nto forward (per year)")
    for axis in (volatility, skew, carry):
        _decorate(axis)
        axis.set_xscale("log")
        axis.margins(y=0.15)
    for axis in (skew, carry):
        axis.axhline(0.0, color=_LINE, linewidth=0.8, zorder=0)
    _days_axis(carry.xaxis, days)
    carry.set_xlabel("days to expiry (logarithmic)")
    return figure


def plot_surface(analysis: "ChainAnalysis", *, snapshot: int | None = None, width: float = 2.5) -> "Figure":
    """The volatility surface as a map: standard deviations from the forward across, time to expiry up, volatility as
    colour.

    Each expiry's out-of-the-money mids are joined linearly in volatility. Between expiries the at-the-money total
    variance is linear in time, and so is the smile's shape, its ratio to the at-the-money volatility, in logarithmic
    time. The dots are the quotes; nothing is extrapolated beyond the outermost ones, of a smile or in time.

    Arguments:
        analysis: from `Chain.analyze`.
        snapshot: which snapshot to draw; None for the last with at least half as many volatilities as the fullest.
        width: how many standard deviations to each side.

    Returns: a Matplotlib Figure. Raises: as `plot_smile`.
    """
    analysis, when = _one_snapshot(analysis, snapshot)
    drawable = _drawable(analysis, _BAD | QuoteFlag.WIDE | QuoteFlag.ZERO_BID)
    deviations = _positions(analysis, "deviations")
    grid = np.linspace(-width, width, 201)
    slices, at_the_money, years = [], [], []
    table = expiry_table(analysis)
    for group in np.unique(analysis.group[drawable]):
        rows = np.flatnonzero(drawable & (analysis.group == group))
        rows = rows[np.argsort(deviations[rows])]
        level = table.at_the_money[group]
        if len(rows) > 2 and np.isfinite(level):
            line = np.interp(grid, deviations[rows], analysis.mid_volatility[rows], left=np.nan, right=np.nan)
            slices.append(line / level)
            at_the_money.append(level)
            years.append(analysis.groups.years[group])
    if len(slices) < 2:
        raise DataError(
            f"{len(slices)} expiries with three or more volatilities; a surface takes two" + _seen(analysis)
        )
    order = np.argsort(years)
    shapes, levels_at_money, times = (np.array(values)[order] for values in (slices, at_the_money, years))
    fine = np.exp(np.linspace(np.log(times[0]), np.log(times[-1]), 160))
    surface = _between_expiries(shapes, levels_at_money, times, fine)

    figure = _figure(8.5, 5.6)
    figure.suptitle(f"Implied volatility surface{_of(analysis)}, {when}", x=0.012, ha="left", fontsize=13, color=_INK)
    axis = figure.subplots()
    low, high = np.nanpercentile(surface, (1.0, 99.0))
    ticker = optional_module("matplotlib.ticker", "plotting")
    marks = ticker.MaxNLocator(8, steps=(1, 2, 5, 10)).tick_values(low, high)
    levels = np.linspace(marks[0], marks[-1], 10 * (len(marks) - 1) + 1)
    filled = axis.contourf(grid, fine * 365.0, surface, levels=levels, cmap="viridis", extend="both")
    labelled = axis.contour(grid, fine * 365.0, surface, levels=marks, colors="white", linewidths=0.7, alpha=0.8)
    axis.clabel(labelled, fmt=lambda level: f"{100.0 * level:.3g}%", fontsize=8)
    inside = drawable & (np.abs(deviations) <= width)
    heights = analysis.groups.years[analysis.group[inside]] * 365.0
    axis.plot(deviations[inside], heights, ".", color=_INK, markersize=2.0, alpha=0.7)
    axis.axvline(0.0, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.6)
    axis.set_yscale("log")
    _days_axis(axis.yaxis, times * 365.0)
    reached = grid[np.isfinite(surface).any(axis=0)]
    if not len(reached):
        raise DataError("no two expiries have volatilities at the same distance from the forward" + _seen(analysis))
    axis.set_xlim(max(reached[0] - 0.1, -width), min(reached[-1] + 0.1, width))
    axis.set_xlabel(_AXES["deviations"])
    axis.set_ylabel("days to expiry (logarithmic)")
    bar = figure.colorbar(filled, ax=axis, pad=0.02, aspect=30)
    bar.set_label("implied volatility (per year)", color=_INK)
    bar.set_ticks(list(marks))
    bar.ax.yaxis.set_major_formatter(_percent())
    bar.ax.tick_params(colors=_INK, labelsize=8.5)
    bar.outline.set_visible(False)
    _decorate(axis, percent=False)
    axis.grid(False)
    return figure


def _drawable(analysis: "ChainAnalysis", unwanted: QuoteFlag) -> npt.NDArray[np.bool_]:
    return np.isfinite(analysis.mid_volatility) & analysis.out_of_the_money & ~has_flag(analysis.flags, unwanted)


def _one_snapshot(analysis: "ChainAnalysis", snapshot: int | None) -> tuple["ChainAnalysis", str]:
    """The rows of one snapshot, and its time in words."""
    solved = np.isfinite(analysis.mid_volatility)
    if snapshot is None:
        if not solved.any():
            raise DataError("no quote has an implied volatility" + _seen(analysis))
        numbers, counts = np.unique(analysis.chain.snapshot[solved], return_counts=True)
        snapshot = int(numbers[2 * counts >= counts.max()][-1])
    rows = analysis.chain.snapshot == snapshot
    if not rows.any():
        raise InputError(
            f"snapshot: {snapshot!r}; the chain has {analysis.chain.snapshot.min()} to {analysis.chain.snapshot.max()}"
        )
    times = analysis.chain.time[rows & ~np.isnat(analysis.chain.time)]
    when = (
        str(to_new_york(times.max()).astype("M8[m]")).replace("T", " ") + " New York" if times.size else "time unknown"
    )
    return analysis[rows], when


def _positions(analysis: "ChainAnalysis", x: str) -> Floats:
    if x == "strike":
        return analysis.chain.strike
    k = analysis.log_moneyness
    if x == "log_moneyness":
        return k
    if x == "deviations":
        # One scale per expiry, its at-the-money volatility; the quote's own volatility would fold the wings back.
        level = expiry_table(analysis).at_the_money[analysis.group]
        level = np.where(np.isfinite(level), level, analysis.mid_volatility)
        return k / (level * np.sqrt(np.maximum(analysis.years, 1e-12)))
    total = analysis.mid_volatility * np.sqrt(np.maximum(analysis.years, 1e-12))
    return _normal_distribution(-k / total + 0.5 * total)


def _normal_distribution(x: Floats) -> Floats:
    from math import erfc

    return np.array([0.5 * erfc(-value / 2.0**0.5) if np.isfinite(value) else np.nan for value in x.tolist()])


def _between_expiries(shapes: Floats, levels: Floats, times: Floats, fine: Floats) -> Floats:
    """Volatility at intermediate times: at-the-money total variance times the smile's shape, each linear in time.

    The level comes from all expiries and only the shape from those that reach, so the end of one expiry's quotes leaves
    no edge in its neighbours.
    """
    level = np.sqrt(np.interp(fine, times, levels**2 * times) / fine)
    result = np.full((len(fine), shapes.shape[1]), np.nan)
    for column, shape in enumerate(shapes.T):
        known = np.isfinite(shape)
        if np.count_nonzero(known) > 1:
            between = np.interp(np.log(fine), np.log(times[known]), shape[known], left=np.nan, right=np.nan)
            result[:, column] = level * between
    return result


def _bars(axis: Any, x: Floats, analysis: "ChainAnalysis", rows: Any, colour: str, label: str) -> None:
    low, high = analysis.bid_volatility[rows], analysis.ask_volatility[rows]
    # A bid below intrinsic value has no volatility: its bar ends at the mid.
    low = np.where(np.isfinite(low), low, analysis.mid_volatility[rows])
    high = np.where(np.isfinite(high), high, analysis.mid_volatility[rows])
    axis.vlines(x, low, high, color=colour, linewidth=1.6, alpha=0.38)
    axis.plot(x, analysis.mid_volatility[rows], "o", color=colour, markersize=2.6, label=label)


def _mark_the_money(axis: Any, x: str, analysis: "ChainAnalysis", group: int, volatility: float) -> None:
    forward = analysis.forwards.forward[group]
    place = {"strike": forward, "log_moneyness": 0.0, "deviations": 0.0}.get(x)
    if x == "delta":
        place = 0.5 if not np.isfinite(volatility) else _normal_distribution(
            np.array([0.5 * volatility * np.sqrt(analysis.groups.years[group])]))[0]  # fmt: skip
    axis.axvline(place, color=_LINE, linewidth=0.9, zorder=0)


def _limits(axis: Any, x: Floats, analysis: "ChainAnalysis", rows: Any) -> None:
    """Show all mids, and the bars as far as they are ordinary: one wide quote must not flatten the smile."""
    mids = analysis.mid_volatility[rows]
    low, high = np.min(mids), np.max(mids)
    bids, asks = analysis.bid_volatility[rows], analysis.ask_volatility[rows]
    room = 0.5 * max(high - low, 0.02)
    for bound, ends in ((low, bids), (high, asks)):
        near = ends[np.isfinite(ends) & (np.abs(ends - bound) <= room)]
        low, high = min(low, *near, low), max(high, *near, high)
    margin = 0.06 * max(high - low, 0.01)
    axis.set_ylim(max(low - margin, 0.0), high + margin)
    span = max(float(np.ptp(x)), 1e-9)
    axis.set_xlim(x.min() - 0.03 * span, x.max() + 0.03 * span)


def _draw_carry(axis: Any, days: Floats, carry: Floats, analysis: "ChainAnalysis", group: Any) -> None:
    forwards, years = analysis.forwards, analysis.groups.years[group]
    known = np.isfinite(carry)
    error = forwards.standard_error[group] / (forwards.forward[group] * years)
    parity = forwards.method[group] == ForwardMethod.PARITY
    trusted = known & parity
    if trusted.any():
        axis.errorbar(
            days[trusted],
            carry[trusted],
            np.nan_to_num(error[trusted]),
            fmt="o",
            color=_INK,
            ecolor=_SOFT,
            elinewidth=1.0,
            capsize=2,
            markersize=4,
            label="calls and puts, ± standard error",
        )
    if (known & ~parity).any():
        axis.plot(
            days[known & ~parity],
            carry[known & ~parity],
            "o",
            mfc="none",
            mec=_INK,
            markersize=4,
            label="other sources",
        )
    if known.any():
        axis.legend(frameon=False, fontsize=8.5, labelcolor=_INK, loc="lower right", ncols=2, handletextpad=0.3)
    # The shortest expiries' errors, divided by days, dwarf everything else; the axis follows the others.
    scale = trusted & (error <= 5.0 * np.nanmedian(error[trusted])) if trusted.any() else known
    if scale.any():
        low, high = np.min(carry[scale]), np.max(carry[scale])
        room = max(0.3 * (high - low), 0.005)
        axis.set_ylim(low - room, high + room)


def _figure(width: float, height: float) -> Any:
    figure_module = optional_module("matplotlib.figure", "plotting")
    backend = optional_module("matplotlib.backends.backend_agg", "plotting")
    figure = figure_module.Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")
    backend.FigureCanvasAgg(figure)
    return figure


def _decorate(axis: Any, *, percent: bool = True) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_SOFT)
    axis.tick_params(colors=_INK, labelsize=8.5, color=_SOFT)
    axis.xaxis.label.set_color(_INK)
    axis.yaxis.label.set_color(_INK)
    axis.grid(True, color="#eef1f4", linewidth=0.8)
    axis.set_axisbelow(True)
    if percent:
        axis.yaxis.set_major_formatter(_percent())
        axis.yaxis.set_major_locator(
            optional_module("matplotlib.ticker", "plotting").MaxNLocator(6, steps=(1, 2, 5, 10))
        )


def _percent() -> Any:
    ticker = optional_module("matplotlib.ticker", "plotting")
    return ticker.FuncFormatter(lambda value, _: f"{100.0 * value:.3g}%".replace("-", "\N{MINUS SIGN}"))


def _days_axis(axis: Any, days: Floats) -> None:
    """Ticks at round numbers of days, weeks and months, in place of powers of ten."""
    ticker = optional_module("matplotlib.ticker", "plotting")
    low, high = float(np.min(days)), float(np.max(days))
    ticks = [
        t
        for t in (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 7, 14, 30, 60, 90, 180, 365, 730, 1095, 1825)
        if low / 1.3 <= t <= high * 1.3
    ]
    axis.set_major_locator(ticker.FixedLocator(ticks))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(ticker.NullLocator())


def _days(years: float, clock: str) -> str:
    if clock == "trading/252":
        return f"{years * 252.0:.1f} sessions"
    days = years * 365.0
    if days < 1.0:
        return f"{days * 24.0:.1f} hours"
    return f"{days:.0f} days" if days >= 9.95 else f"{days:.1f} days"


def _of(analysis: "ChainAnalysis") -> str:
    roots = [str(root) for root in np.unique(analysis.chain.root) if root]
    return f" of {', '.join(roots)}" if roots else ""


def _seen(analysis: "ChainAnalysis") -> str:
    counts = analysis.flag_counts
    return "; flags: " + (", ".join(f"{name} {count}" for name, count in counts.items()) or "none")
