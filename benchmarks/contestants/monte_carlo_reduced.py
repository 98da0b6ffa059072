"""gpujax to a given standard error: Sobol points and control variates, with as few paths as reach it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gpujax as gj
from benchmarks.contestants.monte_carlo_contracts import AsianCall, BasketCall, Contract, HestonCall, answer
from benchmarks.contestants.monte_carlo_gpujax import KEY, NAME, model
from benchmarks.harness.measure import Contestant

__all__ = ["to_error"]

REPLICATES = 16
# A standard error from sixteen replicates is itself uncertain by a fifth.
MARGIN = 0.8


def to_error(c: Contract, dtype: str, target: float) -> list[Contestant]:
    """Sobol points by a Brownian bridge, alone and with the control variates that the contract offers."""
    process, payoff, times = model(c)
    mc = gj.monte_carlo
    controls = _controls(c, process, times)
    forms = [
        ("Sobol", {"method": mc.methods.Sobol(replicates=REPLICATES)}),
        ("Sobol, control", {"method": mc.methods.Sobol(replicates=REPLICATES), "control": controls}),
        ("control", {"control": controls}),
    ]
    return [_contestant(f"{NAME}, {name}", process, payoff, times, dtype, target, form) for name, form in forms]


def _contestant(
    name: str, process: Any, payoff: Any, times: Any, dtype: str, target: float, form: dict[str, Any]
) -> Contestant:
    def price(paths: int) -> Any:
        found = gj.monte_carlo.price(process, payoff, key=KEY, paths=paths, times=times, dtype=dtype, **form)
        return jax.block_until_ready(found)

    paths = REPLICATES * 32
    while float(price(paths).standard_error) > MARGIN * target:
        paths *= 2

    def found(estimate: Any) -> Any:
        return answer(estimate.value, estimate.standard_error, paths)

    how = f"monte_carlo.price with {', '.join(form)}: {paths:,} paths, the fewest by doubling that reach the error"
    return Contestant(name, how, lambda: price(paths), 1, found, ours=True)


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
