"""Alpaca snapshots: pages, objects, and everything that may be missing from them."""

import copy
import dataclasses
import datetime as dt
import json

import numpy as np
import pytest

from gpujax.errors import DataError, InputError, InputTypeError
from gpujax.trading import Chain
from gpujax.trading.flags import flag_names

# Of the shape that the API sends; symbols, prices and times are made up.
PAGE = {
    "snapshots": {
        "XYZ240621C00050000": {
            "greeks": {"delta": 0.61, "gamma": 0.055, "rho": 0.04, "theta": -0.021, "vega": 0.079},
            "impliedVolatility": 0.3125,
            "latestQuote": {
                "ap": 3.1, "as": 12, "ax": "C", "bp": 2.9, "bs": 7, "bx": "N", "c": "A",
                "t": "2024-05-01T19:59:59.123456789Z",
            },
            "latestTrade": {"c": "I", "p": 3.05, "s": 2, "t": "2024-05-01T19:31:00Z", "x": "N"},
        },
        "XYZ240621P00050000": {"latestQuote": {"ap": 2.2, "as": 3, "bp": 0, "bs": 0, "t": "2024-05-01T19:59:58Z"}},
        "XYZ240621P00040000": {"latestTrade": {"p": 0.15, "s": 1, "t": "2024-05-01T15:00:00Z"}, "greeks": None},
        "XYZ240621P00030000": {"latestQuote": None, "latestTrade": None, "impliedVolatility": None},
        "XYZ240621P00020000": None,
    },
    "next_page_token": None,
}  # fmt: skip


