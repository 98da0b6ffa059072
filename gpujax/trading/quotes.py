"""Tables of option quotes, as named columns of whatever type, to the typed NumPy columns of a chain.

A table has one row per quote. Its contract is either an OCC `symbol` or the columns `expiry`, `strike` and `right`;
everything else may be missing. Column names are matched against the spellings that vendors use, or given by the caller.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gpujax.errors import DataError, InputError
from gpujax.trading.flags import QuoteFlag, set_flag
from gpujax.trading.occ import OccSymbols, parse_occ
from gpujax.trading.optional import optional_module
from gpujax.trading.table_files import NULLS
from gpujax.trading.times import parse_dates, parse_times

__all__ = ["ALIASES", "OnError", "typed_quotes"]

OnError = Literal["raise", "flag"]

# Column of a chain -> spellings it is recognised by, in order of preference; case, spaces and dashes do not matter.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "occ", "occ_symbol", "option_symbol", "contract_symbol", "contractsymbol", "osi", "contract"),
    "root": ("root", "underlying_symbol", "symbol_root", "class", "ticker"),
    "expiry": ("expiry", "expiration", "expiration_date", "expiry_date", "expire_date", "exdate", "maturity"),
    "strike": ("strike", "strike_price", "k"),
    "right": ("right", "option_type", "call_put", "cp_flag", "put_call", "cp", "type", "is_call"),
    "bid": ("bid", "bid_price", "best_bid", "bp"),
    "ask": ("ask", "ask_price", "best_ask", "best_offer", "offer", "ap"),
    "bid_size": ("bid_size", "bidsize", "bs"),
    "ask_size": ("ask_size", "asksize", "as"),
    "last": ("last", "last_price", "last_trade_price", "lastprice", "trade_price"),
    "underlying": (
        "underlying",
        "underlying_price",
        "underlying_mid",
        "underlying_last",
        "underlying_bid_ask_mid",
        "stock_price",
        "spot",
    ),
    "time": ("time", "timestamp", "quote_time", "quote_datetime", "datetime", "quote_date", "date"),
}

_RIGHTS = {"c": True, "call": True, "true": True, "p": False, "put": False, "false": False}


def typed_quotes(
    table: Mapping[str, Any],
    *,
    source: str,
    columns: Mapping[str, str] | None = None,
    errors: OnError = "raise",
    constants: Mapping[str, Any] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Turn named columns into the typed arrays of a chain.

    Arguments:
        table: column name -> Arrow column, NumPy array or list, all of one length.
        source: what to call the table in messages, e.g. the file name.
        columns: chain column -> name in the table, for names that `ALIASES` does not know.
        errors: "raise" refuses the table at the first cell that cannot be read; "flag" counts such a cell as missing
            and sets `QuoteFlag.BAD_CELL` (or BAD_CONTRACT, for a contract's own cells).
        constants: chain column -> one value for all rows, for what the table lacks (`time`, `underlying`, `root`).

    Returns: root, expiry, strike, is_call, bid, ask, bid_size, ask_size, last, underlying, time, flags.

    Raises: DataError that names the source, the row, the column and the cell; InputError for a wrong mapping.
    """
    if errors not in ("raise", "flag"):
        raise InputError(f"errors: {errors!r}; expected 'raise' or 'flag'")
    found = _match(table, columns or {}, source)
    length = _common_length(table, found, source)
    for name, value in (constants or {}).items():
        if value is None:
            continue
        if name in (columns or {}):
            raise InputError(f"{name}: given both as a value and as column {found[name]!r}")
        found.pop(name, None)
        repeated = np.broadcast_to(np.asarray(value), (length,))
        table, found = {**table, f"argument {name}": repeated}, {**found, name: f"argument {name}"}

    reader = _Reader(table, found, source, errors, length)
    result = reader.contract()
    for name in ("bid", "ask", "bid_size", "ask_size", "last", "underlying"):
        result[name] = reader.numbers(name)
    result["time"] = reader.times()
    result["flags"] = reader.flags
    return result


