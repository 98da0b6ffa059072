"""Control variates: payoffs whose value is known, which take their noise out of others.

$$ \\hat V = \\bar Y - \\beta (\\bar X - E[X]), \\qquad \\beta = \\mathrm{Cov}(X, X)^{-1} \\mathrm{Cov}(X, Y) $$

with the coefficients estimated from the same paths. That biases the estimate by an amount of order 1 / paths, far below its
standard error, which is of order 1 / √paths: for jointly normal variables there is none at all.

Source: S. S. Lavenberg and P. D. Welch, "A perspective on the use of control variables to increase the efficiency of Monte Carlo
simulations", Management Science 27 (1981), 322-335; P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003),
section 4.1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import geometric_asian
from gpujax.pricing.monte_carlo.arguments import check_payoff
from gpujax.pricing.monte_carlo.payoffs import asian
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff
from gpujax.pricing.monte_carlo.processes import GeometricBrownianMotion

__all__ = ["Control", "flat_controls", "geometric_average"]


class Control(NamedTuple):
    """A control variate.

    Fields:
        payoff: a payoff on the same process.
        value: its exact present value.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> forward = Control(mc.payoffs.european(strike=0.0), 100.0)
    >>> call = mc.payoffs.european(strike=90.0)
    >>> plain = mc.price(stock, call, key=1, paths=100_000, times=1.0)
    >>> controlled = mc.price(stock, call, key=1, paths=100_000, times=1.0, control=forward)
    >>> bool(controlled.standard_error < 0.4 * plain.standard_error)
    True
    """

    payoff: Payoff
    value: Any


def geometric_average(
    process: GeometricBrownianMotion, *, strike: Any, times: Any, is_call: bool = True, from_start: bool = False
) -> Control:
    """The option on the geometric average, the classical control of the arithmetic one (Kemna and Vorst 1990).

    Arguments:
        process: geometric Brownian motion with constant parameters.
        times: those that payoffs see, as given to `price`.
        strike, is_call, from_start: as those of the `asian` payoff that is to be priced.
    """
    if not isinstance(process, GeometricBrownianMotion):
        raise InputTypeError(
            f"process: {type(process).__name__}; the geometric average has a closed form for GeometricBrownianMotion"
        )
    value = geometric_asian.price(
        spot=process.spot, strike=strike, times=jnp.asarray(np.atleast_1d(times), jnp.result_type(float)),
        volatility=process.volatility, rate=process.rate, dividend_yield=process.dividend_yield, is_call=is_call,
        from_start=from_start,
    )  # fmt: skip
    payoff = asian(strike=strike, average="geometric", is_call=is_call, from_start=from_start)
    return Control(payoff, value)


def flat_controls(control: Any) -> tuple[list[Payoff], Any]:
    """The payoffs and the values of one control or several, or of none.

    Raises: InputTypeError for what is no control, InputError for values that are no single finite numbers.
    """
    several = isinstance(control, (list, tuple)) and not isinstance(control, Control)
    each: list[Any] = [] if control is None else list(control) if several else [control]
    for one in each:
        if not isinstance(one, Control):
            raise InputTypeError(f"control: {one!r}; expected monte_carlo.Control(payoff, value), or several")
        check_payoff(one.payoff)
        if np.shape(one.value) != ():
            raise InputError(f"control: a value of shape {np.shape(one.value)}; expected one number")
        if not isinstance(one.value, Tracer) and not np.isfinite(one.value):
            raise InputError(f"control: value {one.value}; expected the exact, finite value of its payoff")
    # Known numbers stay with NumPy until everything goes to the device, in one call.
    traced = any(isinstance(one.value, Tracer) for one in each)
    wide = np.float64 if jax.config.jax_enable_x64 else np.float32  # pyright: ignore[reportAttributeAccessIssue]
    values = [one.value.astype(wide) if isinstance(one.value, Tracer) else np.asarray(one.value, wide) for one in each]
    return [one.payoff for one in each], jnp.stack(values) if traced else np.asarray(values, wide)
