"""Cliquets (ratchets): a sum of returns, each within local limits, the sum within global ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_numbers
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, one_price

__all__ = ["cliquet"]


@parameters()
class _Cliquet:
    local_floor: Any
    local_cap: Any
    global_floor: Any
    global_cap: Any
    notional: Any

    def start(self, now):
        spot = one_price(now.spot)
        return spot, jnp.zeros_like(spot)

    def update(self, account, now):
        before, total = account
        gained = now.spot / before - 1
        return now.spot, total + _within(gained, self.local_floor, self.local_cap)

    def value(self, account, last):
        return last.discount * (self.notional * _within(account[1], self.global_floor, self.global_cap))


def cliquet(
    *,
    local_floor: Any = None,
    local_cap: Any = None,
    global_floor: Any = None,
    global_cap: Any = None,
    notional: Any = 1.0,
) -> Payoff:
    r"""A cliquet: N clip(Σ_k clip(S_k / S_{k-1} - 1, f, c), F, C), paid at the last time.

    The price at time zero is the first reset, every simulated time another; `at(looks, cliquet(...))` resets at some of them.

    Arguments:
        local_floor, local_cap: f <= c, limits of the return of one period, as decimals; None for no limit.
        global_floor, global_cap: F <= C, limits of their sum; None for no limit.
        notional: N, in currency.

    Raises: InputError, InputTypeError with the name of the argument.

    A floor of zero without caps is a strip of forward-start calls on returns; a cap at every period and a global floor of zero
    is the usual contract, whose value depends on the forward skew above all: not for processes with one constant volatility.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> flat = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.0, rate=0.04)
    >>> payoff = cliquet(local_cap=0.015, local_floor=-0.02, global_floor=0.0)
    >>> mc.price(flat, payoff, key=1, paths=10, times=[0.25, 0.5, 0.75, 1.0]).value.round(6)
    Array(0.038624, dtype=float64)

    Source: P. Wilmott, "Cliquet Options and Volatility Models", Wilmott magazine (December 2002), 78-83.
    """
    check_numbers(
        local_floor=local_floor,
        local_cap=local_cap,
        global_floor=global_floor,
        global_cap=global_cap,
        notional=notional,
    )
    for low, high, which in ((local_floor, local_cap, "local"), (global_floor, global_cap, "global")):
        known = low is not None and high is not None and not isinstance(low, Tracer) and not isinstance(high, Tracer)
        if known and np.any(np.asarray(low) > np.asarray(high)):
            raise InputError(f"{which}_floor: {low!r} is above {which}_cap, {high!r}; expected a floor that is lower")
    return _Cliquet(
        local_floor=local_floor,
        local_cap=local_cap,
        global_floor=global_floor,
        global_cap=global_cap,
        notional=notional,
    )


def _within(x: jax.Array, floor: Any, cap: Any) -> jax.Array:
    if floor is not None:
        x = jnp.maximum(x, floor)
    return x if cap is None else jnp.minimum(x, cap)
