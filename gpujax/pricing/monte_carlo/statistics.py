"""Estimates, and the statistics of blocks of paths that they are made of."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["Estimate", "Moments", "combine", "estimates", "merge", "moments", "of_means"]


class Estimate(NamedTuple):
    """A Monte Carlo estimate.

    Fields:
        value: the estimate.
        standard_error: one standard deviation of `value`, as estimated from the samples themselves.
        paths: how many paths it comes from.
    """

    value: Any
    standard_error: Any
    paths: int


class Moments(NamedTuple):
    """Moments of q quantities and c control variates over a block of paths; leading axes are blocks.

    Fields:
        count: samples, `[...]`.
        mean, square: mean and sum of squared deviations of each quantity, `[..., q]`.
        control_mean, control_square: mean `[..., c]` and sums of products of deviations `[..., c, c]` of the controls.
        cross: sums of products of the deviations of quantities and controls, `[..., q, c]`.
    """

    count: jax.Array
    mean: jax.Array
    square: jax.Array
    control_mean: jax.Array
    control_square: jax.Array
    cross: jax.Array


def moments(quantities: list[jax.Array], controls: list[jax.Array], counted: jax.Array, dtype: Any) -> Moments:
    """Moments of the samples `[paths]` that count, summed in `dtype`, in two passes so that nothing cancels."""
    count = jnp.sum(counted.astype(dtype))

    def centred(samples: jax.Array) -> tuple[jax.Array, jax.Array]:
        values = jnp.where(counted, samples.astype(dtype), jnp.zeros((), dtype))
        mean = jnp.sum(values) / jnp.maximum(count, 1)
        return mean, jnp.where(counted, values - mean, jnp.zeros((), dtype))

    ys, xs = [centred(y) for y in quantities], [centred(x) for x in controls]

    def products(rows: list[Any], columns: list[Any]) -> jax.Array:
        sums = [jnp.sum(a * b) for _, a in rows for _, b in columns]
        return jnp.stack(sums).reshape(len(rows), len(columns)) if sums else jnp.zeros((len(rows), len(columns)), dtype)

    return Moments(
        count,
        jnp.stack([mean for mean, _ in ys]),
        jnp.stack([jnp.sum(a * a) for _, a in ys]),
        jnp.stack([mean for mean, _ in xs]) if xs else jnp.zeros(0, dtype),
        products(xs, xs),
        products(ys, xs),
    )


def combine(parts: Moments) -> Moments:
    """Moments of all from those of blocks, `[blocks, ...]`: the same whatever computed the blocks, and in which order.

    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician 37 (1983),
    242-247, equation 2.1, for all parts at once.
    """
    counts = parts.count[:, None]
    share = counts / jnp.maximum(jnp.sum(counts), 1)

    def mean_of(means: jax.Array) -> tuple[jax.Array, jax.Array]:
        # About the first block's mean, so that the sum does not lose what the mean is large in.
        mean = means[:1] + jnp.sum(share * (means - means[:1]), axis=0, keepdims=True)
        return mean[0], means - mean

    mean, apart = mean_of(parts.mean)
    control_mean, control_apart = mean_of(parts.control_mean)
    weighted = counts * control_apart
    return Moments(
        jnp.sum(parts.count),
        mean,
        jnp.sum(parts.square + counts * apart * apart, axis=0),
        control_mean,
        jnp.sum(parts.control_square, axis=0) + _outer(weighted, control_apart),
        jnp.sum(parts.cross, axis=0) + _outer(apart, weighted),
    )


def merge(first: Moments, second: Moments) -> Moments:
    """Moments of two sets of samples together."""
    return combine(jax.tree.map(lambda a, b: jnp.stack([a, b]), first, second))


def of_means(parts: Moments) -> Moments:
    """Moments of the means of parts, `[parts, ...]`: each part is one sample."""
    one = jnp.ones_like(parts.count)
    nothing = jax.tree.map(jnp.zeros_like, parts)
    return combine(nothing._replace(count=one, mean=parts.mean, control_mean=parts.control_mean))


def estimates(found: Moments, expected: jax.Array, repeated: Moments | None = None) -> tuple[jax.Array, jax.Array]:
    """Values and standard errors `[q]` from the moments of all samples.

    Arguments:
        expected: known expectations of the controls, `[c]`.
        repeated: moments of the means of independent repetitions, where samples depend on each other within one; errors then come
            from the differences between the repetitions.
    """
    controls = expected.shape[0]
    # Taken as given by whatever differentiates: what their own derivative adds is of the order of their bias.
    coefficients = lax.stop_gradient(_coefficients(found))
    value = found.mean - jnp.sum(coefficients * (found.control_mean - expected)[None], axis=1)
    # What is left of the samples when the controls are taken out; the coefficients take as many degrees of freedom.
    of, free = (found, 1 + controls) if repeated is None else (repeated, 1)
    explained = jnp.sum(coefficients[:, :, None] * of.control_square[None], axis=1) - 2 * of.cross
    residual = jnp.maximum(of.square + jnp.sum(coefficients * explained, axis=1), 0)
    return value, jnp.sqrt(residual / jnp.maximum(of.count - free, 1) / jnp.maximum(of.count, 1))


def _coefficients(found: Moments) -> jax.Array:
    """Regression coefficients of the quantities on the controls, `[q, c]`."""
    controls = found.control_mean.shape[-1]
    if not controls:
        return jnp.zeros_like(found.cross)
    scale = jnp.sqrt(jnp.diagonal(found.control_square))
    safe = jnp.where(scale > 0, scale, jnp.ones_like(scale))
    # A ridge at the level of rounding: controls that are copies of each other share their coefficient.
    ridge = 1e3 * float(jnp.finfo(scale.dtype).eps) * jnp.eye(controls, dtype=scale.dtype)
    correlation = found.control_square / (safe[:, None] * safe[None, :]) + ridge
    return jnp.linalg.solve(correlation, (found.cross / safe[None, :]).T).T / safe[None, :]


def _outer(left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.sum(left[:, :, None] * right[:, None, :], axis=0)
