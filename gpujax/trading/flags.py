"""What is known to be wrong, or merely worth knowing, about each quote: one bit per fact.

No row of a chain is ever dropped in silence: a quote that cannot be used keeps its row, gets NaN where nothing can be
said, and carries the flag that says why. Flags describe; whether a flagged quote is used is the caller's decision.
"""

import enum

import numpy as np
import numpy.typing as npt

__all__ = ["QuoteFlag", "count_flags", "describe_flags", "flag_names", "has_flag", "set_flag"]


class QuoteFlag(enum.IntFlag):
    """Quality of one quote. The first block is set when a chain is read, the second when it is analysed.

    NO_BID, NO_ASK: no price on that side. ZERO_BID: a bid of 0.00, which bounds the value but is not a price.
    CROSSED, LOCKED: bid above, or equal to, ask. WIDE: spread above half the mid and above 0.10.
    BAD_CELL: a cell could not be read, or holds an impossible value (a negative price); it counts as missing.
    BAD_CONTRACT: expiry, strike, right or symbol could not be read. NO_TIME: no time of the quote.
    NO_UNDERLYING: no price of the underlying. DUPLICATE: the same contract again in the same snapshot (the last
    counts). NO_VENDOR_GREEKS: the vendor normally sends Greeks with the quote, and sent none.

    EXPIRED: the quote is not earlier than the end of the option's life. STALE: much older than the newest quote
    beside it. NO_PRICE: the price that was asked for (mid, bid, ask or last) does not exist.
    BELOW_INTRINSIC, ABOVE_BOUND: that price lies outside of what no arbitrage allows at this forward, so no volatility
    exists. NO_VOLATILITY: the price is inside the bounds, and the volatility could still not be determined.
    FORWARD_NOT_PARITY: the forward came from elsewhere than this snapshot's calls and puts. NO_FORWARD: there is none.
    """

    NONE = 0
    NO_BID = 1 << 0
    NO_ASK = 1 << 1
    ZERO_BID = 1 << 2
    CROSSED = 1 << 3
    LOCKED = 1 << 4
    WIDE = 1 << 5
    BAD_CELL = 1 << 6
    BAD_CONTRACT = 1 << 7
    NO_TIME = 1 << 8
    NO_UNDERLYING = 1 << 9
    DUPLICATE = 1 << 10
    NO_VENDOR_GREEKS = 1 << 11

    EXPIRED = 1 << 16
    STALE = 1 << 17
    NO_PRICE = 1 << 18
    BELOW_INTRINSIC = 1 << 19
    ABOVE_BOUND = 1 << 20
    NO_VOLATILITY = 1 << 21
    FORWARD_NOT_PARITY = 1 << 22
    NO_FORWARD = 1 << 23


def flag_names(flags: int) -> tuple[str, ...]:
    """Names of the flags set in one number, e.g. `("NO_BID", "STALE")`.

    >>> flag_names(QuoteFlag.NO_BID | QuoteFlag.STALE)
    ('NO_BID', 'STALE')
    """
    return tuple(flag.name or "" for flag in QuoteFlag if flag and int(flags) & flag)


def describe_flags(flags: npt.NDArray[np.integer]) -> npt.NDArray[np.str_]:
    """Text of each row's flags, names joined by `|`, empty where the quote is clean.

    >>> describe_flags(np.array([0, 3], dtype=np.uint32))
    array(['', 'NO_BID|NO_ASK'], dtype='<U13')
    """
    unique, inverse = np.unique(np.asarray(flags), return_inverse=True)
    return np.array(["|".join(flag_names(int(value))) for value in unique], dtype=str)[inverse.reshape(np.shape(flags))]


def count_flags(flags: npt.NDArray[np.integer]) -> dict[str, int]:
    """How many rows carry each flag; flags that no row carries are left out.

    >>> count_flags(np.array([1, 3, 0], dtype=np.uint32))
    {'NO_BID': 2, 'NO_ASK': 1}
    """
    flags = np.asarray(flags)
    counts = {flag.name or "": int(np.count_nonzero(flags & int(flag))) for flag in QuoteFlag if flag}
    return {name: count for name, count in counts.items() if count}


def has_flag(flags: npt.NDArray[np.integer], flag: QuoteFlag) -> npt.NDArray[np.bool_]:
    """Which rows carry at least one of the given flags.

    >>> has_flag(np.array([1, 2, 3], dtype=np.uint32), QuoteFlag.NO_ASK)
    array([False,  True,  True])
    """
    return (np.asarray(flags) & np.uint32(int(flag))) != 0


def set_flag(flags: npt.NDArray[np.uint32], where: npt.NDArray[np.bool_], flag: QuoteFlag) -> None:
    """Set a flag, in place, on the rows where a mask is true."""
    flags[where] |= np.uint32(int(flag))
