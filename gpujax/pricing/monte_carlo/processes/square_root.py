r"""The exact step of a square-root process: the variance of the Heston model, the short rate of Cox, Ingersoll and Ross.

$$ dv = \kappa(\theta - v)\,dt + \sigma\sqrt{v}\,dZ: \qquad v' = c\,\chi'^2_d(\lambda), \qquad
   c = \frac{\sigma^2 (1 - e^{-\kappa\Delta})}{4\kappa}, \quad d = \frac{4\kappa\theta}{\sigma^2}, \quad
   \lambda = \frac{v\,e^{-\kappa\Delta}}{c} $$

Below d = 2 (Feller's condition fails) the process touches zero, which the law knows: nothing is truncated.

Source: Cox, Ingersoll and Ross (1985), equation 18; P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003),
section 3.4.1.
"""

import jax
import jax.numpy as jnp

from gpujax.numerics.variates import NONCENTRAL_NORMALS, NONCENTRAL_UNIFORMS, noncentral_chi_square

__all__ = ["NORMALS", "UNIFORMS", "decay", "square_root_step"]

NORMALS, UNIFORMS = NONCENTRAL_NORMALS, NONCENTRAL_UNIFORMS


def square_root_step(v: jax.Array, kappa, theta, sigma, step, draws: tuple[jax.Array, ...]) -> jax.Array:
    """v' from v >= 0 and NORMALS standard normal and UNIFORMS uniform numbers."""
    left, lost = decay(kappa, step)
    scale = 0.25 * sigma * sigma * lost
    variate = noncentral_chi_square(
        4 * kappa * theta / (sigma * sigma), (left / scale) * v, draws[:NORMALS], draws[NORMALS:]
    )
    return scale * variate


def decay(kappa, step) -> tuple[jax.Array, jax.Array]:
    """e^(-κΔ) and (1 - e^(-κΔ)) / κ."""
    return jnp.exp(-kappa * step), -jnp.expm1(-kappa * step) / kappa
