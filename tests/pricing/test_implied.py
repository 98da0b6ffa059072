"""Implied volatilities of the four models: the whole domain, the bounds, what is said of them, and their derivatives."""

import csv
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from gpujax.pricing.implied import Status

MODELS = ("black_scholes", "black76", "displaced", "bachelier")
LOGNORMAL = ("black_scholes", "black76", "displaced")
every_model = pytest.mark.parametrize("model", MODELS)
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])

SMALLEST = {"float64": 1e-300, "float32": 1e-36}
COUNT = 400


def module_of(model):
    return importlib.import_module(f"gpujax.pricing.{model}")


def market(inputs, price):
    """The inputs of the inverse problem."""
    return {**{name: array for name, array in inputs.items() if name != "volatility"}, "price": price}


def implied(model, inputs):
    return np.asarray(module_of(model).implied_volatility(**inputs))


def diagnosis(model, inputs):
    found = module_of(model).implied_volatility_diagnosis(**inputs)
    return np.asarray(found.volatility), np.asarray(found.status), np.asarray(found.uncertainty)


def uncertainty_of_inputs(inputs, elasticities, *, all_inputs):
    """How many times its own rounding error the volatility moves when the price, or every input, is rounded."""
    vega = np.abs(elasticities["volatility"])
    moved = np.ones_like(vega)
    if all_inputs:
        moved = moved + sum(np.abs(e) for name, e in elasticities.items() if name != "volatility")
        if "shift" in inputs:
            moved = moved + sum(np.abs(elasticities[x] * inputs["shift"] / inputs[x]) for x in ("forward", "strike"))
    with np.errstate(divide="ignore"):
        return moved / np.where(vega > 0, vega, 1e-300)


@both_dtypes
@pytest.mark.parametrize("carry", [False, True])
@every_model
def test_round_trip(model, carry, dtype, exact):
    """Exact prices rounded to the dtype: total volatilities from 1e-8 to 30, prices to 1e-300, in and out of the money.

    Without carry the inputs are exact and only the rounding of the price counts; with it, that of every input.
    """
    inputs = exact.options(model, COUNT, seed=1, dtype=dtype, carry=carry)
    if model == "displaced" and not carry:
        inputs["shift"] = np.zeros_like(inputs["shift"])
        inputs["forward"], inputs["strike"] = np.abs(inputs["forward"]), np.abs(inputs["strike"])
    prices = exact.prices(model, inputs)
    price = np.array([float(p) for p in prices]).astype(dtype)
    told = uncertainty_of_inputs(inputs, exact.elasticities(model, inputs, prices), all_inputs=carry)
    eps = float(np.finfo(dtype).eps)
    counted = (price > SMALLEST[dtype]) & (told * eps < 1e-2)
    assert counted.sum() >= 0.75 * COUNT
    got = implied(model, market(inputs, price))
    assert got.dtype == dtype
    true = inputs["volatility"].astype(np.float64)
    units = np.where(counted, np.abs(got / true - 1) / (eps * np.maximum(1, told)), 0)
    worst = int(units.argmax())
    allowed = 4 if carry else 12
    assert units[worst] <= allowed, f"{units[worst]} units: {[(k, v[worst]) for k, v in inputs.items()]}"


@both_dtypes
@pytest.mark.parametrize("model", ["black_scholes", "bachelier"])
def test_at_the_money(model, dtype, exact):
    """Exactly at the money the price is almost linear in the volatility, down to the smallest."""
    total = np.geomspace(1e-8 if dtype == "float64" else 1e-4, 12.0 if dtype == "float64" else 6.0, 200).astype(dtype)
    inputs = {"strike": np.full(200, 100, dtype), "expiry": np.ones(200, dtype), "volatility": total}
    inputs["spot" if model == "black_scholes" else "forward"] = np.full(200, 100, dtype)
    inputs |= {"rate": np.zeros(200, dtype), "is_call": np.arange(200) % 2 == 0}
    if model == "black_scholes":
        inputs["dividend_yield"] = np.zeros(200, dtype)
    prices = exact.prices(model, inputs)
    price = np.array([float(p) for p in prices]).astype(dtype)
    told = uncertainty_of_inputs(inputs, exact.elasticities(model, inputs, prices), all_inputs=False)
    error = np.abs(implied(model, market(inputs, price)) / total.astype(np.float64) - 1) / np.finfo(dtype).eps
    counted = told * np.finfo(dtype).eps < 1e-2
    assert counted.sum() > 150
    assert np.max((error / np.maximum(1, told))[counted]) <= 10


