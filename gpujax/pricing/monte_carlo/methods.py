"""Methods: which random or quasi-random numbers paths are made of.

A method says how many independent samples the error comes from. Pseudo-random paths are each a sample of its own. The other
methods make paths depend on each other so that their errors cancel, and so the whole set of paths is repeated with independent
randomness, and the error comes from the differences between the repetitions.
"""

import dataclasses
import math
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.brownian import CONSTRUCTIONS, brownian_increments
from gpujax.numerics.random import normal, normal_pair, threefry, uniform
from gpujax.numerics.sobol import MAX_DIMENSIONS, SCRAMBLES, sobol_dimension, sobol_directions, sobol_seeds
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.simulation import Numbers

__all__ = ["LatinHypercube", "Layout", "Method", "MomentMatched", "PseudoRandom", "Sobol", "whole"]


class Layout(NamedTuple):
    """How many numbers a path takes: steps, and in each so many normal and uniform ones."""

    steps: int
    normals: int
    uniforms: int

    @classmethod
    def of(cls, process: Process, steps: int) -> "Layout":
        """The layout of a process over so many steps."""
        return cls(steps, process.normals, getattr(process, "uniforms", 0))

    @property
    def each(self) -> int:
        """Numbers a step."""
        return self.normals + self.uniforms


class Method:
    """What the engine asks of a method; methods are frozen dataclasses, static to JAX: equal ones share a program.

    Fields:
        antithetic: whether each path has a mirror image, the mean of both being one sample.
        whole: whether all numbers of a block are made at once.
        indivisible: whether samples that depend on each other have to be in one block.
        needs_times: whether numbers depend on the times, which then have to be known before anything is compiled.
    """

    antithetic: bool = False
    whole: ClassVar[bool] = False
    indivisible: ClassVar[bool] = False

    @property
    def needs_times(self) -> bool:
        return False

    def points(self, samples: int) -> int | None:
        """How many samples depend on each other; None where every one is independent."""
        return None

    def check(self, paths: int, layout: Layout) -> None:
        """Refuse numbers of paths or dimensions that the method cannot give."""

    def numbers(self, key: Any, path: jax.Array, points: int, layout: Layout, dtype: Any, times: Any) -> Numbers:
        """The numbers of the paths `path`, of which `points` follow each other in one repetition."""
        raise NotImplementedError


