"""Greeks under named conventions, against published figures of the systems they are named after."""

from typing import NamedTuple

import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.pricing import black_scholes
from gpujax.trading import convention_factors, to_convention

# Hull, Options, Futures, and Other Derivatives, chapter "The Greek Letters" (S 49, K 50, r 5 %, sigma 20 %, 20 weeks),
# in the units and to the digits of py_vollib's docstrings, which cite it (py_vollib.black_scholes.greeks.analytical).
HULL = {"spot": 49.0, "strike": 50.0, "expiry": 0.3846, "volatility": 0.2, "rate": 0.05}
VOLLIB = {
    True: {"delta": 0.521601633972, "gamma": 0.0655453772525, "vega": 0.121052427542, "rho": 0.089065740988},
    False: {"delta": -0.478398366028, "gamma": 0.0655453772525, "vega": 0.121052427542, "rho": -0.101572580},
}
HULL_CALL_THETA_PER_YEAR = -4.30538996455


@pytest.mark.parametrize("is_call", [True, False])
def test_vollib(is_call):
    raw = black_scholes.greeks(**HULL, is_call=is_call, which=("delta", "gamma", "vega", "theta", "rho"))
    converted = to_convention(raw, "vollib")
    for name, value in VOLLIB[is_call].items():
        if not is_call and name == "rho":
            # by parity: rho of the put = rho of the call - K T exp(-r T) / 100
            value = VOLLIB[True]["rho"] - 50.0 * 0.3846 * np.exp(-0.05 * 0.3846) / 100.0
        assert float(getattr(converted, name)) == pytest.approx(value, rel=1e-9)
    if is_call:
        assert float(converted.theta) == pytest.approx(HULL_CALL_THETA_PER_YEAR / 365.0, rel=1e-9)
        assert float(to_convention(raw, "nautilus").theta) == pytest.approx(HULL_CALL_THETA_PER_YEAR / 365.25, rel=1e-9)


def test_every_greek_has_a_factor():
    raw = black_scholes.greeks(**HULL)
    factors = {name: convention_factors(name) for name in ("raw", "alpaca", "nautilus", "vollib")}
    for name in raw._fields:
        assert factors["raw"][name] == 1.0
    assert factors["alpaca"] == factors["vollib"]
    assert factors["alpaca"]["vega"] == 0.01
    assert factors["alpaca"]["volga"] == pytest.approx(1e-4)
    assert factors["alpaca"]["ultima"] == pytest.approx(1e-6)
    assert factors["alpaca"]["charm"] == pytest.approx(1.0 / 365.0)
    assert factors["nautilus"]["veta"] == pytest.approx(0.01 / 365.25)
    assert factors["alpaca"]["gamma"] == factors["alpaca"]["speed"] == factors["alpaca"]["dual_gamma"] == 1.0
    assert convention_factors("alpaca", days_in_year=252.0)["theta"] == pytest.approx(1.0 / 252.0)


def test_the_volatility_point_is_one_point():
    """Vega under the convention is the price change for one point of volatility, theta that of one day."""
    price = lambda **changed: float(black_scholes.price(**HULL | changed))  # noqa: E731
    greeks = to_convention(black_scholes.greeks(**HULL), "alpaca")
    assert float(greeks.vega) == pytest.approx((price(volatility=0.205) - price(volatility=0.195)), rel=1e-3)
    assert float(greeks.rho) == pytest.approx((price(rate=0.055) - price(rate=0.045)), rel=1e-3)
    half = 0.5 / 365.0
    assert float(greeks.theta) == pytest.approx(price(expiry=0.3846 - half) - price(expiry=0.3846 + half), rel=1e-3)


def test_what_is_refused():
    with pytest.raises(InputError, match="convention: 'bloomberg'; expected one of raw, alpaca"):
        convention_factors("bloomberg")  # pyright: ignore[reportArgumentType]

    class Strange(NamedTuple):
        omega: float

    with pytest.raises(InputError, match="'omega' is not a Greek"):
        to_convention(Strange(1.0), "alpaca")
