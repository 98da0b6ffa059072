"""`Chain`: option quotes as parallel NumPy arrays, one row per quote, from whatever they came in.

A chain holds what was quoted; `Chain.analyze` adds what follows from it. Rows observed together share a `snapshot`
number: a minute of a recorded day, or one download of a whole chain; calls and puts are only ever paired inside one.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from gpujax.errors import InputError, InputTypeError
from gpujax.trading.expiry import Clock, Settlement, expiry_instants, years_to_expiry
from gpujax.trading.flags import QuoteFlag, count_flags, set_flag
from gpujax.trading.occ import format_occ
from gpujax.trading.quotes import OnError, typed_quotes
from gpujax.trading.sessions import dates_at_the_close
from gpujax.trading.table_files import columns_of_csv, columns_of_frame, columns_of_parquet
from gpujax.trading.times import parse_dates, parse_times, to_new_york

if TYPE_CHECKING:
    from gpujax.trading.analysis import ChainAnalysis

__all__ = ["Chain"]

Floats = npt.NDArray[np.float64]
Snapshots = Literal["time", "all"] | npt.NDArray[np.integer]

# A spread is wide above half of the mid, unless it is only a few ticks of a cheap option.
_WIDE_SHARE, _WIDE_LEAST = 0.5, 0.10


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """Option quotes, one row each; all arrays are `[n]` and read-only.

    root: symbol root, "" if unknown. expiry: expiration date, datetime64[D]. strike: in currency. is_call: True for
        calls.
    bid, ask, last: prices in currency per unit of the underlying, NaN where there is none. bid_size, ask_size:
    contracts, NaN if unknown. underlying: price of the underlying at the quote, NaN if unknown. time, last_time: UTC
    instants of the quote and of the last trade, datetime64[ns]. snapshot: rows with one number were observed together.
    flags: bits of `QuoteFlag`. vendor: what the vendor computed itself (implied_volatility, delta, ...), by name.
    source: what the rows were read from. notes: what else the reader found worth saying.

    Make one with `from_csv`, `from_parquet`, `from_frame`, `from_arrays` or `from_alpaca`; `chain[mask]` and `select`
    give parts of it; `analyze` gives forwards, implied volatilities and Greeks.
    """

    root: npt.NDArray[np.str_]
    expiry: npt.NDArray[np.datetime64]
    strike: Floats
    is_call: npt.NDArray[np.bool_]
    bid: Floats
    ask: Floats
    last: Floats
    bid_size: Floats
    ask_size: Floats
    underlying: Floats
    time: npt.NDArray[np.datetime64]
    last_time: npt.NDArray[np.datetime64]
    snapshot: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint32]
    vendor: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for array in (*self._arrays().values(), *self.vendor.values()):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.strike)

    def __getitem__(self, rows: Any) -> "Chain":
        """The rows of a boolean mask, an index array or a slice, as a chain of their own."""
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        return dataclasses.replace(
            self,
            **{name: array[rows] for name, array in self._arrays().items()},
            vendor={name: array[rows] for name, array in self.vendor.items()},
        )

    def __repr__(self) -> str:
        if not len(self):
            return f"Chain(no quotes, source={self.source!r})"
        expiries = self.expiries
        roots = [str(root) for root in np.unique(self.root) if root]
        known = to_new_york(self.time[~np.isnat(self.time)])
        times = f", {known.min().astype('M8[s]')} to {known.max().astype('M8[s]')} New York" if known.size else ""
        span = f"{expiries[0]} to {expiries[-1]}" if len(expiries) else "none legible"
        return (
            f"Chain({len(self):,} quotes{' of ' + ', '.join(roots) if roots else ''}, "
            f"{len(expiries)} expiries ({span}), {len(np.unique(self.snapshot)):,} snapshots{times}, "
            f"source={self.source!r})"
        )

    @property
    def mid(self) -> Floats:
        """Mean of bid and ask; NaN where either is missing."""
        return 0.5 * (self.bid + self.ask)

    @property
    def expiries(self) -> npt.NDArray[np.datetime64]:
        """The expiration dates in the chain, in order, datetime64[D]."""
        return np.unique(self.expiry[~np.isnat(self.expiry)])

    @property
    def flag_counts(self) -> dict[str, int]:
        """How many quotes carry each flag."""
        return count_flags(self.flags)

    def symbols(self, *, padded: bool = False) -> npt.NDArray[np.str_]:
        """OCC symbols `[n]`. Raises: InputError where a row's root or another part is not known."""
        return format_occ(self.root, self.expiry, self.is_call, self.strike, padded=padded)

    def years(self, *, clock: Clock = "calendar/365", settlement: Settlement = "listed") -> Floats:
        """Time from each quote to the end of its option in years, `[n]`; see `expiry.years_to_expiry`."""
        return years_to_expiry(
            self.time, expiry_instants(self.expiry, root=self.root, settlement=settlement), clock=clock
        )

    def select(
        self,
        *,
        expiry: Any = None,
        time: Any = None,
        snapshot: int | Literal["first", "last"] | None = None,
        root: str | None = None,
        is_call: bool | None = None,
        strike: tuple[float, float] | None = None,
        moneyness: tuple[float, float] | None = None,
    ) -> "Chain":
        """The quotes that meet all the given conditions.

        Arguments:
            expiry: a date, or several (datetime64, date objects or ISO text).
            time: an instant, or a pair (from, to), both included; ISO text without an offset is New York time.
            snapshot: a snapshot number, or "first" or "last".
            root: symbol root.
            is_call: True for calls only, False for puts only.
            strike: lowest and highest strike, both included.
            moneyness: lowest and highest strike / underlying, both included; quotes without underlying fall out.

        Returns: a chain, possibly empty.

        Raises: InputError for dates or times that cannot be read.
        """
        keep = np.ones(len(self), dtype=bool)
        if expiry is not None:
            keep &= np.isin(self.expiry, _read(parse_dates, "expiry", expiry))
        if time is not None:
            pair = _read(parse_times, "time", time)
            if len(pair) > 2:
                raise InputError(f"time: {len(pair)} values; expected one instant or a pair (from, to)")
            keep &= (self.time >= pair[0]) & (self.time <= pair[-1])
        if snapshot is not None and len(self):
            if snapshot == "first":
                snapshot = int(self.snapshot.min())
            elif snapshot == "last":
                snapshot = int(self.snapshot.max())
            elif not isinstance(snapshot, (int, np.integer)):
                raise InputError(f"snapshot: {snapshot!r}; expected a number, 'first' or 'last'")
            keep &= self.snapshot == snapshot
        if root is not None:
            keep &= self.root == root
        if is_call is not None:
            keep &= self.is_call == is_call
        for name, bounds, values in (
            ("strike", strike, self.strike),
            ("moneyness", moneyness, self.strike / self.underlying if moneyness is not None else self.strike),
        ):
            if bounds is not None:
                if np.shape(bounds) != (2,):
                    raise InputError(f"{name}: {bounds!r}; expected a pair (lowest, highest)")
                keep &= (values >= bounds[0]) & (values <= bounds[1])
        return self[keep]

    def analyze(self, **options: Any) -> "ChainAnalysis":
        """Forwards, implied volatilities, Greeks and flags of every quote; see `gpujax.trading.analysis.analyze`."""
        from gpujax.trading.analysis import analyze

        return analyze(self, **options)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] | None = None,
        errors: OnError = "raise",
        time: Any = None,
        underlying: float | None = None,
        root: str | None = None,
        snapshots: Snapshots = "time",
    ) -> "Chain":
        """Read a chain from a CSV file, compressed or not.

        Arguments:
            path: the file; gzip and other compressions by its ending.
            columns: chain column -> name in the file, where `quotes.ALIASES` does not know the name.
            errors: "raise" refuses the file at the first illegible cell; "flag" keeps the row, with the cell missing.
            time, underlying, root: one value for all rows, for what the file lacks. Times without a clock, only a date,
                are end-of-day quotes: they become the close of that day's session, and `notes` says so.
            snapshots: which rows were observed together: "time" (those of one time), "all", or integers `[n]`; for
                quotes that each have a time of their own, e.g. the minute.

        Raises: DataError that names the file, the row and the cell. ImportError where pyarrow is missing.
        """
        table = columns_of_csv(path)
        constants = {"time": time, "underlying": underlying, "root": root}
        return _build(table, str(path), columns, errors, constants, snapshots)

    @classmethod
    def from_parquet(
        cls,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] | None = None,
        errors: OnError = "raise",
        time: Any = None,
        underlying: float | None = None,
        root: str | None = None,
        snapshots: Snapshots = "time",
    ) -> "Chain":
        """Read a chain from a Parquet file; arguments and errors as for `from_csv`."""
        table = columns_of_parquet(path)
        constants = {"time": time, "underlying": underlying, "root": root}
        return _build(table, str(path), columns, errors, constants, snapshots)

    @classmethod
    def from_frame(
        cls,
        table: Any,
        *,
        columns: Mapping[str, str] | None = None,
        errors: OnError = "raise",
        time: Any = None,
        underlying: float | None = None,
        root: str | None = None,
        snapshots: Snapshots = "time",
    ) -> "Chain":
        """Read a chain from a pandas or polars DataFrame, a pyarrow Table or a dict of arrays; else as `from_csv`."""
        constants = {"time": time, "underlying": underlying, "root": root}
        return _build(columns_of_frame(table), "the table", columns, errors, constants, snapshots)

    @classmethod
    def from_arrays(cls, *, errors: OnError = "raise", snapshots: Snapshots = "time", **columns: Any) -> "Chain":
        """Make a chain of arrays by the names of a chain's columns.

        Arguments:
            columns: `symbol`, or `expiry`, `strike` and `right` (or `is_call`); and any of `root, bid, ask, bid_size,
                ask_size, last, underlying, time`. Arrays `[n]`, or one value for all rows.

        >>> Chain.from_arrays(expiry="2024-05-03", strike=[150.0, 155.0], is_call=True, bid=[20.0, 15.4],
        ...                   ask=[20.3, 15.6], underlying=169.74, time="2024-04-25T16:00").mid
        array([20.15, 15.5 ])
        """
        if "is_call" in columns:
            columns["right"] = columns.pop("is_call")
        try:
            arrays = {name: np.atleast_1d(np.asarray(value)) for name, value in columns.items()}
            length = np.broadcast_shapes(*(array.shape for array in arrays.values()))
        except ValueError:
            described = ", ".join(f"{name} {np.shape(value)}" for name, value in columns.items())
            raise InputError(f"columns differ in length: {described}") from None
        if len(length) != 1:
            raise InputError(f"columns: {len(length)} dimensions; expected one")
        table = {name: np.broadcast_to(array, length) for name, array in arrays.items()}
        return _build(table, "the arrays", {name: name for name in table}, errors, {}, snapshots)

    @classmethod
    def from_alpaca(
        cls, pages: Any, *, underlying: float | Mapping[str, float] | None = None, errors: OnError = "raise"
    ) -> "Chain":
        """Make a chain of Alpaca option snapshots; see `gpujax.trading.alpaca.alpaca_quotes` for what is taken.

        Arguments:
            pages: a path of a JSON file, its text, the decoded page, a dict of symbols to snapshots (also of
                `alpaca-py` objects), or a list of any of these: the pages of one request.
            underlying: price of the underlying, or root -> price; Alpaca's pages do not contain it.
            errors: "raise" refuses a page at the first malformed field; "flag" keeps the contract, with the field
                missing.

        Raises: DataError that names the page, the symbol and the field.
        """
        from gpujax.trading.alpaca import alpaca_quotes

        quotes, vendor, source, notes = alpaca_quotes(pages, errors=errors)
        if underlying is not None:
            if isinstance(underlying, Mapping):
                prices = np.array([float(underlying.get(str(r), np.nan)) for r in quotes["root"]], dtype=np.float64)
            elif isinstance(underlying, (int, float)) and not isinstance(underlying, bool):
                prices = np.full(len(quotes["root"]), float(underlying))
            else:
                raise InputTypeError(f"underlying: {underlying!r:.60}; expected a price or a dict of root to price")
            quotes["underlying"] = prices
        snapshot = np.zeros(len(quotes["root"]), dtype=np.int64)
        return _finish(quotes, snapshot, vendor=vendor, source=source, notes=notes)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        names = (field.name for field in dataclasses.fields(self) if field.name not in ("vendor", "source", "notes"))
        return {name: getattr(self, name) for name in names}


