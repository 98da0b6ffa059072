r"""One step of the Heston model by three schemes: quadratic-exponential, almost exact, full truncation.

With the noise of the price split into that of the variance and the rest, $dW = \rho\,dZ + \sqrt{1 - \rho^2}\,dB$, and the
integral of the variance over a step $\Delta$ by the trapezoid, the logarithm of the price moves by (Andersen 2008, equation 33)

$$ \ln\frac{S'}{S} = (r - q)\Delta + K_0 + K_1 v + K_2 v' + \sqrt{K_3 (v + v')}\,B, $$

$$ K_{1,2} = \frac\Delta2\Bigl(\frac{\kappa\rho}\sigma - \frac12\Bigr) \mp \frac\rho\sigma, \qquad
   K_3 = \frac\Delta2 (1 - \rho^2). $$

The discounted price is a martingale if $K_0 = -\ln \mathrm{E}\,e^{A v'} - (K_1 + K_3/2)\,v$, where $A = K_2 + K_3/2$ (section
4.3.2); that expectation depends on the law that v' is drawn from. With m the mean of v' the step becomes

$$ \ln\frac{S'}{S} = (r - q)\Delta - \frac{K_3}2 (v + m) + K_2 (v' - m) - \bigl[\ln \mathrm{E}\,e^{A v'} - A m\bigr]
   + \sqrt{K_3 (v + v')}\,B, $$

where every term is as small as the noise that it comes from, also where a small σ makes K1 and K2 large: float32 loses nothing.
Where the expectation is infinite (only for ρ > 0 and long steps) K0 is -ρ κ θ Δ / σ, without the correction.

Source: L. Andersen, "Simple and Efficient Simulation of the Heston Stochastic Volatility Model", Journal of Computational
Finance 11(3) (2008), 1-42.
"""

import jax
import jax.numpy as jnp

from gpujax.numerics.elementary import at_least, log_ratio
from gpujax.numerics.mills import mills_ratio
from gpujax.numerics.normal import INVERSE_SQRT_2PI
from gpujax.numerics.staging import computed_once
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.processes.square_root import decay, square_root_step

__all__ = ["almost_exact", "full_truncation", "quadratic_exponential"]

State = tuple[jax.Array, jax.Array]  # log price and variance

_SWITCH = 1.5  # of ψ, between the two laws; both exist from 1 to 2
# Where ψ > 1.5 the variance is zero for all z below -0.8416 = N⁻¹(0.2).
_LOWEST_TAIL = -0.85


def quadratic_exponential(
    params: HestonParams, carry: jax.Array, state: State, step: jax.Array, z: jax.Array, across: jax.Array
) -> State:
    """One step of Andersen's quadratic-exponential scheme with martingale correction.

    The variance is drawn from a law with its exact conditional mean m and variance s²: for ψ = s² / m² below 1.5 the square of a
    shifted normal, a (b + z)² (equation 23), above it an exponential with an atom at zero (equation 25), by inversion of the
    same normal number.

    Arguments:
        carry: (r - q) Δ.
        z: standard normal, of the variance.
        across: the rest of the price's noise, normal with variance 1 - ρ².
        others: may have a leading axis of assets.
    """
    x, v = state
    _, kappa, theta, sigma, _ = params
    tiny = _tiny(x)
    one = jnp.ones_like(v)
    left, lost = decay(kappa, step)
    mean = at_least(kappa * theta * lost + left * v, tiny)
    spread = (sigma * sigma * lost) * (left * v + (0.5 * kappa * theta) * lost)
    # Not over mean², whose derivative divides by its square and so by zero where there is no variance at all.
    inverse = 1 / mean
    psi = (spread * inverse) * inverse
    quadratic = psi <= _SWITCH
    # Each law gets a ψ at which it exists, so that what is not taken has a finite value and derivative.
    low, high = jnp.minimum(psi, _SWITCH), jnp.maximum(psi, _SWITCH)

    # With 1 + b² = m / a the square is m plus a mean-free part, and a = m [1 - √(1 - ψ/2)] without cancellation.
    a = (0.5 * mean) * low / (1 + jnp.sqrt(1 - 0.5 * low))
    across_mean = jnp.sqrt(at_least(a * (mean - a), 4 * tiny * tiny))  # a b
    squared = a * (z * z - 1) + 2 * across_mean * z

    # Inversion at the level N(z): h ln[(1 - p) / N(-z)] if that is positive. N(-z) = n(z) M(z), M the Mills ratio, leaves one
    # logarithm and no exponential.
    grown = 0.5 * (1 + high)  # 1 / (1 - p)
    h = mean * grown  # 1 / β
    tail = at_least(z, _LOWEST_TAIL)
    excess = 0.5 * tail * tail - log_ratio(mills_ratio(tail) * grown * INVERSE_SQRT_2PI, one)
    moved = computed_once(jnp.where(quadratic, squared, h * at_least(excess, 0.0) - mean))  # v' - m

    k2, k3, slope = _price_coefficients(params, step)
    # ln E exp(A v') - A m, with u = 2 A a or A h: A (m - a) / (1 - u) - ln(1 - u) / 2 or ln[(1 - u + A m) / (1 - u)], less A m
    u = slope * jnp.where(quadratic, 2 * a, h)
    exists = u < 1
    u = jnp.where(exists, u, jnp.zeros_like(u))
    room = 1 - u
    logarithm = log_ratio(jnp.where(quadratic, one, room + slope * mean), room)
    correction = jnp.where(quadratic, u * (slope * (mean - a) / room - 0.5) + 0.5 * logarithm, logarithm - slope * mean)
    return _price_step(params, carry, state, step, mean, moved, across, exists, correction, k2, k3)


