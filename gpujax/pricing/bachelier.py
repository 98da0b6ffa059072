r"""European options on a normal forward, by Bachelier (1900): rates, spreads, and anything that may turn negative.

$$ V = e^{-rT}\,[\phi (F - K) N(\phi d) + \sigma\sqrt T\, n(d)], \quad d = \frac{F - K}{\sigma\sqrt T} $$

The out-of-the-money option is computed as σ√T n(d) (1 - |d| M(|d|)) with M the Mills ratio, whose last factor comes from the
derivative of the approximating polynomial and does not cancel; in-the-money options add the intrinsic value.

Arguments, the same in every function (keyword-only; they broadcast against each other, results have their dtype):
    forward, strike: F and K, any sign, in currency (or as rates).
    volatility: normal σ >= 0, in the forward's units per square root of a year.
    expiry, rate, is_call: as in `black76`.

Greeks are derivatives by the forward; rho holds the forward fixed; there is no dividend rho (None). Values out of range give NaN.

Source: L. Bachelier, "Théorie de la spéculation", Annales scientifiques de l'École normale supérieure 17 (1900), 21-86.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.numerics.elementary import at_least, exponential, log_ratio, shared
from gpujax.numerics.function import floating_inputs, market_function
from gpujax.numerics.mills import mills_difference, mills_ratio
from gpujax.numerics.normal import cdf, pdf
from gpujax.numerics.staging import computed_once
from gpujax.pricing.greek_names import GREEKS, Greeks, select
from gpujax.pricing.implied import Diagnosis, diagnose, log_power_step
from gpujax.pricing.lognormal import floor, total_volatility

__all__ = ["greeks", "implied_volatility", "implied_volatility_diagnosis", "price"]

_SQRT_2PI = 2.5066282746310002
_LIMIT = 1e4  # of d: every density is zero long before, and its powers stay finite


@market_function
def price(*, forward, strike, expiry, volatility, rate=0.0, is_call=True) -> jax.Array:
    """Price today, in currency (arguments: see the module).

    Zero volatility or expiry gives the discounted intrinsic value. Relative error below 1e-15 (4 + d²) in float64.

    >>> price(forward=-0.002, strike=0.001, expiry=2.0, volatility=0.008)
    Array(0.00317127, dtype=float64)
    """
    forward, strike, expiry, volatility, rate, is_call = floating_inputs(
        forward=forward, strike=strike, expiry=expiry, volatility=volatility, rate=rate, is_call=is_call
    )
    m, s, discount = jnp.broadcast_arrays(
        forward - strike, total_volatility(volatility, expiry), exponential(-rate * expiry)
    )
    return jnp.where((volatility >= 0) & (expiry >= 0), discount * _value(m, s, is_call), jnp.nan)


@market_function(static=("which",))
def greeks(*, forward, strike, expiry, volatility, rate=0.0, is_call=True, which: tuple[str, ...] = GREEKS) -> Greeks:
    """Price and Greeks to third order, in closed form (arguments: see the module; `which` as in `black_scholes.greeks`).

    Where volatility or expiry is zero, Greeks are those of the discounted intrinsic value; on its kink, forward = strike,
    gamma is infinite, theta minus infinity at expiry 0, and Greeks without a limit are NaN.

    >>> greeks(forward=-0.002, strike=0.001, expiry=2.0, volatility=0.008, which=("delta", "vega")).vega
    Array(0.5446994, dtype=float64)
    """
    forward, strike, expiry, volatility, rate, is_call = floating_inputs(
        forward=forward, strike=strike, expiry=expiry, volatility=volatility, rate=rate, is_call=is_call
    )
    discount = exponential(-rate * expiry)
    m, s, discount, volatility, expiry = jnp.broadcast_arrays(
        forward - strike, total_volatility(volatility, expiry), discount, volatility, expiry
    )
    m, s = computed_once(m), computed_once(s)
    sign = jnp.where(is_call, jnp.ones_like(m), -jnp.ones_like(m))
    safe_s, safe_volatility = at_least(s, floor(s)), at_least(volatility, floor(s))
    safe_expiry = at_least(expiry, floor(s))
    d = jnp.clip(m / safe_s, -_LIMIT, _LIMIT)
    density = computed_once(discount * pdf(d))
    exercise = computed_once(discount * cdf(sign * d))
    kink = (s == 0) & (m == 0)
    infinite = jnp.where(kink, jnp.inf, 0.0).astype(m.dtype)
    dd = d * d

    value = discount * _value(m, s, is_call)
    root = total_volatility(jnp.ones_like(expiry), expiry)  # √T, with a slope that is finite at 0
    delta, gamma, vega = sign * exercise, density / safe_s, density * root
    decay = density * s / (2 * safe_expiry) + jnp.where(expiry > 0, jnp.zeros_like(m), infinite)
    higher = {
        "vanna": -density * d / safe_volatility,
        "volga": vega * dd / safe_volatility,
        "charm": rate * delta + density * d / (2 * safe_expiry),
        "veta": vega * (rate - (1 + dd) / (2 * safe_expiry)),
        "speed": -gamma * d / safe_s,
        "zomma": gamma * (dd - 1) / safe_volatility,
        "color": gamma * (rate + (1 - dd) / (2 * safe_expiry)),
        "ultima": vega * dd * (dd - 3) / safe_volatility / safe_volatility,
    }
    values = {
        "price": value,
        "delta": delta,
        "gamma": gamma + infinite,
        "vega": vega,
        "theta": rate * value - decay,
        "rho": -expiry * value,
        "dual_delta": -delta,
        "dual_gamma": gamma + infinite,
        **{name: jnp.where(kink, jnp.nan, v) for name, v in higher.items()},
    }
    valid = (volatility >= 0) & (expiry >= 0)
    return select({name: jnp.where(valid, v, jnp.nan) for name, v in values.items()}, which)


@market_function
def implied_volatility(*, price, forward, strike, expiry, rate=0.0, is_call=True) -> jax.Array:
    """Normal volatility that reproduces a price (arguments: see the module).

    Accurate to a few units in the last place wherever the price carries the information, in a fixed number of steps. NaN below
    the discounted intrinsic value and at expiry; zero at the intrinsic value. Derivatives by the implicit function theorem.

    >>> implied_volatility(price=0.003, forward=-0.002, strike=0.001, expiry=2.0)
    Array(0.00768511, dtype=float64)
    """
    return _implied(price, forward, strike, expiry, rate, is_call).volatility


@market_function
def implied_volatility_diagnosis(*, price, forward, strike, expiry, rate=0.0, is_call=True) -> Diagnosis:
    """Normal volatility with status and uncertainty (see `black_scholes.implied_volatility_diagnosis`).

    >>> implied_volatility_diagnosis(price=0.001, forward=0.01, strike=0.0, expiry=2.0).status
    Array(1, dtype=int8)
    """
    return _implied(price, forward, strike, expiry, rate, is_call)


@jax.custom_jvp
def _value(m: jax.Array, s: jax.Array, is_call: jax.Array) -> jax.Array:
    """Undiscounted value from the moneyness m = F - K and the total volatility s."""
    h = shared(jnp.abs(m) / at_least(s, floor(s)))
    return at_least(jnp.where(is_call, m, -m), 0) + s * (pdf(h) * _slope(h))


@_value.defjvp
def _value_jvp(primals, tangents):
    m, s, is_call = primals
    dm, ds, _ = tangents
    sign = jnp.where(is_call, jnp.ones_like(m), -jnp.ones_like(m))
    d = jnp.clip(m / at_least(s, floor(s)), -_LIMIT, _LIMIT)
    density = pdf(d)
    by_s = jnp.where(density == 0, jnp.zeros_like(s), density * ds)
    return _value(m, s, is_call), sign * cdf(sign * d) * dm + by_s


def _slope(h: jax.Array) -> jax.Array:
    """1 - h M(h), which is what is left of the two terms of Bachelier's formula."""
    one = jnp.ones_like(h)
    return mills_difference(h, h, one, one)[1]


