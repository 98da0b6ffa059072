r"""European digital options under Black-Scholes-Merton: a fixed sum, or the asset itself, if the option ends in the money.

$$ V_{\text{cash}} = X e^{-rT} N(\phi d_2), \qquad V_{\text{asset}} = S e^{-qT} N(\phi d_1) $$

Arguments as in `black_scholes`, and for cash-or-nothing options
    cash: the sum X paid, in currency (default 1).

Edges: zero volatility or expiry pays by the sign of forward - strike, half where they are equal (there the Greeks are NaN);
out-of-range values give NaN.
A vanilla call is an asset-or-nothing call less K cash-or-nothing calls.

Source: M. Rubinstein and E. Reiner, "Unscrambling the Binary Code", Risk 4 (1991), 75-83.
"""

import jax
import jax.numpy as jnp

from gpujax.numerics.elementary import exponential, log_ratio
from gpujax.numerics.function import floating_inputs, market_function
from gpujax.numerics.normal import cdf
from gpujax.pricing import lognormal
from gpujax.pricing.digital_greeks import digital_greeks
from gpujax.pricing.greek_names import GREEKS, Greeks, select

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
    _, d2, sign, valid = _exercise(spot, strike, expiry, volatility, rate, dividend_yield, is_call)
    return jnp.where(valid, cash * exponential(-rate * expiry) * cdf(sign * d2), jnp.nan)


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
    d1, _, sign, valid = _exercise(spot, strike, expiry, volatility, rate, dividend_yield, is_call)
    return jnp.where(valid, spot * exponential(-dividend_yield * expiry) * cdf(sign * d1), jnp.nan)


@market_function(static=("which",))
def cash_or_nothing_greeks(
    *, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True, cash=1.0,
    which: tuple[str, ...] = GREEKS,
) -> Greeks:  # fmt: skip
    """Price and Greeks to third order of `cash_or_nothing`, in closed form (see `gpujax.pricing.digital_greeks`).

    >>> cash_or_nothing_greeks(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, which=("delta",)).delta
    Array(0.02137885, dtype=float64)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call, cash=cash,
    )  # fmt: skip

    return select(digital_greeks(spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash), which)


@market_function(static=("which",))
def asset_or_nothing_greeks(
    *, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True, which: tuple[str, ...] = GREEKS
) -> Greeks:
    """Price and Greeks to third order of `asset_or_nothing`, in closed form (see `gpujax.pricing.digital_greeks`).

    >>> asset_or_nothing_greeks(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, which=("delta",)).delta
    Array(2.62485022, dtype=float64)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call,
    )  # fmt: skip
    return select(digital_greeks(spot, strike, expiry, volatility, rate, dividend_yield, is_call, None), which)


def _exercise(spot, strike, expiry, volatility, rate, dividend_yield, is_call):
    x, s, is_call = jnp.broadcast_arrays(
        log_ratio(spot, strike) + (rate - dividend_yield) * expiry,
        lognormal.total_volatility(volatility, expiry),
        is_call,
    )
    d1, d2 = lognormal.d_plus_minus(x, s)
    sign = jnp.where(is_call, jnp.ones_like(x), -jnp.ones_like(x))
    return d1, d2, sign, (spot > 0) & (strike >= 0) & (volatility >= 0) & (expiry >= 0)
