r"""European options on a spot that pays a continuous dividend yield, by Black-Scholes-Merton.

$$ V = \phi\,[S e^{-qT} N(\phi d_1) - K e^{-rT} N(\phi d_2)], \quad
   d_{1,2} = \frac{\ln(S/K) + (r - q) T}{\sigma\sqrt T} \pm \frac{\sigma\sqrt T}{2}, \quad \phi = \pm 1 $$

Options on a forward are in `black76`; forwards that may turn negative in `bachelier` and `displaced`. Not for American
exercise.

Arguments, the same in every function (keyword-only; they broadcast against each other, results have their dtype):
    spot: price of the underlying S > 0, in currency.
    strike: K >= 0, in currency.
    expiry: time to expiry T >= 0, in years.
    volatility: lognormal σ >= 0, per square root of a year, as a decimal.
    rate: continuously compounded r, as a decimal; may be negative.
    dividend_yield: continuously compounded q, as a decimal; may be negative (a borrow fee).
    is_call: True for calls, False for puts.

A value out of range, or NaN, gives NaN in its place; a wrong type or shape raises `InputTypeError` or `InputError` with
the argument's name.

Source: R. C. Merton, "Theory of Rational Option Pricing", Bell Journal of Economics 4 (1973), 141-183.
"""

import jax
import jax.numpy as jnp

from gpujax.numerics.elementary import exponential, log_ratio
from gpujax.numerics.function import floating_inputs, market_function
from gpujax.pricing import lognormal, lognormal_implied
from gpujax.pricing.greek_names import GREEKS, Greeks, select
from gpujax.pricing.implied import Diagnosis, diagnose
from gpujax.pricing.lognormal_greeks import lognormal_greeks

__all__ = ["greeks", "implied_volatility", "implied_volatility_diagnosis", "price"]


@market_function
def price(*, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True) -> jax.Array:
    """Price today, in currency, of the inputs' shape (arguments: see the module).

    Zero volatility or expiry gives the discounted intrinsic value. First and second derivatives are finite there too, except
    where forward = strike, which is a kink.

    Accuracy: the float64 result is the exact price of inputs moved by two units in the last place, down to prices of 1e-300
    (`benchmarks/accuracy.py`). Without carry its relative error is below 1e-15 (4 + d²), d the larger of |d1| and |d2|. That
    holds where the two terms of the formula cancel: low volatility, short expiry, deep wings.

    >>> price(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, rate=0.05, dividend_yield=0.01)
    Array(2.74263816, dtype=float64)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call,
    )  # fmt: skip
    asset, cash, x = _legs(spot, strike, expiry, rate, dividend_yield)
    s = lognormal.total_volatility(volatility, expiry)
    valid = (spot > 0) & (strike >= 0) & (volatility >= 0) & (expiry >= 0)
    return jnp.where(valid, lognormal.value(asset, cash, x, s, is_call), jnp.nan)


@market_function(static=("which",))
def greeks(
    *, spot, strike, expiry, volatility, rate=0.0, dividend_yield=0.0, is_call=True, which: tuple[str, ...] = GREEKS
) -> Greeks:
    """Price and Greeks to third order, in closed form (arguments: see the module).

    `which` (static) names the Greeks wanted, from `gpujax.pricing.greek_names.GREEKS`; the others are None and cost
    nothing. Values at zero volatility and expiry are described in `gpujax.pricing.lognormal_greeks`.

    Raises: InputError for a name in `which` that is not a Greek.

    >>> g = greeks(spot=100.0, strike=110.0, expiry=0.5, volatility=0.2, rate=0.05, which=("delta", "theta"))
    >>> g.delta, g.theta, g.gamma is None
    (Array(0.3348873, dtype=float64), Array(-6.68060919, dtype=float64), True)
    """
    spot, strike, expiry, volatility, rate, dividend_yield, is_call = floating_inputs(
        spot=spot, strike=strike, expiry=expiry, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call,
    )  # fmt: skip
    return select(lognormal_greeks(spot, strike, expiry, volatility, rate, dividend_yield, is_call), which)


@market_function
def implied_volatility(*, price, spot, strike, expiry, rate=0.0, dividend_yield=0.0, is_call=True) -> jax.Array:
    """Volatility that reproduces a price (arguments: see the module; price >= 0, in currency).

    Accurate to a few units in the last place wherever the price carries the information: prices down to 1e-300, total
    volatilities from 1e-8 to beyond 10, any moneyness; a fixed number of steps without a loop. Float32 inputs give float32
    accuracy. NaN below the discounted intrinsic value, above the upper bound, at expiry and for spot or strike <= 0; zero at the
    intrinsic value, infinite at the bound, each as it comes out rounded: `implied_volatility_diagnosis` says which, and how
    much the price determines.

    Derivatives follow from the implicit function theorem: 1 / vega by price; NaN only where vega is zero.

    >>> implied_volatility(price=2.5, spot=100.0, strike=110.0, expiry=0.5)
    Array(0.21212188, dtype=float64)

    Source: see `gpujax.pricing.lognormal_implied`.
    """
    price, spot, strike, expiry, rate, dividend_yield, is_call = floating_inputs(
        price=price, spot=spot, strike=strike, expiry=expiry, rate=rate, dividend_yield=dividend_yield, is_call=is_call
    )
    asset, cash, x = _legs(spot, strike, expiry, rate, dividend_yield)
    s = lognormal_implied.implied_total_volatility(price, asset, cash, x, is_call)
    return jnp.where((spot > 0) & (strike > 0) & (expiry > 0), s / jnp.sqrt(expiry), jnp.nan)


@market_function
def implied_volatility_diagnosis(
    *, price, spot, strike, expiry, rate=0.0, dividend_yield=0.0, is_call=True
) -> Diagnosis:
    """Implied volatility with a status code and its uncertainty (arguments as for `implied_volatility`).

    Returns: `Diagnosis(volatility, status, uncertainty)`; status holds `gpujax.pricing.implied.Status` codes as int8;
    uncertainty is the change of volatility that one unit in the last place of the price stands for.

    >>> from gpujax.pricing.implied import Status
    >>> d = implied_volatility_diagnosis(price=1e-3, spot=100.0, strike=90.0, expiry=0.5)
    >>> Status(int(d.status)).name
    'BELOW_INTRINSIC'
    """
    price, spot, strike, expiry, rate, dividend_yield, is_call = floating_inputs(
        price=price, spot=spot, strike=strike, expiry=expiry, rate=rate, dividend_yield=dividend_yield, is_call=is_call
    )
    asset, cash, x = _legs(spot, strike, expiry, rate, dividend_yield)
    s = lognormal_implied.implied_total_volatility(price, asset, cash, x, is_call)
    vega = asset * lognormal.pdf(lognormal.d_plus_minus(x, s)[0])
    lower = jnp.maximum(jnp.where(is_call, asset - cash, cash - asset), 0)
    upper = jnp.where(is_call, asset, cash)
    return diagnose(price, s, vega, lower, upper, expiry, valid=(spot > 0) & (strike > 0))


def _legs(spot, strike, expiry, rate, dividend_yield):
    """Discounted asset and cash leg, and the log-moneyness of the forward, which they would only give rounded."""
    asset, cash = spot * exponential(-dividend_yield * expiry), strike * exponential(-rate * expiry)
    x = log_ratio(spot, strike) + (rate - dividend_yield) * expiry
    return tuple(jnp.broadcast_arrays(asset, cash, x))
