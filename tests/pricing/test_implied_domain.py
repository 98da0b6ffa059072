"""Round trips of implied volatility at a hundred thousand points, where `test_implied` goes by exact prices at hundreds."""

import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.numerics.normal import pdf
from gpujax.pricing import bachelier
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
