r"""The likelihood-ratio method: derivatives act on the density of the paths, not on the payoff.

$$ \partial_\theta E[f(X)] = E[f(X)\, \partial_\theta \ln p_\theta(X)] $$

holds for any payoff f, however discontinuous, and differentiates as often as wanted; its variance grows with the number of steps
for parameters that act in every step. A derivative may also be taken path by path first and by the density afterwards, which
gives second derivatives of kinked payoffs with a small variance (Glasserman 2003, section 7.3.3).

It needs a process with the method `noise(before, after, time, step)`: the normal numbers that lead from one state to the other,
the inverse of `advance`, whose i-th component depends on the first i + 1 components of `after` alone.

Source: M. Broadie and P. Glasserman, "Estimating security price derivatives using simulation", Management Science 42 (1996),
269-285; P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), sections 7.3 and 7.4.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gpujax.errors import InputTypeError
from gpujax.pricing.monte_carlo.parameters import parameters

__all__ = ["FixedPath", "Weighted", "check_noise"]


@parameters()
class FixedPath:
    """A process whose paths stay where they are while its parameters move.

    The state holds the fixed path x, a path y with the same noise that starts and moves with the parameters of `moving`, and the
    logarithm of the density of x under those of `law`. Where both have the same parameters y equals x.
    """

    law: Any
    moving: Any

    @property
    def normals(self) -> int:
        return self.law.normals

    def initial(self):
        return self.law.initial(), self.moving.initial(), jnp.zeros(())

    def advance(self, state, time, step, draws):
        before, y, log_density = state
        after = lax.stop_gradient(self.law.advance(before, time, step, draws))
        noise = self.law.noise(before, after, time, step)
        log_density = log_density + sum(
            (-0.5 * z * z + jnp.log(jnp.abs(self._slope(before, after, time, step, i))) for i, z in enumerate(noise)),
            jnp.zeros_like(log_density),
        )
        return after, self.moving.advance(y, time, step, noise), log_density

    def observe(self, state):
        """What the process shows, and one with the derivatives of the likelihood ratio of the path."""
        return self.moving.observe(state[1]), jnp.exp(state[2] - lax.stop_gradient(state[2]))

    def discount(self, time, state):
        return self.moving.discount(time, state[1])

    def _slope(self, before, after, time, step, place):
        """The derivative of noise number `place` by the same component of the state: an entry of a triangular Jacobian."""
        leaves, tree = jax.tree.flatten(after)
        unit = [jnp.ones_like(x) if i == place else jnp.zeros_like(x) for i, x in enumerate(leaves)]

        def noise(after):
            return self.law.noise(before, after, time, step)[place]

        return jax.jvp(noise, (after,), (jax.tree.unflatten(tree, unit),))[1]


@parameters()
class Weighted:
    """A payoff on a `FixedPath`: times its likelihood ratio."""

    payoff: Any

    def start(self, now):
        return self.payoff.start(now._replace(spot=now.spot[0]))

    def update(self, account, now):
        return self.payoff.update(account, now._replace(spot=now.spot[0]))

    def value(self, account, last):
        return self.payoff.value(account, last._replace(spot=last.spot[0])) * last.spot[1]


def check_noise(process: Any, estimator: str) -> None:
    """Refuse a process without `noise`."""
    if not hasattr(process, "noise"):
        raise InputTypeError(
            f"estimator: {estimator!r} needs a process with a method noise(before, after, time, step), and "
            f"{type(process).__name__} has none: use 'pathwise' or 'bumped', or write that method"
        )