@pytest.mark.parametrize("model", ["black_scholes", "displaced", "bachelier"])
def test_against_root_finding(model, exact):
    """Prices in round decimal numbers, as quotes are; mpmath solves for the volatility."""
    strike = np.tile([60.0, 80.0, 95.0, 100.0, 105.0, 120.0, 180.0, 300.0], 6)
    is_call = np.tile([False, False, False, True, True, True, True, True], 6)
    inputs = {"strike": strike, "is_call": is_call, "rate": np.full(48, 0.03), "expiry": np.full(48, 0.4)}
    inputs["spot" if model == "black_scholes" else "forward"] = np.full(48, 101.0)
    inputs |= {"dividend_yield": np.full(48, 0.01)} if model == "black_scholes" else {}
    inputs |= {"shift": np.full(48, 25.0)} if model == "displaced" else {}
    intrinsic = np.asarray(module_of(model).price(**inputs, volatility=np.zeros(48)))
    inputs["price"] = np.round(intrinsic + np.repeat([0.01, 0.05, 1.25, 3.5, 12.0, 37.5], 8) + 0.005, 2)
    got = implied(model, inputs)
    forwards = {name: array for name, array in inputs.items() if name != "price"} | {"volatility": got}
    values = exact.prices(model, forwards)
    told = uncertainty_of_inputs(forwards, exact.elasticities(model, forwards, values), all_inputs=True)
    error = exact.relative(got, exact.implied(model, inputs, got)) / np.finfo(float).eps / told
    assert error.max() < 4, f"{error.max()} at {[(k, v[error.argmax()]) for k, v in inputs.items()]}"


@every_model
def test_price_is_reproduced(model, exact):
    """Twenty thousand options: the volatility gives the price back to its rounding, where it is told at all."""
    inputs = exact.options(model, 20_000, seed=2, carry=False)
    price = np.asarray(module_of(model).price(**inputs))
    volatility, status, _ = diagnosis(model, market(inputs, price))
    found = status == Status.OK
    assert found.sum() > 15_000
    back = np.asarray(module_of(model).price(**{**inputs, "volatility": np.where(found, volatility, 0.0)}))
    d1, d2, _ = exact.distances(model, inputs)
    shift = inputs.get("shift", 0.0)
    added = 0 if model != "displaced" else 4e-16 * (np.abs(inputs["forward"]) + np.abs(inputs["strike"]) + 2 * shift)
    allowed = 1e-14 * (4 + np.maximum(d1**2, d2**2)) * price + added
    kept = found & (price > 1e-290)
    assert np.all(np.abs(back - price)[kept] <= allowed[kept])


def case(model, **changes):
    """One ordinary option of the model with changes; all without carry."""
    inputs = {"price": 5.0, "strike": 110.0, "expiry": 0.5, "rate": 0.0, "is_call": True}
    inputs["spot" if model == "black_scholes" else "forward"] = 100.0
    inputs |= {"dividend_yield": 0.0} if model == "black_scholes" else {}
    inputs |= {"shift": 0.0} if model == "displaced" else {}
    return {**inputs, **changes}


OUTCOMES = {
    "ordinary call": ({}, Status.OK),
    "ordinary put": ({"price": 14.0, "is_call": False}, Status.OK),
    "call below intrinsic": ({"strike": 90.0, "price": 9.99}, Status.BELOW_INTRINSIC),
    "put below intrinsic": ({"price": 9.99, "is_call": False}, Status.BELOW_INTRINSIC),
    "negative price": ({"price": -0.01}, Status.BELOW_INTRINSIC),
    "call at intrinsic": ({"strike": 90.0, "price": 10.0}, Status.AT_INTRINSIC),
    "put at intrinsic": ({"price": 10.0, "is_call": False}, Status.AT_INTRINSIC),
    "worthless": ({"price": 0.0}, Status.AT_INTRINSIC),
    "expired": ({"expiry": 0.0}, Status.EXPIRED),
    "long expired": ({"expiry": -1.0}, Status.EXPIRED),
    "no price": ({"price": np.nan}, Status.INVALID),
    "no strike": ({"strike": np.nan}, Status.INVALID),
    "no expiry": ({"expiry": np.nan}, Status.INVALID),
    "no rate": ({"rate": np.nan}, Status.INVALID),
}
OUTCOMES_LOGNORMAL = {
    "call above the asset": ({"price": 100.5}, Status.ABOVE_BOUND),
    "put above the strike": ({"price": 110.5, "is_call": False}, Status.ABOVE_BOUND),
    "call at the asset": ({"price": 100.0}, Status.AT_BOUND),
    "put at the strike": ({"strike": 90.0, "price": 90.0, "is_call": False}, Status.AT_BOUND),
    "strike zero": ({"strike": 0.0, "price": 100.0}, Status.INVALID),
    "negative strike": ({"strike": -1.0}, Status.INVALID),
}


