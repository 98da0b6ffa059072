r"""Least squares over paths: normal equations in wide precision, solved so that rank does not matter.

Regressors are scaled to unit length, which makes the normal matrix a matrix of cosines, and the matrix is swept one regressor
after the other (Gauss and Jordan). What is left on the diagonal is the share of a regressor that those before it do not explain;
where that share is rounding, the regressor is dropped: its coefficient is zero, and the fit is that of the others. So copies,
constants and columns of zeros do no harm, and there is no iteration, no factorisation from a library, and nothing that differs
between devices but the order of the sums.

Source: J. H. Goodnight, "A Tutorial on the SWEEP Operator", The American Statistician 33 (1979), 149-158, section 3.3.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["least_squares", "wide_dtype"]


def least_squares(columns: list[jax.Array], target: jax.Array, used: jax.Array) -> jax.Array:
    """Coefficients `[columns]` that bring Σ c_j columns_j nearest to the target over the paths used; sums in wide precision.

    Arguments:
        columns: regressors, each `[paths]`, finite; the constant among them if there is to be one. Earlier ones are kept where
            some are linear combinations of others.
        target: `[paths]`.
        used: `[paths]`, bool.

    >>> x = jnp.arange(5.0)
    >>> least_squares([jnp.ones(5), x, 2 * x], 3 + 4 * x, x < 4).round(9)
    Array([3., 4., 0.], dtype=float64)
    """
    wide = wide_dtype()
    rows = jnp.stack([jnp.where(used, x, jnp.zeros_like(x)).astype(wide) for x in (*columns, target)])
    products = jnp.matmul(rows, rows.T, precision=lax.Precision.HIGHEST)
    length = jnp.sqrt(jnp.diagonal(products))
    scale = jnp.where(length > 0, 1 / jnp.where(length > 0, length, 1), 0)
    solved = _swept(products * scale[:, None] * scale[None, :])
    return solved * scale[:-1] * length[-1]


def wide_dtype() -> Any:
    """float64 wherever 64-bit mode is on."""
    return jnp.float64 if jax.config.jax_enable_x64 else jnp.float32  # pyright: ignore[reportAttributeAccessIssue]


def _swept(cosines: jax.Array) -> jax.Array:
    """The solution of the normal equations, whose last row and column are the target's."""
    count = cosines.shape[0] - 1
    # A share of 1e-10 is still known to five digits after sums in float64.
    least = 1e-10 if cosines.dtype == jnp.float64 else 1e-5

    def sweep(k: jax.Array, m: jax.Array) -> jax.Array:
        row = lax.dynamic_index_in_dim(m, k, 0, keepdims=False)
        pivot = lax.dynamic_index_in_dim(row, k, 0, keepdims=False)
        kept = pivot > least
        row = jnp.where(kept, row / jnp.where(kept, pivot, 1), jnp.zeros_like(row))
        column = lax.dynamic_index_in_dim(m, k, 1)
        return lax.dynamic_update_index_in_dim(m - column * row[None, :], row, k, 0)

    return lax.fori_loop(0, count, sweep, cosines[:count])[:, -1]
