"""Plain payoffs against closed forms and NumPy on whole paths; and what payoffs refuse."""

import numpy as np
import pytest

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import digital, geometric_asian
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo.payoffs.payoff import check_looks

MARKET = {"spot": 100.0, "volatility": 0.25, "rate": 0.05, "dividend_yield": 0.01}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)
TWO = mc.processes.CorrelatedGeometricBrownianMotion(
    spot=np.array([1.0, 1.0]), volatility=np.array([0.2, 0.3]), correlation=np.eye(2)
)
TIMES = np.linspace(0.1, 1.0, 10)
PATHS = 20_000
DISCOUNT = np.exp(-0.05)


@pytest.fixture(scope="module")
def paths():
    """Whole paths, time zero first: what plain NumPy prices."""
    later = np.asarray(mc.simulate(STOCK, key=1, paths=PATHS, times=TIMES))
    return np.concatenate([np.full((PATHS, 1), 100.0), later], axis=1)


CASES = {
    "european put": (mc.payoffs.european(strike=104.0, is_call=False), lambda p: np.maximum(104 - p[:, -1], 0)),
    "digital": (mc.payoffs.digital(strike=98.0, cash=3.0), lambda p: 3.0 * (p[:, -1] > 98)),
    "digital on the asset": (
        mc.payoffs.digital(strike=98.0, is_call=False, pays_asset=True),
        lambda p: p[:, -1] * (p[:, -1] < 98),
    ),
    "asian": (mc.payoffs.asian(strike=100.0), lambda p: np.maximum(p[:, 1:].mean(1) - 100, 0)),
    "asian from the start": (
        mc.payoffs.asian(strike=100.0, from_start=True, is_call=False),
        lambda p: np.maximum(100 - p.mean(1), 0),
    ),
    "geometric asian": (
        mc.payoffs.asian(strike=100.0, average="geometric"),
        lambda p: np.maximum(np.exp(np.log(p[:, 1:]).mean(1)) - 100, 0),
    ),
    "floating asian": (mc.payoffs.asian(strike=None), lambda p: np.maximum(p[:, -1] - p[:, 1:].mean(1), 0)),
    "up and out": (
        mc.payoffs.barrier(strike=95.0, level=130.0, kind="up-and-out", rebate=2.0),
        lambda p: np.where(p.max(1) < 130, np.maximum(p[:, -1] - 95, 0), 2.0),
    ),
    "down and in": (
        mc.payoffs.barrier(strike=105.0, level=90.0, kind="down-and-in", is_call=False),
        lambda p: np.where(p.min(1) > 90, 0, np.maximum(105 - p[:, -1], 0)),
    ),
    "fixed lookback": (mc.payoffs.lookback(strike=110.0), lambda p: np.maximum(p.max(1) - 110, 0)),
    "fixed lookback put": (
        mc.payoffs.lookback(strike=90.0, is_call=False),
        lambda p: np.maximum(90 - p.min(1), 0),
    ),
    "floating lookback": (mc.payoffs.lookback(), lambda p: p[:, -1] - p.min(1)),
    "floating lookback put": (mc.payoffs.lookback(is_call=False), lambda p: p.max(1) - p[:, -1]),
    "own function": (mc.payoffs.of_path(lambda p: p[3] - p[0], times=10), lambda p: p[:, 3] - p[:, 0]),
    "own underlying": (
        mc.payoffs.on(lambda s: s * s / 100, mc.payoffs.european(strike=100.0)),
        lambda p: np.maximum(p[:, -1] ** 2 / 100 - 100, 0),
    ),
}


@pytest.fixture(scope="module")
def found():
    payoffs = {name: payoff for name, (payoff, _) in CASES.items()}
    for kind in ("up-and-in", "up-and-out"):
        payoffs[kind] = mc.payoffs.barrier(strike=100.0, level=120.0, kind=kind, volatility=0.25)
    payoffs["vanilla"] = mc.payoffs.european(strike=100.0)
    return mc.price(STOCK, payoffs, key=1, paths=PATHS, times=TIMES)


@pytest.mark.parametrize("name", CASES)
def test_the_mean_over_whole_paths(name, paths, found):
    values = DISCOUNT * CASES[name][1](paths)
    np.testing.assert_allclose(found[name].value, values.mean(), rtol=1e-12)
    np.testing.assert_allclose(found[name].standard_error, values.std(ddof=1) / np.sqrt(PATHS), rtol=1e-9)


