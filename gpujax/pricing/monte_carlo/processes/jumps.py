r"""Diffusions with jumps: lognormal ones (Merton 1976), double exponential ones (Kou 2002), and Heston's with jumps (Bates 1996).

$$ dS / S_- = (r - q - \lambda\,\mathrm{E}[e^Y - 1])\,dt + \sigma\,dW + d\Big(\sum_{i \le N_t} (e^{Y_i} - 1)\Big) $$

with N a Poisson process of intensity λ, so that the discounted price with its dividends is a martingale. Merton's and Kou's steps
are exact, of any length: the number of jumps in a step is drawn by inversion, their sum given the number in one piece.

Derivatives: the number of jumps cannot move path by path. So the discount factor of a path carries a factor that is one and whose
derivative is that of the logarithm of the probability of its numbers of jumps: derivatives of prices by the intensity and by the
probability of an upward jump are unbiased, for every payoff, if more noisy than others. (Pathwise for all that moves smoothly,
likelihood ratio for the counts: P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 7.3; the factor is
the one of J. Foerster et al., "DiCE: The Infinitely Differentiable Monte Carlo Estimator", ICML (2018), section 4.) At an
intensity of zero no path jumps, and derivatives by it miss the jumps.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError
from gpujax.numerics.elementary import at_least, exponential
from gpujax.numerics.variates import GAMMA_NORMALS, gamma, poisson
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.processes.conditions import known
from gpujax.pricing.monte_carlo.processes.heston import Heston

__all__ = ["Bates", "Kou", "Merton"]

# Jumps are sums of at least one exponential: no uniform number for shapes below one.
_SUM_NORMALS, _SUM_UNIFORMS = GAMMA_NORMALS, GAMMA_NORMALS - 1


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
        _check_lognormal_jumps(self)

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
        drift = self.rate - self.dividend_yield - 0.5 * self.volatility * self.volatility - _lognormal_compensator(self)
        # The diffusion and the jumps, given their number, are normal together.
        variance = self.volatility * self.volatility * step + self.jump_volatility * self.jump_volatility * count
        moved = drift * step + count * self.jump_mean + _root(variance) * z
        return x + moved, log_weight + _log_likelihood_ratio(count, mean)

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

    The option of the article (2002, page 1095), 9.14732:

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = Kou(spot=100.0, volatility=0.16, intensity=1.0, up_probability=0.4, up_rate=10.0, down_rate=5.0, rate=0.05)
    >>> found = mc.price(stock, mc.payoffs.european(strike=98.0), key=1, paths=100_000, times=0.5)
    >>> abs(float(found.value) - 9.14732) < 4 * float(found.standard_error) < 0.2
    True

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
        return 1 + 2 * _SUM_NORMALS

    @property
    def uniforms(self) -> int:
        return 2 + 2 * _SUM_UNIFORMS

    def initial(self):
        return jnp.log(self.spot), 0.0

    def advance(self, state, time, step, draws):
        x, log_weight = state
        normals, uniforms = draws[1 : self.normals], draws[self.normals :]
        p, up, down = self.up_probability, self.up_rate, self.down_rate
        # Upward and downward jumps are independent Poisson processes.
        up_mean, down_mean = self.intensity * p * step, self.intensity * (1 - p) * step
        ups, downs = poisson(up_mean, uniforms[0]), poisson(down_mean, uniforms[1])
        climb = _exponential_sum(ups, normals[:_SUM_NORMALS], uniforms[2 : 2 + _SUM_UNIFORMS]) / up
        fall = _exponential_sum(downs, normals[_SUM_NORMALS:], uniforms[2 + _SUM_UNIFORMS :]) / down
        # E[e^Y - 1] = p / (η₁ - 1) - (1 - p) / (η₂ + 1)
        compensator = self.intensity * (p / (up - 1) - (1 - p) / (down + 1))
        drift = self.rate - self.dividend_yield - 0.5 * self.volatility * self.volatility - compensator
        moved = drift * step + (self.volatility * jnp.sqrt(step)) * draws[0] + (climb - fall)
        ratio = _log_likelihood_ratio(ups, up_mean) + _log_likelihood_ratio(downs, down_mean)
        return x + moved, log_weight + ratio

    def observe(self, state):
        return exponential(state[0])

    def discount(self, time, state):
        return jnp.exp(state[1] - self.rate * time)


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

    >>> from gpujax.pricing import monte_carlo as mc
    >>> params = HestonParams(v0=0.04, kappa=1.5, theta=0.04, sigma=0.5, rho=-0.7)
    >>> stock = Bates(spot=100.0, params=params, intensity=0.5, jump_mean=-0.1, jump_volatility=0.1, rate=0.03)
    >>> forward = mc.price(stock, mc.payoffs.european(strike=0.0), key=1, paths=100_000, times=[0.5, 1.0])
    >>> abs(float(forward.value) - 100.0) < 4 * float(forward.standard_error) < 0.5
    True

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
        _check_lognormal_jumps(self)

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
        jumped = jumped + (count * self.jump_mean + _root(variance) * z - _lognormal_compensator(self) * step)
        return heston.advance(smooth, time, step, others), jumped, log_weight + _log_likelihood_ratio(count, mean)

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


def _check_lognormal_jumps(process: Any) -> None:
    check_bounds(
        intensity=(process.intensity, ">= 0"),
        jump_mean=(process.jump_mean, "finite"),
        jump_volatility=(process.jump_volatility, ">= 0"),
    )


def _lognormal_compensator(process: Any) -> jax.Array:
    """λ E[e^Y - 1]."""
    return process.intensity * jnp.expm1(process.jump_mean + 0.5 * process.jump_volatility * process.jump_volatility)


def _root(variance: jax.Array) -> jax.Array:
    """The square root, with a derivative of zero where it is zero: what it multiplies has mean zero there."""
    return jnp.sqrt(at_least(variance, float(jnp.finfo(variance.dtype).tiny)))


def _exponential_sum(count: jax.Array, normals: tuple[jax.Array, ...], uniforms: tuple[jax.Array, ...]) -> jax.Array:
    """The sum of so many independent exponential variates with mean one."""
    some = count > 0
    total = gamma(jnp.where(some, count, jnp.ones_like(count)), normals, uniforms)
    return jnp.where(some, total, jnp.zeros_like(count))


def _log_likelihood_ratio(count: jax.Array, mean: jax.Array) -> jax.Array:
    """Zero, with the derivative of the logarithm of the Poisson probability e^-m m^n / n! by the mean m."""
    positive = mean > 0
    safe = jnp.where(positive, mean, jnp.ones_like(mean))
    still = lax.stop_gradient(safe)
    return count * (jnp.log(safe) - jnp.log(still)) - (safe - still)
