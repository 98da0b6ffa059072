"""The counter-based generator: published words, the laws of uniforms and normals, and what a number depends on."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

from gpujax.errors import InputTypeError
from gpujax.numerics.random import key_words, normal, normal_pair, threefry, uniform

N = 1 << 20
LAST = 2**32 - 1
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def words(key=3, count=N, second=0):
    counters = (jnp.arange(count, dtype=jnp.uint32), jnp.full(count, second, jnp.uint32))
    return jax.jit(threefry)(key_words(key), counters)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_published_words(key, counter, expected):
    """The known answers that come with Random123, the authors' own implementation."""
    got = threefry(tuple(map(jnp.uint32, key)), tuple(map(jnp.uint32, counter)))
    assert tuple(int(word) for word in got) == expected


def test_the_same_words_as_jax():
    """`jax.random.bits` is the exclusive or of the two words, for a counter that runs through the shape."""
    key = jax.random.key(12345, impl="threefry2x32")
    counter = jnp.arange(100, dtype=jnp.uint32)
    first, second = threefry(key_words(key), (jnp.zeros_like(counter), counter))
    np.testing.assert_array_equal(first ^ second, jax.random.bits(key, (100,), jnp.uint32))


@both_dtypes
def test_uniforms_are_open_and_even(dtype):
    ends = uniform(jnp.array([0, 2**32 - 1], jnp.uint32), dtype)
    assert ends.dtype == dtype
    assert 0 < ends[0] < 1e-6
    assert 1 - 1e-6 < ends[1] < 1
    x = np.asarray(jax.jit(lambda w: uniform(w, dtype))(words()[0]), np.float64)
    assert stats.kstest(x, "uniform").pvalue > 1e-3
    assert stats.kstest(np.asarray(uniform(words(second=9)[1], dtype), np.float64), "uniform").pvalue > 1e-3


@both_dtypes
def test_normals_are_normal(dtype):
    first, second = (np.asarray(z) for z in jax.jit(lambda w: normal_pair(w, dtype))(words(key=8)))
    assert first.dtype == dtype
    for z in (first.astype(float), second.astype(float)):
        assert stats.kstest(z, "norm").pvalue > 1e-3
        for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert abs(np.mean(z**power) - moment) < 4 * np.sqrt(variance / N)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(N)
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < 4 / np.sqrt(N)


