"""Alpaca option snapshots: pages of the REST response and `alpaca-py` objects, to the typed columns of a chain.

A page is `{"snapshots": {SYMBOL: {"latestQuote": {...}, "latestTrade": {...}, "greeks": {...}, "impliedVolatility":
x}}, "next_page_token": ...}`; every part of a snapshot may be missing or null. alpaca-py's `OptionsSnapshot` has the
same parts under Python names, and is read by its attributes, so alpaca-py itself is never imported.

Source: Alpaca, "Option chain" and "Option snapshots" of the Market Data API v1beta1; alpaca-py 0.44,
alpaca/data/models/snapshots.py and alpaca/data/mappings.py.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpujax.errors import DataError, InputError, InputTypeError
from gpujax.trading.flags import QuoteFlag, set_flag
from gpujax.trading.occ import parse_occ
from gpujax.trading.times import parse_times

__all__ = ["VENDOR_GREEKS", "alpaca_quotes"]

VENDOR_GREEKS = ("delta", "gamma", "theta", "vega", "rho")

# part of a snapshot: (key in the page, attribute in alpaca-py)
_QUOTE, _TRADE, _GREEKS = ("latestQuote", "latest_quote"), ("latestTrade", "latest_trade"), ("greeks", "greeks")
_VOLATILITY = ("impliedVolatility", "implied_volatility")
# chain column: (part, key in the page, attribute in alpaca-py)
_PRICES = {
    "bid": (_QUOTE, ("bp", "bid_price")),
    "ask": (_QUOTE, ("ap", "ask_price")),
    "bid_size": (_QUOTE, ("bs", "bid_size")),
    "ask_size": (_QUOTE, ("as", "ask_size")),
    "last": (_TRADE, ("p", "price")),
}
_TIMES = {"time": (_QUOTE, ("t", "timestamp")), "last_time": (_TRADE, ("t", "timestamp"))}

Columns = dict[str, npt.NDArray[Any]]


def alpaca_quotes(pages: Any, *, errors: str = "raise") -> tuple[Columns, Columns, str, tuple[str, ...]]:
    """Read snapshots, from pages or objects, into columns.

    Arguments:
        pages: a path of a JSON file, its text or bytes, the decoded page, a dict of symbols to snapshots (decoded, or
            alpaca-py `OptionsSnapshot` objects, as `OptionHistoricalDataClient.get_option_chain` returns them), or a
            list of these, the pages of one request.
        errors: "raise" or "flag", for fields that are present but malformed.

    Returns: the columns of a chain (without underlying, which Alpaca does not send), the vendor's own volatility and
        Greeks, what they were read from, and notes (a page that says more pages follow, and is the last one given).
        A missing quote, trade or set of Greeks is NaN with its flag, no error. A quote without time takes its trade's.

    Raises: DataError that names the page, the symbol, the field and the value.
    """
    if errors not in ("raise", "flag"):
        raise InputError(f"errors: {errors!r}; expected 'raise' or 'flag'")
    listed = list(pages) if isinstance(pages, Sequence) and not isinstance(pages, (str, bytes)) else [pages]
    reader = _Reader(errors)
    names: list[str] = []
    token: Any = None
    for number, page in enumerate(listed, 1):
        snapshots, token, name = _snapshots_of(page, number)
        names.append(name)
        for symbol, snapshot in snapshots.items():
            reader.read(name, symbol, snapshot)
    notes = (f"{names[-1]} says that more pages follow (next_page_token {token!r:.40})",) if token else ()
    quotes, vendor = reader.columns()
    return quotes, vendor, ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more", notes


class _Reader:
    """Collects the fields of snapshots, and notes or refuses the malformed ones."""

    def __init__(self, errors: str):
        self.errors = errors
        self.symbols: list[str] = []
        self.places: list[str] = []
        self.bad: list[bool] = []
        self.numbers: dict[str, list[float]] = {name: [] for name in (*_PRICES, "implied_volatility", *VENDOR_GREEKS)}
        self.instants: dict[str, list[Any]] = {name: [] for name in _TIMES}

    def read(self, page: str, symbol: Any, snapshot: Any) -> None:
        self.place, self.failed = f"{page}: {symbol}", False
        if snapshot is not None and not isinstance(snapshot, Mapping) and not hasattr(snapshot, "latest_quote"):
            self.malformed("", snapshot, "an object with latestQuote, latestTrade, greeks and impliedVolatility")
            snapshot = None
        parts = {part: self.part(snapshot, part) for part in (_QUOTE, _TRADE, _GREEKS)}
        for name, (part, field) in _PRICES.items():
            self.numbers[name].append(self.number(f"{part[0]}.{field[0]}", _get(parts[part], field)))
        for name in VENDOR_GREEKS:
            self.numbers[name].append(self.number(f"greeks.{name}", _get(parts[_GREEKS], (name, name)), signed=True))
        self.numbers["implied_volatility"].append(self.number(_VOLATILITY[0], _get(snapshot, _VOLATILITY)))
        for name, (part, field) in _TIMES.items():
            value = _get(parts[part], field)
            if value is not None and not isinstance(value, (str, datetime)):
                self.malformed(f"{part[0]}.{field[0]}", value, "a time in ISO 8601")
                value = None
            self.instants[name].append(value)
        self.symbols.append(str(symbol))
        self.places.append(self.place)
        self.bad.append(self.failed)

    def part(self, snapshot: Any, names: tuple[str, str]) -> Any:
        part = _get(snapshot, names)
        # A dict where the rest is objects, or the other way round, is read all the same.
        if (
            part is None
            or isinstance(part, Mapping)
            or (not isinstance(snapshot, Mapping) and hasattr(part, "__dict__"))
        ):
            return part
        self.malformed(names[0], part, "an object or null")
        return None

    def number(self, field: str, value: Any, *, signed: bool = False) -> float:
        if value is None:
            return np.nan
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            return self.malformed(field, value, "a number or null")
        if np.isinf(value) or (value < 0 and not signed):
            return self.malformed(field, value, "a finite number" if signed else "a finite number, not negative")
        return float(value)

    def malformed(self, field: str, value: Any, expected: str) -> float:
        if self.errors == "raise":
            raise DataError(
                f"{self.place}{', field ' if field else ''}{field}: {value!r:.60}; expected {expected} "
                "(errors='flag' keeps the contract and flags it)"
            )
        self.failed = True
        return np.nan

    def columns(self) -> tuple[Columns, Columns]:
        parsed = parse_occ(self.symbols, errors="flag")
        wrong = parsed.problem != ""
        if self.errors == "raise" and wrong.any():
            index = int(np.argmax(wrong))
            raise DataError(f"{self.places[index]}: is not an OCC option symbol: {parsed.problem[index]}")
        flags = np.zeros(len(self.symbols), dtype=np.uint32)
        set_flag(flags, wrong, QuoteFlag.BAD_CONTRACT)
        quotes: Columns = {
            "root": parsed.root,
            "expiry": parsed.expiry,
            "strike": parsed.strike,
            "is_call": parsed.is_call,
            "underlying": np.full(len(flags), np.nan),
            **{name: np.array(self.numbers[name], dtype=np.float64) for name in _PRICES},
        }
        for name, (part, field) in _TIMES.items():
            values = np.empty(len(flags), dtype=object)
            values[:] = self.instants[name]
            quotes[name], illegible = parse_times(values)
            if self.errors == "raise" and illegible.any():
                index = int(np.argmax(illegible))
                raise DataError(
                    f"{self.places[index]}, field {part[0]}.{field[0]}: {values[index]!r}; expected a time in ISO 8601"
                )
            set_flag(flags, illegible, QuoteFlag.BAD_CELL)
        set_flag(flags, np.array(self.bad, dtype=bool), QuoteFlag.BAD_CELL)
        quotes["time"] = np.where(np.isnat(quotes["time"]), quotes["last_time"], quotes["time"])
        set_flag(flags, np.isnat(quotes["time"]), QuoteFlag.NO_TIME)
        vendor = {
            name: np.array(self.numbers[name], dtype=np.float64) for name in ("implied_volatility", *VENDOR_GREEKS)
        }
        incomplete = np.isnan(np.array(list(vendor.values()))).any(axis=0)
        set_flag(flags, np.asarray(incomplete), QuoteFlag.NO_VENDOR_GREEKS)
        quotes["flags"] = flags
        return quotes, vendor


def _snapshots_of(page: Any, number: int) -> tuple[Mapping[str, Any], Any, str]:
    """The snapshots of one page by symbol, the token of the page after it, and what to call the page."""
    name = f"page {number}"
    if isinstance(page, (str, bytes, os.PathLike)):
        if isinstance(page, os.PathLike) or page.lstrip()[:1] not in ("{", b"{", "[", b"["):
            name = os.fspath(page) if not isinstance(page, bytes) else page.decode(errors="replace")
            try:
                page = Path(name).read_bytes()
            except (OSError, ValueError) as error:
                raise DataError(f"{name:.200}: neither JSON text nor a file that can be read: {error}") from error
        try:
            page = json.loads(page)
        except ValueError as error:  # JSONDecodeError, UnicodeDecodeError
            raise DataError(f"{name}: not complete JSON: {error}") from error
    if not isinstance(page, Mapping):
        if isinstance(page, list):
            raise DataError(f"{name}: a JSON array; expected an object with 'snapshots'")
        raise InputTypeError(f"{name}: {type(page).__name__}; expected a path, JSON text or a dict of snapshots")
    if "snapshots" not in page:
        if "message" in page and "code" in page:  # the API's form of an error
            raise DataError(f"{name}: Alpaca answered with an error: {page['message']} (code {page['code']})")
        return page, None, name
    snapshots = page["snapshots"]
    if snapshots is None:
        snapshots = {}
    if not isinstance(snapshots, Mapping):
        raise DataError(f"{name}, field snapshots: {snapshots!r:.60}; expected an object of symbols to snapshots")
    return snapshots, page.get("next_page_token"), name


def _get(holder: Any, names: tuple[str, str]) -> Any:
    """A part by its key in a decoded page, or by its attribute in an alpaca-py object; None where it is missing."""
    if holder is None:
        return None
    if isinstance(holder, Mapping):
        return holder.get(names[0], holder.get(names[1]))
    return getattr(holder, names[1], None)
