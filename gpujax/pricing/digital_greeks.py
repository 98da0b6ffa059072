r"""Greeks of digital options to third order, in closed form: both kinds are one discounted leg times a probability.

With the leg L = S e^{-qT} and d = d1 for asset-or-nothing, L = X e^{-rT} and d = d2 for cash-or-nothing options, e the other one
of d1, d2, and φ = ±1, the price is V = L N(φd). Everything follows from n = L n(d) and

$$ \partial_\sigma d = -\frac{e}{\sigma}, \quad \partial_S d = \frac{1}{S s}, \quad
   \partial_T d = h = \frac{r - q}{s} - \frac{e}{2T}, \quad \partial_T L = \lambda L, \quad s = \sigma\sqrt T . $$

Edges. Where volatility or expiry is zero the Greeks are those of the discounted payoff: of L, or of nothing. On its step,
forward = strike, the price is half the leg and the Greeks, which have no limit, are NaN.

Derived from M. Rubinstein and E. Reiner, "Unscrambling the Binary Code", Risk 4 (1991), 75-83.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.elementary import at_least, exponential, log_ratio, shared
from gpujax.numerics.normal import cdf, pdf
from gpujax.numerics.staging import computed_once
from gpujax.pricing.lognormal import d_plus_minus, floor, total_volatility

__all__ = ["digital_greeks"]


def digital_greeks(
    spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash: jax.Array | None
) -> dict[str, jax.Array]:
    """Price and all Greeks by name; arrays of one dtype that broadcast. `cash` is the sum paid, None for the asset itself."""
    x = log_ratio(spot, strike) + (rate - dividend_yield) * expiry
    if cash is None:
        leg, growth = spot * exponential(-dividend_yield * expiry), -dividend_yield
    else:
        leg, growth = cash * exponential(-rate * expiry), -rate
    x, leg, growth, spot, strike, expiry, volatility, is_call = jnp.broadcast_arrays(
        x, leg, growth, spot, strike, expiry, volatility, is_call
    )
    # What is out of range is NaN from here on, in the price and in every Greek.
    valid = (spot > 0) & (strike >= 0) & (volatility >= 0) & (expiry >= 0)
    leg = jnp.where(valid, leg, jnp.nan)
    s = computed_once(total_volatility(volatility, expiry))
    d1, d2 = (computed_once(d) for d in d_plus_minus(x, s))
    d, e = (d1, d2) if cash is None else (d2, d1)
    sign = jnp.where(is_call, jnp.ones_like(x), -jnp.ones_like(x))
    price = computed_once(leg * cdf(sign * d))
    step = (s == 0) & (x == 0)
    density = computed_once(jnp.where(step, jnp.nan, sign * leg * pdf(d)))  # φ n

    safe_s, safe_volatility, safe_expiry = (at_least(y, floor(s)) for y in (s, volatility, expiry))
    safe_strike = at_least(strike, spot * (1e-300 if s.dtype == np.float64 else 1e-37))
    slope = density / safe_s  # V by the logarithm of the spot, without that of the leg
    # The logarithm of the spot moves log L by 1 or 0 and d by 1/s: together by -d2/s, for either kind.
    c, own = d2, (price if cash is None else jnp.zeros_like(price))
    h = (rate - dividend_yield) / safe_s - e / (2 * safe_expiry)  # ∂d/∂T
    k = (rate - dividend_yield) / safe_s - d / (2 * safe_expiry)  # ∂e/∂T
    half_life = 0.5 / safe_expiry
    bend = d * e * e - d - e
    # Reciprocals, because XLA turns a quotient of quotients into one by a product, which underflows here.
    unit_volatility, unit_strike = shared(1 / safe_volatility), shared(1 / safe_strike)
    unit = density * unit_volatility
    gamma_unit = density / (safe_s * spot) / (safe_s * spot)
    values = {
        "delta": (own + slope) / spot,
        "gamma": -gamma_unit * e,
        "vega": -unit * e,
        "theta": -growth * price - density * h,
        "rho": expiry * (slope + (own - price)),
        "dividend_rho": -expiry * (slope + own),
        "vanna": unit * (e * c - 1) / (safe_s * spot),
        "volga": -unit * unit_volatility * bend,
        "charm": -(growth * own + slope * (growth - c * h - half_life)) / spot,
        "veta": unit * (e * (growth - d * h) + k),
        "speed": gamma_unit * (e * (c + 2 * safe_s) - 1) / (safe_s * spot),
        "zomma": -gamma_unit * unit_volatility * (bend - e),
        "color": gamma_unit * (e * (growth - d * h - 2 * half_life) + k),
        "ultima": -unit * unit_volatility * unit_volatility * ((d * e - 2) * bend - e * (e * e + 2 * d * d - 1) + d),
        "dual_delta": -slope * unit_strike,
        "dual_gamma": (slope * unit_strike) * ((-e if cash is None else s - d) / safe_s) * unit_strike,
    }
    return {"price": price, **{name: jnp.where(step, jnp.nan, v) for name, v in values.items()}}
