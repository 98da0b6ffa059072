r"""Several Heston assets with correlated prices and variances, by the quadratic-exponential scheme.

$$ dS_i = (r - q_i) S_i\,dt + \sqrt{v_i}\,S_i\,dW_i, \qquad dv_i = \kappa_i(\theta_i - v_i)\,dt + \sigma_i\sqrt{v_i}\,dZ_i, \qquad
   d\langle W_i, Z_i\rangle = \rho_i\,dt $$

Each asset alone is the Heston model, simulated as `Heston` does. Given only the correlations R of the prices, each variance is
driven by its own price's Brownian motion and noise of its own, $Z_i = \rho_i W_i + \sqrt{1 - \rho_i^2}\,Y_i$, so that

$$ d\langle W_i, Z_j\rangle = R_{ij} \rho_j\,dt, \qquad d\langle Z_i, Z_j\rangle = \rho_i R_{ij} \rho_j\,dt \quad (i \ne j), $$

which is a correlation matrix whenever R is one, and the one that adds nothing to what is known (Dimitroff, Lorenz and Szimayer
2011). The whole matrix may be given instead.

An approximation to know of: the scheme draws a variance by inversion of one normal number, so across assets it is these normal
numbers, and not increments of Brownian motions, that are correlated (a Gaussian copula within the step; de Innocentis, Lichters
and Trahe 2016). In the limit of short steps it is the same; over a step in which a variance is far from normal, because it is
near zero, correlations between assets come out a little weaker than those given.

Sources: G. Dimitroff, S. Lorenz, A. Szimayer, "A Parsimonious Multi-Asset Heston Model: Calibration and Derivative Pricing",
International Journal of Theoretical and Applied Finance 14 (2011), 1299-1333; M. de Innocentis, R. Lichters, M. Trahe,
"Efficient Simulation of the Multi Asset Heston Model" (2016), ssrn.com/abstract=2729475.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError
from gpujax.numerics.elementary import exponential
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.correlation import check_assets
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.heston import check_heston
from gpujax.pricing.monte_carlo.processes.heston_schemes import quadratic_exponential

__all__ = ["CorrelatedHeston"]


@parameters()
class CorrelatedHeston:
    """Several correlated Heston assets. Payoffs see a tuple of prices.

    Arguments:
        spot: `[assets]`, > 0, in currency.
        params: `HestonParams` of arrays `[assets]`.
        correlation: `[assets, assets]`, between the Brownian motions of the prices (the variances then follow their own prices,
            see the module); or `[2 assets, 2 assets]`, between those of all prices and, after them, all variances, where that of
            a price and its own variance must be its rho. Symmetric with ones on its diagonal and positive semidefinite.
        rate: continuously compounded, per year.
        dividend_yield: `[assets]` or one number.

    A step takes two normal numbers for each asset, those of the variances first. Weak order as `Heston` by its default scheme.

    Raises: InputError where the arrays do not fit each other, a parameter is out of its bounds, or the correlation is no
        correlation matrix; made of numbers known before the call (a matrix that JAX traces is not checked).

    >>> from gpujax.pricing import monte_carlo as mc
    >>> two = CorrelatedHeston(
    ...     spot=np.array([100.0, 95.0]), correlation=np.array([[1.0, 0.6], [0.6, 1.0]]), rate=0.03,
    ...     params=HestonParams(v0=np.array([0.04, 0.06]), kappa=np.array([1.5, 2.0]), theta=np.array([0.05, 0.05]),
    ...                         sigma=np.array([0.4, 0.6]), rho=np.array([-0.7, -0.5])))
    >>> [price.shape for price in two.observe(two.initial())]
    [(), ()]
    """

    spot: Any
    params: HestonParams
    correlation: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    def __post_init__(self):
        if isinstance(self.spot, (np.ndarray, list, tuple, jax.Array)) and not isinstance(self.spot, Tracer):
            _check(self.spot, self.params, self.dividend_yield, self.correlation)

    @property
    def normals(self) -> int:
        return 2 * np.shape(self.spot)[0]

    def initial(self):
        return jnp.log(jnp.asarray(self.spot)), jnp.asarray(self.params.v0)

    def advance(self, state, time, step, draws):
        assets = len(draws) // 2
        factor = _factor(_whole(jnp.asarray(self.correlation), self.params.rho), self.params.rho)

        def shock(rows: jax.Array, columns: int) -> jax.Array:
            # A sum written out: a matrix product would end the fused loop and go through memory.
            total = rows[:, :1] * draws[0][None, :]
            for j in range(1, columns):
                total = total + rows[:, j : j + 1] * draws[j][None, :]
            return total

        # Assets stay one axis of every array, so that the loop's body is as small as that of one asset.
        params = jax.tree.map(lambda parameter: parameter[:, None], self.params)
        dividend_yield = jnp.broadcast_to(self.dividend_yield, (assets,))
        carry = ((self.rate - dividend_yield) * step)[:, None]
        z, across = shock(factor[:assets], assets), shock(factor[assets:], 2 * assets)
        return quadratic_exponential(params, carry, state, step, z, across)

    def observe(self, state):
        return tuple(exponential(state[0]))

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)


def _whole(correlation: jax.Array, rho: jax.Array) -> jax.Array:
    """The correlations of all variances and, after them, all prices."""
    assets = rho.shape[0]
    here, across = jnp.arange(assets), jnp.eye(assets, dtype=bool)
    if correlation.shape[0] == assets:
        mixed = rho[:, None] * correlation  # variance i, price j
        variances = jnp.where(across, correlation, mixed * rho[None, :])
        return jnp.block([[variances, mixed], [mixed.T, correlation]])
    turned = jnp.roll(correlation, assets, (0, 1))
    return turned.at[here, here + assets].set(rho).at[here + assets, here].set(rho)


def _factor(correlation: jax.Array, rho: jax.Array) -> jax.Array:
    """Rows that make the normal numbers Z of the variances and the rest of the prices' noise, W - ρ Z, from independent ones.

    Cholesky's factor column by column; one whose pivot is zero, within rounding, is zero, and its derivatives are finite.
    """
    n = correlation.shape[0]
    tiny = 8 * n * float(jnp.finfo(correlation.dtype).eps)
    rest, columns = correlation, []
    for j in range(n):
        usable = rest[j, j] > tiny
        root = jnp.sqrt(jnp.where(usable, rest[j, j], jnp.ones_like(rest[j, j])))
        below = jnp.asarray(np.arange(n) >= j)
        column = jnp.where(usable & below, rest[:, j] / root, jnp.zeros_like(rest[:, j]))
        rest = rest - column[:, None] * column[None, :]
        columns.append(column)
    lower = jnp.stack(columns, axis=1)
    assets = n // 2
    return jnp.concatenate([lower[:assets], lower[assets:] - rho[:, None] * lower[:assets]])


def _check(spot, params, dividend_yield, correlation) -> None:
    check_heston(spot, params)
    assets = np.shape(spot)
    for name, array in zip(params._fields, params, strict=True):
        if not isinstance(array, Tracer) and np.shape(array) != assets:
            raise InputError(f"params.{name}: shape {np.shape(array)}; expected {assets}, one for each asset, as spot")
    if np.shape(correlation) != tuple(2 * n for n in assets) * 2:
        check_assets(spot, params.v0, dividend_yield, correlation)
        return
    check_assets(spot, params.v0, dividend_yield, np.eye(*assets))
    if isinstance(correlation, Tracer):
        return
    both = np.ones(2 * assets[0])
    check_assets(both, both, 0.0, correlation)
    if isinstance(params.rho, Tracer):
        return
    own = np.diagonal(np.asarray(correlation), assets[0])
    if np.max(np.abs(own - np.asarray(params.rho))) > 1e-6:
        raise InputError(
            f"correlation: {own.tolist()} between prices and their own variances; expected params.rho, "
            f"{np.asarray(params.rho).tolist()}"
        )
