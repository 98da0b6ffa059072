"""Prices of the four models against mpmath, over the whole domain and on its edges."""

import importlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import QuantLib as ql

from gpujax.errors import InputTypeError

MODELS = ("black_scholes", "black76", "displaced", "bachelier")
every_model = pytest.mark.parametrize("model", MODELS)
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])

# Smallest price that the dtype still holds with all its digits, and its parts.
SMALLEST = {"float64": 1e-300, "float32": 1e-36}
COUNT = 400


def price(model, **inputs):
    return np.asarray(importlib.import_module(f"gpujax.pricing.{model}").price(**inputs))


def conditioning(elasticities, inputs):
    """How many times its own rounding error a price moves when its inputs are rounded; 1 for the result itself."""
    total = 1 + sum(np.abs(e) for e in elasticities.values())
    if "shift" in inputs:
        # Forward and strike are rounded again when the shift has been added.
        for name in ("forward", "strike"):
            total = total + np.abs(elasticities[name] * inputs["shift"] / inputs[name])
    return total


@both_dtypes
@every_model
def test_price_is_that_of_inputs_moved_by_two_units(model, dtype, exact):
    """With carry, in and out of the money: backward error, the most that any formula can promise."""
    inputs = exact.options(model, COUNT, seed=1, dtype=dtype)
    got = price(model, **inputs)
    assert got.dtype == dtype
    expected = exact.prices(model, inputs)
    counted = np.array([p > SMALLEST[dtype] for p in expected])
    assert counted.sum() >= 0.97 * COUNT
    allowed = 2 * np.finfo(dtype).eps * conditioning(exact.elasticities(model, inputs, expected), inputs)
    error = np.where(counted, exact.relative(got, expected) / allowed, 0)
    worst = int(error.argmax())
    assert error[worst] <= 1, f"{error[worst]}: {[(k, v[worst]) for k, v in inputs.items()]} gave {got[worst]!r}"
    assert np.all((got[~counted] >= 0) & (got[~counted] <= 10 * SMALLEST[dtype]))


@both_dtypes
@every_model
def test_relative_error_without_carry(model, dtype, exact):
    """Where the inputs are exact, the stated bound on the relative error holds: at total volatilities of 1e-8 too."""
    inputs = exact.options(model, COUNT, seed=2, dtype=dtype, carry=False)
    if model == "displaced":  # adding the shift must not round either
        inputs["shift"] = np.zeros_like(inputs["shift"])
        inputs["forward"], inputs["strike"] = np.abs(inputs["forward"]), np.abs(inputs["strike"])
    got = price(model, **inputs)
    expected = exact.prices(model, inputs)
    counted = np.array([p > SMALLEST[dtype] for p in expected])
    d1, d2, _ = exact.distances(model, inputs)
    d = np.maximum(np.abs(d1), np.abs(d2))
    units = np.where(counted, exact.relative(got, expected) / np.finfo(dtype).eps, 0)
    worst = int((units / (4 + d * d)).argmax())
    # 1e-15 (4 + d²), and the same in float32
    assert units[worst] <= 4.5 * (4 + d[worst] ** 2), (
        f"{units[worst]} eps at {[(k, v[worst]) for k, v in inputs.items()]}"
    )
    # 5e-15 within three standard deviations
    near = counted & (d < 3)
    assert near.sum() >= 0.4 * COUNT
    assert units[near].max() <= 22


@every_model
def test_prices_down_to_the_smallest_number(model, exact):
    """Out of the money, deeper and deeper, at several volatilities: the relative error grows like d² and no faster."""
    depth = np.linspace(1, 36.9, 60)
    total = np.tile([1e-6, 0.01, 0.3, 2.0], 15)
    inputs = {"expiry": np.ones(60), "volatility": total, "rate": np.zeros(60), "is_call": np.ones(60, bool)}
    if model == "bachelier":
        inputs |= {"forward": np.full(60, 100.0), "strike": 100.0 + depth * total}
    else:
        inputs |= {"spot" if model == "black_scholes" else "forward": np.full(60, 100.0)}
        inputs |= {"strike": 100.0 * np.exp(depth * total + total**2 / 2)}
        inputs |= {"dividend_yield": np.zeros(60)} if model == "black_scholes" else {}
        inputs |= {"shift": np.zeros(60)} if model == "displaced" else {}
    expected = exact.prices(model, inputs)
    assert 1e-300 < float(expected[-1]) < 1e-290
    d1, d2, _ = exact.distances(model, inputs)
    error = exact.relative(price(model, **inputs), expected) / 1e-15 / (4 + np.maximum(d1**2, d2**2))
    assert error.max() <= 1, f"{error.max()} at depth {depth[error.argmax()]}"


