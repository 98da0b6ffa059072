r"""The lognormal model in terms of discounted legs: the engine behind `black_scholes`, `black76`, `displaced` and `digital`.

An option is described by its discounted asset leg A = e^{-rT} F, its discounted cash leg B = e^{-rT} K, the log-moneyness
x = ln(F/K) and the total volatility s = σ√T. With a = |x| and z± = a/s ± s/2, the out-of-the-money option, put or call, is

$$ V = \min(A, B)\, v(a, s), \quad v = N(-z_-) - e^{a} N(-z_+) = n(z_-)\,[M(z_-) - M(z_+)] $$

with M the Mills ratio. The difference is taken inside the polynomial that approximates M (`numerics.mills`), so that v keeps
its relative accuracy where the two terms cancel: low volatility, short expiry, deep wings. In-the-money options add
the intrinsic value; nothing is ever subtracted from a put to get a call.

Cost of a price from seven arrays: two exponentials, one Gaussian, one logarithm, three divisions, one root, two polynomial
chains of degree 24: about 170 arithmetic operations and 57 bytes an option.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.elementary import at_least
from gpujax.numerics.mills import mills_difference
from gpujax.numerics.normal import cdf, pdf

__all__ = ["d_plus_minus", "floor", "otm_value", "total_volatility", "value", "z_minus"]


def z_minus(a: jax.Array, s: jax.Array) -> jax.Array:
    """a/s - s/2 for a >= 0, s >= 0: minus the smaller of |d1|, |d2| with its sign."""
    safe = at_least(s, floor(s))
    return 0.5 * ((2 * a - safe * safe) / safe)


def otm_value(a: jax.Array, s: jax.Array, leg: jax.Array, density: jax.Array) -> jax.Array:
    """leg * v(a, s), given density = leg * n(z-); a >= 0 is |ln(F/K)|, s >= 0 the total volatility."""
    safe = at_least(s, floor(s))
    half = 0.5 * (safe * safe)
    # Beyond z- = -0.6 the option is worth so much of its leg that one minus the two tails cancels nothing.
    high = a - half < -0.6 * safe
    # In units of s, so that this division and that of z- do not wait for each other.
    near = jnp.where(high, half - a, a - half)
    mills, difference = mills_difference(near, a + half, jnp.where(high, 2 * a, safe * s), safe)
    return jnp.where(high, leg - density * (2 * mills - difference), density * difference)


@jax.custom_jvp
def value(asset: jax.Array, cash: jax.Array, x: jax.Array, s: jax.Array, is_call: jax.Array) -> jax.Array:
    """Present value of a European option from its discounted legs, x = ln(asset / cash) and total volatility s.

    x comes separately because callers know it more accurately than the rounded legs do; it is not an independent variable:
    the derivative by `asset` is N(d1) and that by `cash` -N(d2), as for a function of the legs and s alone.
    """
    a, smaller = jnp.abs(x), jnp.minimum(asset, cash)
    density = smaller * pdf(z_minus(a, s))
    intrinsic = at_least(jnp.where(is_call, asset - cash, cash - asset), 0)
    return intrinsic + otm_value(a, s, smaller, density)


@value.defjvp
def _value_jvp(primals, tangents):
    asset, cash, x, s, is_call = primals
    d_asset, d_cash, _, d_s, _ = tangents
    d1, d2 = d_plus_minus(x, s)
    sign = jnp.where(is_call, jnp.ones_like(x), -jnp.ones_like(x))
    tangent = sign * (cdf(sign * d1) * d_asset - cdf(sign * d2) * d_cash)
    # Where the density has vanished, so has the sensitivity, even if s moves infinitely fast (expiry 0).
    vega = asset * pdf(d1)
    tangent = tangent + jnp.where(vega == 0, jnp.zeros_like(vega), vega * d_s)
    return value(asset, cash, x, s, is_call), tangent


def d_plus_minus(x: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
    """d1 and d2 = x/s ± s/2, bounded so that their derivatives stay finite at s = 0; zero where x = s = 0."""
    ratio = x / at_least(s, floor(s))
    limit = 1e4  # far beyond where every density is zero
    return jnp.clip(ratio + 0.5 * s, -limit, limit), jnp.clip(ratio - 0.5 * s, -limit, limit)


@jax.custom_jvp
def total_volatility(volatility: jax.Array, expiry: jax.Array) -> jax.Array:
    """σ√T; its derivative by T is bounded at T = 0, so that a vanishing density times it is zero, not NaN."""
    return volatility * jnp.sqrt(expiry)


@total_volatility.defjvp
def _total_volatility_jvp(primals, tangents):
    (volatility, expiry), (d_volatility, d_expiry) = primals, tangents
    root = jnp.sqrt(at_least(expiry, floor(expiry)))
    return total_volatility(volatility, expiry), root * d_volatility + (0.5 * volatility / root) * d_expiry


def floor(s: jax.Array) -> float:
    """A total volatility too small to matter whose square can still be divided by."""
    return 1e-100 if s.dtype == np.float64 else 1e-15
