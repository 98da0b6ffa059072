"""Payoffs against published tables, each with what its values mean: exact or simulated, watched always or at times."""

import csv

import numpy as np
import pytest
from scipy import integrate, stats

from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc

pytestmark = pytest.mark.shared_data
WORDS = {"type", "kind", "basket", "barrier_type", "exercise", "control_variate"}


@pytest.fixture
def table(shared):
    """The rows of a table, with numbers as numbers."""

    def read(name):
        with open(shared / "refvalues" / f"{name}.csv", newline="") as file:
            for row in csv.DictReader(line for line in file if not line.startswith("#")):
                yield {k: v if k in WORDS else float(v) if v else None for k, v in row.items()}

    return read


def stock(row, rate="r", volatility="vol"):
    return mc.processes.GeometricBrownianMotion(
        spot=row["spot"], volatility=row[volatility], rate=row[rate], dividend_yield=row.get("q", 0.0)
    )


@pytest.mark.parametrize(("first", "count"), [(0.0, 4), (1 / 12, 12)])
def test_arithmetic_asians_of_levy(table, first, count, within):
    """E. Levy, "Asian Options", in "Exotic Options: The State of the Art" (1997): simulated, to about 3e-3."""
    (row,) = (
        row for row in table("asian_arith_discrete_levy1997")
        if abs(row["first_fixing_t"] - first) < 1e-9 and row["fixings"] == count
    )  # fmt: skip
    times = first + np.arange(count) * row["length"] / (count - 1)
    payoff = mc.payoffs.asian(strike=row["strike"], is_call=row["type"] == "Call", from_start=first == 0)
    found = mc.price(stock(row), payoff, key=4, paths=100_000, times=times[times > 0])
    within(found, row["value"], bias=3e-3)


def test_continuous_averages_of_vecer(table, within):
    """J. Vecer (2001), exact. Fixings at the midpoints of 16 equal times leave a bias of second order in their distance."""
    rows = [row for row in table("asian_vecer") if row["T"] == 1]
    assert len(rows) == 5
    for row in rows[1::2]:
        times = np.append((np.arange(16) + 0.5) / 16, 1.0)
        found = mc.price(
            stock({**row, "q": 0.0}), mc.payoffs.at(range(16), mc.payoffs.asian(strike=row["strike"])),
            key=5, paths=100_000, times=times,
        )  # fmt: skip
        within(found, row["value"], bias=row["tol"] + 1e-3 * row["value"])


def test_continuous_barriers_of_haug(table, within):
    """E. G. Haug (1998), page 72, closed forms of barriers that are watched always: the bridge leaves no bias, in two steps."""
    kinds = {"DownOut": "down-and-out", "UpOut": "up-and-out", "DownIn": "down-and-in", "UpIn": "up-and-in"}
    # The rebate of a knock-out is paid there when the barrier is hit, here at the end: those rows are another contract.
    rows = [
        row for row in table("barrier_haug")
        if row["exercise"] == "european" and (row["barrier_type"].endswith("In") or row["rebate"] == 0)
    ]  # fmt: skip
    for volatility in (0.25, 0.3):
        chosen = [row for row in rows if row["vol"] == volatility][::4]
        assert {row["barrier_type"] for row in chosen} >= {"DownIn", "UpIn"}
        assert {(row["spot"], row["r"], row["q"], row["t"]) for row in chosen} == {(100.0, 0.08, 0.04, 0.5)}
        payoffs = {
            str(i): mc.payoffs.barrier(
                strike=row["strike"], level=row["barrier"], kind=kinds[row["barrier_type"]], is_call=row["type"] == "Call",
                rebate=row["rebate"], volatility=volatility,
            )
            for i, row in enumerate(chosen)
        }  # fmt: skip
        found = mc.price(stock(chosen[0]), payoffs, key=6, paths=100_000, times=[0.25, 0.5])
        for i, row in enumerate(chosen):
            within(found[str(i)], row["value"], bias=row["tol"])


