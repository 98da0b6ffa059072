"""Tier 3: the registry of components, and the `Adapter` that calls them by name on whatever hardware is there.

    import gpujax as gj

    gj.components()                                                       # every capability by name
    adapter = gj.Adapter()                                                # looks at the hardware, configures JAX
    adapter["black_scholes.price"](spot=100.0, strike=105.0, expiry=0.25, volatility=0.2)

The only tier that knows every room below it: adding a capability means a pure function and one row in `registry.py`.
"""

from gpujax.hub.adapter import Adapter, Fallback, FallbackWarning
from gpujax.hub.component import Argument, Component, Option, Tolerance
from gpujax.hub.registry import COMPONENTS, categories, component, components

__all__ = [
    "COMPONENTS",
    "Adapter",
    "Argument",
    "Component",
    "Fallback",
    "FallbackWarning",
    "Option",
    "Tolerance",
    "categories",
    "component",
    "components",
]
