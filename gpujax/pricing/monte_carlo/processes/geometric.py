r"""Geometric Brownian motion, of one asset and of several: the exact solution, so that steps may be of any length.

$$ dS_i = (r - q_i) S_i\,dt + \sigma_i S_i\,dW_i, \qquad d\langle W_i, W_j\rangle = \rho_{ij}\,dt $$
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.numerics.elementary import exponential
from gpujax.pricing.monte_carlo.correlation import check_assets, cholesky
from gpujax.pricing.monte_carlo.parameters import parameters

__all__ = ["CorrelatedGeometricBrownianMotion", "GeometricBrownianMotion"]


@parameters()
class GeometricBrownianMotion:
    """One lognormal asset (Black and Scholes 1973); exact.

    Arguments:
        spot: price now, > 0, in currency.
        volatility: >= 0, per square root of a year.
        rate, dividend_yield: continuously compounded, per year.
    """

    spot: Any
    volatility: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    @property
    def normals(self) -> int:
        return 1

    def initial(self):
        return jnp.log(self.spot)

    def advance(self, state, time, step, draws):
        drift = (self.rate - self.dividend_yield - 0.5 * self.volatility * self.volatility) * step
        return state + (drift + (self.volatility * jnp.sqrt(step)) * draws[0])

    def observe(self, state):
        return exponential(state)

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)


@parameters()
class CorrelatedGeometricBrownianMotion:
    """Several correlated lognormal assets; exact. Payoffs see a tuple of prices.

    Arguments:
        spot, volatility: `[assets]`, each > 0 and >= 0.
        correlation: `[assets, assets]`, symmetric with ones on its diagonal and positive semidefinite.
        rate: continuously compounded, per year.
        dividend_yield: `[assets]` or one number.

    Raises: InputError where the arrays do not fit each other, or the correlation is no correlation matrix; made of numbers
        known before the call (a matrix that JAX traces is not checked).
    """

    spot: Any
    volatility: Any
    correlation: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    def __post_init__(self):
        if isinstance(self.spot, (np.ndarray, list, tuple, jax.Array)) and not isinstance(self.spot, Tracer):
            check_assets(self.spot, self.volatility, self.dividend_yield, self.correlation)

    @property
    def normals(self) -> int:
        return np.shape(self.spot)[0]

    def initial(self):
        return tuple(jnp.log(jnp.asarray(self.spot)[i]) for i in range(self.normals))

    def advance(self, state, time, step, draws):
        root = jnp.sqrt(step)
        volatility, correlation = jnp.asarray(self.volatility), jnp.asarray(self.correlation)
        dividend_yield = jnp.broadcast_to(jnp.asarray(self.dividend_yield, volatility.dtype), volatility.shape)
        factor = cholesky(correlation)
        drift = (self.rate - dividend_yield - 0.5 * volatility * volatility) * step
        moved = []
        for i, x in enumerate(state):
            # A sum written out: a matrix product would end the fused loop and go through memory.
            shock = sum((factor[i][j] * draws[j] for j in range(1, i + 1)), factor[i][0] * draws[0])
            moved.append(x + (drift[i] + (volatility[i] * root) * shock))
        return tuple(moved)

    def observe(self, state):
        return tuple(map(exponential, state))

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)
