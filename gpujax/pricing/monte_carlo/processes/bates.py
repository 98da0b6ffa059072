"""Heston's model with lognormal jumps (Bates 1996)."""

from typing import Any

import jax.numpy as jnp

from gpujax.numerics.elementary import exponential
from gpujax.numerics.variates import poisson
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.heston import Heston
from gpujax.pricing.monte_carlo.processes.jump_sums import (
    check_lognormal_jumps,
    log_likelihood_ratio,
    lognormal_compensator,
    root,
)

__all__ = ["Bates"]


@parameters(static=("scheme",))
class Bates:
    """Heston's model with Merton's jumps: the jumps exact, the rest by Heston's scheme, which see.

    Arguments:
        spot: price now, > 0, in currency.
        params: `HestonParams(v0, kappa, theta, sigma, rho)`.
        intensity, jump_mean, jump_volatility: of the jumps, as for `Merton`.
        rate, dividend_yield: continuously compounded, per year.
        scheme: of `Heston`.

    Raises: InputError as `Heston` and `Merton`.

    >>> params = HestonParams(v0=0.04, kappa=1.5, theta=0.04, sigma=0.5, rho=-0.7)
    >>> stock = Bates(spot=100.0, params=params, intensity=0.5, jump_mean=-0.1, jump_volatility=0.1, rate=0.03)
    >>> stock.normals, stock.uniforms
    (3, 1)

    Source: D. S. Bates, "Jumps and Stochastic Volatility: Exchange Rate Processes Implicit in Deutsche Mark Options", Review of
    Financial Studies 9 (1996), 69-107.
    """

    spot: Any
    params: HestonParams
    intensity: Any
    jump_mean: Any
    jump_volatility: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0
    scheme: Any = "quadratic-exponential"

    def __post_init__(self):
        self._heston()
        check_lognormal_jumps(self)

    @property
    def normals(self) -> int:
        return self._heston().normals + 1

    @property
    def uniforms(self) -> int:
        return getattr(self._heston(), "uniforms", 0) + 1

    def initial(self):
        return self._heston().initial(), 0.0, 0.0

    def advance(self, state, time, step, draws):
        smooth, jumped, log_weight = state
        heston = self._heston()
        before = heston.normals
        z, u, others = draws[before], draws[-1], (*draws[:before], *draws[before + 1 : -1])
        mean = self.intensity * step
        count = poisson(mean, u)
        variance = self.jump_volatility * self.jump_volatility * count
        jumped = jumped + (count * self.jump_mean + root(variance) * z - lognormal_compensator(self) * step)
        return heston.advance(smooth, time, step, others), jumped, log_weight + log_likelihood_ratio(count, mean)

    def observe(self, state):
        return self._heston().observe(state[0]) * exponential(state[1])

    def discount(self, time, state):
        return self._heston().discount(time, state[0]) * jnp.exp(state[2])

    def _heston(self) -> Heston:
        return Heston(
            spot=self.spot,
            params=self.params,
            rate=self.rate,
            dividend_yield=self.dividend_yield,
            scheme=self.scheme,
        )