def check(chain, *, nanoseconds=789):
    assert chain.root.tolist() == ["XYZ"] * 5
    assert chain.strike.tolist() == [50.0, 50.0, 40.0, 30.0, 20.0]
    np.testing.assert_array_equal(chain.bid, [2.9, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(chain.ask, [3.1, 2.2, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(chain.last, [3.05, np.nan, 0.15, np.nan, np.nan])
    np.testing.assert_array_equal(chain.vendor["implied_volatility"], [0.3125] + [np.nan] * 4)
    np.testing.assert_array_equal(chain.vendor["theta"], [-0.021] + [np.nan] * 4)
    expected = np.datetime64("2024-05-01T19:59:59.123456000") + np.timedelta64(nanoseconds, "ns")
    assert chain.time[0] == expected
    assert chain.time[2] == np.datetime64("2024-05-01T15:00")  # no quote: the trade's time
    assert np.isnat(chain.time[3:]).all()
    assert (chain.snapshot == 0).all()
    assert [flag_names(flags) for flags in chain.flags] == [
        ("NO_UNDERLYING",),
        ("NO_BID", "NO_UNDERLYING", "NO_VENDOR_GREEKS"),
        ("NO_BID", "NO_ASK", "NO_UNDERLYING", "NO_VENDOR_GREEKS"),
        ("NO_BID", "NO_ASK", "NO_TIME", "NO_UNDERLYING", "NO_VENDOR_GREEKS"),
        ("NO_BID", "NO_ASK", "NO_TIME", "NO_UNDERLYING", "NO_VENDOR_GREEKS"),
    ]


def test_every_form_of_a_page(tmp_path):
    path = tmp_path / "page.json"
    path.write_text(json.dumps(PAGE))
    check(Chain.from_alpaca(path))
    check(Chain.from_alpaca(str(path)))
    check(Chain.from_alpaca(json.dumps(PAGE)))
    check(Chain.from_alpaca(json.dumps(PAGE).encode()))
    check(Chain.from_alpaca(PAGE))
    check(Chain.from_alpaca(PAGE["snapshots"]))
    items = list(PAGE["snapshots"].items())
    two = [{"snapshots": dict(items[:2]), "next_page_token": "abc"}, {"snapshots": dict(items[2:])}]
    check(Chain.from_alpaca(two))
    assert Chain.from_alpaca(two).notes == ()


@dataclasses.dataclass
class Quote:
    timestamp: dt.datetime
    bid_price: float
    ask_price: float
    bid_size: float
    ask_size: float


@dataclasses.dataclass
class Trade:
    timestamp: dt.datetime
    price: float


@dataclasses.dataclass
class Greeks:
    delta: float
    gamma: float
    rho: float
    theta: float
    vega: float


@dataclasses.dataclass
class Snapshot:
    """The attributes of alpaca-py's OptionsSnapshot (0.44)."""

    latest_quote: Quote | None = None
    latest_trade: Trade | None = None
    implied_volatility: float | None = None
    greeks: Greeks | None = None


def test_objects():
    utc = dt.UTC
    first = Snapshot(
        Quote(dt.datetime(2024, 5, 1, 19, 59, 59, 123456, tzinfo=utc), 2.9, 3.1, 7, 12),
        Trade(dt.datetime(2024, 5, 1, 19, 31, tzinfo=utc), 3.05),
        0.3125,
        Greeks(0.61, 0.055, 0.04, -0.021, 0.079),
    )
    second = Snapshot(Quote(dt.datetime(2024, 5, 1, 19, 59, 58, tzinfo=utc), 0.0, 2.2, 0.0, 3.0))
    third = Snapshot(latest_trade=Trade(dt.datetime(2024, 5, 1, 15, tzinfo=utc), 0.15))
    snapshots = [first, second, third, Snapshot(), Snapshot()]
    check(Chain.from_alpaca(dict(zip(PAGE["snapshots"], snapshots, strict=True))), nanoseconds=0)


def test_underlying_prices():
    assert (Chain.from_alpaca(PAGE, underlying=51).underlying == 51.0).all()
    assert (Chain.from_alpaca(PAGE, underlying={"XYZ": 51.5}).underlying == 51.5).all()
    assert np.isnan(Chain.from_alpaca(PAGE, underlying={"ABC": 51.5}).underlying).all()
    with pytest.raises(InputTypeError, match="underlying"):
        Chain.from_alpaca(PAGE, underlying="51.5")  # pyright: ignore[reportArgumentType]


def test_more_pages_are_noted_and_repeats_flagged():
    more = PAGE | {"next_page_token": "MTIz"}
    chain = Chain.from_alpaca(more)
    assert len(chain.notes) == 1
    assert "more pages follow" in chain.notes[0]
    twice = Chain.from_alpaca([more, PAGE])
    assert len(twice) == 10
    assert ["DUPLICATE" in flag_names(flags) for flags in twice.flags] == [True] * 5 + [False] * 5


def damaged(path, value):
    page = copy.deepcopy(PAGE)
    place = page["snapshots"]["XYZ240621C00050000"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return page


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("latestQuote", "bp"), "2.9", "latestQuote.bp"),
        (("latestQuote", "ap"), True, "latestQuote.ap"),
        (("latestQuote", "bp"), -2.9, "latestQuote.bp"),
        (("latestQuote", "as"), [1], "latestQuote.as"),
        (("latestQuote", "t"), "yesterday", "latestQuote.t"),
        (("latestQuote", "t"), 1714593599, "latestQuote.t"),
        (("latestQuote",), "none", "latestQuote"),
        (("latestTrade",), [3.05], "latestTrade"),
        (("latestTrade", "p"), {}, "latestTrade.p"),
        (("greeks",), 0.61, "greeks"),
        (("greeks", "delta"), "high", "greeks.delta"),
        (("impliedVolatility",), "31%", "impliedVolatility"),
        (("impliedVolatility",), float("inf"), "impliedVolatility"),
    ],
)
def test_malformed_fields_are_named_or_flagged(path, value, field):
    page = damaged(path, value)
    with pytest.raises(DataError) as caught:
        Chain.from_alpaca(page)
    assert "page 1: XYZ240621C00050000, field " + field in str(caught.value)
    flagged = Chain.from_alpaca(page, errors="flag")
    assert ["BAD_CELL" in flag_names(flags) for flags in flagged.flags] == [True] + [False] * 4


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ('{"snapshots": {"XYZ240621C00050000": {"latestQ', "page 1: not complete JSON"),
        ("[1, 2]", "page 1: a JSON array"),
        ('{"snapshots": [1]}', "page 1, field snapshots"),
        ('{"code": 40110000, "message": "request is not authorized"}', "request is not authorized"),
        ('{"snapshots": {"XYZ240631C00050000": null}}', "XYZ240631C00050000: is not an OCC option symbol"),
        ('{"snapshots": {"XYZ240621C00050000": 5}}', "XYZ240621C00050000: 5; expected an object"),
        ("nowhere.json", "nowhere.json: neither JSON text nor a file"),
        (b"\xff\xfe", "neither JSON text nor a file"),
    ],
)
def test_malformed_pages(page, message):
    with pytest.raises(DataError, match=message):
        Chain.from_alpaca(page)


def test_pages_of_the_wrong_type():
    with pytest.raises(InputTypeError, match="page 1: int"):
        Chain.from_alpaca(5)
    with pytest.raises(InputError, match="errors: 'ignore'"):
        Chain.from_alpaca(PAGE, errors="ignore")  # pyright: ignore[reportArgumentType]
    flagged = Chain.from_alpaca('{"snapshots": {"XYZ240631C00050000": null}}', errors="flag")
    assert "BAD_CONTRACT" in flag_names(flagged.flags[0])


def test_an_empty_page():
    assert len(Chain.from_alpaca({"snapshots": {}})) == 0
    assert len(Chain.from_alpaca({"snapshots": None, "next_page_token": None})) == 0
    assert len(Chain.from_alpaca([])) == 0
