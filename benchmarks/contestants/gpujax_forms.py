"""gpujax as people call it: arrays on the device, NumPy through `accelerate`, and a plain call with NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import gpujax as gj
from benchmarks.contestants.options import GREEKS, Options
from benchmarks.harness.measure import Contestant

__all__ = ["DEVICE", "greeks", "greeks_one", "implied_volatility", "implied_volatility_one", "operations", "price",
           "price_one"]  # fmt: skip

DEVICE, ACCELERATED, PLAIN = "gpujax, device arrays", "gpujax, NumPy, accelerate", "gpujax, NumPy, plain call"
WHICH = ("price", *GREEKS)


def price(options: Options) -> list[Contestant]:
    """Prices; `price` returns one array."""
    return _forms(gj.black_scholes.price, _market(options), len(options), lambda got: {"price": np.asarray(got)})


def greeks(options: Options) -> list[Contestant]:
    """Price and five Greeks in one call; the eleven others are not asked for."""

    def five(**inputs: Any) -> Any:
        return gj.black_scholes.greeks(**inputs, which=WHICH)

    return _forms(five, _market(options), len(options), _named)


def implied_volatility(options: Options) -> list[Contestant]:
    """Implied volatilities from prices."""
    inputs = _market(options)
    del inputs["volatility"]
    inputs["price"] = options.price
    return _forms(gj.implied_volatility, inputs, len(options), lambda got: {"volatility": np.asarray(got)})


def price_one(option: dict[str, Any]) -> list[Contestant]:
    """One option from Python floats: the dispatch alone, and until a Python float is there."""
    return _one(gj.black_scholes.price, option, lambda got: {"price": np.asarray(got)}, lambda got: got.item())


def greeks_one(option: dict[str, Any]) -> list[Contestant]:
    """Price and five Greeks of one option from Python floats."""

    def five(**inputs: Any) -> Any:
        return gj.black_scholes.greeks(**inputs, which=WHICH)

    return _one(five, option, _named, jax.block_until_ready)


def implied_volatility_one(option: dict[str, Any]) -> list[Contestant]:
    """The implied volatility of one option from Python floats."""
    return _one(gj.implied_volatility, option, lambda got: {"volatility": np.asarray(got)}, lambda got: got.item())


def operations(function: Callable[..., Any], options: Options) -> float | None:
    """Floating-point operations per option as XLA counts them in the compiled program; None if it does not."""
    analysis = jax.jit(function).lower(**_market(options)).compile().cost_analysis()
    counted = (analysis or {}).get("flops")
    return counted / len(options) if counted and counted > 0 else None


def _named(greeks: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(greeks, name)) for name in WHICH}


def _market(options: Options) -> dict[str, Any]:
    return {k: getattr(options, k) for k in ("spot", "strike", "expiry", "volatility", "rate", "is_call")}


def _forms(
    function: Callable[..., Any], inputs: dict[str, np.ndarray], size: int, answer: Callable[[Any], Any]
) -> list[Contestant]:
    on_device = {name: jax.device_put(array) for name, array in inputs.items()}
    # `accelerate` computes in the precision that the policy says; the rows are about the precision of their arrays.
    dtype = np.result_type(*(array for array in inputs.values() if array.dtype != np.bool_)).name
    accelerated = gj.accelerate(function, gj.device.current_config().replace(pricing_dtype=dtype))

    def from_device() -> Any:
        return jax.block_until_ready(function(**on_device))

    def from_numpy() -> Any:
        return accelerated(**inputs)

    def plain() -> Any:
        # NumPy in, NumPy out, by JAX's own conversions.
        return jax.tree.map(np.asarray, function(**inputs))

    return [
        Contestant(DEVICE, "arrays already on the device, waits for the result", from_device, size, answer, ours=True),
        Contestant(ACCELERATED, "gj.accelerate(f)(**NumPy arrays) -> NumPy", from_numpy, size, answer, ours=True),
        Contestant(PLAIN, "f(**NumPy arrays), np.asarray of the result", plain, size, answer, ours=True),
    ]


def _one(
    function: Callable[..., Any], option: dict[str, Any], answer: Callable[[Any], Any], finish: Callable[[Any], Any]
) -> list[Contestant]:
    def dispatch() -> Any:
        return function(**option)

    def complete() -> Any:
        result = function(**option)
        finish(result)
        return result

    early = "f(**Python floats); returns before the result is there, as JAX does"
    return [
        Contestant("gpujax, dispatch", early, dispatch, 1, answer, ours=True),
        Contestant("gpujax, to the result", "f(**Python floats), waits for the result", complete, 1, answer, ours=True),
    ]