@both_dtypes
def test_normals_are_the_point_at_radius_and_angle(dtype):
    """On a grid over both words, against NumPy's functions: a whole turn of angles, and the radius of Box and Muller."""
    side = 512
    centres = ((np.arange(side) + 0.5) * (2**32 / side)).astype(np.uint32)
    u, v = (jnp.asarray(x.ravel()) for x in np.meshgrid(centres, centres, indexing="ij"))
    point = np.asarray(normal_pair((u, v), dtype), np.float64)
    radius = np.sqrt(-2 * np.log(np.asarray(uniform(u, dtype), np.float64)))
    # The second word counts quarter turns by its two leading bits, each from minus to plus an eighth.
    quarter, inside = np.divmod(np.asarray(v, np.float64) / 2**30, 1)
    angle = (quarter + inside - 0.5) * np.pi / 2
    expected = radius * np.array([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(point, expected, rtol=0, atol=1e-6 if dtype == np.float32 else 3e-9)


def words_everywhere():
    """Both ends, the middle, every power of two away from them, random words of each octave and of the whole range."""
    rng = np.random.default_rng(5)
    near = np.concatenate([2 ** np.arange(31), (2 ** rng.uniform(0, 31, 200)).astype(np.int64), [0, 1, 2, 3]])
    low = np.concatenate([near, 2**31 - 1 - near, rng.integers(0, 2**31, 200)])
    return np.unique(np.concatenate([low, LAST - low])).astype(np.uint32)


@both_dtypes
def test_the_normal_of_a_word_is_the_quantile(dtype):
    word = words_everywhere()
    assert {0, 2**31 - 1, 2**31, LAST} <= set(word.tolist())
    z = jax.jit(lambda w: normal(w, dtype))(word)
    assert z.dtype == dtype
    # The upper half mirrors the lower (see below).
    for w, found in zip(word[: word.size // 2 + 1], np.asarray(z, np.float64)[: word.size // 2 + 1], strict=True):
        with mp.workdps(25):
            exact = mp.sqrt(2) * mp.erfinv((2 * int(w) + 1 - 2**32) / mp.mpf(2) ** 32)
            assert abs(found / exact - 1) < (2e-15 if dtype == np.float64 else 3e-7), int(w)


@both_dtypes
def test_normals_of_a_million_words(dtype):
    """Against SciPy's quantile, which needs the nearer end: over all words in even strides, and in order."""
    word = np.arange(0, 2**32, 4099, dtype=np.int64).astype(np.uint32)
    z = np.asarray(jax.jit(lambda w: normal(w, dtype))(word), np.float64)
    end = (np.minimum(word, ~word) + 0.5) * 2.0**-32
    expected = np.where(word < 2**31, 1, -1) * special.ndtri(end)
    np.testing.assert_allclose(z, expected, rtol=1e-12 if dtype == np.float64 else 3e-7, atol=1e-15)
    assert np.all(np.diff(z) > 0)


@both_dtypes
def test_the_normal_of_a_word_is_odd(dtype):
    word = jnp.concatenate([words(count=1 << 16)[0], jnp.asarray(words_everywhere())])
    z, mirrored = (np.asarray(jax.jit(lambda w: normal(w, dtype))(w)) for w in (word, ~word))
    np.testing.assert_array_equal(mirrored, -z)


def test_normals_increase_from_word_to_word():
    """Every word of some stretches: at both ends, about the middle, and across the octaves of the logarithm's argument."""
    quarter = 2**31 - int(2**31 * np.sqrt(1 - np.sqrt(0.5)))  # 4 p (1 - p) = √½
    for start in (0, quarter - 5000, 2**31 - 5000, LAST - 10_000):
        z = np.asarray(jax.jit(normal)(jnp.uint32(start) + jnp.arange(10_000, dtype=jnp.uint32)))
        assert np.all(np.diff(z) > 0), start
    z = np.asarray(normal(jnp.arange(100_000, dtype=jnp.uint32), np.float32))
    assert np.all(np.diff(z) > -5e-7 * np.abs(z[1:]))


@both_dtypes
def test_normals_of_random_words(dtype):
    z = np.asarray(jax.jit(lambda w: normal(w, dtype))(words(key=21)[0]), np.float64)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) < 4 * np.sqrt(variance / N)


def test_lattice_of_neighbours():
    """Numbers with neighbouring counters, in either word, and with neighbouring keys share nothing."""
    base = np.asarray(normal_pair(words(key=1))[0])
    for other in (words(key=2), words(key=1, second=1), tuple(jnp.roll(w, 1) for w in words(key=1))):
        assert abs(np.corrcoef(base, np.asarray(normal_pair(other)[0]))[0, 1]) < 4 / np.sqrt(N)
    # Each of the 64 bits of the output changes with probability one half when a bit of the counter does.
    counter = jnp.arange(4096, dtype=jnp.uint32)
    zero = jnp.zeros_like(counter)
    for bit in (0, 13, 31):
        a = threefry(key_words(5), (counter, zero))
        b = threefry(key_words(5), (counter ^ jnp.uint32(1 << bit), zero))
        for x, y in zip(a, b, strict=True):
            changed = np.unpackbits(np.asarray(x ^ y).view(np.uint8)).reshape(4096, 32)
            assert np.all(np.abs(changed.mean(0) - 0.5) < 4.5 * 0.5 / np.sqrt(4096))


def test_keys():
    assert [int(w) for w in key_words(2**40 + 5)] == [256, 5]
    assert [int(w) for w in key_words(-1)] == [2**32 - 1] * 2
    key = jax.random.key(7, impl="threefry2x32")
    assert [int(w) for w in key_words(key)] == [int(w) for w in key_words(7)]
    for wrong in (1.5, "seed", True, jnp.ones(2), jax.random.split(key)):
        with pytest.raises(InputTypeError, match="key: "):
            key_words(wrong)