@pytest.mark.parametrize("as_array", [False, True])
@every_model
def test_outcomes(model, as_array):
    """Value and status of every case; the volatility without diagnosis is the same, element by element."""
    outcomes = OUTCOMES | (OUTCOMES_LOGNORMAL if model in LOGNORMAL else {})
    if model in LOGNORMAL:
        level = {"black_scholes": "spot"}.get(model, "forward")
        outcomes |= {"no forward": ({level: 0.0}, Status.INVALID), "negative forward": ({level: -1.0}, Status.INVALID)}
    cases = [case(model, **changes) for changes, _ in outcomes.values()]
    if as_array:
        inputs = {name: np.array([one[name] for one in cases]) for name in cases[0]}
        volatility, status, uncertainty = diagnosis(model, inputs)
        plain = implied(model, inputs)
    else:
        found = [diagnosis(model, one) for one in cases]
        volatility, status, uncertainty = (np.array(column) for column in zip(*found, strict=True))
        plain = np.array([implied(model, one) for one in cases])
    assert status.dtype == np.int8
    for i, (name, (_, expected)) in enumerate(outcomes.items()):
        assert Status(status[i]) == expected, f"{name}: {Status(status[i]).name}, expected {expected.name}"
        if expected == Status.OK:
            assert 0.01 < volatility[i] < 1000
            assert 0 < uncertainty[i] < 1e-12
        elif expected == Status.AT_INTRINSIC:
            assert volatility[i] == 0
            assert uncertainty[i] == np.inf
        elif expected == Status.AT_BOUND:
            assert volatility[i] == np.inf
            assert uncertainty[i] == np.inf
        else:
            assert np.isnan(volatility[i])
            assert np.isnan(uncertainty[i])
        # A negative spot is invalid whatever the price; without diagnosis all of these are NaN.
        np.testing.assert_allclose(plain[i], volatility[i], rtol=1e-15, err_msg=name)


def test_every_status_has_a_message():
    messages = [status.message for status in Status]
    assert len(set(messages)) == len(Status) == 7
    for status in Status:
        assert ("NaN" in status.message) == (status.name in {"BELOW_INTRINSIC", "ABOVE_BOUND", "EXPIRED", "INVALID"})


@both_dtypes
@every_model
def test_status_and_volatility_agree(model, dtype, exact):
    """On and around both bounds, where the last digit decides, with carry: what is said is what is given."""
    inputs = exact.options(model, 1000, seed=3, dtype=dtype)
    lower = np.asarray(module_of(model).price(**{**inputs, "volatility": np.zeros(1000, dtype)}))
    upper = np.asarray(module_of(model).price(**{**inputs, "volatility": np.full(1000, 1e6, dtype)}))
    upper = upper if model in LOGNORMAL else 2 * np.abs(lower) + 1
    for price in (lower, np.nextafter(lower, -1e9 * np.ones_like(lower)), np.nextafter(lower, 2 * upper), upper,
                  np.nextafter(upper, 2 * upper), 0.5 * (lower + upper)):  # fmt: skip
        volatility, status, uncertainty = diagnosis(model, market(inputs, price.astype(dtype)))
        assert np.all(np.isnan(volatility) == np.isin(status, [Status.BELOW_INTRINSIC, Status.ABOVE_BOUND]))
        assert np.all((volatility == 0) == (status == Status.AT_INTRINSIC))
        assert np.all(np.isinf(volatility) == (status == Status.AT_BOUND))
        assert np.all(volatility[status == Status.OK] > 0)
        assert np.all(np.isnan(uncertainty) == np.isnan(volatility))
    # Well inside there is always an answer; well outside never.
    assert np.isin(status, [Status.OK, Status.AT_BOUND, Status.AT_INTRINSIC]).mean() > 0.9
    below = diagnosis(model, market(inputs, (lower - 0.01 * (np.abs(lower) + 1)).astype(dtype)))[1]
    assert np.all(below == Status.BELOW_INTRINSIC)
    if model in LOGNORMAL:
        above = diagnosis(model, market(inputs, (1.01 * upper + 0.01).astype(dtype)))[1]
        assert np.all(above == Status.ABOVE_BOUND)


