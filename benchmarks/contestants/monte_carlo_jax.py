"""Plain JAX, as a competent user writes it: one `scan` over the dates, normals of `jax.random` (threefry2x32) in every step.

All paths advance together, as arrays of one number a path, so that memory does not grow with the steps. Only the regressions
keep every date, as they must.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contestants.monte_carlo_contracts import (
    AmericanPut,
    AsianCall,
    BasketCall,
    Contract,
    HestonCall,
    answer,
)
from benchmarks.harness.measure import Contestant

__all__ = ["american", "asian", "basket", "heston"]

NAME = "plain JAX, scan over dates"
HOW = "one jit, lax.scan over the dates, jax.random.normal (threefry2x32) in each step; mean and deviation summed in float64"


def asian(c: AsianCall, dtype: str) -> list[Contestant]:
    """The running sum of prices travels in the carry."""
    step = c.expiry / c.steps
    drift, spread = (c.rate - 0.5 * c.volatility**2) * step, c.volatility * math.sqrt(step)

    def payoffs(key: jax.Array) -> jax.Array:
        def advance(carry: Any, key: jax.Array) -> Any:
            x, seen = carry
            x = x + drift + spread * jax.random.normal(key, x.shape, x.dtype)
            return (x, seen + jnp.exp(x)), None

        zero = jnp.zeros(c.paths, dtype)
        (_, seen), _ = jax.lax.scan(advance, (zero, zero), jax.random.split(key, c.steps))
        return jnp.maximum(seen * (c.spot / c.steps) - c.strike, 0.0)

    return _sampled(c, payoffs)


def basket(c: BasketCall, dtype: str) -> list[Contestant]:
    """Log prices `[assets, paths]`, correlated by a matrix product with the Cholesky factor."""
    step = c.expiry / c.steps
    drift = (c.rate - 0.5 * c.volatility**2) * step
    correlation = np.full((c.assets, c.assets), c.correlation)
    np.fill_diagonal(correlation, 1.0)
    factor = (c.volatility * math.sqrt(step) * np.linalg.cholesky(correlation)).astype(dtype)

    def payoffs(key: jax.Array) -> jax.Array:
        def advance(x: jax.Array, key: jax.Array) -> Any:
            return x + drift + factor @ jax.random.normal(key, x.shape, x.dtype), None

        x, _ = jax.lax.scan(advance, jnp.zeros((c.assets, c.paths), dtype), jax.random.split(key, c.steps))
        return jnp.maximum(c.spot * jnp.mean(jnp.exp(x), axis=0) - c.strike, 0.0)

    return _sampled(c, payoffs)


def heston(c: HestonCall, dtype: str) -> list[Contestant]:
    """Full-truncation Euler on the log price."""
    step, rest = c.expiry / c.steps, math.sqrt(1.0 - c.rho**2)

    def payoffs(key: jax.Array) -> jax.Array:
        def advance(carry: Any, key: jax.Array) -> Any:
            x, v = carry
            z, other = jax.random.normal(key, (2, *x.shape), x.dtype)
            positive = jnp.maximum(v, 0.0)
            root = jnp.sqrt(positive * step)
            x = x + (c.rate - 0.5 * positive) * step + root * z
            v = v + c.kappa * step * (c.theta - positive) + c.sigma * root * (c.rho * z + rest * other)
            return (x, v), None

        start = (jnp.zeros(c.paths, dtype), jnp.full(c.paths, c.v0, dtype))
        (x, _), _ = jax.lax.scan(advance, start, jax.random.split(key, c.steps))
        return jnp.maximum(c.spot * jnp.exp(x) - c.strike, 0.0)

    return _sampled(c, payoffs)


def american(c: AmericanPut, dtype: str) -> list[Contestant]:
    """Longstaff-Schwartz: paths forward in one scan, regressions backward in another, by normal equations."""
    step = c.expiry / c.steps
    drift, spread, discount = (
        (c.rate - 0.5 * c.volatility**2) * step,
        c.volatility * math.sqrt(step),
        math.exp(-c.rate * step),
    )

    @jax.jit
    def value(key: jax.Array, spot: jax.Array) -> tuple[jax.Array, jax.Array]:
        def advance(x: jax.Array, key: jax.Array) -> Any:
            x = x + drift + spread * jax.random.normal(key, x.shape, x.dtype)
            return x, x

        _, logs = jax.lax.scan(advance, jnp.zeros(c.paths, dtype), jax.random.split(key, c.steps))
        prices = spot * jnp.exp(logs)

        def back(paid: jax.Array, price: jax.Array) -> Any:
            paid = paid * discount
            exercised = c.strike - price
            in_money = exercised > 0.0
            u = (price / c.strike - c.centre) / c.width
            powers = jnp.stack([jnp.ones_like(u), u, u * u, u * u * u])
            weighted = jnp.where(in_money, powers, 0.0)
            # Summed over paths: the matrix is four by four, and float32 is enough for it because u is of order one.
            normal = weighted @ powers.T + 1e-6 * jnp.eye(4, dtype=dtype)
            policy = jnp.linalg.solve(normal, weighted @ paid)
            return jnp.where(in_money & (exercised > policy @ powers), exercised, paid), None

        paid, _ = jax.lax.scan(back, jnp.maximum(c.strike - prices[-1], 0.0), prices[:-1], reverse=True)
        return _mean_and_error(discount * paid)

    spots = [jnp.asarray(s, dtype) for s in c.spots]
    keys = list(jax.random.split(jax.random.key(7, impl="threefry2x32"), len(spots)))

    def call() -> Any:
        return jax.block_until_ready([value(key, spot) for key, spot in zip(keys, spots, strict=True)])

    return [Contestant(NAME, f"cubic by normal equations; {HOW}", call, c.paths * c.steps * len(c.spots),
                       lambda got: answer(*np.array(got).T, c.paths))]  # fmt: skip


def _sampled(c: Contract, payoffs: Callable[[jax.Array], jax.Array]) -> list[Contestant]:
    discount = math.exp(-c.rate * c.expiry)
    value: Callable[[jax.Array], Any] = jax.jit(lambda key: _mean_and_error(discount * payoffs(key)))
    call = functools.partial(value, jax.random.key(7, impl="threefry2x32"))
    return [Contestant(NAME, HOW, lambda: jax.block_until_ready(call()), c.paths * c.steps,
                       lambda got: answer(*got, c.paths))]  # fmt: skip


def _mean_and_error(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    values = values.astype(jnp.float64)
    return jnp.mean(values), jnp.std(values, ddof=1) / math.sqrt(values.size)