def test_in_and_out_make_a_vanilla(found):
    total = found["up-and-in"].value + found["up-and-out"].value
    np.testing.assert_allclose(total, found["vanilla"].value, rtol=1e-12)
    assert 0.1 < found["up-and-in"].value / total < 0.97


def test_digitals_against_the_closed_form(within):
    option = {**MARKET, "strike": 103.0, "expiry": 1.0}
    payoffs = {
        "cash": mc.payoffs.digital(strike=103.0, cash=5.0),
        "asset": mc.payoffs.digital(strike=103.0, pays_asset=True, is_call=False),
    }
    got = mc.price(STOCK, payoffs, key=2, paths=200_000, times=1.0)
    within(got["cash"], digital.cash_or_nothing(**option, cash=5.0))
    within(got["asset"], digital.asset_or_nothing(**option, is_call=False))


def test_geometric_asians_against_their_closed_form(within):
    payoffs = {
        (is_call, from_start): mc.payoffs.asian(
            strike=100.0, average="geometric", is_call=is_call, from_start=from_start
        )
        for is_call in (True, False)
        for from_start in (True, False)
    }
    found = mc.price(STOCK, payoffs, key=3, paths=100_000, times=TIMES)
    for (is_call, from_start), estimate in found.items():
        exact = geometric_asian.price(**MARKET, strike=100.0, times=TIMES, is_call=is_call, from_start=from_start)
        within(estimate, exact)


def test_looks_of_dates():
    times = np.arange(1, 253) / 252
    assert mc.payoffs.looks(times, [1 / 12, 0.25, 1.0]) == (20, 62, 251)
    assert mc.payoffs.looks(1.0, 1.0) == (0,)
    with pytest.raises(InputError, match=r"dates: 0.3 is none of the times; the nearest is 0.301587"):
        mc.payoffs.looks(times, [0.25, 0.3])
    with pytest.raises(InputError, match=r"dates: \(62, 62\); expected increasing numbers"):
        mc.payoffs.looks(times, [0.25, 0.25])
    with pytest.raises(InputError, match=r"times: .*; expected increasing numbers of years"):
        mc.payoffs.looks([0.5, np.nan], 0.5)


