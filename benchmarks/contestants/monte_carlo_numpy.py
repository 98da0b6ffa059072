"""NumPy: array expressions over blocks of paths that stay in the cache, on as many threads as there are cores.

NumPy's generators and ufuncs release the interpreter's lock, so that threads help; its documentation's way to random
numbers on several threads is one generator for each ("Multithreaded Generation"). SFC64 is its fastest, and the normals come
from the ziggurat method.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.contestants.monte_carlo_contracts import (
    AmericanPut,
    AsianCall,
    BasketCall,
    Contract,
    HestonCall,
    sample_answer,
)
from benchmarks.harness.measure import Contestant

__all__ = ["american", "asian", "basket", "heston"]

NAME = "NumPy, threads"
HOW = "blocks of paths that stay in the cache, one thread and one SFC64 generator a core, results written in place"
BLOCK = 8192

Generator = np.random.Generator


def asian(c: AsianCall, dtype: str) -> list[Contestant]:
    """Log prices and running sums of a block, step by step."""
    step = c.expiry / c.steps
    kind = np.dtype(dtype).type
    drift, spread = kind((c.rate - 0.5 * c.volatility**2) * step), kind(c.volatility * math.sqrt(step))

    def payoffs(draw: Generator, paths: int) -> np.ndarray:
        x, seen, z = np.zeros(paths, dtype), np.zeros(paths, dtype), np.empty(paths, dtype)
        for _ in range(c.steps):
            draw.standard_normal(dtype=dtype, out=z)
            z *= spread
            z += drift
            x += z
            seen += np.exp(x, out=z)
        seen *= kind(c.spot / c.steps)
        return np.maximum(seen - kind(c.strike), 0)

    return _sampled(c, payoffs)


def basket(c: BasketCall, dtype: str) -> list[Contestant]:
    """Log prices `[assets, paths]` of a block, correlated by a matrix product with the Cholesky factor."""
    step = c.expiry / c.steps
    kind = np.dtype(dtype).type
    correlation = np.full((c.assets, c.assets), c.correlation)
    np.fill_diagonal(correlation, 1.0)
    factor = (c.volatility * math.sqrt(step) * np.linalg.cholesky(correlation)).astype(dtype)
    drift = kind((c.rate - 0.5 * c.volatility**2) * step)

    def payoffs(draw: Generator, paths: int) -> np.ndarray:
        x, z, moved = (np.zeros((c.assets, paths), dtype) for _ in range(3))
        for _ in range(c.steps):
            draw.standard_normal(dtype=dtype, out=z)
            np.matmul(factor, z, out=moved)
            moved += drift
            x += moved
        return np.maximum(kind(c.spot) * np.exp(x, out=x).mean(axis=0) - kind(c.strike), 0)

    return _sampled(c, payoffs, block=2048)


def heston(c: HestonCall, dtype: str) -> list[Contestant]:
    """Full-truncation Euler on the log price of a block."""
    step = c.expiry / c.steps
    kind = np.dtype(dtype).type
    half, growth, pull = kind(0.5 * step), kind(c.rate * step), kind(c.kappa * step)
    theta, with_price, rest = kind(c.theta), kind(c.sigma * c.rho), kind(c.sigma * math.sqrt(1.0 - c.rho**2))

    def payoffs(draw: Generator, paths: int) -> np.ndarray:
        x, v = np.zeros(paths, dtype), np.full(paths, c.v0, dtype)
        z, positive, root = np.empty((2, paths), dtype), np.empty(paths, dtype), np.empty(paths, dtype)
        for _ in range(c.steps):
            draw.standard_normal(dtype=dtype, out=z)
            np.maximum(v, 0, out=positive)
            np.sqrt(np.multiply(positive, kind(step), out=root), out=root)
            z *= root
            x += growth - half * positive
            x += z[0]
            v += pull * (theta - positive)
            z[0] *= with_price
            z[1] *= rest
            v += z[0]
            v += z[1]
        return np.maximum(kind(c.spot) * np.exp(x) - kind(c.strike), 0)

    return _sampled(c, payoffs)


def american(c: AmericanPut, dtype: str) -> list[Contestant]:
    """Longstaff-Schwartz: paths by threads, then regressions on those in the money, by normal equations."""
    step = c.expiry / c.steps
    kind = np.dtype(dtype).type
    drift, spread = kind((c.rate - 0.5 * c.volatility**2) * step), kind(c.volatility * math.sqrt(step))
    strike, discount = kind(c.strike), kind(math.exp(-c.rate * step))
    generators = _generators()

    def simulate(prices: np.ndarray, spot: float) -> None:
        def fill(share: int) -> None:
            draw, count = generators[share], len(generators)
            for first, last in _blocks(c.paths * share // count, c.paths * (share + 1) // count, BLOCK):
                x = np.full(last - first, math.log(spot), dtype)
                z = np.empty_like(x)
                for k in range(c.steps):
                    draw.standard_normal(dtype=dtype, out=z)
                    z *= spread
                    z += drift
                    x += z
                    np.exp(x, out=prices[k, first:last])

        list(_pool().map(fill, range(len(generators))))

    def value(prices: np.ndarray, spot: float) -> tuple[float, float]:
        simulate(prices, spot)
        paid = np.maximum(strike - prices[-1], 0)
        for price in prices[-2::-1]:
            paid *= discount
            in_money = np.flatnonzero(price < strike)
            chosen, held = price[in_money], paid[in_money]
            u = (chosen * kind(1.0 / c.strike) - kind(c.centre)) * kind(1.0 / c.width)
            powers = np.stack([np.ones_like(u), u, u * u, u * u * u])
            normal = (powers @ powers.T).astype(np.float64) + 1e-9 * np.eye(4)
            policy = np.linalg.solve(normal, (powers @ held).astype(np.float64)).astype(dtype)
            exercised = strike - chosen
            paid[in_money] = np.where(exercised > policy @ powers, exercised, held)
        paid *= discount
        return paid.sum(dtype=np.float64), np.square(paid).sum(dtype=np.float64)

    prices = np.empty((c.steps, c.paths), dtype)

    def call() -> list[tuple[float, float]]:
        return [value(prices, spot) for spot in c.spots]

    how = f"paths by {len(generators)} threads into one array made beforehand, cubic by normal equations; {HOW}"
    return [Contestant(NAME, how, call, c.paths * c.steps * len(c.spots),
                       lambda got: sample_answer(*np.array(got).T, c.paths))]  # fmt: skip


def _sampled(c: Contract, payoffs: Callable[[Generator, int], np.ndarray], block: int = BLOCK) -> list[Contestant]:
    generators, discount = _generators(), math.exp(-c.rate * c.expiry)

    def share(index: int) -> tuple[float, float]:
        total = squares = 0.0
        count = len(generators)
        for first, last in _blocks(c.paths * index // count, c.paths * (index + 1) // count, block):
            paid = payoffs(generators[index], last - first)
            total += paid.sum(dtype=np.float64)
            squares += np.square(paid).sum(dtype=np.float64)
        return total, squares

    def call() -> Any:
        return np.sum(list(_pool().map(share, range(len(generators)))), axis=0)

    return [Contestant(NAME, HOW, call, c.paths * c.steps,
                       lambda sums: sample_answer(discount * sums[0], discount**2 * sums[1], c.paths))]  # fmt: skip


def _generators() -> list[Generator]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [np.random.Generator(np.random.SFC64(s)) for s in np.random.SeedSequence(20021107).spawn(cores)]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(_generators()))


def _blocks(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    return [(first, min(first + size, stop)) for first in range(start, stop, size)]