GRID = {
    "strike": (0.0, 1e-30, 50.0, 99.5, 100.0, 100.5, 1e6),
    "expiry": (0.0, 1e-30, 1e-8, 0.5, 30.0),
    "volatility": (0.0, 1e-30, 1e-8, 0.2, 5.0),
    "rate": (0.0, 0.05, -0.05),
    "dividend_yield": (0.0, 0.02),
    "is_call": (True, False),
}


def edges(model, dtype):
    """Every combination of zeros, tiny, ordinary and large inputs; spots and forwards of 100."""
    grid = {name: values for name, values in GRID.items() if name != "dividend_yield" or model == "black_scholes"}
    columns = np.array(list(itertools.product(*grid.values())))
    inputs = {name: columns[:, i].astype(bool if name == "is_call" else dtype) for i, name in enumerate(grid)}
    inputs["spot" if model == "black_scholes" else "forward"] = np.full(len(columns), 100, dtype)
    if model == "displaced":
        inputs["shift"] = np.full(len(columns), 0.5, dtype)
    return inputs


@both_dtypes
@every_model
def test_prices_on_the_edges(model, dtype, exact):
    inputs = edges(model, dtype)
    got = price(model, **inputs)
    expected = exact.prices(model, inputs)
    # Beside the conditioning of the last test, what is lost is at most the rounding of the two legs.
    legs = [
        float(p)
        for p in exact.prices(model, {**inputs, "strike": 0 * inputs["strike"], "is_call": True | inputs["is_call"]})
    ]
    strike = inputs["strike"] * np.exp(-inputs["rate"] * inputs["expiry"])
    allowed = 20 * np.finfo(dtype).eps * (np.abs(np.array(legs)) + strike) + SMALLEST[dtype]
    error = exact.difference(got, expected)
    worst = int((error / allowed).argmax())
    assert error[worst] <= allowed[worst], f"{[(k, v[worst]) for k, v in inputs.items()]} gave {got[worst]!r}"
    assert np.all(got >= 0)
    # Out of the money nothing is left of the legs: a zero there is a zero.
    zero = np.array([p < SMALLEST[dtype] for p in expected])
    assert zero.sum() > 100
    assert got[zero].max() <= 10 * SMALLEST[dtype]


@pytest.mark.parametrize(
    ("model", "dtype"), [("black_scholes", "float64"), ("black_scholes", "float32"), ("bachelier", "float64")]
)
def test_derivatives_on_the_edges_are_finite(model, dtype):
    """First and second derivatives, both modes, but for the kink: no volatility to speak of and forward = strike."""
    inputs = edges(model, dtype)
    function = importlib.import_module(f"gpujax.pricing.{model}").price
    flags = {"is_call": jnp.asarray(inputs.pop("is_call"))}
    floats = {name: jnp.asarray(array) for name, array in inputs.items()}

    @jax.jit
    @jax.vmap
    def derivatives(floats, flags):
        def gradient(floats):
            first = jax.grad(lambda floats: function(**floats, **flags))(floats)
            return first, first

        along = {name: jnp.ones_like(x) for name, x in floats.items()}
        forward = jax.jvp(lambda floats: function(**floats, **flags), (floats,), (along,))[1]
        second, first = jax.jacfwd(gradient, has_aux=True)(floats)
        return first, forward, second

    first, forward, second = jax.tree.map(np.asarray, derivatives(floats, flags))
    i = {name: np.asarray(array, np.float64) for name, array in floats.items()}
    total = i["volatility"] * np.sqrt(i["expiry"])
    underlying = i.get("spot", i.get("forward"))
    carried = underlying * np.exp((i["rate"] - i["dividend_yield"]) * i["expiry"]) if "spot" in i else underlying
    kink = (total < 1e-6) & (np.abs(carried - i["strike"]) < 1e-4)
    assert 0 < kink.sum() < 0.15 * kink.size
    for name in floats:
        assert np.all(np.isfinite(first[name][~kink])), f"by {name}"
        for other in floats:
            bad = ~np.isfinite(second[name][other]) & ~kink
            place = int(bad.argmax())
            assert not bad.any(), f"by {name} and {other}: {[(k, v[place]) for k, v in i.items()]}"
    # Both modes give the same, up to the order in which they add.
    size = sum(np.abs(gradient) for gradient in first.values())
    error = np.abs(forward - sum(first.values()))
    assert np.all(error[~kink] <= 100 * np.finfo(dtype).eps * size[~kink])