def _implied(price, forward, strike, expiry, rate, is_call) -> Diagnosis:
    price, forward, strike, expiry, rate, is_call = floating_inputs(
        price=price, forward=forward, strike=strike, expiry=expiry, rate=rate, is_call=is_call
    )
    m, undiscounted = jnp.broadcast_arrays(forward - strike, price * exponential(rate * expiry))
    s = _implied_total_volatility(undiscounted, m, is_call)
    vega = exponential(-rate * expiry) * pdf(m / at_least(s, floor(s)))
    lower = jnp.maximum(jnp.where(is_call, m, -m), 0) * exponential(-rate * expiry)
    return diagnose(price, s, vega, lower, jnp.full_like(lower, np.inf), expiry, valid=expiry == expiry)


@jax.custom_jvp
def _implied_total_volatility(price: jax.Array, m: jax.Array, is_call: jax.Array) -> jax.Array:
    """The s with _value(m, s, is_call) = price."""
    time_value = computed_once(price - at_least(jnp.where(is_call, m, -m), 0))
    distance = computed_once(jnp.abs(m))
    inside = time_value > 0
    s = _solve(distance, jnp.where(inside, time_value, jnp.ones_like(price)))
    return jnp.where(inside, s, jnp.where(time_value == 0, jnp.zeros_like(s), jnp.nan))


