r"""Local volatility: a volatility that is a function of time and price.

$$ \frac{dS}{S} = (r - q)\,dt + \sigma(t, S)\,dW $$

In the log-moneyness k = ln(S / F_t), with F_t the forward price, there is no drift but -σ²/2, and two schemes:

| scheme | the volatility is looked up | weak order | expected price |
|---|---|---|---|
| `"platen"` (default) | four times a step | two, where the surface is smooth | exact up to the order |
| `"log-euler"` | once a step, at its middle in time and the price at its beginning | one | exact |

On a surface of SSVI with the skew of an index (one year, spot 100), options are out by 0.02 with four steps of the first and by
0.007 with eight; by 0.2 with four of the second, and by 0.03 with thirty-two. Where the skew at short times is infinite, as in
most such models, the order is below two. Between the nodes of a grid the volatility is continuous, not smooth; with nodes as
dense as the surface bends, orders are seen down to the error of the grid.

A volatility may grow without bound as the price falls, like S^(β - 1). Where it changes by more than half of itself over a step,
one standard deviation up or down, the first scheme moves as Euler's does; and a price below 1e-13 of the forward is zero from
then on.

Source of the first: P. E. Kloeden and E. Platen, "Numerical Solution of Stochastic Differential Equations" (1992), the explicit
order 2.0 weak scheme, equation 15.1.1.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.elementary import exponential
from gpujax.pricing.monte_carlo.local_variance import LocalVariance
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.term_structure import discount_factor, growth, values_of

__all__ = ["LocalVolatility"]

Scheme = Literal["platen", "log-euler"]
# How much of itself the volatility may change over a step, one standard deviation up or down, for the second order to be used.
_SMOOTH = 0.5
# Log-moneyness at which a price counts as zero: still a number when a volatility like its inverse is squared, in float32 too.
_ZERO = -30.0
_SCHEMES = ("platen", "log-euler")


@parameters(static=("scheme",))
class LocalVolatility:
    """A price with a local volatility (Dupire 1994); payoffs see the price.

    Arguments:
        spot: price now, > 0, in currency.
        surface: a `LocalVariance` on a grid, which `dupire` makes of implied volatilities; or your own pure function
            σ(time, spot), which gives the volatility for a number and an array of prices `[paths]`, entry by entry. Define it
            once: a new function is a new program. Parameters to differentiate by go in a
            `jax.tree_util.Partial(function, parameters)`, which calls function(parameters, time, spot).
        rate, dividend_yield: continuously compounded, per year; each a number, or a `PiecewiseConstant`. The same as in `dupire`,
            where the surface was made by expiry and strike.
        scheme: see the module.

    Steps between the times that payoffs see are set by `max_step`.

    Raises: InputError for numbers out of range or another scheme; InputTypeError for a surface that is none.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> smile = mc.processes.dupire(
    ...     lambda T, k: T * (0.04 - 0.02 * k + 0.05 * k * k), times=(0.5, 1.0), lowest=-0.5, highest=0.5)
    >>> stock = mc.processes.LocalVolatility(spot=100.0, surface=smile)
    >>> found = mc.price(stock, mc.payoffs.european(strike=100.0), key=1, paths=50_000, times=1.0, max_step=0.25)
    >>> abs(float(found.value) - 7.965567) < 4 * float(found.standard_error)  # an implied volatility of 20 %
    True
    """

    spot: Any
    surface: Any
    rate: Any = 0.0
    dividend_yield: Any = 0.0
    scheme: Scheme = "platen"

    def __post_init__(self):
        if self.scheme not in _SCHEMES:
            raise InputError(f"scheme: {self.scheme!r}; expected one of {', '.join(map(repr, _SCHEMES))}")
        check_bounds(
            spot=(self.spot, "> 0"), rate=(values_of(self.rate), "finite"),
            dividend_yield=(values_of(self.dividend_yield), "finite"),
        )  # fmt: skip
        if isinstance(self.surface, (int, float, str)):
            raise InputTypeError(
                f"surface: {self.surface!r}; expected a LocalVariance or a function of time and spot; a volatility that is one "
                "number is that of GeometricBrownianMotion"
            )
        if callable(self.surface) and not isinstance(self.surface, jax.tree_util.Partial):
            # A function is no data: this makes it a branch of the tree, without leaves.
            object.__setattr__(self, "surface", jax.tree_util.Partial(self.surface))

    @property
    def normals(self) -> int:
        return 1

    def initial(self):
        return jnp.log(self.spot)

    def advance(self, state, time, step, draws):
        now, later = self._log_forward(time), self._log_forward(time + step)
        k, root = state - now, jnp.sqrt(step)
        if self.scheme == "log-euler":
            # In the middle of the step, where a volatility that changes with time alone is integrated to second order.
            volatility = self._volatility(time + 0.5 * step)(k)
            moved = -0.5 * volatility * volatility * step + volatility * (root * draws[0])
        else:
            moved = self._platen(k, time, step, root, draws[0])
        return jnp.where(k > _ZERO, later + (k + moved), jnp.full_like(k, -jnp.inf))

    def observe(self, state):
        return exponential(state)

    def discount(self, time, state):
        return discount_factor(self.rate, time)

    def _platen(self, k, time, step, root, z):
        """The change of k by equation 15.1.1, with the drift a = -b²/2."""
        b, end = self._volatility(time)(k), self._volatility(time + step)
        drift = -0.5 * b * b * step
        ahead, up, down = end(k + drift + b * (root * z)), end(k + drift + b * root), end(k + drift - b * root)
        euler = drift + b * (root * z)
        across = 0.5 * (up + down)
        platen = (
            0.5 * drift
            - 0.25 * ahead * ahead * step
            + 0.5 * root * ((across + b) * z + 0.5 * (up - down) * (z * z - 1))
        )
        # What is not smooth on the scale of a step has no second order, and terms that can be of any size.
        smooth = jnp.maximum(jnp.abs(up - b), jnp.abs(down - b)) < _SMOOTH * b
        return jnp.where(smooth, platen, euler)

    def _volatility(self, time: jax.Array) -> Callable[[jax.Array], jax.Array]:
        """The volatility at a time as a function of log-moneyness."""
        if isinstance(self.surface, LocalVariance):
            variance = self.surface.at(time)
            return lambda k: _root(variance(k))
        log_forward = self._log_forward(time)
        return lambda k: self.surface(time, exponential(log_forward + jnp.maximum(k, _ZERO)))

    def _log_forward(self, time: jax.Array) -> jax.Array:
        return jnp.log(self.spot) + (growth(self.rate, time) - growth(self.dividend_yield, time))


def _root(x: jax.Array) -> jax.Array:
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), jnp.zeros_like(x))
