"""QuantLib called option by option from Python: its formulas take no arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.contestants.options import Options
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["greeks", "greeks_one", "implied_volatility", "implied_volatility_one", "price", "price_one"]

NAME = "QuantLib, Python loop"
MOST = 20_000  # options per call: its cost per option does not depend on how many there are

ql, ABSENT = load(NAME, "QuantLib")


def price(options: Options) -> list[Contestant | Absent]:
    """Prices by `blackFormula`, the shortest way to a price (no quotes, curves or engines to build)."""
    if ABSENT:
        return ABSENT
    rows = _rows(options)

    def call() -> list[float]:
        formula, exp, sqrt = ql.blackFormula, math.exp, math.sqrt
        result = []
        for kind, spot, strike, expiry, volatility, rate in rows:
            discount = exp(-rate * expiry)
            result.append(formula(kind, strike, spot / discount, volatility * sqrt(expiry), discount))
        return result

    how = f"blackFormula on Python floats made beforehand, {len(rows):,} options a call"
    return [Contestant(NAME, how, call, len(rows), lambda got: {"price": np.array(got)})]


def greeks(options: Options) -> list[Contestant | Absent]:
    """Price and five Greeks by `BlackCalculator`, which shares their terms."""
    if ABSENT:
        return ABSENT
    rows = _rows(options)

    def call() -> list[tuple[float, ...]]:
        return [_calculate(*row) for row in rows]

    how = f"BlackCalculator on Python floats made beforehand, {len(rows):,} options a call"
    return [Contestant(NAME, how, call, len(rows), lambda got: _named(np.array(got).T))]


def implied_volatility(options: Options) -> list[Contestant | Absent]:
    """Implied volatilities by `blackFormulaImpliedStdDev`, asked for 1e-14.

    `blackFormulaImpliedStdDevLiRS` takes as long and stops three digits short on far out-of-the-money options.
    """
    if ABSENT:
        return ABSENT
    prices = options.double().first(MOST).price
    rows = [(*row, price) for row, price in zip(_rows(options), prices.tolist(), strict=True)]

    def call() -> list[float]:
        solve, exp, sqrt = ql.blackFormulaImpliedStdDev, math.exp, math.sqrt
        result = []
        for kind, spot, strike, expiry, _, rate, price in rows:
            discount = exp(-rate * expiry)
            try:
                deviation = solve(kind, strike, spot / discount, price, discount, 0.0, guess, 1e-14, 100)
            except RuntimeError:  # QuantLib's way to say that its solver did not converge
                deviation = math.nan
            result.append(deviation / sqrt(expiry))
        return result

    guess = ql.nullDouble()  # asks for QuantLib's own
    how = f"blackFormulaImpliedStdDev to 1e-14 with its own guess, {len(rows):,} options a call"
    return [Contestant(NAME, how, call, len(rows), lambda got: {"volatility": np.array(got)})]


def implied_volatility_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """The implied volatility of one option by `blackFormulaImpliedStdDev`."""
    if ABSENT:
        return ABSENT
    kind = ql.Option.Call if option["is_call"] else ql.Option.Put
    price, spot, strike, expiry, rate = (option[k] for k in ("price", "spot", "strike", "expiry", "rate"))
    guess = ql.nullDouble()

    def call() -> float:
        discount = math.exp(-rate * expiry)
        deviation = ql.blackFormulaImpliedStdDev(kind, strike, spot / discount, price, discount, 0.0, guess, 1e-14, 100)
        return deviation / math.sqrt(expiry)

    return [
        Contestant("QuantLib", "blackFormulaImpliedStdDev to 1e-14", call, 1, lambda got: {"volatility": np.array(got)})
    ]


def price_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """One option by `blackFormula`."""
    if ABSENT:
        return ABSENT
    kind = ql.Option.Call if option["is_call"] else ql.Option.Put
    spot, strike, expiry, volatility, rate = (option[k] for k in ("spot", "strike", "expiry", "volatility", "rate"))

    def call() -> float:
        discount = math.exp(-rate * expiry)
        return ql.blackFormula(kind, strike, spot / discount, volatility * math.sqrt(expiry), discount)

    return [Contestant("QuantLib", "blackFormula", call, 1, lambda got: {"price": np.array(got)})]


def greeks_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """Price and five Greeks of one option by `BlackCalculator`."""
    if ABSENT:
        return ABSENT
    kind = ql.Option.Call if option["is_call"] else ql.Option.Put
    row = (kind, *(option[k] for k in ("spot", "strike", "expiry", "volatility", "rate")))
    return [Contestant("QuantLib", "BlackCalculator", lambda: _calculate(*row), 1, lambda got: _named(np.array(got)))]


def _calculate(
    kind: int, spot: float, strike: float, expiry: float, volatility: float, rate: float
) -> tuple[float, ...]:
    discount = math.exp(-rate * expiry)
    black = ql.BlackCalculator(
        ql.PlainVanillaPayoff(kind, strike), spot / discount, volatility * math.sqrt(expiry), discount
    )
    return (black.value(), black.delta(spot), black.gamma(spot), black.vega(expiry), black.theta(spot, expiry),
            black.rho(expiry))  # fmt: skip


def _named(columns: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(("price", "delta", "gamma", "vega", "theta", "rho"), columns, strict=True))


def _rows(options: Options) -> list[tuple[Any, ...]]:
    """Python numbers ready to pass, so that the loop pays for nothing but its calls."""
    o = options.double().first(MOST)
    kinds = [ql.Option.Call if call else ql.Option.Put for call in o.is_call.tolist()]
    columns = (a.tolist() for a in (o.spot, o.strike, o.expiry, o.volatility, o.rate))
    return list(zip(kinds, *columns, strict=True))
