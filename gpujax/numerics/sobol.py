r"""Sobol points, scrambled, generated on the device: integer words as a pure function of the point's index.

Coordinate j of point n is the exclusive or of one direction number for each binary digit of n,

$$ x_j(n) = \bigoplus_{i:\, n_i = 1} v_{j,i} , $$

with direction numbers for up to 21,201 dimensions from the primitive polynomials and initial numbers of Joe and Kuo (2008). A
point depends on its index alone, so that points are the same however they are cut into blocks and on however many devices
they are made. Use 2^m points: then every interval of length 2^-m of every coordinate holds exactly one, and the first 2^k are
balanced too.

Scrambling turns one set of points into random ones with the same balance, each of them uniform, so that averages have no bias
and independent scrambles give their standard error. "owen" is nested uniform scrambling (Owen 1995), with which the error of
smooth integrands falls like N^(-3/2) in the mean square root; "shift" exclusive-ors one random word, cheaper and with less:
N^-1.

Nested scrambling permutes the halves of every binary interval at random. With the digits of x in reverse order it is a map in
which every bit depends on lower bits only, which integer addition and multiplication by an odd number are (Laine and Karras
2011; Burley 2020). The map here is h(a + b g(x)) modulo 2^32, with g and h fixed and random words a and b, b odd. Any two
points with k leading digits in common have d = x - y = 2^k times an odd number in reverse, and b d is uniform among such
numbers, independently of a + b x, which is uniform itself; g and h are permutations of the same nested kind. So every pair of
points has exactly the law that full nested scrambling would give it, and with it means and variances of averages are exact,
not approximate. g and h make what pairs do not determine, the distribution of averages, look like that of full scrambling as
well. (`tests/numerics/test_sobol.py` measures it, at 64 points: the hash of Laine and Karras with Burley's constants has a
quarter of the variance that it should have, a + b x alone twelve times the fourth moment.)

Up to 2^32 points; take several independent scrambles (`replicate`) for more, as for a standard error.

The file `_sobol_directions.npz` (`scripts/make_sobol_directions.py`) holds, in NumPy's compressed format: `polynomial_steps`,
uint16, whose running sum is each dimension's primitive polynomial as a binary number (all of them up to degree 18, in order,
after a 1 for the first dimension, which has none); `initial_digits`, uint8, a stream of binary digits packed most significant
first: for each dimension after the first, for i = 1 ... degree, the digits of the initial number m_i without the last, which
is 1; and `licence`. The numbers are copyright (c) 2008 Frances Y. Kuo and Stephen Joe, under a BSD licence of three clauses
that covers "the accompanying sets of direction numbers"; its text is in the file and in the script, and goes with them.

Sources: I. M. Sobol', USSR Computational Mathematics and Mathematical Physics 7 (1967), 86-112; S. Joe and F. Y. Kuo,
"Constructing Sobol sequences with better two-dimensional projections", SIAM Journal on Scientific Computing 30 (2008),
2635-2654; A. B. Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences" (1995), and "Scrambled net variance for integrals
of smooth functions", Annals of Statistics 25 (1997), 1541-1562; S. Laine and T. Karras, "Stratified sampling for stochastic
transparency", Computer Graphics Forum 30 (2011), 1197-1204; B. Burley, "Practical hash-based Owen scrambling", Journal of
Computer Graphics Techniques 9(4) (2020), 1-20; multipliers of g and h from N. Vegdahl, "Building a better LK hash" (2021).
"""

import functools
import operator
from importlib import resources
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.random import key_words, threefry

__all__ = ["DIGITS", "MAX_DIMENSIONS", "sobol_dimension", "sobol_directions", "sobol_seeds", "sobol_words"]

MAX_DIMENSIONS = 21_201
DIGITS = 32

SCRAMBLES = ("owen", "shift")

# Keeps the seeds of scrambles apart from the random numbers that a simulation draws with the same key.
_SCRAMBLING = 0x534F424C


def sobol_directions(dimensions: int, digits: int = DIGITS) -> np.ndarray:
    """Direction numbers of the first dimensions of the Sobol sequence, for the functions below.

    They are meant for them alone: binary digits reversed, which saves a reversal per point, and combined so that the plain
    digits of an index give the points in the order of its Gray code, which is that of Joe and Kuo's program and of SciPy.

    Arguments:
        dimensions: 1 ... 21,201.
        digits: of the index, 1 ... 32: fewer are faster, for indices below 2^digits.

    Returns: uint32 NumPy `[dimensions, digits]`, read-only.

    Raises: InputError for numbers out of range, InputTypeError for anything but integers.

    >>> sobol_directions(2, digits=3)
    array([[1, 3, 6],
           [1, 2, 6]], dtype=uint32)
    """
    dimensions = _integer("dimensions", dimensions, 1, MAX_DIMENSIONS)
    digits = _integer("digits", digits, 1, DIGITS)
    return _all_directions()[:dimensions, :digits]


