"""pyvolr: a Rust core (rayon threads above a few thousand options) behind a NumPy interface; float64 only."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.contestants.options import Options
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["greeks", "greeks_one", "implied_volatility", "implied_volatility_one", "price", "price_one"]

NAME, CORE = "pyvolr", "pyvolr core"
HOW = "float64 arrays and int8 flags of +-1 made beforehand: eight times faster to check than strings, twice than int64"

bs, core, ABSENT = load(NAME, "pyvolr.bs", "pyvolr._core")


def price(options: Options) -> list[Contestant | Absent]:
    """Prices by `bs.price`, and by the Rust function below it, which skips the checking of flags."""
    if ABSENT:
        return ABSENT
    flag, o = _prepared(options)
    no_dividend = np.zeros(len(o))
    return [
        Contestant(NAME, HOW, lambda: bs.price(flag, o.spot, o.strike, o.expiry, o.rate, o.volatility), len(o),
                   lambda got: {"price": got}),
        Contestant(CORE, "_core.bsm_price on arrays made beforehand",
                   lambda: core.bsm_price(flag, o.spot, o.strike, o.expiry, o.rate, no_dividend, o.volatility), len(o),
                   lambda got: {"price": got}, internal=True),
    ]  # fmt: skip


def greeks(options: Options) -> list[Contestant | Absent]:
    """Price and five Greeks: two calls, because `bs.greeks` does not give the price."""
    if ABSENT:
        return ABSENT
    flag, o = _prepared(options)
    inputs = (o.spot, o.strike, o.expiry, o.rate, o.volatility)
    with_dividend = (flag, o.spot, o.strike, o.expiry, o.rate, np.zeros(len(o)), o.volatility)
    return [
        Contestant(NAME, f"bs.price and bs.greeks; {HOW}", lambda: (bs.price(flag, *inputs), bs.greeks(flag, *inputs)),
                   len(o), lambda got: {"price": got[0], **got[1]}),
        Contestant(CORE, "_core.bsm_price and _core.bsm_greeks on arrays made beforehand",
                   lambda: (core.bsm_price(*with_dividend), core.bsm_greeks(*with_dividend)), len(o),
                   lambda got: {"price": got[0], **_named(got[1])}, internal=True),
    ]  # fmt: skip


def implied_volatility(options: Options) -> list[Contestant | Absent]:
    """Implied volatilities by Jaeckel's method."""
    if ABSENT:
        return ABSENT
    flag, o = _prepared(options)
    no_dividend = np.zeros(len(o))
    return [
        Contestant(NAME, f"on_error='ignore', which saves a pass over the result; {HOW}",
                   lambda: bs.implied_vol(o.price, flag, o.spot, o.strike, o.expiry, o.rate, on_error="ignore"), len(o),
                   lambda got: {"volatility": got}),
        Contestant(CORE, "_core.bsm_iv on arrays made beforehand",
                   lambda: core.bsm_iv(o.price, flag, o.spot, o.strike, o.expiry, o.rate, no_dividend), len(o),
                   lambda got: {"volatility": got}, internal=True),
    ]  # fmt: skip


def implied_volatility_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """The implied volatility of one option from Python floats, its fast path for scalars."""
    if ABSENT:
        return ABSENT
    flag = "c" if option["is_call"] else "p"
    price, *inputs = (option[k] for k in ("price", "spot", "strike", "expiry", "rate"))
    return [Contestant(NAME, "bs.implied_vol of Python floats", lambda: bs.implied_vol(price, flag, *inputs), 1,
                       lambda got: {"volatility": np.array(got)})]  # fmt: skip


def price_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """One option from Python floats, its fast path for scalars."""
    if ABSENT:
        return ABSENT
    inputs = _scalars(option)
    how = "bs.price of Python floats"
    return [Contestant(NAME, how, lambda: bs.price(*inputs), 1, lambda got: {"price": np.array(got)})]


def greeks_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """Price and five Greeks of one option from Python floats."""
    if ABSENT:
        return ABSENT
    inputs = _scalars(option)
    how = "bs.price and bs.greeks of Python floats"
    return [
        Contestant(
            NAME,
            how,
            lambda: (bs.price(*inputs), bs.greeks(*inputs)),
            1,
            lambda got: {name: np.array(value) for name, value in {"price": got[0], **got[1]}.items()},
        )
    ]


def _prepared(options: Options) -> tuple[np.ndarray, Options]:
    return np.where(options.is_call, 1, -1).astype(np.int8), options.double()


def _scalars(option: dict[str, Any]) -> tuple[Any, ...]:
    flag = "c" if option["is_call"] else "p"
    return (flag, *(option[k] for k in ("spot", "strike", "expiry", "rate", "volatility")))


def _named(columns: Any) -> dict[str, np.ndarray]:
    return dict(zip(("delta", "gamma", "vega", "theta", "rho"), columns, strict=True))
