import jax.numpy as jnp

from gpujax.numerics.elementary import exponential, log_ratio
from gpujax.numerics.function import floating_inputs, market_function
from gpujax.pricing import lognormal


@market_function
def price(*, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True):
    spot, strike, expiry, volatility, rate, dividend_yield, is_call = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield, is_call=is_call)
    valid = (spot > 0) & (strike >= 0) & (volatility >= 0) & (expiry >= 0)
    asset, cash = spot * exponential(-dividend_yield * expiry), strike * exponential(-rate * expiry)
    x = log_ratio(spot, strike) + (rate - dividend_yield) * expiry
    s = lognormal.total_volatility(volatility, expiry)
    v = lognormal.value(asset, cash, x, s, is_call)
    return jnp.where(valid, v, jnp.nan)
