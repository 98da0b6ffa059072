"""The geometric Asian option against mpmath, a published value and its own limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes, geometric_asian

NAMES = ("spot", "strike", "volatility", "rate", "dividend_yield")


def exact(times, is_call, spot, strike, volatility, rate, dividend_yield):
    """The definition, by mpmath: mean and variance of ln G from the covariances of the fixings, and Black's two terms."""
    with mp.workdps(50):
        t = [mp.mpf(float(x)) for x in times]
        s, k, vol, r, q = (mp.mpf(x) for x in (spot, strike, volatility, rate, dividend_yield))
        n = len(t)
        mean = mp.log(s) + (r - q - vol**2 / 2) * mp.fsum(t) / n
        total = vol * mp.sqrt(mp.fsum(min(a, b) for a in t for b in t)) / n
        forward = mp.exp(mean + total**2 / 2)
        d1 = mp.log(forward / k) / total + total / 2
        sign = 1 if is_call else -1
        value = sign * (forward * mp.ncdf(sign * d1) - k * mp.ncdf(sign * (d1 - total)))
        return mp.exp(-r * t[-1]) * value


def contracts(count, fixings, seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    volatility = np.exp(rng.uniform(np.log(0.03), np.log(1.5), count))
    times = np.cumsum(rng.exponential(1.0, (count, fixings)), axis=-1)
    times = times / times[:, -1:] * np.exp(rng.uniform(np.log(0.02), np.log(10.0), (count, 1)))
    total = volatility * np.sqrt(times[:, -1] / 3)
    found = {
        "spot": np.exp(rng.normal(3, 2, count)), "volatility": volatility, "rate": rng.uniform(-0.05, 0.15, count),
        "dividend_yield": rng.uniform(-0.05, 0.1, count),
    }  # fmt: skip
    found["strike"] = found["spot"] * np.exp(rng.uniform(-4, 4, count) * total)
    return times.astype(dtype), {name: x.astype(dtype) for name, x in found.items()}, rng.random(count) < 0.5


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("fixings", [1, 12])
def test_the_definition(fixings, dtype):
    """Backward error: the exact price of inputs moved by a few units in the last place."""
    times, inputs, is_call = contracts(100, fixings, fixings, dtype)
    got = np.asarray(geometric_asian.price(times=times, is_call=is_call, **inputs))
    assert got.dtype == dtype
    for i, value in enumerate(got):
        row = {name: float(x[i]) for name, x in inputs.items()}
        true = exact(times[i], is_call[i], **row)
        with mp.workdps(50):
            moved = mp.fsum(
                abs(exact(times[i], is_call[i], **{**row, name: row[name] * (1 + mp.mpf(10) ** -12)}) - true)
                for name in NAMES
            ) + abs(exact([float(t) * (1 + 1e-12) for t in times[i]], is_call[i], **row) - true)  # fmt: skip
            allowed = 4 * float(np.finfo(dtype).eps) * (true + moved * 10**12)
            assert abs(mp.mpf(float(value)) - true) <= allowed, (row, times[i], value, true)


def test_derivatives():
    """By every argument, fixing times included; finite at zero volatility and at a fixing today."""
    times, inputs, is_call = contracts(8, 5, 3)
    one = {name: jnp.asarray(x) for name, x in inputs.items()}

    def total(inputs, times):
        return jnp.sum(geometric_asian.price(times=times, is_call=is_call, **inputs))

    slopes, by_time = jax.grad(total, argnums=(0, 1))(one, jnp.asarray(times))
    for i in range(8):
        row = {name: float(x[i]) for name, x in inputs.items()}
        for name in NAMES:
            with mp.workdps(50):
                step = mp.mpf(10) ** -18
                ends = [exact(times[i], is_call[i], **{**row, name: row[name] + h}) for h in (step, -step)]
                true = float((ends[0] - ends[1]) / (2 * step))
            np.testing.assert_allclose(float(slopes[name][i]), true, rtol=1e-11, atol=1e-300, err_msg=f"{name} {row}")
        step = 1e-6 * times[i][2]
        ends = [exact([*times[i][:2], times[i][2] + h, *times[i][3:]], is_call[i], **row) for h in (step, -step)]
        np.testing.assert_allclose(float(by_time[i, 2]), float((ends[0] - ends[1]) / (2 * step)), rtol=1e-6, atol=1e-8)
    edges = {**one, "volatility": jnp.zeros(8)}
    for inputs, t in ((edges, times), (one, times * np.array([0.0, 1, 1, 1, 1])), (edges, times * 0)):
        found = jax.grad(total, argnums=(0, 1))(inputs, jnp.asarray(t))
        assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(found))


