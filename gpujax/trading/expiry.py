"""Time to expiry in years: when an option's life ends, and how the time until then is counted.

An option ends at the close of its last session: 16:00 in New York, 13:00 on a day with an early close; one that settles
on the opening prices (the monthly SPX, NDX, RUT and VIX options) ends at 9:30. An expiration date without a session
(the Saturdays of symbols until 2015, Good Friday) means the last session before it.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gpujax.errors import InputError
from gpujax.trading.sessions import last_session, session_bounds, trading_days_between

__all__ = ["AM_SETTLED_ROOTS", "Clock", "Settlement", "expiry_instants", "years_to_expiry"]

Settlement = Literal["listed", "pm", "am"]
Clock = Literal["calendar/365", "calendar/365.25", "trading/252", "alpaca", "nautilus"]

# Roots whose options settle on opening prices (Cboe and Nasdaq contract specifications); weeklies have other roots.
AM_SETTLED_ROOTS = frozenset({"SPX", "NDX", "RUT", "DJX", "VIX", "VIXW", "MXEA", "MXEF"})

_DAY = np.timedelta64(1, "D")


def expiry_instants(expiry: Any, *, root: Any = None, settlement: Settlement = "listed") -> npt.NDArray[np.datetime64]:
    """The UTC instant at which each option's life ends.

    Arguments:
        expiry: expiration dates, datetime64 `[...]`.
        root: symbol roots, text that broadcasts with expiry; None if unknown.
        settlement: "listed" settles the roots in `AM_SETTLED_ROOTS` at the open and all others at the close;
            "pm" or "am" says it for all.

    Returns: datetime64[ns], UTC, `[...]`; NaT for NaT.

    Raises: InputError for an unknown settlement or a date outside of the exchange calendar (1993 to 2199).

    >>> expiry_instants(np.datetime64("2024-05-03"))
    np.datetime64('2024-05-03T20:00:00.000000000')
    """
    if settlement not in get_args(Settlement):
        raise InputError(f"settlement: {settlement!r}; expected one of {', '.join(get_args(Settlement))}")
    opens, closes = session_bounds(last_session(expiry))
    if settlement == "listed":
        at_open = np.isin(np.asarray(root), list(AM_SETTLED_ROOTS)) if root is not None else np.False_
    else:
        at_open = np.bool_(settlement == "am")
    return np.where(at_open, opens, closes)[()]


def years_to_expiry(time: Any, end: Any, *, clock: Clock = "calendar/365") -> npt.NDArray[np.float64]:
    """Years from one instant to another, to the nanosecond.

    Arguments (broadcast against each other):
        time: UTC instants of the quotes, datetime64 `[...]`.
        end: UTC instants from `expiry_instants`, `[...]`.
        clock: how time is counted.
            "calendar/365" and "calendar/365.25": elapsed days over 365 or 365.25.
            "trading/252": NYSE sessions over 252, each spread evenly over its hours; nights and holidays count nothing.
            "alpaca": whole days from the quote to midnight UTC at the start of the expiration date, over 365. Alpaca
            documents no rule; this one gives the 7/365 that its published Greeks of AAPL240503P00155000 imply at the
            time of that quote. It is zero from the evening two days before the expiration date on, so near expiry
            prefer another clock.
            "nautilus": whole days to the end, at least one, over 365.25, as NautilusTrader's GreeksCalculator counts.

    Returns: float64 `[...]`; zero or negative once the option has expired, NaN for NaT.

    Raises: InputError for an unknown clock.

    >>> years_to_expiry(np.datetime64("2024-04-26T20:00"), np.datetime64("2024-05-03T20:00")) * 365.0
    np.float64(7.0)

    Source for "nautilus": NautilusTrader, nautilus_trader/model/greeks.pyx, instrument_greeks (commit 0124cdc51ed7).
    """
    if clock not in get_args(Clock):
        raise InputError(f"clock: {clock!r}; expected one of {', '.join(get_args(Clock))}")
    time, end = np.asarray(time, dtype="M8[ns]"), np.asarray(end, dtype="M8[ns]")
    if clock == "trading/252":
        return trading_days_between(time, end) / 252.0
    if clock == "alpaca":
        days = np.floor((end.astype("M8[D]") - time) / _DAY)
        return np.where(time >= end, np.minimum(days, 0.0), np.maximum(days, 0.0))[()] / 365.0
    days = (end - time) / _DAY
    if clock == "nautilus":
        return np.where(days > 0.0, np.maximum(np.floor(days), 1.0), days)[()] / 365.25
    return days / (365.25 if clock == "calendar/365.25" else 365.0)
