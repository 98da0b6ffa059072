"""Digital options against mpmath, vanilla options, QuantLib and published values; their Greeks; their edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import QuantLib as ql

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes, digital
from gpujax.pricing.greek_names import GREEKS

KINDS = ("cash_or_nothing", "asset_or_nothing")
every_kind = pytest.mark.parametrize("kind", KINDS)
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
SMALLEST = {"float64": 1e-300, "float32": 1e-36}


def price(kind, **inputs):
    return np.asarray(getattr(digital, kind)(**inputs))


def greeks(kind, inputs, which=GREEKS):
    return getattr(digital, f"{kind}_greeks")(**inputs, which=which)


def as_float64(inputs):
    return {name: array if array.dtype == bool else array.astype(np.float64) for name, array in inputs.items()}


@both_dtypes
@pytest.mark.parametrize("carry", [False, True])
@every_kind
def test_price_over_the_whole_domain(kind, carry, dtype, exact):
    """Within a few times what rounding d does to the probability; d is a difference, so its terms count, not itself."""
    inputs = exact.options("black_scholes", 400, seed=1, dtype=dtype, carry=carry)
    got = price(kind, **inputs)
    assert got.dtype == dtype
    expected = exact.prices(kind, inputs)
    i = as_float64(inputs)
    d1, d2, total = exact.distances("black_scholes", inputs)
    logs = np.abs(np.log(i["spot"] / i["strike"])) + (np.abs(i["rate"]) + np.abs(i["dividend_yield"])) * i["expiry"]
    allowed = 3 * np.finfo(dtype).eps * (4 + (1 + np.maximum(np.abs(d1), np.abs(d2))) * (logs / total + total))
    counted = np.array([p > SMALLEST[dtype] for p in expected])
    assert counted.sum() > 380
    error = np.where(counted, exact.relative(got, expected) / allowed, 0)
    worst = int(error.argmax())
    assert error[worst] <= 1, f"{error[worst]}: {[(k, v[worst]) for k, v in inputs.items()]}"


@every_kind
def test_greeks_against_mpmath(kind, exact):
    """Each within four times what rounding the inputs by one unit does to it: measured by moving them."""
    inputs = exact.options("black_scholes", 24, seed=2, total=(1e-3, 3.0), deepest=8.0)
    got = greeks(kind, inputs)
    assert all(x is not None for x in got)
    expected = exact.greeks(kind, inputs)
    moved = {name: np.zeros(24) for name in GREEKS}
    for argument in inputs.keys() - {"is_call"}:
        # A change of 1e-9 is small beside the width of the density and large beside a unit in the last place.
        other = exact.greeks(kind, {**inputs, argument: inputs[argument] * (1 + 1e-9)})
        for name in GREEKS:
            pairs = zip(other[name], expected[name], strict=True)
            moved[name] += np.array([abs(float((x - y) / exact.number("1e-9"))) for x, y in pairs])
    for name in GREEKS:
        allowed = 4 * np.finfo(float).eps * (moved[name] + np.abs([float(x) for x in expected[name]]))
        error = exact.difference(getattr(got, name), expected[name]) / allowed
        assert error.max() <= 1, f"{name}: {error.max()} at {[(k, v[error.argmax()]) for k, v in inputs.items()]}"


@both_dtypes
def test_vanilla_is_asset_less_cash(dtype, exact):
    inputs = exact.options("black_scholes", 400, seed=3, dtype=dtype, total=(1e-3, 3.0), deepest=5.0)
    vanilla = np.asarray(black_scholes.price(**inputs))
    asset, cash = price("asset_or_nothing", **inputs), inputs["strike"] * price("cash_or_nothing", **inputs)
    sign = np.where(inputs["is_call"], 1, -1).astype(dtype)
    lost = 60 * np.finfo(dtype).eps * (inputs["spot"] + inputs["strike"]) * np.exp(0.2 * inputs["expiry"])
    _, _, total = exact.distances("black_scholes", inputs)
    assert np.all(np.abs(sign * (asset - cash) - vanilla) <= lost * (1 + 1 / total))
    # A call and a put together pay for certain.
    other = {**inputs, "is_call": ~inputs["is_call"]}
    i = as_float64(inputs)
    both = price("cash_or_nothing", **inputs).astype(float) + price("cash_or_nothing", **other)
    np.testing.assert_allclose(both, np.exp(-i["rate"] * i["expiry"]), rtol=5e-6 if dtype == "float32" else 1e-14)
    both = price("asset_or_nothing", **inputs).astype(float) + price("asset_or_nothing", **other)
    np.testing.assert_allclose(
        both, i["spot"] * np.exp(-i["dividend_yield"] * i["expiry"]), rtol=5e-6 if dtype == "float32" else 1e-14
    )


def test_a_narrow_call_spread_is_a_digital():
    strike = np.linspace(60, 160, 101)
    market = {"spot": 100.0, "expiry": 0.6, "volatility": 0.25, "rate": 0.04, "dividend_yield": 0.01}
    half = 1e-3
    below, above = (np.asarray(black_scholes.price(**market, strike=strike + move)) for move in (-half, half))
    spread = (below - above) / (2 * half)
    np.testing.assert_allclose(price("cash_or_nothing", **market, strike=strike), spread, rtol=0, atol=2e-9)
    # exactly: minus the dual delta
    dual = black_scholes.greeks(**market, strike=strike, which=("dual_delta",)).dual_delta
    np.testing.assert_allclose(price("cash_or_nothing", **market, strike=strike), -np.asarray(dual), rtol=1e-13)
    delta = black_scholes.greeks(**market, strike=strike, which=("delta",)).delta
    np.testing.assert_allclose(price("asset_or_nothing", **market, strike=strike), 100 * np.asarray(delta), rtol=1e-13)


def test_published_values():
    """E. G. Haug, The Complete Guide to Option Pricing Formulas, 2nd ed. (2007), sections 4.19.2 and 4.19.3."""
    cash = price("cash_or_nothing", spot=100.0, strike=80.0, expiry=0.75, volatility=0.35, rate=0.06,
                 dividend_yield=0.06, is_call=False, cash=10.0)  # fmt: skip
    assert abs(float(cash) - 2.6710) <= 5e-5
    asset = price("asset_or_nothing", spot=70.0, strike=65.0, expiry=0.5, volatility=0.27, rate=0.07,
                  dividend_yield=0.05, is_call=False)  # fmt: skip
    assert abs(float(asset) - 20.2069) <= 5e-5


@every_kind
def test_quantlib(kind):
    today = ql.Date(15, 6, 2026)
    ql.Settings.instance().evaluationDate = today
    day_count, draw = ql.Actual365Fixed(), np.random.default_rng(0)
    for _ in range(20):
        one = {
            "spot": draw.uniform(50, 150), "strike": draw.uniform(50, 150), "expiry": int(draw.integers(2, 1500)) / 365.0,
            "volatility": draw.uniform(0.05, 0.8), "rate": draw.uniform(-0.03, 0.1),
            "dividend_yield": draw.uniform(-0.02, 0.06), "is_call": bool(draw.random() < 0.5),
        }  # fmt: skip
        curves = [
            ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(ql.SimpleQuote(one[name])), day_count))
            for name in ("dividend_yield", "rate")
        ]
        flat = ql.BlackConstantVol(today, ql.NullCalendar(), one["volatility"], day_count)
        spot = ql.QuoteHandle(ql.SimpleQuote(one["spot"]))
        process = ql.BlackScholesMertonProcess(spot, *curves, ql.BlackVolTermStructureHandle(flat))
        side = ql.Option.Call if one["is_call"] else ql.Option.Put
        if kind == "cash_or_nothing":
            payoff = ql.CashOrNothingPayoff(side, one["strike"], 1.0)
        else:
            payoff = ql.AssetOrNothingPayoff(side, one["strike"])
        option = ql.VanillaOption(payoff, ql.EuropeanExercise(today + round(one["expiry"] * 365)))
        option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
        assert float(price(kind, **one)) == pytest.approx(option.NPV(), rel=1e-11), one


def test_the_sum_paid():
    market = {"spot": 100.0, "strike": 110.0, "expiry": 0.5, "volatility": 0.2, "rate": 0.05}
    one = price("cash_or_nothing", **market)
    sums = np.array([0.0, 2.0, -3.5])
    np.testing.assert_allclose(price("cash_or_nothing", **market, cash=sums), sums * one, rtol=1e-15)
    g = digital.cash_or_nothing_greeks(**market, cash=np.array([1.0, 10.0]), which=("price", "delta", "ultima"))
    for values in (g.price, g.delta, g.ultima):
        np.testing.assert_allclose(values[1], 10 * values[0], rtol=1e-14)


# The payoff by the sign of forward - strike, half of it where they are equal.
@both_dtypes
@pytest.mark.parametrize("zero", ["expiry", "volatility", "both"])
def test_edges(zero, dtype):
    years, volatility = {"expiry": (0.0, 0.2), "volatility": (0.5, 0.0), "both": (0.0, 0.0)}[zero]
    strike = np.array([0.0, 90.0, 100.0, 110.0], dtype)
    inputs = {"spot": np.full(4, 100, dtype), "strike": strike, "expiry": np.full(4, years, dtype)}
    inputs |= {"volatility": np.full(4, volatility, dtype), "rate": np.full(4, 0.06, dtype)}
    inputs |= {"dividend_yield": np.full(4, 0.06, dtype)}
    share = np.array([1.0, 1.0, 0.5, 0.0])
    for is_call, exercised in ((True, share), (False, 1 - share)):
        few = 4 * float(np.finfo(dtype).eps)
        discount = np.exp(-0.06 * years)
        flags = np.full(4, is_call)
        np.testing.assert_allclose(price("cash_or_nothing", **inputs, is_call=flags), exercised * discount, rtol=few)
        np.testing.assert_allclose(
            price("asset_or_nothing", **inputs, is_call=flags), 100 * exercised * discount, rtol=few
        )


@both_dtypes
@pytest.mark.parametrize("zero", ["expiry", "volatility", "both"])
@every_kind
def test_greeks_at_the_edges(kind, zero, dtype):
    """Without volatility or time the Greeks are those of the leg, or zero; on the step they have no limit."""
    years, volatility = {"expiry": (0.0, 0.2), "volatility": (0.5, 0.0), "both": (0.0, 0.0)}[zero]
    market = {"spot": 100, "expiry": years, "volatility": volatility, "rate": 0.05, "dividend_yield": 0.05}
    inputs = {name: np.full(3, x, dtype) for name, x in market.items()}
    got = greeks(kind, {**inputs, "strike": np.array([90, 100, 110], dtype), "is_call": np.full(3, True)})._asdict()
    discount = np.exp(-0.05 * years)
    if kind == "asset_or_nothing":
        worth = {"price": 100 * discount, "delta": discount, "theta": 5 * discount, "charm": 0.05 * discount}
        worth["dividend_rho"] = -100 * years * discount
    else:
        worth = {"price": discount, "theta": 0.05 * discount, "rho": -years * discount}
    for name, values in got.items():
        few = 8 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(values[0], worth.get(name, 0.0), rtol=few, err_msg=name)
        assert values[2] == 0, name
        if name == "price":
            np.testing.assert_allclose(values[1], worth["price"] / 2, rtol=few)
        else:
            assert np.isnan(values[1]), name


@every_kind
def test_strike_zero_and_far_future(kind):
    market = {"spot": 100.0, "volatility": 0.3, "rate": 0.02}
    sure = price(kind, **market, strike=0.0, expiry=np.array([0.5, 2.0]))
    np.testing.assert_allclose(sure, (100.0 if kind == "asset_or_nothing" else np.exp([-0.01, -0.04])), rtol=1e-14)
    assert np.all(price(kind, **market, strike=0.0, expiry=np.array([0.5, 2.0]), is_call=False) == 0)
    late = price(kind, **{**market, "rate": 0.0}, strike=90.0, expiry=np.array([1e4, 1e6]))
    np.testing.assert_allclose(late, 100.0 if kind == "asset_or_nothing" else 0.0, atol=1e-8)


@every_kind
def test_monotone_in_strike(kind):
    strike = np.linspace(1, 400, 2000)
    for is_call in (True, False):
        values = price(kind, spot=100.0, strike=strike, expiry=0.7, volatility=0.3, rate=0.02, is_call=is_call)
        steps = np.diff(values) * (-1 if is_call else 1)
        assert np.all(steps >= -1e-13 * values.max())
        assert np.all((values >= 0) & (values <= 100.0))


@every_kind
def test_derivatives_are_finite_off_the_step(kind):
    """First and second derivatives at expiry 0 and volatility 0 too, in reverse mode."""
    grid = np.meshgrid([50.0, 90.0, 110.0, 1e4], [0.0, 1e-8, 0.5, 30.0], [0.0, 1e-8, 0.2, 2.0], [0.0, 1.0])
    strike, expiry, volatility, is_call = map(jnp.asarray, map(np.ravel, grid))
    floats = {"spot": jnp.full_like(strike, 100.0), "strike": strike, "expiry": expiry, "volatility": volatility}
    function = getattr(digital, kind)

    def total(floats):
        return jnp.sum(function(**floats, rate=0.03, is_call=is_call > 0))

    @jax.jit
    def derivatives(floats):
        along = {name: jnp.ones_like(x) for name, x in floats.items()}
        return jax.jvp(jax.grad(total), (floats,), (along,))

    first, second = derivatives(floats)
    for name in floats:
        assert np.all(np.isfinite(first[name])), name
        assert np.all(np.isfinite(second[name])), name


@every_kind
def test_out_of_range_gives_nan_in_its_own_place(kind, exact):
    inputs = exact.options("black_scholes", 24, seed=4, total=(0.01, 1.0), deepest=3.0)
    clean, clean_greeks = price(kind, **inputs), greeks(kind, inputs)
    bad = {"volatility": -0.1, "expiry": -1.0, "spot": 0.0, "strike": -1.0, "rate": np.nan}
    for place, (name, value) in enumerate(bad.items()):
        inputs[name][place] = value
    others = np.arange(24) >= len(bad)
    spoilt, spoilt_greeks = price(kind, **inputs), greeks(kind, inputs)
    assert np.all(np.isnan(spoilt[~others]))
    np.testing.assert_array_equal(spoilt[others], clean[others])
    for name in GREEKS:
        values = np.asarray(getattr(spoilt_greeks, name))
        assert np.all(np.isnan(values[~others])), name
        np.testing.assert_array_equal(values[others], np.asarray(getattr(clean_greeks, name))[others], err_msg=name)


@every_kind
def test_calls(kind, exact):
    """Transformations agree, scalars stay scalars, and errors name the argument."""
    inputs = exact.options("black_scholes", 24, seed=5, total=(0.05, 1.0), deepest=3.0)
    function = getattr(digital, kind)
    batched = price(kind, **inputs)
    mapped = jax.jit(jax.vmap(lambda one: function(**one)))({k: jnp.asarray(v) for k, v in inputs.items()})
    np.testing.assert_allclose(mapped, batched, rtol=1e-14)
    assert function(spot=100.0, strike=90.0, expiry=1.0, volatility=0.2).shape == ()
    assert price(kind, **{k: v[:0] for k, v in inputs.items()}).shape == (0,)
    some = greeks(kind, inputs, which=("vega",))
    assert [name for name, x in some._asdict().items() if x is not None] == ["vega"]
    with pytest.raises(InputTypeError, match=rf"{kind}: spot: str '100'"):
        function(spot="100", strike=90.0, expiry=1.0, volatility=0.2)
    with pytest.raises(InputError, match="which: unknown Greek 'vaga'"):
        greeks(kind, inputs, which=("vaga",))
