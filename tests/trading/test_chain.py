"""The chain as a container: flags of the quotes themselves, selection, symbols."""

import datetime as dt

import numpy as np
import pytest

from gpujax.errors import DataError, InputError
from gpujax.trading import Chain, QuoteFlag, count_flags, describe_flags, flag_names


def one_quote(**changed):
    columns = {"root": "XYZ", "expiry": "2024-06-21", "strike": 50.0, "is_call": True, "bid": 2.0, "ask": 2.1}
    columns |= {"underlying": 51.0, "time": "2024-05-01T10:00"}
    return Chain.from_arrays(**(columns | changed))


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, ()),
        ({"bid": np.nan}, ("NO_BID",)),
        ({"ask": np.nan}, ("NO_ASK",)),
        ({"bid": 0.0}, ("ZERO_BID", "WIDE")),
        ({"bid": 0.0, "ask": 0.05}, ("ZERO_BID",)),
        ({"bid": 0.0, "bid_size": 0.0}, ("NO_BID",)),
        ({"ask": 0.0}, ("NO_ASK",)),
        ({"bid": 2.2}, ("CROSSED",)),
        ({"bid": 2.1}, ("LOCKED",)),
        ({"bid": 1.0}, ("WIDE",)),
        ({"bid": 0.05, "ask": 0.10}, ()),  # a few ticks are not wide
        ({"underlying": np.nan}, ("NO_UNDERLYING",)),
        ({"underlying": 0.0}, ("NO_UNDERLYING",)),
        ({"time": "NaT"}, ("NO_TIME",)),
    ],
)
def test_flags_of_a_quote(changed, names):
    assert flag_names(one_quote(**changed).flags[0]) == names


def test_flags_in_words():
    flags = np.array([0, QuoteFlag.NO_BID | QuoteFlag.WIDE, QuoteFlag.WIDE], dtype=np.uint32)
    assert describe_flags(flags).tolist() == ["", "NO_BID|WIDE", "WIDE"]
    assert count_flags(flags) == {"NO_BID": 1, "WIDE": 2}
    assert len({int(flag) for flag in QuoteFlag}) == len(QuoteFlag)


def test_arrays_are_frozen():
    chain = one_quote()
    with pytest.raises(ValueError, match="read-only"):
        chain.bid[0] = 1.0


def test_selection(make_quotes):
    quotes, _ = make_quotes()
    chain = Chain.from_arrays(**quotes)
    assert chain.expiries.astype(str).tolist() == ["2024-03-08", "2024-03-28", "2024-12-20"]
    near = chain.select(expiry="2024-03-28", moneyness=(0.95, 1.05), is_call=False)
    assert set(near.expiry.astype(str)) == {"2024-03-28"}
    assert not near.is_call.any()
    assert near.strike.min() == 380.0
    assert near.strike.max() == 420.0
    assert len(near) == 9
    assert len(chain.select(expiry=[dt.date(2024, 3, 8), "2024-12-20"])) == len(chain) * 2 // 3
    assert len(chain.select(strike=(400.0, 400.0))) == 6
    assert len(chain.select(root="ABC")) == 0
    assert len(chain[chain.is_call]) == len(chain[~chain.is_call]) == len(chain) // 2
    assert len(chain[:5]) == 5
    assert chain[3].strike.tolist() == [chain.strike[3]]


def test_selection_by_time():
    times = ["2024-05-01T10:00", "2024-05-01T10:01", "2024-05-01T10:02"]
    chain = Chain.from_arrays(expiry="2024-06-21", strike=50.0, is_call=True, bid=[1.0, 2.0, 3.0], time=times)
    assert chain.select(time="2024-05-01T10:01").bid.tolist() == [2.0]
    assert chain.select(time=("2024-05-01T10:01", "2024-05-01T14:02Z")).bid.tolist() == [2.0, 3.0]
    assert chain.select(snapshot="last").bid.tolist() == [3.0]
    assert chain.select(snapshot="first").bid.tolist() == [1.0]
    assert chain.select(snapshot=1).bid.tolist() == [2.0]
    with pytest.raises(InputError, match="time: 'noon'"):
        chain.select(time="noon")
    with pytest.raises(InputError, match="expiry: 'soon'"):
        chain.select(expiry="soon")
    with pytest.raises(InputError, match="snapshot: 'middle'"):
        chain.select(snapshot="middle")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="strike: 5"):
        chain.select(strike=5)  # pyright: ignore[reportArgumentType]