@_implied_total_volatility.defjvp
def _implied_jvp(primals, tangents):
    price, m, is_call = primals
    d_price, dm, _ = tangents
    s = _implied_total_volatility(price, m, is_call)
    sign = jnp.where(is_call, jnp.ones_like(m), -jnp.ones_like(m))
    h = jnp.clip(jnp.abs(m) / at_least(s, floor(s)), 0, _LIMIT)
    # The density from the time value it belongs to, which knows it better than h does: rounding s costs it h² of that. And the
    # out-of-the-money option, whose delta by that density is the Mills ratio of h.
    time_value = price - at_least(sign * m, 0)
    density = jnp.where(s > 0, time_value / at_least(s * _slope(h), np.finfo(s.dtype).tiny), pdf(h))
    d_intrinsic = jnp.where(sign * m > 0, sign * dm, jnp.zeros_like(dm))
    moved = (d_price - d_intrinsic) / jnp.where(density > 0, density, jnp.nan)
    call_side = (m < 0) | ((m == 0) & is_call)
    return s, moved + jnp.where(call_side, -mills_ratio(h), mills_ratio(h)) * dm


def _solve(distance: jax.Array, time_value: jax.Array) -> jax.Array:
    """The s with s n(h) (1 - h M(h)) = time_value > 0, h = distance / s."""
    # Far from the money: log(distance / (√(2π) time_value)) = h²/2 + log(h / slope(h)), with a rational stand-in for 1 / slope.
    tiny = np.finfo(distance.dtype).tiny
    near = time_value > 0.5 * distance
    far_distance = jnp.where(near, time_value, distance)
    ratio = shared(far_distance / (_SQRT_2PI * time_value))
    log = log_ratio(far_distance, _SQRT_2PI * time_value)
    large = shared(jnp.sqrt(jnp.abs(2 * log)))
    h = jnp.where(ratio < large, ratio, large)
    for _ in range(2):
        curve = 1 + h * (1.2533 + h)
        error = 0.5 * h * h + log_ratio(h * curve, jnp.ones_like(h)) - log
        h = at_least(h - error / (h + 1 / h + (1.2533 + 2 * h) / curve), 0.05 * h)
    s = jnp.where(near, _SQRT_2PI * (time_value + 0.5 * distance), distance / at_least(h, tiny))
    # A unit that keeps the logarithm above two, at the money as well.
    unit = distance + 10 * time_value
    level = log_ratio(unit, time_value)
    everywhere = jnp.ones_like(near)
    for _ in range(3):
        s = computed_once(s)
        inverse_s = shared(1 / s)
        h = distance * inverse_s
        rate = s * _slope(h)  # w / w'
        gap = 0.5 * h * h - log_ratio(rate, time_value * _SQRT_2PI)
        growth = h * h * inverse_s
        s = log_power_step(s, rate, jnp.ones_like(s), growth, -3 * growth * inverse_s, gap, level, everywhere)
    return s
