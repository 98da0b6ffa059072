"""What a chain amounts to, by expiry: numbers of its smile, a table in text, and CSV and Parquet files.

Files are written beside their destination and then moved over it, so a reader never sees half of one.
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpujax.trading.flags import QuoteFlag, describe_flags, has_flag
from gpujax.trading.forward import ForwardMethod
from gpujax.trading.occ import format_occ
from gpujax.trading.optional import optional_module
from gpujax.trading.times import to_new_york

if TYPE_CHECKING:
    from gpujax.trading.analysis import ChainAnalysis

__all__ = ["ExpiryTable", "analysis_columns", "expiry_table", "summary", "write_csv", "write_parquet"]

Floats = npt.NDArray[np.float64]

# Quotes that are no evidence of a volatility level, though they may have one.
_NO_SMILE = (
    QuoteFlag.CROSSED | QuoteFlag.EXPIRED | QuoteFlag.STALE | QuoteFlag.DUPLICATE | QuoteFlag.WIDE | QuoteFlag.ZERO_BID
)
_QUANTILE_75 = 0.6744897501960817  # of the normal distribution: N(d1) of a 25-delta put's strike
_CARRY_ERROR = 0.05  # per year; a carry known no better (hours to expiry) is noise


class ExpiryTable(NamedTuple):
    """Each group's smile in a few numbers, arrays `[G]` in the order of `ChainAnalysis.groups`.

    at_the_money: volatility at strike = forward, linear in log-strike between the out-of-the-money mids around it.
    skew: volatility of the 25-delta put minus that of the 25-delta call (forward deltas). carry: ln(forward / spot) /
    years; NaN where its standard error is above 5 % a year, or it was taken from an earlier snapshot.
    quotes, with_volatility, flagged: rows in the group; with a volatility; with any flag.
    """

    at_the_money: Floats
    skew: Floats
    carry: Floats
    quotes: npt.NDArray[np.int64]
    with_volatility: npt.NDArray[np.int64]
    flagged: npt.NDArray[np.int64]


def expiry_table(analysis: "ChainAnalysis") -> ExpiryTable:
    """Summarise the smile of every expiry at every snapshot.

    Returns: `ExpiryTable`; NaN where the quotes do not reach (no mids on both sides of the forward, or of a 25 delta).
    """
    groups, group, count = analysis.groups, analysis.group, len(analysis.groups.years)
    smile = np.isfinite(analysis.volatility) & analysis.out_of_the_money & ~has_flag(analysis.flags, _NO_SMILE)
    rows = np.flatnonzero(smile)
    rows = rows[np.lexsort((analysis.chain.strike[rows], group[rows]))]
    k, v, g = analysis.log_moneyness[rows], analysis.volatility[rows], group[rows]
    deviation = v * np.sqrt(analysis.years[rows])
    d1 = -k / deviation + 0.5 * deviation
    at_the_money = _crossing(k, v, g, 0.0, count)
    # N(d1) = 0.25 and 0.75: the 25-delta call, and the put whose forward delta is -0.25.
    call, put = (_crossing(-d1, v, g, level, count) for level in (_QUANTILE_75, -_QUANTILE_75))
    with np.errstate(invalid="ignore", divide="ignore"):
        carry = np.log(analysis.forwards.forward / groups.spot) / groups.years
        unknown = analysis.forwards.standard_error / (analysis.forwards.forward * groups.years) > _CARRY_ERROR
    unknown |= analysis.forwards.method == ForwardMethod.EARLIER
    return ExpiryTable(
        at_the_money=at_the_money,
        skew=put - call,
        carry=np.where(unknown, np.nan, carry),
        quotes=np.bincount(group, minlength=count),
        with_volatility=np.bincount(group[np.isfinite(analysis.volatility)], minlength=count),
        flagged=np.bincount(group[analysis.flags != 0], minlength=count),
    )


def summary(analysis: "ChainAnalysis") -> str:
    """A table in text with one line per root and expiry; figures are medians over the snapshots.

    Columns: days to expiry, forward, its standard error, how many of the snapshots have it from put-call parity,
    carry (the yearly growth from spot to forward), at-the-money volatility, skew (25-delta put minus call), quotes,
    share of them with a volatility, share with any flag.
    """
    table, groups, forwards = expiry_table(analysis), analysis.groups, analysis.forwards
    chain = analysis.chain
    lines = [repr(chain)]
    lines += [f"note: {note}" for note in chain.notes]
    header = ("expiry", "days", "forward", "± error", "parity", "carry", "vol", "skew", "quotes", "solved", "flagged")
    body = []
    series = sorted({(str(r), e) for r, e in zip(groups.root, groups.expiry, strict=True) if not np.isnat(e)})
    several_roots = len({root for root, _ in series}) > 1
    for root, expiry in series:
        rows = (groups.root == root) & (groups.expiry == expiry)
        quotes = int(table.quotes[rows].sum())
        body.append(
            (
                f"{root + ' ' if several_roots else ''}{expiry}",
                _number(_median(groups.years[rows]) * _days_in_year(analysis.clock), ".1f"),
                _number(_median(forwards.forward[rows]), ",.2f"),
                _number(_median(forwards.standard_error[rows]), ".2f"),
                _number(np.mean(forwards.method[rows] == ForwardMethod.PARITY), ".0%"),
                _number(_median(table.carry[rows]), "+.2%"),
                _number(_median(table.at_the_money[rows]), ".2%"),
                _number(_median(table.skew[rows]), "+.2%"),
                f"{quotes:,}",
                _number(table.with_volatility[rows].sum() / max(quotes, 1), ".0%"),
                _number(table.flagged[rows].sum() / max(quotes, 1), ".0%"),
            )
        )
    lines += ["", *_aligned([header, *body])]
    counts = analysis.flag_counts
    if counts:
        lines += ["", "flags: " + ", ".join(f"{name} {count:,}" for name, count in counts.items())]
    return "\n".join(lines)


def analysis_columns(analysis: "ChainAnalysis") -> dict[str, npt.NDArray[Any]]:
    """Quotes and results as columns, one row per quote; times in New York, flags by name."""
    chain = analysis.chain
    legible = ~np.isnat(chain.expiry) & (chain.strike > 0.0) & (chain.root != "")
    symbol = np.zeros(len(chain), dtype="U21")
    symbol[legible] = format_occ(
        chain.root[legible], chain.expiry[legible], chain.is_call[legible], chain.strike[legible], padded=False
    )
    columns: dict[str, npt.NDArray[Any]] = {
        "symbol": symbol,
        "time": to_new_york(chain.time),
        "root": chain.root,
        "expiry": chain.expiry,
        "strike": chain.strike,
        "right": np.where(chain.is_call, "C", "P"),
        "bid": chain.bid,
        "ask": chain.ask,
        "bid_size": chain.bid_size,
        "ask_size": chain.ask_size,
        "last": chain.last,
        "underlying": chain.underlying,
        "years": analysis.years,
        "forward": analysis.forward,
        "rate": analysis.rate,
        "dividend_yield": analysis.dividend_yield,
        "bid_volatility": analysis.bid_volatility,
        "mid_volatility": analysis.mid_volatility,
        "ask_volatility": analysis.ask_volatility,
        "last_volatility": analysis.last_volatility,
    }
    columns |= {name: values for name, values in analysis.greeks._asdict().items() if values is not None}
    columns |= {f"vendor_{name}": values for name, values in chain.vendor.items()}
    columns["flags"] = describe_flags(analysis.flags)
    return columns


def write_csv(columns: Mapping[str, npt.NDArray[Any]], path: str | os.PathLike[str]) -> None:
    """Write columns to a CSV file, whole or not at all; NaN is an empty cell; gzip for a name ending in .gz.

    Raises: OSError where the folder cannot be written.
    """
    arrow, arrow_csv = (
        optional_module("pyarrow", "writing CSV files"),
        optional_module("pyarrow.csv", "writing CSV files"),
    )
    table = _arrow_table(columns)
    with _replacing(path) as temporary:
        compression = "gzip" if str(path).endswith(".gz") else None
        with arrow.output_stream(str(temporary), compression=compression) as stream:
            arrow_csv.write_csv(table, stream, arrow_csv.WriteOptions(quoting_style="needed"))


def write_parquet(columns: Mapping[str, npt.NDArray[Any]], path: str | os.PathLike[str]) -> None:
    """Write columns to a Parquet file, whole or not at all; NaN is null.

    Raises: OSError where the folder cannot be written.
    """
    parquet = optional_module("pyarrow.parquet", "writing Parquet files")
    with _replacing(path) as temporary:
        parquet.write_table(_arrow_table(columns), str(temporary))


def _arrow_table(columns: Mapping[str, npt.NDArray[Any]]) -> Any:
    arrow = optional_module("pyarrow", "writing tables")
    arrays = {}
    for name, values in columns.items():
        if values.dtype.kind == "M":
            # Trailing zeros of nanoseconds would make every time 29 characters long.
            coarse = values.astype("M8[s]")
            values = (
                coarse
                if values.dtype != np.dtype("M8[D]") and bool(np.all((coarse == values) | np.isnat(values)))
                else values
            )
        elif values.dtype.kind == "U":
            values = np.asarray(values, dtype=object)
        arrays[name] = arrow.array(values, from_pandas=True)
    return arrow.table(arrays)


@contextlib.contextmanager
def _replacing(path: str | os.PathLike[str]) -> Any:
    """A temporary file in the same folder, moved over `path` once it is whole."""
    destination = Path(path)
    handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        # mkstemp makes files private; the result gets the permissions that any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        yield temporary
        os.replace(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)


def _crossing(x: Floats, y: Floats, group: npt.NDArray[np.int64], level: float, count: int) -> Floats:
    """y where x, increasing inside each group, passes a level; linear between the two rows around it."""
    result = np.full(count, np.nan)
    if len(x) < 2:
        return result
    first = np.flatnonzero((group[1:] == group[:-1]) & (x[:-1] <= level) & (x[1:] > level))
    share = (level - x[first]) / (x[first + 1] - x[first])
    # Assigned in reverse, so that of several crossings (a noisy smile) the first one stays.
    result[group[first][::-1]] = (y[first] + share * (y[first + 1] - y[first]))[::-1]
    return result


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _number(value: Any, form: str) -> str:
    return format(float(value), form) if np.isfinite(value) else "-"


def _days_in_year(clock: str) -> float:
    return {"trading/252": 252.0, "calendar/365.25": 365.25, "nautilus": 365.25}.get(clock, 365.0)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
