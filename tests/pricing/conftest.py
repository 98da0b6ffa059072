"""The oracle of the pricing tests: textbook formulas by mpmath at sixty digits, and options over the whole domain.

The inputs are taken exactly as the floating-point numbers they are. Nothing here is shared with `gpujax`, nor with the
oracles of the registry and of the benchmarks: prices are the two-term formulas of the textbooks, whose cancellation the
digits absorb, and every Greek is a difference quotient of the price.
"""

import itertools
import types

import mpmath
import numpy as np
import pytest
from mpmath import mp

DIGITS = 60
# Difference quotients: with steps of 1e-25 and three of them divided by, 1e-110 leaves more than thirty digits.
DIGITS_OF_DERIVATIVES = 110
STEP = mpmath.mpf(10) ** -25

# Greek: the inputs that it differentiates by, in order; by time is minus by expiry
GREEKS = {
    "price": "",
    "delta": "u",
    "gamma": "uu",
    "vega": "v",
    "theta": "t",
    "rho": "r",
    "dividend_rho": "q",
    "vanna": "uv",
    "volga": "vv",
    "charm": "ut",
    "veta": "vt",
    "speed": "uuu",
    "zomma": "uuv",
    "color": "uut",
    "ultima": "vvv",
    "dual_delta": "k",
    "dual_gamma": "kk",
}
LETTERS = {"v": "volatility", "t": "expiry", "r": "rate", "q": "dividend_yield", "k": "strike"}

# Weights of central difference quotients, by order: multiples of the step, and what they count.
STENCILS = {
    0: {0: 1},
    1: {-1: -0.5, 1: 0.5},
    2: {-1: 1, 0: -2, 1: 1},
    3: {-2: -0.5, -1: 1, 1: -1, 2: 0.5},
}


def ncdf(x):
    """The normal distribution; beyond 1000 standard deviations its ends, which no floating-point number is as close to."""
    return mp.ncdf(max(mp.mpf(-1000), min(x, mp.mpf(1000))))


def lognormal(forward, strike, total, is_call):
    """Black's formula, undiscounted, from the total volatility; its limits at total volatility and strike zero."""
    sign = 1 if is_call else -1
    if total == 0 or strike == 0:
        return max(sign * (forward - strike), mp.mpf(0))
    d1 = mp.log(forward / strike) / total + total / 2
    return sign * (forward * ncdf(sign * d1) - strike * ncdf(sign * (d1 - total)))


def black_scholes(spot, strike, expiry, volatility, rate, dividend_yield, is_call):
    forward = spot * mp.exp((rate - dividend_yield) * expiry)
    return mp.exp(-rate * expiry) * lognormal(forward, strike, volatility * mp.sqrt(expiry), is_call)


def black76(forward, strike, expiry, volatility, rate, is_call):
    return mp.exp(-rate * expiry) * lognormal(forward, strike, volatility * mp.sqrt(expiry), is_call)


def displaced(forward, strike, expiry, volatility, shift, rate, is_call):
    return black76(forward + shift, strike + shift, expiry, volatility, rate, is_call)


def bachelier(forward, strike, expiry, volatility, rate, is_call):
    sign, total = (1 if is_call else -1), volatility * mp.sqrt(expiry)
    moneyness = sign * (forward - strike)
    if total == 0:
        return mp.exp(-rate * expiry) * max(moneyness, mp.mpf(0))
    d = moneyness / total
    return mp.exp(-rate * expiry) * (moneyness * ncdf(d) + total * mp.npdf(min(abs(d), mp.mpf(1000))))


def _exercise(spot, strike, expiry, volatility, rate, dividend_yield):
    total = volatility * mp.sqrt(expiry)
    d1 = (mp.log(spot / strike) + (rate - dividend_yield) * expiry) / total + total / 2
    return d1, d1 - total


def cash_or_nothing(spot, strike, expiry, volatility, rate, dividend_yield, is_call, cash=1):
    _, d2 = _exercise(spot, strike, expiry, volatility, rate, dividend_yield)
    return cash * mp.exp(-rate * expiry) * ncdf(d2 if is_call else -d2)


def asset_or_nothing(spot, strike, expiry, volatility, rate, dividend_yield, is_call):
    d1, _ = _exercise(spot, strike, expiry, volatility, rate, dividend_yield)
    return spot * mp.exp(-dividend_yield * expiry) * ncdf(d1 if is_call else -d1)


