"""The whole way, from quotes of known volatility to volatilities, Greeks and flags."""

import jax
import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.pricing import black_scholes
from gpujax.trading import Chain, ForwardMethod, QuoteFlag, flag_names
from gpujax.trading.batch import evaluate
from gpujax.trading.flags import has_flag


def test_known_volatilities_come_back(make_quotes, oracle):
    _, rate = oracle
    quotes, truth = make_quotes(half_spread=0.01)
    analysis = Chain.from_arrays(**quotes).analyze(rate=rate)
    np.testing.assert_allclose(analysis.years, truth["years"], rtol=1e-13)
    np.testing.assert_allclose(analysis.forward, truth["forward"], rtol=1e-9)
    priced = truth["mid"] > 0.01  # cheaper options had no bid
    solved = np.isfinite(analysis.mid_volatility)
    assert solved[priced & analysis.out_of_the_money].all()
    time_value = truth["mid"] - np.maximum(
        np.where(truth["is_call"], 1, -1) * (truth["forward"] - truth["strike"]) * np.exp(-rate * truth["years"]), 0.0
    )
    sound = solved & (time_value > 1e-6)
    np.testing.assert_allclose(analysis.mid_volatility[sound], truth["volatility"][sound], rtol=1e-5)
    out = sound & analysis.out_of_the_money
    np.testing.assert_allclose(analysis.mid_volatility[out], truth["volatility"][out], rtol=1e-7)
    both = np.isfinite(analysis.bid_volatility) & solved
    assert (analysis.bid_volatility[both] < analysis.mid_volatility[both]).all()
    assert (analysis.ask_volatility[both] > analysis.mid_volatility[both]).all()


def test_greeks_are_those_of_the_pricing_functions(make_quotes, oracle):
    price, rate = oracle
    quotes, _ = make_quotes(half_spread=0.01, step=20.0)
    chain = Chain.from_arrays(**quotes)
    analysis = chain.analyze(rate=rate, greeks=("price", "delta", "vega", "rho", "theta", "gamma"))
    rows = np.isfinite(analysis.mid_volatility)
    np.testing.assert_allclose(analysis.greeks.price[rows], chain.mid[rows], atol=1e-9)
    assert np.isnan(analysis.greeks.delta[~rows]).all()
    assert analysis.greeks.vanna is None
    # delta against a central difference of the oracle
    inputs = (quotes["strike"], analysis.years, analysis.volatility, rate, analysis.dividend_yield, quotes["is_call"])
    bumped = (price(400.01, *inputs) - price(399.99, *inputs)) / 0.02
    np.testing.assert_allclose(analysis.greeks.delta[rows], bumped[rows], atol=1e-6)


def test_greeks_of_calls_and_puts_satisfy_parity(make_quotes, oracle):
    """Delta of call minus put is exp(-q T), of rho K T exp(-r T), at one volatility; both sides are computed on their own."""
    _, rate = oracle
    quotes, truth = make_quotes(half_spread=1e-9, step=20.0)
    analysis = Chain.from_arrays(**quotes).analyze(rate=rate)
    for expiry in analysis.chain.expiries:
        calls, puts = (
            np.flatnonzero((analysis.chain.expiry == expiry) & (analysis.chain.is_call == side))
            for side in (True, False)
        )
        np.testing.assert_array_equal(analysis.chain.strike[calls], analysis.chain.strike[puts])
        near = np.abs(analysis.log_moneyness[calls]) < 0.08
        years, q = analysis.years[calls], analysis.dividend_yield[calls]
        difference = {
            name: getattr(analysis.greeks, name)[calls] - getattr(analysis.greeks, name)[puts]
            for name in ("delta", "rho")
        }
        np.testing.assert_allclose(difference["delta"][near], np.exp(-q * years)[near], atol=1e-5)
        cash = truth["strike"][calls] * years * np.exp(-rate * years)
        np.testing.assert_allclose(difference["rho"][near], cash[near], rtol=1e-4)


