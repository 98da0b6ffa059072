r"""Levels that return to a mean, exactly: Ornstein-Uhlenbeck, and Schwartz's one-factor model of a commodity.

$$ dX = \kappa(\theta - X)\,dt + \sigma\,dW: \qquad
   X_{t+\Delta} = \theta + (X_t - \theta) e^{-\kappa\Delta} + \sigma\sqrt{\Delta\,\varphi(2\kappa\Delta)}\;z, \qquad
   \varphi(x) = \frac{1 - e^{-x}}{x} $$

holds for a κ of either sign and, with φ(0) = 1, for zero, where X is a Brownian motion.

Sources: G. E. Uhlenbeck, L. S. Ornstein, "On the Theory of the Brownian Motion", Physical Review 36 (1930), 823-841;
E. S. Schwartz, "The Stochastic Behavior of Commodity Prices: Implications for Valuation and Hedging", Journal of Finance 52
(1997), 923-973, section I.A (model 1).
"""

from typing import Any

import jax
import jax.numpy as jnp

from gpujax.numerics.elementary import exponential
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds

__all__ = ["OrnsteinUhlenbeck", "Schwartz", "relaxation", "reverted"]


@parameters()
class OrnsteinUhlenbeck:
    """A normal level that returns to its mean: a spread, a temperature, a basis; exact. Payoffs see the level.

    Arguments:
        level: now; any number.
        kappa: speed of mean reversion, per year; the half-life is ln 2 / κ. Any number: zero is a Brownian motion.
        theta: the mean, in units of the level.
        sigma: >= 0, in units of the level per square root of a year.
        rate: continuously compounded, for the discount factor.

    Raises: InputError for numbers out of these bounds.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> spread = OrnsteinUhlenbeck(level=2.0, kappa=1.5, theta=0.5, sigma=0.8)
    >>> found = mc.price(spread, mc.payoffs.european(strike=-50.0), key=1, paths=100_000, times=1.0)
    >>> abs(float(found.value) - 50.0 - (0.5 + 1.5 * 0.22313)) < 0.01
    True
    """

    level: Any
    kappa: Any
    theta: Any
    sigma: Any
    rate: Any = 0.0

    def __post_init__(self):
        check_bounds(
            level=(self.level, "finite"), kappa=(self.kappa, "finite"), theta=(self.theta, "finite"), sigma=(self.sigma, ">= 0")
        )  # fmt: skip

    @property
    def normals(self) -> int:
        return 1

    def initial(self):
        return self.level

    def advance(self, state, time, step, draws):
        return reverted(state, self.kappa, self.theta, self.sigma, step, draws[0])

    def observe(self, state):
        return state

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)


@parameters()
class Schwartz:
    r"""Schwartz's (1997) one-factor commodity: the logarithm of the price returns to its mean; exact. Payoffs see the price.

    $$ dS = \kappa(\mu - \lambda - \ln S) S\,dt + \sigma S\,dW, \qquad d\ln S = \kappa(\alpha - \ln S)\,dt + \sigma\,dW, \qquad
       \alpha = \mu - \lambda - \frac{\sigma^2}{2\kappa} $$

    Arguments:
        spot: price now, > 0, in currency.
        kappa: speed of mean reversion, > 0, per year.
        alpha: the mean of the logarithm of the price under the pricing measure, Schwartz's α*.
        sigma: >= 0, per square root of a year.
        rate: continuously compounded, for the discount factor.

    The price is of something that is not held like a stock: its expectation is the forward curve (`forward`), not S e^(rt).

    Raises: InputError for numbers out of these bounds.

    >>> import math
    >>> oil = Schwartz(spot=60.0, kappa=0.7, alpha=math.log(70.0), sigma=0.35, rate=0.03)
    >>> oil.forward(jnp.array([0.5, 2.0, 50.0])).round(3)
    Array([64.193, 70.216, 73.13 ], dtype=float64)
    """

    spot: Any
    kappa: Any
    alpha: Any
    sigma: Any
    rate: Any = 0.0

    def __post_init__(self):
        check_bounds(
            spot=(self.spot, "> 0"), kappa=(self.kappa, "> 0"), alpha=(self.alpha, "finite"), sigma=(self.sigma, ">= 0")
        )

    @property
    def normals(self) -> int:
        return 1

    def initial(self):
        return jnp.log(self.spot)

    def advance(self, state, time, step, draws):
        return reverted(state, self.kappa, self.alpha, self.sigma, step, draws[0])

    def observe(self, state):
        return exponential(state)

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)

    def forward(self, expiry: Any) -> jax.Array:
        r"""The forward price for delivery in `expiry` years, >= 0 (Schwartz 1997, equation 7); any shape.

        $$ F(T) = \exp\Bigl[e^{-\kappa T} \ln S + (1 - e^{-\kappa T})\,\alpha
           + \frac{\sigma^2}{4\kappa}(1 - e^{-2\kappa T})\Bigr] $$
        """
        expiry = jnp.asarray(expiry, jnp.result_type(float) if not isinstance(expiry, jax.Array) else expiry.dtype)
        decay = jnp.exp(-self.kappa * expiry)
        variance = self.sigma * self.sigma * expiry * relaxation(2 * self.kappa * expiry)
        return jnp.exp(decay * jnp.log(self.spot) + (1 - decay) * self.alpha + 0.5 * variance)


def reverted(x: jax.Array, kappa, theta, sigma, step, z: jax.Array) -> jax.Array:
    """The level after a step, from that before it and a standard normal number."""
    decay = jnp.exp(-kappa * step)
    deviation = sigma * jnp.sqrt(step * relaxation(2 * kappa * step))
    return (theta * (kappa * step * relaxation(kappa * step))) + (decay * x + deviation * z)


def relaxation(x: jax.Array) -> jax.Array:
    """φ(x) = (1 - e^-x) / x, 1 at zero, to full accuracy with its derivative."""
    near = jnp.abs(x) < 0.02
    away = jnp.where(near, jnp.ones_like(x), x)
    # Seven terms leave 3e-17 at 0.02; the derivative of the quotient would lose digits like eps / x.
    series, term = jnp.ones_like(x), jnp.ones_like(x)
    for k in range(2, 9):
        term = term * (-x / k)
        series = series + term
    return jnp.where(near, series, -jnp.expm1(-away) / away)
