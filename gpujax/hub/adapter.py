"""`Adapter`: every component by name, checked at the edge, placed on the device, with a fallback that is never silent.

The method names are those of the guide that many trading stacks were written by (`adapt_options_pricing`,
`get_performance_profile`, ...), so that its scripts need one line changed.
"""

import collections
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from gpujax.device import DeviceConfig, accelerate, configure
from gpujax.device.mesh import mesh_devices
from gpujax.errors import DeviceError
from gpujax.hub import profile, registry
from gpujax.hub.component import Component
from gpujax.hub.guide_config import GuideConfig
from gpujax.hub.inputs import checked_inputs

__all__ = ["Adapted", "Adapter", "Fallback", "FallbackWarning", "OptionsPricing"]

_log = logging.getLogger("gpujax.hub")

_MOST_FALLBACKS = 1000


class FallbackWarning(UserWarning):
    """A component ran on the CPU because the accelerator could not run it."""


class Fallback(NamedTuple):
    """One time that a component ran on the CPU instead of the configured device.

    Fields:
        component: its name.
        device: where it should have run.
        reason: "out of memory", or "failure" for anything else (a program that does not compile there, a lost device).
            After a failure the component stays on the CPU for the adapter's life; out of memory, the next call tries
            the device again.
        message: the first line of what the device said.
        shape: the shape that the inputs broadcast to.
    """

    component: str
    device: str
    reason: str
    message: str
    shape: tuple[int, ...]


class Adapted:
    """One component, ready to call with keyword arguments; see `Adapter.__getitem__`."""

    def __init__(self, adapter: "Adapter", component: Component) -> None:
        self._adapter = adapter
        self.component = component
        self.__name__ = component.name
        self.__doc__ = component.function.__doc__

    def __call__(self, **inputs: Any) -> Any:
        return self._adapter._run(self.component, inputs)

    def __repr__(self) -> str:
        return f"<{self.component.signature} on {self._adapter.device}>"


class OptionsPricing(NamedTuple):
    """The Black-Scholes-Merton functions on the adapter's device; each takes the keyword arguments of the component."""

    price: Adapted
    greeks: Adapted
    implied_volatility: Adapted


