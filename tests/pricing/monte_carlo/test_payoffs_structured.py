"""Structured payoffs: every path against plain Python loops over the term sheet, and in expectation against closed forms."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from gpujax.pricing import black_scholes, digital
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation

p = mc.payoffs
TIMES = np.array([0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 1.0, 1.2, 1.3, 1.4, 1.5])
PATHS = 400
THREE = mc.processes.CorrelatedGeometricBrownianMotion(
    spot=np.array([100.0, 1.2, 40.0]), volatility=np.array([0.3, 0.2, 0.4]), rate=0.03,
    correlation=np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]]),
)  # fmt: skip
MARKET = {"spot": 100.0, "volatility": 0.25, "rate": 0.05, "dividend_yield": 0.02}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)


@pytest.fixture(scope="module")
def world():
    """Prices `[paths, 1 + times, assets]`, time zero first, and discount factors `[paths, times]` of random rates."""
    later = np.asarray(mc.simulate(THREE, key=3, paths=PATHS, times=TIMES))
    first = np.broadcast_to(THREE.spot, (PATHS, 1, 3))
    rates = np.random.default_rng(1).exponential(0.04, (PATHS, len(TIMES)))
    return np.concatenate([first, later], axis=1), np.exp(-np.cumsum(rates * np.diff(TIMES, prepend=0.0), axis=1))


@jax.jit
def present_values(payoffs, first, later, discounts, times):
    """What the engine does, on paths that are given."""
    payoffs = jax.tree.map(lambda x: jnp.asarray(x, times.dtype), payoffs)

    def look(index, time, discount, spot):
        return Observation(jnp.asarray(index, jnp.int32), time, discount, spot)

    now = look(-1, jnp.zeros((), times.dtype), jnp.ones((), times.dtype), first)
    accounts = [payoff.start(now) for payoff in payoffs]

    def step(accounts, row):
        now = look(*row)
        return [payoff.update(account, now) for payoff, account in zip(payoffs, accounts, strict=True)], None

    index = jnp.arange(len(times), dtype=jnp.int32)
    accounts, _ = jax.lax.scan(step, accounts, (index, times, discounts, later))
    last = look(len(times) - 1, times[-1], discounts[-1], jax.tree.map(lambda x: x[-1], later))
    return [payoff.value(account, last) for payoff, account in zip(payoffs, accounts, strict=True)]


# Every reference takes one path of one price `[1 + times]` (of several, `[1 + times, assets]`) and its discounts `[times]`.


def forward_start(path, discount, at, fraction, sign):
    return discount[-1] * max(sign * (path[-1] - fraction * path[at + 1]), 0)


def cliquet(path, discount, resets, local_floor, local_cap, global_floor, global_cap):
    before, total = path[0], 0.0
    for k in resets:
        total += min(max(path[k + 1] / before - 1, local_floor), local_cap)
        before = path[k + 1]
    return discount[-1] * min(max(total, global_floor), global_cap)


def realised(path, discount, fixings, strike, notional, annual, root):
    prices = [path[0], *(path[k + 1] for k in fixings)]
    squares = sum(np.log(b / a) ** 2 for a, b in itertools.pairwise(prices))
    variance = squares / TIMES[fixings[-1]] if annual is None else squares * annual / len(fixings)
    return discount[-1] * notional * ((np.sqrt(variance) if root else variance) - strike)


def target_redemption(path, discount, fixings, strike, target, settlement, leverage, sign):
    gained = paid = 0.0
    for k in fixings:
        gain = sign * (path[k + 1] - strike)
        if gain <= 0:
            paid += discount[k] * leverage * gain
            continue
        if gained + gain >= target:
            final = {"full": gain, "partial": target - gained, "none": 0.0}[settlement]
            return paid + discount[k] * final
        gained += gain
        paid += discount[k] * gain
    return paid


def autocallable(path, discount, observations, levels, coupons, barriers, protection, memory, american, initial):
    performance = np.min(path / initial, axis=-1) if path.ndim == 2 else path / initial
    paid, missed = 0.0, 0.0
    for level, coupon, barrier, k in zip(levels, coupons, barriers, observations, strict=True):
        worst = performance[k + 1]
        missed = missed + coupon if memory else coupon
        if worst >= barrier:
            paid += discount[k] * missed
            missed = 0.0
        if worst >= level:
            return paid + discount[k]
    watched = performance.min() if american else performance[-1]
    return paid + discount[-1] * (min(performance[-1], 1.0) if watched < protection else 1.0)


ALL = range(len(TIMES))
FEW = (1, 4, 7, 11)
ONE = {
    "forward start call": (p.forward_start(set_at=3, fraction=0.95), (forward_start, 3, 0.95, 1)),
    "forward start put": (p.forward_start(set_at=7, fraction=1.1, is_call=False), (forward_start, 7, 1.1, -1)),
    "cliquet": (
        p.cliquet(local_floor=-0.02, local_cap=0.05, global_floor=0.0, global_cap=0.15),
        (cliquet, ALL, -0.02, 0.05, 0.0, 0.15),
    ),
    "cliquet, four resets": (
        p.at(FEW, p.cliquet(local_cap=0.08, global_floor=-0.1)),
        (cliquet, FEW, -np.inf, 0.08, -0.1, np.inf),
    ),
    "variance swap": (p.variance_swap(strike=0.08, notional=50.0), (realised, ALL, 0.08, 50.0, None, False)),
    "variance swap, five fixings": (
        p.at((0, 2, 3, 8, 10), p.variance_swap(strike=0.08)),
        (realised, (0, 2, 3, 8, 10), 0.08, 1.0, None, False),
    ),
    "volatility swap, four fixings": (
        p.at(FEW, p.volatility_swap(strike=0.3, periods_per_year=8.0)),
        (realised, FEW, 0.3, 1.0, 8.0, True),
    ),
    "full": (
        p.target_redemption(strike=98.0, target=30.0, leverage=2.0),
        (target_redemption, ALL, 98.0, 30.0, "full", 2.0, 1),
    ),
    "partial, four fixings": (
        p.at(FEW, p.target_redemption(strike=98.0, target=20.0, leverage=2.0, settlement="partial")),
        (target_redemption, FEW, 98.0, 20.0, "partial", 2.0, 1),
    ),
    "none, selling": (
        p.target_redemption(strike=104.0, target=25.0, leverage=0.5, settlement="none", is_call=False),
        (target_redemption, ALL, 104.0, 25.0, "none", 0.5, -1),
    ),
    "autocallable on one price": (
        p.autocallable(autocall_level=1.05, coupon=0.02, coupon_barrier=0.9, protection_barrier=0.8),
        (autocallable, ALL, [1.05] * 12, [0.02] * 12, [0.9] * 12, 0.8, True, False, 100.0),
    ),
    "floating Asian, four fixings": (
        p.at(FEW, p.asian(strike=None, from_start=True)),
        (lambda path, d: d[-1] * max(path[-1] - path[[0, 2, 5, 8, 12]].mean(), 0),),
    ),
    "barrier window": (
        p.at(range(5, 9), p.barrier(strike=100.0, level=90.0, kind="down-and-in", rebate=1.0)),
        (lambda path, d: d[-1] * (max(path[-1] - 100, 0) if path[[0, *range(6, 10)]].min() <= 90 else 1.0),),
    ),
    "four of the path": (
        p.at(FEW, p.of_path(lambda path: path[1] * path[4] / path[0], times=4)),
        (lambda path, d: d[-1] * path[2] * path[12] / path[0],),
    ),
}  # fmt: skip
FALLING = (1.05, 1.0, 0.95, 0.9)
SEVERAL = {
    "worst of three, memory, step down, watched always": (
        p.autocallable(
            autocall_level=FALLING, coupon=(0.02, 0.03, 0.02, 0.04), coupon_barrier=0.8, protection_barrier=0.7,
            observations=FEW, protection="american",
        ),
        (autocallable, FEW, FALLING, [0.02, 0.03, 0.02, 0.04], [0.8] * 4, 0.7, True, True, THREE.spot),
    ),
    "worst of three, no memory, early maturity of coupons": (
        p.autocallable(
            autocall_level=1.0, coupon=0.03, coupon_barrier=np.array([0.7, 0.8, 0.9]), protection_barrier=0.8,
            observations=(0, 5, 9), memory=False, initial=(95.0, 1.25, 38.0),
        ),
        (autocallable, (0, 5, 9), [1.0] * 3, [0.03] * 3, [0.7, 0.8, 0.9], 0.8, False, False, np.array([95.0, 1.25, 38.0])),
    ),
    "Athena": (
        p.autocallable(autocall_level=1.0, coupon=0.03, coupon_barrier=1.0, protection_barrier=0.6, observations=FEW),
        (autocallable, FEW, [1.0] * 4, [0.03] * 4, [1.0] * 4, 0.6, True, False, THREE.spot),
    ),
    "cliquet of a ratio": (
        p.on(lambda spots: spots[0] / spots[2], p.cliquet(local_floor=0.0, local_cap=0.1)),
        (lambda path, d: cliquet(path[:, 0] / path[:, 2], d, ALL, 0.0, 0.1, -np.inf, np.inf),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cases", [ONE, SEVERAL], ids=["one price", "several"])
def test_every_path(cases, dtype, world):
    spots, discounts = world
    paths = spots[..., 0] if cases is ONE else spots
    rows = jax.tree.map(
        lambda x: jnp.asarray(x, dtype),
        (paths.T if cases is ONE else tuple(paths[..., i].T for i in range(3)), discounts.T, TIMES),
    )
    later = jax.tree.map(lambda x: x[1:], rows[0])
    first = jax.tree.map(lambda x: x[0], rows[0])
    found = present_values([payoff for payoff, _ in cases.values()], first, later, rows[1], rows[2])
    for name, values in zip(cases, found, strict=True):
        reference, *terms = cases[name][1]
        expected = np.array([reference(path, d, *terms) for path, d in zip(paths, discounts, strict=True)])
        scale = np.max(np.abs(expected))
        assert values.dtype == dtype
        assert len(np.unique(expected)) > 20, f"{name}: hardly any path differs from the others"
        exactness = (
            {"rtol": 1e-12, "atol": 1e-13 * scale} if dtype == np.float64 else {"rtol": 2e-4, "atol": 4e-6 * scale}
        )
        np.testing.assert_allclose(values, expected, **exactness, err_msg=name)


def _strip(fixings, strike, is_call):
    return sum(
        black_scholes.price(**MARKET, strike=strike, expiry=t, is_call=is_call).item() for t in TIMES[list(fixings)]
    )


def _two_fixings(strike, target, settlement, first=0.5, second=1.5):
    """A target redemption note of two fixings by quadrature: the second payment is Black-Scholes, given the first fixing."""
    carry, v = MARKET["rate"] - MARKET["dividend_yield"], MARKET["volatility"]

    def call(spot, k):
        return black_scholes.price(**{**MARKET, "spot": spot}, strike=k, expiry=second - first)

    z, w = np.polynomial.legendre.leggauss(400)

    def over(low, high, function):
        nodes = (high + low) / 2 + (high - low) / 2 * z
        spot = MARKET["spot"] * np.exp((carry - v * v / 2) * first + v * np.sqrt(first) * nodes)
        return (high - low) / 2 * np.sum(w * stats.norm.pdf(nodes) * function(spot))

    def quantile(spot):
        return (np.log(spot / MARKET["spot"]) - (carry - v * v / 2) * first) / (v * np.sqrt(first))

    at_strike, at_target = quantile(strike), quantile(strike + target)
    final = {"full": lambda s: s - strike, "partial": lambda s: 0 * s + target, "none": lambda s: 0 * s}[settlement]

    def after(spot):
        gain = np.maximum(spot - strike, 0)
        missing = target - gain
        later = call(spot, strike)
        if settlement != "full":
            # Gains beyond what is missing are capped at it, or lost.
            later = later - call(spot, strike + missing)
        if settlement == "none":
            jump = digital.cash_or_nothing(**{**MARKET, "spot": spot}, strike=strike + missing, expiry=second - first)
            later = later - missing * jump
        return gain + np.asarray(later)

    total = over(-9.0, at_strike, after) + over(at_strike, at_target, after) + over(at_target, 9.0, final)
    return np.exp(-MARKET["rate"] * first) * total


def _closed_forms():
    """Payoffs and their exact values under Black-Scholes."""
    rate, carry, v = MARKET["rate"], MARKET["rate"] - MARKET["dividend_yield"], MARKET["volatility"]
    discount, steps = np.exp(-rate * 1.5), np.diff(TIMES, prepend=0.0)
    mu = carry - v * v / 2

    def option(expiry, strike, is_call=True, spot=100.0):
        return black_scholes.price(**{**MARKET, "spot": spot}, strike=strike, expiry=expiry, is_call=is_call).item()

    # E max(S_b / S_a - 1, 0) is an option that starts today, for the time between.
    call_returns = sum(option(h, 1.0, spot=1.0) * np.exp(rate * h) for h in np.diff(TIMES[list(FEW)], prepend=0.0))
    below = {
        "cash": digital.cash_or_nothing(**MARKET, strike=80.0, expiry=1.5, is_call=False).item(),
        "asset": digital.asset_or_nothing(**MARKET, strike=80.0, expiry=1.5, is_call=False).item(),
    }
    above = digital.cash_or_nothing(**MARKET, strike=90.0, expiry=1.5).item()
    yield (
        "forward start",
        p.forward_start(set_at=3, fraction=0.9, is_call=False),
        np.exp(-MARKET["dividend_yield"] * 0.5) * option(1.0, 90.0, is_call=False),
    )
    yield "cliquet", p.at(FEW, p.cliquet(local_floor=0.0)), discount * call_returns
    yield "variance", p.variance_swap(strike=0.01), discount * (v * v + mu * mu * np.sum(steps**2) / 1.5 - 0.01)
    yield (
        "strip of forwards",
        p.at(FEW, p.target_redemption(strike=95.0, target=1e9)),
        _strip(FEW, 95.0, True) - _strip(FEW, 95.0, False),
    )
    yield (
        "strip of puts",
        p.at(FEW, p.target_redemption(strike=95.0, target=1e9, leverage=0.0, is_call=False)),
        _strip(FEW, 95.0, False),
    )
    for settlement in ("full", "partial", "none"):
        tarn = p.target_redemption(strike=95.0, target=15.0, leverage=0.0, settlement=settlement)
        yield f"two fixings, {settlement}", p.at((3, 11), tarn), _two_fixings(95.0, 15.0, settlement)
    note = functools.partial(p.autocallable, autocall_level=1e6, observations=(11,), notional=100.0)
    yield "single coupon", note(coupon=0.1, coupon_barrier=0.9, protection_barrier=0.0), 100 * discount + 10 * above
    reverse = 105 * discount - 100 * below["cash"] + below["asset"]
    yield "reverse convertible", note(coupon=0.05, coupon_barrier=0.0, protection_barrier=0.8), reverse
    # Called at t = 1 for 100 and a coupon, or held to the end for 100 and no coupon: two digitals.
    once = p.autocallable(
        autocall_level=1.1, coupon=0.2, coupon_barrier=1.1, protection_barrier=0.0, observations=(7,), notional=100.0
    )
    called = digital.cash_or_nothing(**MARKET, strike=110.0, expiry=1.0).item()
    yield "called once", once, called * (120 - 100 * np.exp(-rate * 0.5)) + 100 * discount


def test_closed_forms(within):
    cases = {name: (payoff, exact) for name, payoff, exact in _closed_forms()}
    found = mc.price(STOCK, {name: c[0] for name, c in cases.items()}, key=5, paths=100_000, times=TIMES)
    for name, (_, exact) in cases.items():
        within(found[name], exact)
        assert float(found[name].standard_error) < 0.02 * abs(exact) + 0.05, name


def test_volatility_swap_of_twelve_equal_steps(within):
    """Without drift the realised variance is σ² χ²_n / n; the mean of its root is known."""
    n = 12
    stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.3, rate=0.045)
    found = mc.price(stock, p.volatility_swap(strike=0.0), key=6, paths=100_000, times=np.arange(1, n + 1) / n)
    mean = 0.3 * np.sqrt(2 / n) * np.exp(special.gammaln((n + 1) / 2) - special.gammaln(n / 2))
    within(found, np.exp(-0.045) * mean)
    by_law = integrate.quad(lambda x: np.sqrt(x) * stats.chi2.pdf(x, n), 0, np.inf)[0] * 0.3 / np.sqrt(n)
    np.testing.assert_allclose(mean, by_law, rtol=1e-8)


def test_a_worst_of_note_is_a_bond_less_a_put_on_the_worst():
    """With protection from par and no calls: N (1 - max(1 - W, 0)), the put being Stulz's."""
    two = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.array([1.0, 1.0]),
        volatility=np.array([0.3, 0.2]),
        correlation=np.array([[1.0, 0.5], [0.5, 1.0]]),
        rate=0.04,
    )
    parts = {
        "note": p.autocallable(autocall_level=1e6, coupon=0.0, coupon_barrier=0.0, protection_barrier=1.0),
        "put": p.worst_of(strike=1.0, is_call=False),
    }
    found = mc.price(two, parts, key=7, paths=20_000, times=[0.5, 1.0])
    np.testing.assert_allclose(found["note"].value + found["put"].value, np.exp(-0.04), rtol=1e-12)
    assert 0.05 < found["put"].value < 0.3


