"""Payoffs of the price at the last time alone."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, on

__all__ = ["basket", "best_of", "digital", "european", "exercise", "spread", "worst_of"]


def exercise(spot: jax.Array, strike: Any, is_call: bool) -> jax.Array:
    """max(φ (S - K), 0)."""
    return jnp.maximum(spot - strike, 0) if is_call else jnp.maximum(strike - spot, 0)


@parameters(static=("is_call",))
class _European:
    strike: Any
    is_call: bool = True

    def start(self, now):
        return ()

    def update(self, account, now):
        return ()

    def value(self, account, last):
        return last.discount * exercise(last.spot, self.strike, self.is_call)


@parameters(static=("is_call", "pays_asset"))
class _Digital:
    strike: Any
    cash: Any = 1.0
    is_call: bool = True
    pays_asset: bool = False

    def start(self, now):
        return ()

    def update(self, account, now):
        return ()

    def value(self, account, last):
        inside = last.spot > self.strike if self.is_call else last.spot < self.strike
        paid = last.spot if self.pays_asset else jnp.broadcast_to(self.cash, last.spot.shape)
        return last.discount * jnp.where(inside, paid, jnp.zeros_like(last.spot))


def european(*, strike: Any, is_call: bool = True) -> Payoff:
    """A European option: max(φ (S_T - K), 0)."""
    return _European(strike=strike, is_call=is_call)


def digital(*, strike: Any, cash: Any = 1.0, is_call: bool = True, pays_asset: bool = False) -> Payoff:
    """A digital option: `cash`, or the asset itself, if it ends in the money.

    Pathwise derivatives miss the jump: they are zero, or those of the asset alone.
    """
    return _Digital(strike=strike, cash=cash, is_call=is_call, pays_asset=pays_asset)


def basket(*, strike: Any, weights: tuple[float, ...], is_call: bool = True) -> Payoff:
    """A European option on Σ w_i S_i."""
    weights = tuple(float(w) for w in weights)

    def total(spots: tuple[jax.Array, ...]) -> jax.Array:
        parts = [w * s for w, s in zip(weights, spots, strict=True)]
        return functools.reduce(operator.add, parts)

    return on(total, european(strike=strike, is_call=is_call))


def best_of(*, strike: Any, is_call: bool = True) -> Payoff:
    """A European option on the highest of several prices."""
    return on(_highest, european(strike=strike, is_call=is_call))


def worst_of(*, strike: Any, is_call: bool = True) -> Payoff:
    """A European option on the lowest of several prices."""
    return on(_lowest, european(strike=strike, is_call=is_call))


def spread(*, strike: Any = 0.0, is_call: bool = True) -> Payoff:
    """A European option on S_1 - S_2; an exchange option where the strike is zero."""
    return on(_difference, european(strike=strike, is_call=is_call))


def _highest(spots):
    return jnp.max(jnp.stack(spots), axis=0)


def _lowest(spots):
    return jnp.min(jnp.stack(spots), axis=0)


def _difference(spots):
    return spots[0] - spots[1]
