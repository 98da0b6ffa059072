r"""The Heston model, by a scheme of choice.

| scheme | variance | weak order | at a variance of zero |
|---|---|---|---|
| `"quadratic-exponential"` | a law with its exact conditional mean and variance | two | has an atom there |
| `"full-truncation"` | Euler's scheme | one | goes below, where it counts as zero |
| `"almost-exact"` | its exact law | two | as the law says |

Every scheme takes any parameters. Where Feller's condition 2 κ θ >= σ² fails the variance touches zero, and the scheme allows
for that as the last column says; no parameter is changed and no path is dropped.

The orders are those of the characteristic function of ln S, which quadrature gives without noise (the tests do). That of
the first scheme has no proof, and where 2 κ θ / σ² is as low as 0.2 it falls to about 1.5. Take the default: its bias is
far below that of full truncation at the same steps. The almost exact scheme costs several times as much for each step and
shows what bias the default has left; full truncation is what others use, for comparison.

Sources: L. Andersen, "Simple and Efficient Simulation of the Heston Stochastic Volatility Model", Journal of Computational
Finance 11(3) (2008), 1-42 (QE-M, central weights); R. Lord, R. Koekkoek, D. van Dijk, "A Comparison of Biased Simulation Schemes
for Stochastic Volatility Models", Quantitative Finance 10 (2010), 177-194; C. W. Oosterlee, L. A. Grzelak, "Mathematical
Modeling and Computation in Finance" (2019), section 9.4.3.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.elementary import exponential
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes import square_root
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.processes.heston_schemes import almost_exact, full_truncation, quadratic_exponential

__all__ = ["Heston", "check_heston"]

Scheme = Literal["quadratic-exponential", "full-truncation", "almost-exact"]
_SCHEMES = ("quadratic-exponential", "full-truncation", "almost-exact")


@parameters(static=("scheme",))
class Heston:
    """The Heston model; payoffs see the price.

    Arguments:
        spot: price now, > 0, in currency.
        params: `HestonParams(v0, kappa, theta, sigma, rho)`.
        rate, dividend_yield: continuously compounded, per year.
        scheme: "quadratic-exponential", "full-truncation" or "almost-exact"; see the module.

    The discounted price is a martingale for any step, in every scheme. A step takes two normal numbers, that of the variance
    first; the almost exact one takes those of `square_root`, the price's normal number after the variance's.

    Raises: InputError for another scheme and for parameters out of their bounds; InputTypeError where `params` are none.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> params = HestonParams(v0=0.04, kappa=1.5, theta=0.05, sigma=0.6, rho=-0.7)
    >>> stock = Heston(spot=100.0, params=params, rate=0.03)
    >>> found = mc.price(stock, mc.payoffs.european(strike=100.0), key=1, paths=20_000, times=[0.25, 0.5, 0.75, 1.0])
    >>> abs(float(found.value) - 9.06) < 0.3
    True
    """

    spot: Any
    params: HestonParams
    rate: Any = 0.0
    dividend_yield: Any = 0.0
    scheme: Scheme = "quadratic-exponential"

    def __post_init__(self):
        if self.scheme not in _SCHEMES:
            raise InputError(f"scheme: {self.scheme!r}; expected one of {', '.join(map(repr, _SCHEMES))}")
        check_heston(self.spot, self.params)

    @property
    def normals(self) -> int:
        return square_root.NORMALS + 1 if self.scheme == "almost-exact" else 2

    @property
    def uniforms(self) -> int:
        return square_root.UNIFORMS if self.scheme == "almost-exact" else 0

    def initial(self):
        return jnp.log(self.spot), self.params.v0

    def advance(self, state, time, step, draws):
        carry = (self.rate - self.dividend_yield) * step
        rest = root_of_rest(self.params.rho)
        if self.scheme == "almost-exact":
            n = square_root.NORMALS
            return almost_exact(self.params, carry, state, step, (*draws[:n], *draws[n + 1 :]), rest * draws[n])
        one_step = quadratic_exponential if self.scheme == "quadratic-exponential" else full_truncation
        return one_step(self.params, carry, state, step, draws[0], rest * draws[1])

    def observe(self, state):
        return exponential(state[0])

    def discount(self, time, state):
        return jnp.exp(-self.rate * time)


def check_heston(spot: Any, params: HestonParams) -> None:
    """Refuse values that no Heston model has.

    Raises: InputError with the name of the parameter; InputTypeError where `params` are none.
    """
    if not hasattr(params, "_fields") and isinstance(params, (tuple, list, dict, int, float)):
        raise InputTypeError(f"params: {params!r}; expected HestonParams(v0=, kappa=, theta=, sigma=, rho=)")
    check_bounds(spot=(spot, "> 0"))
    if isinstance(params, HestonParams):
        bounds = {"v0": ">= 0", "kappa": "> 0", "theta": ">= 0", "sigma": "> 0", "rho": "in [-1, 1]"}
        check_bounds(**{name: (getattr(params, name), bound) for name, bound in bounds.items()})


def root_of_rest(rho: jax.Array) -> jax.Array:
    """√(1 - ρ²), with a finite derivative at ρ = ±1 too."""
    rest = 1 - rho * rho
    free = rest > 0
    return jnp.where(free, jnp.sqrt(jnp.where(free, rest, jnp.ones_like(rest))), jnp.zeros_like(rest))