MODELS = {f.__name__: f for f in (black_scholes, black76, displaced, bachelier, cash_or_nothing, asset_or_nothing)}


def points(inputs):
    """The entries of arrays as dictionaries of exact numbers."""
    arrays = np.broadcast_arrays(*map(np.asarray, inputs.values()))
    for entry in zip(*(array.ravel() for array in arrays), strict=True):
        yield {
            name: bool(x) if x.dtype == np.bool_ else mpmath.mpf(float(x))
            for name, x in zip(inputs, entry, strict=True)
        }


def prices(model, inputs):
    """Exact prices, a list of mpmath numbers."""
    with mp.workdps(DIGITS):
        return [MODELS[model](**point) for point in points(inputs)]


def elasticities(model, inputs, values):
    """input * derivative of the price by it, divided by the price, for each input by name; float64 arrays.

    `values` are the exact prices. One-sided difference quotients of relative step 1e-20: a yardstick, not a result.
    """
    names = [name for name in inputs if name != "is_call"]
    found = {name: [] for name in names}
    step = mpmath.mpf(10) ** -20
    with mp.workdps(DIGITS):
        for point, price in zip(points(inputs), values, strict=True):
            for name in names:
                moved = MODELS[model](**{**point, name: point[name] * (1 + step)}) if point[name] != 0 else price
                found[name].append(float((moved - price) / (step * price)) if price != 0 else 0.0)
    return {name: np.array(column) for name, column in found.items()}


def greeks(model, inputs, which=tuple(GREEKS)):
    """Exact Greeks by name, each a list of mpmath numbers; those of inputs that the model does not have are left out."""
    underlying = "spot" if "spot" in inputs else "forward"
    orders = {}
    for greek in which:
        names = [underlying if letter == "u" else LETTERS[letter] for letter in GREEKS[greek]]
        if all(name in inputs for name in names):
            orders[greek] = {name: names.count(name) for name in names}
    found = {greek: [] for greek in orders}
    for point in points(inputs):
        with mp.workdps(DIGITS_OF_DERIVATIVES + _hidden(model, point)):
            price = _Memo(MODELS[model], point)
            for greek, order in orders.items():
                value = _quotient(price, point, order)
                found[greek].append(-value if order.get("expiry") else value)
    return found


def _hidden(model, point):
    """The digits of an option in the money that lie above those of its opposite, out of the money.

    Higher derivatives of both are the same, so the quotients need that many digits more.
    """
    with mp.workdps(DIGITS_OF_DERIVATIVES):
        price, opposite = (
            MODELS[model](**{**point, "is_call": flag}) for flag in (point["is_call"], not point["is_call"])
        )
        return max(0, int(mp.log10(price) - mp.log10(opposite))) if opposite > 0 else 0


class _Memo:
    """A price by multiples of the step of each input; one evaluation serves every quotient that has it."""

    def __init__(self, function, point):
        self.function, self.point, self.seen = function, point, {}

    def __call__(self, multiples):
        key = tuple(sorted((name, m) for name, m in multiples.items() if m))
        if key not in self.seen:
            moved = {name: self.point[name] + m * _step(self.point[name]) for name, m in key}
            self.seen[key] = self.function(**{**self.point, **moved})
        return self.seen[key]


def _step(value):
    return STEP * abs(value) if value != 0 else STEP


def _quotient(price, point, order):
    total = mp.mpf(0)
    for terms in itertools.product(*(STENCILS[n].items() for n in order.values())):
        weight = mp.mpf(1)
        for _, w in terms:
            weight *= w
        total += weight * price(dict(zip(order, (multiple for multiple, _ in terms), strict=True)))
    for name, n in order.items():
        total /= _step(point[name]) ** n
    return total


def implied(model, inputs, guesses):
    """The exact volatility of exact prices: the secant method on the logarithm of the time value, which is monotone."""
    found = []
    with mp.workdps(DIGITS):
        for point, guess in zip(points(inputs), guesses, strict=True):
            market = {name: value for name, value in point.items() if name != "price"}

            def excess(volatility, market=market, target=point["price"]):
                price, floor = (MODELS[model](volatility=v, **market) for v in (volatility, mp.mpf(0)))
                return mp.log((price - floor) / (target - floor))

            start = mpmath.mpf(float(guess))
            found.append(mp.findroot(excess, (start, start * (1 + mpmath.mpf(10) ** -9)), tol=1e-80, maxsteps=60))
    return found


