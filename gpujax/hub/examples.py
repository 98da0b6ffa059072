"""Example inputs for the registry's rows: ordinary markets of any size, the same for the same seed.

Strikes lie within two and a half standard deviations of the forward, calls and puts mixed. The edges of each domain are
the business of the tests and of `benchmarks/accuracy.py`; these are the workload.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gpujax.hub import textbook

__all__ = [
    "bachelier_market",
    "forward_market",
    "normal_arguments",
    "probabilities",
    "shifted_market",
    "spot_market",
    "with_price",
]

Inputs = dict[str, np.ndarray]
Example = Callable[[int, int, Any], Inputs]


def spot_market(n: int, seed: int = 0, dtype: Any = np.float64) -> Inputs:
    """Options on stocks: spots around 100, a week to two years, volatilities of 10 to 60 %."""
    draw = np.random.default_rng(seed)
    spot = 100.0 * np.exp(draw.normal(0.0, 0.3, n))
    expiry, volatility = draw.uniform(0.02, 2.0, n), draw.uniform(0.1, 0.6, n)
    rate, dividend_yield = draw.uniform(-0.01, 0.06, n), draw.uniform(0.0, 0.04, n)
    forward = spot * np.exp((rate - dividend_yield) * expiry)
    strike = forward * np.exp(volatility * np.sqrt(expiry) * draw.uniform(-2.5, 2.5, n))
    return _rounded(dtype, spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate,
                    dividend_yield=dividend_yield, is_call=draw.random(n) < 0.5)  # fmt: skip


def forward_market(n: int, seed: int = 0, dtype: Any = np.float64) -> Inputs:
    """Options on forwards around 100, a week to two years, lognormal volatilities of 10 to 60 %."""
    draw = np.random.default_rng(seed)
    forward = 100.0 * np.exp(draw.normal(0.0, 0.3, n))
    expiry, volatility = draw.uniform(0.02, 2.0, n), draw.uniform(0.1, 0.6, n)
    strike = forward * np.exp(volatility * np.sqrt(expiry) * draw.uniform(-2.5, 2.5, n))
    return _rounded(dtype, forward=forward, strike=strike, expiry=expiry, volatility=volatility,
                    rate=draw.uniform(-0.01, 0.06, n), is_call=draw.random(n) < 0.5)  # fmt: skip


def shifted_market(n: int, seed: int = 0, dtype: Any = np.float64) -> Inputs:
    """Options on interest rates that may be negative, under a shift of 3 %."""
    draw = np.random.default_rng(seed)
    forward, shift = draw.uniform(-0.01, 0.05, n), np.full(n, 0.03)
    expiry, volatility = draw.uniform(0.1, 5.0, n), draw.uniform(0.1, 0.5, n)
    strike = (forward + shift) * np.exp(volatility * np.sqrt(expiry) * draw.uniform(-2.5, 2.5, n)) - shift
    return _rounded(dtype, forward=forward, strike=strike, expiry=expiry, volatility=volatility, shift=shift,
                    rate=draw.uniform(-0.01, 0.06, n), is_call=draw.random(n) < 0.5)  # fmt: skip


def bachelier_market(n: int, seed: int = 0, dtype: Any = np.float64) -> Inputs:
    """Options on forwards of either sign, normal volatilities of 2 to 20 in currency."""
    draw = np.random.default_rng(seed)
    forward, expiry = draw.uniform(-30.0, 120.0, n), draw.uniform(0.02, 2.0, n)
    volatility = draw.uniform(2.0, 20.0, n)
    strike = forward + volatility * np.sqrt(expiry) * draw.uniform(-2.5, 2.5, n)
    return _rounded(dtype, forward=forward, strike=strike, expiry=expiry, volatility=volatility,
                    rate=draw.uniform(-0.01, 0.06, n), is_call=draw.random(n) < 0.5)  # fmt: skip


def with_price(price: Callable[..., np.ndarray], market: Example) -> Example:
    """The same market with each option's price in place of its volatility; out of the money only.

    The price of an option deep in the money is nearly all intrinsic value: it does not hold the volatility's digits.
    """

    def example(n: int, seed: int = 0, dtype: Any = np.float64) -> Inputs:
        inputs = market(n, seed, dtype)
        double = {name: array.astype(np.float64) for name, array in inputs.items() if array.dtype != np.bool_}
        inputs["is_call"] = double["strike"] >= textbook.forward(**double)
        given = price(**double, is_call=inputs["is_call"]).astype(dtype)
        del inputs["volatility"]
        return {"price": given, **inputs}

    return example


def normal_arguments(n: int, seed: int = 0, dtype: Any = np.float64) -> Inputs:
    """Arguments of the normal distribution's functions between -8 and 8."""
    return _rounded(dtype, x=np.random.default_rng(seed).uniform(-8.0, 8.0, n))


def probabilities(n: int, seed: int = 0, dtype: Any = np.float64) -> Inputs:
    """Probabilities over all of (0, 1), the lower tail down to 1e-12."""
    draw = np.random.default_rng(seed)
    spread, tail = draw.uniform(0.001, 0.999, n), 10.0 ** draw.uniform(-12.0, -3.0, n)
    return _rounded(dtype, p=np.where(draw.random(n) < 0.5, spread, tail))


def _rounded(dtype: Any, **inputs: np.ndarray) -> Inputs:
    return {name: array if array.dtype == np.bool_ else array.astype(dtype) for name, array in inputs.items()}