class Adapter(Mapping[str, Adapted]):
    """All components of gpujax by name, on the hardware that was found: a read-only mapping of names to functions.

    Arguments:
        config: as `gpujax.configure` takes it: "auto", a path, a mapping, or a `DeviceConfig`. It is put into force, so
            an adapter is made before the first computation.

    Called, a component checks its inputs (see `gpujax.hub.inputs.checked_inputs`: numbers, arrays or lists; NaN means
    "not known"; an impossible value is an error with its row), runs through `gpujax.accelerate` (NumPy in gives NumPy
    out), and falls back to the CPU if the accelerator runs out of memory or cannot run the program. A fallback gives
    the same numbers, a `FallbackWarning`, and an entry in `fallbacks`.

    Raises: ConfigError, DeviceError as `gpujax.configure`.

    >>> adapter = Adapter({"platform": "cpu"})
    >>> price = adapter["black_scholes.price"]
    >>> price(spot=[100.0, 101.0], strike=105, expiry=0.25, volatility=0.2).round(4)
    array([2.064 , 2.4131])
    >>> adapter.fallbacks
    ()
    """

    def __init__(self, config: "str | os.PathLike[str] | DeviceConfig | Mapping[str, Any]" = "auto") -> None:
        self._config = configure(config)
        self._device = next(d for d in mesh_devices(self._config) if d.process_index == jax.process_index())
        self._guide_config = GuideConfig(self._config, self._device)
        self._functions: dict[str, Callable[..., Any]] = {}
        self._on_cpu: dict[str, Callable[..., Any]] = {}
        self._failed: set[str] = set()
        self._fallbacks: collections.deque[Fallback] = collections.deque(maxlen=_MOST_FALLBACKS)

    def __getitem__(self, name: str) -> Adapted:
        """The component of this name as a function.

        Raises: InputError for an unknown name, with the nearest one.
        """
        return Adapted(self, registry.component(name))

    def __iter__(self) -> Iterator[str]:
        return iter(registry.COMPONENTS)

    def __len__(self) -> int:
        return len(registry.COMPONENTS)

    def __contains__(self, name: object) -> bool:
        return name in registry.COMPONENTS

    def __getattr__(self, name: str) -> Any:
        if name.startswith("adapt_"):
            there = [method for method in dir(type(self)) if method.startswith("adapt_")]
            raise AttributeError(
                f"Adapter has no {name}(): nothing of that kind is in gpujax {_version()}. There is "
                f"{', '.join(there)}, and by name: {', '.join(registry.COMPONENTS)}"
            )
        raise AttributeError(f"'Adapter' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Adapter({self._device}, {self._config.pricing_dtype}, {len(self)} components)"

    @property
    def device(self) -> Any:
        """The first device that components run on; `jax.device_put(array, adapter.device)` brings data there."""
        return self._device

    @property
    def device_config(self) -> DeviceConfig:
        """The configuration in force, with a reason for every field."""
        return self._config

    @property
    def config(self) -> GuideConfig:
        """The configuration as the guide's scripts read it, such as `config["batch_size"]`; read-only."""
        return self._guide_config

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The times that a component ran on the CPU instead (the last thousand of them), oldest first."""
        return tuple(self._fallbacks)

    def adapt_options_pricing(self) -> OptionsPricing:
        """Price, Greeks and implied volatility under Black-Scholes-Merton.

        >>> pricer = Adapter({"platform": "cpu"}).adapt_options_pricing()
        >>> pricer.greeks(spot=100.0, strike=100.0, expiry=0.5, volatility=0.2, which=("delta",)).delta.round(4)
        Array(0.5282, dtype=float64)
        """
        return OptionsPricing(*(self[f"black_scholes.{name}"] for name in OptionsPricing._fields))

    def get_all_comprehensive_adapters(self) -> dict[str, Adapted]:
        """Every component by name, ready to call."""
        return {name: self[name] for name in self}

    def get_performance_profile(self, *, options: int = 1_000_000, rounds: int = 7) -> dict[str, Any]:
        """How many times faster than plain NumPy this device prices options: measured now, on this machine.

        Arguments:
            options: how many Black-Scholes options are priced at once.
            rounds: how often each side is timed, in turns.

        Returns: `gpu_name`, `performance_multiplier` (NumPy arrays in and out, checks and transfers included) and
            `performance_multiplier_on_device` (arrays that are on the device already), with the medians and quartiles
            in seconds, the largest difference between the answers, and `how` it was measured, in words.

        Raises: DeviceError if the two sides disagree: a speed-up of a wrong answer is none.
        """
        return profile.measure(self["black_scholes.price"], self._device, options=options, rounds=rounds)

    def get_config_summary(self) -> str:
        """The configuration in force as a table of field, value and reason."""
        return f"{self!r}\n\n{self._config.summary()}"

    def get_script_categories(self) -> dict[str, tuple[str, ...]]:
        """Category -> names of its components."""
        return registry.categories()

    def _run(self, component: Component, inputs: Mapping[str, Any]) -> Any:
        prepared = checked_inputs(component, inputs)
        name = component.name
        if name in self._failed:
            return self._run_on_cpu(component, prepared)
        if name not in self._functions:
            self._functions[name] = accelerate(component.function, self._config)
        function = self._functions[name]
        traced = any(isinstance(value, Tracer) for value in prepared.values())
        if self._config.platform == "cpu" or traced:
            return function(**prepared)
        try:
            # Dispatch is asynchronous: an error of the device shows only once the result is waited for.
            return jax.block_until_ready(function(**prepared))
        except (jax.errors.JaxRuntimeError, DeviceError, NotImplementedError) as error:
            message = (str(error) or type(error).__name__).partition("\n")[0]
        # Outside the handler, whose traceback would keep the failed attempt's arrays alive.
        self._record(component, message, prepared)
        return self._run_on_cpu(component, prepared)

    def _record(self, component: Component, message: str, prepared: Mapping[str, Any]) -> None:
        out_of_memory = "RESOURCE_EXHAUSTED" in message or "out of memory" in message.lower() or "bytes" in message
        reason = "out of memory" if out_of_memory else "failure"
        if not out_of_memory:
            self._failed.add(component.name)
        shape = np.broadcast_shapes(*(np.shape(v) for v in prepared.values() if hasattr(v, "shape")))
        self._fallbacks.append(Fallback(component.name, str(self._device), reason, message, shape))
        _log.warning("%s fell back to the CPU: %s", component.name, message)
        warnings.warn(
            f"{component.name} ran on the CPU instead of {self._device} ({reason}: {message}). "
            + ("It stays there; see" if not out_of_memory else "The next call tries the device again; see")
            + " Adapter.fallbacks",
            FallbackWarning,
            stacklevel=5,
        )

    def _run_on_cpu(self, component: Component, prepared: Mapping[str, Any]) -> Any:
        if component.name not in self._on_cpu:
            config = self._config.replace(
                platform="cpu",
                device_ids=(0,),
                mesh_axes=(("batch", 1),),
                parallelism="none",
                why=f"fallback from {self._device}",
            )
            self._on_cpu[component.name] = accelerate(component.function, config)
        return self._on_cpu[component.name](**prepared)


def _version() -> str:
    import gpujax

    return gpujax.__version__