def sobol_seeds(
    key: int | jax.Array | tuple[jax.Array, jax.Array], dimensions: int, replicate: int | jax.Array = 0
) -> jax.Array:
    """Two random words for each dimension: the seeds of one scramble, independent for every key, dimension and replicate.

    Arguments:
        key: an integer, a key of `jax.random`, or two words.
        dimensions: 1 ... 21,201.
        replicate: number of the scramble, below 2^32; may be traced, as under `vmap`.

    Returns: uint32 `[dimensions, 2]`.

    Raises: InputError for dimensions out of range, InputTypeError for a key of another kind.

    >>> sobol_seeds(7, 3).shape
    (3, 2)
    """
    dimensions = _integer("dimensions", dimensions, 1, MAX_DIMENSIONS)
    first, second = key if isinstance(key, tuple) else key_words(key)
    if isinstance(replicate, (int, np.integer)):
        replicate = _integer("replicate", replicate, 0, 2**32 - 1)
    counter = jax.lax.iota(jnp.uint32, dimensions), jnp.broadcast_to(jnp.asarray(replicate, jnp.uint32), (dimensions,))
    keys = jnp.full((dimensions,), first ^ jnp.uint32(_SCRAMBLING)), jnp.full((dimensions,), second)
    return jnp.stack(threefry(keys, counter), axis=-1)


def sobol_dimension(
    index: jax.Array, directions: jax.Array, seed: jax.Array | None = None, scramble: str = "owen"
) -> jax.Array:
    """One coordinate of Sobol points: 32-bit words of which `gpujax.numerics.random.uniform` makes numbers inside (0, 1).

    Everything is elementwise in the index and may be traced, sharded and mapped: a loop over time steps can pass each step's
    row of directions and seeds. Several dimensions at once are fastest with the points innermost, `[dimensions, points]`, as
    `jax.vmap(sobol_dimension, (None, 0, 0))(index, directions, seeds)` makes them.

    Arguments:
        index: uint32 `[...]`, below 2^digits (digits above are ignored).
        directions: a row of `sobol_directions`, uint32 `[digits]`.
        seed: a row of `sobol_seeds`, uint32 `[2]`; None for the points themselves.
        scramble: "owen" or "shift"; static, and without meaning when there is no seed.

    Returns: uint32 `[...]`: the coordinate times 2^32.

    Raises: InputError for directions, a seed or a scramble of the wrong kind, InputTypeError where an array is not uint32.

    >>> directions = jnp.asarray(sobol_directions(2))
    >>> sobol_dimension(jnp.arange(4, dtype=jnp.uint32), directions[1]) >> jnp.uint32(30)  # which quarter
    Array([0, 2, 1, 3], dtype=uint32)
    """
    index, directions = _words("index", index), _words("directions", directions)
    if directions.ndim != 1 or not 1 <= directions.size <= DIGITS:
        raise InputError(f"directions: shape {directions.shape}; expected one row of sobol_directions, [digits]")
    if scramble not in SCRAMBLES:
        raise InputError(f"scramble: {scramble!r}; expected 'owen' or 'shift'")
    # In a loop over dimensions, XLA would move the tests of the digits out of it, since the index does not change, and read
    # their results from memory instead, which is several times slower. The barrier makes the index seem to depend on the
    # dimension.
    index, directions = jax.lax.optimization_barrier((index, directions))
    reverse = jnp.zeros_like(index)
    for digit in range(directions.size):
        taken = (index & jnp.uint32(1 << digit)) != jnp.uint32(0)
        reverse = reverse ^ jnp.where(taken, directions[digit], jnp.uint32(0))
    if seed is None:
        return _reversed(reverse)
    seed = _words("seed", seed)
    if seed.shape != (2,):
        raise InputError(f"seed: shape {seed.shape}; expected one row of sobol_seeds, [2]")
    if scramble == "owen":
        return _reversed(_nested(reverse, seed[0], seed[1]))
    return _reversed(reverse ^ seed[0])


def sobol_words(
    index: jax.Array, directions: jax.Array, seeds: jax.Array | None = None, scramble: str = "owen"
) -> jax.Array:
    """Sobol points in several dimensions: `sobol_dimension` for each row of the directions and seeds.

    Arguments:
        index: uint32 `[points]`, below 2^digits.
        directions: from `sobol_directions`, uint32 `[dimensions, digits]`.
        seeds: from `sobol_seeds`, uint32 `[dimensions, 2]`; None for the points themselves.
        scramble: "owen" or "shift".

    Returns: uint32 `[points, dimensions]`: the coordinates times 2^32.

    Raises: as `sobol_dimension`.

    >>> index = jnp.arange(4, dtype=jnp.uint32)
    >>> sobol_words(index, sobol_directions(3)) >> jnp.uint32(30)  # which quarter
    Array([[0, 0, 0],
           [2, 2, 2],
           [3, 1, 1],
           [1, 3, 3]], dtype=uint32)
    """
    index, directions = _words("index", index), _words("directions", directions)
    if directions.ndim != 2:
        raise InputError(f"directions: shape {directions.shape}; expected [dimensions, digits], from sobol_directions")
    if seeds is not None:
        seeds = _words("seeds", seeds)
        if seeds.shape != (directions.shape[0], 2):
            raise InputError(
                f"seeds: shape {seeds.shape}; expected {(directions.shape[0], 2)}, one row for each row of directions"
            )
    one = functools.partial(sobol_dimension, scramble=scramble)
    return jax.vmap(one, in_axes=(None, 0, None if seeds is None else 0), out_axes=-1)(index, directions, seeds)


