r"""Counter-based random numbers: words, uniforms and normals as pure functions of a key and a counter.

A number belongs to its counter, (path, index of the number in the path), not to a place in a sequence. So a simulation draws the
same numbers however it is cut into blocks and on however many devices it runs, and any single path can be drawn again by itself.

Words come from Threefry-2x32 with 20 rounds, the generator behind `jax.random`; it passes TestU01's BigCrush with 13 (Salmon et
al. 2011). Here it is written so that XLA fuses it with what uses the words: two nanoseconds for two words on one core of a
CPU, where `jax.random.normal` takes thirty for a float64. Normals come in pairs by Box and Muller (1958),

$$ z_1 = \sqrt{-2 \ln u}\,\cos 2\pi v, \qquad z_2 = \sqrt{-2 \ln u}\,\sin 2\pi v , $$

with u and v at the midpoints of 2^32 cells (2^23 in float32), which caps |z| at 6.7 (5.8) and moves the variance by less than
1e-9 (1e-6): by nothing that a simulation of fewer than 1e12 paths could see. Evenly spread words, those of quasi-Monte Carlo,
become normal one by one, by the quantile (`normal`).

Sources: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11 (2011);
G. E. P. Box and M. E. Muller, "A Note on the Generation of Random Normal Deviates", Annals of Mathematical Statistics 29 (1958),
610-611.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from gpujax.errors import InputTypeError
from gpujax.numerics.elementary import log_ratio, shared
from gpujax.numerics.polynomial import evaluate

__all__ = ["key_words", "normal", "normal_pair", "threefry", "uniform"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def key_words(key: int | jax.Array) -> tuple[jax.Array, jax.Array]:
    """The two 32-bit words of a key: an integer seed (taken modulo 2^64), or a key of `jax.random`.

    Raises: InputTypeError for anything else.

    >>> [int(word) for word in key_words(7)]
    [0, 7]
    """
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        seed = int(key) % 2**64
        return jnp.uint32(seed >> 32), jnp.uint32(seed & 0xFFFFFFFF)
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and getattr(key, "shape", None) == ():
        words = jax.random.key_data(key).astype(jnp.uint32)
        return words[0], words[-1]
    raise InputTypeError(f"key: {key!r}; expected an integer or one key of jax.random, such as jax.random.key(0)")


def threefry(
    key: tuple[jax.Array, jax.Array], counter: tuple[jax.Array, jax.Array], rounds: int = 20
) -> tuple[jax.Array, jax.Array]:
    """Two random words for each counter: Threefry-2x32 (Salmon et al. 2011, section 3.3).

    Arguments:
        key, counter: two uint32 each, which broadcast.
        rounds: 20 as recommended; 13 is the fewest that pass BigCrush.

    >>> [hex(int(word)) for word in threefry((jnp.uint32(0), jnp.uint32(0)), (jnp.uint32(0), jnp.uint32(0)))]
    ['0x6b200159', '0x99ba4efe']
    """
    schedule = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = counter[0] + schedule[0], counter[1] + schedule[1]
    for i in range(rounds):
        x = x + y
        y = _rotated(y, _ROTATIONS[(i // 4) % 2][i % 4]) ^ x
        if i % 4 == 3:
            turn = i // 4 + 1
            x, y = x + schedule[turn % 3], y + schedule[(turn + 1) % 3] + jnp.uint32(turn)
    return x, y


def uniform(word: jax.Array, dtype: npt.DTypeLike = np.float64) -> jax.Array:
    """Uniform numbers in (0, 1) from 32-bit words: the midpoint of one of 2^32 equal cells (2^23 in float32).

    >>> uniform(jnp.uint32(2**31))
    Array(0.5, dtype=float64)
    """
    # The word becomes the leading digits of a number in [1, 2): CPUs do not convert unsigned integers in vectors.
    if np.dtype(dtype) == np.float64:
        bits = (word.astype(jnp.uint64) << jnp.uint64(20)) | jnp.uint64(0x3FF0000000080000)
        return lax.bitcast_convert_type(bits, jnp.float64) - 1.0
    bits = (word >> jnp.uint32(9)) | jnp.uint32(0x3F800000)
    return lax.bitcast_convert_type(bits, jnp.float32) - np.float32(1 - 2.0**-24)


def normal(word: jax.Array, dtype: npt.DTypeLike = np.float64) -> jax.Array:
    r"""The standard normal number of a 32-bit word: the quantile of p = (word + 1/2) / 2^32.

    $$ N^{-1}(p) = (p - 1/2)\, R(v), \qquad v = -\log_2 4p(1 - p), $$

    with one rational function R for all words: no branch, and a ninth of the time of `numerics.normal.quantile`. It increases
    with the word, so that words that are evenly spread, as those of a Sobol sequence, give normal numbers that are; random words
    are cheaper in pairs (`normal_pair`).

    Arguments:
        word: uint32, any shape.
        dtype: of the result, float64 or float32; all 32 bits count in both, in both tails.

    Returns: the shape of `word`; |z| <= 6.34, with a variance of 1 - 3e-10. `normal(~word)` is exactly `-normal(word)`. Relative
        error below 2e-15 in float64, 3e-7 in float32, where neighbouring words may be out of order by as much.

    >>> [round(float(normal(jnp.uint32(word))), 8) for word in (0, 2**31, 2**32 - 1)]
    [-6.33795775, 0.0, 6.33795775]
    """
    dtype = np.dtype(dtype)
    # Counted from the middle, k + 1/2 in units of 2^-32 is p - 1/2. CPUs convert signed integers in vectors, unsigned not.
    k = lax.bitcast_convert_type(word ^ jnp.uint32(1 << 31), jnp.int32)
    if dtype == np.float64:
        offset = (k.astype(dtype) + 0.5) * 2.0**-32
        product = (1 - 2 * offset) * (1 + 2 * offset)
    else:
        # Both p's distance from the middle and that from the nearer end are rounded only once they are known exactly.
        distance = k ^ (k >> jnp.int32(31))
        end = ((jnp.int32(0x7FFFFFFF) - distance).astype(dtype) + np.float32(0.5)) * np.float32(2.0**-31)
        product = end * (2 - end)
        offset = (distance.astype(dtype) + np.float32(0.5)) * np.float32(2.0**-32)
        sign = k & jnp.int32(-(1 << 31))
        offset = lax.bitcast_convert_type(lax.bitcast_convert_type(offset, jnp.int32) | sign, dtype)
    v = _minus_log2(product)
    rest = v * (evaluate(_NUMERATOR[dtype.name], v) / evaluate(_DENOMINATOR[dtype.name], v))
    return offset * (_MIDDLE[dtype.name] + rest)


def normal_pair(words: tuple[jax.Array, jax.Array], dtype: npt.DTypeLike = np.float64) -> tuple[jax.Array, jax.Array]:
    """Two independent standard normal numbers from two words, by Box and Muller.

    >>> [round(float(z), 6) for z in normal_pair((jnp.uint32(1 << 30), jnp.uint32(1 << 28)))]
    [1.53836, -0.63721]
    """
    dtype = np.dtype(dtype)
    u = uniform(words[0], dtype)
    # The angle is quadrant + f quarter turns, f in (-1/2, 1/2): short polynomials, and nothing to reduce.
    f = uniform(words[1] << jnp.uint32(2), dtype) - np.asarray(0.5, dtype)
    quadrant = words[1] >> jnp.uint32(30)
    radius = shared(jnp.sqrt(-2 * log_ratio(u, jnp.ones_like(u))))
    square = f * f
    across, along = f * evaluate(_SINE[dtype.name], square), evaluate(_COSINE[dtype.name], square)
    odd = (quadrant & jnp.uint32(1)) == jnp.uint32(1)
    signed = jnp.where(quadrant >= jnp.uint32(2), -radius, radius)
    return signed * jnp.where(odd, -across, along), signed * jnp.where(odd, along, across)


def _rotated(x: jax.Array, bits: int) -> jax.Array:
    return (x << jnp.uint32(bits)) | (x >> jnp.uint32(32 - bits))


def _minus_log2(x: jax.Array) -> jax.Array:
    """-log2(x) for x in [2^-32, 1], to an absolute error of one rounding; with no edges it takes half the work of `log_ratio`."""
    dtype = np.dtype(x.dtype)
    integer, digits = (np.int64, np.int64(52)) if dtype == np.float64 else (np.int32, np.int32(23))
    bits = lax.bitcast_convert_type(x, integer)
    root, shift = (dtype.type(c).view(integer) for c in (np.sqrt(2), 2.0**digits))
    # x = m 2^-k with m in [√½, √2]: bit patterns of positive numbers are ordered, and one octave is 2^digits of them.
    k = lax.shift_right_logical(root - bits, digits)
    m = lax.bitcast_convert_type(bits + (k << digits), dtype)
    f = jnp.maximum((1 - m) / (1 + m), dtype.type(-1))  # the one user of the quotient: see `shared`
    whole = lax.bitcast_convert_type(k | shift, dtype) - dtype.type(2.0**digits)
    return whole + f * evaluate(_LOGARITHM[dtype.name], f * f)


# sin(πf/2) / f and cos(πf/2) in powers of f² (`scripts/fit_trigonometric.py`)
_SINE = {
    "float64": (
        5.633936132273839e-08, -3.5986433706134926e-06, 0.00016044115074714992, -0.004681754132341619,
        0.07969262624604304, -0.6459640975062443, 1.5707963267948966,
    ),
    "float32": (-0.00460216310495812, 0.07968022285816906, -0.6459634781534225, 1.5707963219600267),
}  # fmt: skip
_COSINE = {
    "float64": (
        4.655298729149094e-07, -2.520013545491748e-05, 0.0009192599500952791, -0.02086348073495352,
        0.25366950789986514, -1.2337005501361513, 1.0,
    ),
    "float32": (-0.020408255467170407, 0.2535986077124637, -1.2336970108360312, 0.9999999723759494),
}  # fmt: skip
_SINE = {name: tuple(np.dtype(name).type(c) for c in row) for name, row in _SINE.items()}
_COSINE = {name: tuple(np.dtype(name).type(c) for c in row) for name, row in _COSINE.items()}
# N⁻¹(p) / (p - 1/2) = middle + v numerator / denominator, in powers of v = -log2(4 p (1 - p)), and -log2(m) / f in powers of
# f² for f = (1 - m) / (1 + m) (`scripts/fit_normal_of_word.py`). All are positive: nothing cancels.
_MIDDLE = {"float64": 2.506628274631002, "float32": 2.506628250538188}
_NUMERATOR = {
    "float64": (
        8.528546863772261e-14, 1.8280831848379825e-11, 7.222152682201309e-10, 2.263612618224319e-08,
        5.219730331017019e-07, 9.484648274363284e-06, 0.00013612558697139257, 0.0014168405882510064,
        0.013726099767598636, 0.06644828758060208, 0.4548665720330919,
    ),
    "float32": (
        4.234183098235921e-08, 1.7469730378228768e-05, 0.00038151222286849637, 0.006410050645574438,
        0.04570684928169922, 0.4548670589247211,
    ),
}  # fmt: skip
_DENOMINATOR = {
    "float64": (
        8.063891116283552e-16, 7.450263388403094e-13, 6.60902197046141e-11, 2.168166736907621e-09,
        6.430567302645719e-08, 1.3683988436863316e-06, 2.2028552078056525e-05, 0.0003287465198200062,
        0.002762978001135376, 0.031161699886979567, 0.111579055557121, 1.0,
    ),
    "float32": (
        5.974820272455143e-07, 5.731656699072403e-05, 0.0007695797653062147, 0.01664694108635799, 0.06598349733642096,
        1.0,
    ),
}  # fmt: skip
_LOGARITHM = {
    "float64": (
        0.24292644829395565, 0.26144333469649617, 0.3206164184022134, 0.4121984015866341, 0.5770780172495101,
        0.9617966939243265, 2.885390081777927,
    ),
    "float32": (
        0.5957780604020373, 0.9615884043035484, 2.88539042394856,
    ),
}  # fmt: skip
_MIDDLE = {name: np.dtype(name).type(c) for name, c in _MIDDLE.items()}
_NUMERATOR = {name: tuple(np.dtype(name).type(c) for c in row) for name, row in _NUMERATOR.items()}
_DENOMINATOR = {name: tuple(np.dtype(name).type(c) for c in row) for name, row in _DENOMINATOR.items()}
_LOGARITHM = {name: tuple(np.dtype(name).type(c) for c in row) for name, row in _LOGARITHM.items()}
