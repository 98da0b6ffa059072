"""The trading sessions of the New York Stock Exchange, from its rules: which days, and from when to when.

Holidays and early closes follow NYSE Rule 7.2 and the exchange's yearly announcements ("NYSE Group Announces ...
Holiday and Early Closings Calendar"; known through 2028 when this was written). Unscheduled closings are a list. US
equity option exchanges keep the same days and close at the same time. Years before 1993 had other hours and are
refused.
"""

import functools
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from gpujax.errors import InputError
from gpujax.trading.times import from_new_york, to_new_york

__all__ = ["dates_at_the_close", "early_closes", "holidays", "last_session", "session_bounds", "trading_days_between"]

FIRST_YEAR, LAST_YEAR = 1993, 2199

# Closed for a day of mourning, an attack or a storm.
_UNSCHEDULED_CLOSINGS = (
    (1994, 4, 27),  # President Nixon
    *((2001, 9, day) for day in (11, 12, 13, 14)),  # attack on the World Trade Center
    (2004, 6, 11),  # President Reagan
    (2007, 1, 2),  # President Ford
    (2012, 10, 29),  # hurricane Sandy
    (2012, 10, 30),
    (2018, 12, 5),  # President G. H. W. Bush
    (2025, 1, 9),  # President Carter
)
_UNSCHEDULED_EARLY_CLOSES = ((1997, 12, 26), (1999, 12, 31), (2003, 12, 26))

_OPEN, _CLOSE, _EARLY_CLOSE = (np.timedelta64(m, "m") for m in (9 * 60 + 30, 16 * 60, 13 * 60))
_MONDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = 0, 3, 4, 5, 6


def holidays(year: int) -> tuple[date, ...]:
    """Weekdays of a year on which the exchange stays closed, in order.

    >>> [day.isoformat() for day in holidays(2024)][:3]
    ['2024-01-01', '2024-01-15', '2024-02-19']
    """
    _check_year(year)
    days = [
        _nth(year, 2, _MONDAY, 3),  # Washington's Birthday
        _easter(year) - timedelta(days=2),  # Good Friday
        _nth(year, 6, _MONDAY, 1) - timedelta(days=7),  # Memorial Day, the last Monday of May
        _observed(date(year, 7, 4)),
        _nth(year, 9, _MONDAY, 1),  # Labor Day
        _nth(year, 11, _THURSDAY, 4),  # Thanksgiving
        _observed(date(year, 12, 25)),
        *(date(*day) for day in _UNSCHEDULED_CLOSINGS if day[0] == year),
    ]
    # A New Year's Day on a Saturday is not observed on the Friday before, which ends an accounting year (Rule 7.2).
    if date(year, 1, 1).weekday() != _SATURDAY:
        days.append(_observed(date(year, 1, 1)))
    if year >= 1998:
        days.append(_nth(year, 1, _MONDAY, 3))  # Martin Luther King, Jr. Day
    if year >= 2022:
        days.append(_observed(date(year, 6, 19)))  # Juneteenth
    return tuple(sorted(days))


def early_closes(year: int) -> tuple[date, ...]:
    """Sessions of a year that end at 13:00, in order: around Independence Day, after Thanksgiving, Christmas Eve.

    >>> [day.isoformat() for day in early_closes(2015)]
    ['2015-11-27', '2015-12-24']
    """
    closed = set(holidays(year))
    days = [_nth(year, 11, _THURSDAY, 4) + timedelta(days=1), date(year, 12, 24)]
    if year >= 1995:
        # With the holiday on a Thursday the Friday after it was short until 2012; since 2013 it is the Wednesday
        # before.
        fourth = date(year, 7, 4).weekday()
        after = fourth == _THURSDAY and year <= 2012
        days.append(date(year, 7, 5 if after else 3))
    days += [date(*day) for day in _UNSCHEDULED_EARLY_CLOSES if day[0] == year]
    return tuple(sorted(day for day in days if day.weekday() < _SATURDAY and day not in closed))


def session_bounds(days: Any) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.datetime64]]:
    """UTC instants at which the session of each day opens and closes, `[...]`; NaT where there is no session.

    >>> session_bounds(np.datetime64("2015-12-24"))[1]
    np.datetime64('2015-12-24T18:00:00.000000000')
    """
    days = np.asarray(days, dtype="M8[D]")
    table_days, opens, closes = _table_for(days)
    index = np.minimum(np.searchsorted(table_days, days), len(table_days) - 1)
    nowhere = table_days[index] != days
    nat = np.datetime64("NaT", "ns")
    return np.where(nowhere, nat, opens[index])[()], np.where(nowhere, nat, closes[index])[()]


