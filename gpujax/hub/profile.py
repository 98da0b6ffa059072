"""How many times faster than plain NumPy a device prices options: measured, with the answers compared first."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gpujax.device import detect
from gpujax.errors import DeviceError, InputError
from gpujax.hub import textbook
from gpujax.hub.component import Component
from gpujax.hub.examples import spot_market

__all__ = ["measure"]

# The textbook formula in float64 loses up to nine digits of an option a few deviations out of the money, in currency it
# does not.
_DISAGREEMENT = {"float64": 1e-9, "float32": 1e-3}


def measure(price: Callable[..., Any], device: Any, *, options: int, rounds: int) -> dict[str, Any]:
    """Time Black-Scholes prices of one chain by plain NumPy and by the adapter, in turns.

    Arguments:
        price: the adapted component `black_scholes.price`.
        device: where it runs.
        options, rounds: see `Adapter.get_performance_profile`, which this is.
    """
    for name, value in (("options", options), ("rounds", rounds)):
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name}: {value!r}; expected a whole number of at least 1")
    inputs = spot_market(options, seed=1)
    ours, theirs = np.asarray(price(**inputs)), textbook.black_scholes(**inputs)
    scale = np.maximum(inputs["spot"], inputs["strike"])
    difference = float(np.max(np.abs(ours - theirs) / scale))
    component: Component = price.component  # pyright: ignore[reportFunctionMemberAccess]
    config_dtype = price._adapter.device_config.pricing_dtype  # pyright: ignore[reportFunctionMemberAccess]
    if not difference <= _DISAGREEMENT[config_dtype]:
        raise DeviceError(
            f"{component.name} on {device} differs from NumPy's textbook formula by {difference:.2e} of spot or strike, "
            "so there is nothing to time; run the tests on this machine"
        )
    on_device = jax.block_until_ready(jax.device_put(inputs, device))
    contestants = {
        "numpy": functools.partial(textbook.black_scholes, **inputs),
        "numpy_arrays": functools.partial(price, **inputs),
        "device_arrays": lambda: jax.block_until_ready(price(**on_device)),
    }
    for run in contestants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    hardware = detect()
    gpu_name = next((gpu.name for gpu in hardware.gpus if device.platform == "gpu" and gpu.name), None)
    return {
        "gpu_name": gpu_name or f"none: {device.platform.upper()} {hardware.cpu.model or ''}".strip(),
        "device": str(device),
        "performance_multiplier": medians["numpy"] / medians["numpy_arrays"],
        "performance_multiplier_on_device": medians["numpy"] / medians["device_arrays"],
        "options": options,
        "dtype": config_dtype,
        "seconds": medians,
        "quartiles": {name: tuple(map(float, np.percentile(v, (25, 75)))) for name, v in times.items()},
        "largest_difference": difference,
        "how": (
            f"{component.name} of {options:,} options, medians of {rounds} rounds in turns: the textbook formula in NumPy "
            "with scipy.special.ndtr on this machine's CPU, against the adapter with NumPy arrays in and out (value "
            "checks and transfers included) and with arrays on the device; answers compared before timing, difference "
            "relative to spot or strike"
        ),
    }
