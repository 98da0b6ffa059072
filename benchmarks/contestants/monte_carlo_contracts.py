"""The contracts of the Monte Carlo benchmark, and what they are worth without simulation.

Every reference is computed by quadrature to ten digits or more, together with the standard deviation of one path's present
value, so that both an estimate and the standard error that it claims can be judged.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from benchmarks.harness.measure import Arrays, Tolerance
from gpujax.hub.oracles import asian_call_moments

__all__ = ["AmericanPut", "AsianCall", "BasketCall", "Contract", "HestonCall", "answer", "reference", "sample_answer",
           "tolerances"]  # fmt: skip


@dataclass(frozen=True)
class AsianCall:
    """Call on the arithmetic average of the prices at `steps` equally spaced dates, the last one the expiry."""

    paths: int = 200_000
    steps: int = 50
    spot: float = 100.0
    strike: float = 100.0
    expiry: float = 1.0
    volatility: float = 0.2
    rate: float = 0.05
    scheme_bias: float = 0.0


@dataclass(frozen=True)
class BasketCall:
    """Call on the mean of lognormal assets that are all alike, each pair with one correlation.

    The payoff needs the last date only. Everybody simulates all of them, drawing `assets` normal numbers a step and
    correlating them by a Cholesky factor, as any payoff that watches the path would need; and so does gpujax.
    """

    paths: int = 100_000
    steps: int = 12
    assets: int = 5
    correlation: float = 0.5
    spot: float = 100.0
    strike: float = 100.0
    expiry: float = 1.0
    volatility: float = 0.2
    rate: float = 0.05
    scheme_bias: float = 0.0


@dataclass(frozen=True)
class HestonCall:
    """European call under Heston; any scheme of `steps` equal steps whose bias is below `scheme_bias`, in currency."""

    paths: int = 100_000
    steps: int = 50
    spot: float = 100.0
    strike: float = 100.0
    expiry: float = 1.0
    rate: float = 0.05
    v0: float = 0.04
    kappa: float = 1.5
    theta: float = 0.04
    sigma: float = 0.3
    rho: float = -0.7
    scheme_bias: float = 0.02


@dataclass(frozen=True)
class AmericanPut:
    """Puts that may be exercised at `steps` equally spaced dates, one for each spot, each valued on paths of its own.

    These are the first rows of table 1 of F. A. Longstaff and E. S. Schwartz, "Valuing American Options by Simulation",
    Review of Financial Studies 14 (2001), 113-147. `scheme_bias` allows for the error of a policy from a cubic.
    """

    paths: int = 100_000
    steps: int = 50
    spots: tuple[float, ...] = (36.0, 38.0, 40.0, 42.0, 44.0)
    strike: float = 40.0
    expiry: float = 1.0
    volatility: float = 0.2
    rate: float = 0.06
    scheme_bias: float = 0.01
    # The regressions are on powers of (spot / strike - centre) / width: of order one where the put is in the money, so
    # that the normal equations are well conditioned in float32 too.
    centre: float = 0.85
    width: float = 0.15


Contract = AsianCall | BasketCall | HestonCall | AmericanPut


def answer(price: object, standard_error: object, paths: int) -> Arrays:
    """An estimate as the harness compares it; `paths` is the number of independent samples behind it."""
    error = np.atleast_1d(np.asarray(standard_error, float))
    return {
        "price": np.atleast_1d(np.asarray(price, float)),
        "price standard error": error,
        "deviation": error * math.sqrt(paths),
    }


def sample_answer(total: object, squares: object, paths: int) -> Arrays:
    """An estimate from the sum and the sum of squares of the paths' present values."""
    mean = np.atleast_1d(np.asarray(total, float)) / paths
    variance = np.atleast_1d(np.asarray(squares, float)) / paths - mean * mean
    return answer(mean, np.sqrt(variance / (paths - 1)), paths)


def tolerances(contract: Contract) -> dict[str, Tolerance]:
    """Four and a half of the contestant's own standard errors, and the scheme's bias.

    The claimed standard error is itself held against the true standard deviation of a path, which keeps anybody from
    agreeing by claiming a large one, and from taking part with fewer paths than it is timed for. On a few thousand paths a
    regression fits their noise and spreads what they pay by up to a fifth.
    """
    return {
        "price": Tolerance(absolute=contract.scheme_bias, standard_errors=4.5),
        "deviation": Tolerance(relative=0.25),
    }


def reference(contract: Contract) -> Arrays:
    """Price, and standard deviation of one path's present value."""
    if isinstance(contract, AsianCall):
        first, second = _asian(contract)
    elif isinstance(contract, BasketCall):
        first, second = _basket(contract)
    elif isinstance(contract, HestonCall):
        first, second = _heston(contract)
    else:
        first, second = _american(contract)
    first, second = np.atleast_1d(first), np.atleast_1d(second)
    return {"price": first, "deviation": np.sqrt(second - first * first)}


def _call_moments(forward: np.ndarray, strike: float, total: float) -> tuple[np.ndarray, np.ndarray]:
    """Expectation of a call's payoff and of its square, for a lognormal price of log standard deviation `total`."""
    d1 = np.log(forward / strike) / total + 0.5 * total
    first = forward * ndtr(d1) - strike * ndtr(d1 - total)
    squared_price = forward * forward * math.exp(total * total) * ndtr(d1 + total)
    return first, squared_price - 2 * strike * forward * ndtr(d1) + strike * strike * ndtr(d1 - total)


