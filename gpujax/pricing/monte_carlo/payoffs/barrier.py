r"""Barrier options, watched at the simulated times or all the time.

Between two simulated times the price is unknown. Given both ends, a path with volatility σ has crossed the barrier H in between
with probability

$$ p = \exp\left(-\frac{2 \ln(S_k / H) \ln(S_{k+1} / H)}{\sigma^2 (t_{k+1} - t_k)}\right), $$

the law of the maximum of a Brownian bridge, so that a continuously monitored barrier is priced without bias by weighting each
path by the probability that it has survived. The weight is smooth in the path, and pathwise derivatives are right.

Source: P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 6.4.
"""

from typing import Any, Literal

import jax.numpy as jnp

from gpujax.errors import InputError
from gpujax.numerics.elementary import at_least, exponential, log_ratio
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_choice, check_flags, check_numbers, check_width
from gpujax.pricing.monte_carlo.payoffs.european import exercise
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, one_price
from gpujax.pricing.monte_carlo.payoffs.smoothing import above, below, settled

__all__ = ["barrier"]

Kind = Literal["up-and-out", "up-and-in", "down-and-out", "down-and-in"]


@parameters(static=("kind", "is_call"))
class _Barrier:
    """Watched at the simulated times: the account is the highest or lowest price after time zero."""

    strike: Any
    level: Any
    rebate: Any
    smoothing: Any
    kind: str
    is_call: bool

    def start(self, now):
        up = self.kind.startswith("up")
        return settled((below if up else above)(one_price(now.spot), self.level, None), up)

    def update(self, account, now):
        return (jnp.maximum if self.kind.startswith("up") else jnp.minimum)(account, now.spot)

    def value(self, account, last):
        width = None if self.smoothing is None else self.smoothing * self.level
        alive = (below if self.kind.startswith("up") else above)(account, self.level, width)
        return _paid(self, alive, last)


@parameters(static=("kind", "is_call"))
class _WatchedBarrier:
    """Watched all the time: the account is the probability of survival, and the last distance and time."""

    strike: Any
    level: Any
    rebate: Any
    volatility: Any
    kind: str
    is_call: bool

    def start(self, now):
        spot = one_price(now.spot)
        alive = (below if self.kind.startswith("up") else above)(spot, self.level, None)
        return alive, self._distance(spot), jnp.broadcast_to(now.time, spot.shape)

    def update(self, account, now):
        alive, before, then = account
        distance = self._distance(now.spot)
        variance = at_least(self.volatility * self.volatility * (now.time - then), 1e-15)
        # Where the ends lie on either side of the barrier the product of distances is negative: crossed for certain.
        crossed = exponential(-2 * jnp.maximum(before * distance, 0) / variance)
        return alive * (1 - crossed), distance, jnp.broadcast_to(now.time, then.shape)

    def value(self, account, last):
        return _paid(self, account[0], last)

    def _distance(self, spot):
        return log_ratio(spot, jnp.broadcast_to(jnp.asarray(self.level, spot.dtype), spot.shape))


def _paid(terms, alive, last):
    paid = exercise(last.spot, terms.strike, terms.is_call)
    weight = alive if terms.kind.endswith("out") else 1 - alive
    return last.discount * (weight * paid + (1 - weight) * terms.rebate)


def barrier(
    *,
    strike: Any,
    level: Any,
    kind: Kind,
    is_call: bool = True,
    rebate: Any = 0.0,
    volatility: Any = None,
    smoothing: Any = 0.0,
) -> Payoff:
    """A barrier option, which lives or dies where the price touches the level, at time zero or later.

    Arguments:
        strike: in currency.
        level: H, the barrier, in currency; > 0 with a volatility or smoothing.
        kind: "up-and-out", "up-and-in", "down-and-out" or "down-and-in".
        rebate: paid at the last time where the option itself is not.
        volatility: None if the barrier is watched at the simulated times only; the volatility of the price between them, >= 0, if
            it is watched all the time (see the module). Knocked-out paths then have a weight between 0 and 1.
        smoothing: w, from 0 to 1, where the barrier is watched at the simulated times: the jump at H becomes a ramp of the
            highest or lowest price, from H (1 - w/2) to H (1 + w/2). Pathwise Greeks miss a jump; with the ramp they are
            right but for O(w²), as is the value, once w is small against the price's moves between two times (see
            `payoffs.smoothing`). At time zero the barrier stays sharp. 0 leaves the jump.

    Raises: InputError, InputTypeError with the name of the argument.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.25, rate=0.08, dividend_yield=0.04)
    >>> payoff = barrier(strike=100.0, level=95.0, kind="down-and-in", rebate=3.0, volatility=0.25)
    >>> found = mc.price(stock, payoff, key=1, paths=100_000, times=[0.25, 0.5])
    >>> abs(float(found.value) - 4.0109) < 4 * float(found.standard_error) < 0.1  # Haug, closed form
    True
    """
    check_choice("kind", kind, ("up-and-out", "up-and-in", "down-and-out", "down-and-in"))
    check_numbers(strike=strike, level=level, rebate=rebate)
    check_numbers(0.0, volatility=volatility)
    check_flags(is_call=is_call)
    width = check_width(smoothing)
    if width is not None or volatility is not None:
        check_numbers(above=0.0, level=level)
    if volatility is None:
        return _Barrier(strike=strike, level=level, kind=kind, is_call=is_call, rebate=rebate, smoothing=width)
    if width is not None:
        raise InputError(
            f"smoothing: {smoothing!r} beside a volatility; expected 0: a barrier that is watched all the time is smooth"
        )
    return _WatchedBarrier(strike=strike, level=level, kind=kind, is_call=is_call, rebate=rebate, volatility=volatility)
