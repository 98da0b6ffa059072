"""gpujax to a given standard error: Sobol points and control variates, with as few paths as reach it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
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
from benchmarks.contestants.monte_carlo_gpujax import KEY, NAME, american_pricer, model
from benchmarks.harness.measure import Contestant

__all__ = ["to_error"]

REPLICATES = 16
# A standard error from sixteen replicates is itself uncertain by a fifth.
MARGIN = 0.8


def to_error(c: Contract, dtype: str, target: np.ndarray) -> list[Contestant]:
    """The forms that suit the contract, each with as few paths as bring every standard error below its target."""
    mc = gj.monte_carlo
    sobol = mc.methods.Sobol(replicates=REPLICATES)
    if isinstance(c, AmericanPut):
        # The boundary of exercise is a jump, which costs Sobol points much of their gain.
        forms = {"antithetic": {"method": mc.methods.PseudoRandom(antithetic=True)}, "Sobol": {"method": sobol}}
        makers = {name: functools.partial(_american, c, dtype, form) for name, form in forms.items()}
    else:
        process, payoff, times = model(c)
        control = _controls(c, process, times)
        forms = {
            "Sobol": {"method": sobol},
            "Sobol, control": {"method": sobol, "control": control},
            "control": {"control": control},
        }
        makers = {
            name: functools.partial(_european, process, payoff, times, dtype, form) for name, form in forms.items()
        }
    return [_contestant(f"{NAME}, {name}", make, target) for name, make in makers.items()]


def _european(process: Any, payoff: Any, times: Any, dtype: str, form: dict[str, Any], paths: int) -> Any:
    def price() -> Any:
        found = gj.monte_carlo.price(process, payoff, key=KEY, paths=paths, times=times, dtype=dtype, **form)
        return [jax.block_until_ready(found)]

    return price


def _american(c: AmericanPut, dtype: str, form: dict[str, Any], paths: int) -> Any:
    return american_pricer(c, dtype, paths, **form)


def _contestant(name: str, make: Any, target: np.ndarray) -> Contestant:
    paths = REPLICATES * 32
    while np.any(np.array([float(e.standard_error) for e in make(paths)()]) > MARGIN * target):
        paths *= 2

    def found(estimates: Any) -> Any:
        return answer([e.value for e in estimates], [e.standard_error for e in estimates], paths)

    how = f"{name.partition(', ')[2]}: {paths:,} paths, the fewest by doubling that reach the error"
    return Contestant(name, how, make(paths), 1, found, ours=True)


def _controls(c: Contract, process: Any, times: Any) -> Any:
    mc = gj.monte_carlo
    if isinstance(c, AsianCall):
        return mc.geometric_average(process, strike=c.strike, times=times)
    forward = mc.payoffs.european(strike=0.0)
    if isinstance(c, HestonCall):
        return mc.Control(forward, c.spot)
    if not isinstance(c, BasketCall):
        raise TypeError(f"no control for {c}")
    # The geometric mean of lognormal prices is lognormal, so that its option has Black's price.
    variance = c.volatility**2 * (1 + (c.assets - 1) * c.correlation) / c.assets
    mean = c.spot * np.exp((c.rate - 0.5 * c.volatility**2 + 0.5 * variance) * c.expiry)
    value = gj.black76.price(forward=mean, strike=c.strike, expiry=c.expiry, volatility=np.sqrt(variance), rate=c.rate)
    geometric = mc.payoffs.on(_geometric_mean, mc.payoffs.european(strike=c.strike))
    return [mc.Control(geometric, value), mc.Control(mc.payoffs.on(_mean, forward), c.spot)]


def _geometric_mean(spots: tuple[jax.Array, ...]) -> jax.Array:
    return jnp.exp(sum(map(jnp.log, spots[1:]), jnp.log(spots[0])) / len(spots))


def _mean(spots: tuple[jax.Array, ...]) -> jax.Array:
    return sum(spots[1:], spots[0]) / len(spots)
