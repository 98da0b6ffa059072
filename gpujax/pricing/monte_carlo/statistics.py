"""Estimates, and the statistics of blocks of paths that they are made of."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Estimate", "Moments", "combine", "moments"]


class Estimate(NamedTuple):
    """A Monte Carlo estimate.

    Fields:
        value: the estimate.
        standard_error: one standard deviation of `value`, as estimated from the paths themselves.
        paths: how many independent samples it comes from.
    """

    value: Any
    standard_error: Any
    paths: int


class Moments(NamedTuple):
    """Count, mean and sum of squared deviations of samples, each `[...]`."""

    count: jax.Array
    mean: jax.Array
    squares: jax.Array


def moments(samples: jax.Array, counted: jax.Array, dtype: Any) -> Moments:
    """Moments of the samples `[paths]` that count, summed in `dtype`, in two passes so that nothing cancels."""
    weight = counted.astype(dtype)
    count = jnp.sum(weight)
    values = jnp.where(counted, samples.astype(dtype), jnp.zeros((), dtype))
    mean = jnp.sum(values) / jnp.maximum(count, 1)
    apart = jnp.where(counted, values - mean, jnp.zeros((), dtype))
    return Moments(count, mean, jnp.sum(apart * apart))


def combine(parts: Moments) -> Moments:
    """Moments of all from those of blocks, `[blocks]`: the same whatever computed the blocks, and in which order.

    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician 37 (1983),
    242-247, equation 2.1, for all parts at once.
    """
    count = jnp.sum(parts.count, axis=0)
    share = parts.count / jnp.maximum(count, 1)
    # About the first block's mean, so that the sum does not lose what the mean is large in.
    origin = parts.mean[0]
    mean = origin + jnp.sum(share * (parts.mean - origin), axis=0)
    squares = jnp.sum(parts.squares + parts.count * (parts.mean - mean) ** 2, axis=0)
    return Moments(count, mean, squares)


def estimate(found: Moments, paths: int) -> Estimate:
    """The mean and its standard error."""
    variance = found.squares / jnp.maximum(found.count - 1, 1)
    return Estimate(found.mean, jnp.sqrt(variance / jnp.maximum(found.count, 1)), paths)
