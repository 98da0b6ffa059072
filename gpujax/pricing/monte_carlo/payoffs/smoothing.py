r"""Jumps, and the ramps that may stand for them.

A payoff that jumps at a level L has pathwise derivatives that miss the jump. Replaced by the ramp

$$ r(x) = \min\Bigl(\max\Bigl(\frac{x - L}{w} + \frac12,\, 0\Bigr),\, 1\Bigr), $$

which is centred on L and w wide (a spread of two calls, as desks hedge it), it has pathwise derivatives that are those of the
smoothed payoff. The bias of value and derivatives is O(w²): what the ramp adds below the level it takes away above, to the first
order, wherever the density of x is smooth. The variance of the derivatives grows as 1/w.

Source: M. Broadie and P. Glasserman, "Estimating Security Price Derivatives Using Simulation", Management Science 42 (1996),
269-285, section 2.3, on why jumps are missed; P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 7.2.
"""

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["above", "below", "settled"]


def above(x: jax.Array, level: Any, width: Any) -> jax.Array:
    """One where x > level, else zero; with a width, the ramp."""
    if width is None:
        return (x > level).astype(x.dtype)
    return jnp.clip((x - level) / width + 0.5, 0, 1)


def settled(alive: jax.Array, up: bool) -> jax.Array:
    """What a running highest (or lowest) price begins with if time zero is no matter of degree.

    The price then is one number, not a density, and a ramp over it would be biased to the first order. So the extreme begins
    out of reach of any level: on the side where every later price replaces it, or on that where none does.
    """
    far = jnp.full_like(alive, 1e30)
    return jnp.where((alive > 0) == up, -far, far)


def below(x: jax.Array, level: Any, width: Any) -> jax.Array:
    """One where x < level, else zero; with a width, the ramp downwards."""
    if width is None:
        return (x < level).astype(x.dtype)
    return jnp.clip((level - x) / width + 0.5, 0, 1)
