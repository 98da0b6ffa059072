"""Options on the average of the prices at the simulated times."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gpujax.errors import InputError
from gpujax.numerics.elementary import exponential
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.european import exercise
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff

__all__ = ["asian"]


@parameters(static=("average", "is_call", "from_start"))
class _Asian:
    strike: Any
    average: str
    is_call: bool
    from_start: bool

    def start(self, now):
        seen = jax.tree.map(jnp.zeros_like, now.spot)
        return self._added(seen, now.spot) if self.from_start else seen

    def update(self, account, now):
        return self._added(account, now.spot)

    def value(self, account, last):
        # As many as were seen: known from the last index, since every time counts.
        mean = account / (last.index + (2 if self.from_start else 1)).astype(account.dtype)
        if self.average == "geometric":
            mean = exponential(mean)
        if self.strike is None:
            return last.discount * exercise(last.spot, mean, self.is_call)
        return last.discount * exercise(mean, self.strike, self.is_call)

    def _added(self, total, spot):
        return total + (jnp.log(spot) if self.average == "geometric" else spot)


def asian(
    *,
    strike: Any,
    average: Literal["arithmetic", "geometric"] = "arithmetic",
    is_call: bool = True,
    from_start: bool = False,
) -> Payoff:
    """An option on the average A of the prices at all simulated times: max(φ (A - K), 0).

    Arguments:
        strike: K, or None for a floating strike: max(φ (S_T - A), 0).
        average: "arithmetic" or "geometric".
        from_start: whether the price at time zero is part of the average.

    Raises: InputError for another average.
    """
    if average not in ("arithmetic", "geometric"):
        raise InputError(f"average: {average!r}; expected 'arithmetic' or 'geometric'")
    return _Asian(strike=strike, average=average, is_call=is_call, from_start=from_start)
