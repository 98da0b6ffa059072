"""stochastic-rs: paths from Rust on all cores, as NumPy arrays; the payoffs are then NumPy's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contestants.monte_carlo_contracts import AsianCall, Contract, HestonCall, sample_answer
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["american", "asian", "basket", "heston"]

NAME = "stochastic-rs"
KINDS = {"float64": "f64", "float32": "f32"}

stochastic_rs, ABSENT = load(NAME, "stochastic_rs")


def asian(c: AsianCall, dtype: str) -> list[Contestant | Absent]:
    """`PyGbm.sample_par`, then the mean of every row."""
    if ABSENT:
        return ABSENT
    process = stochastic_rs.PyGbm(c.rate, c.volatility, c.steps + 1, x0=c.spot, t=c.expiry, seed=7, dtype=KINDS[dtype])

    def payoffs() -> np.ndarray:
        return np.maximum(process.sample_par(c.paths)[:, 1:].mean(axis=1) - np.dtype(dtype).type(c.strike), 0)

    return _sampled(c, payoffs, "PyGbm.sample_par")


def heston(c: HestonCall, dtype: str) -> list[Contestant | Absent]:
    """`PyHeston.sample_par`, whose scheme is Euler's."""
    if ABSENT:
        return ABSENT
    process = stochastic_rs.PyHeston(c.kappa, c.theta, c.sigma, c.rho, c.rate, c.steps + 1, s0=c.spot, v0=c.v0, t=c.expiry,
                                     seed=7, dtype=KINDS[dtype])  # fmt: skip

    def payoffs() -> np.ndarray:
        return np.maximum(process.sample_par(c.paths)[0][:, -1] - np.dtype(dtype).type(c.strike), 0)

    return _sampled(c, payoffs, "PyHeston.sample_par")


def basket(c: Contract, dtype: str) -> list[Contestant | Absent]:
    return ABSENT or [Absent(f"{NAME}, basket call", "it has no paths of several correlated assets")]


def american(c: Contract, dtype: str) -> list[Contestant | Absent]:
    return ABSENT or [Absent(f"{NAME}, American put", "it has no early exercise by simulation")]


def _sampled(c: Contract, payoffs: Callable[[], np.ndarray], what: str) -> list[Contestant | Absent]:
    discount = math.exp(-c.rate * c.expiry)

    def call() -> tuple[float, float]:
        paid = payoffs()
        return paid.sum(dtype=np.float64), np.square(paid).sum(dtype=np.float64)

    def found(sums: Any) -> Any:
        return sample_answer(discount * sums[0], discount**2 * sums[1], c.paths)

    return [Contestant(NAME, f"{what}: all paths in one array of the row's dtype; the payoffs are NumPy's", call,
                       c.paths * c.steps, found)]  # fmt: skip