def test_snapshots():
    columns = {"expiry": "2024-06-21", "strike": [50.0, 55.0], "is_call": True, "time": ["2024-05-01", "2024-05-02"]}
    assert Chain.from_arrays(**columns).snapshot.tolist() == [0, 1]
    assert Chain.from_arrays(**columns, snapshots="all").snapshot.tolist() == [0, 0]
    assert Chain.from_arrays(**columns, snapshots=np.array([7, 7])).snapshot.tolist() == [7, 7]
    for wrong in ("minute", np.array([1.0, 2.0]), np.array([1])):
        with pytest.raises(InputError, match="snapshots"):
            Chain.from_arrays(**columns, snapshots=wrong)


def test_dates_without_a_clock_are_the_close():
    days = {"expiry": "2024-07-19", "strike": 50.0, "is_call": True}
    chain = Chain.from_arrays(**days, time=["2024-07-02", "2024-07-03", "2024-07-06"])  # ordinary, short, a Saturday
    assert chain.time.astype("M8[m]").astype(str).tolist() == [
        "2024-07-02T20:00",
        "2024-07-03T17:00",
        "2024-07-05T20:00",
    ]
    assert "close" in chain.notes[0]
    clock = Chain.from_arrays(**days, time=["2024-07-02", "2024-07-03T09:31"])
    assert clock.notes == ()
    assert str(clock.time[0])[:16] == "2024-07-02T04:00"


def test_ticks_get_a_hint():
    times = np.datetime64("2024-05-01T10:00") + np.arange(200).astype("m8[ms]")
    columns = {"expiry": "2024-06-21", "strike": 50.0, "is_call": True, "time": times}
    assert "snapshots" in Chain.from_arrays(**columns).notes[0]
    assert Chain.from_arrays(**columns, snapshots="all").notes == ()


def test_duplicates_keep_the_last():
    chain = Chain.from_arrays(
        expiry="2024-06-21", strike=[50.0, 55.0, 50.0], is_call=True, bid=[1.0, 2.0, 3.0], time="2024-05-01T10:00"
    )
    assert ["DUPLICATE" in flag_names(flags) for flags in chain.flags] == [True, False, False]


def test_symbols_and_years():
    chain = one_quote()
    assert chain.symbols().tolist() == ["XYZ240621C00050000"]
    assert chain.symbols(padded=True).tolist() == ["XYZ   240621C00050000"]
    assert chain.years()[0] == pytest.approx((51 + 6 / 24) / 365.0)
    with pytest.raises(InputError, match=r"root\[0\]"):
        Chain.from_arrays(expiry="2024-06-21", strike=50.0, is_call=True).symbols()
    assert chain.mid[0] == pytest.approx(2.05)


def test_what_a_chain_says_of_itself():
    text = repr(one_quote())
    assert "1 quotes of XYZ, 1 expiries (2024-06-21 to 2024-06-21), 1 snapshots, 2024-05-01T10:00:00" in text
    unreadable = Chain.from_arrays(
        expiry=np.array(["soon"], dtype=object), strike=50.0, is_call=True, bid=1.0, errors="flag"
    )
    assert "none legible" in repr(unreadable)


def test_from_arrays_refuses():
    with pytest.raises(DataError, match="no column for strike"):
        Chain.from_arrays(expiry="2024-06-21", is_call=True)
    with pytest.raises(InputError, match="dimensions"):
        Chain.from_arrays(expiry="2024-06-21", strike=np.ones((2, 2)), is_call=True)
    with pytest.raises(InputError, match="'price' is not a column"):
        Chain.from_arrays(expiry="2024-06-21", strike=50.0, is_call=True, price=1.0)
