"""Processes: their laws against closed forms, exact steps, weak order, and inputs that no process has."""

import csv

import numpy as np
import pytest
from scipy.integrate import quad

from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams


def _andersen(shared):
    with open(shared / "refvalues" / "heston_andersen_qe.csv", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            yield row["case"], {name: float(x) for name, x in row.items() if name != "case" and x}


@pytest.mark.shared_data
@pytest.mark.parametrize("case", ["I", "II", "III-r0", "III-r5"])
def test_heston_reproduces_andersen_s_cases(shared, case, within):
    """Andersen (2008): ten to fifteen years, a volatility of variance up to one, Feller's condition far from holding."""
    rows = [row for name, row in _andersen(shared) if name == case]
    assert len(rows) >= 3
    row = rows[0]
    params = HestonParams(v0=row["v0"], kappa=row["kappa"], theta=row["theta"], sigma=row["sigma"], rho=row["rho"])
    process = mc.processes.Heston(spot=row["S0"], params=params, rate=row["r"], dividend_yield=row["q"])
    steps = round(8 * row["T"])
    times = np.linspace(row["T"] / steps, row["T"], steps)
    strikes = {str(r["strike"]): mc.payoffs.european(strike=r["strike"]) for r in rows}
    found = mc.price(process, strikes, key=7, paths=100_000, times=times)
    for r in rows:
        within(found[str(r["strike"])], r["price_25dps"], bias=2e-2)


def test_heston_s_discounted_price_is_a_martingale(within):
    """The correction makes it so for any step, however coarse."""
    params = HestonParams(v0=0.04, kappa=0.5, theta=0.04, sigma=1.0, rho=-0.9)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.05, dividend_yield=0.01)
    forward = mc.payoffs.european(strike=0.0)
    for steps in (1, 4, 20):
        times = np.linspace(5.0 / steps, 5.0, steps)
        within(mc.price(process, forward, key=9, paths=400_000, times=times), 100 * np.exp(-0.05))


def test_heston_with_a_quiet_variance_is_black_scholes(within):
    params = HestonParams(v0=0.04, kappa=1.0, theta=0.04, sigma=1e-4, rho=0.0)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.02)
    found = mc.price(process, mc.payoffs.european(strike=100.0), key=2, paths=200_000, times=[0.5, 1.0])
    exact = black_scholes.price(spot=100.0, strike=100.0, expiry=1.0, volatility=0.2, rate=0.02)
    within(found, exact, bias=1e-4)


def _lewis(strike, expiry, rate, params, spot):
    """A Heston call by the single integral of A. Lewis, "Option Valuation under Stochastic Volatility" (2000), by quadrature."""
    v0, kappa, theta, sigma, rho = params

    def transform(u):
        d = np.sqrt((kappa - 1j * rho * sigma * u) ** 2 + sigma**2 * (u * u + 1j * u))
        g = (kappa - 1j * rho * sigma * u - d) / (kappa - 1j * rho * sigma * u + d)
        decay = np.exp(-d * expiry)
        c = (
            kappa
            * theta
            / sigma**2
            * ((kappa - 1j * rho * sigma * u - d) * expiry - 2 * np.log((1 - g * decay) / (1 - g)))
        )
        return np.exp(c + v0 / sigma**2 * (kappa - 1j * rho * sigma * u - d) * (1 - decay) / (1 - g * decay))

    forward = spot * np.exp(rate * expiry)
    x = np.log(forward / strike)
    area = quad(
        lambda u: (np.exp(1j * u * x) * transform(u - 0.5j)).real / (u * u + 0.25), 0, 200, epsabs=1e-11, limit=400
    )
    return np.exp(-rate * expiry) * (forward - np.sqrt(forward * strike) / np.pi * area[0])


def test_heston_greeks_against_the_exact_price(within):
    """Pathwise derivatives. The scheme switches between two laws, a jump that they do not see; they differ by little there."""
    params = HestonParams(v0=0.05, kappa=1.2, theta=0.06, sigma=0.5, rho=-0.6)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.02)
    names = ("spot", *(f"params.{name}" for name in params._fields))
    call = mc.payoffs.european(strike=100.0)
    found = mc.greeks(process, call, wrt=names, key=3, paths=100_000, times=np.linspace(0.125, 1.0, 8))
    within(found["value"], _lewis(100.0, 1.0, 0.02, params, 100.0), bias=0.01)
    for name in names:
        parts = dict(zip(names, (100.0, *params), strict=True))
        bump = 1e-4 * max(abs(parts[name]), 0.1)
        ends = []
        for side in (1, -1):
            moved = {**parts, name: parts[name] + side * bump}
            ends.append(_lewis(100.0, 1.0, 0.02, tuple(moved[n] for n in names[1:]), moved["spot"]))
        exact = (ends[0] - ends[1]) / (2 * bump)
        within(found[name], exact, bias=0.02 * abs(exact) + 0.05)
