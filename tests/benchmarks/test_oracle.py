"""The oracle against numerical differentiation at a hundred digits, and its tables against the oracle."""

import numpy as np
import pytest
from mpmath import mp, mpf

from benchmarks.harness import oracle, oracle_table

OPTION = {
    "spot": mpf(100), "strike": mpf(130), "expiry": mpf("0.7"), "volatility": mpf("0.23"), "rate": mpf("0.03"),
    "dividend_yield": mpf("0.011"),
}  # fmt: skip
ON_FORWARD = {
    "forward": mpf(90),
    "strike": mpf(120),
    "expiry": mpf("0.7"),
    "volatility": mpf("0.4"),
    "rate": mpf("-0.02"),
}


# The inputs by which the price is differentiated; the sign turns a derivative by expiry into one by time passing.
DERIVATIVES = {
    "price": (1,),
    "delta": (1, "spot"),
    "gamma": (1, "spot", "spot"),
    "vega": (1, "volatility"),
    "theta": (-1, "expiry"),
    "rho": (1, "rate"),
    "dividend_rho": (1, "dividend_yield"),
    "vanna": (1, "spot", "volatility"),
    "volga": (1, "volatility", "volatility"),
    "charm": (-1, "spot", "expiry"),
    "veta": (-1, "volatility", "expiry"),
    "speed": (1, "spot", "spot", "spot"),
    "zomma": (1, "spot", "spot", "volatility"),
    "color": (-1, "spot", "spot", "expiry"),
    "ultima": (1, "volatility", "volatility", "volatility"),
    "dual_delta": (1, "strike"),
    "dual_gamma": (1, "strike", "strike"),
    "d price / d shift": (1, "shift"),
}


@pytest.fixture(autouse=True)
def _hundred_digits(monkeypatch):
    monkeypatch.setattr(oracle, "DIGITS", 100)
    with mp.workdps(100):
        yield


def difference(function, point, names):
    """A central difference by each name in turn; its steps leave thirty good digits."""
    if not names:
        return function(point)
    step = abs(point[names[0]]) * mpf(10) ** -18
    up, down = ({**point, names[0]: point[names[0]] + sign * step} for sign in (1, -1))
    return (difference(function, up, names[1:]) - difference(function, down, names[1:])) / (2 * step)


def price_of(kind, point):
    """The price alone; of digitals written out again, because their Greeks are what takes the oracle's time."""
    if not kind.endswith("nothing"):
        return oracle.KINDS[kind](point)["price"][0]
    _, d1, d2 = oracle._distances(point)
    sign = 1 if point["is_call"] else -1
    if kind.startswith("cash"):
        return mp.exp(-point["rate"] * point["expiry"]) * mp.ncdf(sign * d2)
    return point["spot"] * mp.exp(-point["dividend_yield"] * point["expiry"]) * mp.ncdf(sign * d1)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("black_scholes", OPTION),
        ("black76", ON_FORWARD),
        ("displaced", {**ON_FORWARD, "shift": mpf(7)}),
        ("bachelier", {**ON_FORWARD, "volatility": mpf(25)}),
        ("cash-or-nothing", OPTION),
        ("asset-or-nothing", OPTION),
    ],
)
def test_greeks_are_derivatives_of_the_price(kind, inputs, is_call):
    point = {**inputs, "is_call": is_call}
    exact = oracle.evaluate(kind, point)
    assert len(exact) >= 16
    underlying = "forward" if "forward" in inputs else "spot"
    for name, result in exact.items():
        sign, *names = DERIVATIVES[name]
        names = [underlying if n == "spot" else n for n in names]
        expected = sign * difference(lambda p: price_of(kind, p), point, names)
        assert abs(result.value / expected - 1) < mpf(10) ** -25, name


@pytest.mark.parametrize(("total", "distance"), [("1e-8", 2), ("1e-3", -30), ("0.5", 30), ("20", 2)])
def test_digitals_make_a_vanilla_option_also_where_they_are_steep_or_tiny(total, distance):
    point = {**OPTION, "is_call": True, "volatility": mpf(total) / mp.sqrt(OPTION["expiry"])}
    forward = point["spot"] * mp.exp((point["rate"] - point["dividend_yield"]) * point["expiry"])
    point["strike"] = forward * mp.exp(-mpf(total) * distance)
    cash, asset = (oracle.evaluate(f"{name}-or-nothing", point) for name in ("cash", "asset"))
    vanilla = oracle.evaluate("black_scholes", point)
    # A vanilla call is the asset less K of cash, and so is every derivative that leaves K alone.
    for name in set(vanilla) - {"dual_delta", "dual_gamma"}:
        parts = asset[name].value - point["strike"] * cash[name].value
        scale = abs(asset[name].value) + vanilla[name].scale
        assert abs(parts - vanilla[name].value) < mpf(10) ** -30 * scale, name


