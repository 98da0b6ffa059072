"""Real market data, kept beside the repository: Alpaca's own Greeks, and every GOOG quote of a trading day."""

import functools

import numpy as np
import pytest

from gpujax.trading import Chain, ForwardMethod, QuoteFlag
from gpujax.trading.flags import has_flag

pytestmark = pytest.mark.shared_data


def test_alpacas_own_greeks(shared):
    """Spot, rate and price as in the data's README: they are what Alpaca must have used, since they reproduce it."""
    chain = Chain.from_alpaca(shared / "data" / "alpaca_option_snapshots.json", underlying=169.74)
    analysis = chain.analyze(rate=0.05295, price="last", clock="alpaca", convention="alpaca")
    assert chain.symbols().tolist() == ["AAPL240503P00155000", "AAPL240126P00050000"]
    assert analysis.years[0] == 7.0 / 365.0
    assert analysis.volatility[0] == pytest.approx(chain.vendor["implied_volatility"][0], abs=1e-7)
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        assert getattr(analysis.greeks, name)[0] == pytest.approx(chain.vendor[name][0], abs=1e-7), name
    # the second contract was quoted after it had expired, and came without Greeks
    assert has_flag(analysis.flags, QuoteFlag.EXPIRED).tolist() == [False, True]
    assert has_flag(analysis.flags, QuoteFlag.NO_VENDOR_GREEKS).tolist() == [False, True]
    assert np.isnan(analysis.volatility[1])


@functools.cache
def analysed_day(folder):
    chain = Chain.from_csv(folder / "data" / "goog_20151224_minute_quotes.csv.gz", root="GOOG")
    return chain.analyze(rate=0.005)


@pytest.fixture
def day(shared):
    return analysed_day(shared)


def test_whole_day_runs_through(day):
    chain = day.chain
    assert len(chain) == 274_567
    assert len(np.unique(chain.symbols())) == 2192
    assert len(chain.expiries) == 12
    assert len(np.unique(chain.snapshot)) == 211
    # 24 December was a half day: what expired that day ended at 13:00
    last = chain.time == chain.time.max()
    assert has_flag(day.flags, QuoteFlag.EXPIRED).sum() == (last & (chain.expiry == np.datetime64("2015-12-24"))).sum()
    two_sided = np.isfinite(chain.mid)
    solved = np.isfinite(day.mid_volatility)
    assert not solved[~two_sided].any()
    assert solved[two_sided].mean() > 0.92
    explained = has_flag(
        day.flags, QuoteFlag.BELOW_INTRINSIC | QuoteFlag.ABOVE_BOUND | QuoteFlag.EXPIRED | QuoteFlag.NO_FORWARD
    )
    assert (two_sided & ~solved & ~explained).sum() == 0
    # mids below intrinsic value are deep in the money, where the spread is many times the time value
    below = has_flag(day.flags, QuoteFlag.BELOW_INTRINSIC)
    assert not (below & day.out_of_the_money).any()


def test_forwards_of_the_day(day):
    """Google paid no dividend: the carry is near the money-market rate of the week after the Fed's first rise (0.2 to 1 %)."""
    forwards, groups = day.forwards, day.groups
    parity = forwards.method == ForwardMethod.PARITY
    assert parity.mean() > 0.75
    carry = np.log(forwards.forward / groups.spot) / groups.years
    for expiry in day.chain.expiries[1:]:
        rows = parity & (groups.expiry == expiry)
        assert 0.001 < np.nanmedian(carry[rows]) < 0.012, expiry
    # the stated error is the scatter of the forward about the spot from minute to minute
    for expiry in ("2016-01-15", "2016-03-18", "2016-06-17", "2017-01-20"):
        rows = parity & (groups.expiry == np.datetime64(expiry)) & np.isfinite(groups.spot)
        basis = (forwards.forward - groups.spot)[rows]
        spread = np.subtract(*np.percentile(basis, [84.0, 16.0])) / 2.0
        assert 0.3 < spread / np.median(forwards.standard_error[rows]) < 3.0, expiry


def test_calls_and_puts_agree(day):
    """At one strike near the forward the call's and the put's volatility are one, within their spreads."""
    near = (np.abs(day.log_moneyness) < 0.02) & np.isfinite(day.mid_volatility) & (day.years > 5.0 / 365.0)
    near &= ~has_flag(day.flags, QuoteFlag.FORWARD_NOT_PARITY | QuoteFlag.WIDE)
    key = np.rec.fromarrays([day.group[near], day.chain.strike[near]])
    _, place, counts = np.unique(key, return_inverse=True, return_counts=True)
    paired = counts[place] == 2
    order = np.argsort(place[paired], kind="stable")
    volatility = day.mid_volatility[near][paired][order].reshape(-1, 2)
    width = (day.ask_volatility - day.bid_volatility)[near][paired][order].reshape(-1, 2)
    difference = np.abs(volatility[:, 0] - volatility[:, 1])
    assert len(difference) > 5000
    assert np.mean(difference <= width.mean(axis=1)) > 0.97


def test_implied_rates_of_the_day(day):
    analysis = day.chain.select(time=("2015-12-24T11:00", "2015-12-24T11:10")).analyze(rate="implied")
    live = analysis.groups.years > 30.0 / 365.0
    assert 0.0 < np.median(analysis.forwards.rate[live]) < 0.015
    assert np.nanmedian(analysis.forwards.rate_error[live]) < 0.006
