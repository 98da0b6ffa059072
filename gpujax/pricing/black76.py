r"""European options on a forward, by Black (1976): futures, swaps, and any underlying quoted by its forward.

$$ V = e^{-rT} \phi [F N(\phi d_1) - K N(\phi d_2)], \quad d_{1,2} = \frac{\ln(F/K)}{\sigma\sqrt T} \pm \frac{\sigma\sqrt T}{2} $$

Arguments, the same in every function (keyword-only; they broadcast against each other, results have their dtype):
    forward: forward price for delivery at expiry, F > 0, in currency.
    strike, expiry, volatility, rate, is_call: as in `black_scholes`.

Delta and the other Greeks by the underlying are derivatives by the forward; rho holds the forward fixed (-T V); there is
no dividend rho (None). Values out of range give NaN; wrong types or shapes raise with the argument's name.

Source: F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976), 167-179.
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
def price(*, forward, strike, expiry, volatility, rate=0.0, is_call=True) -> jax.Array:
    """Price today, in currency (arguments: see the module; edges and accuracy as `black_scholes.price`).

    >>> price(forward=100.0, strike=110.0, expiry=0.5, volatility=0.2)
    Array(2.21124643, dtype=float64)
    """
    forward, strike, expiry, volatility, rate, is_call = floating_inputs(
        forward=forward, strike=strike, expiry=expiry, volatility=volatility, rate=rate, is_call=is_call
    )
    return price_on_forward(forward, strike, expiry, volatility, rate, is_call)


@market_function(static=("which",))
def greeks(*, forward, strike, expiry, volatility, rate=0.0, is_call=True, which: tuple[str, ...] = GREEKS) -> Greeks:
    """Price and Greeks to third order, in closed form (arguments: see the module; `which` as in `black_scholes.greeks`).

    >>> g = greeks(forward=100.0, strike=110.0, expiry=0.5, volatility=0.2, rate=0.05)
    >>> g.delta, g.rho, g.dividend_rho
    (Array(0.26643174, dtype=float64), Array(-1.07832528, dtype=float64), None)
    """
    forward, strike, expiry, volatility, rate, is_call = floating_inputs(
        forward=forward, strike=strike, expiry=expiry, volatility=volatility, rate=rate, is_call=is_call
    )
    return greeks_on_forward(forward, strike, expiry, volatility, rate, is_call, which)


@market_function
def implied_volatility(*, price, forward, strike, expiry, rate=0.0, is_call=True) -> jax.Array:
    """Volatility that reproduces a price (arguments: see the module; domain as `black_scholes.implied_volatility`).

    >>> implied_volatility(price=2.5, forward=100.0, strike=110.0, expiry=0.5)
    Array(0.21212188, dtype=float64)
    """
    return implied_on_forward(
        *floating_inputs(price=price, forward=forward, strike=strike, expiry=expiry, rate=rate, is_call=is_call)
    ).volatility


@market_function
def implied_volatility_diagnosis(*, price, forward, strike, expiry, rate=0.0, is_call=True) -> Diagnosis:
    """Implied volatility with status and uncertainty (see `black_scholes.implied_volatility_diagnosis`).

    >>> implied_volatility_diagnosis(price=120.0, forward=100.0, strike=90.0, expiry=0.5).status
    Array(2, dtype=int8)
    """
    return implied_on_forward(
        *floating_inputs(price=price, forward=forward, strike=strike, expiry=expiry, rate=rate, is_call=is_call)
    )


def price_on_forward(forward, strike, expiry, volatility, rate, is_call) -> jax.Array:
    """`price` on arrays of one dtype, for `displaced` as well."""
    # Discounted last, so that the derivative by the rate is -T V to the last digit.
    asset, cash, x = jnp.broadcast_arrays(forward, strike, log_ratio(forward, strike))
    value = lognormal.value(asset, cash, x, lognormal.total_volatility(volatility, expiry), is_call)
    valid = (forward > 0) & (strike >= 0) & (volatility >= 0) & (expiry >= 0)
    return jnp.where(valid, exponential(-rate * expiry) * value, jnp.nan)


def greeks_on_forward(forward, strike, expiry, volatility, rate, is_call, which) -> Greeks:
    """`greeks` on arrays of one dtype, for `displaced` as well."""
    # The forward behaves as a spot whose dividend yield is the rate, but for the rate's own derivative.
    values = lognormal_greeks(forward, strike, expiry, volatility, rate, rate, is_call)
    values["rho"] = -expiry * values["price"]
    del values["dividend_rho"]
    return select(values, which)


def implied_on_forward(price, forward, strike, expiry, rate, is_call) -> Diagnosis:
    """`implied_volatility_diagnosis` on arrays of one dtype, for `displaced` as well."""
    undiscounted = price * exponential(rate * expiry)
    asset, cash, x = jnp.broadcast_arrays(forward, strike, log_ratio(forward, strike))
    s = lognormal_implied.implied_total_volatility(undiscounted, asset, cash, x, is_call)
    vega = asset * lognormal.pdf(lognormal.d_plus_minus(x, s)[0])
    lower = jnp.maximum(jnp.where(is_call, asset - cash, cash - asset), 0)
    return diagnose(undiscounted, s, vega, lower, jnp.where(is_call, asset, cash), expiry, (forward > 0) & (strike > 0))