def test_no_quote_is_dropped_and_every_gap_is_explained(make_quotes, oracle):
    _, rate = oracle
    quotes, _ = make_quotes(half_spread=0.15, seed=8, width=0.45)
    quotes["bid"][::7] = np.nan
    quotes["ask"][::11] = np.nan
    analysis = Chain.from_arrays(**quotes).analyze(rate=rate)
    assert len(analysis) == len(quotes["strike"])
    missing = np.isnan(analysis.volatility)
    reasons = QuoteFlag.NO_PRICE | QuoteFlag.BELOW_INTRINSIC | QuoteFlag.ABOVE_BOUND | QuoteFlag.NO_VOLATILITY
    assert has_flag(analysis.flags[missing], reasons).all()
    assert not has_flag(analysis.flags[~missing], reasons).any()
    assert not has_flag(analysis.flags, QuoteFlag.NO_VOLATILITY).any()
    assert 0.1 < missing.mean() < 0.6


def test_price_outside_of_the_bounds(oracle):
    _, rate = oracle
    contract = {"expiry": "2024-06-21", "underlying": 100.0, "time": "2024-05-01T10:00"}
    chain = Chain.from_arrays(
        **contract,
        strike=[90.0, 90.0, 110.0, 110.0],
        is_call=np.array([True, True, False, False]),
        bid=[9.0, 101.0, 9.0, 111.0],
        ask=[9.1, 101.1, 9.1, 111.1],
    )
    analysis = chain.analyze(rate=rate, forward="spot")
    assert ["BELOW_INTRINSIC" in flag_names(flags) for flags in analysis.flags] == [True, False, True, False]
    assert ["ABOVE_BOUND" in flag_names(flags) for flags in analysis.flags] == [False, True, False, True]
    assert np.isnan(analysis.mid_volatility).all()
    assert not has_flag(analysis.flags, QuoteFlag.FORWARD_NOT_PARITY).any()  # it was asked for


def test_the_price_that_counts(oracle):
    price, rate = oracle
    fair = price(100.0, 100.0, 51.25 / 365.0, np.array([0.2, 0.25, 0.3, 0.35]), rate, 0.0, True)
    quote = {"expiry": "2024-06-21", "strike": 100.0, "is_call": True, "underlying": 100.0, "time": "2024-05-01T10:00"}
    chain = Chain.from_arrays(**quote, bid=fair[0], ask=fair[2], last=fair[3])
    for name, volatility in (("bid", 0.2), ("ask", 0.3), ("last", 0.35)):
        analysis = chain.analyze(rate=rate, price=name)
        assert analysis.volatility[0] == pytest.approx(volatility, rel=1e-10)
        assert analysis.bid_volatility[0] == pytest.approx(0.2, rel=1e-10)
        assert analysis.last_volatility[0] == pytest.approx(0.35, rel=1e-10)
    assert 0.2 < chain.analyze(rate=rate).volatility[0] < 0.3
    no_trade = Chain.from_arrays(**quote, bid=fair[0], ask=fair[2]).analyze(rate=rate, price="last")
    assert "NO_PRICE" in flag_names(no_trade.flags[0])
    assert np.isnan(no_trade.greeks.delta[0])


def test_expiry_day_and_after(oracle):
    price, rate = oracle
    times = ["2024-05-03T09:45", "2024-05-03T15:59", "2024-05-03T16:00", "2024-05-06T10:00"]
    minutes = np.array([375.0, 1.0, 1.0, 1.0])
    fair = price(100.0, 100.0, minutes / (365.0 * 1440.0), 0.5, rate, 0.0, True)
    chain = Chain.from_arrays(
        expiry="2024-05-03", strike=100.0, is_call=True, bid=fair, ask=fair, underlying=100.0, time=times
    )
    analysis = chain.analyze(rate=rate)
    np.testing.assert_allclose(analysis.mid_volatility[:2], 0.5, rtol=1e-8)
    assert np.isnan(analysis.mid_volatility[2:]).all()
    assert has_flag(analysis.flags, QuoteFlag.EXPIRED).tolist() == [False, False, True, True]
    assert np.isfinite(analysis.greeks.gamma[:2]).all()


