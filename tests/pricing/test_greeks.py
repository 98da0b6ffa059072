"""Greeks of the four models: against mpmath, against differentiation of the price, and on the edges."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import QuantLib as ql
from scipy.stats import norm

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing.differentiation import greeks_by_differentiation
from gpujax.pricing.greek_names import GREEKS

MODELS = ("black_scholes", "black76", "displaced", "bachelier")
every_model = pytest.mark.parametrize("model", MODELS)
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])

# Scales outside of these are not held with all digits, or their parts are not.
RANGE = {"float64": (1e-290, 1e290), "float32": (1e-33, 1e33)}
# Greeks without the price, whose rounding is the subject of test_prices.
BEYOND_PRICE = tuple(name for name in GREEKS if name != "price")


def greeks(model, inputs, which=GREEKS):
    """Greeks by name, as NumPy arrays; those that the model does not have left out."""
    found = importlib.import_module(f"gpujax.pricing.{model}").greeks(**inputs, which=which)
    return {name: np.asarray(array) for name, array in found._asdict().items() if array is not None}


def as_float64(inputs):
    return {name: array if array.dtype == bool else array.astype(np.float64) for name, array in inputs.items()}


def sharpness(model, inputs, d1, d2, total):
    """By how many eps rounding the inputs, or the first operations on them, moves d1 and d2."""
    i = as_float64(inputs)
    if model == "bachelier":
        return np.abs(d1)
    if model == "black_scholes":
        logs = np.abs(np.log(i["spot"] / i["strike"])) + np.abs(i["rate"] * i["expiry"])
        return (logs + np.abs(i["dividend_yield"] * i["expiry"])) / total + total
    shift = i.get("shift", np.zeros_like(total))
    forward, strike = i["forward"] + shift, i["strike"] + shift
    added = ((np.abs(i["forward"]) + shift) / forward + (np.abs(i["strike"]) + shift) / strike) * (shift != 0)
    return (np.abs(np.log(forward / strike)) + added) / total + total


def scales(model, inputs, exact):
    """Size of the terms that each Greek is the sum of, and how many eps of that the inputs' rounding moves it.

    The first is the Greek itself unless it passes through zero; |d1| and |d2| count as known to `sharpness` eps.
    """
    with np.errstate(all="ignore"):
        return _scales(model, inputs, exact)


def _scales(model, inputs, exact):
    i = as_float64(inputs)
    d1, d2, total = exact.distances(model, inputs)
    moved = sharpness(model, inputs, d1, d2, total)
    eps_lost = 4 + (1 + np.maximum(np.abs(d1), np.abs(d2))) * moved
    a1, a2 = np.abs(d1) + np.minimum(1, moved), np.abs(d2) + np.minimum(1, moved)
    years, volatility, rate = i["expiry"], i["volatility"], i["rate"]
    discount, sign = np.exp(-rate * years), np.where(i["is_call"], 1, -1)
    if model == "bachelier":
        density, delta = discount * norm.pdf(d1), discount * norm.cdf(sign * d1)
        unit, carry, by_strike, steep = np.ones_like(total), np.abs(rate), 1, np.abs(d1) / (2 * years)
        price = discount * np.maximum(sign * (i["forward"] - i["strike"]), 0) + density * total
        legs, gamma, dual_delta = np.abs(rate) * price, density / total, delta
        rho, dividend_rho = years * price, None
        speed, ultima = gamma * a1 / total, a1**4 + 3 * a1**2
    else:
        shift = i.get("shift", 0.0)
        unit = i["spot"] if model == "black_scholes" else i["forward"] + shift
        strike, dividend = i["strike"] + shift, i.get("dividend_yield", rate)
        asset, cash = unit * np.exp(-dividend * years), strike * discount
        density = asset * norm.pdf(d1)
        asset_leg, cash_leg = asset * norm.cdf(sign * d1), cash * norm.cdf(sign * d2)
        delta, gamma, carry = asset_leg / unit, density / total / unit**2, np.abs(dividend)
        legs, dual_delta = carry * asset_leg + np.abs(rate) * cash_leg, cash_leg / strike
        steep = (np.abs((rate - dividend) * years) / total + a2 / 2) / years
        by_strike = (unit / strike) ** 2
        rho, dividend_rho = years * cash_leg, years * asset_leg
        if model != "black_scholes":
            rho, dividend_rho = years * np.abs(asset_leg - cash_leg), None
        speed, ultima = gamma / unit * (1 + a1 / total), (a1 * a2) ** 2 + a1**2 + a2**2 + a1 * a2
    vega, once = density * np.sqrt(years), 0.5 / years
    found = {
        "delta": delta,
        "gamma": gamma,
        "vega": vega,
        "theta": legs + density * total / (2 * years),
        "rho": rho,
        "dividend_rho": dividend_rho,
        "vanna": density * a2 / (unit * volatility),
        "volga": vega * a1 * a2 / volatility,
        "charm": carry * delta + density * steep / unit,
        "veta": vega * (carry + a1 * steep + once),
        "speed": speed,
        "zomma": gamma * (a1 * a2 + 1) / volatility,
        "color": gamma * (carry + a1 * steep + once),
        "ultima": vega / volatility**2 * ultima,
        "dual_delta": dual_delta,
        "dual_gamma": gamma * by_strike,
    }
    return {name: scale for name, scale in found.items() if scale is not None}, eps_lost


def assert_close(error, scale, eps_lost, dtype, factor, inputs, name):
    lowest, highest = RANGE[dtype]
    with np.errstate(all="ignore"):
        counted = (scale > lowest) & (scale < highest)
        units = np.where(counted, error / (np.finfo(dtype).eps * eps_lost * scale), 0)
    assert counted.sum() >= 0.9 * counted.size, name
    worst = int(np.argmax(np.nan_to_num(units, nan=np.inf)))
    assert units[worst] <= factor, f"{name}: {units[worst]} at {[(k, v[worst].item()) for k, v in inputs.items()]}"


def joined(*parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@both_dtypes
@every_model
def test_against_mpmath(model, dtype, exact):
    """Every Greek, within three times what rounding the inputs does to it; half of the options without carry."""
    inputs = joined(*(exact.options(model, 25, seed=seed, dtype=dtype, carry=seed == 1) for seed in (1, 2)))
    got = greeks(model, inputs)
    expected = exact.greeks(model, inputs, which=BEYOND_PRICE)
    scale, eps_lost = scales(model, inputs, exact)
    assert expected.keys() == scale.keys() == got.keys() - {"price"}
    if model == "black76" or model == "displaced":
        # Minus T times the price: test_prices has it.
        del expected["rho"]
    for name, values in expected.items():
        assert got[name].dtype == dtype
        assert_close(exact.difference(got[name], values), scale[name], eps_lost, dtype, 3, inputs, name)


@pytest.mark.parametrize("model", ["black_scholes", "displaced", "bachelier"])
def test_against_differentiation(model, exact):
    """Twenty thousand options; the derivatives that JAX takes of the price are as good as the closed forms.

    Tracing third derivatives takes seconds, so `black76` is left to `displaced`, which calls it.
    """
    inputs = exact.options(model, 20_000, seed=3, deepest=31.0, total=(1e-8, 5.0))
    function = importlib.import_module(f"gpujax.pricing.{model}").price
    is_call = jnp.asarray(inputs["is_call"])
    floats = {name: jnp.asarray(array) for name, array in inputs.items() if name != "is_call"}

    @jax.jit
    def differentiated(floats):
        underlying = "spot" if "spot" in floats else "forward"
        return greeks_by_differentiation(lambda **x: function(**x, is_call=is_call), floats, BEYOND_PRICE, underlying)

    other = {k: np.asarray(v) for k, v in differentiated(floats)._asdict().items() if v is not None}
    got = greeks(model, inputs)
    scale, eps_lost = scales(model, inputs, exact)
    assert other.keys() == scale.keys() == got.keys() - {"price"}
    for name, values in other.items():
        if name == "rho" and model in ("black76", "displaced"):
            continue
        assert_close(np.abs(got[name] - values), scale[name], eps_lost, "float64", 4, inputs, name)


@every_model
def test_float32_against_float64(model, exact):
    inputs = exact.options(model, 20_000, seed=4, dtype="float32", total=(1e-4, 3.0), deepest=8.0)
    got, wide = greeks(model, inputs), greeks(model, as_float64(inputs))
    scale, eps_lost = scales(model, inputs, exact)
    for name in BEYOND_PRICE:
        if name in scale and not (name == "rho" and model in ("black76", "displaced")):
            assert got[name].dtype == np.float32
            with np.errstate(all="ignore"):
                error = np.abs(got[name].astype(np.float64) - wide[name])
            assert_close(error, scale[name], eps_lost, "float32", 3, inputs, name)


@both_dtypes
@every_model
def test_price_among_the_greeks(model, dtype, exact):
    """The price that comes with the Greeks is the price, to the rounding of its two legs."""
    inputs = exact.options(model, 300, seed=5, dtype=dtype)
    function = importlib.import_module(f"gpujax.pricing.{model}").price
    alone = np.asarray(function(**inputs))
    together = greeks(model, inputs)["price"]
    i = as_float64(inputs)
    size = np.abs(i.get("spot", i.get("forward"))) * np.exp(np.abs(i.get("dividend_yield", i["rate"])) * i["expiry"])
    size = (
        size
        + np.abs(i["strike"]) * np.exp(-i["rate"] * i["expiry"])
        + 2 * i.get("shift", 0) * np.exp(-i["rate"] * i["expiry"])
    )
    assert np.all(np.abs(together - alone) <= 4 * np.finfo(dtype).eps * (size + alone))


def test_quantlib():
    """First-order Greeks and gamma of its analytic engine, in whole days."""
    today = ql.Date(15, 6, 2026)
    ql.Settings.instance().evaluationDate = today
    day_count, calendar = ql.Actual365Fixed(), ql.NullCalendar()
    draw = np.random.default_rng(0)
    count = 40
    inputs = {
        "spot": draw.uniform(50, 150, count), "strike": draw.uniform(50, 150, count),
        "expiry": draw.integers(2, 1500, count) / 365.0, "volatility": draw.uniform(0.05, 0.8, count),
        "rate": draw.uniform(-0.03, 0.1, count), "dividend_yield": draw.uniform(-0.02, 0.06, count),
        "is_call": draw.random(count) < 0.5,
    }  # fmt: skip
    got = greeks("black_scholes", inputs)
    for n in range(count):
        one = {name: array[n].item() for name, array in inputs.items()}
        curves = [
            ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(ql.SimpleQuote(one[name])), day_count))
            for name in ("dividend_yield", "rate")
        ]
        surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, calendar, one["volatility"], day_count))
        spot = ql.QuoteHandle(ql.SimpleQuote(one["spot"]))
        process = ql.BlackScholesMertonProcess(spot, *curves, surface)
        side = ql.Option.Call if one["is_call"] else ql.Option.Put
        exercise = ql.EuropeanExercise(today + round(one["expiry"] * 365))
        option = ql.VanillaOption(ql.PlainVanillaPayoff(side, one["strike"]), exercise)
        option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
        peers = {
            "price": option.NPV(), "delta": option.delta(), "gamma": option.gamma(), "vega": option.vega(),
            "theta": option.theta(), "rho": option.rho(), "dividend_rho": option.dividendRho(),
            "dual_delta": option.strikeSensitivity(),
        }  # fmt: skip
        for name, peer in peers.items():
            assert got[name][n] == pytest.approx(peer, rel=1e-9, abs=1e-10), (name, one)


def test_published_values():
    """E. G. Haug, The Complete Guide to Option Pricing Formulas, 2nd ed. (2007), chapter 2: the worked examples."""
    futures = {"spot": 105.0, "strike": 100.0, "expiry": 0.5, "volatility": 0.36, "rate": 0.1, "dividend_yield": 0.1}
    for is_call, printed in ((True, 0.5946), (False, -0.3566)):
        assert (
            abs(float(greeks("black_scholes", {**futures, "is_call": is_call}, ("delta",))["delta"]) - printed) <= 5e-5
        )
    stock = {"spot": 55.0, "strike": 60.0, "expiry": 0.75, "volatility": 0.3, "rate": 0.1, "dividend_yield": 0.0}
    found = greeks("black_scholes", stock, ("gamma", "vega"))
    assert abs(float(found["gamma"]) - 0.0278) <= 5e-5
    assert abs(float(found["vega"]) - 18.9358) <= 5e-4
    index = {"spot": 430.0, "strike": 405.0, "expiry": 1 / 12, "volatility": 0.2, "rate": 0.07, "dividend_yield": 0.05}
    theta = float(greeks("black_scholes", {**index, "is_call": False}, ("theta",))["theta"])
    assert abs(theta + 31.1924) <= 5e-4
    rate = {"spot": 72.0, "strike": 75.0, "expiry": 1.0, "volatility": 0.19, "rate": 0.09, "dividend_yield": 0.0}
    assert abs(float(greeks("black_scholes", rate, ("rho",))["rho"]) - 38.7325) <= 5e-4


def test_in_the_money_probabilities_keep_their_digits_at_a_total_volatility_of_twenty():
    # mpmath: -N((ln 2 - 200) / 20) and -N(-(ln 0.4 + 200) / 20)
    market = {"spot": 100.0, "expiry": 1.0, "volatility": 20.0}
    call = greeks("black_scholes", {**market, "strike": 50.0, "is_call": True}, ("dual_delta",))
    np.testing.assert_allclose(call["dual_delta"], -1.080636640916962744531701e-23, rtol=1e-13)
    put = greeks("black_scholes", {**market, "strike": 250.0, "is_call": False}, ("delta",))
    np.testing.assert_allclose(put["delta"], -1.208973806505354977543e-23, rtol=1e-13)


def test_equations(exact):
    """Black-Scholes' differential equation, Euler's relation, and what calls and puts have in common."""
    inputs = exact.options("black_scholes", 2000, seed=6, total=(1e-3, 3.0), deepest=6.0)
    g = greeks("black_scholes", inputs)
    i = inputs
    terms = [
        g["theta"], 0.5 * i["volatility"] ** 2 * i["spot"] ** 2 * g["gamma"],
        (i["rate"] - i["dividend_yield"]) * i["spot"] * g["delta"], -i["rate"] * g["price"],
    ]  # fmt: skip
    size = sum(np.abs(term) for term in terms) + (np.abs(i["rate"]) + np.abs(i["dividend_yield"])) * (
        i["spot"] + i["strike"]
    )
    assert np.max(np.abs(sum(terms)) / size) < 1e-13
    legs = i["spot"] * g["delta"], i["strike"] * g["dual_delta"]
    assert np.max(np.abs(g["price"] - sum(legs)) / (np.abs(legs[0]) + np.abs(legs[1]))) < 1e-13
    np.testing.assert_allclose(i["strike"] ** 2 * g["dual_gamma"], i["spot"] ** 2 * g["gamma"], rtol=1e-11)
    other = greeks("black_scholes", {**inputs, "is_call": ~inputs["is_call"]})
    for name in ("gamma", "vega", "vanna", "volga", "speed", "zomma", "ultima", "dual_gamma"):
        np.testing.assert_allclose(g[name], other[name], rtol=1e-14, err_msg=name)
    sign = np.where(inputs["is_call"], 1, -1)
    carry = np.exp(-i["dividend_yield"] * i["expiry"])
    np.testing.assert_allclose(sign * (g["delta"] - other["delta"]), carry, rtol=1e-14)


# Where volatility or expiry is zero: the derivatives of max(±(S e^{-qT} - K e^{-rT}), 0).
@pytest.mark.parametrize("zero", ["expiry", "volatility", "both"])
@pytest.mark.parametrize("strike", [0.0, 90.0, 120.0])
@both_dtypes
def test_edges_are_those_of_the_payoff(dtype, strike, zero):
    years, volatility = {"expiry": (0.0, 0.2), "volatility": (0.5, 0.0), "both": (0.0, 0.0)}[zero]
    rate, dividend_yield, spot = 0.06, 0.02, 100.0
    asset, cash = spot * np.exp(-dividend_yield * years), strike * np.exp(-rate * years)
    names = ("spot", "strike", "expiry", "volatility", "rate", "dividend_yield")
    values = (spot, strike, years, volatility, rate, dividend_yield)
    inputs = {name: np.full(2, x, dtype) for name, x in zip(names, values, strict=True)} | {
        "is_call": np.array([True, False])
    }
    got = greeks("black_scholes", inputs)
    exercised = np.array([asset > cash, asset < cash])
    sign = np.array([1.0, -1.0])
    live = sign * exercised
    expected = {
        "price": live * (asset - cash),
        "delta": live * asset / spot,
        "theta": live * (dividend_yield * asset - rate * cash),
        "rho": live * years * cash,
        "dividend_rho": -live * years * asset,
        "charm": live * dividend_yield * asset / spot,
        "dual_delta": -live * np.exp(-rate * years),
    }
    few = 4 * float(np.finfo(dtype).eps)
    for name in GREEKS:
        np.testing.assert_allclose(got[name], expected.get(name, np.zeros(2)), rtol=few, atol=0, err_msg=name)


@pytest.mark.parametrize("zero", ["expiry", "volatility", "both"])
@pytest.mark.parametrize("model", ["black_scholes", "black76", "bachelier"])
def test_kink(model, zero):
    """Forward = strike without volatility: limits where there are any, infinity, and NaN for the rest."""
    years, volatility = {"expiry": (0.0, 0.2), "volatility": (0.5, 0.0), "both": (0.0, 0.0)}[zero]
    underlying = "spot" if model == "black_scholes" else "forward"
    unit = 1.0 if model == "bachelier" else 100.0
    inputs = {underlying: 100.0, "strike": 100.0, "expiry": years, "volatility": volatility}
    inputs = {name: np.full(2, x) for name, x in inputs.items()} | {"is_call": np.array([True, False])}
    got = greeks(model, inputs)
    sign = np.array([1.0, -1.0])
    expected = {
        "price": np.zeros(2),
        "delta": 0.5 * sign,
        "gamma": np.full(2, np.inf),
        "dual_gamma": np.full(2, np.inf),
        "dual_delta": -0.5 * sign,
        "vega": np.full(2, unit * np.sqrt(years / (2 * np.pi))),
        "theta": np.full(2, -np.inf if years == 0 else 0.0),
        "rho": 50.0 * years * sign if model == "black_scholes" else np.zeros(2),
        "dividend_rho": -50.0 * years * sign,
    }
    for name, values in got.items():
        np.testing.assert_allclose(values, expected.get(name, np.full(2, np.nan)), rtol=1e-14, err_msg=name)
    # The limits along forward = strike are those of a very small volatility.
    near = greeks(model, {**inputs, "volatility": np.full(2, 1e-9), "expiry": np.full(2, max(years, 1e-18))})
    for name in ("price", "delta", "vega", "dual_delta"):
        np.testing.assert_allclose(near[name], got[name], rtol=1e-8, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("model", ["black_scholes", "bachelier"])
def test_derivatives_of_greeks_are_finite(model):
    """Both modes, at expiry 0 and volatility 0 as well, off the kink."""
    module = importlib.import_module(f"gpujax.pricing.{model}")
    grid = np.meshgrid([50.0, 90.0, 110.0, 1e4], [0.0, 1e-8, 0.5, 30.0], [0.0, 1e-8, 0.2, 2.0], [0.05], [0.0, 1.0])
    strike, expiry, volatility, rate, is_call = map(jnp.asarray, map(np.ravel, grid))
    flags = is_call > 0
    floats = {"strike": strike, "expiry": expiry, "volatility": volatility, "rate": rate}
    floats["spot" if model == "black_scholes" else "forward"] = jnp.full_like(strike, 100.0)

    def every(floats, flags):
        return {k: v for k, v in module.greeks(**floats, is_call=flags)._asdict().items() if v is not None}

    def total(floats):
        return sum(jnp.sum(x) for x in every(floats, flags).values())

    along = {name: jnp.ones_like(x) for name, x in floats.items()}
    forward = jax.jit(lambda floats: jax.jvp(lambda x: every(x, flags), (floats,), (along,))[1])(floats)
    for name, values in forward.items():
        assert np.all(np.isfinite(values)), name
    reverse = jax.jit(jax.grad(total))(floats)
    for argument, values in reverse.items():
        assert np.all(np.isfinite(values)), argument
    # Both modes add up the same terms.
    size = sum(np.abs(x) for x in reverse.values()) + sum(np.abs(x) for x in forward.values())
    assert np.all(np.abs(sum(reverse.values()) - sum(forward.values())) <= 1e-9 * size)


@pytest.mark.parametrize("model", ["black_scholes", "bachelier"])
def test_greeks_are_derivatives_of_greeks(model, exact):
    module = importlib.import_module(f"gpujax.pricing.{model}")
    underlying = "spot" if model == "black_scholes" else "forward"
    inputs = exact.options(model, 200, seed=10, total=(0.05, 1.0), deepest=3.0)
    floats = {name: jnp.asarray(array) for name, array in inputs.items()}
    flags = floats.pop("is_call")

    def delta(floats):
        return jnp.sum(module.greeks(**floats, is_call=flags, which=("delta",)).delta)

    slopes = jax.jit(jax.grad(delta))(floats)
    own = greeks(model, inputs)
    for name, by, sign in (("gamma", underlying, 1), ("vanna", "volatility", 1), ("charm", "expiry", -1)):
        np.testing.assert_allclose(sign * slopes[by], own[name], rtol=1e-10, atol=1e-12 * np.max(np.abs(own[name])))


@every_model
def test_out_of_range_gives_nan_in_its_own_place(model, exact):
    inputs = exact.options(model, 50, seed=7, total=(0.01, 1.0), deepest=3.0)
    clean = greeks(model, inputs)
    for name in ("volatility", "expiry"):
        inputs[name][{"volatility": 3, "expiry": 5}[name]] = -0.5
    inputs["strike"][9] = np.nan
    spoilt = greeks(model, inputs)
    others = np.setdiff1d(np.arange(50), [3, 5, 9])
    for name, values in spoilt.items():
        assert np.all(np.isnan(values[[3, 5, 9]])), name
        np.testing.assert_array_equal(values[others], clean[name][others], err_msg=name)
        assert np.all(np.isfinite(values[others])), name


@every_model
def test_selection(model, exact):
    module = importlib.import_module(f"gpujax.pricing.{model}")
    inputs = exact.options(model, 50, seed=8, total=(0.01, 1.0), deepest=3.0)
    everything = greeks(model, inputs)
    assert set(GREEKS) - set(everything) == (set() if model == "black_scholes" else {"dividend_rho"})
    some = module.greeks(**inputs, which=("vega", "delta"))
    assert [name for name, x in some._asdict().items() if x is not None] == ["delta", "vega"]
    for name in ("delta", "vega"):
        np.testing.assert_allclose(getattr(some, name), everything[name], rtol=1e-13)
    assert all(x is None for x in module.greeks(**inputs, which=()))
    with pytest.raises(InputError, match=r"which: unknown Greek 'gama'; choose from price, delta, gamma"):
        module.greeks(**inputs, which=("delta", "gama"))
    with pytest.raises(InputError, match=r"which: one string, 'delta'; expected a tuple"):
        module.greeks(**inputs, which="delta")
    with pytest.raises(InputTypeError, match=r"greeks: which: list \['delta'\]"):
        module.greeks(**inputs, which=["delta"])
    with pytest.raises(InputTypeError, match=r"greeks: strike: str '100'"):
        module.greeks(**{**inputs, "strike": "100"})


def test_selection_costs_nothing_for_the_rest():
    """The compiler drops what was not asked for: the price alone compiles to a fraction of the work of all."""
    module = importlib.import_module("gpujax.pricing.black_scholes")
    x = jnp.ones(64)
    inputs = {"spot": x, "strike": x, "expiry": x, "volatility": x, "rate": x, "dividend_yield": x, "is_call": x > 0}

    def operations(which):
        cost = module.greeks.jitted.lower(**inputs, which=which).compile().cost_analysis()
        return cost["flops"]

    assert operations(("delta",)) < 0.6 * operations(GREEKS)


def test_differentiation_names_unknown_greeks():
    with pytest.raises(InputError, match="unknown Greek 'lambda'"):
        greeks_by_differentiation(lambda spot: spot, {"spot": jnp.ones(2)}, ("lambda",))
    found = greeks_by_differentiation(
        lambda spot: spot**3, {"spot": jnp.full(2, 2.0)}, ("delta", "gamma", "speed", "vega")
    )
    np.testing.assert_allclose(found.delta, 12.0)
    np.testing.assert_allclose(found.gamma, 12.0)
    np.testing.assert_allclose(found.speed, 6.0)
    assert found.vega is None


@pytest.mark.parametrize("model", ["black_scholes", "bachelier"])
def test_transformations_agree(model, exact):
    module = importlib.import_module(f"gpujax.pricing.{model}")
    inputs = exact.options(model, 12, seed=9, total=(0.05, 1.0), deepest=3.0)
    batched = greeks(model, inputs)
    mapped = jax.jit(jax.vmap(lambda one: module.greeks(**one)))({k: jnp.asarray(v) for k, v in inputs.items()})
    for name, values in batched.items():
        np.testing.assert_allclose(getattr(mapped, name), values, rtol=1e-12, err_msg=name)
        assert values.shape == (12,)
    empty = module.greeks(**{name: array[:0] for name, array in inputs.items()})
    assert empty.delta.shape == (0,)
