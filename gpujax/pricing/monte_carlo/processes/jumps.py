r"""Diffusions with jumps: lognormal ones (Merton 1976) and double exponential ones (Kou 2002).

$$ dS / S_- = (r - q - \lambda\,\mathrm{E}[e^Y - 1])\,dt + \sigma\,dW + d\Big(\sum_{i \le N_t} (e^{Y_i} - 1)\Big) $$

with N a Poisson process of intensity λ, so that the discounted price with its dividends is a martingale. Steps are exact, of any
length: the number of jumps in a step is drawn by inversion, their sum given the number in one piece. (Several of Kou's jumps in
one step and direction are a gamma variate, whose law is right within 6e-6 in total variation.)

Derivatives of prices by the intensity and by the probability of an upward jump are unbiased for payoffs that are continuous in
the path, though the number of jumps does not move: see `jump_sums`. At an intensity of zero no path jumps: they miss the jumps.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError
from gpujax.numerics.elementary import exponential
from gpujax.numerics.variates import poisson
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.processes.conditions import known
from gpujax.pricing.monte_carlo.processes.jump_sums import (
    SUM_NORMALS,
    SUM_UNIFORMS,
    check_lognormal_jumps,
    exponential_sum,
    log_likelihood_ratio,
    lognormal_compensator,
    root,
)

__all__ = ["Kou", "Merton"]


@parameters()
class Merton:
    """A lognormal diffusion with lognormal jumps; exact steps.

    Arguments:
        spot: price now, > 0, in currency.
        volatility: σ of the diffusion, >= 0, per square root of a year.
        intensity: λ, jumps expected in a year, >= 0.
        jump_mean: mean of the logarithm of S after a jump over S before it.
        jump_volatility: its standard deviation, >= 0.
        rate, dividend_yield: continuously compounded, per year.

    Raises: InputError for numbers out of these ranges.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = Merton(spot=100.0, volatility=0.2, intensity=0.5, jump_mean=-0.2, jump_volatility=0.15, rate=0.03)
    >>> forward = mc.price(stock, mc.payoffs.european(strike=0.0), key=1, paths=100_000, times=[0.5, 1.0])
    >>> abs(float(forward.value) - 100.0) < 4 * float(forward.standard_error) < 0.5
    True

    Source: R. C. Merton, "Option Pricing when Underlying Stock Returns are Discontinuous", Journal of Financial Economics 3
    (1976), 125-144.
    """

    spot: Any
    volatility: Any
    intensity: Any
    jump_mean: Any
    jump_volatility: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    def __post_init__(self):
        check_bounds(spot=(self.spot, "> 0"), volatility=(self.volatility, ">= 0"))
        check_lognormal_jumps(self)

    @property
    def normals(self) -> int:
        return 1

    @property
    def uniforms(self) -> int:
        return 1

    def initial(self):
        return jnp.log(self.spot), 0.0

    def advance(self, state, time, step, draws):
        x, log_weight = state
        z, u = draws
        mean = self.intensity * step
        count = poisson(mean, u)
        drift = self.rate - self.dividend_yield - 0.5 * self.volatility * self.volatility - lognormal_compensator(self)
        # The diffusion and the jumps, given their number, are normal together.
        variance = self.volatility * self.volatility * step + self.jump_volatility * self.jump_volatility * count
        moved = drift * step + count * self.jump_mean + root(variance) * z
        return x + moved, log_weight + log_likelihood_ratio(count, mean)

    def observe(self, state):
        return exponential(state[0])

    def discount(self, time, state):
        return jnp.exp(state[1] - self.rate * time)


@parameters()
class Kou:
    """A lognormal diffusion with double exponential jumps; exact steps.

    A jump of the logarithm of the price is upward with probability p and then exponential with mean 1/η₁, else downward with
    mean 1/η₂.

    Arguments:
        spot: price now, > 0, in currency.
        volatility: σ of the diffusion, >= 0, per square root of a year.
        intensity: λ, jumps expected in a year, >= 0.
        up_probability: p, in [0, 1].
        up_rate: η₁, > 1: at one the expected price is infinite.
        down_rate: η₂, > 0.
        rate, dividend_yield: continuously compounded, per year.

    Raises: InputError for numbers out of these ranges.

    A step takes seven normal and eight uniform numbers, its dimensions for quasi-random points:

    >>> stock = Kou(spot=100.0, volatility=0.16, intensity=1.0, up_probability=0.4, up_rate=10.0, down_rate=5.0, rate=0.05)
    >>> stock.normals, stock.uniforms
    (7, 8)

    Source: S. G. Kou, "A Jump-Diffusion Model for Option Pricing", Management Science 48(8) (2002), 1086-1101.
    """

    spot: Any
    volatility: Any
    intensity: Any
    up_probability: Any
    up_rate: Any
    down_rate: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0

    def __post_init__(self):
        check_bounds(
            spot=(self.spot, "> 0"), volatility=(self.volatility, ">= 0"), intensity=(self.intensity, ">= 0"),
            up_probability=(self.up_probability, ">= 0"), up_rate=(self.up_rate, "> 0"), down_rate=(self.down_rate, "> 0"),
        )  # fmt: skip
        given = known(self.up_probability)
        if given and np.any(given[0] > 1):
            raise InputError(f"up_probability: {self.up_probability}; expected a probability, in [0, 1]")
        given = known(self.up_rate)
        if given and np.any(given[0] <= 1):
            raise InputError(
                f"up_rate: {self.up_rate}; expected a number > 1: upward jumps with a mean of one or more make the expected "
                "price infinite"
            )

    @property
    def normals(self) -> int:
        return 1 + 2 * SUM_NORMALS

    @property
    def uniforms(self) -> int:
        return 2 + 2 * SUM_UNIFORMS

    def initial(self):
        return jnp.log(self.spot), 0.0

    def advance(self, state, time, step, draws):
        x, log_weight = state
        normals, uniforms = draws[1 : self.normals], draws[self.normals :]
        p, up, down = self.up_probability, self.up_rate, self.down_rate
        # Upward and downward jumps are independent Poisson processes.
        up_mean, down_mean = self.intensity * p * step, self.intensity * (1 - p) * step
        # Together, for one loop.
        ups, downs = poisson(jnp.stack([up_mean, down_mean])[:, None], jnp.stack(uniforms[:2]))
        rest = uniforms[2:]
        climb = exponential_sum(ups, normals[:SUM_NORMALS], rest[:SUM_UNIFORMS]) / up
        fall = exponential_sum(downs, normals[SUM_NORMALS:], rest[SUM_UNIFORMS:]) / down
        # E[e^Y - 1] = p / (η₁ - 1) - (1 - p) / (η₂ + 1)
        compensator = self.intensity * (p / (up - 1) - (1 - p) / (down + 1))
        drift = self.rate - self.dividend_yield - 0.5 * self.volatility * self.volatility - compensator
        moved = drift * step + (self.volatility * jnp.sqrt(step)) * draws[0] + (climb - fall)
        ratio = log_likelihood_ratio(ups, up_mean) + log_likelihood_ratio(downs, down_mean)
        return x + moved, log_weight + ratio

    def observe(self, state):
        return exponential(state[0])

    def discount(self, time, state):
        return jnp.exp(state[1] - self.rate * time)