def almost_exact(
    params: HestonParams,
    carry: jax.Array,
    state: State,
    step: jax.Array,
    draws: tuple[jax.Array, ...],
    across: jax.Array,
) -> State:
    """One step with the variance from its exact law, and the integral of the variance by the trapezoid of both ends.

    Arguments:
        draws: `square_root.NORMALS` standard normal and `square_root.UNIFORMS` uniform numbers.
        others: as for `quadratic_exponential`.

    Source: C. W. Oosterlee, L. A. Grzelak, "Mathematical Modeling and Computation in Finance" (2019), section 9.4.3; with the
    martingale correction of Andersen (2008), here from the generating function of the noncentral chi-square law.
    """
    v = state[1]
    _, kappa, theta, sigma, _ = params
    left, lost = decay(kappa, step)
    mean = kappa * theta * lost + left * v
    moved = square_root_step(v, kappa, theta, sigma, step, draws) - mean
    k2, k3, slope = _price_coefficients(params, step)
    # ln E exp(A v') - A m, with u = 2 A c: A λ c / (1 - u) - d ln(1 - u) / 2, less A (λ + d) c
    u = 0.5 * slope * sigma * sigma * lost
    exists = u < 1
    u = jnp.where(exists, u, jnp.zeros_like(u))
    central = (2 * kappa * theta / (sigma * sigma)) * (jnp.log1p(-u) + u)
    correction = (slope * left * u / (1 - u)) * v - central
    return _price_step(params, carry, state, step, mean, moved, across, exists, correction, k2, k3)


def full_truncation(
    params: HestonParams, carry: jax.Array, state: State, step: jax.Array, z: jax.Array, across: jax.Array
) -> State:
    """One step of Euler's scheme in (ln S, v), where a negative variance counts as zero but stays in the state.

    Source: R. Lord, R. Koekkoek, D. van Dijk, "A Comparison of Biased Simulation Schemes for Stochastic Volatility Models",
    Quantitative Finance 10 (2010), 177-194, equations 2.10 and 2.11 (full truncation).
    """
    x, v = state
    _, kappa, theta, sigma, rho = params
    positive = at_least(v, 0.0)
    root = jnp.sqrt(at_least(positive * step, _tiny(x)))
    after = v + kappa * (theta - positive) * step + sigma * root * z
    return x + (carry - 0.5 * step * positive + root * (rho * z + across)), after


def _price_step(params, carry, state, step, mean, moved, across, exists, correction, k2, k3) -> State:
    """The price after the variance has moved to mean + moved, with the correction where it exists."""
    x, v = state
    _, kappa, theta, sigma, rho = params
    after = at_least(mean + moved, 0.0)
    without = (-rho * kappa * theta / sigma) * step + (_trend(params, step) - rho / sigma) * v + k2 * mean
    centre = jnp.where(exists, (-0.5 * k3) * (v + mean) - correction, without)
    root = jnp.sqrt(at_least((0.5 * step) * (v + after), _tiny(x)))
    return x + (carry + centre + k2 * moved + root * across), after


def _price_coefficients(params: HestonParams, step):
    """K2, K3 and A."""
    rho, sigma = params.rho, params.sigma
    k2 = _trend(params, step) + rho / sigma
    k3 = 0.5 * step * (1 - rho * rho)
    return k2, k3, k2 + 0.5 * k3


def _trend(params: HestonParams, step):
    return 0.5 * step * (params.kappa * params.rho / params.sigma - 0.5)


def _tiny(x: jax.Array) -> float:
    """A bound that leaves room for its square."""
    return float(jnp.finfo(x.dtype).tiny) ** 0.5