def continuous_lookback(spot, strike, rate, dividend_yield, expiry, volatility, is_call):
    """Fixed strike, watched always, by the law of the maximum of a Brownian motion with drift (reflected for the minimum)."""
    sign = 1 if is_call else -1
    drift, deviation = sign * (rate - dividend_yield - volatility**2 / 2), volatility * np.sqrt(expiry)

    def beyond(m):
        """P(max of the log-price over its start, of sign times it, > m)."""
        tail = np.exp(2 * drift * m / volatility**2) * stats.norm.cdf((-m - drift * expiry) / deviation)
        return 1.0 if m <= 0 else stats.norm.cdf((drift * expiry - m) / deviation) + tail

    def density(x):
        return beyond(sign * np.log(x / spot))

    ends = (strike, spot * np.exp(12 * deviation)) if is_call else (spot * np.exp(-12 * deviation), strike)
    kinks = [x for x in (spot,) if ends[0] < x < ends[1]]
    return np.exp(-rate * expiry) * integrate.quad(density, *ends, points=kinks or None, limit=200, epsabs=1e-10)[0]


def test_lookbacks_of_haug(table, within):
    """E. G. Haug (1998), pages 61-64, watched always; here 50 times, by the correction of Broadie, Glasserman and Kou (1999):
    the highest price at steps of Δ is the highest of all times e^{-0.5826 σ √Δ}, but for o(√Δ)."""
    rows = [row for row in table("lookback_fixed") if row["minmax"] == row["spot"]]
    assert len(rows) >= 30
    for row in rows:
        exact = continuous_lookback(
            row["spot"], row["strike"], row["r"], row["q"], row["t"], row["vol"], row["type"] == "Call"
        )
        assert exact == pytest.approx(row["value"], abs=1.5 * row["tol"]), row
    chosen = [row for row in rows if (row["t"], row["vol"]) == (0.5, 0.3)]
    assert {row["type"] for row in chosen} == {"Call", "Put"}
    # A floating put pays M - S_T: the highest price less the asset itself. One row is of the same market.
    floating = next(r for r in table("lookback_floating") if r["type"] == "Put" and r["minmax"] == r["spot"] == 100)
    market = stock(chosen[0])
    assert all(stock(row) == market for row in (*chosen, floating))
    steps = 50
    payoffs = {
        str(i): mc.payoffs.lookback(strike=row["strike"], is_call=row["type"] == "Call") for i, row in enumerate(chosen)
    }
    payoffs["floating"] = mc.payoffs.lookback(is_call=False)
    found = mc.price(market, payoffs, key=7, paths=50_000, times=0.5 * np.arange(1, steps + 1) / steps)
    shift = np.exp(0.5826 * 0.3 * np.sqrt(0.5 / steps))
    for i, row in enumerate(chosen):
        is_call = row["type"] == "Call"
        by = shift if is_call else 1 / shift
        shifted = continuous_lookback(
            row["spot"], row["strike"] * by, row["r"], row["q"], row["t"], row["vol"], is_call
        )
        within(found[str(i)], shifted / by, bias=2e-3 * row["value"] + 5e-3)
    corrected = (floating["value"] + 100) / shift - 100
    within(found["floating"], corrected, bias=0.01 * floating["value"])
    assert floating["value"] - corrected > 0.05 * floating["value"]


def test_spreads_against_quadrature(table, within):
    """The table holds Kirk's and Strang's approximations; its contracts, on spots of 110 and 90 without dividends, are priced
    exactly here: Black-Scholes given one price."""
    rows = list(table("spread_kirk_strang"))
    z, w = np.polynomial.hermite_e.hermegauss(120)
    for row in (rows[0], rows[3], rows[9], rows[12]):
        t, rho, v1, v2 = row["T"], row["rho"], row["vol1"], 0.2
        second = 90 * np.exp((0.05 - v2 * v2 / 2) * t + v2 * np.sqrt(t) * z)
        first = 110 * np.exp(rho * v1 * np.sqrt(t) * z - rho * rho * v1 * v1 * t / 2)
        given = black_scholes.price(
            spot=first, strike=second + row["K"], expiry=t, volatility=v1 * np.sqrt(1 - rho * rho), rate=0.05
        )
        exact = float(np.sum(w * given) / np.sqrt(2 * np.pi))
        assert exact == pytest.approx(row["strang2"], rel=5e-3), "another contract"
        two = mc.processes.CorrelatedGeometricBrownianMotion(
            spot=np.array([110.0, 90.0]), volatility=np.array([v1, v2]), correlation=np.array([[1.0, rho], [rho, 1.0]]),
            rate=0.05,
        )  # fmt: skip
        within(mc.price(two, mc.payoffs.spread(strike=row["K"]), key=9, paths=100_000, times=t), exact)