def relative(got, expected):
    """|got / expected - 1| for each entry; infinite where one is zero, infinite or NaN and the other is not."""
    got = np.asarray(got).ravel()
    assert len(got) == len(expected)
    return np.array([_error(float(x), y) for x, y in zip(got, expected, strict=True)])


def _error(got, exact):
    with mp.workdps(DIGITS):
        if exact == 0 or not np.isfinite(got):
            return 0.0 if got == exact else np.inf
        return float(abs((mpmath.mpf(got) - exact) / exact))


def difference(got, expected):
    """|got - expected| for each entry; infinite where one is infinite or NaN and the other is not."""
    got = np.asarray(got).ravel()
    with mp.workdps(DIGITS):
        pairs = zip(got, expected, strict=True)
        return np.array([float(abs(mpmath.mpf(float(x)) - y)) if np.isfinite(x) else np.inf for x, y in pairs])


def options(model, count, seed, *, dtype="float64", carry=True, total=None, deepest=None):
    """Random options that cover the domain of a model: how deep they are, and their total volatility, over all scales.

    A third is within 37 standard deviations of the money (float32: 12), where prices end; a third within 4; a third within 0.4.
    Calls and puts, so half of them in the money; expiries from minutes to decades; rates of either sign, or none without `carry`.
    """
    smallest, largest = total or ((1e-8, 30.0) if dtype == "float64" else (1e-4, 8.0))
    deepest = deepest or (37.0 if dtype == "float64" else 12.0)
    farthest = 640.0 if dtype == "float64" else 70.0  # of the logarithm of forward over strike
    draw = np.random.default_rng(seed)
    s = np.exp(draw.uniform(np.log(smallest), np.log(largest), count))
    d = draw.uniform(-deepest, deepest, count) * draw.choice([1.0, 0.1, 0.01], count)
    expiry = 10 ** draw.uniform(-5, 1.7, count)
    rate, dividend_yield = (draw.uniform(-0.1, 0.2, count) * carry for _ in range(2))
    level = 100 * np.exp(draw.uniform(-3, 3, count))
    is_call = draw.random(count) < 0.5
    if model == "bachelier":
        forward = draw.uniform(-50, 150, count)
        inputs = {"forward": forward, "strike": forward - 100 * d * s, "volatility": 100 * s / np.sqrt(expiry)}
    else:
        # d is the distance of the nearer of d1 and d2 from zero, on either side
        x = np.clip(d * s + np.sign(d) * s * s / 2, -farthest, farthest)
        inputs = {"strike": level * np.exp(-x), "volatility": s / np.sqrt(expiry)}
        if model == "displaced":
            x = np.clip(x, -8, 3)  # a strike far below the shift would be rounded away by adding the two
            shift = draw.uniform(0.5, 50, count)
            inputs |= {"forward": level - shift, "strike": level * np.exp(-x) - shift, "shift": shift}
        elif model == "black76":
            inputs["forward"] = level
        else:
            inputs |= {"spot": level, "strike": level * np.exp((rate - dividend_yield) * expiry - x)}
            inputs["dividend_yield"] = dividend_yield
    inputs |= {"expiry": expiry, "rate": rate}
    return {**{name: array.astype(dtype) for name, array in inputs.items()}, "is_call": is_call}


def distances(model, inputs):
    """d1, d2 and the total volatility in float64: yardsticks. For the normal model the two are the same."""
    i = {name: array if array.dtype == bool else array.astype(np.float64) for name, array in inputs.items()}
    total = i["volatility"] * np.sqrt(i["expiry"])
    if model == "bachelier":
        d = (i["forward"] - i["strike"]) / total
        return d, d, total
    shift = i.get("shift", 0.0)
    if "spot" in i:
        x = np.log(i["spot"] / i["strike"]) + (i["rate"] - i["dividend_yield"]) * i["expiry"]
    else:
        x = np.log((i["forward"] + shift) / (i["strike"] + shift))
    return x / total + total / 2, x / total - total / 2, total


@pytest.fixture
def exact():
    """The oracle: exact prices, Greeks and volatilities, errors against them, and samples of options."""
    return types.SimpleNamespace(
        prices=prices,
        elasticities=elasticities,
        greeks=greeks,
        implied=implied,
        relative=relative,
        difference=difference,
        options=options,
        distances=distances,
        models=MODELS,
        number=mpmath.mpf,
    )
