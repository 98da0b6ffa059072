"""Option symbols of the Options Clearing Corporation, parsed and formatted in bulk.

A symbol is the root (1 to 6 letters or digits; adjusted contracts end in a digit, FLEX contracts begin with one), the
expiration date as YYMMDD, C or P, and the strike in thousandths of a dollar as 8 digits. The padded form fills the root
with spaces to 6 characters (21 in all); vendors such as Alpaca send it without the spaces (16 to 21).

Source: OCC, "Options Symbology Initiative", 2008, symbol key; in force since February 2010, hence years 2000 to 2099.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gpujax.errors import InputError, InputTypeError

__all__ = ["OccSymbols", "format_occ", "parse_occ"]

_TAIL = 15  # characters after the root: YYMMDD, right, strike
_ROOT = 6
_SPACE, _ZERO = ord(" "), ord("0")


class OccSymbols(NamedTuple):
    """The parts of option symbols, one row per symbol.

    root: text, at most 6 characters. expiry: datetime64[D]. is_call: boolean. strike: float64, in currency.
    problem: what is wrong with the symbol, empty where nothing is; such a row has root "", expiry NaT, strike NaN.
    """

    root: npt.NDArray[np.str_]
    expiry: npt.NDArray[np.datetime64]
    is_call: npt.NDArray[np.bool_]
    strike: npt.NDArray[np.float64]
    problem: npt.NDArray[np.str_]


def parse_occ(symbols: Any, *, errors: Literal["raise", "flag"] = "raise") -> OccSymbols:
    """Take option symbols apart, padded or not.

    Arguments:
        symbols: one string, or a sequence or NumPy array of them, `[n]`.
        errors: "raise" stops at the first malformed symbol; "flag" marks its row in `problem` and goes on.

    Returns: `OccSymbols` of arrays `[n]` (n = 1 for a single string).

    Raises: InputError that names the symbol, its index and what is wrong with it; InputTypeError for anything but
        strings.

    >>> parse_occ("AAPL240503P00155000").strike
    array([155.])
    """
    if errors not in ("raise", "flag"):
        raise InputError(f"errors: {errors!r}; expected 'raise' or 'flag'")
    text = _as_text("symbols", symbols)
    count = text.size
    length = np.strings.str_len(text)
    characters = _characters(text)

    # The tail is read from the right end, so both forms are one case; symbols of a wrong length read zeros.
    position = length[:, None] - _TAIL + np.arange(_TAIL)
    possible = (length > _TAIL) & (length <= _TAIL + _ROOT)
    tail = np.take_along_axis(characters, np.where(possible[:, None], position, 0), axis=1) if count else characters
    tail = np.where(possible[:, None], tail, 0).reshape(count, _TAIL)
    digit = tail.astype(np.int64) - _ZERO
    is_digit = (digit >= 0) & (digit <= 9)

    root_characters = np.zeros((count, _ROOT), dtype=np.uint32)
    width = min(_ROOT, characters.shape[1])
    inside = np.arange(width) < (length[:, None] - _TAIL)
    root_characters[:, :width] = np.where(inside, characters[:, :width], 0)
    space = root_characters == _SPACE
    alphanumeric = ((root_characters >= ord("A")) & (root_characters <= ord("Z"))) | (
        (root_characters >= _ZERO) & (root_characters <= ord("9"))
    )
    padding = np.logical_and.accumulate((space | (root_characters == 0))[:, ::-1], axis=1)[:, ::-1]
    bad_root = ~(alphanumeric | padding).all(axis=1) | padding.all(axis=1)
    bad_padding = space.any(axis=1) & (length != _TAIL + _ROOT)

    year = 2000 + digit[:, 0] * 10 + digit[:, 1]
    month = digit[:, 2] * 10 + digit[:, 3]
    day = digit[:, 4] * 10 + digit[:, 5]
    date_is_digits = np.asarray(is_digit[:, :6].all(axis=1))
    expiry, real_date = _dates(year, month, day, date_is_digits)
    right = tail[:, 6]
    strike_is_digits = is_digit[:, 7:].all(axis=1)
    thousandths = digit[:, 7:] @ (10 ** np.arange(7, -1, -1))

    problem = np.zeros(count, dtype="U64")
    # Later assignments win, so the list runs from the least to the most basic defect.
    for wrong, message in (
        (thousandths == 0, "the strike is zero"),
        (~strike_is_digits, "the last 8 characters, the strike in thousandths, are not digits"),
        ((right != ord("C")) & (right != ord("P")), "the right, 9th from the end, is neither C nor P"),
        (~real_date, "the date is not in the calendar"),
        (~date_is_digits, "the date is not six digits YYMMDD"),
        (bad_root, "the root is not 1 to 6 upper-case letters or digits"),
        (bad_padding, "a root padded with spaces must fill 6 characters"),
        (~possible, "wrong length; expected 16 to 21 characters"),
    ):
        problem[wrong] = message
    wrong = problem != ""
    if errors == "raise" and wrong.any():
        index = int(np.argmax(wrong))
        more = int(np.count_nonzero(wrong)) - 1
        raise InputError(
            f"symbols[{index}]: {str(text[index])!r} is not an OCC option symbol: {problem[index]}"
            + (f" ({more} more malformed; errors='flag' marks them all)" if more else "")
            + "; the form is e.g. 'AAPL  240503P00155000' or 'AAPL240503P00155000'"
        )
    root_characters[space | wrong[:, None]] = 0
    root = root_characters.view(f"U{_ROOT}").reshape(count)
    return OccSymbols(
        root=root,
        expiry=np.where(wrong, np.datetime64("NaT", "D"), expiry),
        is_call=(right == ord("C")) & ~wrong,
        strike=np.where(wrong, np.nan, thousandths / 1000.0),
        problem=problem,
    )


def format_occ(root: Any, expiry: Any, is_call: Any, strike: Any, *, padded: bool = True) -> npt.NDArray[np.str_]:
    """Put option symbols together.

    Arguments (broadcast against each other):
        root: text of 1 to 6 upper-case letters or digits.
        expiry: expiration date, datetime64 or ISO text, in the years 2000 to 2099.
        is_call: booleans.
        strike: in currency, a multiple of 0.001, from 0.001 to 99,999.999.
        padded: fill the root with spaces to 6 characters, as OCC does; Alpaca wants False.

    Returns: text `[...]`, 21 characters each if padded.

    Raises: InputError that names the argument, the index and the value.

    >>> format_occ("AAPL", "2024-05-03", False, 155.0)
    array(['AAPL  240503P00155000'], dtype='<U21')
    """
    text = np.atleast_1d(np.asarray(root))
    if text.size and text.dtype.kind not in "UO":
        raise InputTypeError(f"root: {text.dtype} array; expected text")
    text = text.astype(str)
    try:
        dates = np.atleast_1d(np.asarray(expiry, dtype="M8[D]"))
    except (ValueError, TypeError) as error:
        raise InputError(f"expiry: {expiry!r:.80} cannot be read as dates: {error}; expected YYYY-MM-DD") from None
    right = np.atleast_1d(np.asarray(is_call))
    if right.dtype != np.bool_:
        raise InputTypeError(f"is_call: {right.dtype} array; expected booleans (True for calls, False for puts)")
    strikes = np.atleast_1d(np.asarray(strike, dtype=np.float64))
    try:
        text, dates, right, strikes = np.broadcast_arrays(text, dates, right, strikes)
    except ValueError:
        raise InputError(
            f"shapes do not broadcast: root {text.shape}, expiry {dates.shape}, is_call {right.shape}, "
            f"strike {strikes.shape}"
        ) from None
    shape = text.shape
    text, dates, right, strikes = (np.ascontiguousarray(a).reshape(-1) for a in (text, dates, right, strikes))

    length = np.strings.str_len(text)
    _refuse("root", text, (length < 1) | (length > _ROOT), "expected 1 to 6 characters")
    roots = _characters(text.astype(f"U{_ROOT}"))
    allowed = ((roots >= ord("A")) & (roots <= ord("Z"))) | ((roots >= _ZERO) & (roots <= ord("9"))) | (roots == 0)
    _refuse("root", text, ~allowed.all(axis=1), "expected upper-case letters and digits")
    years = dates.astype("M8[Y]").astype(np.int64) + 1970
    _refuse("expiry", dates, np.isnat(dates) | (years < 2000) | (years > 2099), "expected a date in 2000 to 2099")
    scaled = strikes * 1000.0
    with np.errstate(invalid="ignore"):
        thousandths = np.where(np.isfinite(scaled), np.rint(scaled), 0.0)
        off = ~(np.abs(scaled - thousandths) <= 1e-6) | (thousandths < 1) | (thousandths > 99_999_999)
    _refuse("strike", strikes, off, "expected a multiple of 0.001 from 0.001 to 99999.999")

    months = dates.astype("M8[M]")
    calendar = np.stack([years % 100, months.astype(np.int64) % 12 + 1, (dates - months).astype(np.int64) + 1], axis=1)
    digits = np.concatenate([_digits(calendar, 2), _digits(thousandths.astype(np.int64)[:, None], 8)], axis=1)
    tail = np.empty((text.size, _TAIL), dtype=np.uint32)
    tail[:, :6] = digits[:, :6]
    tail[:, 6] = np.where(right, ord("C"), ord("P"))
    tail[:, 7:] = digits[:, 6:]
    result = np.zeros((text.size, _ROOT + _TAIL), dtype=np.uint32)
    result[:, :_ROOT] = np.where(roots == 0, _SPACE, roots) if padded else roots
    start = np.full(text.size, _ROOT) if padded else length
    np.put_along_axis(result, start[:, None] + np.arange(_TAIL), tail, axis=1)
    return result.view(f"U{_ROOT + _TAIL}").reshape(shape)


def _as_text(name: str, values: Any) -> npt.NDArray[np.str_]:
    """A one-dimensional array of native, contiguous unicode."""
    array = np.atleast_1d(np.asarray(values))
    if array.dtype.kind == "S":
        array = np.strings.decode(array, "latin-1")
    if array.dtype.kind == "O":
        for index, value in enumerate(array.reshape(-1)):
            if not isinstance(value, str):
                raise InputTypeError(f"{name}[{index}]: {type(value).__name__} {value!r:.60}; expected a string")
        array = array.astype(str)
    if array.dtype.kind == "T":  # variable-width strings have no direct way to fixed-width ones
        array = np.array(array.tolist(), dtype=str)
    if array.size == 0:
        return np.zeros(0, dtype="U21")
    if array.dtype.kind != "U":
        raise InputTypeError(f"{name}: {array.dtype} array; expected strings")
    if array.ndim != 1:
        raise InputError(f"{name}: shape {array.shape}; expected one dimension")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _characters(text: npt.NDArray[np.str_]) -> npt.NDArray[np.uint32]:
    """Code points, one row per string, zeros after its end."""
    width = text.dtype.itemsize // 4
    return text.view(np.uint32).reshape(text.size, width)


def _dates(
    year: npt.NDArray[np.int64],
    month: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    legible: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.bool_]]:
    """Calendar dates, and whether they exist (30 February does not)."""
    plausible = legible & (month >= 1) & (month <= 12) & (day >= 1)
    first = np.where(plausible, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    date = first.astype("M8[D]") + np.where(plausible, day - 1, 0).astype("m8[D]")
    return date, plausible & (date.astype("M8[M]") == first)


def _digits(numbers: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.uint32]:
    """Decimal digits as code points, `[n, columns]` to `[n, columns * width]`."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (
        ((numbers[:, :, None] // powers) % 10 + _ZERO).astype(np.uint32).reshape(len(numbers), numbers.shape[1] * width)
    )


def _refuse(name: str, values: npt.NDArray[Any], wrong: npt.NDArray[np.bool_], expected: str) -> None:
    if wrong.any():
        index = int(np.argmax(wrong))
        raise InputError(f"{name}[{index}]: {str(values[index])!r}; {expected}")