def test_stale_and_duplicate_quotes_stay_out_of_parity(make_quotes, oracle):
    _, rate = oracle
    quotes, truth = make_quotes()
    chain = Chain.from_arrays(**quotes)
    spoilt = {name: np.broadcast_to(quotes[name], len(chain)).copy() for name in ("bid", "ask", "time")}
    # both sides of the best pairs, and of one kind of option only, so that parity would notice
    old = np.abs(chain.strike - 400.0) <= 40.0
    spoilt["bid"][old & chain.is_call] += 3.0
    spoilt["ask"][old & chain.is_call] += 3.0
    spoilt["time"] = np.where(old, "2024-03-04T10:30", spoilt["time"])
    analysis = Chain.from_arrays(**quotes | spoilt, snapshots="all").analyze(rate=rate)
    assert has_flag(analysis.flags, QuoteFlag.STALE).tolist() == old.tolist()
    np.testing.assert_allclose(analysis.forwards.forward, np.unique(truth["forward"]), rtol=1e-9)
    # the stale quotes' own forwards are of their own time
    assert analysis.years[old].min() > analysis.years[~old].min()
    # the rest is as if they were not there
    patient = Chain.from_arrays(**quotes | spoilt, snapshots="all").analyze(rate=rate, stale_after=7200.0)
    assert not has_flag(patient.flags, QuoteFlag.STALE).any()
    endless = Chain.from_arrays(**quotes | spoilt, snapshots="all").analyze(rate=rate, stale_after=float("inf"))
    np.testing.assert_array_equal(endless.forward, patient.forward)
    # (the far expiry has enough other strikes to throw the spoilt ones out by itself)
    assert np.abs(endless.forwards.forward - analysis.forwards.forward)[:2].min() > 0.5


def test_without_an_underlying_the_forward_serves(make_quotes, oracle):
    _, rate = oracle
    quotes, truth = make_quotes(half_spread=0.01)
    analysis = Chain.from_arrays(**quotes | {"underlying": np.nan}).analyze(rate=rate)
    np.testing.assert_allclose(analysis.forward, truth["forward"], rtol=1e-9)
    np.testing.assert_allclose(analysis.underlying, truth["forward"] * np.exp(-rate * truth["years"]), rtol=1e-9)
    np.testing.assert_allclose(analysis.dividend_yield, 0.0, atol=1e-9)
    whole = Chain.from_arrays(**quotes).analyze(rate=rate)
    np.testing.assert_allclose(analysis.mid_volatility, whole.mid_volatility, rtol=1e-7)
    alone = Chain.from_arrays(expiry="2024-06-21", strike=50.0, is_call=True, bid=1.0, ask=1.1, time="2024-05-01T10:00")
    assert "NO_FORWARD" in flag_names(alone.analyze().flags[0])


def test_clock_changes_the_volatility_and_nothing_else(make_quotes, oracle):
    _, rate = oracle
    quotes, _ = make_quotes(half_spread=0.01)
    chain = Chain.from_arrays(**quotes)
    calendar = chain.analyze(rate=rate, greeks=("price", "delta", "vega", "rho", "dividend_rho"))
    trading = chain.analyze(rate=rate, clock="trading/252", greeks=("price", "delta", "vega", "rho", "dividend_rho"))
    rows = np.isfinite(calendar.volatility) & np.isfinite(trading.volatility)
    assert rows.sum() > 100
    np.testing.assert_allclose(trading.forward, calendar.forward, rtol=1e-12)
    total = [a.volatility[rows] * np.sqrt(a.years[rows]) for a in (calendar, trading)]
    np.testing.assert_allclose(total[0], total[1], rtol=1e-6)
    for name in ("price", "delta", "rho", "dividend_rho"):  # per unit of the same rate
        np.testing.assert_allclose(
            getattr(trading.greeks, name)[rows], getattr(calendar.greeks, name)[rows], rtol=1e-6, atol=1e-9
        )
    assert not np.allclose(trading.volatility[rows], calendar.volatility[rows], rtol=0.01)


def test_conventions_scale_the_greeks(make_quotes, oracle):
    _, rate = oracle
    quotes, _ = make_quotes(step=20.0)
    chain = Chain.from_arrays(**quotes)
    raw, alpaca, nautilus = (chain.analyze(rate=rate, convention=name).greeks for name in ("raw", "alpaca", "nautilus"))
    np.testing.assert_array_equal(raw.delta, alpaca.delta)
    np.testing.assert_allclose(raw.vega * 0.01, alpaca.vega)
    np.testing.assert_allclose(raw.theta / 365.0, alpaca.theta)
    np.testing.assert_allclose(raw.theta / 365.25, nautilus.theta)
    sessions = chain.analyze(rate=rate, convention="alpaca", clock="trading/252").greeks
    per_year = chain.analyze(rate=rate, clock="trading/252").greeks
    np.testing.assert_allclose(per_year.theta / 252.0, sessions.theta)