class _Reader:
    """Reads the columns of one table, and notes or refuses what it cannot read."""

    def __init__(self, table: Mapping[str, Any], found: Mapping[str, str], source: str, errors: str, length: int):
        self.table, self.found, self.source, self.errors, self.length = table, found, source, errors, length
        self.flags = np.zeros(length, dtype=np.uint32)

    def contract(self) -> dict[str, npt.NDArray[Any]]:
        if not {"expiry", "strike", "right"} <= set(self.found):
            parsed, _, codes = self.symbols()
            self.refuse(
                "symbol",
                (parsed.problem != "")[codes],
                lambda row: f"is no OCC symbol: {parsed.problem[codes[row]]}",
                contract=True,
            )
            return {
                "root": parsed.root[codes],
                "expiry": parsed.expiry[codes],
                "is_call": parsed.is_call[codes],
                "strike": parsed.strike[codes],
            }
        dates, bad = self.through("expiry", parse_dates)
        self.refuse("expiry", bad | np.isnat(dates), "is not a date (YYYY-MM-DD)", contract=True)
        is_call, bad = self.through("right", _parse_rights)
        self.refuse("right", bad, "is neither call nor put (C or P)", contract=True)
        strike = self.numbers("strike", contract=True)
        self.refuse("strike", ~(strike > 0.0), "is not a positive number", contract=True)
        if "root" in self.found:
            values, codes = self.distinct("root")
            root = np.array(["" if value is None else str(value).strip() for value in values], dtype=str)[codes]
        elif "symbol" in self.found:
            # In a table that has the parts too, the column holds OCC symbols or just tickers.
            parsed, texts, codes = self.symbols()
            root = np.where(parsed.problem == "", parsed.root, texts)[codes]
        else:
            root = np.zeros(self.length, dtype="U6")
        return {"root": root, "expiry": dates, "is_call": is_call, "strike": strike}

    def symbols(self) -> tuple[OccSymbols, npt.NDArray[np.str_], npt.NDArray[np.intp]]:
        values, codes = self.distinct("symbol")
        texts = np.array(["" if value is None else str(value) for value in values], dtype="U21" if not values else str)
        return parse_occ(texts, errors="flag"), texts, codes

    def numbers(self, name: str, *, contract: bool = False) -> npt.NDArray[np.float64]:
        if name not in self.found:
            return np.full(self.length, np.nan)
        column = self.table[self.found[name]]
        values, bad = _arrow_floats(column) if _is_arrow(column) else _floats(np.asarray(column))
        self.refuse(name, bad, "is not a number", contract=contract)
        impossible = np.isinf(values) | (values < 0.0)
        self.refuse(name, impossible, "is negative or infinite", contract=contract)
        return np.where(impossible, np.nan, values)

    def times(self) -> npt.NDArray[np.datetime64]:
        if "time" not in self.found:
            times = np.full(self.length, np.datetime64("NaT", "ns"))
        else:
            times, bad = self.through("time", parse_times)
            self.refuse("time", bad, "is not a time (ISO 8601, New York unless it has an offset)")
        set_flag(self.flags, np.isnat(times), QuoteFlag.NO_TIME)
        return times

    def distinct(self, name: str) -> tuple[list[Any], npt.NDArray[np.intp]]:
        """Distinct values of a column and the place of each row's among them: most columns repeat few values."""
        column = self.table[self.found[name]]
        if _is_arrow(column):
            return _arrow_distinct(column)
        array = np.asarray(column)
        if array.size and array.strides == (0,):  # one value for all rows
            return [array[0].item() if array.dtype.kind == "U" else array[0]], np.zeros(array.size, dtype=np.intp)
        if array.dtype.kind == "O":
            codes: dict[Any, int] = {}
            places = np.fromiter((codes.setdefault(v, len(codes)) for v in array), dtype=np.intp, count=array.size)
            return list(codes), places
        unique, inverse = np.unique(array, return_inverse=True)
        return unique.tolist(), inverse.reshape(-1)

    def through(self, name: str, parse: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        column = self.table[self.found[name]]
        if not _is_arrow(column):
            array = np.asarray(column)
            if array.dtype.kind in "Mb":
                return parse(array)
        elif (direct := _arrow_instants(column)) is not None:
            instants, is_utc = direct
            return (
                (instants, np.zeros(len(instants), dtype=bool)) if is_utc and parse is parse_times else parse(instants)
            )
        values, codes = self.distinct(name)
        array = np.empty(len(values), dtype=object)
        array[:] = values
        parsed, bad = parse(array)
        return parsed[codes], bad[codes]

    def refuse(self, name: str, bad: npt.NDArray[np.bool_], reason: Any, *, contract: bool = False) -> None:
        if not bad.any():
            return
        if self.errors == "flag":
            set_flag(self.flags, bad, QuoteFlag.BAD_CONTRACT if contract else QuoteFlag.BAD_CELL)
            return
        row = int(np.argmax(bad))
        column = self.table[self.found[name]]
        cell = column[row].as_py() if _is_arrow(column) else np.asarray(column)[row]
        why = reason(row) if callable(reason) else reason
        count = int(np.count_nonzero(bad))
        raise DataError(
            f"{self.source}: row {row + 1}, column {self.found[name]!r}: {str(cell)!r} {why}"
            + (f" ({count} such rows)" if count > 1 else "")
            + "; errors='flag' keeps such rows and flags them"
        )


def _match(table: Mapping[str, Any], columns: Mapping[str, str], source: str) -> dict[str, str]:
    """Chain column -> the table's own name for it."""
    for name, given in columns.items():
        if name not in ALIASES:
            raise InputError(f"columns: {name!r} is not a column of a chain; expected one of {', '.join(ALIASES)}")
        if given not in table:
            raise InputError(f"columns: {name!r} -> {given!r}, but {source} has only {', '.join(map(repr, table))}")
    spelled = {_plain(name): name for name in reversed(list(table))}
    taken = set(columns.values())
    found = dict(columns)
    for name, aliases in ALIASES.items():
        for alias in aliases:
            candidate = spelled.get(alias)
            if name not in found and candidate is not None and candidate not in taken:
                found[name] = candidate
                taken.add(candidate)
    # A column called "underlying" holds a price in some files and a symbol in others.
    if "underlying" in found and "underlying" not in columns and _looks_like_text(table[found["underlying"]]):
        found.setdefault("root", found["underlying"])
        others = [a for a in ALIASES["underlying"] if a in spelled and spelled[a] != found["underlying"]]
        del found["underlying"]
        if others:
            found["underlying"] = spelled[others[0]]
    missing = [name for name in ("expiry", "strike", "right") if name not in found]
    if missing and "symbol" not in found:
        raise DataError(
            f"{source}: no column for {', '.join(missing)} (nor an OCC symbol) among {', '.join(map(repr, table))}; "
            f"name them, e.g. columns={{{missing[0]!r}: '...'}}"
        )
    if "symbol" in columns:
        # Said by the caller to be the contract, so it is.
        return {name: given for name, given in found.items() if name not in ("expiry", "strike", "right")}
    return found


def _plain(name: str) -> str:
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def _common_length(table: Mapping[str, Any], found: Mapping[str, str], source: str) -> int:
    lengths = {given: len(table[given]) for given in found.values()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{source}: columns differ in length: " + ", ".join(f"{k} {v}" for k, v in lengths.items()))
    return next(iter(lengths.values()))


def _looks_like_text(column: Any) -> bool:
    sample = [column[i].as_py() if _is_arrow(column) else column[i] for i in range(min(len(column), 50))]
    texts = [value for value in sample if isinstance(value, str)]
    return bool(texts) and not any(_is_number(text) for text in texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_rights(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    if array.dtype == np.bool_:
        return array, np.zeros(array.shape, dtype=bool)
    read = [_RIGHTS.get(str(value).strip().lower()) for value in array]
    return np.array([value is True for value in read], dtype=bool), np.array(
        [value is None for value in read], dtype=bool
    )


def _floats(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    if array.dtype.kind in "fiu":
        return array.astype(np.float64), np.zeros(array.shape, dtype=bool)
    return _floats_one_by_one(array.tolist())


def _floats_one_by_one(cells: Sequence[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    values, bad = np.full(len(cells), np.nan), np.zeros(len(cells), dtype=bool)
    for row, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and cell.strip() in NULLS):
            continue
        try:
            values[row] = float(cell) if not isinstance(cell, bool) else float("x")
        except (TypeError, ValueError):
            bad[row] = True
    return values, bad


def _is_arrow(column: Any) -> bool:
    return type(column).__module__.partition(".")[0] == "pyarrow"


def _arrow_plain(column: Any) -> Any:
    """One contiguous Arrow array; categories as their values, all text types as one."""
    arrow = optional_module("pyarrow", "reading tables")
    types = arrow.types
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if types.is_dictionary(array.type):
        values = _arrow_plain(array.dictionary)
        array = arrow.DictionaryArray.from_arrays(array.indices, values).dictionary_decode()
    if types.is_large_string(array.type) or types.is_string_view(array.type):
        array = array.cast(arrow.string())
    return array


def _arrow_floats(column: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    arrow = optional_module("pyarrow", "reading tables")
    array = _arrow_plain(column)
    if arrow.types.is_boolean(array.type) or arrow.types.is_temporal(array.type):
        return np.full(len(array), np.nan), np.ones(len(array), dtype=bool)
    try:
        floats = array.cast(arrow.float64())
    except arrow.ArrowInvalid:
        return _floats_one_by_one(array.to_pylist())
    return np.array(floats.to_numpy(zero_copy_only=False), dtype=np.float64), np.zeros(len(array), dtype=bool)


def _arrow_instants(column: Any) -> tuple[npt.NDArray[np.datetime64], bool] | None:
    """Dates and timestamps as datetime64, and whether they are UTC instants; None for other types."""
    arrow = optional_module("pyarrow", "reading tables")
    array = _arrow_plain(column)
    if arrow.types.is_date(array.type):
        return array.cast(arrow.date32()).to_numpy(zero_copy_only=False).astype("M8[D]"), False
    if not arrow.types.is_timestamp(array.type):
        return None
    is_utc = array.type.tz is not None  # Arrow stores an instant wherever it knows a zone
    return array.cast(arrow.timestamp("ns")).to_numpy(zero_copy_only=False).astype("M8[ns]"), is_utc


def _arrow_distinct(column: Any) -> tuple[list[Any], npt.NDArray[np.intp]]:
    encoded = _arrow_plain(column).dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.intp)
