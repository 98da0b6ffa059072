"""OCC symbols, both ways."""

import numpy as np
import pytest

from gpujax.errors import InputError, InputTypeError
from gpujax.trading import format_occ, parse_occ


def test_padded_and_unpadded_are_one():
    parsed = parse_occ(["AAPL240503P00155000", "AAPL  240503P00155000", b"AAPL240503P00155000".decode()])
    assert parsed.root.tolist() == ["AAPL"] * 3
    assert parsed.expiry.astype(str).tolist() == ["2024-05-03"] * 3
    assert not parsed.is_call.any()
    assert parsed.strike.tolist() == [155.0] * 3
    assert (parsed.problem == "").all()


@pytest.mark.parametrize(
    ("symbol", "root", "expiry", "is_call", "strike"),
    [
        ("A250117C00130000", "A", "2025-01-17", True, 130.0),
        ("AAPL1 240503C00155005", "AAPL1", "2024-05-03", True, 155.005),  # adjusted, strike in thousandths
        ("AAPL1240503C00155005", "AAPL1", "2024-05-03", True, 155.005),
        ("GOOGL1250117P00000001", "GOOGL1", "2025-01-17", False, 0.001),
        ("2SPXW 991231C99999999", "2SPXW", "2099-12-31", True, 99999.999),  # FLEX
        ("SPXW  240229P05100000", "SPXW", "2024-02-29", False, 5100.0),  # leap day
    ],
)
def test_parts(symbol, root, expiry, is_call, strike):
    parsed = parse_occ(symbol)
    assert (parsed.root[0], str(parsed.expiry[0]), parsed.is_call[0], parsed.strike[0]) == (
        root,
        expiry,
        is_call,
        strike,
    )
    assert format_occ(*parsed[:4])[0].replace(" ", "") == symbol.replace(" ", "")


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("", "wrong length"),
        ("AAPL", "wrong length"),
        ("240503P00155000", "wrong length"),  # no root
        ("TOOLONG240503P00155000", "wrong length"),
        ("AAPL240231P00155000", "not in the calendar"),
        ("AAPL230229P00155000", "not in the calendar"),
        ("AAPL241301P00155000", "not in the calendar"),
        ("AAPL240500P00155000", "not in the calendar"),
        ("AAPL24O503P00155000", "six digits"),
        ("AAPL240503X00155000", "neither C nor P"),
        ("AAPL240503p00155000", "neither C nor P"),
        ("AAPL240503P0015500x", "not digits"),
        ("AAPL240503P-0155000", "not digits"),
        ("AAPL240503P00000000", "strike is zero"),
        ("aapl240503P00155000", "upper-case"),
        ("BRK.B240503P00155000", "upper-case"),
        ("AA PL 240503P00155000", "upper-case"),
        (" AAPL 240503P00155000", "upper-case"),
        ("      240503P00155000", "upper-case"),
        ("AAPL 240503P00155000", "must fill 6"),
        ("AAPL\u0661240503P0015500", "six digits"),
    ],
)
def test_malformed_is_named(symbol, reason):
    with pytest.raises(InputError, match=reason) as caught:
        parse_occ(["AAPL240503P00155000", symbol])
    assert "symbols[1]" in str(caught.value)
    assert repr(symbol) in str(caught.value)


def test_flag_mode_keeps_the_good_rows():
    parsed = parse_occ(["AAPL240231P00155000", "AAPL240503C00155000", "x"], errors="flag")
    assert parsed.problem.astype(bool).tolist() == [True, False, True]
    assert np.isnan(parsed.strike[[0, 2]]).all()
    assert np.isnat(parsed.expiry[[0, 2]]).all()
    assert parsed.root.tolist() == ["", "AAPL", ""]
    assert parsed.is_call.tolist() == [False, True, False]


def test_not_strings():
    with pytest.raises(InputTypeError, match=r"symbols\[1\]: NoneType None"):
        parse_occ(["AAPL240503P00155000", None])
    with pytest.raises(InputTypeError, match="int64 array"):
        parse_occ(np.arange(3))
    with pytest.raises(InputError, match="errors: 'ignore'"):
        parse_occ([], errors="ignore")  # pyright: ignore[reportArgumentType]


def test_bulk_round_trip():
    rng = np.random.default_rng(7)
    n = 100_000
    roots = np.array(["A", "GE", "IBM", "AAPL", "GOOGL", "GOOGL1", "BRKB", "1ABC2"])[rng.integers(0, 8, n)]
    expiry = np.datetime64("2000-01-01") + rng.integers(0, 36_500, n).astype("m8[D]")
    is_call = rng.random(n) < 0.5
    strike = rng.integers(1, 100_000_000, n) / 1000.0
    for padded in (True, False):
        symbols = format_occ(roots, expiry, is_call, strike, padded=padded)
        lengths = np.strings.str_len(symbols)
        assert (lengths == (21 if padded else np.strings.str_len(roots) + 15)).all()
        parsed = parse_occ(symbols)
        np.testing.assert_array_equal(parsed.root, roots)
        np.testing.assert_array_equal(parsed.expiry, expiry)
        np.testing.assert_array_equal(parsed.is_call, is_call)
        np.testing.assert_array_equal(parsed.strike, strike)  # to the last bit


def test_other_string_arrays():
    plain = np.array(["AAPL240503P00155000", "A250117C00130000"])
    for symbols in (
        plain.astype("S"),
        plain.astype(object),
        plain.astype(">U21"),
        plain[::-1],
        plain.astype(np.dtypes.StringDType()),
    ):
        assert sorted(parse_occ(symbols).strike.tolist()) == [130.0, 155.0]
    assert len(parse_occ([]).strike) == 0
    assert format_occ([], np.zeros(0, "M8[D]"), np.zeros(0, bool), []).shape == (0,)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"root": "TOOLONG"}, r"root\[0\]: 'TOOLONG'; expected 1 to 6"),
        ({"root": ""}, "expected 1 to 6"),
        ({"root": "aapl"}, "upper-case"),
        ({"expiry": "1999-12-31"}, "2000 to 2099"),
        ({"expiry": "not a date"}, "expiry: 'not a date'"),
        ({"strike": [155.0, 155.0005]}, r"strike\[1\]"),
        ({"strike": np.nan}, "multiple of 0.001"),
        ({"strike": 100_000.0}, "multiple of 0.001"),
        ({"strike": -1.0}, "multiple of 0.001"),
    ],
)
def test_format_refuses(changed, message):
    with pytest.raises(InputError, match=message):
        format_occ(**({"root": "AAPL", "expiry": "2024-05-03", "is_call": True, "strike": 155.0} | changed))


def test_format_refuses_rights_that_are_no_booleans():
    with pytest.raises(InputTypeError, match="is_call"):
        format_occ("AAPL", "2024-05-03", "C", 155.0)
