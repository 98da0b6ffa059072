"""Instants: every time inside gpujax.trading is datetime64[ns] in UTC; this module is the way in and out.

Text and naive values are New York wall-clock time, the clock of the US option market; values with an offset say for
themselves. Daylight saving comes from the system's time zone database (or the `tzdata` package where there is none).
"""

import functools
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from gpujax.errors import DataError

__all__ = ["from_new_york", "parse_dates", "parse_times", "to_new_york"]

Times = npt.NDArray[np.datetime64]

_NAT = np.datetime64("NaT", "ns")
_TIME = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})"
    r"(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?"
)


@functools.cache
def _zone() -> tzinfo:
    try:
        return ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        raise DataError(
            "this machine has no time zone database, so New York time cannot be told from UTC: pip install tzdata"
        ) from None


def from_new_york(wall: Any) -> Times:
    """UTC instants of New York wall-clock times, datetime64 `[...]`; NaT stays NaT.

    The hour that the clock shows twice in November is taken the first time; the one that it leaves out in March is
    read as if the clock had not been moved yet.

    >>> from_new_york(np.datetime64("2024-07-01T16:00"))
    np.datetime64('2024-07-01T20:00:00.000000000')
    """
    wall = np.asarray(wall, dtype="M8[ns]")
    return wall - _offsets(wall, lambda naive: naive.replace(tzinfo=_zone()))


def to_new_york(instants: Any) -> Times:
    """New York wall-clock times of UTC instants, datetime64[ns] `[...]`; NaT stays NaT.

    >>> to_new_york(np.datetime64("2024-01-02T21:00"))
    np.datetime64('2024-01-02T16:00:00.000000000')
    """
    instants = np.asarray(instants, dtype="M8[ns]")
    return instants + _offsets(instants, lambda naive: naive.replace(tzinfo=UTC).astimezone(_zone()))


def parse_times(values: Any) -> tuple[Times, npt.NDArray[np.bool_]]:
    """UTC instants from text, datetime objects or datetime64 `[n]`, and a mask of the values that could not be read.

    Text is ISO 8601, with a fraction of up to nine digits; without an offset it is New York time. Empty text, None and
    NaT give NaT and are not errors.
    """
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return np.atleast_1d(from_new_york(array)), np.zeros(
            max(1, array.size) if array.ndim == 0 else array.shape, bool
        )
    unique, inverse = _unique(array)
    naive = np.full(len(unique), _NAT)
    minutes = np.zeros(len(unique), dtype=np.int64)
    has_offset = np.zeros(len(unique), dtype=bool)
    bad = np.zeros(len(unique), dtype=bool)
    for index, value in enumerate(unique):
        try:
            naive[index], offset = _read_time(value)
        except ValueError:
            bad[index] = True
            continue
        if offset is not None:
            has_offset[index], minutes[index] = True, offset
    utc = from_new_york(np.where(has_offset, _NAT, naive))
    utc = np.where(has_offset, naive - minutes.astype("m8[m]"), utc)
    return utc[inverse], bad[inverse]


def parse_dates(values: Any) -> tuple[Times, npt.NDArray[np.bool_]]:
    """Dates, datetime64[D], from text, numbers like 20240503, date objects or datetime64 `[n]`, and a mask of failures.

    Text is YYYY-MM-DD or YYYYMMDD; a time of day after it is ignored.
    """
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return np.atleast_1d(array.astype("M8[D]")), np.zeros(np.atleast_1d(array).shape, dtype=bool)
    unique, inverse = _unique(array)
    dates = np.full(len(unique), np.datetime64("NaT", "D"))
    bad = np.zeros(len(unique), dtype=bool)
    for index, value in enumerate(unique):
        try:
            if isinstance(value, (int, np.integer)) or (isinstance(value, float) and value.is_integer()):
                value = str(int(value))
            dates[index] = _read_time(value)[0].astype("M8[D]")
        except ValueError:
            bad[index] = True
    return dates[inverse], bad[inverse]


def _read_time(value: Any) -> tuple[np.datetime64, int | None]:
    """Wall-clock time and its offset from UTC in minutes, None where it has none; ValueError if illegible."""
    if value is None or (isinstance(value, float) and value != value):
        return _NAT, None
    if isinstance(value, np.datetime64):
        return value.astype("M8[ns]"), None
    if isinstance(value, datetime):
        offset = value.utcoffset()
        # pandas timestamps carry nanoseconds that datetime does not know of
        nanoseconds = int(getattr(value, "nanosecond", 0))
        wall = np.datetime64(value.replace(tzinfo=None), "ns") + np.timedelta64(nanoseconds, "ns")
        return wall, None if offset is None else int(offset / timedelta(minutes=1))
    if isinstance(value, date):
        return np.datetime64(value, "ns"), None
    if not isinstance(value, str):
        raise ValueError(value)
    text = value.strip()
    if not text or text in ("NaT", "null", "None"):
        return _NAT, None
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, clock, offset_text = match.groups()
    wall = np.datetime64(f"{year}-{month}-{day}T{clock or '00:00'}", "ns")
    if offset_text is None:
        return wall, None
    if offset_text in ("Z", "UTC"):
        return wall, 0
    digits = offset_text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return wall, -minutes if offset_text[0] == "-" else minutes


def _unique(array: npt.NDArray[Any]) -> tuple[list[Any], npt.NDArray[np.intp]]:
    """Distinct values as Python objects, and where each row's is: files repeat few times and dates in many rows."""
    array = np.atleast_1d(array)
    if array.dtype.kind == "O":
        codes: dict[Any, int] = {}
        inverse = np.fromiter((codes.setdefault(v, len(codes)) for v in array), dtype=np.intp, count=array.size)
        return list(codes), inverse
    unique, inverse = np.unique(array, return_inverse=True)
    return unique.tolist(), inverse.reshape(-1)


def _offsets(times: Times, localise: Any) -> npt.NDArray[np.timedelta64]:
    """New York's offset from UTC at each time; one look-up per distinct hour, since offsets change on the hour."""
    known = ~np.isnat(times)
    hours, inverse = np.unique(times[known].astype("M8[h]"), return_inverse=True)
    seconds = np.array(
        [localise(hour).utcoffset() // timedelta(seconds=1) for hour in hours.astype("M8[s]").tolist()],
        dtype="m8[s]",
    )
    result = np.full(times.shape, np.timedelta64("NaT", "ns"))
    result[known] = seconds[inverse]
    return result