def _build(
    table: Mapping[str, Any],
    source: str,
    columns: Mapping[str, str] | None,
    errors: OnError,
    constants: Mapping[str, Any],
    snapshots: Snapshots,
) -> Chain:
    quotes = typed_quotes(table, source=source, columns=columns, errors=errors, constants=constants)
    count = len(quotes["strike"])
    quotes["time"], notes = dates_at_the_close(quotes["time"])
    if isinstance(snapshots, str):
        if snapshots not in ("time", "all"):
            raise InputError(f"snapshots: {snapshots!r}; expected 'time', 'all' or an array of integers")
        if snapshots == "all":
            snapshot = np.zeros(count, dtype=np.int64)
        else:
            times, snapshot = np.unique(quotes["time"], return_inverse=True)
            snapshot = snapshot.reshape(-1).astype(np.int64)
            if len(times) > 100 and len(times) > count / 2:
                notes += ("most quotes have a time of their own, so calls and puts are not paired; see `snapshots`",)
    else:
        snapshot = np.asarray(snapshots)
        if snapshot.dtype.kind not in "iu" or snapshot.shape != (count,):
            raise InputError(f"snapshots: {snapshot.dtype} array of shape {snapshot.shape}; expected {count} integers")
        snapshot = snapshot.astype(np.int64)
    return _finish(quotes, snapshot, vendor={}, source=source, notes=notes)


