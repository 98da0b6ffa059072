"""Forwards from put-call parity: exact where quotes are, robust where they are not, and honest about it."""

import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.trading import ForwardMethod, imply_forwards

YEARS, SPOT, CARRY, RATE = 0.25, 100.0, 0.03, 0.05
FORWARD, DISCOUNT = SPOT * np.exp(CARRY * YEARS), np.exp(-RATE * YEARS)


def quotes(oracle, *, groups=1, strikes=None, half_spread=0.05, seed=None, volatility=0.2, rate=RATE):
    """Calls and puts of several equal groups, `imply_forwards`' arguments."""
    black_scholes, _ = oracle
    strikes = np.arange(80.0, 121.0, 2.5) if strikes is None else np.asarray(strikes, dtype=float)
    strike = np.tile(np.concatenate([strikes, strikes]), groups)
    is_call = np.tile(np.repeat([True, False], len(strikes)), groups)
    mid = black_scholes(SPOT, strike, YEARS, volatility, rate, rate - CARRY, is_call)
    if seed is not None:
        mid = mid + np.random.default_rng(seed).uniform(-0.5, 0.5, len(mid)) * half_spread
    return {
        "group": np.repeat(np.arange(groups), 2 * len(strikes)),
        "strike": strike,
        "is_call": is_call,
        "bid": mid - half_spread,
        "ask": mid + half_spread,
        "years": np.full(groups, YEARS),
        "spot": np.full(groups, SPOT),
        "rate": rate,
        "snapshot": np.arange(groups),
        "series": np.zeros(groups, dtype=int),
    }


def test_exact_quotes_give_the_exact_forward(oracle):
    found = imply_forwards(**quotes(oracle, groups=3))
    np.testing.assert_allclose(found.forward, FORWARD, rtol=1e-12)
    np.testing.assert_allclose(found.discount, DISCOUNT, rtol=1e-14)
    assert (found.method == ForwardMethod.PARITY).all()
    assert (found.pairs >= 10).all()
    assert (found.lowest <= FORWARD).all()
    assert (found.highest >= FORWARD).all()


def test_standard_error_is_the_error(oracle):
    """Over many noisy groups the stated error covers the true one, and is not far above it."""
    found = imply_forwards(**quotes(oracle, groups=400, seed=1))
    ratio = (found.forward - FORWARD) / found.standard_error
    assert 0.3 < ratio.std() < 1.0  # the quotes' errors fill half of their spreads here
    assert abs(ratio.mean()) < 0.15
    assert (found.standard_error < 0.05).all()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_wild_quotes_do_not_move_it(oracle, share):
    clean = quotes(oracle, groups=50, seed=2)
    rng = np.random.default_rng(3)
    wild = rng.random(len(clean["bid"])) < share / 2  # one side of a pair is enough to spoil it
    shift = rng.uniform(1.0, 8.0, wild.sum())
    clean["bid"][wild] += shift
    clean["ask"][wild] += shift
    found = imply_forwards(**clean)
    assert np.abs(found.forward - FORWARD).max() < 0.25
    assert (np.abs(found.forward - FORWARD) < 5.0 * found.standard_error).mean() > 0.95


def test_crossed_and_one_sided_quotes_are_left_out(oracle):
    given = quotes(oracle)
    crossed = np.flatnonzero(given["strike"] == 100.0)
    given["bid"][crossed[0]] = given["ask"][crossed[0]] + 3.0
    given["bid"][np.flatnonzero((given["strike"] == 102.5) & ~given["is_call"])] = np.nan
    given["ask"][np.flatnonzero((given["strike"] == 97.5) & given["is_call"])] = np.nan
    found = imply_forwards(**given)
    assert found.forward[0] == pytest.approx(FORWARD, rel=1e-12)
    whole = imply_forwards(**quotes(oracle))
    assert found.pairs[0] < whole.pairs[0]


def test_early_exercise_far_from_the_money_matters_little(oracle):
    """American deep in-the-money puts are worth their intrinsic value: parity is off by as much as a percent there."""
    given = quotes(oracle, strikes=np.arange(60.0, 141.0, 2.5))
    premium = np.where(
        given["is_call"], 0.0, np.maximum(given["strike"] * (1 - DISCOUNT) * (given["strike"] > 110.0), 0.0)
    )
    found = imply_forwards(**given | {"bid": given["bid"] + premium, "ask": given["ask"] + premium})
    assert abs(found.forward[0] - FORWARD) < 0.01
    # Without weights by distance the mean would be off by tens of cents.
    paired = given["strike"][given["is_call"]]
    assert np.mean(premium[~given["is_call"]][np.isin(paired, paired)]) > 0.1


