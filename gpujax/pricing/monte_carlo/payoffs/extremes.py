r"""Barrier and lookback options: payoffs of the highest or lowest price on the way.

Between two simulated times the extreme is unknown. Given both ends, a path with volatility σ has crossed the barrier H in between
with probability

$$ p = \exp\left(-\frac{2 \ln(S_k / H) \ln(S_{k+1} / H)}{\sigma^2 (t_{k+1} - t_k)}\right), $$

the law of the maximum of a Brownian bridge, so that a continuously monitored barrier is priced without bias by weighting each
path by the probability that it has survived. The weight is smooth in the path, and pathwise derivatives are right.

Source: P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 6.4.
"""

from typing import Any, Literal

import jax.numpy as jnp

from gpujax.errors import InputError
from gpujax.numerics.elementary import at_least
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.european import exercise
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff

__all__ = ["barrier", "lookback"]

Kind = Literal["up-and-out", "up-and-in", "down-and-out", "down-and-in"]
_KINDS = ("up-and-out", "up-and-in", "down-and-out", "down-and-in")


@parameters(static=("kind", "is_call"))
class _Barrier:
    strike: Any
    level: Any
    rebate: Any
    volatility: Any
    kind: str
    is_call: bool

    def start(self, now):
        alive = jnp.where(self._inside(now.spot), jnp.ones_like(now.spot), jnp.zeros_like(now.spot))
        if self.volatility is None:
            return alive
        return alive, jnp.log(now.spot / self.level), jnp.broadcast_to(now.time, now.spot.shape)

    def update(self, account, now):
        if self.volatility is None:
            return jnp.where(self._inside(now.spot), account, jnp.zeros_like(account))
        alive, before, then = account
        distance = jnp.log(now.spot / self.level)
        crossed = jnp.exp(
            -2 * before * distance / at_least(self.volatility * self.volatility * (now.time - then), 1e-30)
        )
        inside = self._inside(now.spot)
        # Where one end is beyond the barrier the product of distances is negative: nothing to survive.
        survived = jnp.where(inside, 1 - jnp.where(inside, crossed, jnp.zeros_like(crossed)), jnp.zeros_like(crossed))
        return alive * survived, distance, jnp.broadcast_to(now.time, then.shape)

    def value(self, account, last):
        alive = account if self.volatility is None else account[0]
        paid = exercise(last.spot, self.strike, self.is_call)
        weight = alive if self.kind.endswith("out") else 1 - alive
        return last.discount * (weight * paid + (1 - weight) * self.rebate)

    def _inside(self, spot):
        return spot < self.level if self.kind.startswith("up") else spot > self.level


@parameters(static=("is_call",))
class _Lookback:
    strike: Any
    is_call: bool

    def start(self, now):
        return now.spot

    def update(self, account, now):
        # A fixed-strike call and a floating-strike put look at the maximum, the others at the minimum.
        highest = self.is_call == (self.strike is not None)
        return jnp.maximum(account, now.spot) if highest else jnp.minimum(account, now.spot)

    def value(self, account, last):
        if self.strike is None:
            return last.discount * (last.spot - account if self.is_call else account - last.spot)
        return last.discount * exercise(account, self.strike, self.is_call)


def barrier(
    *, strike: Any, level: Any, kind: Kind, is_call: bool = True, rebate: Any = 0.0, volatility: Any = None
) -> Payoff:
    """A barrier option, which lives or dies where the price touches the level.

    Arguments:
        level: the barrier.
        kind: "up-and-out", "up-and-in", "down-and-out" or "down-and-in".
        rebate: paid at the last time where the option itself is not.
        volatility: None if the barrier is watched at the simulated times only; the volatility of the price between them if it
            is watched all the time (see the module). Knocked-out paths then have a weight between 0 and 1.

    Raises: InputError for another kind.
    """
    if kind not in _KINDS:
        raise InputError(f"kind: {kind!r}; expected one of {', '.join(_KINDS)}")
    return _Barrier(strike=strike, level=level, kind=kind, is_call=is_call, rebate=rebate, volatility=volatility)


def lookback(*, strike: Any = None, is_call: bool = True) -> Payoff:
    """An option on the extreme of the prices at time zero and all simulated times.

    Arguments:
        strike: a fixed strike: max(M - K, 0) for calls, max(K - m, 0) for puts, M and m the highest and lowest price; or None for
            a floating one: S_T - m for calls, M - S_T for puts.
    """
    return _Lookback(strike=strike, is_call=is_call)
