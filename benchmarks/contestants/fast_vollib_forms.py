"""fast-vollib's numba, JAX and NumPy backends; float64 throughout (it casts, or mixes precisions, when given float32).

Its public functions check the flags and the inputs and reshape them before the work starts. Where that is a large
part of the time the functions below are measured as well, on inputs prepared beforehand: its numba kernels on boolean
flags, and its JAX formulas on arrays that are already on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.contestants.options import Options
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["greeks", "greeks_one", "implied_volatility", "implied_volatility_one", "price", "price_one"]

NAME = "fast-vollib"
FLAGS = "flags as the one-character array that it converts everything to, results as NumPy arrays"

fast_vollib, backends, jax_backend, numba_backend, jackel_jax, jackel_numpy, ABSENT = load(
    NAME,
    "fast_vollib",
    "fast_vollib.backends",
    "fast_vollib.backends.jax_backend",
    "fast_vollib.backends.numba_backend",
    "fast_vollib.jackel.jax_backend",
    "fast_vollib.jackel.numpy_backend",
)


def price(options: Options) -> list[Contestant | Absent]:
    """Prices under Black-Scholes without a dividend, its cheapest model for these inputs."""
    if ABSENT:
        return ABSENT
    flag, o = _flags(options), options.double()

    def public(backend: str) -> Callable[[], np.ndarray]:
        return lambda: fast_vollib.fast_black_scholes(
            flag, o.spot, o.strike, o.expiry, o.rate, o.volatility, return_as="numpy", backend=backend
        )

    found = _each_backend(lambda backend: Contestant(
        f"{NAME} {backend}", f"fast_black_scholes, {FLAGS}", public(backend), len(o), lambda got: {"price": got}
    ))  # fmt: skip
    if numba_backend.is_available():
        kernel, zeros = numba_backend._get_kernels()["price"], np.zeros(len(o))
        inputs = (o.is_call, o.spot, o.strike, o.expiry, o.rate, o.volatility, zeros)
        found.append(Contestant(f"{NAME} numba kernel", "its compiled loop on boolean flags", lambda: kernel(*inputs),
                                len(o), lambda got: {"price": got}, internal=True))  # fmt: skip
    formula, on_device = jax.jit(jax_backend._bsm_price_j), _on_device(o)
    found.append(Contestant(f"{NAME} jax formula, device arrays", "its formula under one jit, arrays on the device",
                            lambda: formula(*on_device).block_until_ready(), len(o),
                            lambda got: {"price": np.asarray(got)}, internal=True))  # fmt: skip
    return found


def greeks(options: Options) -> list[Contestant | Absent]:
    """Price and five Greeks: two calls, because `get_all_greeks` does not give the price."""
    if ABSENT:
        return ABSENT
    flag, o = _flags(options), options.double()
    inputs = (flag, o.spot, o.strike, o.expiry, o.rate, o.volatility)

    def public(backend: str) -> Callable[[], Any]:
        return lambda: (
            fast_vollib.fast_black_scholes(*inputs, return_as="numpy", backend=backend),
            fast_vollib.get_all_greeks(*inputs, model="black_scholes", return_as="dict", backend=backend),
        )

    found = _each_backend(lambda backend: Contestant(
        f"{NAME} {backend}", f"fast_black_scholes and get_all_greeks, {FLAGS}", public(backend), len(o),
        lambda got: {"price": got[0], **_plain(got[1])},
    ))  # fmt: skip
    if numba_backend.is_available():
        kernels = numba_backend._get_kernels()
        arrays = (o.is_call, o.spot, o.strike, o.expiry, o.rate, o.volatility, np.zeros(len(o)))
        found.append(Contestant(f"{NAME} numba kernel", "its two compiled loops on boolean flags",
                                lambda: (kernels["price"](*arrays), kernels["greeks"](*arrays)), len(o), _six,
                                internal=True))  # fmt: skip
    core = jax_backend._get_jit_greeks_core("black_scholes")
    both = jax.jit(lambda *arrays: (jax_backend._bsm_price_j(*arrays), core(*arrays)))
    on_device = _on_device(o)
    how = "price and Greeks under one jit, arrays on the device"
    found.append(Contestant(f"{NAME} jax formula, device arrays", how, lambda: jax.block_until_ready(both(*on_device)),
                            len(o), _six, internal=True))  # fmt: skip
    return found


def implied_volatility(options: Options) -> list[Contestant | Absent]:
    """Implied volatilities by its default solver (Halley, then bisection) and by its Jaeckel solver."""
    if ABSENT:
        return ABSENT
    flag, o = _flags(options), options.double()

    def public(backend: str) -> Callable[[], np.ndarray]:
        return lambda: fast_vollib.fast_implied_volatility(
            o.price, o.spot, o.strike, o.expiry, o.rate, flag, on_error="ignore", return_as="numpy", backend=backend
        )

    def jackel(backend: Any) -> Callable[[], np.ndarray]:
        return lambda: backend.implied_volatility(
            "black_scholes", o.price, o.spot, o.strike, o.expiry, o.rate, flag, on_error="ignore"
        )

    found = _each_backend(lambda backend: Contestant(
        f"{NAME} {backend}", f"fast_implied_volatility, {FLAGS}", public(backend), len(o), _volatility
    ))  # fmt: skip
    how = "its machine-precision solver, documented in fast_vollib.jackel"
    for label, backend in (("numpy with numba loops", jackel_numpy), ("jax", jackel_jax)):
        found.append(Contestant(f"{NAME} Jaeckel {label}", how, jackel(backend), len(o), _volatility))
    return found


def implied_volatility_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """The implied volatility of one option."""
    if ABSENT:
        return ABSENT
    inputs = tuple(option[k] for k in ("price", "spot", "strike", "expiry", "rate"))
    flag = "c" if option["is_call"] else "p"

    def public(backend: str) -> Callable[[], np.ndarray]:
        return lambda: fast_vollib.fast_implied_volatility(
            *inputs, flag, on_error="ignore", return_as="numpy", backend=backend
        )

    return _each_backend(lambda backend: Contestant(
        f"{NAME} {backend}", "fast_implied_volatility of scalars", public(backend), 1, _volatility
    ))  # fmt: skip


def price_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """One option: it has no scalar path, so the fastest of its backends for arrays of one."""
    if ABSENT:
        return ABSENT
    inputs = _scalars(option)

    def public(backend: str) -> Callable[[], np.ndarray]:
        return lambda: fast_vollib.fast_black_scholes(*inputs, return_as="numpy", backend=backend)

    return _each_backend(lambda backend: Contestant(
        f"{NAME} {backend}", "fast_black_scholes of scalars", public(backend), 1, lambda got: {"price": got}
    ))  # fmt: skip


def greeks_one(option: dict[str, Any]) -> list[Contestant | Absent]:
    """Price and five Greeks of one option."""
    if ABSENT:
        return ABSENT
    inputs = _scalars(option)

    def public(backend: str) -> Callable[[], Any]:
        return lambda: (
            fast_vollib.fast_black_scholes(*inputs, return_as="numpy", backend=backend),
            fast_vollib.get_all_greeks(*inputs, model="black_scholes", return_as="dict", backend=backend),
        )

    return _each_backend(lambda backend: Contestant(
        f"{NAME} {backend}", "fast_black_scholes and get_all_greeks of scalars", public(backend), 1,
        lambda got: {"price": got[0], **_plain(got[1])},
    ))  # fmt: skip


def _each_backend(make: Callable[[str], Contestant]) -> list[Contestant | Absent]:
    able = backends.available_backends()
    return [
        make(backend) if backend in able else Absent(f"{NAME} {backend}", f"its {backend} backend is not available")
        for backend in ("numba", "jax", "numpy")
    ]


def _flags(options: Options) -> np.ndarray:
    return np.where(options.is_call, "c", "p")


def _on_device(o: Options) -> list[jax.Array]:
    arrays = (o.is_call, o.spot, o.strike, o.expiry, o.rate, o.volatility, np.zeros(len(o)))
    return [jax.device_put(array) for array in arrays]


def _scalars(option: dict[str, Any]) -> tuple[Any, ...]:
    flag = "c" if option["is_call"] else "p"
    return (flag, *(option[k] for k in ("spot", "strike", "expiry", "rate", "volatility")))


def _plain(got: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Its Greeks as partial derivatives: it reports vega and rho per point, theta per day."""
    scale = {"delta": 1.0, "gamma": 1.0, "vega": 100.0, "theta": 365.0, "rho": 100.0}
    return {name: np.asarray(value) * scale[name] for name, value in got.items()}


def _six(got: Any) -> dict[str, np.ndarray]:
    """Price, and the Greeks in the order in which its kernels return them."""
    return {
        "price": np.asarray(got[0]),
        **_plain(dict(zip(("delta", "gamma", "theta", "rho", "vega"), got[1], strict=True))),
    }


def _volatility(got: np.ndarray) -> dict[str, np.ndarray]:
    return {"volatility": got}
