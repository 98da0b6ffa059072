r"""The SABR model of a forward price or rate.

$$ dF = \alpha_t (F + s)^\beta\,dW, \qquad d\alpha = \nu\,\alpha\,dZ, \qquad d\langle W, Z\rangle = \rho\,dt $$

The volatility α is lognormal and its steps are exact. Over a step, with X = F + s the shifted forward, C = X^(β-1) and the
variance I of the step, the trapezoid of α²:

- Far from zero the power is put by its tangent at X, which makes the equation linear: it has an exact solution, a displaced
  lognormal one (M. Rubinstein, "Displaced Diffusion Option Pricing", Journal of Finance 38 (1983), 213-217),

  $$ X' = X \Bigl(1 + \frac{e^{\beta C y - \beta^2 C^2 I / 2} - 1}{\beta}\Bigr), \qquad
     y = \int \alpha\,dW = \frac{\rho}{\nu} (\alpha' - \alpha) + \sqrt{(1 - \rho^2) I}\,z $$

  and what the tangent leaves out of the variance, to first order, is a factor 1 - β (1 - β) C² α² Δ / 4 on C. Nothing is left out
  where β is 0 or 1. Weak order two.

- Where zero is less than four standard deviations away, X' is drawn from the law of Andersen's quadratic-exponential scheme with
  mean X and variance X^2β α² Δ: never negative, with an atom at zero, where the path then stays. Weak order one.

The expected forward is exact in the second, and exact up to the order in the first. So zero is absorbing for every β < 1, as
it has to be for the forward to be a martingale, β = 0 included: a normal SABR model that may go below zero is one with a large
shift.

On the BENCHOP cases, where zero is hit often (volatilities of 70 % over two years, of 150 % over ten), calls at the money are out
by 0.0003 of 0.194 and 0.0008 of 0.047 with eight steps a year, by 0.00005 and 0.0003 with sixteen.

Sources: P. S. Hagan, D. Kumar, A. S. Lesniewski, D. E. Woodward, "Managing Smile Risk", Wilmott Magazine (September 2002),
84-108; L. Andersen, "Simple and Efficient Simulation of the Heston Stochastic Volatility Model", Journal of Computational
Finance 11(3) (2008), 1-42, section 3.2; for a scheme of this kind with other laws near and far, B. Chen, C. W. Oosterlee, H. van
der Weide, "A Low-Bias Simulation Scheme for the SABR Stochastic Volatility Model", International Journal of Theoretical and
Applied Finance 15 (2012), 1250016.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError
from gpujax.numerics.elementary import at_least, exponential, log_ratio
from gpujax.numerics.normal import cdf
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.processes.conditions import known
from gpujax.pricing.monte_carlo.term_structure import discount_factor, values_of

__all__ = ["Sabr"]

_FAR = 4.0  # standard deviations between the forward and zero
_SWITCH = 1.5  # of ψ, between the laws near zero: the square of a normal variable, and an exponential with an atom


@parameters()
class Sabr:
    """The SABR model; payoffs see the forward.

    Arguments:
        forward: F now; the shifted one, F + s, is > 0.
        alpha: α now, > 0: the volatility of a forward of one, per square root of a year.
        beta: β, in [0, 1]: 1 is lognormal, 0 normal and absorbed where F = -s.
        rho: correlation of the forward and its volatility, in [-1, 1].
        nu: ν, >= 0, the volatility of volatility, per square root of a year.
        shift: s, added to the forward: rates down to -s.
        rate: for the discount factor, continuously compounded; a number or a `PiecewiseConstant`.

    Steps between the times that payoffs see are set by `max_step`. Derivatives are taken along paths; where the law changes they
    miss a small jump.

    Raises: InputError for parameters out of range.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> swap_rate = mc.processes.Sabr(forward=0.03, alpha=0.06, beta=0.5, rho=-0.3, nu=0.4)
    >>> found = mc.price(swap_rate, mc.payoffs.european(strike=0.0), key=1, paths=50_000, times=1.0, max_step=0.25)
    >>> abs(float(found.value) - 0.03) < 4 * float(found.standard_error)
    True
    """

    forward: Any
    alpha: Any
    beta: Any
    rho: Any
    nu: Any
    shift: Any = 0.0
    rate: Any = 0.0

    def __post_init__(self):
        check_bounds(
            forward=(self.forward, "finite"), alpha=(self.alpha, "> 0"), beta=(self.beta, ">= 0"),
            rho=(self.rho, "in [-1, 1]"), nu=(self.nu, ">= 0"), shift=(self.shift, "finite"),
            rate=(values_of(self.rate), "finite"),
        )  # fmt: skip
        found = known(self.beta)
        if found is not None and np.any(found[0] > 1):
            raise InputError(f"beta: {self.beta}; expected in [0, 1]")
        found = known(self.forward, self.shift)
        if found is not None and np.any(found[0] + found[1] <= 0):
            raise InputError(f"forward: {self.forward}; expected above -shift, {-found[1]}")

    @property
    def normals(self) -> int:
        return 2

    def initial(self):
        return self.forward + self.shift, self.alpha

    def advance(self, state, time, step, draws):
        x, alpha = state
        beta, rho, nu = self.beta, self.rho, self.nu
        across, root = _root(1 - rho * rho), jnp.sqrt(step)
        # ln α'/α, and ∫ α dZ / α = (α'/α - 1) / ν, which has a limit at ν = 0
        gained = nu * (root * draws[0] - 0.5 * nu * step)
        paired = _relative_growth(gained) * (root * draws[0] - 0.5 * nu * step)
        after = alpha * exponential(gained)

        # Below this the forward has been absorbed; its fourth power is a number.
        alive = x > float(jnp.finfo(x.dtype).tiny) ** 0.2
        safe = jnp.where(alive, x, jnp.ones_like(x))
        # C = X^(β-1), and ψ = C² α² Δ, the step's squared coefficient of variation
        scale = exponential((beta - 1) * log_ratio(safe, jnp.ones_like(safe)))
        psi = scale * scale * (alpha * alpha) * step
        far = self._room() - 0.5 * beta * psi > _FAR * jnp.sqrt(psi)

        # Each law gets a ψ for which it is meant, so that what is not taken has a finite value and derivative.
        calm = jnp.where(far, scale * (1 - 0.25 * beta * (1 - beta) * psi), jnp.zeros_like(scale))
        variance = 0.5 * (alpha * alpha + after * after) * step
        moved = (
            calm * (rho * (alpha * paired) + across * (jnp.sqrt(variance) * draws[1]))
            - 0.5 * beta * calm * calm * variance
        )
        linear = safe * (1 + _relative_growth(beta * moved) * moved)

        wild = jnp.where(far, jnp.ones_like(psi), psi) * _relative_growth(nu * nu * step)
        near = safe * _quadratic_exponential(wild, rho * draws[0] + across * draws[1])
        return jnp.where(alive, jnp.maximum(jnp.where(far, linear, near), 0), jnp.zeros_like(x)), after

    def observe(self, state):
        return state[0] - self.shift

    def discount(self, time, state):
        return discount_factor(self.rate, time)

    def _room(self) -> jax.Array:
        """-ln(1 - β) / β: the fall of βCy/β, in units of X, at which the linear solution reaches zero; endless for β = 1."""
        beta = jnp.asarray(self.beta)
        inside = (beta > 0) & (beta < 1)
        safe = jnp.where(inside, beta, 0.5 * jnp.ones_like(beta))
        ends = jnp.where(beta < 1, jnp.ones_like(beta), 1e30 * jnp.ones_like(beta))
        return jnp.where(inside, -jnp.log1p(-safe) / safe, ends)


def _quadratic_exponential(psi: jax.Array, normal: jax.Array) -> jax.Array:
    """A variable >= 0 with mean 1 and variance ψ, which increases with a normal one: Andersen (2008), section 3.2."""
    quadratic = psi <= _SWITCH
    two = 2 / jnp.where(quadratic, psi, jnp.full_like(psi, _SWITCH))
    b2 = two - 1 + jnp.sqrt(two * (two - 1))
    moved = jnp.sqrt(b2) + normal
    high = jnp.where(quadratic, jnp.full_like(psi, _SWITCH), psi)
    above = 2 / (high + 1)  # the probability of not being zero
    beyond = at_least(cdf(-normal), float(jnp.finfo(psi.dtype).tiny))
    jumped = jnp.where(beyond < above, log_ratio(above, jnp.minimum(beyond, above)) / above, jnp.zeros_like(psi))
    return jnp.where(quadratic, moved * moved / (1 + b2), jumped)


def _relative_growth(x: Any) -> jax.Array:
    """(e^x - 1) / x, one at zero."""
    x = jnp.asarray(x)
    small = jnp.abs(x) < 1e-5
    safe = jnp.where(small, jnp.ones_like(x), x)
    return jnp.where(small, 1 + 0.5 * x, jnp.expm1(safe) / safe)


def _root(x: Any) -> jax.Array:
    """√x, zero with a zero derivative where x is not positive."""
    x = jnp.asarray(x)
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), jnp.zeros_like(x))