@every_model
def test_out_of_range_gives_nan_in_its_own_place(model, exact):
    inputs = exact.options(model, COUNT, seed=1)
    clean = price(model, **inputs)
    assert not np.any(np.isnan(clean))
    bad = {"volatility": -0.1, "expiry": -1.0}
    if model == "black_scholes":
        bad |= {"spot": 0.0, "strike": -1.0}
    if model == "black76":
        bad |= {"forward": -1.0, "strike": -1.0}
    if model == "displaced":
        bad |= {"forward": -60.0, "strike": -60.0}
    places = {}
    for place, (name, value) in enumerate([*bad.items(), *((name, np.nan) for name in inputs if name != "is_call")]):
        inputs[name][7 * place] = value
        places[7 * place] = name
    spoilt = price(model, **inputs)
    for place, name in places.items():
        assert np.isnan(spoilt[place]), f"{name} = {inputs[name][place]}"
    others = np.setdiff1d(np.arange(COUNT), list(places))
    np.testing.assert_array_equal(spoilt[others], clean[others])


@every_model
def test_parity(model, exact):
    """A call less a put is the discounted forward less strike, to the rounding of the larger of the two."""
    inputs = exact.options(model, COUNT, seed=3)
    call, put = (price(model, **{**inputs, "is_call": np.full(COUNT, flag)}) for flag in (True, False))
    discount = np.exp(-inputs["rate"] * inputs["expiry"])
    if model == "black_scholes":
        asset = inputs["spot"] * np.exp(-inputs["dividend_yield"] * inputs["expiry"])
    else:
        asset = inputs["forward"] * discount
    cash = inputs["strike"] * discount
    size = np.max(np.abs([asset, cash, call, put, inputs.get("shift", 0 * cash)]), axis=0)
    assert np.max(np.abs(call - put - (asset - cash)) / size) < 4e-15


@every_model
def test_scaling(model, exact):
    """Twice the spot, strike and shift (and, in the normal model, the volatility) is twice the price, to the bit."""
    inputs = exact.options(model, COUNT, seed=4)
    doubled = dict(inputs)
    for name in ("spot", "forward", "strike", "shift", *(["volatility"] if model == "bachelier" else [])):
        if name in inputs:
            doubled[name] = 2 * inputs[name]
    single = price(model, **inputs)
    kept = single > 1e-290
    np.testing.assert_array_equal(price(model, **doubled)[kept], 2 * single[kept])


@every_model
@pytest.mark.parametrize("is_call", [True, False])
def test_order_and_shape(model, is_call):
    """Rising in volatility; monotone and convex in strike; between the discounted intrinsic value and the bound."""
    underlying = "spot" if model == "black_scholes" else "forward"
    extra = {"shift": np.full((), 3.0)} if model == "displaced" else {}
    unit = 100.0 if model == "bachelier" else 1.0
    strike = np.linspace(1, 400, 400)
    volatility = unit * np.geomspace(1e-3, 4, 60)[:, None]
    grid = price(model, **{underlying: np.full((), 100.0)}, strike=strike, expiry=np.full((), 0.7), volatility=volatility,
                 rate=np.full((), 0.03), is_call=is_call, **extra)  # fmt: skip
    tiny = 1e-13 * 400
    assert grid.shape == (60, 400)
    assert np.all(np.diff(grid, axis=0) >= -tiny)
    assert np.all((np.diff(grid, axis=1) <= tiny) if is_call else (np.diff(grid, axis=1) >= -tiny))
    assert np.all(np.diff(grid, 2, axis=1) >= -tiny)
    discount = np.exp(-0.03 * 0.7)
    asset = 100.0 if model == "black_scholes" else 100.0 * discount
    intrinsic = np.maximum((asset - strike * discount) * (1 if is_call else -1), 0)
    assert np.all(grid >= intrinsic - tiny)
    if model != "bachelier":
        shift = float(extra.get("shift", 0.0)) * discount
        assert np.all(grid <= (asset + shift if is_call else strike * discount + shift) + tiny)