def _finish(
    quotes: dict[str, npt.NDArray[Any]],
    snapshot: npt.NDArray[np.int64],
    *,
    vendor: Mapping[str, Floats],
    source: str,
    notes: tuple[str, ...],
) -> Chain:
    """Flag what the quotes themselves show, and freeze them."""
    flags = quotes.pop("flags").copy()
    bid, ask = quotes["bid"].copy(), quotes["ask"].copy()
    # Feeds write a missing side as 0.00; an offer to sell for nothing is never meant.
    bid[(bid == 0.0) & (quotes["bid_size"] == 0.0)] = np.nan
    ask[ask == 0.0] = np.nan
    set_flag(flags, np.isnan(bid), QuoteFlag.NO_BID)
    set_flag(flags, np.isnan(ask), QuoteFlag.NO_ASK)
    set_flag(flags, bid == 0.0, QuoteFlag.ZERO_BID)
    set_flag(flags, bid > ask, QuoteFlag.CROSSED)
    set_flag(flags, bid == ask, QuoteFlag.LOCKED)
    spread = ask - bid
    set_flag(flags, (spread > _WIDE_SHARE * 0.5 * (bid + ask)) & (spread > _WIDE_LEAST), QuoteFlag.WIDE)
    underlying = np.where(quotes["underlying"] > 0.0, quotes["underlying"], np.nan)
    set_flag(flags, np.isnan(underlying), QuoteFlag.NO_UNDERLYING)
    set_flag(flags, _repeated(quotes, snapshot), QuoteFlag.DUPLICATE)
    last_time = quotes.pop("last_time", np.full(len(flags), np.datetime64("NaT", "ns")))
    return Chain(
        **{**quotes, "bid": bid, "ask": ask, "underlying": underlying},
        last_time=last_time,
        snapshot=snapshot,
        flags=flags,
        vendor=vendor,
        source=source,
        notes=notes,
    )


def _repeated(quotes: Mapping[str, npt.NDArray[Any]], snapshot: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Rows after which the same contract comes again in the same snapshot."""
    root = np.unique(quotes["root"], return_inverse=True)[1].reshape(-1) if len(snapshot) else snapshot
    expiry, strike = quotes["expiry"].astype(np.int64), quotes["strike"]
    keys = (quotes["is_call"], strike, expiry, root, snapshot)
    order = np.lexsort(keys)  # stable, so the last of equal rows is the last in the file
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        ordered = key[order]
        same &= ordered[1:] == ordered[:-1]
    repeated = np.zeros(len(order), dtype=bool)
    repeated[order[:-1]] = same
    return repeated


def _read(parse: Any, name: str, value: Any) -> npt.NDArray[np.datetime64]:
    """Dates or times of an argument, one or several."""
    values = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
    array = values if isinstance(values, np.ndarray) else np.empty(len(values), dtype=object)
    if not isinstance(values, np.ndarray):
        array[:] = list(values)
    parsed, bad = parse(array)
    bad = bad | np.isnat(parsed)
    if bad.any() or not len(parsed):
        raise InputError(f"{name}: {value!r:.80}; expected ISO text, a date or datetime64")
    return parsed