@both_dtypes
@every_model
def test_uncertainty_is_one_unit_of_the_price(model, dtype, exact):
    inputs = exact.options(model, 200, seed=4, dtype=dtype, carry=False)
    prices = exact.prices(model, inputs)
    price = np.array([float(p) for p in prices]).astype(dtype)
    volatility, status, uncertainty = diagnosis(model, market(inputs, price))
    told = uncertainty_of_inputs(inputs, exact.elasticities(model, inputs, prices), all_inputs=False)
    eps = float(np.finfo(dtype).eps)
    if model == "displaced":
        counted = told * eps < 1e-4
    else:
        counted = told * eps < 1e-2
    counted &= (price > SMALLEST[dtype]) & (status == Status.OK)
    assert counted.sum() > 120
    expected = eps * told * inputs["volatility"]
    ratio = (uncertainty / expected)[counted]
    assert ratio.min() > 0.9
    assert ratio.max() < 1.1
    # What it is for: the volatility found is that close to the one that made the price.
    error = np.abs(volatility - inputs["volatility"].astype(np.float64))
    allowed = 4 * uncertainty + 12 * eps * inputs["volatility"]
    if model != "displaced":
        assert np.all(error[counted] <= allowed[counted])


@pytest.mark.parametrize("model", ["black_scholes", "displaced", "bachelier"])
def test_derivatives(model, exact):
    """By every input, against the implicit function theorem in exact numbers; finite wherever vega is not zero."""
    inputs = exact.options(model, 60, seed=5, total=(1e-4, 4.0), deepest=6.0)
    prices = exact.prices(model, inputs)
    elasticities = exact.elasticities(model, inputs, prices)
    told = uncertainty_of_inputs(inputs, elasticities, all_inputs=True)
    kept = told < 1e6
    assert kept.sum() >= 40
    given = {name: jnp.asarray(x) for name, x in market(inputs, np.array([float(p) for p in prices])).items()}
    flags = given.pop("is_call")

    @jax.jit
    def gradients(given):
        return jax.grad(lambda given: jnp.sum(module_of(model).implied_volatility(**given, is_call=flags)))(given)

    found = gradients(given)
    which = ["vega", *(n for n in ("delta", "dual_delta", "theta", "rho", "dividend_rho"))]
    greeks = exact.greeks(model, inputs, which=tuple(which))
    by = {"spot": "delta", "forward": "delta", "strike": "dual_delta", "rate": "rho", "dividend_yield": "dividend_rho"}
    vega = greeks["vega"]
    for name, values in found.items():
        with mp.workdps(40):
            if name == "price":
                expected = [1 / v for v in vega]
            elif name == "expiry":
                expected = [theta / v for theta, v in zip(greeks["theta"], vega, strict=True)]
            elif name == "shift":
                pairs = zip(greeks["delta"], greeks["dual_delta"], vega, strict=True)
                expected = [-(delta + dual) / v for delta, dual, v in pairs]
            else:
                expected = [-greek / v for greek, v in zip(greeks[by[name]], vega, strict=True)]
        assert np.all(np.isfinite(values)), name
        error = exact.difference(values, expected)
        # A volatility that is out by eps * told moves d and, with it, vega and the exercise probabilities.
        d1, d2, _ = exact.distances(model, inputs)
        d = 1 + np.maximum(np.abs(d1), np.abs(d2))
        parts = np.array([abs(float(v)) for v in expected])
        if name in ("expiry", "shift"):
            # sums of terms of both signs
            delta, dual = (
                np.array([abs(float(g / v)) for g, v in zip(greeks[n], vega, strict=True)])
                for n in ("delta", "dual_delta")
            )
            level = np.abs(inputs.get("spot", inputs.get("forward")))
            rates = np.abs(inputs["rate"]) + np.abs(inputs.get("dividend_yield", 0.0))
            parts = parts + (
                delta + dual if name == "shift" else rates * (delta * level + dual * np.abs(inputs["strike"]))
            )
            parts = parts + inputs["volatility"] / inputs["expiry"] * (name == "expiry")
        allowed = 2e-15 * d**2 * (4 + told) * parts
        assert np.all(error[kept] <= allowed[kept]), f"{name}: {np.max((error / allowed)[kept])}"


