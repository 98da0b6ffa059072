r"""Geometric Brownian motion, of one asset and of several: the exact solution, so that steps may be of any length.

$$ dS_i = (r - q_i) S_i\,dt + \sigma_i S_i\,dW_i, \qquad d\langle W_i, W_j\rangle = \rho_{ij}\,dt $$

Rates, yields and volatilities are numbers or change with time; dividends may also be paid on dates.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.numerics.elementary import exponential
from gpujax.pricing.monte_carlo.correlation import check_assets, cholesky
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.term_structure import (
    Dividends,
    as_array,
    average,
    discount_factor,
    root_mean_square,
    values_of,
)

__all__ = ["CorrelatedGeometricBrownianMotion", "GeometricBrownianMotion"]


@parameters()
class GeometricBrownianMotion:
    """One lognormal asset (Black and Scholes 1973, Merton 1973); exact.

    Arguments:
        spot: price now, > 0, in currency.
        volatility: >= 0, per square root of a year; a number, or a `PiecewiseConstant` of time.
        rate, dividend_yield: continuously compounded, per year; each a number, or a `PiecewiseConstant` of time.
        dividends: None, or `Dividends` on fixed dates, cash or shares of the price. The price itself drops at an ex-date, and
            payoffs that look then see it without the dividend; a price no higher than the cash ends at zero (see `Dividends`).

    Raises: InputError for numbers out of range.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(
    ...     spot=100.0, volatility=mc.processes.PiecewiseConstant(times=(0.0, 0.5), values=(0.3, 0.2)), rate=0.05,
    ...     dividends=mc.processes.Dividends(times=(0.4,), amounts=(3.0,)))
    >>> found = mc.price(stock, mc.payoffs.european(strike=0.0), key=1, paths=100_000, times=1.0)
    >>> abs(float(found.value) - (100 - 3 * 2.718281828 ** -0.02)) < 4 * float(found.standard_error)
    True
    """

    spot: Any
    volatility: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0
    dividends: Any = None

    def __post_init__(self):
        check_bounds(
            spot=(self.spot, "> 0"), volatility=(values_of(self.volatility), ">= 0"),
            rate=(values_of(self.rate), "finite"), dividend_yield=(values_of(self.dividend_yield), "finite"),
        )  # fmt: skip

    @property
    def normals(self) -> int:
        return 1

    @property
    def dates(self) -> tuple[float, ...]:
        return self.dividends.times if isinstance(self.dividends, Dividends) else ()

    def initial(self):
        # With dividends the price itself: an amount of cash is taken from it, and it may end at zero.
        return jnp.log(self.spot) if self.dividends is None else self.spot

    def advance(self, state, time, step, draws):
        drift, deviation = self._law(time, step)
        gained = drift + deviation * draws[0]
        if self.dividends is None:
            return state + gained
        cash, share = self.dividends.paid(time, step)
        return jnp.maximum(state * exponential(gained) * (1 - share) - cash, 0)

    def noise(self, before, after, time, step):
        """The normal number that leads from one state to the other; see `monte_carlo.likelihood`."""
        drift, deviation = self._law(time, step)
        if self.dividends is None:
            return ((after - before - drift) / deviation,)
        cash, share = self.dividends.paid(time, step)
        return ((jnp.log((after + cash) / ((1 - share) * before)) - drift) / deviation,)

    def observe(self, state):
        return exponential(state) if self.dividends is None else state

    def discount(self, time, state):
        return discount_factor(self.rate, time)

    def _law(self, time, step):
        """Mean and deviation of the logarithm over a step, without dividends on dates."""
        volatility = root_mean_square(self.volatility, time, step)
        rate, dividend_yield = average(self.rate, time, step), average(self.dividend_yield, time, step)
        return (rate - dividend_yield - 0.5 * volatility * volatility) * step, volatility * jnp.sqrt(step)


@parameters()
class CorrelatedGeometricBrownianMotion:
    """Several correlated lognormal assets; exact. Payoffs see a tuple of prices.

    Arguments:
        spot, volatility: `[assets]`, each > 0 and >= 0.
        correlation: `[assets, assets]`, symmetric with ones on its diagonal and positive semidefinite.
        rate: continuously compounded, per year; a number, or a `PiecewiseConstant` of time.
        dividend_yield: `[assets]` or one number.

    Raises: InputError where the arrays do not fit each other, numbers are out of range, or the correlation is no correlation
        matrix; made of numbers known before the call (a matrix that JAX traces is not checked).

    >>> from gpujax.pricing import monte_carlo as mc
    >>> two = mc.processes.CorrelatedGeometricBrownianMotion(
    ...     spot=[100.0, 95.0], volatility=[0.3, 0.2], correlation=[[1.0, 0.6], [0.6, 1.0]])
    >>> found = mc.price(two, mc.payoffs.spread(), key=1, paths=100_000, times=1.0)
    >>> abs(float(found.value) - 12.100786) < 4 * float(found.standard_error)  # Margrabe (1978)
    True
    """

    spot: Any
    volatility: Any
    correlation: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    def __post_init__(self):
        for name in ("spot", "volatility", "correlation", "dividend_yield"):
            given = getattr(self, name)
            if isinstance(given, (list, tuple)):
                # One array is one parameter; a list would be one for each asset to JAX.
                object.__setattr__(self, name, as_array(given))
        if isinstance(self.spot, (np.ndarray, jax.Array)) and not isinstance(self.spot, Tracer):
            check_assets(self.spot, self.volatility, self.dividend_yield, self.correlation)
        check_bounds(
            spot=(self.spot, "> 0"), volatility=(self.volatility, ">= 0"), rate=(values_of(self.rate), "finite"),
            dividend_yield=(self.dividend_yield, "finite"),
        )  # fmt: skip

    @property
    def normals(self) -> int:
        return np.shape(self.spot)[0]

    def initial(self):
        return tuple(jnp.log(jnp.asarray(self.spot)[i]) for i in range(self.normals))

    def advance(self, state, time, step, draws):
        drift, deviation, factor = self._law(time, step)
        moved = []
        for i, x in enumerate(state):
            # A sum written out: a matrix product would end the fused loop and go through memory.
            shock = sum((factor[i][j] * draws[j] for j in range(1, i + 1)), factor[i][0] * draws[0])
            moved.append(x + (drift[i] + deviation[i] * shock))
        return tuple(moved)

    def noise(self, before, after, time, step):
        """The normal numbers that lead from one state to the other; see `monte_carlo.likelihood`."""
        drift, deviation, factor = self._law(time, step)
        found = []
        for i, (x, y) in enumerate(zip(before, after, strict=True)):
            shock = (y - x - drift[i]) / deviation[i]
            found.append((shock - sum((factor[i][j] * found[j] for j in range(i)), jnp.zeros_like(x))) / factor[i][i])
        return tuple(found)

    def observe(self, state):
        return tuple(map(exponential, state))

    def discount(self, time, state):
        return discount_factor(self.rate, time)

    def _law(self, time, step):
        """Means and deviations of the logarithms over a step, and the factor of their correlation."""
        volatility, correlation = jnp.asarray(self.volatility), jnp.asarray(self.correlation)
        dividend_yield = jnp.broadcast_to(jnp.asarray(self.dividend_yield, volatility.dtype), volatility.shape)
        drift = (average(self.rate, time, step) - dividend_yield - 0.5 * volatility * volatility) * step
        # The same in every step: XLA moves it in front of the loop (a test looks), and the loop carries n (n + 1) / 2 numbers.
        return drift, volatility * jnp.sqrt(step), cholesky(correlation)
