r"""The Heston model by Andersen's quadratic-exponential scheme with martingale correction (QE-M).

The variance is drawn from a distribution that has its exact conditional mean m and variance s², for ψ = s² / m² below 1.5 the
square of a shifted normal, above it an exponential with an atom at zero; so it never turns negative, and a path may rest at zero
where Feller's condition fails. The price moves with the trapezoid of the variance, and a correction makes its discounted
expectation exact. Weak order one in the step; with steps of a quarter of a year the bias is below a basis point even where the
volatility of variance is extreme.

Source: L. Andersen, "Simple and Efficient Simulation of the Heston Stochastic Volatility Model", Journal of Computational
Finance 11(3) (2008), 1-42: sections 3.2 (QE), 4.2 and 4.3 (price, martingale correction), central weights.
"""

from typing import Any

import jax.numpy as jnp

from gpujax.numerics.elementary import at_least, exponential, log_ratio
from gpujax.numerics.normal import cdf
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.parameters import parameters

__all__ = ["Heston"]

_SWITCH = 1.5  # of ψ, between the two distributions; both exist from 1 to 2


@parameters()
class Heston:
    """The Heston model; payoffs see the price.

    Arguments:
        spot: price now, > 0, in currency.
        params: `HestonParams(v0, kappa, theta, sigma, rho)`.
        rate, dividend_yield: continuously compounded, per year.
    """

    spot: Any
    params: HestonParams
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    @property
    def normals(self) -> int:
        return 2

    def initial(self):
        return jnp.log(self.spot), self.params.v0

    def advance(self, state, time, step, draws):
        x, v = state
        _, kappa, theta, sigma, rho = self.params
        decay = jnp.exp(-kappa * step)
        tiny = float(jnp.finfo(x.dtype).tiny) ** 0.5
        mean = at_least(theta + (v - theta) * decay, tiny)
        lost = -jnp.expm1(-kappa * step) / kappa
        spread = sigma * sigma * lost * (v * decay + 0.5 * kappa * theta * lost)
        psi = at_least(spread / (mean * mean), tiny)

        # E ln(S'/S) given both variances: K1 v + K2 v', and its variance K3 v + K4 v'
        half = 0.5 * step
        k1 = half * (kappa * rho / sigma - 0.5) - rho / sigma
        k2 = half * (kappa * rho / sigma - 0.5) + rho / sigma
        k3 = half * (1 - rho * rho)
        a = k2 + 0.5 * k3

        quadratic = psi <= _SWITCH
        # Each side gets a ψ at which it exists, so that what is not taken has a finite value and derivative.
        two = 2 / jnp.where(quadratic, psi, jnp.full_like(psi, _SWITCH))
        b2 = two - 1 + jnp.sqrt(two * (two - 1))
        scale = mean / (1 + b2)
        moved = jnp.sqrt(b2) + draws[0]
        high = jnp.where(quadratic, jnp.full_like(psi, _SWITCH), psi)
        atom = (high - 1) / (high + 1)
        rate = (1 - atom) / mean
        beyond = at_least(cdf(-draws[0]), tiny)  # 1 - U
        jumped = jnp.where(
            beyond < 1 - atom, log_ratio(1 - atom, jnp.minimum(beyond, 1 - atom)) / rate, jnp.zeros_like(v)
        )
        after = jnp.where(quadratic, scale * moved * moved, jumped)

        # ln E exp(a v'), the martingale correction; where that expectation is infinite there is none.
        room = 1 - 2 * a * scale
        safe_room = jnp.where(room > 0, room, jnp.ones_like(room))
        left = a * b2 * scale / safe_room - 0.5 * jnp.log(safe_room)
        apart = rate - a
        safe_apart = jnp.where(apart > 0, apart, jnp.ones_like(apart))
        right = jnp.log(atom + rate * (1 - atom) / safe_apart)
        exists = jnp.where(quadratic, room > 0, apart > 0)
        k0 = jnp.where(
            exists, -jnp.where(quadratic, left, right) - (k1 + 0.5 * k3) * v, -rho * kappa * theta * step / sigma
        )
        drift = (self.rate - self.dividend_yield) * step
        deviation = jnp.sqrt(at_least(k3 * (v + after), tiny))
        return x + (drift + k0 + k1 * v + k2 * after + deviation * draws[1]), after

    def observe(self, state):
        return exponential(state[0])

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)
