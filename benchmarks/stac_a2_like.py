"""American best-of call on five correlated Heston assets: price, all first-order Greeks, gammas and cross-gammas, cold and warm.

    python benchmarks/stac_a2_like.py [--quick] [--size N] [--rounds N] [--output FOLDER]

The workload is like that of the STAC-A2 GREEKS benchmark (25,000 paths, 252 steps), whose exact parameters are not public, so
that its records give an order of magnitude only: 18 ms warm and 138 ms cold on four A100 (2022). Here a policy is fitted by
Longstaff and Schwartz's regression on as many paths as are then valued, the value and its gradient by every parameter come from
reverse differentiation under that policy, and second derivatives by spots from central differences of the gradient on the same
random numbers. Theta comes from the others: in units of time stretched by c, rates, yields, speeds, variances and volatilities of
variance are c times as large, so that T dV/dT is the sum of each of these times the derivative by it.

It checks itself: the deltas against central differences of the value, float32 against float64, the symmetry
of the matrix of second derivatives.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from rich.table import Table

from benchmarks.harness.command import configure, parser, save, wide_console
from benchmarks.harness.facts import facts

STRIKE, KEY = 100.0, 20260101
REPETITIONS = 8
PARAMETERS = ("spot", "params.v0", "params.kappa", "params.theta", "params.sigma", "params.rho", "correlation", "rate",
              "dividend_yield")  # fmt: skip
# What scales with a unit of time; sigma too, for variances are per unit of time and so are their squares' increments.
SCALING = ("params.v0", "params.kappa", "params.theta", "params.sigma", "rate", "dividend_yield")


def main(argv: list[str] | None = None) -> int:
    """Run the workload; returns 0 where all its checks hold, else 1."""
    options = parser(__doc__, size=25_000, rounds=3).parse_args(argv)
    assets, steps, dtypes = 5, 252, ("float64", "float32")
    if options.quick:
        options.size, options.rounds = min(options.size, 1024), 1
        assets, steps, dtypes = 2, 6, ("float64",)
    configure(quick=options.quick)
    console = wide_console()
    results: list[dict[str, Any]] = []
    right = True
    for dtype in dtypes:
        run, checks = measured(assets, options.size, steps, options.rounds, dtype)
        results.append(run)
        if dtype == "float32":
            checks = {"deltas less those in float64, in standard errors": apart(run["values"], results[0]["values"])}
        table = Table(title=f"{options.size:,} paths x {steps} steps, {assets} assets, {dtype}", title_justify="left")
        for heading in ("part", "cold s", "warm s (median)", "per path-step-asset, warm ns"):
            table.add_column(heading, justify="left" if heading == "part" else "right")
        for part, seconds in run["seconds"].items():
            warm = statistics.median(seconds["warm"])
            each = f"{1e9 * warm / (options.size * steps * assets):.1f}"
            table.add_row(part, f"{seconds['cold']:.2f}", f"{warm:.3f}", each)
        console.print(table)
        shown = run["values"]
        console.print(
            f"value {shown['value']:.4f} ± {shown['value error']:.4f}; deltas {np.round(shown['spot'], 4).tolist()}; gammas "
            f"{np.round(np.diagonal(shown['gamma']), 5).tolist()}; theta {shown['theta']:.3f}",
            highlight=False,
        )
        for name, (found, allowed) in checks.items():
            holds = found <= allowed
            right = right and holds
            console.print(f"  {'holds' if holds else 'WRONG'}: {name}: {found:.2g}, at most {allowed:.2g}",
                          style=None if holds else "bold red", highlight=False)  # fmt: skip
    save("stac_a2_like", options, {"benchmark": "stac_a2_like", "facts": facts(), "results": results}, console)
    return 0 if right else 1


def measured(
    assets: int, paths: int, steps: int, rounds: int, dtype: str
) -> tuple[dict[str, Any], dict[str, tuple[float, float]]]:
    """Times of the parts, what they found, and how far each check is from holding."""
    import jax

    import gpujax as gj

    mc, stock, payoff = gj.monte_carlo, market(assets), gj.monte_carlo.payoffs.best_of(strike=STRIKE)
    times = np.arange(1, steps + 1) / steps
    basis = mc.bases.polynomial(2, of="sorted")
    run = {"key": KEY, "paths": paths, "dtype": dtype}

    def fit() -> Any:
        return mc.fit_policy(stock, payoff, times=times, basis=basis, **run)

    policy = fit()
    right = mc.exercised(payoff, policy)
    parts: dict[str, Callable[[], Any]] = {
        "policy": fit,
        "value and first order": lambda: mc.greeks(
            stock, right, wrt=PARAMETERS, times=times, estimator="reverse", **run
        ),
        "second order by spots": lambda: mc.second_order(
            stock, right, wrt=(("spot", "spot"),), times=times, estimator="bumped reverse", bump=0.02, **run
        ),
    }
    seconds, found = {}, {}
    jax.clear_caches()
    for name, part in parts.items():
        cold, found[name] = timed(part)
        seconds[name] = {"cold": cold, "warm": [timed(part)[0] for _ in range(rounds)]}
    seconds["all"] = {
        "cold": sum(s["cold"] for s in seconds.values()),
        "warm": [sum(each) for each in zip(*(s["warm"] for s in seconds.values()), strict=True)],
    }
    first, gamma = found["value and first order"], found["second order by spots"]["spot", "spot"]
    value = float(first["value"].value)
    scaled = sum(np.sum(np.asarray(mc.processes.parameter(stock, p)) * np.asarray(first[p].value)) for p in SCALING)
    values = {
        "value": value,
        "value error": float(first["value"].standard_error),
        **{name: np.asarray(first[name].value).tolist() for name in PARAMETERS},
        **{f"{name} error": np.asarray(first[name].standard_error).tolist() for name in PARAMETERS},
        "gamma": np.asarray(gamma.value).tolist(),
        "gamma error": np.asarray(gamma.standard_error).tolist(),
        "theta": -float(scaled) / times[-1],
    }
    price = functools.partial(mc.price, payoff=right, times=times, paths=-(-paths // REPETITIONS), dtype=dtype)
    checks = consistency(stock, price, values)
    return {
        "paths": paths,
        "steps": steps,
        "assets": assets,
        "dtype": dtype,
        "seconds": seconds,
        "values": values,
    }, checks


def consistency(stock: Any, price: Callable[..., Any], values: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """How far the checks are from holding, and how far they may be."""
    spot, bump, worst, largest = np.asarray(stock.spot), 0.01, 0.0, 0.0
    for asset in range(len(spot)):
        move = bump * spot * (np.arange(len(spot)) == asset)
        up, down = (dataclasses.replace(stock, spot=spot + s * move) for s in (1, -1))
        # A path that a bump carries over the line of exercise pays otherwise. The expectation does not move by that to first
        # order, but differences are noisy: their error is taken from several simulations.
        slopes = [
            (float(price(up, key=key).value) - float(price(down, key=key).value)) / (2 * bump * spot[asset])
            for key in range(KEY + 1, KEY + 1 + REPETITIONS)
        ]
        error = statistics.stdev(slopes) / REPETITIONS**0.5
        apart = abs(statistics.mean(slopes) - values["spot"][asset])
        worst, largest = max(worst, apart / np.hypot(error, values["spot error"][asset])), max(largest, error)
    gamma, error = np.asarray(values["gamma"]), np.asarray(values["gamma error"])
    asymmetry = np.abs(gamma - gamma.T) / np.maximum(np.hypot(error, error.T), 1e-12)
    return {
        "deltas less central differences of the value, in standard errors": (worst, 5.0),
        "standard error of these differences": (largest, 0.1),
        "asymmetry of the second derivatives, in standard errors": (float(asymmetry.max()), 5.0),
        "standard error of the value over the value": (values["value error"] / values["value"], 0.05),
    }


def apart(values: dict[str, Any], exact: dict[str, Any]) -> tuple[float, float]:
    """The largest difference of a delta in its standard errors, and what it may be: the paths are nearly the same."""
    difference = np.abs(np.asarray(values["spot"]) - exact["spot"]) / np.asarray(exact["spot error"])
    return float(difference.max()), 1.0


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds until the result is there, and the result."""
    import jax

    begin = time.perf_counter()
    found = jax.block_until_ready(call())
    return time.perf_counter() - begin, found


def market(assets: int) -> Any:
    """Assets that are alike in kind and different in numbers."""
    import gpujax as gj

    i = np.arange(assets)
    correlation = 0.5 ** np.abs(i[:, None] - i[None, :])
    params = gj.heston.HestonParams(
        v0=0.04 + 0.005 * i, kappa=1.2 + 0.2 * i, theta=0.04 + 0.004 * i, sigma=0.3 + 0.05 * i, rho=-0.7 + 0.05 * i
    )
    return gj.monte_carlo.processes.CorrelatedHeston(
        spot=100.0 - 2.0 * i, params=params, correlation=correlation, rate=0.03, dividend_yield=0.04 + 0.005 * i
    )


if __name__ == "__main__":
    raise SystemExit(main())
