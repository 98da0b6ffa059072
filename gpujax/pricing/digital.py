r"""European digital options under Black-Scholes-Merton: a fixed sum, or the asset itself, if the option ends in the money.

$$ V_{\text{cash}} = X e^{-rT} N(\phi d_2), \qquad V_{\text{asset}} = S e^{-qT} N(\phi d_1) $$

Arguments as in `black_scholes`, and for cash-or-nothing options
    cash: the sum X paid, in currency (default 1).

Edges: zero volatility or expiry pays by the sign of forward - strike, half where they are equal; out-of-range values give NaN.
A vanilla call is an asset-or-nothing call less K cash-or-nothing calls.

Source: M. Rubinstein and E. Reiner, "Unscrambling the Binary Code", Risk 4 (1991), 75-83.
"""

import jax
import jax.numpy as jnp

from gpujax.numerics.elementary import exponential, log_ratio
from gpujax.numerics.function import floating_inputs, market_function
from gpujax.numerics.normal import cdf
from gpujax.pricing import lognormal
from gpujax.pricing.differentiation import greeks_by_differentiation
from gpujax.pricing.greek_names import GREEKS, Greeks

__all__ = ["asset_or_nothing", "asset_or_nothing_greeks", "cash_or_nothing", "cash_or_nothing_greeks"]


@market_function
def cash_or_nothing(
    *, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True, cash=1.0
) -> jax.Array:
    """Price of an option that pays `cash` if it ends in the money (arguments: see the module).

    >>> cash_or_nothing(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, rate=0.05)
    Array(0.27802054, dtype=float64)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call, cash=cash,
    )  # fmt: skip
    return cash * _unit_cash(is_call)(spot, strike, expiry, volatility, rate, dividend_yield)


@market_function
def asset_or_nothing(*, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True) -> jax.Array:
    """Price of an option that delivers the asset if it ends in the money (arguments: see the module).

    >>> asset_or_nothing(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, rate=0.05)
    Array(33.48873021, dtype=float64)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call,
    )  # fmt: skip
    return _asset(is_call)(spot, strike, expiry, volatility, rate, dividend_yield)


@market_function(static=("which",))
def cash_or_nothing_greeks(
    *, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True, cash=1.0,
    which: tuple[str, ...] = GREEKS,
) -> Greeks:  # fmt: skip
    """Price and Greeks to third order of `cash_or_nothing`, by differentiating its formula.

    >>> cash_or_nothing_greeks(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, which=("delta",)).delta
    Array(0.02137885, dtype=float64)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call, cash=cash,
    )  # fmt: skip

    def price(**inputs):
        return cash * _unit_cash(is_call)(**inputs)

    return _greeks(price, spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash, which)


@market_function(static=("which",))
def asset_or_nothing_greeks(
    *, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True, which: tuple[str, ...] = GREEKS
) -> Greeks:
    """Price and Greeks to third order of `asset_or_nothing`, by differentiating its formula.

    >>> asset_or_nothing_greeks(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, which=("delta",)).delta
    Array(2.62485022, dtype=float64)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call,
    )  # fmt: skip
    one = jnp.ones_like(spot)
    return _greeks(_asset(is_call), spot, strike, expiry, volatility, rate, dividend_yield, is_call, one, which)


def _unit_cash(is_call):
    def price(spot, strike, expiry, volatility, rate, dividend_yield):
        _, d2, valid = _exercise(spot, strike, expiry, volatility, rate, dividend_yield)
        sign = jnp.where(is_call, jnp.ones_like(d2), -jnp.ones_like(d2))
        return jnp.where(valid, exponential(-rate * expiry) * cdf(sign * d2), jnp.nan)

    return price


def _asset(is_call):
    def price(spot, strike, expiry, volatility, rate, dividend_yield):
        d1, _, valid = _exercise(spot, strike, expiry, volatility, rate, dividend_yield)
        sign = jnp.where(is_call, jnp.ones_like(d1), -jnp.ones_like(d1))
        return jnp.where(valid, spot * exponential(-dividend_yield * expiry) * cdf(sign * d1), jnp.nan)

    return price


def _exercise(spot, strike, expiry, volatility, rate, dividend_yield):
    x, s = jnp.broadcast_arrays(
        log_ratio(spot, strike) + (rate - dividend_yield) * expiry, lognormal.total_volatility(volatility, expiry)
    )
    d1, d2 = lognormal.d_plus_minus(x, s)
    return d1, d2, (spot > 0) & (strike >= 0) & (volatility >= 0) & (expiry >= 0)


def _greeks(price, spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash, which) -> Greeks:
    shape = jnp.broadcast_shapes(
        spot.shape,
        strike.shape,
        expiry.shape,
        volatility.shape,
        rate.shape,
        dividend_yield.shape,
        is_call.shape,
        cash.shape,
    )
    inputs = {
        "spot": spot, "strike": strike, "expiry": expiry, "volatility": volatility, "rate": rate,
        "dividend_yield": dividend_yield,
    }  # fmt: skip
    return greeks_by_differentiation(price, {k: jnp.broadcast_to(v, shape) for k, v in inputs.items()}, which)
