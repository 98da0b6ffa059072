r"""Asian options on the geometric average of prices at given times, by Black-Scholes: an exact closed form.

The average G = (S_1 S_2 ... S_n)^{1/n} of the prices at the fixing times t_1 <= ... <= t_n is lognormal,

$$ \ln G \sim N\Bigl(\ln S + \bigl(r - q - \tfrac12 \sigma^2\bigr)\,\bar t,\; \sigma^2 v\Bigr), \qquad
   \bar t = \frac1n \sum_i t_i, \quad v = \frac1{n^2} \sum_{i,j} \min(t_i, t_j) = \frac1{n^2} \sum_i (2(n - i) + 1)\, t_i , $$

so that its option, paid at t_n, is Black's (1976) on the forward E[G] with the total volatility σ√v:

$$ V = \phi\,[A\,N(\phi d_1) - B\,N(\phi d_2)], \quad A = S e^{-r t_n + (r - q)\bar t - \sigma^2 (\bar t - v)/2}, \quad
   B = K e^{-r t_n}, \quad d_{1,2} = \frac{\ln(A/B)}{\sigma\sqrt v} \pm \frac{\sigma\sqrt v}{2} $$

It is the control variate of the arithmetic average. Not for floating strikes, nor for averages that are already running: with m
of n fixings known and their geometric mean g, it is an option on g^{m/n} G'^{(n-m)/n}, which is lognormal too, but not this one.

Sources: A. G. Z. Kemna and A. C. F. Vorst, "A Pricing Method for Options Based on Average Asset Values", Journal of Banking and
Finance 14 (1990), 113-129; P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 3.2.2, for any fixing
times.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError
from gpujax.numerics.elementary import exponential, log_ratio
from gpujax.numerics.function import floating_inputs, market_function
from gpujax.pricing import lognormal

__all__ = ["price"]


@market_function(static=("from_start",))
def price(
    *, spot, strike, times, volatility, rate=0.0, dividend_yield=0.0, is_call=True, from_start: bool = False
) -> jax.Array:
    """Price today, in currency.

    Arguments (keyword-only; all but `times` broadcast against each other and against its leading axes):
        spot: price of the underlying S > 0, in currency.
        strike: K >= 0, in currency.
        times: the fixings t_i >= 0, not decreasing, in years: `[..., fixings]`, or one number. The option pays at the last.
        volatility: lognormal σ >= 0, per square root of a year, as a decimal.
        rate, dividend_yield: continuously compounded, as decimals; may be negative.
        is_call: True for calls, False for puts.
        from_start: (static) whether the price today is a fixing too, as if `times` began with a zero.

    Returns: `[...]`, of the inputs' dtype. Zero volatility gives the discounted intrinsic value of the average of forwards, one
        fixing `black_scholes.price`. Derivatives are finite there too, except where forward = strike, which is a kink. Values out
        of range, times that decrease among them, give NaN.

    Accuracy: in float64 the exact price of inputs moved by a few units in the last place.

    Raises: InputError for shapes that do not fit, InputTypeError for wrong types, with the name of the argument.

    >>> import numpy as np
    >>> price(spot=100.0, strike=100.0, times=np.linspace(0.1, 1.0, 10), volatility=0.2, rate=0.06, dividend_yield=0.03)
    Array(5.34256066, dtype=float64)
    """
    (times,) = floating_inputs(times=times)
    times = jnp.atleast_1d(times)
    fixings = times.shape[-1]
    if not fixings:
        raise InputError(f"times: shape {times.shape}; expected at least one fixing along the last axis")
    count = fixings + int(from_start)
    mean = jnp.sum(times, axis=-1) / count
    twice_later = np.arange(2 * fixings - 1, 0, -2).reshape((1,) * (times.ndim - 1) + (fixings,))
    variance = jnp.sum(times * jnp.asarray(twice_later, times.dtype), axis=-1) / count**2
    ordered = (times[..., 0] >= 0) & jnp.all(times[..., 1:] >= times[..., :-1], axis=-1)

    spot, strike, mean, volatility, rate, dividend_yield, is_call = floating_inputs(
        spot=spot, strike=strike, times=mean, volatility=volatility, rate=rate, dividend_yield=dividend_yield,
        is_call=is_call,
    )  # fmt: skip
    last, variance = (x.reshape(mean.shape).astype(mean.dtype) for x in (times[..., -1], variance))
    growth = (rate - dividend_yield) * mean - 0.5 * (volatility * volatility) * (mean - variance)
    asset, cash = spot * exponential(growth - rate * last), strike * exponential(-rate * last)
    x = log_ratio(spot, strike) + growth
    asset, cash, x = jnp.broadcast_arrays(asset, cash, x)
    value = lognormal.value(asset, cash, x, lognormal.total_volatility(volatility, variance), is_call)
    valid = (spot > 0) & (strike >= 0) & (volatility >= 0) & ordered.reshape(mean.shape)
    return jnp.where(valid, value, jnp.nan)
