"""Lookback options: on the highest or lowest price at the simulated times."""

from typing import Any

import jax.numpy as jnp

from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_flags, check_numbers
from gpujax.pricing.monte_carlo.payoffs.european import exercise
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, one_price

__all__ = ["lookback"]


@parameters(static=("is_call",))
class _Lookback:
    strike: Any
    is_call: bool

    def start(self, now):
        return one_price(now.spot)

    def update(self, account, now):
        # A fixed-strike call and a floating-strike put look at the maximum, the others at the minimum.
        highest = self.is_call == (self.strike is not None)
        return jnp.maximum(account, now.spot) if highest else jnp.minimum(account, now.spot)

    def value(self, account, last):
        if self.strike is None:
            return last.discount * (last.spot - account if self.is_call else account - last.spot)
        return last.discount * exercise(account, self.strike, self.is_call)


def lookback(*, strike: Any = None, is_call: bool = True) -> Payoff:
    r"""An option on the extreme of the prices at time zero and all simulated times.

    Arguments:
        strike: a fixed strike, in currency: max(M - K, 0) for calls, max(K - m, 0) for puts, M and m the highest and lowest
            price; or None for a floating one: S_T - m for calls, M - S_T for puts.

    The extreme of all the time in between is more extreme, by a factor of about exp(±0.5826 σ √Δt) at steps of Δt.

    Raises: InputError, InputTypeError with the name of the argument.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> still = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.0, rate=0.05)
    >>> mc.price(still, lookback(), key=1, paths=10, times=[0.5, 1.0]).value.round(6)
    Array(4.877058, dtype=float64)

    Source: M. Broadie, P. Glasserman, S. Kou, "Connecting Discrete and Continuous Path-Dependent Options", Finance and
    Stochastics 3 (1999), 55-82, for the correction.
    """
    check_numbers(strike=strike)
    check_flags(is_call=is_call)
    return _Lookback(strike=strike, is_call=is_call)
