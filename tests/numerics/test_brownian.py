"""Constructions of a Brownian motion: the covariance they owe, the order of importance, and agreement of their forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics import brownian

constructions = pytest.mark.parametrize("construction", brownian.CONSTRUCTIONS)

GRIDS = {
    "one": np.array([0.7]),
    "two": np.array([0.1, 3.0]),
    "three": np.array([0.5, 0.6, 2.0]),
    "five": np.array([0.2, 0.25, 1.0, 1.5, 4.0]),
    "eight": np.arange(1, 9) / 8,
    "year": np.arange(1, 253) / 252,
    "uneven": np.cumsum(np.random.default_rng(3).lognormal(-4, 1.5, 77)),
    "wide": np.geomspace(1e-6, 30.0, 50),
}
grids = pytest.mark.parametrize("grid", GRIDS)


def covariance(times):
    return np.minimum(times[:, None], times[None, :])


@constructions
@grids
def test_covariance(grid, construction):
    """min(t_i, t_j), relative to √(t_i t_j): short times keep their digits beside long ones."""
    times = GRIDS[grid]
    path, increments = brownian.path_matrix(times, construction), brownian.increment_matrix(times, construction)
    scale = np.sqrt(np.outer(times, times))
    assert np.abs((path @ path.T - covariance(times)) / scale).max() < 1e-13
    steps = np.diff(times, prepend=0.0)
    assert np.abs((increments @ increments.T - np.diag(steps)) / np.sqrt(np.outer(steps, steps))).max() < 1e-13


@constructions
@grids
def test_functions_are_the_matrices(grid, construction):
    times = GRIDS[grid]
    normals = np.random.default_rng(0).normal(size=(times.size, 2, 3))
    increments = np.asarray(brownian.brownian_increments(times, jnp.asarray(normals), construction))
    path = brownian.brownian_path(times, jnp.asarray(normals), construction)
    assert increments.shape == path.shape == normals.shape
    assert isinstance(brownian.brownian_increments(times, normals, construction), jax.Array)  # NumPy in, JAX out
    assert increments.dtype == path.dtype == np.float64
    scale = np.sqrt(np.diff(times, prepend=0.0))[:, None, None]
    expected = np.einsum("tk,kfp->tfp", brownian.increment_matrix(times, construction), normals)
    np.testing.assert_allclose(increments / scale, expected / scale, rtol=0, atol=1e-12)
    expected = np.einsum("tk,kfp->tfp", brownian.path_matrix(times, construction), normals)
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-12 * np.sqrt(times[-1]))


@constructions
def test_constructions_agree_in_law(construction):
    """Sums of squared increments, path integrals and last values of random normals have the moments they must."""
    times = GRIDS["five"]
    normals = jnp.asarray(np.random.default_rng(1).normal(size=(5, 200_000)))
    path = np.asarray(brownian.brownian_path(times, normals, construction))
    sample = path @ path.T / path.shape[1]
    exact = covariance(times)
    error = np.sqrt((exact**2 + np.outer(times, times)) / path.shape[1])  # of a product of two normals
    assert (np.abs(sample - exact) < 5 * error).all()
    weights = np.array([0.3, -1.0, 0.7, 0.1, 0.4])
    integral = weights @ path
    variance = weights @ exact @ weights
    assert abs(integral.mean()) < 5 * np.sqrt(variance / integral.size)
    assert abs((integral**4).mean() / variance**2 - 3) < 5 * np.sqrt(96 / integral.size)


def test_bridge_by_hand():
    """Eight equal steps: the midpoints in the order of the levels, by the formula of the conditional law."""
    times = GRIDS["eight"]
    normals = np.random.default_rng(2).normal(size=8)
    w = {0.0: 0.0, 1.0: normals[0]}
    order = [(0, 1), (0, 0.5), (0.5, 1), (0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
    for (left, right), z in zip(order, normals[1:], strict=True):
        w[(left + right) / 2] = (w[left] + w[right]) / 2 + np.sqrt(right - left) / 2 * z
    path = brownian.brownian_path(times, jnp.asarray(normals), "bridge")
    np.testing.assert_allclose(path, [w[t] for t in times], rtol=0, atol=1e-14)


@grids
def test_bridge_by_its_conditional_law(grid):
    """Every normal after the first is orthogonal to what is known before it: the columns vanish at the points known already."""
    times = GRIDS[grid]
    path = brownian.path_matrix(times, "bridge")
    n = times.size
    np.testing.assert_allclose(path[-1], np.sqrt(times[-1]) * np.eye(n)[0], rtol=0, atol=1e-13 * np.sqrt(times[-1]))
    edges, column = [0, n], 1
    while len(edges) < n + 1:
        new = []
        for left, right in itertools.pairwise(edges):
            if right - left == 1:
                continue
            middle = (left + right) // 2
            inside = path[:, column].copy()
            inside[left : right - 1] = 0
            np.testing.assert_allclose(inside, 0, atol=1e-13 * np.sqrt(times[-1]), err_msg=f"normal {column}")
            a, m, b = (0.0 if e == 0 else times[e - 1] for e in (left, middle, right))
            np.testing.assert_allclose(path[middle - 1, column], np.sqrt((m - a) * (b - m) / (b - a)), rtol=1e-10)
            new.append(middle)
            column += 1
        edges = sorted(edges + new)


def test_pca_has_the_eigenvectors():
    """Equal steps: eigenvalues dt / (4 sin²((2k - 1) π / (4 n + 2))), in falling order (Glasserman 2004, section 3.1.2)."""
    n = 40
    times = np.arange(1, n + 1) / n
    path = brownian.path_matrix(times, "pca")
    k = np.arange(1, n + 1)
    eigenvalues = 1 / n / (4 * np.sin((2 * k - 1) * np.pi / (4 * n + 2)) ** 2)
    np.testing.assert_allclose((path**2).sum(axis=0), eigenvalues, rtol=1e-12)
    vectors = 2 / np.sqrt(2 * n + 1) * np.sin((2 * k[None, :] - 1) * k[:, None] * np.pi / (2 * n + 1))
    expected = vectors * np.sqrt(eigenvalues) * np.sign(vectors[-1])
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-12)
    assert (path[-1] > 0).all()


def test_variance_comes_first():
    """The share of the path's variance in the first k normals: PCA at least the bridge, the bridge above increments."""
    times = GRIDS["year"]
    explained = {
        name: np.cumsum((brownian.path_matrix(times, name) ** 2).sum(axis=0)) / times.sum()
        for name in brownian.CONSTRUCTIONS
    }
    assert (explained["pca"] >= explained["bridge"] - 1e-12).all()
    assert (explained["bridge"][:-1] > explained["incremental"][:-1]).all()
    assert explained["pca"][0] > 0.8
    assert explained["bridge"][0] == pytest.approx(np.sum(times**2) / times.sum(), rel=1e-12)
    for share in explained.values():
        assert share[-1] == pytest.approx(1.0, abs=1e-12)


