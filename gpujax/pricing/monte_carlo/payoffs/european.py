"""European options on the price at the last time, or on a combination of several prices then."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_flags, check_numbers
from gpujax.pricing.monte_carlo.payoffs.payoff import AtTheEnd, Payoff, on, prices

__all__ = ["basket", "best_of", "european", "exercise", "spread", "worst_of"]


def exercise(spot: jax.Array, strike: Any, is_call: bool) -> jax.Array:
    """max(φ (S - K), 0)."""
    return jnp.maximum(spot - strike, 0) if is_call else jnp.maximum(strike - spot, 0)


@parameters(static=("is_call",))
class _European(AtTheEnd):
    strike: Any
    is_call: bool

    def value(self, account, last):
        return last.discount * exercise(last.spot, self.strike, self.is_call)


def european(*, strike: Any, is_call: bool = True) -> Payoff:
    """A European option: max(φ (S_T - K), 0), with φ = 1 for calls and -1 for puts.

    Arguments:
        strike: K, in currency; any real number.

    Raises: InputTypeError, InputError for what is no number.
    """
    check_numbers(strike=strike)
    check_flags(is_call=is_call)
    return _European(strike=strike, is_call=is_call)


def basket(*, strike: Any, weights: tuple[float, ...], is_call: bool = True) -> Payoff:
    """A European option on Σ w_i S_i.

    Arguments:
        strike: in currency.
        weights: one for each asset.

    Raises: InputError where there are not as many weights as assets.
    """
    check_numbers(weights=tuple(weights))
    weights = tuple(float(w) for w in weights)

    def total(spots: Any) -> jax.Array:
        found = prices(spots)
        if len(found) != len(weights):
            raise InputError(f"weights: {len(weights)}; expected {len(found)}, one for each asset of the process")
        return functools.reduce(operator.add, [w * s for w, s in zip(weights, found, strict=True)])

    return on(total, european(strike=strike, is_call=is_call))


def best_of(*, strike: Any, is_call: bool = True) -> Payoff:
    """A European option on the highest of several prices (R. M. Stulz, Journal of Financial Economics 10 (1982), 161-185)."""
    return on(_highest, european(strike=strike, is_call=is_call))


def worst_of(*, strike: Any, is_call: bool = True) -> Payoff:
    """A European option on the lowest of several prices (Stulz 1982, see `best_of`)."""
    return on(_lowest, european(strike=strike, is_call=is_call))


def spread(*, strike: Any = 0.0, is_call: bool = True) -> Payoff:
    """A European option on S_1 - S_2; an exchange option where the strike is zero."""
    return on(_difference, european(strike=strike, is_call=is_call))


def _highest(spots):
    return functools.reduce(jnp.maximum, prices(spots, 2))


def _lowest(spots):
    return functools.reduce(jnp.minimum, prices(spots, 2))


def _difference(spots):
    first, second, *others = prices(spots, 2)
    if others:
        raise InputError(
            f"payoff: a spread of two prices, but the process shows {2 + len(others)}; choose two by on(...)"
        )
    return first - second
