r"""Lévy processes without diffusion: Brownian motion with drift, run by a random clock. Exact steps of any length.

$$ \ln S_t = \ln S_0 + (r - q + \omega)\,t + b\,Y_t + s\,W_{Y_t} $$

where the clock Y is a gamma process (variance gamma) or an inverse Gaussian one (normal inverse Gaussian), and ω makes the
discounted price with its dividends a martingale. Derivatives by all parameters are unbiased path by path: the clock moves along
its distribution function (see `numerics.variates`).

Source: P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 3.5.2.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError
from gpujax.numerics.elementary import exponential
from gpujax.numerics.variates import GAMMA_NORMALS, GAMMA_UNIFORMS, inverse_gaussian, loggamma
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.processes.conditions import known

__all__ = ["NormalInverseGaussian", "VarianceGamma"]


@parameters()
class VarianceGamma:
    """The variance gamma process: the clock has mean t and variance ν t.

    Arguments:
        spot: price now, > 0, in currency.
        sigma: σ, volatility in the time of the clock, >= 0.
        theta: θ, drift in the time of the clock; negative for losses that are larger than gains.
        nu: ν, variance of the clock in a year, > 0; towards zero the process becomes geometric Brownian motion.
        rate, dividend_yield: continuously compounded, per year.

    Raises: InputError for numbers out of these ranges, and unless θ ν + σ² ν / 2 < 1: else the expected price is infinite.

    >>> stock = VarianceGamma(spot=100.0, sigma=0.12, theta=-0.14, nu=0.17, rate=0.1)
    >>> stock.normals, stock.uniforms
    (6, 5)

    Source: D. B. Madan, P. P. Carr, E. C. Chang, "The Variance Gamma Process and Option Pricing", European Finance Review 2
    (1998), 79-105: equations 2, 5 and 22.
    """

    spot: Any
    sigma: Any
    theta: Any
    nu: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    def __post_init__(self):
        check_bounds(
            spot=(self.spot, "> 0"), sigma=(self.sigma, ">= 0"), theta=(self.theta, "finite"), nu=(self.nu, "> 0")
        )
        given = known(self.sigma, self.theta, self.nu)
        if given:
            sigma, theta, nu = given
            largest = np.max(theta * nu + 0.5 * sigma * sigma * nu)
            if not largest < 1:
                raise InputError(
                    f"sigma, theta, nu: {self.sigma}, {self.theta}, {self.nu}, for which theta nu + sigma² nu / 2 is "
                    f"{largest:.6g}; expected less than 1: else the expected price is infinite"
                )

    @property
    def normals(self) -> int:
        return 1 + GAMMA_NORMALS

    @property
    def uniforms(self) -> int:
        return GAMMA_UNIFORMS

    def initial(self):
        return jnp.log(self.spot)

    def advance(self, state, time, step, draws):
        nu = self.nu
        log_clock = loggamma(step / nu, draws[1 : self.normals], draws[self.normals :]) + jnp.log(nu)
        # Its root by the logarithm: in a short step the clock may run less than the smallest number, whose root has no slope.
        root = exponential(0.5 * log_clock)
        omega = jnp.log1p(-nu * (self.theta + 0.5 * self.sigma * self.sigma)) / nu
        drift = (self.rate - self.dividend_yield + omega) * step
        return state + (drift + root * (self.theta * root + self.sigma * draws[0]))

    def observe(self, state):
        return exponential(state)

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)


@parameters()
class NormalInverseGaussian:
    """The normal inverse Gaussian process: the clock is the time at which a Brownian motion with drift γ first reaches δ t.

    With γ = √(α² - β²) the logarithm of the price has, in a year, mean δ β / γ (beside that of ω) and variance δ α² / γ³.

    Arguments:
        spot: price now, > 0, in currency.
        alpha: α, steepness of the tails, > 0.
        beta: β, asymmetry, with -α < β < α - 1: from α - 1 on the expected price is infinite or has no derivative.
        delta: δ, scale, > 0, per year.
        rate, dividend_yield: continuously compounded, per year.

    Raises: InputError for numbers out of these ranges.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = NormalInverseGaussian(spot=100.0, alpha=15.0, beta=-5.0, delta=0.5)
    >>> forward = mc.price(stock, mc.payoffs.european(strike=0.0), key=1, paths=100_000, times=1.0)
    >>> abs(float(forward.value) - 100.0) < 4 * float(forward.standard_error) < 0.3
    True

    Source: O. E. Barndorff-Nielsen, "Processes of Normal Inverse Gaussian Type", Finance and Stochastics 2 (1998), 41-68:
    section 2.
    """

    spot: Any
    alpha: Any
    beta: Any
    delta: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    def __post_init__(self):
        check_bounds(
            spot=(self.spot, "> 0"), alpha=(self.alpha, "> 0"), beta=(self.beta, "finite"), delta=(self.delta, "> 0")
        )
        given = known(self.alpha, self.beta)
        if given:
            alpha, beta = given
            if not np.all((beta > -alpha) & (beta < alpha - 1)):
                raise InputError(
                    f"alpha, beta: {self.alpha}, {self.beta}; expected -alpha < beta < alpha - 1: elsewhere there is no such "
                    "law, or the expected price is infinite"
                )

    @property
    def normals(self) -> int:
        return 2

    @property
    def uniforms(self) -> int:
        return 1

    def initial(self):
        return jnp.log(self.spot)

    def advance(self, state, time, step, draws):
        alpha, beta = self.alpha, self.beta
        gamma = jnp.sqrt((alpha - beta) * (alpha + beta))
        reach = self.delta * step
        clock = inverse_gaussian(reach / gamma, reach * reach, draws[1], draws[2])
        # δ (√(α² - (β + 1)²) - γ), without the difference of roots
        risky = jnp.sqrt((alpha - beta - 1) * (alpha + beta + 1))
        omega = -self.delta * (2 * beta + 1) / (risky + gamma)
        drift = (self.rate - self.dividend_yield + omega) * step
        return state + (drift + beta * clock + jnp.sqrt(clock) * draws[0])

    def observe(self, state):
        return exponential(state)

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)
