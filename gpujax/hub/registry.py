"""The registry: one row per capability, and nothing else to touch when one is added.

registry.COMPONENTS["black_scholes.price"]   # the row
components()                                 # all names
"""

import difflib
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from gpujax.errors import InputError
from gpujax.hub import examples, textbook
from gpujax.hub.component import Argument, Component, Option, Tolerance
from gpujax.hub.oracles import asian_oracle, greeks_oracle, implied_volatility_oracle, normal_oracle, price_oracle
from gpujax.numerics import normal
from gpujax.pricing import arithmetic_asian, bachelier, black76, black_scholes, digital, displaced
from gpujax.pricing.greek_names import GREEKS

__all__ = ["COMPONENTS", "categories", "component", "components"]


def components() -> tuple[str, ...]:
    """The names of all components, in the order of the registry.

    >>> "black_scholes.price" in components()
    True
    """
    return tuple(COMPONENTS)


def component(name: str) -> Component:
    """The row of one component.

    Raises: InputError for an unknown name, with the nearest one.
    """
    if name not in COMPONENTS:
        near = difflib.get_close_matches(str(name), COMPONENTS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(COMPONENTS)}"
        raise InputError(f"component {name!r} is not in the registry; {hint}")
    return COMPONENTS[name]


def categories() -> dict[str, tuple[str, ...]]:
    """Category -> names of its components, in the order of the registry."""
    found: dict[str, list[str]] = {}
    for row in COMPONENTS.values():
        found.setdefault(row.category, []).append(row.name)
    return {category: tuple(names) for category, names in found.items()}


# --- arguments ------------------------------------------------------------------------------------------------

_SPOT = Argument(name="spot", meaning="price of the underlying now", unit="currency", least=0.0, above_least=True)
_FORWARD = Argument(
    name="forward", meaning="forward price for delivery at expiry", unit="currency", least=0.0, above_least=True
)
_STRIKE = Argument(name="strike", meaning="strike price", unit="currency", least=0.0)
_ANY_FORWARD = Argument(
    name="forward", meaning="forward price or rate for delivery at expiry", unit="currency, or rate"
)
_ANY_STRIKE = Argument(name="strike", meaning="strike price or rate", unit="currency, or rate")
_EXPIRY = Argument(name="expiry", meaning="time to expiry", unit="years", least=0.0)
_VOLATILITY = Argument(name="volatility", meaning="lognormal volatility as a decimal", unit="per √year", least=0.0)
_NORMAL_VOLATILITY = Argument(name="volatility", meaning="normal volatility", unit="currency per √year", least=0.0)
_SHIFT = Argument(name="shift", meaning="shift that makes forward and strike positive", unit="as the forward")
_PRICE = Argument(name="price", meaning="price of the option now", unit="currency")
_RATE = Argument(name="rate", meaning="interest rate, continuously compounded", unit="per year", default=0.0)
_YIELD = Argument(
    name="dividend_yield", meaning="dividend yield, continuously compounded", unit="per year", default=0.0
)
_IS_CALL = Argument(name="is_call", meaning="True for a call, False for a put", boolean=True, default=True)
_CASH = Argument(name="cash", meaning="amount paid in the money", unit="currency", default=1.0)
_X = Argument(name="x", meaning="argument")
_P = Argument(name="p", meaning="probability", least=0.0, greatest=1.0)

_WHICH = Option(name="which", meaning="names of the Greeks to compute", choices=GREEKS, default=GREEKS, several=True)

_ON_SPOT = (_SPOT, _STRIKE, _EXPIRY, _VOLATILITY, _RATE, _YIELD, _IS_CALL)
_ON_FORWARD = (_FORWARD, _STRIKE, _EXPIRY, _VOLATILITY, _RATE, _IS_CALL)
_SHIFTED = (_ANY_FORWARD, _ANY_STRIKE, _EXPIRY, _VOLATILITY, _SHIFT, _RATE, _IS_CALL)
_NORMAL_MODEL = (_ANY_FORWARD, _ANY_STRIKE, _EXPIRY, _NORMAL_VOLATILITY, _RATE, _IS_CALL)

# --- rows -----------------------------------------------------------------------------------------------------

# A call to a GPU and back costs about 100 microseconds; a size is where the CPU takes as long.
_LATENCY = "estimate: about 0.1 ms to a GPU and back, at {} ns an entry on two CPU cores"