def test_far_future():
    """As expiry grows the call becomes the asset and the put its discounted strike."""
    inputs = {"spot": 100.0, "strike": 90.0, "expiry": np.array([1e3, 1e4, 1e6]), "volatility": 0.4}
    np.testing.assert_allclose(price("black_scholes", **inputs), 100.0, rtol=1e-8)
    np.testing.assert_allclose(price("black_scholes", **inputs, is_call=False), 90.0, rtol=1e-8)
    assert np.all(price("black_scholes", **inputs, rate=0.02, is_call=False) < 90 * np.exp(-19.9))
    # A normal forward spreads without bound
    normal = price("bachelier", forward=100.0, strike=90.0, expiry=inputs["expiry"], volatility=20.0)
    np.testing.assert_allclose(normal, 20 * np.sqrt(inputs["expiry"] / (2 * np.pi)) + 5, rtol=1e-3)


def test_models_agree_where_they_meet():
    """Black-76 is Black-Scholes on the forward, a shift of zero is none, and a huge shift is the normal model."""
    draw = np.random.default_rng(0)
    spans = ((80, 120), (80, 120), (0.1, 3), (0.1, 0.6), (-0.05, 0.1))
    forward, strike, expiry, volatility, rate = (draw.uniform(*span, 100) for span in spans)
    common = {"strike": strike, "expiry": expiry, "rate": rate}
    by_forward = price("black76", forward=forward, volatility=volatility, **common)
    by_spot = price("black_scholes", spot=forward, volatility=volatility, dividend_yield=rate, **common)
    np.testing.assert_allclose(by_forward, by_spot, rtol=2e-14)
    np.testing.assert_array_equal(
        price("displaced", forward=forward, volatility=volatility, shift=0.0, **common), by_forward
    )
    normal = price("bachelier", forward=forward, volatility=100 * volatility, **common)
    shifted = price("displaced", forward=forward, volatility=volatility * 1e-6, shift=1e8, **common)
    np.testing.assert_allclose(shifted, normal, rtol=1e-5, atol=1e-6)


# model, inputs by position (spot or forward, strike, expiry, volatility, rate, dividend yield), call or put, price as
# printed, and its last digit. Haug: The Complete Guide to Option Pricing Formulas, 2nd ed. (2007); Hull: Options, Futures,
# and Other Derivatives, 9th ed. (2014).
PUBLISHED = {
    "Haug 1.1.1, stock": ("black_scholes", (60.0, 65.0, 0.25, 0.3, 0.08, 0.0), True, 2.1334, 1e-4),
    "Haug 1.1.2, index": ("black_scholes", (100.0, 95.0, 0.5, 0.2, 0.1, 0.05), False, 2.4648, 1e-4),
    "Haug 1.1.3, futures call": ("black76", (19.0, 19.0, 0.75, 0.28, 0.1), True, 1.7011, 1e-4),
    "Haug 1.1.3, futures put": ("black76", (19.0, 19.0, 0.75, 0.28, 0.1), False, 1.7011, 1e-4),
    "Haug 1.1.5, currency": ("black_scholes", (1.56, 1.6, 0.5, 0.12, 0.06, 0.08), True, 0.0291, 1e-4),
    "Hull example 15.6, call": ("black_scholes", (42.0, 40.0, 0.5, 0.2, 0.1, 0.0), True, 4.76, 1e-2),
    "Hull example 15.6, put": ("black_scholes", (42.0, 40.0, 0.5, 0.2, 0.1, 0.0), False, 0.81, 1e-2),
    "Hull example 17.1, index": ("black_scholes", (930.0, 900.0, 2 / 12, 0.2, 0.08, 0.03), True, 51.83, 1e-2),
    "Hull example 18.6, futures": ("black76", (20.0, 20.0, 4 / 12, 0.25, 0.09), False, 1.12, 1e-2),
}


