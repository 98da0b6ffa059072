"""gpujax as people call it: `monte_carlo.price` of a process and a payoff, plain Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
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

__all__ = ["KEY", "NAME", "american", "american_pricer", "asian", "basket", "heston", "model"]

NAME = "gpujax"
HOW = "monte_carlo.price(process, payoff, key, paths, times, dtype), waits for the result"
KEY = 20021107
# Fitted with the noise as control, a cubic loses no more than with many times as many paths without it.
POLICY_PATHS = 4096


def asian(c: AsianCall, dtype: str) -> list[Contestant | Absent]:
    """An arithmetic average of geometric Brownian motion."""
    return _priced(c, dtype)


def basket(c: BasketCall, dtype: str) -> list[Contestant | Absent]:
    """The mean of correlated assets, simulated at every date."""
    return _priced(c, dtype)


def heston(c: HestonCall, dtype: str) -> list[Contestant | Absent]:
    """Heston by the library's own scheme."""
    return _priced(c, dtype)


def american(c: AmericanPut, dtype: str) -> list[Contestant | Absent]:
    """Longstaff-Schwartz out of sample: a cubic fitted to other paths, whose simulation and regressions are timed too."""

    def found(estimates: Any) -> Any:
        return answer([e.value for e in estimates], [e.standard_error for e in estimates], c.paths)

    how = f"monte_carlo.longstaff_schwartz(process, put, key, paths, times, dtype), a cubic fitted to {POLICY_PATHS:,} more paths"
    call = american_pricer(c, dtype, c.paths)
    return [Contestant(NAME, how, call, c.paths * c.steps * len(c.spots), found, ours=True)]


def american_pricer(c: AmericanPut, dtype: str, paths: int, **settings: Any) -> Callable[[], Any]:
    """A call that values the puts of all spots, each with a policy of its own."""
    mc = gj.monte_carlo
    put = mc.payoffs.european(strike=c.strike, is_call=False)
    times = c.expiry / c.steps * np.arange(1, c.steps + 1)
    run = {"key": KEY, "times": times, "basis": mc.bases.polynomial(3), "policy_paths": POLICY_PATHS, "dtype": dtype}

    def one(spot: float) -> Any:
        process = mc.processes.GeometricBrownianMotion(spot=spot, volatility=c.volatility, rate=c.rate)
        return mc.longstaff_schwartz(process, put, paths=paths, **run, **settings)

    return lambda: jax.block_until_ready([one(spot) for spot in c.spots])


def model(c: Contract) -> tuple[Any, Any, np.ndarray]:
    """The process, the payoff and the times of a European contract."""
    mc = gj.monte_carlo
    times = c.expiry / c.steps * np.arange(1, c.steps + 1)
    if isinstance(c, AsianCall):
        process = mc.processes.GeometricBrownianMotion(spot=c.spot, volatility=c.volatility, rate=c.rate)
        return process, mc.payoffs.asian(strike=c.strike), times
    if isinstance(c, HestonCall):
        params = gj.heston.HestonParams(v0=c.v0, kappa=c.kappa, theta=c.theta, sigma=c.sigma, rho=c.rho)
        return (
            mc.processes.Heston(spot=c.spot, params=params, rate=c.rate),
            mc.payoffs.european(strike=c.strike),
            times,
        )
    if not isinstance(c, BasketCall):
        raise TypeError(f"no European contract: {c}")
    correlation = np.full((c.assets, c.assets), c.correlation)
    np.fill_diagonal(correlation, 1.0)
    process = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.full(c.assets, c.spot), volatility=np.full(c.assets, c.volatility), correlation=correlation, rate=c.rate
    )
    return process, mc.payoffs.basket(strike=c.strike, weights=(1.0 / c.assets,) * c.assets), times


def _priced(c: Contract, dtype: str) -> list[Contestant | Absent]:
    process, payoff, times = model(c)

    def call() -> Any:
        return jax.block_until_ready(
            gj.monte_carlo.price(process, payoff, key=KEY, paths=c.paths, times=times, dtype=dtype)
        )

    def found(estimate: Any) -> Any:
        return answer(estimate.value, estimate.standard_error, c.paths)

    return [Contestant(NAME, HOW, call, c.paths * c.steps, found, ours=True)]
