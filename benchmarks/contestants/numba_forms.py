"""Hand-written numba loops: what somebody gets who writes the formula in a compiled, parallel loop over the arrays.

Each loop is compiled for the dtype it works in (its constants too, since a float64 constant would draw float32 work
up to float64), with `parallel=True`, `fastmath=True` and the error function of the C library, and is the fastest
plain form that was found: a signed formula instead of two branches, and nothing computed twice.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.contestants.options import Options
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["greeks", "greeks_one", "implied_volatility", "implied_volatility_one", "price", "price_one"]

NAME = "numba loop, hand-written"
HOW = "parallel, fastmath, erfc of the C library; compiled for the inputs' dtype"

numba, ABSENT = load(NAME, "numba")


def price(options: Options) -> list[Contestant | Absent]:
    """Prices in one parallel loop."""
    if ABSENT:
        return ABSENT
    o, loop = options, _price_loop(options.dtype.name)

    def call() -> np.ndarray:
        return loop(o.spot, o.strike, o.expiry, o.volatility, o.rate, o.is_call)

    return [Contestant(NAME, HOW, call, len(o), lambda got: {"price": got})]


def greeks(options: Options) -> list[Contestant | Absent]:
    """Price and five Greeks in one parallel loop."""
    if ABSENT:
        return ABSENT
    o, loop = options, _greeks_loop(options.dtype.name)

    def call() -> tuple[np.ndarray, ...]:
        return loop(o.spot, o.strike, o.expiry, o.volatility, o.rate, o.is_call)

    return [Contestant(NAME, HOW, call, len(o), _named)]


def implied_volatility(options: Options) -> list[Contestant | Absent]:
    """Implied volatilities of out-of-the-money options in one parallel loop of Halley steps on the log of the price."""
    if ABSENT:
        return ABSENT
    o, loop = options, _implied_loop(options.dtype.name)

    def call() -> np.ndarray:
        return loop(o.price, o.spot, o.strike, o.expiry, o.rate, o.is_call)

    how = f"Halley steps on the logarithm of the price until they no longer move it; {HOW}"
    return [Contestant(NAME, how, call, len(o), lambda got: {"volatility": got})]


def implied_volatility_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """The implied volatility of one option by a compiled function of scalars."""
    if ABSENT:
        return ABSENT
    body = _scalar_functions("float64").implied
    values = tuple(option[k] for k in ("price", "spot", "strike", "expiry", "rate", "is_call"))
    return [Contestant("numba function, hand-written", "compiled function of scalars", lambda: body(*values), 1,
                       lambda got: {"volatility": np.array(got)})]  # fmt: skip


def price_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """One option: the same loop body as a compiled function of scalars."""
    if ABSENT:
        return ABSENT
    body = _scalar_functions("float64").price
    values = tuple(option[k] for k in ("spot", "strike", "expiry", "volatility", "rate", "is_call"))
    return [Contestant("numba function, hand-written", "compiled function of scalars", lambda: body(*values), 1,
                       lambda got: {"price": np.array(got)})]  # fmt: skip


def greeks_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """Price and five Greeks of one option by a compiled function of scalars."""
    if ABSENT:
        return ABSENT
    body = _scalar_functions("float64").greeks
    values = tuple(option[k] for k in ("spot", "strike", "expiry", "volatility", "rate", "is_call"))
    return [Contestant("numba function, hand-written", "compiled function of scalars", lambda: body(*values), 1,
                       lambda got: _named(np.array(got)))]  # fmt: skip


def _named(columns: Any) -> dict[str, np.ndarray]:
    return dict(zip(("price", "delta", "gamma", "vega", "theta", "rho"), columns, strict=True))


@functools.cache
def _scalar_functions(dtype: str) -> Any:
    """The formulas of one option, compiled for one dtype; the loops inline them."""
    kind = np.dtype(dtype).type
    one, half, root_half = kind(1.0), kind(0.5), kind(math.sqrt(0.5))
    inverse_root_two_pi = kind(1.0 / math.sqrt(2.0 * math.pi))
    smallest = np.finfo(dtype).tiny
    precision = kind(4.0) * np.finfo(dtype).eps

    @numba.njit(fastmath=True)
    def price(spot, strike, expiry, volatility, rate, is_call):
        total = volatility * math.sqrt(expiry)
        growth = rate * expiry
        d1 = (math.log(spot / strike) + growth) / total + half * total
        sign = one if is_call else -one
        scaled = -sign * root_half
        strike_part = strike * math.exp(-growth) * math.erfc(scaled * (d1 - total))
        return sign * half * (spot * math.erfc(scaled * d1) - strike_part)

    @numba.njit(fastmath=True)
    def greeks(spot, strike, expiry, volatility, rate, is_call):
        root = math.sqrt(expiry)
        total = volatility * root
        growth = rate * expiry
        d1 = (math.log(spot / strike) + growth) / total + half * total
        sign = one if is_call else -one
        scaled = -sign * root_half
        delta = sign * half * math.erfc(scaled * d1)
        strike_part = sign * half * strike * math.exp(-growth) * math.erfc(scaled * (d1 - total))
        density = math.exp(-half * d1 * d1) * inverse_root_two_pi
        spot_density = spot * density
        theta = -half * spot_density * volatility / root - rate * strike_part
        gamma = density / (spot * total)
        return spot * delta - strike_part, delta, gamma, spot_density * root, theta, expiry * strike_part

    @numba.njit(fastmath=True)
    def implied(price, spot, strike, expiry, rate, is_call):
        discounted_strike = strike * math.exp(-rate * expiry)
        moneyness = math.log(spot / discounted_strike)
        sign = one if is_call else -one
        scaled = -sign * root_half
        log_target = math.log(price)
        # At this total volatility the price's curvature changes sign, and from it the iteration cannot overshoot.
        total = math.sqrt(kind(2.0) * abs(moneyness)) + kind(1e-3)
        for _ in range(24):
            d1 = moneyness / total + half * total
            d2 = d1 - total
            value = sign * half * (spot * math.erfc(scaled * d1) - discounted_strike * math.erfc(scaled * d2))
            value = max(value, smallest)
            ratio = spot * math.exp(-half * d1 * d1) * inverse_root_two_pi / value  # derivative of log(value)
            newton = (log_target - math.log(value)) / ratio
            # Halley's correction needs the second over the first derivative of log(value): d1*d2/total - ratio.
            curvature = d1 * d2 / total - ratio
            step = newton / max(half, one + half * newton * curvature)
            total = max(total + step, half * total)
            if abs(step) <= precision * total:
                break
        return total / math.sqrt(expiry)

    return SimpleNamespace(price=price, greeks=greeks, implied=implied)


@functools.cache
def _price_loop(dtype: str) -> Callable[..., np.ndarray]:
    body, prange = _scalar_functions(dtype).price, numba.prange

    @numba.njit(parallel=True, fastmath=True)
    def loop(spot, strike, expiry, volatility, rate, is_call):
        result = np.empty_like(spot)
        for i in prange(spot.size):
            result[i] = body(spot[i], strike[i], expiry[i], volatility[i], rate[i], is_call[i])
        return result

    return loop


@functools.cache
def _greeks_loop(dtype: str) -> Callable[..., tuple[np.ndarray, ...]]:
    body, prange = _scalar_functions(dtype).greeks, numba.prange

    @numba.njit(parallel=True, fastmath=True)
    def loop(spot, strike, expiry, volatility, rate, is_call):
        price, delta, gamma = np.empty_like(spot), np.empty_like(spot), np.empty_like(spot)
        vega, theta, rho = np.empty_like(spot), np.empty_like(spot), np.empty_like(spot)
        for i in prange(spot.size):
            price[i], delta[i], gamma[i], vega[i], theta[i], rho[i] = body(
                spot[i], strike[i], expiry[i], volatility[i], rate[i], is_call[i]
            )
        return price, delta, gamma, vega, theta, rho

    return loop


@functools.cache
def _implied_loop(dtype: str) -> Callable[..., np.ndarray]:
    body, prange = _scalar_functions(dtype).implied, numba.prange

    @numba.njit(parallel=True, fastmath=True)
    def loop(price, spot, strike, expiry, rate, is_call):
        result = np.empty_like(spot)
        for i in prange(spot.size):
            result[i] = body(price[i], spot[i], strike[i], expiry[i], rate[i], is_call[i])
        return result

    return loop