def test_normal_functions_and_quantile_are_each_others_inverse_and_derivative():
    for x in (mpf(-30), mpf("-1.3"), mpf("0.2"), mpf(4)):
        exact = oracle.evaluate("normal", {"x": x})
        for name in ("pdf", "cdf", "log_cdf", "erfcx"):
            expected = difference(lambda p, n=name: oracle.KINDS["normal"](p)[n][0], {"x": x}, ["x"])
            assert abs(exact[f"{name}'"].value / expected - 1) < mpf(10) ** -25, (name, x)
        back = oracle.evaluate("quantile", {"p": exact["cdf"].value})
        assert abs(back["quantile"].value / x - 1) < mpf(10) ** -50
        assert abs(back["quantile'"].value * exact["pdf"].value - 1) < mpf(10) ** -50


def test_mills_ratio_is_laplaces_continued_fraction_and_falls_as_it_must():
    for x in (mpf(40), mpf(1000), mpf(10) ** 12):
        tail = mpf(0)
        for k in range(120, 0, -1):
            tail = k / (x + tail)
        exact = oracle.evaluate("mills", {"x": x})
        assert abs(exact["mills_ratio"].value * (x + tail) - 1) < mpf(10) ** -60, x
    slope = difference(lambda p: oracle.KINDS["mills"](p)["mills_ratio"][0], {"x": mpf(3)}, ["x"])
    assert abs(oracle.evaluate("mills", {"x": mpf(3)})["mills_ratio'"].value / slope - 1) < mpf(10) ** -25


@pytest.mark.parametrize("kind", ["black_scholes", "black76", "bachelier"])
def test_implied_volatility_gives_the_price_back(kind):
    point = {**(OPTION if kind == "black_scholes" else ON_FORWARD), "is_call": True}
    if kind == "bachelier":
        point["volatility"] = mpf(25)
    price = oracle.KINDS[kind](point)["price"][0]
    inputs = {k: v for k, v in point.items() if k != "volatility"}
    guess = point["volatility"] * (1 + mpf(10) ** -6)
    found = oracle.evaluate(f"{kind} implied", {**inputs, "price": price, "guess": guess})
    assert abs(found["volatility"].value / point["volatility"] - 1) < mpf(10) ** -70
    bumped = oracle.evaluate(f"{kind} implied", {**inputs, "price": price * (1 + mpf(10) ** -20), "guess": guess})
    slope = (bumped["volatility"].value - found["volatility"].value) / (price * mpf(10) ** -20)
    assert abs(found["d volatility / d price"].value / slope - 1) < mpf(10) ** -15


def test_conditioning_is_the_sum_of_the_inputs_effects():
    exact = oracle.evaluate("black_scholes", {**OPTION, "is_call": True})
    effects = {"spot": "delta", "strike": "dual_delta", "expiry": "theta", "volatility": "vega", "rate": "rho"}
    expected = sum(abs(OPTION[k] * exact[name].value) for k, name in effects.items())
    expected += abs(OPTION["dividend_yield"] * exact["dividend_rho"].value)
    assert abs(exact["price"].conditioning / expected - 1) < mpf(10) ** -20


def test_tables_hold_thirty_digits_and_are_the_same_from_workers_and_from_the_store(monkeypatch, tmp_path):
    monkeypatch.setattr(oracle_table, "_folder", lambda: tmp_path)
    inputs = {"x": np.array([-20.0, -0.3, 0.7, 5.0, 0.1])}
    here = oracle_table.exact_table("normal", inputs)
    (stored,) = tmp_path.glob("*.npz")
    before = stored.stat().st_mtime_ns
    again = oracle_table.exact_table("normal", inputs)
    assert stored.stat().st_mtime_ns == before
    stored.unlink()
    monkeypatch.setattr(oracle, "DIGITS", 60)  # what a worker has
    spread = oracle_table.exact_table("normal", inputs, workers=2)
    for column in (here, again, spread):
        np.testing.assert_array_equal(column["cdf"].high, here["cdf"].high)
        np.testing.assert_array_equal(column["cdf"].low, here["cdf"].low)
    for x, high, low in zip(inputs["x"], here["cdf"].high, here["cdf"].low, strict=True):
        assert abs((mpf(high) + mpf(low)) / mp.ncdf(mpf(x)) - 1) < mpf(10) ** -30


def test_error_counts_the_low_part():
    column = oracle_table.exact_table("normal", {"x": np.array([0.3])})["cdf"]
    one_off = np.nextafter(column.high, 1.0)
    assert column.error(column.high) == np.abs(column.low)
    assert column.error(one_off) == pytest.approx(np.spacing(column.high) - column.low, rel=1e-12)


def test_a_folder_that_others_can_write_to_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(oracle_table.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = oracle_table._folder()
    assert folder.parent == tmp_path
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="remove it and run again"):
        oracle_table._folder()