def test_one_fixing_is_black_scholes():
    times, inputs, is_call = contracts(100, 1, 5)
    expected = black_scholes.price(expiry=times[:, 0], is_call=is_call, **inputs)
    np.testing.assert_allclose(geometric_asian.price(times=times, is_call=is_call, **inputs), expected, rtol=1e-13)
    np.testing.assert_allclose(
        geometric_asian.price(spot=100.0, strike=90.0, times=0.5, volatility=0.3),
        black_scholes.price(spot=100.0, strike=90.0, expiry=0.5, volatility=0.3),
        rtol=1e-14,
    )


def test_a_fixing_today():
    times, inputs, is_call = contracts(20, 6, 7)
    led = np.concatenate([np.zeros((20, 1)), times], axis=1)
    expected = geometric_asian.price(times=led, is_call=is_call, **inputs)
    found = geometric_asian.price(times=times, is_call=is_call, from_start=True, **inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_shapes():
    times = np.array([0.25, 0.5, 1.0])
    strikes = np.array([90.0, 100.0, 110.0, 120.0])
    grid = geometric_asian.price(spot=np.array([[95.0], [105.0]]), strike=strikes, times=times, volatility=0.2)
    assert grid.shape == (2, 4)
    one = geometric_asian.price(spot=105.0, strike=110.0, times=times, volatility=0.2)
    assert one.shape == ()
    np.testing.assert_allclose(grid[1, 2], one, rtol=1e-14)
    rows = geometric_asian.price(spot=100.0, strike=strikes, times=np.outer(np.arange(1, 5), times), volatility=0.2)
    np.testing.assert_allclose(
        rows[3], geometric_asian.price(spot=100.0, strike=120.0, times=4 * times, volatility=0.2), rtol=1e-14
    )


def test_edges():
    option = {"spot": 100.0, "strike": 95.0, "times": np.array([0.5, 1.0]), "volatility": 0.2, "rate": 0.05}
    still = geometric_asian.price(**{**option, "volatility": 0.0})
    np.testing.assert_allclose(still, np.exp(-0.05) * (100 * np.exp(0.05 * 0.75) - 95), rtol=1e-14)
    np.testing.assert_allclose(
        geometric_asian.price(**{**option, "times": np.zeros(3), "is_call": np.array([True, False])}), [5.0, 0.0]
    )
    assert geometric_asian.price(**{**option, "strike": 0.0, "is_call": False}) == 0
    for change in (
        {"spot": 0.0}, {"strike": -1.0}, {"volatility": -0.1}, {"times": np.array([-0.5, 1.0])},
        {"times": np.array([1.0, 0.5])}, {"times": np.array([0.5, np.nan])},
    ):  # fmt: skip
        assert np.isnan(geometric_asian.price(**{**option, **change})), change
    for change, error, message in (
        ({"times": np.zeros((3, 0))}, InputError, r"times: shape \(3, 0\); expected at least one fixing"),
        ({"times": [0.5, 1.0]}, InputTypeError, "times: list"),
        ({"times": np.ones((2, 5)), "strike": np.ones(3)}, InputError, r"strike \(3,\), times \(2,\)"),
    ):
        with pytest.raises(error, match=message):
            geometric_asian.price(**{**option, **change})


def test_published_values():
    """Clewlow and Strickland, "Implementing Derivatives Models" (1998), pages 118-123, for ten fixings; E. G. Haug, "The
    Complete Guide to Option Pricing Formulas" (1998), pages 96-97, for the continuous average, here with many."""
    found = geometric_asian.price(
        spot=100.0, strike=100.0, times=np.arange(1, 11) / 10, volatility=0.2, rate=0.06, dividend_yield=0.03
    )
    np.testing.assert_allclose(found, 5.3425606635, atol=1e-10)
    times = np.linspace(0, 0.25, 20_001)
    found = geometric_asian.price(
        spot=80.0, strike=85.0, times=times, volatility=0.2, rate=0.05, dividend_yield=-0.03, is_call=False
    )
    np.testing.assert_allclose(found, 4.6922, atol=1e-4)