NOTE = {"autocall_level": 1.0, "coupon": 0.1, "coupon_barrier": 0.8, "protection_barrier": 0.6}
REFUSED = {
    "kind": (lambda: mc.payoffs.barrier(strike=1.0, level=1.0, kind="sideways"), "kind: 'sideways'; expected 'up-and-out',"),
    "average": (
        lambda: mc.payoffs.asian(strike=1.0, average="harmonic"),
        "average: 'harmonic'; expected 'arithmetic' or 'geometric'",
    ),
    "settlement": (
        lambda: mc.payoffs.target_redemption(strike=1.0, target=1.0, settlement="half"),
        "settlement: 'half'; expected 'full', 'partial' or 'none'",
    ),
    "target": (lambda: mc.payoffs.target_redemption(strike=1.0, target=0.0), "target: 0.0; expected numbers > 0"),
    "leverage": (
        lambda: mc.payoffs.target_redemption(strike=1.0, target=1.0, leverage=-1.0),
        "leverage: -1.0; expected numbers >= 0",
    ),
    "local": (
        lambda: mc.payoffs.cliquet(local_floor=0.1, local_cap=0.05),
        "local_floor: 0.1 is above local_cap, 0.05",
    ),
    "global": (lambda: mc.payoffs.cliquet(global_floor=0.1, global_cap=0.0), "global_floor: 0.1 is above global_cap"),
    "fraction": (lambda: mc.payoffs.forward_start(set_at=1, fraction=-1.0), "fraction: -1.0; expected numbers >= 0"),
    "set_at": (lambda: mc.payoffs.forward_start(set_at=0.5), "set_at: 0.5; expected numbers of simulated times"),
    "nan": (lambda: mc.payoffs.european(strike=np.nan), "strike: nan; expected numbers"),
    "text": (lambda: mc.payoffs.european(strike="100"), "strike: '100'; expected real numbers"),
    "list of text": (lambda: mc.payoffs.european(strike=["1", 2.0]), "strike: .*; expected real numbers"),
    "flag": (lambda: mc.payoffs.lookback(is_call=np.array([True, False])), "is_call: .*; expected True or False"),
    "looks": (lambda: mc.payoffs.at((3, 1), mc.payoffs.european(strike=1.0)), r"looks: \(3, 1\); expected increasing"),
    "before": (lambda: mc.payoffs.at((-1, 1), mc.payoffs.european(strike=1.0)), r"looks: \(-1, 1\); expected increasing"),
    "no looks": (lambda: mc.payoffs.at((), mc.payoffs.european(strike=1.0)), r"looks: \(\); expected numbers"),
    "periods": (
        lambda: mc.payoffs.variance_swap(strike=0.04, periods_per_year=0),
        "periods_per_year: 0; expected numbers > 0",
    ),
    "variance": (lambda: mc.payoffs.volatility_swap(strike=-0.2), "strike: -0.2; expected numbers >= 0"),
    "levels": (
        lambda: mc.payoffs.autocallable(**{**NOTE, "autocall_level": (1.0, 0.9)}, observations=(0, 1, 2)),
        "autocall_level: 2 numbers; expected one or 3",
    ),
    "levels alone": (
        lambda: mc.payoffs.autocallable(**{**NOTE, "coupon": (0.1, 0.2)}),
        "coupon: 2 numbers; expected one number, or observations",
    ),
    "initial": (lambda: mc.payoffs.autocallable(**NOTE, initial=0.0), "initial: 0.0; expected numbers > 0"),
    "protection": (
        lambda: mc.payoffs.autocallable(**NOTE, protection="bermudan"),
        "protection: 'bermudan'; expected 'european' or 'american'",
    ),
    "level": (
        lambda: mc.payoffs.barrier(strike=1.0, level=-1.0, kind="up-and-in", volatility=0.2),
        "level: -1.0; expected numbers > 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_terms_that_no_contract_has_are_named(name):
    make, message = REFUSED[name]
    with pytest.raises((InputError, InputTypeError), match=message):
        make()


ONE_PRICE = {
    "european": mc.payoffs.european(strike=1.0),
    "asian": mc.payoffs.asian(strike=1.0),
    "barrier": mc.payoffs.barrier(strike=1.0, level=2.0, kind="up-and-out"),
    "watched": mc.payoffs.barrier(strike=1.0, level=2.0, kind="up-and-out", volatility=0.2),
    "lookback": mc.payoffs.lookback(),
    "cliquet": mc.payoffs.cliquet(),
    "forward_start": mc.payoffs.forward_start(set_at=0),
    "variance_swap": mc.payoffs.variance_swap(strike=0.0),
    "target_redemption": mc.payoffs.at((0,), mc.payoffs.target_redemption(strike=1.0, target=1.0)),
}


@pytest.mark.parametrize("name", ONE_PRICE)
def test_a_payoff_of_one_price_refuses_several(name):
    with pytest.raises(InputError, match="payoff: written on one price, but the process shows 2; choose or combine"):
        mc.price(TWO, ONE_PRICE[name], key=1, paths=10, times=1.0)


def test_payoffs_of_several_prices_refuse_others():
    for process, payoff, message in (
        (STOCK, mc.payoffs.worst_of(strike=1.0), "payoff: written on at least 2 prices, but the process shows 1"),
        (STOCK, mc.payoffs.spread(), "payoff: written on at least 2 prices, but the process shows 1"),
        (TWO, mc.payoffs.basket(strike=1.0, weights=(0.2, 0.3, 0.5)), "weights: 3; expected 2, one for each asset"),
        (TWO, mc.payoffs.autocallable(**NOTE, initial=1.0), "initial: 1 prices; expected 2, one for each asset"),
    ):
        with pytest.raises(InputError, match=message):
            mc.price(process, payoff, key=1, paths=10, times=1.0)


def test_fewer_times_than_a_payoff_needs_are_refused():
    late = mc.payoffs.forward_start(set_at=5)
    path = mc.payoffs.of_path(lambda path: path[-1], times=3)
    for payoff, times, message in (
        (late, 5, "set_at: 5; expected at most 4, the last of 5 simulated times"),
        (mc.payoffs.on(abs, late), 2, "set_at: 5; expected at most 1"),
        (mc.payoffs.at((1, 6), mc.payoffs.lookback()), 6, "looks: 6; expected at most 5"),
        (mc.payoffs.at((1, 2), late), 9, "set_at: 5; expected at most 1"),
        (mc.payoffs.autocallable(**NOTE, observations=(2, 7)), 7, "observations: 7; expected at most 6"),
        (path, 4, "times: 3 in of_path, but 4 are simulated"),
    ):
        with pytest.raises(InputError, match=message):
            check_looks(payoff, times)
    for payoff, times in ((late, 6), (path, 3), (mc.payoffs.at((1, 2, 8), path), 9), (mc.payoffs.lookback(), 1)):
        check_looks(payoff, times)
