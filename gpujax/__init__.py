"""gpujax: pure, jit-compiled JAX functions for trading research, placed on whatever hardware is there.

    import gpujax as gj

    gj.configure()                                   # once, before the first computation
    gj.black_scholes.price(spot=100.0, strike=105.0, expiry=0.25, volatility=0.2)

Names resolve on first use, so that `import gpujax` starts no backend and costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpujax import hub as hub
    from gpujax import trading as trading
    from gpujax.device import DeviceConfig as DeviceConfig
    from gpujax.device import Hardware as Hardware
    from gpujax.device import accelerate as accelerate
    from gpujax.device import configure as configure
    from gpujax.device import detect as detect
    from gpujax.hub import Adapter as Adapter
    from gpujax.hub import components as components
    from gpujax.pricing import arithmetic_asian as arithmetic_asian
    from gpujax.pricing import bachelier as bachelier
    from gpujax.pricing import black76 as black76
    from gpujax.pricing import black_scholes as black_scholes
    from gpujax.pricing import digital as digital
    from gpujax.pricing import displaced as displaced
    from gpujax.pricing import geometric_asian as geometric_asian
    from gpujax.pricing import heston as heston
    from gpujax.pricing import monte_carlo as monte_carlo
    from gpujax.pricing.black_scholes import implied_volatility as implied_volatility
    from gpujax.trading import Chain as Chain

__version__ = "0.1.0"

# public name -> (module, attribute of it, or "" for the module itself)
_LAZY = {
    "Adapter": ("gpujax.hub", "Adapter"),
    "Chain": ("gpujax.trading", "Chain"),
    "DeviceConfig": ("gpujax.device", "DeviceConfig"),
    "Hardware": ("gpujax.device", "Hardware"),
    "accelerate": ("gpujax.device", "accelerate"),
    "arithmetic_asian": ("gpujax.pricing.arithmetic_asian", ""),
    "bachelier": ("gpujax.pricing.bachelier", ""),
    "black76": ("gpujax.pricing.black76", ""),
    "black_scholes": ("gpujax.pricing.black_scholes", ""),
    "components": ("gpujax.hub", "components"),
    "configure": ("gpujax.device", "configure"),
    "detect": ("gpujax.device", "detect"),
    "device": ("gpujax.device", ""),
    "digital": ("gpujax.pricing.digital", ""),
    "displaced": ("gpujax.pricing.displaced", ""),
    "errors": ("gpujax.errors", ""),
    "geometric_asian": ("gpujax.pricing.geometric_asian", ""),
    "heston": ("gpujax.pricing.heston", ""),
    "hub": ("gpujax.hub", ""),
    "implied_volatility": ("gpujax.pricing.black_scholes", "implied_volatility"),
    "monte_carlo": ("gpujax.pricing.monte_carlo", ""),
    "numerics": ("gpujax.numerics", ""),
    "trading": ("gpujax.trading", ""),
}

__all__ = sorted([*_LAZY, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'gpujax' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