def test_two_roots_do_not_mix(make_quotes, oracle):
    _, rate = oracle
    low, truth = make_quotes()
    high, shifted = make_quotes(carry_shift=0.1)
    roots = ["ABC"] * len(truth["mid"]) + ["XYZ"] * len(truth["mid"])
    joined = {name: np.concatenate([low[name], high[name]]) for name in ("expiry", "strike", "is_call", "bid", "ask")}
    chain = Chain.from_arrays(**joined, root=np.array(roots), underlying=400.0, time=low["time"])
    analysis = chain.analyze(rate=rate)
    expected = np.concatenate([truth["forward"], shifted["forward"]])
    np.testing.assert_allclose(analysis.forward, expected, rtol=1e-9)
    assert len(analysis.groups.years) == 6
    assert (analysis.forwards.method == ForwardMethod.PARITY).all()


def test_results_do_not_depend_on_order_or_company(make_quotes, oracle):
    _, rate = oracle
    quotes, _ = make_quotes(seed=9)
    chain = Chain.from_arrays(**quotes)
    whole = chain.analyze(rate=rate)
    shuffle = np.random.default_rng(10).permutation(len(chain))
    again = chain[shuffle].analyze(rate=rate)
    np.testing.assert_allclose(again.mid_volatility, whole.mid_volatility[shuffle], rtol=1e-9)
    one = chain.select(expiry="2024-03-28").analyze(rate=rate)
    rows = chain.expiry == np.datetime64("2024-03-28")
    np.testing.assert_allclose(one.mid_volatility, whole.mid_volatility[rows], rtol=1e-9)
    part = whole[rows]
    assert len(part) == rows.sum()
    np.testing.assert_array_equal(part.greeks.delta, whole.greeks.delta[rows])


def test_second_chain_compiles_nothing(make_quotes, oracle):
    _, rate = oracle
    quotes, _ = make_quotes(step=20.0)
    chain = Chain.from_arrays(**quotes)
    chain.analyze(rate=rate)
    before = black_scholes.implied_volatility.jitted._cache_size(), black_scholes.greeks.jitted._cache_size()
    chain.select(expiry="2024-03-28").analyze(rate=0.02)
    chain[:7].analyze(rate=0.03)
    after = black_scholes.implied_volatility.jitted._cache_size(), black_scholes.greeks.jitted._cache_size()
    assert before == after


def test_blocks_join_seamlessly():
    """More rows than one block, and a number that no padded length divides."""
    function = jax.jit(lambda *, x, sign: (x * 2.0, None, sign))
    x = np.linspace(0.0, 1.0, 131_072 + 777)
    doubled, nothing, sign = evaluate(function, {"x": x, "sign": x > 0.5})
    np.testing.assert_array_equal(doubled, x * 2.0)
    np.testing.assert_array_equal(sign, x > 0.5)
    assert nothing is None
    assert doubled.dtype == np.float64
    assert function._cache_size() == 1
    assert evaluate(function, {"x": x[:0], "sign": x[:0] > 0})[0].shape == (0,)
    narrow = evaluate(jax.jit(lambda *, x: x), {"x": x[:5].astype(np.float32)})
    assert narrow.dtype == np.float64


def test_unknown_names(make_quotes):
    quotes, _ = make_quotes(step=50.0)
    chain = Chain.from_arrays(**quotes)
    for wrong in (
        {"forward": "futures"},
        {"price": "close"},
        {"clock": "weekly"},
        {"settlement": "noon"},
        {"convention": "bloomberg"},
        {"rate": "libor"},
        {"greeks": ("delta", "omega")},
    ):
        with pytest.raises(InputError, match=r"|".join(map(str, wrong)) + "|which"):
            chain.analyze(**wrong)


def test_rows_that_could_not_be_read_stay(make_quotes):
    chain = Chain.from_arrays(
        expiry=np.array(["2024-06-21", "soon", "2024-06-21"], dtype=object),
        strike=[50.0, 50.0, np.nan],
        is_call=True,
        bid=2.0,
        ask=2.1,
        underlying=50.0,
        time=np.array(["2024-05-01T10:00", "2024-05-01T10:00", "2024-05-01T10:00"], dtype=object),
        errors="flag",
    )
    analysis = chain.analyze()
    assert has_flag(analysis.flags, QuoteFlag.BAD_CONTRACT).tolist() == [False, True, True]
    assert np.isfinite(analysis.mid_volatility).tolist() == [True, False, False]
