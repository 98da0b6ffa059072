"""The exchange calendar against what the exchange published."""

import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.trading import early_closes, holidays, session_bounds, trading_days_between
from gpujax.trading.sessions import last_session

# NYSE Group press releases "NYSE Group Announces ... Holiday and Early Closings Calendar" of 2018-2020 (Sept 2018), 2021-2023
# (2020-12-28), 2022-2024 (2021-12-27), 2025-2027 (2024-11-08) and 2026-2028 (2025-12-23); 2011-2016 as published by the NYSE
# at the time. Only announced days; unscheduled closings are tested below.
PUBLISHED_HOLIDAYS = {
    2011: "01-17 02-21 04-22 05-30 07-04 09-05 11-24 12-26",
    2012: "01-02 01-16 02-20 04-06 05-28 07-04 09-03 11-22 12-25",
    2013: "01-01 01-21 02-18 03-29 05-27 07-04 09-02 11-28 12-25",
    2014: "01-01 01-20 02-17 04-18 05-26 07-04 09-01 11-27 12-25",
    2015: "01-01 01-19 02-16 04-03 05-25 07-03 09-07 11-26 12-25",
    2016: "01-01 01-18 02-15 03-25 05-30 07-04 09-05 11-24 12-26",
    2018: "01-01 01-15 02-19 03-30 05-28 07-04 09-03 11-22 12-25",
    2019: "01-01 01-21 02-18 04-19 05-27 07-04 09-02 11-28 12-25",
    2020: "01-01 01-20 02-17 04-10 05-25 07-03 09-07 11-26 12-25",
    2021: "01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24",
    2022: "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26",
    2023: "01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 12-25",
    2024: "01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25",
    2025: "01-01 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25",
    2026: "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25",
    2027: "01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 12-24",
    2028: "01-17 02-21 04-14 05-29 06-19 07-04 09-04 11-23 12-25",
}
PUBLISHED_EARLY_CLOSES = {
    2012: "07-03 11-23 12-24",
    2013: "07-03 11-29 12-24",
    2014: "07-03 11-28 12-24",
    2015: "11-27 12-24",
    2018: "07-03 11-23 12-24",
    2019: "07-03 11-29 12-24",
    2020: "11-27 12-24",
    2023: "07-03 11-24",
    2024: "07-03 11-29 12-24",
    2025: "07-03 11-28 12-24",
    2026: "11-27 12-24",
    2027: "11-26",
    2028: "07-03 11-24",
}
UNSCHEDULED = {2012: {"10-29", "10-30"}, 2018: {"12-05"}, 2025: {"01-09"}}


@pytest.mark.parametrize("year", PUBLISHED_HOLIDAYS)
def test_published_holidays(year):
    computed = {day.isoformat()[5:] for day in holidays(year)}
    assert computed - UNSCHEDULED.get(year, set()) == set(PUBLISHED_HOLIDAYS[year].split())
    assert UNSCHEDULED.get(year, set()) <= computed


@pytest.mark.parametrize("year", PUBLISHED_EARLY_CLOSES)
def test_published_early_closes(year):
    assert [day.isoformat()[5:] for day in early_closes(year)] == PUBLISHED_EARLY_CLOSES[year].split()


def test_older_rules():
    assert "2002-07-05" in {
        day.isoformat() for day in early_closes(2002)
    }  # Friday after a Thursday holiday, until 2012
    assert "1999-12-31" in {day.isoformat() for day in early_closes(1999)}
    assert {"2001-09-11", "2001-09-14"} <= {day.isoformat() for day in holidays(2001)}
    assert all(day.isoformat() != "1997-01-20" for day in holidays(1997))  # Martin Luther King Day from 1998
    with pytest.raises(InputError, match="1992"):
        holidays(1992)


def test_sessions_in_summer_winter_and_short():
    opens, closes = session_bounds(
        np.array(["2024-01-02", "2024-07-02", "2024-07-03", "2024-07-04", "2024-07-06"], "M8[D]")
    )
    assert opens.astype("M8[m]").astype(str).tolist() == [
        "2024-01-02T14:30", "2024-07-02T13:30", "2024-07-03T13:30", "NaT", "NaT",
    ]  # fmt: skip
    assert closes.astype("M8[m]").astype(str).tolist() == [
        "2024-01-02T21:00", "2024-07-02T20:00", "2024-07-03T17:00", "NaT", "NaT",
    ]  # fmt: skip


def test_last_session():
    days = np.array(["2024-03-29", "2014-01-18", "2024-03-28", "NaT", "2023-01-02"], "M8[D]")  # Good Friday; a Saturday
    expected = ["2024-03-28", "2014-01-17", "2024-03-28", "NaT", "2022-12-30"]
    assert last_session(days).astype(str).tolist() == expected


@pytest.mark.parametrize(
    ("start", "end", "sessions"),
    [
        ("2024-05-03T13:30", "2024-05-03T20:00", 1.0),
        ("2024-05-03T20:00", "2024-05-06T13:30", 0.0),  # a weekend
        ("2024-05-03T16:45", "2024-05-06T16:45", 1.0),
        ("2015-12-24T14:30", "2015-12-24T18:00", 1.0),  # half day, counted whole
        ("2015-12-24T16:15", "2015-12-24T18:00", 0.5),
        ("2024-01-02T14:30", "2025-01-02T14:30", 252.0),
        ("2024-05-06T20:00", "2024-05-03T20:00", -1.0),
    ],
)
def test_trading_days(start, end, sessions):
    assert trading_days_between(np.datetime64(start), np.datetime64(end)) == pytest.approx(sessions, abs=1e-12)


def test_trading_days_of_nothing():
    assert np.isnan(trading_days_between(np.datetime64("NaT", "ns"), np.datetime64("2024-05-03T20:00")))