def last_session(days: Any) -> npt.NDArray[np.datetime64]:
    """The last day with a session on or before each day, datetime64[D] `[...]`; NaT stays NaT.

    >>> last_session(np.datetime64("2014-01-18"))     # a Saturday, the form of expiration dates until 2015
    np.datetime64('2014-01-17')
    """
    days = np.asarray(days, dtype="M8[D]")
    table_days, _, _ = _table_for(days)
    index = np.searchsorted(table_days, days, side="right") - 1
    return np.where(np.isnat(days), days, table_days[np.maximum(index, 0)])[()]


def trading_days_between(start: Any, end: Any) -> npt.NDArray[np.float64]:
    """Sessions from one UTC instant to another, with fractions, `[...]`; negative if `end` is earlier, NaN for NaT.

    Every session counts 1, spread evenly over its own length; nights, weekends and holidays count nothing.
    """
    start, end = np.asarray(start, dtype="M8[ns]"), np.asarray(end, dtype="M8[ns]")
    known = [t[~np.isnat(t)].astype("M8[D]").reshape(-1) for t in (start, end)]
    _, opens, closes = _table_for(np.concatenate(known))
    return _sessions_before(end, opens, closes) - _sessions_before(start, opens, closes)


def dates_at_the_close(times: Any) -> tuple[npt.NDArray[np.datetime64], tuple[str, ...]]:
    """Read times that are all plain dates as end-of-day quotes: of the close, not of midnight; and a note if that was done.

    >>> dates_at_the_close(from_new_york(np.array(["2024-07-03"], "M8[D]")))[0]
    array(['2024-07-03T17:00:00.000000000'], dtype='datetime64[ns]')
    """
    times = np.asarray(times, dtype="M8[ns]")
    wall = to_new_york(times)
    known = wall[~np.isnat(wall)]
    if not known.size or (known != known.astype("M8[D]")).any():
        return times, ()
    _, closes = session_bounds(last_session(wall.astype("M8[D]")))
    return np.asarray(closes), ("times are dates without a clock; taken as the close of each day's session",)


def _sessions_before(instants: Any, opens: Any, closes: Any) -> npt.NDArray[np.float64]:
    index = np.maximum(np.searchsorted(opens, instants, side="right") - 1, 0)
    fraction = (instants - opens[index]) / (closes[index] - opens[index])
    return index + np.clip(fraction, 0.0, 1.0)


def _table_for(days: npt.NDArray[np.datetime64]) -> Any:
    known = days[~np.isnat(days)]
    if known.size == 0:
        return _table(2000, 2000)
    years = np.array([known.min(), known.max()]).astype("M8[Y]").astype(np.int64) + 1970
    first, last = int(years[0]), int(years[1])
    _check_year(first)
    _check_year(last)
    # One year more on either side, so that "the last session before" is always inside.
    return _table(max(first - 1, FIRST_YEAR), min(last + 1, LAST_YEAR))


@functools.lru_cache(maxsize=8)
def _table(first: int, last: int) -> Any:
    """Days, opening and closing instants (UTC) of all sessions from one year to another."""
    years = range(first, last + 1)
    days = np.arange(f"{first}-01-01", f"{last + 1}-01-01", dtype="M8[D]")
    closed = np.array([day for year in years for day in holidays(year)], dtype="M8[D]")
    days = days[np.is_busday(days, holidays=closed)]
    short = np.isin(days, np.array([day for year in years for day in early_closes(year)], dtype="M8[D]"))
    opens = from_new_york(days + _OPEN)
    closes = from_new_york(days + np.where(short, _EARLY_CLOSE, _CLOSE))
    for array in (days, opens, closes):
        array.setflags(write=False)
    return days, opens, closes


def _check_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InputError(f"year {year}: the exchange calendar covers {FIRST_YEAR} to {LAST_YEAR}")


def _nth(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))


def _observed(day: date) -> date:
    """The Friday before a holiday on a Saturday, the Monday after one on a Sunday."""
    return day + timedelta(days={_SATURDAY: -1, _SUNDAY: 1}.get(day.weekday(), 0))


def _easter(year: int) -> date:
    """Western Easter Sunday, by the anonymous Gregorian computus (Meeus, Astronomical Algorithms, 1991, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    week = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * week) // 451
    month, day = divmod(h + week - 7 * m + 114, 31)
    return date(year, month, day + 1)