@pytest.mark.parametrize("example", PUBLISHED)
def test_textbook_examples(example):
    model, values, is_call, printed, digit = PUBLISHED[example]
    names = (
        "spot" if model == "black_scholes" else "forward",
        "strike",
        "expiry",
        "volatility",
        "rate",
        "dividend_yield",
    )
    inputs = dict(zip(names, values, strict=False))
    assert abs(float(price(model, **inputs, is_call=is_call)) - printed) <= 0.5 * digit


@pytest.mark.parametrize("model", ["black76", "displaced", "bachelier"])
def test_quantlib(model, exact):

    inputs = exact.options(model, 300, seed=5, total=(1e-3, 3.0), deepest=5.0)
    got = price(model, **inputs)
    for i in range(300):
        one = {name: array[i].item() for name, array in inputs.items()}
        side = ql.Option.Call if one["is_call"] else ql.Option.Put
        deviation, discount = one["volatility"] * np.sqrt(one["expiry"]), np.exp(-one["rate"] * one["expiry"])
        if model == "bachelier":
            peer = ql.bachelierBlackFormula(side, one["strike"], one["forward"], deviation, discount)
        else:
            peer = ql.blackFormula(side, one["strike"], one["forward"], deviation, discount, one.get("shift", 0.0))
        size = discount * (abs(one["forward"]) + abs(one["strike"]) + one.get("shift", 0.0))
        assert abs(got[i] - peer) <= 1e-14 * size, one


def test_quantlib_black_scholes(exact):

    inputs = exact.options("black_scholes", 300, seed=6, total=(1e-3, 3.0), deepest=5.0)
    got = price("black_scholes", **inputs)
    for i in range(300):
        one = {name: array[i].item() for name, array in inputs.items()}
        side = ql.Option.Call if one["is_call"] else ql.Option.Put
        carry, discount = np.exp(-one["dividend_yield"] * one["expiry"]), np.exp(-one["rate"] * one["expiry"])
        forward, deviation = one["spot"] * carry / discount, one["volatility"] * np.sqrt(one["expiry"])
        peer = ql.blackFormula(side, one["strike"], forward, deviation, discount)
        assert abs(got[i] - peer) <= 2e-14 * (one["spot"] * carry + one["strike"] * discount), one


@every_model
def test_transformations_agree(model, exact):
    """jit, vmap, broadcasting, scalars and slices give the same numbers; one trace serves every call of a shape."""
    inputs = exact.options(model, 12, seed=7, total=(0.01, 1.0), deepest=3.0)
    function = importlib.import_module(f"gpujax.pricing.{model}").price
    batched = price(model, **inputs)
    mapped = jax.jit(jax.vmap(lambda one: function(**one)))({name: jnp.asarray(a) for name, a in inputs.items()})
    np.testing.assert_allclose(mapped, batched, rtol=1e-14)
    single = [float(function(**{name: a[i].item() for name, a in inputs.items()})) for i in range(3)]
    np.testing.assert_allclose(single, batched[:3], rtol=1e-14)
    strikes = inputs["strike"][:, None]
    table = price(model, **{**{name: a[0] for name, a in inputs.items()}, "strike": strikes})
    assert table.shape == (12, 1)
    assert table[0, 0] == pytest.approx(batched[0], rel=1e-14)
    assert price(model, **{name: a[:0] for name, a in inputs.items()}).shape == (0,)
    before = function.jitted._cache_size()
    for seed in range(3):
        price(model, **exact.options(model, 12, seed=seed))
    assert function.jitted._cache_size() == before


@every_model
def test_integer_arrays_are_refused(model, exact):
    inputs = exact.options(model, 4, seed=8)
    with pytest.raises(InputTypeError, match=r"price: strike: int64 array of shape \(4,\)"):
        price(model, **{**inputs, "strike": np.arange(4)})
