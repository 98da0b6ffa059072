"""Closed-form Greeks against differentiation of the price, for every model, dense in the inputs."""

import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.pricing import bachelier, black76, black_scholes, displaced
from gpujax.pricing.differentiation import greeks_by_differentiation
from gpujax.pricing.greek_names import GREEKS

N = 200


def _inputs(model):
    rng = np.random.default_rng(7)
    inputs = {
        "strike": rng.uniform(50, 150, N),
        "expiry": rng.uniform(0.02, 3, N),
        "volatility": rng.uniform(0.05, 0.9, N),
        "rate": rng.uniform(-0.03, 0.08, N),
    }
    level = rng.uniform(50, 150, N)
    if model is black_scholes:
        return {**inputs, "spot": level, "dividend_yield": rng.uniform(-0.02, 0.05, N)}, "spot"
    if model is bachelier:
        return {
            **inputs,
            "forward": level - 100,
            "strike": inputs["strike"] - 100,
            "volatility": 30 * inputs["volatility"],
        }, "forward"
    if model is displaced:
        return {**inputs, "forward": level - 80, "strike": inputs["strike"] - 80, "shift": np.full(N, 40.0)}, "forward"
    return {**inputs, "forward": level}, "forward"


@pytest.mark.parametrize(
    "model", [black_scholes, black76, displaced, bachelier], ids=lambda m: m.__name__.split(".")[-1]
)
def test_closed_forms_are_the_derivatives_of_the_price(model):
    inputs, underlying = _inputs(model)
    is_call = np.arange(N) % 2 == 0
    arrays = {name: jnp.asarray(value) for name, value in inputs.items()}
    closed = model.greeks(**arrays, is_call=is_call)
    differentiated = greeks_by_differentiation(
        lambda **k: model.price(**k, is_call=is_call), arrays, GREEKS, underlying
    )
    for name in GREEKS:
        expected, value = getattr(differentiated, name), getattr(closed, name)
        assert (expected is None) == (value is None), name
        if value is not None:
            scale = 1e-12 * np.max(np.abs(expected))
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=scale, err_msg=name)


def test_only_the_greeks_asked_for():
    greeks = black_scholes.greeks(spot=100.0, strike=90.0, expiry=1.0, volatility=0.3, which=("price", "speed"))
    assert [name for name in GREEKS if getattr(greeks, name) is not None] == ["price", "speed"]
    with pytest.raises(InputError, match="'gama'"):
        black_scholes.greeks(spot=100.0, strike=90.0, expiry=1.0, volatility=0.3, which=("gama",))


def test_in_the_money_probabilities_keep_their_digits_at_a_total_volatility_of_twenty():
    # mpmath: -N((ln 2 - 200) / 20) and -N(-(ln 0.4 + 200) / 20)
    deep_call = black_scholes.greeks(spot=100.0, strike=50.0, expiry=1.0, volatility=20.0)
    np.testing.assert_allclose(deep_call.dual_delta, -1.080636640916962744531701e-23, rtol=1e-13)
    deep_put = black_scholes.greeks(spot=100.0, strike=250.0, expiry=1.0, volatility=20.0, is_call=False)
    np.testing.assert_allclose(deep_put.delta, -1.208973806505354977543e-23, rtol=1e-13)


@pytest.mark.parametrize(("expiry", "volatility"), [(0.0, 0.2), (1.0, 0.0), (0.0, 0.0)])
def test_without_time_or_volatility_greeks_are_those_of_the_payoff(expiry, volatility):
    for spot, delta in ((120.0, 1.0), (80.0, 0.0)):
        greeks = black_scholes.greeks(spot=spot, strike=100.0, expiry=expiry, volatility=volatility)
        assert float(greeks.price) == max(spot - 100.0, 0.0)
        assert float(greeks.delta) == delta
        for name in GREEKS[2:]:
            if name not in ("dual_delta", "rho", "dividend_rho"):
                assert float(getattr(greeks, name)) == 0.0, name
        assert float(greeks.dual_delta) == -delta


def test_on_the_kink_gamma_is_infinite_and_first_derivatives_are_limits():
    greeks = black_scholes.greeks(spot=100.0, strike=100.0, expiry=0.0, volatility=0.2)
    np.testing.assert_allclose(greeks.delta, 0.5, rtol=1e-15)
    assert float(greeks.gamma) == np.inf
    assert float(greeks.theta) == -np.inf
    assert np.isnan(float(greeks.speed))