def _model(
    name: str,
    module: ModuleType,
    title: str,
    market: examples.Example,
    arguments: tuple[Argument, ...],
    textbook_price: Any,
) -> tuple[Component, ...]:
    """The rows of a model of European options: price, Greeks, implied volatility and its diagnosis."""
    smooth = tuple(a.name for a in arguments if not a.boolean)
    solved = (_PRICE, *(a for a in arguments if a.name != "volatility"))
    volatility = {
        "category": "implied volatility",
        "arguments": solved,
        "example": examples.with_price(textbook_price, market),
        "tolerance": {"float64": Tolerance(1e-14), "float32": Tolerance(5e-6)},
        "least_size": 5_000,
        "least_size_why": _LATENCY.format(20),
        "differentiable": tuple(a.name for a in solved if not a.boolean),
    }
    return (
        Component(
            name=f"{name}.price",
            category="option prices",
            summary=f"European option under {title}",
            function=module.price,
            arguments=arguments,
            example=market,
            oracle=price_oracle(name),
            tolerance={"float64": Tolerance(2e-14), "float32": Tolerance(1e-5)},
            least_size=10_000,
            least_size_why=_LATENCY.format(10),
            differentiable=smooth,
        ),
        Component(
            name=f"{name}.greeks",
            category="Greeks",
            summary=f"Price and partial derivatives to third order under {title}",
            function=module.greeks,
            arguments=arguments,
            options=(_WHICH,),
            example=market,
            oracle=greeks_oracle(name),
            tolerance={"float64": Tolerance(1e-13, of_largest=1e-13), "float32": Tolerance(1e-4, of_largest=1e-5)},
            least_size=5_000,
            least_size_why=_LATENCY.format(20),
            differentiable=smooth,
        ),
        Component(
            name=f"{name}.implied_volatility",
            summary=f"Volatility that gives an option's price under {title}",
            function=module.implied_volatility,
            oracle=implied_volatility_oracle(name),
            **volatility,
        ),
        Component(
            name=f"{name}.implied_volatility_diagnosis",
            summary=f"The same with a status and an uncertainty for every option, under {title}",
            function=module.implied_volatility_diagnosis,
            oracle=lambda **inputs: {"volatility": implied_volatility_oracle(name)(**inputs)},
            **volatility,
        ),
    )


def _digital(name: str, summary: str, price: Any, greeks: Any, *more: Argument) -> tuple[Component, ...]:
    """The rows of a digital option: price and Greeks."""
    both = {
        "arguments": (*_ON_SPOT, *more),
        "example": examples.spot_market,
        "least_size": 10_000,
        "least_size_why": _LATENCY.format(10),
        "differentiable": tuple(a.name for a in _ON_SPOT if not a.boolean),
    }
    return (
        Component(
            name=f"digital.{name}",
            category="option prices",
            summary=summary,
            function=price,
            oracle=price_oracle(name),
            tolerance={"float64": Tolerance(2e-14), "float32": Tolerance(1e-5)},
            **both,
        ),
        Component(
            name=f"digital.{name}_greeks",
            category="Greeks",
            summary=f"{summary}: price and partial derivatives to third order",
            function=greeks,
            options=(_WHICH,),
            oracle=greeks_oracle(name),
            tolerance={"float64": Tolerance(1e-13, of_largest=1e-13), "float32": Tolerance(1e-4, of_largest=1e-5)},
            **both,
        ),
    )


def _normal(name: str, summary: str, function: Any, argument: Argument, example: examples.Example) -> Component:
    return Component(
        name=f"normal.{name}",
        category="normal distribution",
        summary=summary,
        function=function,
        arguments=(argument,),
        example=example,
        oracle=normal_oracle(name),
        tolerance={"float64": Tolerance(5e-15), "float32": Tolerance(1e-6)},
        least_size=50_000,
        least_size_why=_LATENCY.format(2),
        differentiable=(argument.name,),
    )


_ROWS: tuple[Component, ...] = (
    *_model("black_scholes", black_scholes, "Black-Scholes-Merton", examples.spot_market, _ON_SPOT,
            textbook.black_scholes),
    *_model("black76", black76, "Black (1976)", examples.forward_market, _ON_FORWARD, textbook.black76),
    *_model("displaced", displaced, "a displaced (shifted) lognormal", examples.shifted_market, _SHIFTED,
            textbook.displaced),
    *_model("bachelier", bachelier, "Bachelier's normal model", examples.bachelier_market, _NORMAL_MODEL,
            textbook.bachelier),
    *_digital("cash_or_nothing", "Option that pays a fixed amount in the money", digital.cash_or_nothing,
              digital.cash_or_nothing_greeks, _CASH),
    *_digital("asset_or_nothing", "Option that pays the underlying in the money", digital.asset_or_nothing,
              digital.asset_or_nothing_greeks),
    Component(
        name="arithmetic_asian.price",
        category="option prices",
        summary=f"Option on the arithmetic average of {arithmetic_asian.FIXINGS} equally spaced fixings, by quasi-Monte Carlo",
        function=arithmetic_asian.price,
        arguments=_ON_SPOT,
        example=examples.spot_market,
        oracle=asian_oracle(arithmetic_asian.FIXINGS),
        tolerance={"float64": Tolerance(1e-3, of_largest=1e-4), "float32": Tolerance(1e-3, of_largest=1e-4)},
        least_size=100,
        least_size_why=_LATENCY.format(1_000_000),
        deterministic=False,
        differentiable=tuple(a.name for a in _ON_SPOT if not a.boolean),
    ),
    _normal("pdf", "Density of the standard normal distribution", normal.pdf, _X, examples.normal_arguments),
    _normal("cdf", "Standard normal distribution function", normal.cdf, _X, examples.normal_arguments),
    _normal("log_cdf", "Logarithm of the standard normal distribution function", normal.log_cdf, _X,
            examples.normal_arguments),
    _normal("quantile", "Quantile of the standard normal distribution", normal.quantile, _P, examples.probabilities),
    _normal("erfcx", "Scaled complementary error function e^(x²) erfc(x)", normal.erfcx, _X, examples.normal_arguments),
)  # fmt: skip

COMPONENTS: Mapping[str, Component] = MappingProxyType({row.name: row for row in _ROWS})
