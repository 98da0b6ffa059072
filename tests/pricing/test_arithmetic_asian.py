"""Arithmetic Asians: the oracle of quadrature at the edges of the domain, published prices, parity, and dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.hub.oracles import asian_oracle
from gpujax.pricing import arithmetic_asian, black_scholes

MARKETS = {
    "spot": np.array([100.0, 100.0, 100.0, 100.0, 50.0, 100.0, 100.0]),
    "strike": np.array([100.0, 80.0, 125.0, 100.0, 55.0, 100.0, 60.0]),
    "expiry": np.array([1.0, 0.5, 2.0, 0.02, 5.0, 1.0, 1.0]),
    "volatility": np.array([0.2, 0.3, 0.25, 0.6, 0.4, 0.05, 0.9]),
    "rate": np.array([0.05, -0.01, 0.03, 0.0, 0.06, 0.09, 0.02]),
    "dividend_yield": np.array([0.0, 0.02, 0.0, 0.0, 0.04, 0.0, 0.01]),
    "is_call": np.array([True, False, True, False, True, True, False]),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_prices_against_quadrature(dtype):
    inputs = {k: v if v.dtype == bool else v.astype(dtype) for k, v in MARKETS.items()}
    found = arithmetic_asian.price(**inputs)
    assert found.dtype == dtype
    exact = asian_oracle(12)(**{k: np.asarray(v, v.dtype if v.dtype == bool else float) for k, v in inputs.items()})
    error = np.abs(np.asarray(found, float) - exact)
    allowed = 2e-5 * MARKETS["spot"] * (1 + 10 * MARKETS["volatility"] ** 2 * MARKETS["expiry"])
    assert np.all(error < allowed), error / allowed


def test_parity_and_one_fixing_limits():
    """Call less put is the forward of the average; without volatility, the discounted payoff itself."""
    market = {**MARKETS, "is_call": np.full(7, True)}
    call, put = arithmetic_asian.price(**market), arithmetic_asian.price(**{**market, "is_call": np.full(7, False)})
    carry = (market["rate"] - market["dividend_yield"]) * market["expiry"]
    forward = market["spot"] * np.mean(np.exp(carry[:, None] * np.arange(1, 13) / 12), axis=1)
    exact = np.exp(-market["rate"] * market["expiry"]) * (forward - market["strike"])
    np.testing.assert_allclose(call - put, exact, atol=0.02)
    still = arithmetic_asian.price(**{**market, "volatility": np.zeros(7)})
    np.testing.assert_allclose(still, np.maximum(exact, 0), rtol=1e-12, atol=1e-12)


def test_derivatives_against_differences_of_the_oracle():
    market = {k: float(v[0]) for k, v in MARKETS.items() if k != "is_call"}
    slopes = jax.grad(lambda moved: arithmetic_asian.price(**moved))(market)
    for name, bump in (("spot", 0.1), ("volatility", 1e-3), ("rate", 1e-3), ("strike", 0.1)):
        up, down = (
            asian_oracle(12)(
                **{k: np.array([v]) for k, v in {**market, name: market[name] + s}.items()}, is_call=[True]
            )[0]
            for s in (bump, -bump)
        )
        assert float(slopes[name]) == pytest.approx((up - down) / (2 * bump), rel=2e-3)


def test_neighbours_and_shapes_do_not_matter():
    alone = arithmetic_asian.price(spot=100.0, strike=95.0, expiry=1.0, volatility=0.2)
    grid = arithmetic_asian.price(
        spot=jnp.array([[100.0], [90.0]]), strike=jnp.array([[95.0, 100.0, np.nan]]), expiry=1.0, volatility=0.2
    )
    assert grid.shape == (2, 3)
    np.testing.assert_array_equal(grid[0, 0], alone)
    assert np.isnan(grid[:, 2]).all()
    assert float(alone) < float(black_scholes.price(spot=100.0, strike=95.0, expiry=1.0, volatility=0.2))