def _nested(x: jax.Array, addend: jax.Array, multiplier: jax.Array) -> jax.Array:
    """h(a + b g(x)): see the module. x ^ (even number times x) moves bits upwards only, and so does every other step."""
    x = x ^ (x * jnp.uint32(0x3D20ADEA))
    x = x * (multiplier | jnp.uint32(1)) + addend
    x = x ^ (x * jnp.uint32(0x05526C56))
    return x ^ (x * jnp.uint32(0x53A22864))


def _reversed(x: Any) -> Any:
    """The 32 binary digits in reverse order, of NumPy or JAX words; compilers know the pattern."""
    word = np.uint32 if isinstance(x, np.ndarray) else jnp.uint32
    for width, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF)):
        x = ((x >> word(width)) & word(mask)) | ((x & word(mask)) << word(width))
    return (x >> word(16)) | (x << word(16))


@functools.cache
def _all_directions() -> np.ndarray:
    """The direction numbers of every dimension, as `sobol_directions` describes them, from the file."""
    with resources.files("gpujax.numerics").joinpath("_sobol_directions.npz").open("rb") as file, np.load(file) as data:
        polynomials = np.cumsum(data["polynomial_steps"], dtype=np.uint32)
        digits = np.unpackbits(data["initial_digits"])
    degrees = np.frexp(polynomials.astype(np.float64))[1] - 1
    directions = np.empty((polynomials.size, DIGITS), np.uint32)
    # The first dimension is van der Corput's sequence: one digit each.
    directions[0] = np.uint32(1) << np.arange(DIGITS - 1, -1, -1, dtype=np.uint32)
    read = 0
    for degree in range(1, int(degrees[-1]) + 1):
        rows = np.flatnonzero(degrees == degree)  # consecutive, since the polynomials increase
        length = degree * (degree - 1) // 2
        stream = digits[read : read + rows.size * length].reshape(rows.size, length)
        read += stream.size
        directions[rows] = _recurrence(polynomials[rows], degree, stream)
    combined = directions.copy()
    combined[:, 1:] ^= directions[:, :-1]
    combined = _reversed(combined)
    combined.flags.writeable = False
    return combined


def _recurrence(polynomials: np.ndarray, degree: int, stream: np.ndarray) -> np.ndarray:
    """Direction numbers, first digit in the highest bit, of the dimensions of one degree s, by Joe and Kuo's equation (3).

    v_k = a_1 v_{k-1} ^ ... ^ a_{s-1} v_{k-s+1} ^ v_{k-s} ^ (v_{k-s} >> s), after v_k = m_k 2^(32-k) for k <= s.
    """
    v = np.empty((polynomials.size, DIGITS), np.uint32)
    for k in range(degree):
        number = np.ones(polynomials.size, np.uint32)
        for j in range(k):  # the digits of m_{k+1} between its leading place and the last, which is 1
            number |= stream[:, k * (k - 1) // 2 + j].astype(np.uint32) << np.uint32(k - j)
        v[:, k] = number << np.uint32(DIGITS - 1 - k)
    for k in range(degree, DIGITS):
        v[:, k] = v[:, k - degree] ^ (v[:, k - degree] >> np.uint32(degree))
        for j in range(1, degree):
            taken = (polynomials >> np.uint32(degree - j)) & np.uint32(1)
            v[:, k] ^= taken * v[:, k - j]
    return v


def _words(name: str, value: Any) -> jax.Array:
    if not isinstance(value, (jax.Array, np.ndarray, np.generic)) or value.dtype != np.uint32:
        kind = f"{value.dtype} array" if hasattr(value, "dtype") else f"{type(value).__name__} {value!r}"
        raise InputTypeError(f"{name}: {kind}; expected uint32, such as jnp.arange(n, dtype=jnp.uint32)")
    return jnp.asarray(value)


def _integer(name: str, value: Any, least: int, most: int) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise InputTypeError(f"{name}: {type(value).__name__} {value!r}; expected an integer") from error
    if not least <= number <= most:
        raise InputError(f"{name}: {number}; expected {least} ... {most}")
    return number