@pytest.mark.parametrize("model", ["black_scholes", "bachelier"])
@pytest.mark.parametrize("is_call", [True, False])
def test_derivatives_at_the_money(model, is_call):
    """Exactly there, where the option and its opposite are both out of the money."""
    one = case(model, strike=100.0)
    one["is_call"] = is_call
    underlying = "spot" if model == "black_scholes" else "forward"
    function = module_of(model).implied_volatility
    found = jax.grad(lambda u, k: function(**{**one, underlying: u, "strike": k}), (0, 1))(100.0, 100.0)
    rest = {name: x for name, x in one.items() if name != "price"}
    g = module_of(model).greeks(**rest, volatility=function(**one), which=("delta", "dual_delta", "vega"))
    np.testing.assert_allclose(found, (-g.delta / g.vega, -g.dual_delta / g.vega), rtol=1e-13)


@pytest.mark.parametrize("model", ["black_scholes", "bachelier"])
def test_derivatives_far_from_the_money(model, exact):
    """To a few units in the last place down to prices of 1e-280, where a rounded density is out by a thousand."""
    inputs = exact.options(model, 200, seed=8, carry=False, total=(1e-3, 4.0), deepest=35.0)
    d1, d2, _ = exact.distances(model, inputs)
    underlying = "spot" if model == "black_scholes" else "forward"
    out = (inputs[underlying] < inputs["strike"]) == inputs["is_call"]
    kept = out & (np.minimum(np.abs(d1), np.abs(d2)) > 8)
    assert kept.sum() > 20
    inputs = {name: x[kept] for name, x in inputs.items()}
    price = np.array([float(p) for p in exact.prices(model, inputs)])
    flags = inputs["is_call"]
    given = {name: jnp.asarray(x) for name, x in market(inputs, price).items() if name != "is_call"}
    found = jax.jit(jax.grad(lambda g: jnp.sum(module_of(model).implied_volatility(**g, is_call=flags))))(given)
    greeks = exact.greeks(model, inputs, which=("vega", "delta", "dual_delta"))
    for name, greek in ((underlying, "delta"), ("strike", "dual_delta")):
        with mp.workdps(40):
            expected = [-x / v for x, v in zip(greeks[greek], greeks["vega"], strict=True)]
        assert np.max(exact.relative(found[name], expected)) < 2e-14, name


@every_model
def test_derivatives_at_the_bounds(model):
    """NaN where vega is zero and nowhere else; a bad quote does not spoil its neighbours' gradients."""
    cases = [
        case(model), case(model, price=0.0), case(model, price=-1.0), case(model, price=np.nan),
        case(model, expiry=0.0), case(model, strike=100.0, price=1e-6), case(model, strike=90.0, price=12.0),
        case(model, price=1e-250),
    ]  # fmt: skip
    given = {name: jnp.asarray([one[name] for one in cases]) for name in cases[0]}
    flags = given.pop("is_call")
    function = module_of(model).implied_volatility
    reverse = jax.jit(jax.grad(lambda given: jnp.sum(function(**given, is_call=flags))))(given)
    tangents = {name: jnp.ones_like(x) for name, x in given.items()}
    _, forward = jax.jit(lambda g: jax.jvp(lambda g: function(**g, is_call=flags), (g,), (tangents,)))(given)
    good = np.array([0, 5, 6, 7])
    for name, values in reverse.items():
        assert np.all(np.isfinite(np.asarray(values)[good])), f"{name}: {values}"
    assert np.all(np.isfinite(np.asarray(forward)[good]))
    assert np.isnan(reverse["price"][1])  # zero volatility: the price does not move
    # one over vega, from the Greeks of the model
    volatility = implied(model, {**given, "is_call": flags})
    inputs = {name: np.asarray(x)[good] for name, x in given.items() if name != "price"}
    vega = module_of(model).greeks(**inputs, volatility=volatility[good], is_call=flags[good], which=("vega",)).vega
    np.testing.assert_allclose(np.asarray(reverse["price"])[good], 1 / np.asarray(vega), rtol=1e-10)


