r"""The Heston model, by a scheme of choice.

| scheme | variance | weak order | where the variance reaches zero |
|---|---|---|---|
| `"quadratic-exponential"` (Andersen 2008, QE-M) | a law with the exact conditional mean and variance | | stays at zero or above |

Every scheme takes any parameters: where Feller's condition 2 κ θ >= σ² fails, the variance touches zero, and the scheme allows
for it as the table says; no parameters are changed.
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
