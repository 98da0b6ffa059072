"""How a computation with several results is cut into loops on the CPU.

XLA's CPU backend writes one loop for each result and repeats in it all the work that the results share, unless it counts
that work as expensive; a polynomial of fifty operations counts as cheap, and price and five Greeks then cost six prices.
A division that is used more than once is never repeated: XLA computes it in a loop of its own and keeps its result. So
`computed_once` divides by a one that XLA cannot see through; LLVM, which compiles each loop later, can, and the
division itself costs nothing. Other backends fuse loops with several results and are left alone.
"""

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["computed_once"]


def computed_once(x: jax.Array) -> jax.Array:
    """x, kept in memory on the CPU instead of being computed again for everything that uses it."""
    if x.size <= 1:
        return x
    return lax.platform_dependent(x, cpu=_divided_by_one, default=lambda x: x)


def _divided_by_one(x: jax.Array) -> jax.Array:
    truth = (x > 0).astype(jnp.int32)  # 0 or 1, so that shifting it by a bit leaves 0
    return x / (1 + lax.shift_right_logical(truth, jnp.full_like(truth, 1)).astype(x.dtype))
