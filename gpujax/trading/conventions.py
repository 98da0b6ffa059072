"""Greeks in the units of a trading system: one factor per Greek, applied to the raw partial derivatives.

gpujax computes raw Greeks: per 1.00 of volatility, per year of time, per 1.00 of rate. Trading systems quote most of
them per volatility point (0.01), per calendar day and per percentage point of rate. What a system does not define
itself (the second and third order, mostly) is scaled alike, per point and per day in each of its variables.

Sources: alpaca: its published snapshot of AAPL240503P00155000 (alpaca-py test data) is reproduced with these factors.
nautilus: NautilusTrader, crates/model/src/data/greeks.rs, black_scholes_greeks_exact (it has no rho). vollib:
py_vollib and fast-vollib, analytical Greeks.
"""

from collections.abc import Mapping
from typing import Literal, TypeVar, get_args

from gpujax.errors import InputError

__all__ = ["Convention", "convention_factors", "to_convention"]

Convention = Literal["raw", "alpaca", "nautilus", "vollib"]
GreeksTuple = TypeVar("GreeksTuple", bound=tuple)

_POINT = 0.01  # of volatility, or of rate
# Greek -> how many times it is a derivative by volatility or rate, and whether it is one by time
_ORDERS: Mapping[str, tuple[int, bool]] = {
    "price": (0, False),
    "delta": (0, False),
    "gamma": (0, False),
    "vega": (1, False),
    "theta": (0, True),
    "rho": (1, False),
    "dividend_rho": (1, False),
    "vanna": (1, False),
    "volga": (2, False),
    "charm": (0, True),
    "veta": (1, True),
    "speed": (0, False),
    "zomma": (1, False),
    "color": (0, True),
    "ultima": (3, False),
    "dual_delta": (0, False),
    "dual_gamma": (0, False),
}
_DAYS_IN_YEAR = {"alpaca": 365.0, "nautilus": 365.25, "vollib": 365.0}


def convention_factors(convention: Convention, *, days_in_year: float | None = None) -> dict[str, float]:
    """What each raw Greek is multiplied by under a convention.

    Arguments:
        convention: "raw", "alpaca", "nautilus" or "vollib".
        days_in_year: days that per-day Greeks divide the year into; None for the convention's own. 252 suits time
            counted in trading sessions.

    Raises: InputError for an unknown convention.

    >>> convention_factors("alpaca")["vega"]
    0.01
    """
    if convention == "raw":
        return dict.fromkeys(_ORDERS, 1.0)
    if convention not in _DAYS_IN_YEAR:
        raise InputError(f"convention: {convention!r}; expected one of {', '.join(get_args(Convention))}")
    days = days_in_year or _DAYS_IN_YEAR[convention]
    return {name: _POINT**points / (days if by_time else 1.0) for name, (points, by_time) in _ORDERS.items()}


def to_convention(greeks: GreeksTuple, convention: Convention, *, days_in_year: float | None = None) -> GreeksTuple:
    """Bring raw Greeks to a convention.

    Arguments:
        greeks: a NamedTuple whose fields are called as in `gpujax.pricing`; values are arrays, or None where not
            computed.
        convention: "raw" leaves them as they are; "alpaca" and "vollib": vega and rho per point, theta per day of a
            year of 365; "nautilus": the same with a year of 365.25 days.
        days_in_year: as for `convention_factors`.

    Returns: the same NamedTuple, with the same fields.

    Raises: InputError for an unknown convention, or for a field that is not a Greek.

    >>> from typing import NamedTuple
    >>> class Two(NamedTuple):
    ...     delta: float
    ...     theta: float
    >>> to_convention(Two(delta=0.5, theta=-36.5), "alpaca")
    Two(delta=0.5, theta=-0.1)
    """
    factors = convention_factors(convention, days_in_year=days_in_year)
    changed = {}
    for name, value in greeks._asdict().items():  # pyright: ignore[reportAttributeAccessIssue]
        if name not in factors:
            raise InputError(f"greeks: field {name!r} is not a Greek; expected {', '.join(factors)}")
        changed[name] = None if value is None else value * factors[name]
    return type(greeks)(**changed)
