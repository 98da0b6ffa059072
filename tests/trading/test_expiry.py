"""Times, zones, and time to expiry."""

import datetime as dt
import zoneinfo

import numpy as np
import pytest

from gpujax.errors import DataError, InputError
from gpujax.trading import expiry_instants, times, years_to_expiry
from gpujax.trading.times import from_new_york, parse_dates, parse_times, to_new_york

DAY = 1.0 / 365.0


def test_zone_round_trip_against_zoneinfo():
    zone = zoneinfo.ZoneInfo("America/New_York")
    wall = np.datetime64("2024-01-01T00:07") + np.arange(0, 366 * 24 * 60, 97).astype("m8[m]")
    utc = from_new_york(wall)
    expected = [w.replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None) for w in wall.astype("M8[us]").tolist()]
    np.testing.assert_array_equal(utc, np.array(expected, dtype="M8[ns]"))
    # One hour a year does not exist and reads an hour later; all other times come back.
    assert np.count_nonzero(to_new_york(utc) != wall) == np.count_nonzero(
        (wall >= np.datetime64("2024-03-10T02:00")) & (wall < np.datetime64("2024-03-10T03:00"))
    )


def test_missing_zone_database_names_the_remedy(monkeypatch):
    def nowhere(_):
        raise zoneinfo.ZoneInfoNotFoundError("no database")

    times._zone.cache_clear()
    monkeypatch.setattr(times, "ZoneInfo", nowhere)
    with pytest.raises(DataError, match="pip install tzdata"):
        from_new_york(np.datetime64("2024-01-01"))
    times._zone.cache_clear()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-04-25T20:00:00.259610112Z", "2024-04-25T20:00:00.259610112"),
        ("2024-04-25T16:00", "2024-04-25T20:00"),
        ("2024-04-25 16:00:30", "2024-04-25T20:00:30"),
        ("2024-01-25T16:00:00", "2024-01-25T21:00"),
        ("2024-04-25T16:00:00.5-04:00", "2024-04-25T20:00:00.5"),
        ("2024-04-25T16:00:00+0530", "2024-04-25T10:30"),
        ("20240425", "2024-04-25T04:00"),
        ("", "NaT"),
    ],
)
def test_times_in_text(text, utc):
    parsed, bad = parse_times([text, text])
    assert not bad.any()
    np.testing.assert_array_equal(parsed, np.array([utc, utc], dtype="M8[ns]"))


@pytest.mark.parametrize(
    "text", ["yesterday", "2024-13-01T00:00", "2024-02-30T10:00", "25/04/2024", "2024-04-25T25:00"]
)
def test_illegible_times(text):
    parsed, bad = parse_times(["2024-04-25T16:00", text])
    assert bad.tolist() == [False, True]
    assert np.isnat(parsed[1])


def test_times_as_objects():
    values = np.empty(4, dtype=object)
    values[:] = [dt.datetime(2024, 4, 25, 16), dt.datetime(2024, 4, 25, 20, tzinfo=dt.UTC), None, 1714075200]
    parsed, bad = parse_times(values)
    assert bad.tolist() == [False, False, False, True]  # a bare number could be seconds, milliseconds or nanoseconds
    assert (parsed[:2] == np.datetime64("2024-04-25T20:00")).all()


def test_dates():
    parsed, bad = parse_dates(np.array(["2024-05-03", "20240503", "2024-05-03T16:00", "03/05/2024"], dtype=object))
    assert bad.tolist() == [False, False, False, True]
    assert parsed.astype(str).tolist() == ["2024-05-03"] * 3 + ["NaT"]
    assert parse_dates([20240503, 20240231])[1].tolist() == [False, True]


@pytest.mark.parametrize(
    ("expiry", "root", "settlement", "utc"),
    [
        ("2024-05-03", "AAPL", "listed", "2024-05-03T20:00"),
        ("2024-01-19", "AAPL", "listed", "2024-01-19T21:00"),
        ("2015-12-24", "GOOG", "listed", "2015-12-24T18:00"),  # early close
        ("2014-01-18", "GOOG", "listed", "2014-01-17T21:00"),  # the Saturday of old symbols
        ("2024-01-19", "SPX", "listed", "2024-01-19T14:30"),
        ("2024-01-19", "SPXW", "listed", "2024-01-19T21:00"),
        ("2024-01-19", "SPX", "pm", "2024-01-19T21:00"),
        ("2024-01-19", "AAPL", "am", "2024-01-19T14:30"),
    ],
)
def test_end_of_life(expiry, root, settlement, utc):
    assert expiry_instants(np.datetime64(expiry), root=root, settlement=settlement) == np.datetime64(utc)


def test_clocks():
    quote = parse_times(["2024-04-25T20:00:00.259610112Z"])[0]
    end = expiry_instants(np.array(["2024-05-03"], "M8[D]"))
    eight_days = 8.0 - 0.259610112 / 86400.0
    assert years_to_expiry(quote, end)[0] == pytest.approx(eight_days / 365.0, rel=1e-14)
    assert years_to_expiry(quote, end, clock="calendar/365.25")[0] == pytest.approx(eight_days / 365.25, rel=1e-14)
    assert years_to_expiry(quote, end, clock="trading/252")[0] == pytest.approx(6.0 / 252.0, rel=1e-12)
    assert years_to_expiry(quote, end, clock="alpaca")[0] == 7.0 / 365.0  # what Alpaca's published Greeks imply
    assert years_to_expiry(quote, end, clock="nautilus")[0] == 7.0 / 365.25
    with pytest.raises(InputError, match="clock: 'weekly'"):
        years_to_expiry(quote, end, clock="weekly")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="settlement: 'noon'"):
        expiry_instants(end, settlement="noon")  # pyright: ignore[reportArgumentType]


def test_expiry_day_to_the_minute():
    end = expiry_instants(np.datetime64("2024-05-03"))
    quotes = from_new_york(
        np.array(["2024-05-03T09:30", "2024-05-03T15:59", "2024-05-03T16:00", "2024-05-03T16:01"], "M8[ns]")
    )
    minutes = years_to_expiry(quotes, end) * 365.0 * 1440.0
    np.testing.assert_allclose(minutes, [390.0, 1.0, 0.0, -1.0], atol=1e-9)
    np.testing.assert_allclose(
        years_to_expiry(quotes, end, clock="trading/252") * 252.0 * 390.0, [390.0, 1.0, 0.0, 0.0], atol=1e-7
    )
    assert (years_to_expiry(quotes, end, clock="nautilus")[:2] == 1.0 / 365.25).all()
    assert (years_to_expiry(quotes, end, clock="alpaca") <= 0.0).all()


def test_summer_time_begins_between_quote_and_expiry():
    quote = from_new_york(np.datetime64("2024-03-08T16:00"))
    end = expiry_instants(np.datetime64("2024-03-11"))
    assert years_to_expiry(quote, end) * 365.0 * 24.0 == pytest.approx(71.0)  # one hour of that weekend does not exist


def test_unknown_times_stay_unknown():
    end = expiry_instants(np.array(["2024-05-03", "NaT"], "M8[D]"))
    assert np.isnat(end[1])
    for clock in ("calendar/365", "trading/252", "alpaca", "nautilus"):
        years = years_to_expiry(np.array(["NaT", "2024-05-01"], "M8[ns]"), end, clock=clock)
        assert np.isnan(years).all()
