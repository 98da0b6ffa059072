"""Options on the average of the prices at the simulated times."""

from typing import Any, Literal

import jax.numpy as jnp

from gpujax.numerics.elementary import exponential
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_choice, check_flags, check_numbers
from gpujax.pricing.monte_carlo.payoffs.european import exercise
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, one_price

__all__ = ["asian"]


@parameters(static=("average", "is_call", "from_start"))
class _Asian:
    strike: Any
    average: str
    is_call: bool
    from_start: bool

    def start(self, now):
        nothing = jnp.zeros_like(one_price(now.spot))
        return self._added(nothing, now.spot) if self.from_start else nothing

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

    `at(looks, asian(...))` averages over some of them.

    Arguments:
        strike: K, in currency, or None for a floating strike: max(φ (S_T - A), 0).
        average: "arithmetic" or "geometric".
        from_start: whether the price at time zero is part of the average.

    Raises: InputError, InputTypeError with the name of the argument.

    The geometric one has a closed form under Black-Scholes, `gpujax.pricing.geometric_asian`, and is so close to the arithmetic
    one that it serves as its control variate.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> still = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.0, rate=0.05)
    >>> mc.price(still, asian(strike=100.0, from_start=True), key=1, paths=10, times=[0.5, 1.0]).value.round(6)
    Array(2.428369, dtype=float64)

    Source: A. G. Z. Kemna and A. C. F. Vorst, "A Pricing Method for Options Based on Average Asset Values", Journal of
    Banking and Finance 14 (1990), 113-129.
    """
    check_numbers(strike=strike)
    check_choice("average", average, ("arithmetic", "geometric"))
    check_flags(is_call=is_call, from_start=from_start)
    return _Asian(strike=strike, average=average, is_call=is_call, from_start=from_start)