def test_rate_from_the_slope(oracle):
    found = imply_forwards(**quotes(oracle, groups=2) | {"rate": "implied"})
    np.testing.assert_allclose(found.forward, FORWARD, rtol=1e-6)
    # drawn towards the snapshot's mean, which is itself: exact
    np.testing.assert_allclose(found.rate, RATE, atol=2e-4)
    assert (found.rate_error > 0.0).all()
    noisy = imply_forwards(**quotes(oracle, groups=200, seed=4) | {"rate": "implied"})
    assert abs(np.median(noisy.rate) - RATE) < 0.005
    assert np.abs(noisy.forward - FORWARD).max() < 0.1


def test_hopeless_slopes_borrow_from_other_expiries(oracle):
    """Two expiries of one snapshot: hours away, and a year away. The near one cannot tell a rate."""
    given = quotes(oracle, groups=2, half_spread=0.02, seed=5)
    given["years"] = np.array([YEARS, 1.0 / 365.0])
    near = given["group"] == 1
    black_scholes, _ = oracle
    mid = black_scholes(SPOT, given["strike"], 1.0 / 365.0, 0.2, RATE, RATE - CARRY, given["is_call"])
    noise = np.random.default_rng(6).uniform(-0.01, 0.01, len(mid))
    given["bid"] = np.where(near, mid + noise - 0.02, given["bid"])
    given["ask"] = np.where(near, mid + noise + 0.02, given["ask"])
    found = imply_forwards(**given | {"rate": "implied", "snapshot": np.zeros(2, dtype=int), "series": np.arange(2)})
    assert found.rate_error[0] < found.rate_error[1]
    np.testing.assert_allclose(found.rate, RATE, atol=0.006)


def test_fallbacks_in_order(oracle):
    """Parity, then the earlier carry, then the spot; a later snapshot is never looked at."""
    given = quotes(oracle, groups=4)
    keep = np.isin(given["group"], [1])  # quotes at the second snapshot only
    rows = {name: given[name][keep] for name in ("group", "strike", "is_call", "bid", "ask")}
    spot = np.array([SPOT, SPOT, 110.0, np.nan])
    found = imply_forwards(**given | rows | {"spot": spot, "dividend_yield": 0.01})
    methods = [ForwardMethod.SPOT, ForwardMethod.PARITY, ForwardMethod.EARLIER, ForwardMethod.NONE]
    assert found.method.tolist() == methods
    assert found.forward[0] == pytest.approx(SPOT * np.exp((RATE - 0.01) * YEARS), rel=1e-14)
    assert found.forward[2] == pytest.approx(110.0 * np.exp(CARRY * YEARS), rel=1e-12)
    assert np.isnan(found.forward[3])
    assert found.pairs.tolist()[0] == 0
    # another series has no carry to lend
    apart = imply_forwards(**given | rows | {"spot": spot, "series": np.arange(4)})
    assert apart.method[2] == ForwardMethod.SPOT


def test_one_sided_quotes_bound_the_forward(oracle):
    """No strike has both sides of both options, but bids of one and asks of the other leave a narrow interval."""
    given = quotes(oracle, strikes=[99.0, 101.0], half_spread=0.05)
    first = given["strike"] == 99.0
    given["ask"][first & given["is_call"]] = np.nan
    given["bid"][first & ~given["is_call"]] = np.nan
    given["bid"][~first & given["is_call"]] = np.nan
    given["ask"][~first & ~given["is_call"]] = np.nan
    found = imply_forwards(**given)
    assert found.method[0] == ForwardMethod.INTERVAL
    assert found.lowest[0] <= FORWARD <= found.highest[0]
    assert abs(found.forward[0] - FORWARD) <= 0.11
    assert found.standard_error[0] == pytest.approx((found.highest[0] - found.lowest[0]) / np.sqrt(12.0))


def test_without_parity_and_after_expiry(oracle):
    given = quotes(oracle, groups=2)
    spot_only = imply_forwards(**given | {"use_parity": False})
    assert (spot_only.method == ForwardMethod.SPOT).all()
    np.testing.assert_allclose(spot_only.forward, SPOT * np.exp(RATE * YEARS), rtol=1e-14)
    over = imply_forwards(**given | {"years": np.array([YEARS, -0.01])})
    assert over.method.tolist() == [ForwardMethod.PARITY, ForwardMethod.NONE]
    assert np.isnan([over.forward[1], over.rate[1]]).all()
    empty = imply_forwards(**{n: (v[:0] if isinstance(v, np.ndarray) and n in given else v) for n, v in given.items()})
    assert len(empty.forward) == 0


def test_rates_as_functions(oracle):
    given = quotes(oracle, groups=2)
    found = imply_forwards(**given | {"rate": lambda years: 0.02 + 0.12 * years})
    np.testing.assert_allclose(found.rate, 0.05)
    np.testing.assert_allclose(found.forward, FORWARD, rtol=1e-12)


@pytest.mark.parametrize("rate", ["libor", np.nan, lambda years: np.full(3, 0.05), lambda years: years * np.inf])
def test_rates_that_are_none(oracle, rate):
    with pytest.raises(InputError, match="rate: "):
        imply_forwards(**quotes(oracle, groups=2) | {"rate": rate})
