"""QuantLib's Monte Carlo engines: one thread, float64, on fewer paths a call, since its cost is the same for each.

Instruments and engines are built beforehand; `recalculate` makes the engine run again. Dates are whole days, so the year
is stretched to seven days for every step, with rates and volatilities that give the same distributions.
"""

from __future__ import annotations

import math
from typing import Any

from benchmarks.contestants.monte_carlo_contracts import (
    AmericanPut,
    AsianCall,
    BasketCall,
    HestonCall,
    answer,
)
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["american", "asian", "basket", "heston"]

NAME = "QuantLib"
MOST = 20_000  # paths a call
SEED = 42
DAYS = 7  # in a step

ql, ABSENT = load(NAME, "QuantLib")


def asian(c: AsianCall, dtype: str) -> list[Contestant | Absent]:
    """`MCDiscreteArithmeticAPEngine`, no control variate."""
    absent = _absent(dtype)
    if absent:
        return absent
    paths = min(c.paths, MOST)
    dates = [_today() + DAYS * (k + 1) for k in range(c.steps)]
    option = ql.DiscreteAveragingAsianOption(ql.Average.Arithmetic, dates, ql.PlainVanillaPayoff(ql.Option.Call, c.strike),
                                             ql.EuropeanExercise(dates[-1]))  # fmt: skip
    engine = ql.MCDiscreteArithmeticAPEngine(_process(c, c.spot), "pseudorandom", requiredSamples=paths, seed=SEED)
    return _one(option, engine, paths, c.steps, "MCDiscreteArithmeticAPEngine")


def basket(c: BasketCall, dtype: str) -> list[Contestant | Absent]:
    """`MCEuropeanBasketEngine` on correlated Black-Scholes processes."""
    absent = _absent(dtype)
    if absent:
        return absent
    paths = min(c.paths, MOST)
    matrix = [[1.0 if i == j else c.correlation for j in range(c.assets)] for i in range(c.assets)]
    processes = ql.StochasticProcessArray([_process(c, c.spot) for _ in range(c.assets)], ql.Matrix(matrix))
    payoff = ql.AverageBasketPayoff(ql.PlainVanillaPayoff(ql.Option.Call, c.strike), c.assets)
    option = ql.BasketOption(payoff, ql.EuropeanExercise(_today() + DAYS * c.steps))
    engine = ql.MCEuropeanBasketEngine(processes, "pseudorandom", timeSteps=c.steps, requiredSamples=paths, seed=SEED)
    return _one(option, engine, paths, c.steps, "MCEuropeanBasketEngine")


def heston(c: HestonCall, dtype: str) -> list[Contestant | Absent]:
    """`MCEuropeanHestonEngine` with full truncation."""
    absent = _absent(dtype)
    if absent:
        return absent
    paths, stretch = min(c.paths, MOST), c.expiry * 365.0 / (DAYS * c.steps)
    # In a year that is `stretch` times as long, variances and speeds grow by it, and the volatility of variance by it twice:
    # once for the clock and once, through the square root, for the variance that it moves.
    process = ql.HestonProcess(_curve(c.rate * stretch), _curve(0.0), ql.QuoteHandle(ql.SimpleQuote(c.spot)), c.v0 * stretch,
                               c.kappa * stretch, c.theta * stretch, c.sigma * stretch, c.rho,
                               ql.HestonProcess.FullTruncation)  # fmt: skip
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Call, c.strike), ql.EuropeanExercise(_today() + DAYS * c.steps)
    )
    engine = ql.MCEuropeanHestonEngine(process, "pseudorandom", timeSteps=c.steps, requiredSamples=paths, seed=SEED)
    return _one(option, engine, paths, c.steps, "MCEuropeanHestonEngine, full truncation")


def american(c: AmericanPut, dtype: str) -> list[Contestant | Absent]:
    """`MCAmericanEngine`: cubic, calibrated on 4,096 paths of their own."""
    absent = _absent(dtype)
    if absent:
        return absent
    paths, expiry = min(c.paths, MOST), _today() + DAYS * c.steps
    options = []
    for spot in c.spots:
        option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Put, c.strike), ql.AmericanExercise(_today(), expiry))
        option.setPricingEngine(ql.MCAmericanEngine(
            _process(c, spot), "pseudorandom", timeSteps=c.steps, antitheticVariate=False, controlVariate=False,
            requiredSamples=paths, seed=SEED, polynomOrder=3, polynomType=ql.LsmBasisSystem.Monomial,
            nCalibrationSamples=4096))  # fmt: skip
        options.append(option)
    how = f"MCAmericanEngine, cubic, calibrated on 4,096 paths of their own, {paths:,} paths a call, one thread"
    return [Contestant(NAME, how, lambda: [_run(option) for option in options], paths * c.steps * len(c.spots),
                       lambda got: answer(*zip(*got, strict=True), paths))]  # fmt: skip


def _absent(dtype: str) -> list[Contestant | Absent]:
    return ABSENT or ([] if dtype == "float64" else [Absent(f"{NAME} in float32", "it computes in float64 only")])


def _one(option: Any, engine: Any, paths: int, steps: int, what: str) -> list[Contestant | Absent]:
    option.setPricingEngine(engine)
    return [Contestant(NAME, f"{what}, {paths:,} paths a call, one thread", lambda: _run(option), paths * steps,
                       lambda got: answer(*got, paths))]  # fmt: skip


def _run(option: Any) -> tuple[float, float]:
    option.recalculate()
    return option.NPV(), option.errorEstimate()


def _today() -> Any:
    today = ql.Date(7, 11, 2002)
    ql.Settings.instance().evaluationDate = today
    return today


def _curve(rate: float) -> Any:
    return ql.YieldTermStructureHandle(ql.FlatForward(_today(), rate, ql.Actual365Fixed()))


def _process(c: AsianCall | BasketCall | AmericanPut, spot: float) -> Any:
    stretch = c.expiry * 365.0 / (DAYS * c.steps)
    volatility = ql.BlackConstantVol(
        _today(), ql.NullCalendar(), c.volatility * math.sqrt(stretch), ql.Actual365Fixed()
    )
    return ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)),
        _curve(0.0),
        _curve(c.rate * stretch),
        ql.BlackVolTermStructureHandle(volatility),
    )
