"""The textbook formulas as NumPy expressions with SciPy's normal distribution, each shared term computed once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtr

from benchmarks.contestants.options import Options
from benchmarks.harness.measure import Contestant

__all__ = ["greeks", "greeks_one", "implied_volatility", "implied_volatility_one", "price", "price_one"]

NAME = "NumPy + SciPy"
PURE = "Python math module"
ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


def price(options: Options) -> list[Contestant]:
    """Prices, computed in the options' own dtype."""
    o, one = options, options.dtype.type(1)

    def call() -> np.ndarray:
        total = o.volatility * np.sqrt(o.expiry)
        growth = o.rate * o.expiry
        d1 = (np.log(o.spot / o.strike) + growth) / total + one / 2 * total
        # The sign makes one formula of call and put, which halves the work against computing both and choosing.
        sign = np.where(o.is_call, one, -one)
        return sign * (o.spot * ndtr(sign * d1) - o.strike * np.exp(-growth) * ndtr(sign * (d1 - total)))

    how = "ndtr of the signed d1 and d2: SciPy's fastest normal distribution, two calls per option"
    return [Contestant(NAME, how, call, len(o), lambda got: {"price": got})]


def greeks(options: Options) -> list[Contestant]:
    """Price and five Greeks sharing d1, d2, the density and both distribution values."""
    o, one = options, options.dtype.type(1)
    root_two_pi = options.dtype.type(ROOT_TWO_PI)

    def call() -> dict[str, np.ndarray]:
        root = np.sqrt(o.expiry)
        total = o.volatility * root
        growth = o.rate * o.expiry
        d1 = (np.log(o.spot / o.strike) + growth) / total + one / 2 * total
        sign = np.where(o.is_call, one, -one)
        delta = sign * ndtr(sign * d1)
        strike_part = sign * o.strike * np.exp(-growth) * ndtr(sign * (d1 - total))
        density = np.exp(-one / 2 * d1 * d1) / root_two_pi
        spot_density = o.spot * density
        return {
            "price": o.spot * delta - strike_part,
            "delta": delta,
            "gamma": density / (o.spot * total),
            "vega": spot_density * root,
            "theta": -spot_density * o.volatility / (2 * root) - o.rate * strike_part,
            "rho": o.expiry * strike_part,
        }

    return [Contestant(NAME, "one pass, shared terms computed once", call, len(o), lambda got: got)]


def implied_volatility(options: Options) -> list[Contestant]:
    """Newton's method on the logarithm of the price, from the inflection point, on all options at once.

    The logarithm makes the steps of far out-of-the-money options as good as those of near ones; eight iterations
    bring the step below one ulp over the benchmark's domain.
    """
    o, one = options, options.dtype.type(1)
    root_two_pi, smallest = options.dtype.type(ROOT_TWO_PI), np.finfo(options.dtype).tiny

    def call() -> np.ndarray:
        root = np.sqrt(o.expiry)
        discounted_strike = o.strike * np.exp(-o.rate * o.expiry)
        moneyness = np.log(o.spot / discounted_strike)
        sign = np.where(o.is_call, one, -one)
        log_target = np.log(o.price)
        # At this total volatility the price's curvature changes sign, and from it the iteration cannot overshoot.
        total = np.sqrt(2 * np.abs(moneyness)) + one / 1000
        for _ in range(8):
            d1 = moneyness / total + total / 2
            value = sign * (o.spot * ndtr(sign * d1) - discounted_strike * ndtr(sign * (d1 - total)))
            value = np.maximum(value, smallest)
            slope = o.spot * np.exp(-one / 2 * d1 * d1) / root_two_pi
            total = np.maximum(total - (np.log(value) - log_target) * value / slope, total / 2)
        return total / root

    how = "eight Newton steps on the logarithm of the price, vectorised"
    return [Contestant(NAME, how, call, len(o), lambda got: {"volatility": got})]


def implied_volatility_one(option: dict[str, Any]) -> list[Contestant]:
    """One option with nothing but the standard library: the steps of `implied_volatility` until they have no effect."""

    def call(price: float, spot: float, strike: float, expiry: float, rate: float, is_call: bool) -> float:
        discounted_strike = strike * math.exp(-rate * expiry)
        moneyness, log_target = math.log(spot / discounted_strike), math.log(price)
        sign, half = (1.0 if is_call else -1.0), math.sqrt(0.5)
        total = math.sqrt(2.0 * abs(moneyness)) + 1e-3
        for _ in range(50):
            d1 = moneyness / total + 0.5 * total
            value = 0.5 * sign * (spot * math.erfc(-sign * d1 * half)
                                  - discounted_strike * math.erfc(-sign * (d1 - total) * half))  # fmt: skip
            value = max(value, 1e-300)
            step = (log_target - math.log(value)) * value * ROOT_TWO_PI / (spot * math.exp(-0.5 * d1 * d1))
            total = max(total + step, 0.5 * total)
            if abs(step) <= 1e-15 * total:
                break
        return total / math.sqrt(expiry)

    return [Contestant(PURE, "Newton steps on the logarithm of the price", lambda: call(**option), 1,
                       lambda got: {"volatility": np.array(got)})]  # fmt: skip


def price_one(option: dict[str, Any]) -> list[Contestant]:
    """One option with nothing but the standard library, as people write it."""

    def call(spot: float, strike: float, expiry: float, volatility: float, rate: float, is_call: bool) -> float:
        total = volatility * math.sqrt(expiry)
        d1 = (math.log(spot / strike) + rate * expiry) / total + 0.5 * total
        sign = 1.0 if is_call else -1.0
        half = math.sqrt(0.5)
        return sign * 0.5 * (spot * math.erfc(-sign * d1 * half)
                             - strike * math.exp(-rate * expiry) * math.erfc(-sign * (d1 - total) * half))  # fmt: skip

    return [
        Contestant(
            PURE, "math.erfc: no array machinery", lambda: call(**option), 1, lambda got: {"price": np.array(got)}
        )
    ]


def greeks_one(option: dict[str, Any]) -> list[Contestant]:
    """Price and five Greeks of one option with the standard library."""

    def call(
        spot: float, strike: float, expiry: float, volatility: float, rate: float, is_call: bool
    ) -> dict[str, float]:
        root = math.sqrt(expiry)
        total = volatility * root
        d1 = (math.log(spot / strike) + rate * expiry) / total + 0.5 * total
        sign = 1.0 if is_call else -1.0
        half = math.sqrt(0.5)
        delta = sign * 0.5 * math.erfc(-sign * d1 * half)
        strike_part = sign * 0.5 * strike * math.exp(-rate * expiry) * math.erfc(-sign * (d1 - total) * half)
        density = math.exp(-0.5 * d1 * d1) / ROOT_TWO_PI
        return {
            "price": spot * delta - strike_part,
            "delta": delta,
            "gamma": density / (spot * total),
            "vega": spot * density * root,
            "theta": -spot * density * volatility / (2.0 * root) - rate * strike_part,
            "rho": expiry * strike_part,
        }

    return [Contestant(PURE, "math.erfc, shared terms computed once", lambda: call(**option), 1,
                       lambda got: {name: np.array(value) for name, value in got.items()})]  # fmt: skip
