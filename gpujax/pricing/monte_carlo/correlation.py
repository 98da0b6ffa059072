"""Correlation matrices: their factors, whether they are any, and the nearest one that is."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.core import Tracer

from gpujax.errors import InputError

__all__ = ["check_assets", "cholesky", "nearest_correlation"]


def nearest_correlation(matrix: npt.ArrayLike, *, tolerance: float = 1e-10, most_steps: int = 10_000) -> np.ndarray:
    """The correlation matrix that is nearest to a symmetric one, by the sum of squared differences.

    Arguments:
        matrix: `[assets, assets]`, symmetric, finite; for example correlations that were estimated pair by pair.
        tolerance: change of the matrix, relative to its size, at which the iteration stops.
        most_steps: steps after which it gives up.

    Returns: float64 `[assets, assets]`, with ones on its diagonal and no eigenvalue below minus a few units of rounding.

    Raises: InputError where the matrix is not symmetric or not finite, or where the iteration does not settle.

    >>> nearest_correlation([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]).round(3)
    array([[ 1. ,  0.5, -0.5],
           [ 0.5,  1. ,  0.5],
           [-0.5,  0.5,  1. ]])

    Source: N. J. Higham, "Computing the Nearest Correlation Matrix - a Problem from Finance", IMA Journal of Numerical Analysis
    22 (2002), 329-343, algorithm 3.3: projections in turn, with Dykstra's correction.
    """
    given = np.asarray(matrix, np.float64)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not given.size:
        raise InputError(f"matrix: shape {given.shape}; expected a square matrix")
    if not np.all(np.isfinite(given)) or np.max(np.abs(given - given.T)) > 1e-6:
        raise InputError(
            f"matrix: {given.tolist()}; expected a symmetric matrix of numbers: pass (matrix + matrix.T) / 2"
        )
    found, correction = (given + given.T) / 2, np.zeros_like(given)
    for _ in range(most_steps):
        before = found
        shifted = found - correction
        values, vectors = np.linalg.eigh(shifted)
        positive = (vectors * np.maximum(values, 0)) @ vectors.T
        correction = positive - shifted
        found = (positive + positive.T) / 2
        np.fill_diagonal(found, 1.0)
        if np.max(np.abs(found - before)) <= tolerance * max(1.0, float(np.max(np.abs(found)))):
            return found
    raise InputError(
        f"matrix: no nearest correlation matrix within {tolerance} after {most_steps} steps; allow more most_steps"
    )


def check_assets(spot: Any, volatility: Any, dividend_yield: Any, correlation: Any) -> None:
    """Refuse arrays that do not belong to the same assets, and correlations that no variables have.

    Raises: InputError with the name of the argument.
    """
    assets = np.shape(spot)
    if len(assets) != 1 or not assets[0]:
        raise InputError(f"spot: shape {assets}; expected one price for each asset, shape (assets,)")
    for name, array in (("volatility", volatility), ("dividend_yield", dividend_yield)):
        shape = np.shape(array)
        if shape != assets and not (name == "dividend_yield" and shape == ()):
            raise InputError(f"{name}: shape {shape}; expected {assets}, one for each asset, as spot")
    if isinstance(correlation, Tracer):
        return
    matrix = np.asarray(correlation, np.float64)
    if matrix.shape != assets * 2:
        raise InputError(f"correlation: shape {matrix.shape}; expected {assets * 2}, a row and a column for each asset")
    regular = np.all(np.isfinite(matrix)) and np.max(np.abs(matrix - matrix.T)) <= 1e-6
    if not regular or np.max(np.abs(np.diag(matrix) - 1)) > 1e-6:
        raise InputError(f"correlation: {matrix.tolist()}; expected a symmetric matrix with ones on its diagonal")
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest < -1e-6:
        raise InputError(
            f"correlation: its smallest eigenvalue is {smallest:.3g}, so no variables have these correlations; "
            "monte_carlo.nearest_correlation(correlation) gives the nearest matrix that some have"
        )


def cholesky(correlation: jax.Array) -> list[list[jax.Array]]:
    """The lower factor L with L Lᵀ = correlation, entry by entry, also of matrices that are only semidefinite.

    A column whose pivot is zero, within rounding, is zero, and its derivatives are finite.
    """
    n = correlation.shape[0]
    tiny = 8 * n * float(jnp.finfo(correlation.dtype).eps)
    factor = [[jnp.zeros((), correlation.dtype)] * n for _ in range(n)]
    for j in range(n):
        pivot = correlation[j, j] - sum((factor[j][k] ** 2 for k in range(j)), jnp.zeros((), correlation.dtype))
        usable = pivot > tiny
        root = jnp.sqrt(jnp.where(usable, pivot, jnp.ones_like(pivot)))
        factor[j][j] = jnp.where(usable, root, jnp.zeros_like(root))
        for i in range(j + 1, n):
            rest = correlation[i, j] - sum((factor[i][k] * factor[j][k] for k in range(j)), jnp.zeros_like(pivot))
            factor[i][j] = jnp.where(usable, rest / root, jnp.zeros_like(rest))
    return factor
