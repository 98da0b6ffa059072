r"""European options on a displaced (shifted) lognormal forward: F + β is lognormal, so that F may fall to -β.

The market's model for interest-rate options with low or negative rates; between lognormal (β = 0) and normal (β -> ∞).

$$ V = V_{\text{Black}}(F + \beta,\; K + \beta,\; \sigma,\; T,\; r) $$

Arguments, the same in every function (keyword-only; they broadcast against each other, results have their dtype):
    forward: F > -shift, in currency (or as a rate).
    strike: K >= -shift.
    shift: the displacement β, in the units of the forward; any sign.
    volatility: lognormal volatility of F + β, >= 0.
    expiry, rate, is_call: as in `black76`.

Greeks are those of `black76`, by the forward and the strike. Values out of range give NaN. The derivative that JAX takes by the
shift is delta plus dual delta, which nearly cancel: it is accurate to the last digits of these, not to its own.

Source: M. Rubinstein, "Displaced Diffusion Option Pricing", Journal of Finance 38 (1983), 213-217.
"""

import jax

from gpujax.numerics.function import floating_inputs, market_function
from gpujax.pricing.black76 import greeks_on_forward, implied_on_forward, price_on_forward
from gpujax.pricing.greek_names import GREEKS, Greeks
from gpujax.pricing.implied import Diagnosis

__all__ = ["greeks", "implied_volatility", "implied_volatility_diagnosis", "price"]


@market_function
def price(*, forward, strike, expiry, volatility, shift, rate=0.0, is_call=True) -> jax.Array:
    """Price today (arguments: see the module; edges and accuracy as `black_scholes.price`).

    >>> price(forward=-0.002, strike=0.001, expiry=2.0, volatility=0.25, shift=0.03)
    Array(0.00280773, dtype=float64)
    """
    forward, strike, expiry, volatility, shift, rate, is_call = floating_inputs(
        forward=forward, strike=strike, expiry=expiry, volatility=volatility, shift=shift, rate=rate, is_call=is_call
    )
    return price_on_forward(forward + shift, strike + shift, expiry, volatility, rate, is_call)


@market_function(static=("which",))
def greeks(
    *, forward, strike, expiry, volatility, shift, rate=0.0, is_call=True, which: tuple[str, ...] = GREEKS
) -> Greeks:
    """Price and Greeks to third order, in closed form (arguments: see the module; `which` as in `black_scholes.greeks`).

    >>> greeks(forward=-0.002, strike=0.001, expiry=2.0, volatility=0.25, shift=0.03, which=("delta",)).delta
    Array(0.45576526, dtype=float64)
    """
    forward, strike, expiry, volatility, shift, rate, is_call = floating_inputs(
        forward=forward, strike=strike, expiry=expiry, volatility=volatility, shift=shift, rate=rate, is_call=is_call
    )
    return greeks_on_forward(forward + shift, strike + shift, expiry, volatility, rate, is_call, which)


@market_function
def implied_volatility(*, price, forward, strike, expiry, shift, rate=0.0, is_call=True) -> jax.Array:
    """Displaced volatility that reproduces a price (arguments: see the module).

    >>> implied_volatility(price=0.003, forward=-0.002, strike=0.001, expiry=2.0, shift=0.03)
    Array(0.26223205, dtype=float64)
    """
    return _implied(price, forward, strike, expiry, shift, rate, is_call).volatility


@market_function
def implied_volatility_diagnosis(*, price, forward, strike, expiry, shift, rate=0.0, is_call=True) -> Diagnosis:
    """Displaced volatility with status and uncertainty (see `black_scholes.implied_volatility_diagnosis`).

    >>> implied_volatility_diagnosis(price=0.1, forward=-0.002, strike=0.001, expiry=2.0, shift=0.03).status
    Array(2, dtype=int8)
    """
    return _implied(price, forward, strike, expiry, shift, rate, is_call)


def _implied(price, forward, strike, expiry, shift, rate, is_call) -> Diagnosis:
    price, forward, strike, expiry, shift, rate, is_call = floating_inputs(
        price=price, forward=forward, strike=strike, expiry=expiry, shift=shift, rate=rate, is_call=is_call
    )
    return implied_on_forward(price, forward + shift, strike + shift, expiry, rate, is_call)
