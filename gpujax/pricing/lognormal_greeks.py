r"""Greeks of the lognormal model to third order, in closed form, sharing the work of the price.

Everything is built from the two exercise probabilities N(φd1), N(φd2) and one density, A n(d1) = B n(d2) (A, B the discounted
legs); only those probabilities that are small are computed, the others are one minus them. Higher orders multiply lower
ones by polynomials in d1, d2 (Haug, "The Complete Guide to Option Pricing Formulas", 2nd ed. 2007, chapter 2).

Edges. Where volatility or expiry is zero the option is its discounted intrinsic value and its Greeks are those of that
payoff, except on the kink, forward = strike: there price, delta, vega, rho and dual delta are limits along forward = strike,
gamma and dual gamma are infinite, theta is minus infinity at expiry 0, and the other Greeks, which have no limit, are NaN.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.elementary import at_least, exponential, log_ratio
from gpujax.numerics.mills import mills_ratio
from gpujax.numerics.normal import pdf
from gpujax.numerics.staging import computed_once
from gpujax.pricing.lognormal import floor, otm_value, total_volatility, z_minus

__all__ = ["lognormal_greeks"]


def lognormal_greeks(spot, strike, expiry, volatility, rate, dividend_yield, is_call) -> dict[str, jax.Array]:
    """Price and all Greeks by name under Black-Scholes-Merton; arrays of one dtype that broadcast (see the module's edges)."""
    discount, carry = exponential(-rate * expiry), exponential(-dividend_yield * expiry)
    x = log_ratio(spot, strike) + (rate - dividend_yield) * expiry
    arrays = (x, carry, discount, volatility, expiry, is_call)
    x, carry, discount, volatility, expiry, is_call = jnp.broadcast_arrays(*arrays)
    # What is out of range is NaN from here on: one test of the inputs instead of one for each Greek.
    valid = (spot > 0) & (strike >= 0) & (volatility >= 0) & (expiry >= 0)
    asset, cash = computed_once(jnp.where(valid, spot * carry, jnp.nan)), computed_once(strike * discount)
    x, s = computed_once(x), computed_once(total_volatility(volatility, expiry))
    a, smaller = jnp.abs(x), jnp.where(cash < asset, cash, asset)
    z = z_minus(a, s)
    density = computed_once(smaller * pdf(z))  # A n(d1) = B n(d2)
    z = jnp.clip(z, -_LIMIT, _LIMIT)
    # The out-of-the-money option: its leg that is larger, and its value; the smaller leg is their sum, which cancels nothing.
    far = computed_once(density * mills_ratio(z + s))
    otm = computed_once(otm_value(a, s, smaller, density))
    tail = computed_once(density * mills_ratio(jnp.abs(z)))
    near, rest = jnp.where(z < 0, smaller - tail, tail), jnp.where(z < 0, tail, smaller - tail)

    # A N(φd1) and B N(φd2); those of the in-the-money option are what the other option leaves of each leg.
    above = x >= 0
    asset_leg = jnp.where(is_call, jnp.where(above, asset - far, near), jnp.where(above, far, rest))
    cash_leg = jnp.where(is_call, jnp.where(above, rest, far), jnp.where(above, near, cash - far))
    sign = jnp.where(is_call, jnp.ones_like(x), -jnp.ones_like(x))
    d1, d2 = jnp.where(above, z + s, -z), jnp.where(above, z, -z - s)
    product = z * (z + s)  # d1 d2

    # The density vanishes with s, and so does whatever it multiplies, except on the kink.
    kink = (s == 0) & (x == 0)
    infinite = jnp.where(kink, jnp.inf, 0.0).astype(x.dtype)
    safe_s, safe_volatility = at_least(s, floor(s)), at_least(volatility, floor(s))
    safe_expiry = at_least(expiry, floor(s))
    safe_strike = at_least(strike, spot * (1e-300 if s.dtype == np.float64 else 1e-37))
    spot_by_strike = spot / safe_strike
    at_strike_zero = jnp.where(valid, jnp.where(is_call, discount, jnp.zeros_like(x)), jnp.nan)  # e^{-rT} N(φ d2)
    drift = ((rate - dividend_yield) * expiry / safe_s - 0.5 * d2) / safe_expiry  # ∂d1/∂T

    delta = sign * asset_leg / spot
    gamma = density / (safe_s * (spot * spot))
    vega = density * total_volatility(jnp.ones_like(expiry), expiry)  # √T, with a slope that is finite at 0
    decay = density * s / (2 * safe_expiry) + jnp.where(expiry > 0, jnp.zeros_like(x), infinite)
    higher = {
        "vanna": -density * d2 / (spot * safe_volatility),
        "volga": vega * product / safe_volatility,
        "charm": dividend_yield * delta - density * drift / spot,
        "veta": vega * (dividend_yield + d1 * drift - 0.5 / safe_expiry),
        "speed": -gamma * (1 + d1 / safe_s) / spot,
        "zomma": gamma * (product - 1) / safe_volatility,
        "color": gamma * (dividend_yield + d1 * drift + 0.5 / safe_expiry),
        "ultima": vega * (product * (product - 1) - (d1 * d1 + d2 * d2)) / safe_volatility / safe_volatility,
    }
    return {
        "price": at_least(sign * (asset - cash), 0) + otm,
        "delta": delta,
        "gamma": gamma + infinite,
        "vega": vega,
        "theta": sign * (dividend_yield * asset_leg - rate * cash_leg) - decay,
        "rho": sign * expiry * cash_leg,
        "dividend_rho": -sign * expiry * asset_leg,
        "dual_delta": -sign * jnp.where(cash > 0, cash_leg / safe_strike, at_strike_zero),
        "dual_gamma": gamma * spot_by_strike * spot_by_strike + infinite,
        **{name: jnp.where(kink, jnp.nan, v) for name, v in higher.items()},
    }


_LIMIT = 1e4  # of d1 and d2: every density is zero long before, and their powers stay finite