@pytest.mark.parametrize("model", ["black_scholes", "bachelier"])
def test_second_derivatives(model):
    """d²σ/dprice² = -volga / vega³, by differentiating the implicit derivative."""
    one = case(model)
    flags = one.pop("is_call")
    function = module_of(model).implied_volatility

    def of_price(price):
        return function(**{**one, "price": price}, is_call=flags)

    volatility, bend = jax.jit(lambda p: (of_price(p), jax.grad(jax.grad(of_price))(p)))(5.0)
    rest = {name: x for name, x in one.items() if name != "price"}
    g = module_of(model).greeks(**rest, volatility=volatility, is_call=flags, which=("vega", "volga"))
    np.testing.assert_allclose(bend, -g.volga / g.vega**3, rtol=1e-10)


@every_model
def test_nothing_leaks_between_options(model, exact):
    """NaN, bounds and expired options beside good ones change none of them."""
    inputs = exact.options(model, COUNT, seed=6, total=(0.01, 1.0), deepest=3.0)
    given = market(inputs, np.array(module_of(model).price(**inputs)))
    clean = implied(model, given)
    assert np.all(np.isfinite(clean))
    given["price"][::10] = np.nan
    given["expiry"][1::10] = 0.0
    given["price"][2::10] = -1.0
    spoilt = implied(model, given)
    untouched = np.arange(COUNT) % 10 > 2
    np.testing.assert_array_equal(spoilt[untouched], clean[untouched])
    assert np.all(np.isnan(spoilt[~untouched]))


@every_model
def test_a_fixed_number_of_steps_without_loop_or_branch(model):
    """No primitive whose work depends on the data: the program is a straight line."""
    x = jnp.ones(8)
    one = {name: x for name in case(model) if name != "is_call"}
    jaxpr = jax.make_jaxpr(lambda inputs: module_of(model).implied_volatility(**inputs, is_call=x > 0))(one)
    seen = primitives(jaxpr.jaxpr)
    assert not seen & {"while", "scan", "fori_loop", "custom_root", "custom_linear_solve", "pure_callback"}, seen
    # The one branch is on the platform, and compilation takes it.
    text = module_of(model).implied_volatility.jitted.lower(**one, is_call=x > 0).compile().as_text()
    assert " while(" not in text
    assert " conditional(" not in text
    assert {"mul", "sqrt", "div"} <= seen


def primitives(jaxpr):
    """Names of all primitives, those of inner programs included."""
    seen = set()
    for equation in jaxpr.eqns:
        seen.add(equation.primitive.name)
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                seen |= primitives(inner)
    return seen


def test_primitives_finds_a_loop():
    looped = jax.make_jaxpr(jax.jit(lambda x: jax.lax.while_loop(lambda y: y < 9, lambda y: y + 1, x)))(1)
    assert "while" in primitives(looped.jaxpr)


@every_model
def test_transformations_agree(model, exact):
    inputs = exact.options(model, 12, seed=7, total=(0.05, 1.0), deepest=2.0)
    given = market(inputs, np.asarray(module_of(model).price(**inputs)))
    function = module_of(model).implied_volatility
    batched = implied(model, given)
    mapped = jax.jit(jax.vmap(lambda one: function(**one)))({k: jnp.asarray(v) for k, v in given.items()})
    np.testing.assert_allclose(mapped, batched, rtol=1e-12)
    table = implied(model, {**{k: v[0] for k, v in given.items()}, "strike": given["strike"][:, None]})
    assert table.shape == (12, 1)
    np.testing.assert_allclose(table[0, 0], batched[0], rtol=1e-12)
    assert implied(model, {k: v[:0] for k, v in given.items()}).shape == (0,)
    traces = function.jitted._cache_size()
    for seed in range(3):
        other = exact.options(model, 12, seed=seed)
        implied(model, market(other, np.full(12, 3.0)))
    assert function.jitted._cache_size() == traces


@pytest.mark.shared_data
def test_real_quotes(shared):
    """The DAX surface of 5 July 2002 (see the file's source line): implied from its prices, to the last digits."""
    lines = (shared / "refvalues" / "dax_20020705_implied_vols.csv").read_text().splitlines()
    table = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    rows = {name: np.array([float(row[name]) for row in table]) for name in table[0]}
    inputs = {
        "spot": rows["spot"], "strike": rows["strike"], "expiry": rows["days"] / 365.0, "rate": rows["zero_rate"],
        "volatility": rows["implied_vol"],
    }  # fmt: skip
    for is_call in (True, False):
        price = np.asarray(module_of("black_scholes").price(**inputs, is_call=is_call))
        got = implied("black_scholes", {**market(inputs, price), "is_call": is_call})
        np.testing.assert_allclose(got, rows["implied_vol"], rtol=1e-11)
