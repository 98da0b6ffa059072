r"""Brownian motion at given times from independent normals, with the normals in order of importance.

Every construction is a linear map of n independent normals onto the n increments,

$$ \Delta W = B z, \qquad B B^T = \mathrm{diag}(t_i - t_{i-1}) , $$

so that the law is the same; what differs is which normals carry the variance of the path. Quasi-random points are best in their
first dimensions, so they gain from constructions whose first normals decide most:

- "incremental": z_i is the i-th increment itself. For pseudo-random numbers; costs nothing.
- "bridge": z_0 decides W at the last time, z_1 at the middle one, and so on by halves (Lévy). O(n), no matrix.
- "pca": z_k multiplies the k-th eigenvector of the covariance min(t_i, t_j), the best possible order for explaining the
  variance of the whole path. O(n²): a matrix product.

Which one is best depends on the payoff (Papageorgiou 2002): a construction cannot help a payoff of a single increment.

Axis 0 is time (and importance); axes after it are factors, paths, anything. With d factors, dimension k d + f of a Sobol
sequence is normal k of factor f: `words.reshape(n, d, paths)`, so that the first normals of all factors take the best
dimensions.

Not for random or traced times: the schedule and the matrices are made with NumPy, in float64, before anything is compiled.

Sources: P. Lévy, "Processus stochastiques et mouvement brownien" (1948), section 1; B. Moskowitz and R. E. Caflisch,
"Smoothness and dimension reduction in quasi-Monte Carlo methods", Mathematical and Computer Modelling 23 (1996), 37-54; P.
Acworth, M. Broadie and P. Glasserman, "A comparison of some Monte Carlo and quasi Monte Carlo techniques for option pricing"
(1998), section 3; P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2004), section 3.1; A. Papageorgiou, "The
Brownian bridge does not offer a consistent advantage in quasi-Monte Carlo integration", Journal of Complexity 18 (2002),
171-186.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError

__all__ = ["CONSTRUCTIONS", "brownian_increments", "brownian_path", "increment_matrix", "path_matrix"]

CONSTRUCTIONS = ("incremental", "bridge", "pca")


def brownian_increments(times: Any, normals: jax.Array, construction: str = "bridge") -> jax.Array:
    """Increments W(t_i) - W(t_{i-1}) of a Brownian motion from W(0) = 0, from independent normals in order of importance.

    Arguments:
        times: t_1 < ... < t_n in years, all positive; `[n]`, known numbers (not traced).
        normals: independent standard normal numbers, `[n, ...]`; axes after the first are factors, paths or whatever else.
        construction: "incremental", "bridge" or "pca"; see the module.

    Returns: `[n, ...]` in the dtype of the normals.

    Raises: InputError for times that are not positive and increasing (naming the entry), for normals whose first axis is not the
        times, for an unknown construction; InputTypeError for traced times and for normals that are not floating-point.

    >>> brownian_increments([0.5, 1.0], jnp.asarray([2.0, 0.0]))  # the first normal is the last value: W(1) = 2
    Array([1., 1.], dtype=float64)
    """
    ends = _ends(times)
    _check_normals(normals, ends.size - 1)
    normals = jnp.asarray(normals)
    _check_construction(construction)
    if construction == "incremental":
        return _column(np.sqrt(np.diff(ends)), normals) * normals
    if construction == "bridge":
        return _bridge(ends, normals)
    matrix = jnp.asarray(increment_matrix(times, construction), normals.dtype)
    return jnp.tensordot(matrix, normals, axes=1, precision=jax.lax.Precision.HIGHEST)


def brownian_path(times: Any, normals: jax.Array, construction: str = "bridge") -> jax.Array:
    """Values W(t_i) of a Brownian motion from W(0) = 0: running sums of `brownian_increments`, same arguments and errors.

    Returns: `[n, ...]` in the dtype of the normals.

    >>> brownian_path([0.5, 1.0, 2.0], jnp.asarray([1.0, 0.0, 0.0]), "incremental")
    Array([0.70710678, 0.70710678, 0.70710678], dtype=float64)
    """
    increments = brownian_increments(times, normals, construction)

    def advance(value: jax.Array, increment: jax.Array) -> tuple[jax.Array, jax.Array]:
        return value + increment, value + increment

    # `jnp.cumsum` makes log n passes over everything, which is several times slower on a CPU.
    return jax.lax.scan(advance, jnp.zeros_like(increments[0]), increments)[1]


def increment_matrix(times: Any, construction: str = "bridge") -> np.ndarray:
    """The matrix B of `brownian_increments`, increments = B normals: one product instead of a recursion, for few times or a GPU.

    Arguments, errors: as for `brownian_increments`.

    Returns: float64 NumPy `[n, n]`, read-only. B is diag(√(t_i - t_{i-1})) times an orthogonal matrix, whose columns are in
        order of importance; the sign of a PCA column is such that the last value of the path rises with its normal.

    >>> increment_matrix([1.0, 2.0], "bridge")
    array([[ 0.70710678,  0.70710678],
           [ 0.70710678, -0.70710678]])
    """
    _check_construction(construction)
    return _matrix(_ends(times).tobytes(), construction)


def path_matrix(times: Any, construction: str = "bridge") -> np.ndarray:
    """The matrix A with path = A normals, A Aᵀ = min(t_i, t_j): float64 NumPy `[n, n]`; arguments and errors as above.

    >>> path_matrix([1.0, 2.0], "pca")
    array([[ 0.85065081, -0.52573111],
           [ 1.37638192,  0.3249197 ]])
    """
    return np.cumsum(increment_matrix(times, construction), axis=0)


@functools.lru_cache(maxsize=32)
def _matrix(end_bytes: bytes, construction: str) -> np.ndarray:
    ends = np.frombuffer(end_bytes)
    deviations = np.sqrt(np.diff(ends))
    if construction == "incremental":
        matrix = np.diag(deviations)
    elif construction == "bridge":
        matrix = _bridge(ends, np.eye(deviations.size))
    else:
        # With L the Cholesky factor of the covariance and L = U S Vᵀ, the eigenvectors scaled are U S = L V. Taking L V, and so
        # the increments diag(√dt) V, keeps the accuracy of every row, which an eigensolver would lose at short times.
        factor = np.tril(np.ones((deviations.size, 1)) * deviations)
        basis = np.linalg.svd(factor)[2].T
        basis = basis * np.where(deviations @ basis < 0, -1.0, 1.0)
        matrix = deviations[:, None] * basis
    matrix.flags.writeable = False
    return matrix


def _bridge(ends: np.ndarray, normals: Any) -> Any:
    """Increments by halving: the increment over an interval is split between its halves, with one new normal each.

    Increments instead of values: nothing is gathered but at the last level, and short intervals keep their relative accuracy.
    """
    stack = jnp.stack if isinstance(normals, jax.Array) else np.stack
    increments = np.sqrt(ends[-1]).astype(normals.dtype) * normals[:1]
    used = 1
    for share, rest, spread, splits in _levels(ends):
        count = int(splits.sum())
        if count == splits.size:
            level = _column(spread, normals) * normals[used : used + count]
            left = _column(share, normals) * increments + level
            right = _column(rest, normals) * increments - level
            increments = stack([left, right], axis=1).reshape(2 * count, *normals.shape[1:])
        else:
            # The last level when n is no power of two: intervals of one step go on as they are.
            children = np.where(splits, 2, 1)
            parent = np.repeat(np.arange(splits.size), children)
            first = np.r_[True, np.diff(parent) > 0] & splits[parent]
            weight = np.where(first, share[parent], rest[parent])
            signed = np.where(first, spread[parent], -spread[parent])
            normal = used + np.minimum(np.cumsum(splits) - splits, count - 1)[parent]
            increments = _column(weight, normals) * increments[parent] + _column(signed, normals) * normals[normal]
        used += count
    return increments


def _levels(ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """For each level of halving: each interval's share of its left half, that of its right, the deviation, and whether it splits.

    Given the increment over (t_l, t_r), the one over (t_l, t_m) is normal with mean share times it and variance
    (t_m - t_l) (t_r - t_m) / (t_r - t_l). All intervals of a level but the last have at least two steps.
    """
    edges = np.array([0, ends.size - 1])
    while edges.size < ends.size:
        middle = (edges[:-1] + edges[1:]) // 2
        splits = np.diff(edges) > 1
        left, right = ends[middle] - ends[edges[:-1]], ends[edges[1:]] - ends[middle]
        width = ends[edges[1:]] - ends[edges[:-1]]
        yield left / width, right / width, np.sqrt(left / width * right), splits
        edges = np.union1d(edges, middle)


def _column(values: np.ndarray, normals: Any) -> Any:
    """Values along axis 0 in the dtype of the normals, shaped to broadcast against them."""
    column = values.astype(normals.dtype).reshape(-1, *(1,) * (normals.ndim - 1))
    return jnp.asarray(column) if isinstance(normals, jax.Array) else column


def _ends(times: Any) -> np.ndarray:
    """The times as float64 with 0 in front, checked."""
    if isinstance(times, Tracer):
        raise InputTypeError(
            "times: traced; expected known numbers: close over the times, or mark them static, inside jit"
        )
    try:
        array = np.asarray(times, np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"times: {type(times).__name__}; expected numbers in years, [times]") from error
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"times: shape {array.shape}; expected one axis with at least one time")
    if not np.isfinite(array).all():
        i = int(np.argmin(np.isfinite(array)))
        raise InputError(f"times[{i}]: {array[i]}; expected finite times in years")
    if array[0] <= 0:
        raise InputError(
            f"times[0]: {array[0]}; expected times after 0 (where the path is 0): leave out the starting time"
        )
    steps = np.diff(array)
    if not (steps > 0).all():
        i = int(np.argmin(steps > 0)) + 1
        raise InputError(
            f"times[{i}]: {array[i]} does not come after times[{i - 1}] = {array[i - 1]}; expected increasing times"
        )
    return np.concatenate([np.zeros(1), array])


def _check_normals(normals: Any, count: int) -> None:
    if not isinstance(normals, (jax.Array, np.ndarray)) or not jnp.issubdtype(normals.dtype, jnp.floating):
        kind = f"{normals.dtype} array" if hasattr(normals, "dtype") else type(normals).__name__
        raise InputTypeError(f"normals: {kind}; expected a floating-point array, [times, ...]")
    if normals.ndim == 0 or normals.shape[0] != count:
        raise InputError(
            f"normals: shape {tuple(normals.shape)}; expected [{count}, ...], one row for each of the {count} times"
        )


def _check_construction(construction: str) -> None:
    if construction not in CONSTRUCTIONS:
        raise InputError(f"construction: {construction!r}; expected one of {', '.join(map(repr, CONSTRUCTIONS))}")