@constructions
@pytest.mark.parametrize("grid", ["five", "uneven", "wide"])
def test_float32(grid, construction):
    times = GRIDS[grid]
    normals = np.random.default_rng(4).normal(size=(times.size, 7)).astype(np.float32)
    got = np.asarray(brownian.brownian_increments(times, jnp.asarray(normals), construction))
    assert got.dtype == np.float32
    expected = brownian.increment_matrix(times, construction) @ normals.astype(np.float64)
    scale = np.sqrt(np.diff(times, prepend=0.0))[:, None]
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=1e-5)
    assert brownian.brownian_path(times, jnp.asarray(normals), construction).dtype == np.float32


@constructions
def test_transformations(construction):
    """Compiled, mapped over paths and differentiated: the same linear map."""
    times = tuple(GRIDS["five"])
    normals = jnp.asarray(np.random.default_rng(5).normal(size=(5, 6)))
    plain = brownian.brownian_path(times, normals, construction)
    compiled = jax.jit(lambda z: brownian.brownian_path(times, z, construction))
    np.testing.assert_allclose(compiled(normals), plain, rtol=0, atol=1e-15)
    np.testing.assert_allclose(jax.vmap(compiled, in_axes=1, out_axes=1)(normals), plain, rtol=0, atol=1e-14)
    slopes = jax.jacrev(compiled)(normals[:, 0])
    np.testing.assert_allclose(slopes, brownian.path_matrix(times, construction), rtol=0, atol=1e-14)
    slopes = jax.jacfwd(compiled)(normals[:, 0])
    np.testing.assert_allclose(slopes, brownian.path_matrix(times, construction), rtol=0, atol=1e-14)


def test_matrices_are_safe_to_share():
    matrix = brownian.increment_matrix([1.0, 2.0], "pca")
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 0
    assert brownian.increment_matrix([1, 2], "pca") is matrix


@pytest.mark.parametrize(
    ("times", "error", "message"),
    [
        ([0.5, 0.5], InputError, r"times\[1\]: 0\.5 does not come after times\[0\] = 0\.5; expected increasing times"),
        ([0.5, 1.0, 0.75], InputError, r"times\[2\]: 0\.75 does not come after times\[1\] = 1\.0"),
        ([0.0, 1.0], InputError, r"times\[0\]: 0\.0; expected times after 0 .*leave out"),
        ([-1.0, 1.0], InputError, r"times\[0\]: -1\.0"),
        ([1.0, np.nan], InputError, r"times\[1\]: nan; expected finite"),
        ([1.0, np.inf], InputError, r"times\[1\]: inf; expected finite"),
        ([], InputError, r"times: shape \(0,\); expected one axis"),
        ([[1.0, 2.0]], InputError, r"times: shape \(1, 2\)"),
        (1.0, InputError, r"times: shape \(\)"),
        ("a", InputTypeError, r"times: str; expected numbers"),
    ],
)
def test_times_are_checked(times, error, message):
    for call in (brownian.increment_matrix, brownian.path_matrix):
        with pytest.raises(error, match=message):
            call(times)
    with pytest.raises(error, match=message):
        brownian.brownian_increments(times, jnp.ones(2))


def test_other_arguments_are_checked():
    with pytest.raises(
        InputError, match=r"normals: shape \(3,\); expected \[2, \.\.\.\], one row for each of the 2 times"
    ):
        brownian.brownian_path([1.0, 2.0], jnp.ones(3))
    with pytest.raises(InputError, match=r"normals: shape \(\)"):
        brownian.brownian_path([1.0, 2.0], jnp.ones(()))
    with pytest.raises(InputTypeError, match=r"normals: int64 array; expected a floating-point array"):
        brownian.brownian_path([1.0, 2.0], jnp.ones(2, jnp.int64))
    with pytest.raises(InputTypeError, match=r"normals: list; expected a floating-point array"):
        brownian.brownian_path([1.0, 2.0], [0.0, 1.0])
    for call in (brownian.increment_matrix, lambda t, c: brownian.brownian_path(t, jnp.ones(2), c)):
        with pytest.raises(InputError, match=r"construction: 'brigde'; expected one of 'incremental', 'bridge', 'pca'"):
            call([1.0, 2.0], "brigde")
    with pytest.raises(InputTypeError, match=r"times: traced; expected known numbers"):
        jax.jit(lambda t: brownian.brownian_path(t, jnp.ones(2)))(jnp.asarray([1.0, 2.0]))
