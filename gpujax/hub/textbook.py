"""Option prices as a notebook would write them in NumPy and SciPy: the baseline that speed is measured against.

Each is the two-term formula on whole arrays in float64, with SciPy's normal distribution (`scipy.special.ndtr`; SciPy
comes with JAX), the fastest of its normal distributions. They lose digits where the terms cancel; `gpujax.pricing` does
not.
"""

from typing import Any

import numpy as np

__all__ = ["bachelier", "black76", "black_scholes", "displaced", "forward"]


def black_scholes(
    *, spot, strike, expiry, volatility, rate: Any = 0.0, dividend_yield: Any = 0.0, is_call: Any = True
) -> np.ndarray:
    """Black-Scholes-Merton prices; arguments as for `gpujax.pricing.black_scholes.price`, arrays or numbers."""
    at_expiry = forward(spot=spot, expiry=expiry, rate=rate, dividend_yield=dividend_yield)
    return black76(forward=at_expiry, strike=strike, expiry=expiry, volatility=volatility, rate=rate, is_call=is_call)


def black76(*, forward, strike, expiry, volatility, rate: Any = 0.0, is_call: Any = True) -> np.ndarray:
    """Black (1976) prices; arguments as for `gpujax.pricing.black76.price`."""
    from scipy.special import ndtr

    sign = np.where(is_call, 1.0, -1.0)
    deviation = volatility * np.sqrt(expiry)
    d1 = np.log(forward / strike) / deviation + 0.5 * deviation
    return np.exp(-rate * expiry) * sign * (forward * ndtr(sign * d1) - strike * ndtr(sign * (d1 - deviation)))


def displaced(*, forward, strike, expiry, volatility, shift, rate: Any = 0.0, is_call: Any = True) -> np.ndarray:
    """Shifted lognormal prices; arguments as for `gpujax.pricing.displaced.price`."""
    return black76(
        forward=forward + shift, strike=strike + shift, expiry=expiry, volatility=volatility, rate=rate, is_call=is_call
    )


def bachelier(*, forward, strike, expiry, volatility, rate: Any = 0.0, is_call: Any = True) -> np.ndarray:
    """Bachelier prices; arguments as for `gpujax.pricing.bachelier.price`."""
    from scipy.special import ndtr

    deviation = volatility * np.sqrt(expiry)
    d = np.where(is_call, 1.0, -1.0) * (forward - strike) / deviation
    return np.exp(-rate * expiry) * deviation * (d * ndtr(d) + np.exp(-0.5 * d * d) / np.sqrt(2.0 * np.pi))


def forward(
    *, expiry: Any, rate: Any = 0.0, forward: Any = None, spot: Any = None, dividend_yield: Any = 0.0, **_: Any
) -> Any:
    """The forward price of a market given by its spot and carry, or by the forward itself."""
    return forward if forward is not None else spot * np.exp((rate - dividend_yield) * expiry)