class _Repeated(Method):
    """A point set that is repeated with independent randomness, a power of two of points each time."""

    replicates: int
    construction: str
    whole = True

    def __post_init__(self) -> None:
        _check_replicates(self.replicates)
        _check_choice("construction", self.construction, CONSTRUCTIONS)

    @property
    def needs_times(self) -> bool:
        return self.construction != "incremental"

    def points(self, samples: int) -> int | None:
        return samples // self.replicates

    def check(self, paths: int, layout: Layout) -> None:
        _check_power_of_two(paths, self.replicates)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoRandom(Method):
    """Independent paths from Threefry counters; the default.

    The number with index i of step k of path p is the word counted (p, (k // 2) (normals + uniforms) + i): it does not depend on
    the block, its size or the device.

    Arguments:
        antithetic: whether each path is followed by its mirror image, all normals with the other sign (J. M. Hammersley and K. W.
            Morton 1956). Then `paths` must be even, and the mean of the two is one sample. Halves the variance or better where
            the payoff is monotonic in the normals; useless where it is even in them, a straddle. Saves half of the drawing too.
    """

    antithetic: bool = False

    def check(self, paths: int, layout: Layout) -> None:
        if self.antithetic and paths % 2:
            raise InputError(f"paths: {paths}; expected an even number, for antithetic paths come in pairs")

    def numbers(self, key: Any, path: jax.Array, points: int, layout: Layout, dtype: Any, times: Any) -> Numbers:
        def draw(pair: jax.Array) -> tuple[jax.Array, ...]:
            first = pair.astype(jnp.uint32) * jnp.uint32(layout.each)
            drawn = []
            for i in range(layout.each):
                words = threefry(key, (path, first + jnp.uint32(i)))
                drawn.append(normal_pair(words, dtype) if i < layout.normals else [uniform(w, dtype) for w in words])
            return tuple(lax.complex(*two) for two in drawn)

        return draw


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sobol(_Repeated):
    """Scrambled Sobol points: randomised quasi-Monte Carlo.

    Errors fall like N^-1 and better where the payoff is smooth in few directions, instead of N^-1/2. Numbers are given to the
    Brownian motion in order of importance (`numerics.brownian`): the best dimensions decide its value at the last time.

    Arguments:
        replicates: independent scrambles, from which the standard error comes; at least 2, and it is itself uncertain by
            1 / √(2 (replicates - 1)), a fifth for 16. `paths` is to be replicates times a power of two.
        construction: "bridge", "pca" or "incremental".
        scramble: "owen", or "shift" which is cheaper and gains less.

    A path takes steps * (normals + uniforms) dimensions, 21,201 at most.

    Source: A. B. Owen, "Scrambled net variance for integrals of smooth functions", Annals of Statistics 25 (1997), 1541-1562;
    P. L'Ecuyer, "Randomized quasi-Monte Carlo: an introduction for practitioners" (2018).
    """

    replicates: int = 16
    construction: Literal["bridge", "pca", "incremental"] = "bridge"
    scramble: Literal["owen", "shift"] = "owen"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("scramble", self.scramble, SCRAMBLES)

    def check(self, paths: int, layout: Layout) -> None:
        super().check(paths, layout)
        dimensions = layout.steps * layout.each
        if dimensions > MAX_DIMENSIONS:
            raise InputError(
                f"times: {layout.steps} steps of {layout.each} numbers take {dimensions} dimensions; Sobol points have "
                f"{MAX_DIMENSIONS}: take fewer steps, or methods.PseudoRandom()"
            )

    def numbers(self, key: Any, path: jax.Array, points: int, layout: Layout, dtype: Any, times: Any) -> Numbers:
        dimensions = layout.steps * layout.each
        directions = sobol_directions(dimensions, max(1, (points - 1).bit_length()))
        seeds = sobol_seeds(key, dimensions, path[0] // jnp.uint32(points))
        index = path % jnp.uint32(points)

        def one(row: Any) -> jax.Array:
            return sobol_dimension(index, row[0], row[1], self.scramble)

        words = lax.map(one, (jnp.asarray(directions), seeds))
        return _from_words(words, layout, dtype, times, self.construction)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatinHypercube(_Repeated):
    """Stratification of every normal number by itself: of N paths, each holds one of the N equally likely strata of each number.

    With the Brownian bridge the first stratified number is the value at the last time, which decides most of a payoff; the
    variance that remains is that of what no sum of functions of single numbers explains. Never much worse than independent
    paths. `paths` is to be replicates times a power of two.

    Arguments:
        replicates: independent repetitions, from which the standard error comes; at least 2.
        construction: "bridge", "pca" or "incremental".

    Source: M. Stein, "Large sample properties of simulations using Latin hypercube sampling", Technometrics 29 (1987), 143-151;
    P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 4.4.
    """

    replicates: int = 16
    construction: Literal["bridge", "pca", "incremental"] = "bridge"

    def numbers(self, key: Any, path: jax.Array, points: int, layout: Layout, dtype: Any, times: Any) -> Numbers:
        index = path % jnp.uint32(points)
        replicate = path[0] // jnp.uint32(points)
        digits = max(1, (points - 1).bit_length())
        strata = (key[0] ^ jnp.uint32(_STRATA), key[1])

        def one(dimension: jax.Array) -> jax.Array:
            stratum = _shuffled(index, digits, threefry(strata, (dimension, replicate)))
            inside = threefry(key, (path, dimension))[0]
            return (stratum << jnp.uint32(32 - digits)) | (inside >> jnp.uint32(digits))

        words = lax.map(one, jnp.arange(layout.steps * layout.each, dtype=jnp.uint32))
        return _from_words(words, layout, dtype, times, self.construction)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MomentMatched(Method):
    """Batches of pseudo-random paths whose normal numbers have mean zero and variance one, exactly, in every step.

    Each batch estimates with a bias of order 1 / batch, which the standard error, from the differences between batches, does not
    show: take batches as large as the paths allow for at least ten of them.

    Arguments:
        batch: paths of a batch, up to 65,536; `paths` is to be a multiple of it, at least twice.

    Source: J. Barraquand, "Numerical valuation of high dimensional multivariate European securities", Management Science 41
    (1995), 1882-1891; P. Boyle, M. Broadie and P. Glasserman, "Monte Carlo methods for security pricing", Journal of Economic
    Dynamics and Control 21 (1997), 1267-1321, section 2.3.
    """

    batch: int = 8192
    whole = True
    indivisible = True

    def __post_init__(self) -> None:
        if not isinstance(self.batch, int) or not 2 <= self.batch <= _LARGEST_BATCH:
            raise InputError(f"batch: {self.batch!r}; expected an integer from 2 to {_LARGEST_BATCH}")

    def points(self, samples: int) -> int | None:
        return self.batch

    def check(self, paths: int, layout: Layout) -> None:
        if paths % self.batch or paths < 2 * self.batch:
            raise InputError(
                f"paths: {paths}; expected a multiple of the batch, {self.batch}, at least {2 * self.batch}"
            )

    def numbers(self, key: Any, path: jax.Array, points: int, layout: Layout, dtype: Any, times: Any) -> Numbers:
        drawn = whole(PseudoRandom().numbers(key, path, points, layout, dtype, times), layout.steps)

        def matched(z: jax.Array) -> jax.Array:
            apart = z - jnp.mean(z, axis=1, keepdims=True)
            return apart / jnp.sqrt(jnp.mean(apart * apart, axis=1, keepdims=True))

        return tuple(matched(z) if i < layout.normals else z for i, z in enumerate(drawn))


def whole(numbers: Numbers, steps: int) -> tuple[jax.Array, ...]:
    """All numbers at once, a tuple of `[steps, paths]`."""
    if not callable(numbers):
        return numbers
    pairs = lax.map(numbers, jnp.arange((steps + 1) // 2, dtype=jnp.int32))
    return tuple(jnp.stack([z.real, z.imag], axis=1).reshape(-1, z.shape[-1])[:steps] for z in pairs)


# Keeps the orders of strata apart from the random numbers that a simulation draws with the same key.
_STRATA = 0x53545241
_LARGEST_BATCH = 1 << 16


def _shuffled(index: jax.Array, digits: int, seed: tuple[jax.Array, jax.Array]) -> jax.Array:
    """A random permutation of the numbers below 2^digits: additions, odd multiplications and shifts, each of which is one."""
    mask, shift = jnp.uint32((1 << digits) - 1), jnp.uint32(max(1, digits // 2))
    x = index
    for turn in range(4):
        add, odd = threefry(seed, (jnp.uint32(turn), jnp.uint32(0)))
        x = ((x + add) * (odd | jnp.uint32(1))) & mask
        x = x ^ (x >> shift)
    return x


def _from_words(words: jax.Array, layout: Layout, dtype: Any, times: Any, construction: str) -> tuple[jax.Array, ...]:
    """Numbers from words in order of importance, `[steps * each, paths]`."""
    words = words.reshape(layout.steps, layout.each, -1)
    normals = normal(words[:, : layout.normals], dtype)
    if construction != "incremental":
        deviations = np.sqrt(np.diff(times, prepend=0.0)).astype(dtype)
        normals = brownian_increments(times, normals, construction) / deviations[:, None, None]
    uniforms = uniform(words[:, layout.normals :], dtype)
    return (
        *(normals[:, i] for i in range(layout.normals)),
        *(uniforms[:, i] for i in range(layout.uniforms)),
    )


def _check_replicates(replicates: Any) -> None:
    if isinstance(replicates, bool) or not isinstance(replicates, int):
        raise InputTypeError(f"replicates: {replicates!r}; expected an integer")
    if replicates < 2:
        raise InputError(f"replicates: {replicates}; expected at least 2, for the error comes from their differences")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}: {value!r}; expected one of {', '.join(map(repr, choices))}")


def _check_power_of_two(paths: int, replicates: int) -> None:
    points = paths / replicates
    if points != int(points) or int(points) & (int(points) - 1):
        below = replicates << max(0, math.floor(math.log2(max(points, 1))))
        raise InputError(
            f"paths: {paths}; expected {replicates} replicates of a power of two each, such as {below} or {2 * below}"
        )
