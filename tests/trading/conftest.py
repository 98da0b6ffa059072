"""Synthetic option chains of known forwards and volatilities, priced with SciPy: an oracle that shares no code."""

import numpy as np
import pytest
from scipy.special import ndtr

SPOT = 400.0
QUOTED_AT = "2024-03-04T11:00"  # a Monday, New York
# expiry -> (carry from spot to forward per year, at-the-money volatility); the middle one spans the change to summer time
EXPIRIES = {"2024-03-08": (0.03, 0.45), "2024-03-28": (0.035, 0.32), "2024-12-20": (0.02, 0.26)}
RATE = 0.045


def black_scholes(spot, strike, years, volatility, rate, dividend_yield, is_call):
    """Textbook Black-Scholes-Merton price."""
    deviation = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate - dividend_yield) * years) / deviation + 0.5 * deviation
    sign = np.where(is_call, 1.0, -1.0)
    asset = spot * np.exp(-dividend_yield * years) * ndtr(sign * d1)
    cash = strike * np.exp(-rate * years) * ndtr(sign * (d1 - deviation))
    return sign * (asset - cash)


def smile(at_the_money, log_moneyness, years):
    """A skewed smile in standardised log-moneyness."""
    z = log_moneyness / (at_the_money * np.sqrt(years))
    return at_the_money * (1.0 - 0.06 * z + 0.015 * z * z)


@pytest.fixture
def make_quotes():
    """Columns for `Chain.from_arrays`, with the truth beside them: `quotes, truth = make_quotes(...)`."""

    def build(*, half_spread=0.02, seed=None, width=0.25, step=5.0, carry_shift=0.0):
        rows = {name: [] for name in ("expiry", "strike", "is_call", "mid", "volatility", "forward", "years")}
        for expiry, (carry, level) in EXPIRIES.items():
            # 16:00 New York is 20:00 UTC in summer and 21:00 in winter; the quotes are of 16:00 UTC
            closes = {"2024-03-08": "T21:00", "2024-03-28": "T20:00", "2024-12-20": "T21:00"}[expiry]
            years = (
                (np.datetime64(expiry + closes) - np.datetime64("2024-03-04T16:00")) / np.timedelta64(1, "D") / 365.0
            )
            carry = carry + carry_shift
            forward = SPOT * np.exp(carry * years)
            strikes = np.arange(round(SPOT * (1 - width)), SPOT * (1 + width), step)
            for is_call in (True, False):
                volatility = smile(level, np.log(strikes / forward), years)
                mid = black_scholes(SPOT, strikes, years, volatility, RATE, RATE - carry, is_call)
                rows["expiry"] += [expiry] * len(strikes)
                rows["strike"] += list(strikes)
                rows["is_call"] += [is_call] * len(strikes)
                rows["mid"] += list(mid)
                rows["volatility"] += list(volatility)
                rows["forward"] += [forward] * len(strikes)
                rows["years"] += [years] * len(strikes)
        columns = {name: np.array(values) for name, values in rows.items()}
        noise = (
            0.0 if seed is None else np.random.default_rng(seed).uniform(-0.5, 0.5, len(columns["mid"])) * half_spread
        )
        bid = columns["mid"] - half_spread + noise
        ask = columns["mid"] + half_spread + noise
        quotes = {
            "root": "XYZ",
            "expiry": columns["expiry"],
            "strike": columns["strike"],
            "is_call": columns["is_call"],
            "bid": np.where(bid > 0.0, bid, np.nan),
            "ask": ask,
            "underlying": SPOT,
            "time": QUOTED_AT,
        }
        return quotes, columns

    return build


@pytest.fixture
def oracle():
    """The oracle's price function and its rate."""
    return black_scholes, RATE
