"""Forward-start options: the strike is set as a share of the price at a later time."""

from typing import Any

import jax.numpy as jnp

from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_flags, check_numbers, places
from gpujax.pricing.monte_carlo.payoffs.european import exercise
from gpujax.pricing.monte_carlo.payoffs.observed import check_last
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, one_price

__all__ = ["forward_start"]


@parameters(static=("set_at", "is_call"))
class _ForwardStart:
    fraction: Any
    set_at: int
    is_call: bool

    def check(self, times: int) -> None:
        check_last("set_at", (self.set_at,), times)

    def start(self, now):
        return jnp.zeros_like(one_price(now.spot))

    def update(self, account, now):
        return jnp.where(now.index == self.set_at, self.fraction * now.spot, account)

    def value(self, account, last):
        return last.discount * exercise(last.spot, account, self.is_call)


def forward_start(*, set_at: int, fraction: Any = 1.0, is_call: bool = True) -> Payoff:
    """An option whose strike is set on the way: max(φ (S_T - α S_t), 0), paid at the last time T.

    Arguments:
        set_at: the number of the time t among those simulated, counted from 0; `payoffs.looks(times, 0.5)[0]` finds it.
        fraction: α >= 0, the strike as a share of the price at t; 1 starts at the money.

    Raises: InputError, InputTypeError with the name of the argument; InputError where fewer times are simulated.

    With t = T it is worth max(φ (1 - α), 0) S_T. Under Black-Scholes it costs e^{-qt} of an option that starts today.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> found = mc.price(stock, forward_start(set_at=0), key=1, paths=100_000, times=[0.5, 1.5])
    >>> abs(float(found.value) - 10.450584) < 4 * float(found.standard_error) < 0.25
    True

    Source: M. Rubinstein, "Pay Now, Choose Later", Risk 4 (February 1991), 13.
    """
    check_numbers(0.0, fraction=fraction)
    check_flags(is_call=is_call)
    return _ForwardStart(fraction=fraction, set_at=places("set_at", set_at)[0], is_call=is_call)