def test_derivatives_by_terms_and_by_the_spot(world):
    """Pathwise, of what is continuous: in reverse, against difference quotients on the same paths."""
    names = ("cliquet", "forward start", "volatility swap", "partial target", "floating Asian")
    moves = jnp.asarray(world[0][..., 0].T / 100.0)

    def means(x, spot):
        payoffs = [
            p.cliquet(local_floor=-0.05, local_cap=0.06 * x, global_floor=0.0),
            p.forward_start(set_at=1, fraction=x),
            p.volatility_swap(strike=0.2 * x, notional=spot),
            p.at(FEW, p.target_redemption(strike=98.0 * x, target=15.0, leverage=0.0, settlement="partial")),
            p.asian(strike=None),
        ]
        # The first move is not by the spot, so that returns are moved by it too.
        later = moves[1:] * spot
        values = present_values(payoffs, jnp.full_like(moves[0], 100.0), later, jnp.ones_like(later), TIMES)
        return jnp.stack([jnp.mean(v) for v in values])

    slopes = jax.jacrev(means, argnums=(0, 1))(1.0, 100.0)
    for argument, step in ((0, 1e-6), (1, 1e-4)):
        ends = [means(1.0 + h * (argument == 0), 100.0 + h * (argument == 1)) for h in (step, -step)]
        quotient = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slopes[argument], quotient, rtol=1e-5, atol=1e-7, err_msg=f"{argument}: {names}")
        assert np.sum(np.abs(quotient) > 1e-4) >= 4


def test_a_still_price_has_no_volatility_and_finite_derivatives():
    still = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.0)
    found = mc.greeks(
        still, p.volatility_swap(strike=0.1), wrt=("volatility", "spot"), key=1, paths=10, times=[0.5, 1.0]
    )
    assert float(found["value"].value) == pytest.approx(-0.1, rel=1e-14)
    assert all(np.isfinite(e.value) for e in found.values())
