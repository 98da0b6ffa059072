"""Implied volatility over its whole domain: round trips, bounds, diagnosis, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.numerics.normal import pdf
from gpujax.pricing import bachelier, black_scholes
from gpujax.pricing.implied import Status
from gpujax.pricing.lognormal import otm_value, z_minus
from gpujax.pricing.lognormal_implied import implied_total_volatility

N = 100_000


def _lognormal_domain(dtype):
    """|ln(F/K)|, total volatility and out-of-the-money value, from 1e-8 to 30 and down to the smallest prices."""
    wide = dtype == np.float64
    rng = np.random.default_rng(3)
    a = 10 ** rng.uniform(-12 if wide else -5, 2.8 if wide else 1.9, N)
    a[: N // 20] = 0
    depth = rng.uniform(0, 36 if wide else 11, N)
    along = 2 * a / (depth + np.sqrt(depth * depth + 2 * a) + 1e-300)
    s = np.where((rng.random(N) < 0.6) & (a > 0), along, 10 ** rng.uniform(-8 if wide else -5, 1.5, N))
    a, s = a.astype(dtype), s.astype(dtype)
    density = pdf(z_minus(jnp.asarray(a), jnp.asarray(s)))
    v = np.asarray(otm_value(jnp.asarray(a), jnp.asarray(s), jnp.ones(N, dtype), density))
    keep = (v > (1e-300 if wide else 1e-36)) & (v < 1)
    return a[keep], s[keep], v[keep], np.asarray(density)[keep]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_lognormal_round_trip_to_machine_accuracy(dtype):
    a, s, v, density = _lognormal_domain(dtype)
    # an out-of-the-money call of asset 1: x = -a, and the cash leg e^a, bounded to stay in range
    cash = np.exp(np.minimum(a, 80)).astype(dtype)
    found = np.asarray(
        implied_total_volatility(*map(jnp.asarray, (v, np.ones_like(v), cash, -a)), jnp.ones(v.shape, bool))
    )
    # what a rounding of v explains, at least one unit in the last place
    condition = np.maximum(1, v / (density * s))
    error = np.abs(found / s - 1) / (np.finfo(dtype).eps * condition)
    assert error.max() < 25, (a[error.argmax()], s[error.argmax()], v[error.argmax()])
    assert s.min() < 2e-8 if dtype == np.float64 else s.min() < 2e-5
    assert s.max() > (20 if dtype == np.float64 else 15)


def test_normal_round_trip_to_machine_accuracy():
    rng = np.random.default_rng(4)
    h = np.concatenate([rng.uniform(0, 36, N // 2), 10 ** rng.uniform(-12, 1.5, N // 2)])
    volatility = 10 ** rng.uniform(-8, 4, N)
    forward = -h * volatility
    forward[:500] = 0
    prices = bachelier.price(forward=forward, strike=0.0, expiry=1.0, volatility=volatility)
    found = bachelier.implied_volatility(price=prices, forward=forward, strike=0.0, expiry=1.0)
    keep = np.asarray(prices) > 1e-300
    assert np.max(np.abs(np.asarray(found) / volatility - 1)[keep]) < 1e-14


_CASES = [
    (0.5, 100.0, 90.0, 1.0, Status.BELOW_INTRINSIC),
    (101.0, 100.0, 90.0, 1.0, Status.ABOVE_BOUND),
    (10.0, 100.0, 90.0, 1.0, Status.AT_INTRINSIC),
    (100.0, 100.0, 90.0, 1.0, Status.AT_BOUND),
    (11.0, 100.0, 90.0, 0.0, Status.EXPIRED),
    (11.0, -1.0, 90.0, 1.0, Status.INVALID),
    (np.nan, 100.0, 90.0, 1.0, Status.INVALID),
    (15.0, 100.0, 90.0, 1.0, Status.OK),
]


def test_every_status_in_its_own_place():
    price, spot, strike, expiry, expected = (np.array(column) for column in zip(*_CASES, strict=True))
    diagnosis = black_scholes.implied_volatility_diagnosis(price=price, spot=spot, strike=strike, expiry=expiry)
    np.testing.assert_array_equal(diagnosis.status, expected)
    plain = black_scholes.implied_volatility(price=price, spot=spot, strike=strike, expiry=expiry)
    np.testing.assert_array_equal(plain, diagnosis.volatility)
    nan = [Status.BELOW_INTRINSIC, Status.ABOVE_BOUND, Status.EXPIRED, Status.INVALID]
    np.testing.assert_array_equal(np.isnan(plain), np.isin(expected, nan))
    assert float(plain[2]) == 0.0
    assert float(plain[3]) == np.inf


@pytest.mark.parametrize("volatility", [0.1, 0.2, 0.8, 3.0])
def test_derivatives_are_those_of_the_implicit_function(volatility):
    market = {"strike": 150.0, "expiry": 0.5}

    def implied(price, spot):
        return black_scholes.implied_volatility(price=price, spot=spot, **market)

    greeks = black_scholes.greeks(spot=100.0, volatility=volatility, **market)
    by_price, by_spot = jax.grad(implied, (0, 1))(greeks.price, 100.0)
    np.testing.assert_allclose(by_price, 1 / greeks.vega, rtol=2e-14)
    np.testing.assert_allclose(by_spot, -greeks.delta / greeks.vega, rtol=2e-14)
    second = jax.grad(jax.grad(implied))(greeks.price, 100.0)
    np.testing.assert_allclose(second, -greeks.volga / greeks.vega**3, rtol=1e-12)


def test_there_is_no_loop_in_it():
    arguments = dict.fromkeys(("price", "spot", "strike", "expiry"), jnp.ones(3))
    program = str(jax.make_jaxpr(lambda k: black_scholes.implied_volatility(**k))(arguments))
    assert "while" not in program
    assert "scan" not in program
