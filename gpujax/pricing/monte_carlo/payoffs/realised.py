r"""Variance and volatility swaps: forwards on what the price realises.

$$ \sigma_R^2 = \frac{A}{n} \sum_{k=1}^{n} \ln^2 \frac{S_k}{S_{k-1}} $$

with n returns between the fixings and A of them in a year; no mean is subtracted, as contracts have it. The price at time zero is
the first fixing, every simulated time another; `at(looks, variance_swap(...))` fixes at some of them.

The fair strike is what makes the swap worth nothing: the price at strike zero, over the discount factor of the last time. For a
geometric Brownian motion with drift μ of its logarithm, fixed every Δ years, it is σ² + μ² Δ for the variance: discrete fixing
adds the second term.

Sources: K. Demeterfi, E. Derman, M. Kamal, J. Zou, "A Guide to Volatility and Variance Swaps", Journal of Derivatives 6(4)
(1999), 9-32; M. Broadie and A. Jain, "The Effect of Jumps and Discrete Sampling on Volatility and Variance Swaps",
International Journal of Theoretical and Applied Finance 11 (2008), 761-797, section 2.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gpujax.numerics.elementary import log_ratio
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_numbers
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, one_price

__all__ = ["variance_swap", "volatility_swap"]


@parameters(static=("of_volatility",))
class _RealisedSwap:
    strike: Any
    notional: Any
    periods_per_year: Any
    of_volatility: bool

    def start(self, now):
        spot = one_price(now.spot)
        return spot, jnp.zeros_like(spot), jnp.zeros_like(spot)

    def update(self, account, now):
        before, squares, _ = account
        move = log_ratio(now.spot, before)
        # The time of the last fixing, which is not the last time where the swap is fixed at some times only.
        return now.spot, squares + move * move, jnp.broadcast_to(now.time, squares.shape)

    def value(self, account, last):
        _, squares, time = account
        if self.periods_per_year is None:
            realised = squares / time
        else:
            realised = squares * (self.periods_per_year / (last.index + 1).astype(squares.dtype))
        if self.of_volatility:
            realised = _root(realised)
        return last.discount * (self.notional * (realised - self.strike))


def variance_swap(*, strike: Any, notional: Any = 1.0, periods_per_year: Any = None) -> Payoff:
    """A variance swap: N (σ_R² - K), paid at the last time (formula: see the module).

    Arguments:
        strike: K >= 0, a variance: 0.04 for 20 % volatility.
        notional: N, in currency per unit of variance; a vega notional over twice the strike's root.
        periods_per_year: A > 0, such as 252; None divides the sum of squares by the years that have passed.

    Raises: InputError, InputTypeError with the name of the argument.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.02)
    >>> found = mc.price(stock, variance_swap(strike=0.0), key=1, paths=100_000, times=[0.25, 0.5, 0.75, 1.0])
    >>> abs(float(found.value) - 0.04 * 0.98019867) < 4 * float(found.standard_error) < 1e-3
    True
    """
    return _swap(strike, notional, periods_per_year, of_volatility=False)


def volatility_swap(*, strike: Any, notional: Any = 1.0, periods_per_year: Any = None) -> Payoff:
    """A volatility swap: N (σ_R - K), paid at the last time (formula: see the module).

    Arguments:
        strike: K >= 0, a volatility as a decimal.
        notional: N, in currency per 1.00 of volatility.
        periods_per_year: A > 0, such as 252; None divides the sum of squares by the years that have passed.

    Raises: InputError, InputTypeError with the name of the argument.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> steady = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.0, rate=0.08)
    >>> swap = volatility_swap(strike=0.03, notional=100.0, periods_per_year=4.0)
    >>> mc.price(steady, swap, key=1, paths=10, times=[0.25, 0.5]).value.round(6)  # a return of 2 % each quarter is 4 % a year
    Array(0.960789, dtype=float64)
    """
    return _swap(strike, notional, periods_per_year, of_volatility=True)


def _swap(strike: Any, notional: Any, periods_per_year: Any, of_volatility: bool) -> Payoff:
    check_numbers(0.0, strike=strike)
    check_numbers(notional=notional)
    check_numbers(above=0.0, periods_per_year=periods_per_year)
    return _RealisedSwap(
        strike=strike, notional=notional, periods_per_year=periods_per_year, of_volatility=of_volatility
    )


def _root(x: jax.Array) -> jax.Array:
    """√x, whose slope is zero, not infinite, where x is."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), jnp.zeros_like(x))
