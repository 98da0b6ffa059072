r"""The Heston model: its parameters.

$$ dS = (r - q) S\,dt + \sqrt{v}\,S\,dW, \qquad dv = \kappa(\theta - v)\,dt + \sigma\sqrt{v}\,dZ, \qquad
   d\langle W, Z\rangle = \rho\,dt $$

Source: S. L. Heston, "A Closed-Form Solution for Options with Stochastic Volatility", Review of Financial Studies 6 (1993),
327-343.
"""

from typing import Any, NamedTuple

__all__ = ["HestonParams"]


class HestonParams(NamedTuple):
    """Parameters of the Heston model.

    Fields:
        v0: variance now, >= 0, per year.
        kappa: speed of mean reversion, > 0, per year.
        theta: long-run variance, >= 0, per year.
        sigma: volatility of the variance, > 0.
        rho: correlation of price and variance, in [-1, 1].

    Where 2 κ θ < σ² (Feller's condition fails) the variance touches zero; every scheme here allows for it.
    """

    v0: Any
    kappa: Any
    theta: Any
    sigma: Any
    rho: Any
