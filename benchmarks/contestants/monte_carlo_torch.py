"""PyTorch on the CPU, eagerly: tensor expressions over all paths, written in place, on its own threads."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["american", "asian", "basket", "heston"]

NAME = "PyTorch CPU, eager"
HOW = "torch.randn a step into tensors of one number a path, operations in place; sums in float64"

torch, ABSENT = load(NAME, "torch")


def asian(c: AsianCall, dtype: str) -> list[Contestant | Absent]:
    """Log prices and running sums, step by step."""
    if ABSENT:
        return ABSENT
    step = c.expiry / c.steps
    drift, spread = (c.rate - 0.5 * c.volatility**2) * step, c.volatility * math.sqrt(step)

    def payoffs(draw: Any) -> Any:
        x, seen, z = (torch.zeros(c.paths, dtype=_kind(dtype)) for _ in range(3))
        for _ in range(c.steps):
            z.normal_(generator=draw)
            x.add_(z, alpha=spread).add_(drift)
            seen.add_(torch.exp(x, out=z))
        return seen.mul_(c.spot / c.steps).sub_(c.strike).clamp_(min=0.0)

    return _sampled(c, payoffs)


def basket(c: BasketCall, dtype: str) -> list[Contestant | Absent]:
    """Log prices `[assets, paths]`, correlated by a matrix product with the Cholesky factor."""
    if ABSENT:
        return ABSENT
    step = c.expiry / c.steps
    correlation = np.full((c.assets, c.assets), c.correlation)
    np.fill_diagonal(correlation, 1.0)
    factor = torch.tensor(c.volatility * math.sqrt(step) * np.linalg.cholesky(correlation), dtype=_kind(dtype))
    drift = (c.rate - 0.5 * c.volatility**2) * step

    def payoffs(draw: Any) -> Any:
        x, z = (torch.zeros((c.assets, c.paths), dtype=_kind(dtype)) for _ in range(2))
        for _ in range(c.steps):
            z.normal_(generator=draw)
            x.addmm_(factor, z).add_(drift)
        return x.exp_().mean(dim=0).mul_(c.spot).sub_(c.strike).clamp_(min=0.0)

    return _sampled(c, payoffs)


def heston(c: HestonCall, dtype: str) -> list[Contestant | Absent]:
    """Full-truncation Euler on the log price."""
    if ABSENT:
        return ABSENT
    step, rest = c.expiry / c.steps, math.sqrt(1.0 - c.rho**2)

    def payoffs(draw: Any) -> Any:
        x, v = torch.zeros(c.paths, dtype=_kind(dtype)), torch.full((c.paths,), c.v0, dtype=_kind(dtype))
        z = torch.empty((2, c.paths), dtype=_kind(dtype))
        for _ in range(c.steps):
            z.normal_(generator=draw)
            positive = v.clamp(min=0.0)
            z.mul_(torch.sqrt(positive * step))
            x.add_(z[0]).add_(positive, alpha=-0.5 * step).add_(c.rate * step)
            v.add_(positive, alpha=-c.kappa * step).add_(c.kappa * c.theta * step)
            v.add_(z[0], alpha=c.sigma * c.rho).add_(z[1], alpha=c.sigma * rest)
        return x.exp_().mul_(c.spot).sub_(c.strike).clamp_(min=0.0)

    return _sampled(c, payoffs)


def american(c: AmericanPut, dtype: str) -> list[Contestant | Absent]:
    """Longstaff-Schwartz: paths, then regressions on those in the money, by normal equations."""
    if ABSENT:
        return ABSENT
    step = c.expiry / c.steps
    drift, spread, discount = (
        (c.rate - 0.5 * c.volatility**2) * step,
        c.volatility * math.sqrt(step),
        math.exp(-c.rate * step),
    )
    prices, draw = torch.empty((c.steps, c.paths), dtype=_kind(dtype)), torch.Generator().manual_seed(7)

    def value(spot: float) -> tuple[float, float]:
        x = torch.full((c.paths,), math.log(spot), dtype=_kind(dtype))
        for price in prices:
            x.add_(price.normal_(generator=draw), alpha=spread).add_(drift)
            torch.exp(x, out=price)
        paid = (c.strike - prices[-1]).clamp_(min=0.0)
        for k in range(c.steps - 2, -1, -1):
            paid.mul_(discount)
            (in_money,) = torch.nonzero(prices[k] < c.strike, as_tuple=True)
            chosen, held = prices[k][in_money], paid[in_money]
            u = chosen.mul(1.0 / c.strike).sub_(c.centre).mul_(1.0 / c.width)
            powers = torch.stack([torch.ones_like(u), u, u * u, u * u * u])
            normal = (powers @ powers.T).double() + 1e-9 * torch.eye(4, dtype=torch.float64)
            policy = torch.linalg.solve(normal, (powers @ held).double()).to(u.dtype)
            exercised = c.strike - chosen
            paid[in_money] = torch.where(exercised > policy @ powers, exercised, held)
        return _sums(paid.mul_(discount))

    def call() -> list[tuple[float, float]]:
        return [value(spot) for spot in c.spots]

    return [Contestant(NAME, f"cubic by normal equations; {HOW}", call,
                       c.paths * c.steps * len(c.spots), lambda got: sample_answer(*np.array(got).T, c.paths))]  # fmt: skip


def _sampled(c: Contract, payoffs: Callable[[Any], Any]) -> list[Contestant | Absent]:
    draw, discount = torch.Generator().manual_seed(7), math.exp(-c.rate * c.expiry)
    return [Contestant(NAME, HOW, lambda: _sums(payoffs(draw)), c.paths * c.steps,
                       lambda sums: sample_answer(discount * sums[0], discount**2 * sums[1], c.paths))]  # fmt: skip


def _kind(dtype: str) -> Any:
    return getattr(torch, dtype)


def _sums(values: Any) -> tuple[float, float]:
    return values.sum(dtype=torch.float64).item(), (values * values).sum(dtype=torch.float64).item()