def _asian(c: AsianCall) -> tuple[float, float]:
    """By recursion on the density of the sum."""
    return asian_call_moments(
        spot=c.spot, strike=c.strike, expiry=c.expiry, volatility=c.volatility, rate=c.rate, fixings=c.steps
    )


def _basket(c: BasketCall, nodes: int = 16) -> tuple[float, float]:
    """By Black's formula given the assets' own shocks, and Gauss-Hermite quadrature over these.

    The assets share one factor, so that the mean is a lognormal variable times the mean of independent ones; of these only
    the multiset matters, which leaves 15,504 combinations of sixteen nodes instead of a million.
    """
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    log_weight = np.log(weight / weight.sum())
    sets = np.array(list(itertools.combinations_with_replacement(range(nodes), c.assets)))
    counts = (sets[:, :, None] == np.arange(nodes)).sum(axis=1)
    log_factorial = np.cumsum(np.log(np.maximum(np.arange(c.assets + 1), 1)))
    chance = np.exp(log_factorial[c.assets] - log_factorial[counts].sum(axis=1) + counts @ log_weight)
    own = c.volatility * math.sqrt((1.0 - c.correlation) * c.expiry)
    shared = c.volatility * math.sqrt(c.correlation * c.expiry)
    growth = (c.rate - 0.5 * c.volatility**2) * c.expiry + 0.5 * shared**2
    forward = c.spot * math.exp(growth) * np.exp(own * z[sets]).mean(axis=1)
    first, second = _call_moments(forward, c.strike, shared)
    discount = math.exp(-c.rate * c.expiry)
    return discount * float(first @ chance), discount**2 * float(second @ chance)


def _heston(c: HestonCall) -> tuple[float, float]:
    """By Fourier integrals along lines on which payoff and density both have transforms (A. L. Lewis, 2001)."""
    u = np.arange(0.025, 400.0, 0.05)  # midpoints: the rule converges geometrically for what is analytic in a strip

    def characteristic(u: np.ndarray) -> np.ndarray:
        """E exp(i u log S_T), in the form without a branch cut (H. Albrecher et al., "The Little Heston Trap", 2007)."""
        beta = c.kappa - 1j * c.rho * c.sigma * u
        d = np.sqrt(beta * beta + c.sigma**2 * (1j * u + u * u))
        g, decay = (beta - d) / (beta + d), np.exp(-d * c.expiry)
        constant = (
            c.kappa * c.theta / c.sigma**2 * ((beta - d) * c.expiry - 2.0 * np.log((1.0 - g * decay) / (1.0 - g)))
        )
        slope = (beta - d) / c.sigma**2 * (1.0 - decay) / (1.0 - g * decay)
        return np.exp(1j * u * (math.log(c.spot) + c.rate * c.expiry) + constant + slope * c.v0)

    def expectation(transform: np.ndarray, line: np.ndarray) -> float:
        return float(np.sum((characteristic(-line) * transform).real) * 0.05 / math.pi)

    line = u + 1.5j
    w = 1j * line
    first = expectation(np.exp((1.0 + w) * math.log(c.strike)) / (w * (1.0 + w)), line)
    line = u + 2.5j
    w = 1j * line
    squared = np.exp((2.0 + w) * math.log(c.strike)) * (-1.0 / (2.0 + w) + 2.0 / (1.0 + w) - 1.0 / w)
    discount = math.exp(-c.rate * c.expiry)
    return discount * first, discount**2 * expectation(squared, line)


def _american(c: AmericanPut, nodes: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """By integrating backwards from date to date, exactly below the exercise boundary and by Gauss-Legendre above it.

    On each side of the boundary the integrand is smooth (M. A. Sullivan, "Valuing American Put Options Using Gaussian
    Quadrature", Review of Financial Studies 13 (2000), 75-94).
    """
    step = c.expiry / c.steps
    total, drift, discount = (
        c.volatility * math.sqrt(step),
        (c.rate - 0.5 * c.volatility**2) * step,
        math.exp(-c.rate * step),
    )
    top = math.log(max(c.spots)) + abs(c.rate) * c.expiry + 10.0 * c.volatility * math.sqrt(c.expiry)
    abscissae, weights = np.polynomial.legendre.leggauss(nodes)
    boundary, y, above = math.log(c.strike), np.empty(0), np.empty((0, 2))  # at the expiry nothing is left above

    def held(x: np.ndarray) -> np.ndarray:
        """Value of not exercising, and second moment of what it pays, at log prices x one date earlier: `[x, 2]`."""
        mean = x + drift
        reach = (boundary - mean) / total
        power = [np.exp(j * mean + 0.5 * (j * total) ** 2) * ndtr(reach - j * total) for j in range(3)]
        exercised = np.stack([c.strike * power[0] - power[1],
                              c.strike**2 * power[0] - 2.0 * c.strike * power[1] + power[2]], axis=1)  # fmt: skip
        kernel = np.exp(-0.5 * ((y - mean[:, None]) / total) ** 2) / (total * math.sqrt(2.0 * math.pi))
        return (exercised + kernel @ above) * np.array([discount, discount**2])

    for _ in range(c.steps - 1):
        exercise = brentq(lambda x: held(np.array([x]))[0, 0] - (c.strike - math.exp(x)), math.log(c.strike) - 3.0,
                          math.log(c.strike), xtol=1e-14)  # fmt: skip
        half = 0.5 * (top - exercise)
        following = exercise + half * (1.0 + abscissae)
        above = held(following) * (half * weights)[:, None]
        boundary, y = exercise, following
    found = held(np.log(np.array(c.spots)))
    return found[:, 0], found[:, 1]
