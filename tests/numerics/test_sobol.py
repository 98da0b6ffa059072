"""Sobol points against SciPy bit for bit, and what scrambling promises: balance, no bias, the variance of nested scrambling."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import stats

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics import sobol
from gpujax.numerics.random import uniform

ROOT = Path(__file__).resolve().parents[2]
points = jax.jit(sobol.sobol_words, static_argnames="scramble")


def indices(count):
    return jnp.arange(count, dtype=jnp.uint32)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_sobol", ROOT / "scripts" / "make_sobol_directions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_dimensions_agree_with_scipy():
    sequence = stats.qmc.Sobol(sobol.MAX_DIMENSIONS, scramble=False)
    expected = (sequence.random(256) * 2.0**32).astype(np.uint32)
    got = np.asarray(points(indices(256), sobol.sobol_directions(sobol.MAX_DIMENSIONS)))
    assert got.dtype == np.uint32
    wrong = np.flatnonzero((got != expected).any(axis=0))
    assert wrong.size == 0, f"first wrong dimension {wrong[0]}"


def equation(dimension):
    """The 32 direction numbers of a dimension by Joe and Kuo's equation (3), in Python integers, from SciPy's tables."""
    with np.load(Path(stats.__file__).parent / "_sobol_direction_numbers.npz") as data:
        polynomial, initial = int(data["poly"][dimension]), data["vinit"][dimension].tolist()
    s = polynomial.bit_length() - 1
    m = initial[:s] if dimension else [1] * 32
    for k in range(len(m), 32):
        value = (m[k - s] << s) ^ m[k - s]
        for i in range(1, s):
            value ^= ((polynomial >> (s - i)) & 1) * (m[k - i] << i)
        m.append(value)
    return [number << (31 - k) for k, number in enumerate(m)]


@pytest.mark.parametrize("dimension", [0, 1, 2, 7, 1000, 5000, sobol.MAX_DIMENSIONS - 1])
def test_all_digits_of_the_index(dimension):
    """Far into the sequence, where SciPy would take hours: the definition, by the Gray code of the index."""
    v = equation(dimension)
    index = np.random.default_rng(dimension).integers(0, 2**32, 256, dtype=np.uint32)
    index[:3] = 0, 2**31, 2**32 - 1
    expected = []
    for n in index.tolist():
        gray, word = n ^ (n >> 1), 0
        for k in range(32):
            word ^= v[k] if gray >> k & 1 else 0
        expected.append(word)
    directions = sobol.sobol_directions(sobol.MAX_DIMENSIONS)[dimension : dimension + 1]
    assert points(index, directions)[:, 0].tolist() == expected


def test_data_file_is_made_by_the_script(script):
    polynomials, initial = script.published()
    made = script.packed(polynomials[:500], initial[:500])
    with np.load(ROOT / "gpujax" / "numerics" / "_sobol_directions.npz") as stored:
        assert stored["polynomial_steps"].size == polynomials.size
        np.testing.assert_array_equal(stored["polynomial_steps"], np.diff(polynomials, prepend=0))
        whole = made["initial_digits"].size - 1  # the last byte of a part is padded
        np.testing.assert_array_equal(stored["initial_digits"][:whole], made["initial_digits"][:whole])
        assert str(stored["licence"]) == script.LICENCE


def test_script_refuses_what_it_could_not_store(script):
    polynomials, initial = script.published()
    initial = initial[:20].copy()
    initial[7, 1] = 2
    with pytest.raises(AssertionError, match="odd"):
        script.packed(polynomials[:20], initial)


def test_a_point_depends_on_its_index_alone():
    """Any order, any cut, fewer digits, one dimension at a time in a loop: the same words."""
    directions, seeds = sobol.sobol_directions(12), sobol.sobol_seeds(3, 12)
    expected = np.asarray(points(indices(256), directions, seeds))
    order = np.random.default_rng(0).permutation(256).astype(np.uint32)
    np.testing.assert_array_equal(points(order, directions, seeds), expected[order])
    np.testing.assert_array_equal(points(indices(256)[64:128], directions, seeds), expected[64:128])
    np.testing.assert_array_equal(points(indices(256), sobol.sobol_directions(12, digits=8), seeds), expected)
    np.testing.assert_array_equal(sobol.sobol_words(indices(256), directions, seeds), expected)  # not compiled

    @jax.jit
    def looped(index, directions, seeds):
        return jax.lax.scan(lambda _, row: (None, sobol.sobol_dimension(index, *row)), None, (directions, seeds))[1]

    np.testing.assert_array_equal(looped(indices(256), jnp.asarray(directions), seeds).T, expected)
    by_dimension = jax.vmap(sobol.sobol_dimension, (None, 0, 0))(indices(256), jnp.asarray(directions), seeds)
    np.testing.assert_array_equal(by_dimension.T, expected)
    np.testing.assert_array_equal(points(indices(512)[256:], sobol.sobol_directions(12, digits=8), seeds), expected)


def test_sharded_points_are_the_same():
    assert len(jax.devices()) == 8
    directions, seeds = jnp.asarray(sobol.sobol_directions(5)), sobol.sobol_seeds(1, 5)
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("batch"))
    placed = jax.device_put(indices(1024), sharding)
    got = points(placed, directions, seeds)
    assert len(got.sharding.device_set) == 8
    expected = points(indices(1024), directions, seeds)
    np.testing.assert_array_equal(got, expected)
    mapped = jax.shard_map(
        lambda index: sobol.sobol_words(index, directions, seeds),
        mesh=mesh, in_specs=PartitionSpec("batch"), out_specs=PartitionSpec("batch"),
    )  # fmt: skip
    np.testing.assert_array_equal(jax.jit(mapped)(placed), expected)


def test_scrambles_are_independent_of_each_other():
    def words(key, replicate=0):
        return np.asarray(sobol.sobol_seeds(key, 200, replicate)).ravel()

    every = np.concatenate([words(0), words(1), words(0, 1), words(jax.random.key(5)), words(2**33)])
    assert np.unique(every).size > every.size - 3  # chance repeats among 2,000 words: 5e-4
    np.testing.assert_array_equal(jax.vmap(lambda r: sobol.sobol_seeds(0, 200, r))(indices(2))[1].ravel(), words(0, 1))
    np.testing.assert_array_equal(sobol.sobol_seeds(0, 3), sobol.sobol_seeds(0, 200)[:3])


def scrambled(scramble, dimensions, count, scrambles, key=0):
    """`[scrambles, points, dimensions]` words."""
    directions = sobol.sobol_directions(dimensions)
    seeds = jax.vmap(lambda r: sobol.sobol_seeds(key, dimensions, r))(indices(scrambles))
    one = jax.jit(jax.vmap(lambda s: sobol.sobol_words(indices(count), directions, s, scramble)))
    return np.asarray(one(seeds))


@pytest.mark.parametrize("scramble", ["owen", "shift"])
def test_one_point_in_every_interval(scramble):
    """Every coordinate alone, for all prefixes of 2^k points, in 300 dimensions."""
    words = scrambled(scramble, 300, 1024, 2)
    for k in range(1, 11):
        cells = np.sort(words[:, : 2**k] >> np.uint32(32 - k), axis=1)
        assert (cells == np.arange(2**k, dtype=np.uint32)[None, :, None]).all(), f"{2**k} points"


@pytest.mark.parametrize("scramble", [None, "owen", "shift"])
def test_one_point_in_every_rectangle(scramble):
    """The first two dimensions are a (0, m, 2)-net: every elementary rectangle of area 1/N has one point, of any shape."""
    m = 10
    if scramble is None:
        words = np.asarray(points(indices(2**m), sobol.sobol_directions(2)))[None]
    else:
        words = scrambled(scramble, 2, 2**m, 8)
    for k in range(m + 1):
        rows = words[..., 0].astype(np.uint64) >> np.uint64(32 - k)
        columns = words[..., 1].astype(np.uint64) >> np.uint64(32 - (m - k))
        cells = np.sort(rows * np.uint64(2 ** (m - k)) + columns, axis=1)
        assert (cells == np.arange(2**m, dtype=np.uint64)).all(), f"2^-{k} by 2^-{m - k}"


@pytest.mark.parametrize("scramble", ["owen", "shift"])
def test_a_scrambled_point_is_uniform(scramble):
    """Single points over many scrambles: each is uniform, in its first digits and in its last, so averages have no bias."""
    words = scrambled(scramble, 3, 4, 20_000)
    for n in range(4):
        for j in range(3):
            word = words[:, n, j]
            for shift, mask in ((26, 63), (13, 63), (0, 63)):
                counts = np.bincount((word >> np.uint32(shift)) & np.uint32(mask), minlength=64)
                p = stats.chisquare(counts).pvalue
                assert p > 1e-6, f"point {n}, dimension {j}, digits from {shift}: {p}"


# Integrands with what a stratified sample of them shows: smooth, curved, oscillating, discontinuous.
INTEGRANDS = {
    "x": lambda u: u,
    "square": lambda u: u * u,
    "exponential": lambda u: np.exp(3 * u),
    "oscillating": lambda u: np.sin(40 * u * u),
    "step": lambda u: (u < 0.3).astype(float),
}


def test_variance_is_that_of_nested_scrambling():
    """In one dimension that is N independent draws, one in each cell of 1/N: its variance and fourth moment, to the error of
    30,000 scrambles.
    """
    scrambles = 30_000
    for m in (1, 2, 4, 6):
        count = 2**m
        # Another dimension than the first: its points are a permutation of the same cells.
        u = (scrambled("owen", 2, count, scrambles, key=m)[:, :, 1] + 0.5) / 2.0**32
        for name, integrand in INTEGRANDS.items():
            grid = integrand((np.arange(2**18) + 0.5) / 2**18).reshape(count, -1)
            second = grid.var(axis=1).sum() / count**2
            if second < 1e-12:
                continue  # the step on cell borders: exact for every scramble
            fourth_in_cells = ((grid - grid.mean(axis=1, keepdims=True)) ** 4).mean(axis=1).sum() / count**4
            fourth = 3 * second**2 + fourth_in_cells - 3 * (grid.var(axis=1) ** 2).sum() / count**4
            errors = integrand(u).mean(axis=1) - grid.mean()
            z_mean = errors.mean() / np.sqrt(second / scrambles)
            spread = np.sqrt((fourth / second**2 - 1) / scrambles)
            z_variance = ((errors**2).mean() / second - 1) / spread
            assert abs(z_mean) < 5, f"{name}, {count} points: mean off by {z_mean} deviations"
            assert abs(z_variance) < 5, f"{name}, {count} points: variance off by {z_variance} deviations"
            ratio = (errors**4).mean() / fourth
            assert 0.75 < ratio < 1.3, f"{name}, {count} points: fourth moment {ratio} times that of nested scrambling"


@pytest.mark.parametrize("map_name", ["burley", "affine"])
def test_why_the_map_is_what_it_is(map_name):
    """Simpler maps of the same kind on the same 64 points, by their variance and fourth moment for the integrand x."""
    draw = np.random.default_rng(0)
    scrambles, count = 20_000, 64
    a, b = draw.integers(0, 2**32, (2, scrambles, 1), dtype=np.uint32)
    x = np.arange(count, dtype=np.uint32)[None, :]  # van der Corput's points, digits reversed
    if map_name == "burley":
        x = x + a
        for multiplier in (0x6C50B47C, 0xB82F1E52, 0xC7AFE638, 0x8D22F6E6):
            x = x ^ (x * np.uint32(multiplier))
    else:
        x = a + x * (b | np.uint32(1))
    digits = np.unpackbits(x[..., None].astype("<u4").view(np.uint8), axis=-1, bitorder="little")
    errors = (digits @ 2.0 ** -np.arange(1, 33)).mean(axis=1) + 2.0**-33 - 0.5
    second = 1 / (12 * count**3)
    if map_name == "burley":
        assert 0.2 < (errors**2).mean() / second < 0.35
    else:
        assert 0.9 < (errors**2).mean() / second < 1.1
        assert 10 < (errors**4).mean() / (3 * second**2) < 14


def smooth(u):
    """A smooth function of ten coordinates, integral 1."""
    weights = 1.0 / (1 + np.arange(10.0)) ** 2
    return np.prod(1 + weights * (u - 0.5) * np.exp(u - 0.5) - weights * INTEGRAL, axis=-1)


# ∫ (u - 1/2) e^(u - 1/2) over [0, 1] = cosh(1/2) - 2 sinh(1/2)
INTEGRAL = float(np.cosh(0.5) - 2 * np.sinh(0.5))


def test_variance_falls_with_the_cube_of_the_points():
    """Owen (1997): N^-3 (log N)^(s-1) for smooth integrands; an ordinary sample has N^-1, a digital shift about N^-2."""
    sizes = (64, 4096)
    slopes = {}
    for scramble in ("owen", "shift"):
        words = scrambled(scramble, 10, sizes[1], 64, key=11)
        u = np.asarray(uniform(jnp.asarray(words)))
        errors = [smooth(u[:, :size]).mean(axis=1) - 1 for size in sizes]
        for size, error in zip(sizes, errors, strict=True):
            assert abs(error.mean()) < 5 * error.std() / 8, f"{scramble}, {size} points: biased"
        variances = [float((error**2).mean()) for error in errors]
        slopes[scramble] = np.log(variances[1] / variances[0]) / np.log(sizes[1] / sizes[0])
    # The standard error of a slope is √(2 · 2 / 64) / ln 64 = 0.06.
    assert -3.2 < slopes["owen"] < -2.4, slopes
    assert -2.6 < slopes["shift"] < -1.5, slopes


def test_uniforms_are_inside():
    extremes = jnp.asarray([0, 1, 2**32 - 1], jnp.uint32)
    for dtype in (np.float64, np.float32):
        u = uniform(extremes, dtype)
        assert u.dtype == dtype
        assert float(u[0]) > 0
        assert float(u[2]) < 1
        shifted = uniform(points(indices(4096), sobol.sobol_directions(4), sobol.sobol_seeds(0, 4)), dtype)
        # Midpoints of cells: as many points below as above one half, in every coordinate.
        assert (np.asarray(shifted) < 0.5).sum(axis=0).tolist() == [2048] * 4


def test_directions_are_safe_to_share():
    directions = sobol.sobol_directions(3)
    with pytest.raises(ValueError, match="read-only"):
        directions[0, 0] = 0
    assert sobol.sobol_directions(np.int64(3)).shape == (3, 32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sobol.sobol_directions(0), InputError, r"dimensions: 0; expected 1 \.\.\. 21201"),
        (lambda: sobol.sobol_directions(21202), InputError, r"dimensions: 21202; expected 1 \.\.\. 21201"),
        (lambda: sobol.sobol_directions(2.0), InputTypeError, r"dimensions: float 2\.0; expected an integer"),
        (lambda: sobol.sobol_directions(2, digits=33), InputError, r"digits: 33; expected 1 \.\.\. 32"),
        (lambda: sobol.sobol_seeds("a", 2), InputTypeError, r"key: 'a'"),
        (lambda: sobol.sobol_seeds(0, -1), InputError, r"dimensions: -1"),
        (lambda: sobol.sobol_seeds(0, 2, -1), InputError, r"replicate: -1"),
        (lambda: call_with(index=np.arange(4)), InputTypeError, r"index: int64 array; expected uint32"),
        (lambda: call_with(index=3), InputTypeError, r"index: int 3; expected uint32"),
        (lambda: call_with(directions=np.ones((2, 40), np.uint32)), InputError, r"directions: shape"),
        (lambda: call_with(directions=np.ones(32, np.uint32)), InputError, r"directions: shape \(32,\)"),
        (lambda: call_with(seeds=np.ones((3, 2), np.uint32)), InputError, r"seeds: shape \(3, 2\); expected \(2, 2\)"),
        (lambda: call_with(seeds=np.ones((2, 2))), InputTypeError, r"seeds: float64 array"),
        (lambda: call_with(scramble="none"), InputError, r"scramble: 'none'; expected 'owen' or 'shift'"),
        (
            lambda: sobol.sobol_dimension(indices(2), sobol.sobol_directions(2)),
            InputError,
            r"one row of sobol_directions",
        ),
        (
            lambda: sobol.sobol_dimension(indices(2), sobol.sobol_directions(2)[0], np.ones((2, 2), np.uint32)),
            InputError,
            r"seed: shape \(2, 2\); expected one row",
        ),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def call_with(**changed):
    arguments = {
        "index": indices(4),
        "directions": sobol.sobol_directions(2),
        "seeds": sobol.sobol_seeds(0, 2),
        "scramble": "owen",
    }
    return sobol.sobol_words(**(arguments | changed))
