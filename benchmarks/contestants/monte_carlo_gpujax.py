"""gpujax as people call it: `monte_carlo.price` of a process and a payoff, plain Monte Carlo."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import gpujax as gj
from benchmarks.contestants.monte_carlo_contracts import (
    AmericanPut,
    AsianCall,
    BasketCall,
    Contract,
    HestonCall,
    answer,
)
from benchmarks.harness.measure import Absent, Contestant

__all__ = ["american", "asian", "basket", "heston"]

NAME = "gpujax"
HOW = "monte_carlo.price(process, payoff, key, paths, times, dtype), waits for the result"
KEY = 20021107


def asian(c: AsianCall, dtype: str) -> list[Contestant | Absent]:
    """An arithmetic average of geometric Brownian motion."""
    mc = gj.monte_carlo
    process = mc.processes.GeometricBrownianMotion(spot=c.spot, volatility=c.volatility, rate=c.rate)
    return _priced(c, dtype, process, mc.payoffs.asian(strike=c.strike))


def basket(c: BasketCall, dtype: str) -> list[Contestant | Absent]:
    """The mean of correlated assets, simulated at every date."""
    mc = gj.monte_carlo
    correlation = np.full((c.assets, c.assets), c.correlation)
    np.fill_diagonal(correlation, 1.0)
    process = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.full(c.assets, c.spot), volatility=np.full(c.assets, c.volatility), correlation=correlation, rate=c.rate
    )
    return _priced(c, dtype, process, mc.payoffs.basket(strike=c.strike, weights=(1.0 / c.assets,) * c.assets))


def heston(c: HestonCall, dtype: str) -> list[Contestant | Absent]:
    """Heston by the library's own scheme."""
    mc = gj.monte_carlo
    params = gj.heston.HestonParams(v0=c.v0, kappa=c.kappa, theta=c.theta, sigma=c.sigma, rho=c.rho)
    process = mc.processes.Heston(spot=c.spot, params=params, rate=c.rate)
    return _priced(c, dtype, process, mc.payoffs.european(strike=c.strike))


def american(c: AmericanPut, dtype: str) -> list[Contestant | Absent]:
    """Longstaff-Schwartz."""
    return [Absent(NAME, "this version has no early exercise by simulation")]


def _priced(c: Contract, dtype: str, process: Any, payoff: Any) -> list[Contestant | Absent]:
    times = c.expiry / c.steps * np.arange(1, c.steps + 1)

    def call() -> Any:
        return jax.block_until_ready(
            gj.monte_carlo.price(process, payoff, key=KEY, paths=c.paths, times=times, dtype=dtype)
        )

    def found(estimate: Any) -> Any:
        return answer(estimate.value, estimate.standard_error, c.paths)

    return [Contestant(NAME, HOW, call, c.paths * c.steps, found, ours=True)]
