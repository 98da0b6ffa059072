"""Exact answers for the registry's rows, by mpmath: textbook formulas and difference quotients at fifty digits.

Nothing here shares a formula with `gpujax.pricing` beyond the definition of the model: prices are the two-term textbook
expressions, whose cancellation fifty digits absorb, and every Greek is a difference quotient of the price. A few
milliseconds per number; for tests. mpmath comes with the `test` extra and is imported when an oracle is called.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = [
    "asian_call_moments",
    "asian_oracle",
    "greeks_oracle",
    "implied_volatility_oracle",
    "normal_oracle",
    "price_oracle",
]

DIGITS = 50

# Greek -> the inputs it differentiates by, with the order of each; an odd number of derivatives by time flips the sign,
# because time passing shortens the time to expiry.
ORDERS: Mapping[str, Mapping[str, int]] = {
    "price": {},
    "delta": {"underlying": 1},
    "gamma": {"underlying": 2},
    "vega": {"volatility": 1},
    "theta": {"expiry": 1},
    "rho": {"rate": 1},
    "dividend_rho": {"dividend_yield": 1},
    "vanna": {"underlying": 1, "volatility": 1},
    "volga": {"volatility": 2},
    "charm": {"underlying": 1, "expiry": 1},
    "veta": {"volatility": 1, "expiry": 1},
    "speed": {"underlying": 3},
    "zomma": {"underlying": 2, "volatility": 1},
    "color": {"underlying": 2, "expiry": 1},
    "ultima": {"volatility": 3},
    "dual_delta": {"strike": 1},
    "dual_gamma": {"strike": 2},
}

Point = dict[str, Any]


def price_oracle(model: str) -> Callable[..., np.ndarray]:
    """Exact prices under a model of `MODELS`: takes arrays as the component does, gives float64 `[n]`."""

    def oracle(**inputs: Any) -> np.ndarray:
        return _each(MODELS[model], inputs)

    return oracle


def greeks_oracle(model: str) -> Callable[..., dict[str, np.ndarray]]:
    """Exact Greeks under a model by name, each float64 `[n]`; those without a meaning for the model are left out."""

    def oracle(*, which: tuple[str, ...] = tuple(ORDERS), **inputs: Any) -> dict[str, np.ndarray]:
        underlying = "spot" if "spot" in inputs else "forward"
        found = {}
        for name in which:
            orders = {underlying if by == "underlying" else by: order for by, order in ORDERS[name].items()}
            if orders.keys() <= inputs.keys():
                found[name] = _each(functools.partial(_derivative, MODELS[model], orders), inputs)
        return found

    return oracle


def implied_volatility_oracle(model: str) -> Callable[..., np.ndarray]:
    """The volatility at which the exact model price is the given one, float64 `[n]`; by bisection."""

    def oracle(**inputs: Any) -> np.ndarray:
        return _each(functools.partial(_solve, MODELS[model]), inputs)

    return oracle


def normal_oracle(function: str) -> Callable[..., np.ndarray]:
    """Exact values of a function of the normal distribution, by its name in `NORMAL`."""

    def oracle(**inputs: Any) -> np.ndarray:
        (name,) = inputs
        return _each(lambda point: NORMAL[function](point[name]), inputs)

    return oracle


def asian_oracle(fixings: int) -> Callable[..., np.ndarray]:
    """Exact prices of options on the arithmetic average of equally spaced fixings, float64 `[n]`."""

    def oracle(*, is_call: Any, **inputs: Any) -> np.ndarray:
        found = []
        for i in range(len(is_call)):
            point = {name: float(array[i]) for name, array in inputs.items()}
            call, _ = asian_call_moments(**point, fixings=fixings)
            carry, step = point["rate"] - point["dividend_yield"], point["expiry"] / fixings
            forward = point["spot"] * np.mean(np.exp(carry * step * np.arange(1, fixings + 1)))
            put = call - np.exp(-point["rate"] * point["expiry"]) * (forward - point["strike"])
            found.append(call if is_call[i] else put)
        return np.array(found)

    return oracle


def asian_call_moments(
    *,
    spot: float,
    strike: float,
    expiry: float,
    volatility: float,
    rate: float,
    dividend_yield: float = 0.0,
    fixings: int,
) -> tuple[float, float]:
    """Expectations of the present value of a call on the arithmetic average, and of its square, to ten digits of the spot.

    By recursion on the density of the sum, backwards in time, exact but for a trapezoidal rule that converges geometrically.
    With returns X_k the sum is S e^{Y_1}, Y_n = X_n, Y_k = X_k + log(1 + e^{Y_{k+1}}) (A. Carverhill and L. Clewlow, "Valuing
    average rate (Asian) options", Risk 3(4), 1990); given Y_2 the payoff's expectation is Black's formula.
    """
    from scipy.special import ndtr

    step = expiry / fixings
    total, drift = volatility * np.sqrt(step), (rate - dividend_yield - 0.5 * volatility**2) * step
    spacing, discount = 0.25 * total, np.exp(-rate * expiry)
    each = spot / fixings * np.exp((rate - dividend_yield) * step)

    def grid(centre: float, seen: int) -> np.ndarray:
        reach = int(np.ceil(10.0 * total * np.sqrt(seen) / spacing))
        return centre + spacing * np.arange(-reach, reach + 1)

    def density(y: np.ndarray, centre: Any) -> np.ndarray:
        return np.exp(-0.5 * ((y - centre) / total) ** 2) / (total * np.sqrt(2.0 * np.pi))

    def moments(forward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of a call on a lognormal price of log standard deviation `total`."""
        d1 = np.log(forward / strike) / total + 0.5 * total
        first = forward * ndtr(d1) - strike * ndtr(d1 - total)
        squared_price = forward * forward * np.exp(total * total) * ndtr(d1 + total)
        return first, squared_price - 2 * strike * forward * ndtr(d1) + strike * strike * ndtr(d1 - total)

    weights = np.ones(1)
    y = np.full(1, -np.inf)
    if fixings > 1:
        centre = drift
        y = grid(centre, 1)
        weights = spacing * density(y, drift)
        for seen in range(2, fixings):
            centre = drift + np.log1p(np.exp(centre))
            following = grid(centre, seen)
            weights = spacing * density(following[:, None], drift + np.log1p(np.exp(y))[None, :]) @ weights
            y = following
    first, second = moments(each * (1.0 + np.exp(y)))
    return discount * float(first @ weights), discount**2 * float(second @ weights)


def _mp() -> Any:
    """mpmath's context, whose functions are made at run time, out of sight of type checkers."""
    import mpmath

    return mpmath.mp


def _each(function: Callable[[Point], Any], inputs: Mapping[str, Any]) -> np.ndarray:
    """The function of each entry, from the inputs' exact values, at fifty digits; rounded to float64 at the end."""
    mp = _mp()

    arrays = [np.atleast_1d(np.asarray(value)) for value in inputs.values()]
    entries = np.broadcast_arrays(*arrays)
    results = []
    with mp.workdps(DIGITS):
        for values in zip(*entries, strict=True):
            exact = [bool(value) if value.dtype == np.bool_ else mp.mpf(float(value)) for value in values]
            results.append(float(function(dict(zip(inputs, exact, strict=True)))))
    return np.array(results)


def _derivative(function: Callable[[Point], Any], orders: Mapping[str, int], point: Point) -> Any:
    mp = _mp()

    if not orders:
        return function(point)
    by = list(orders)

    def moved(*values: Any) -> Any:
        return function({**point, **dict(zip(by, values, strict=True))})

    derivative = mp.diff(moved, tuple(point[name] for name in by), tuple(orders[name] for name in by))
    return -derivative if orders.get("expiry", 0) % 2 else derivative


def _solve(function: Callable[[Point], Any], point: Point) -> Any:
    mp = _mp()

    market = {name: value for name, value in point.items() if name != "price"}

    def too_low(volatility: Any) -> bool:
        return function({**market, "volatility": volatility}) < point["price"]

    low, high = mp.mpf(10) ** -6, mp.mpf(1)
    while too_low(high):
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return mp.mpf(low + high) / 2


def _lognormal(forward: Any, strike: Any, deviation: Any, discount: Any, is_call: bool) -> Any:
    """Black's formula from the total volatility σ√T."""
    mp = _mp()

    sign = 1 if is_call else -1
    d1 = mp.log(forward / strike) / deviation + deviation / 2
    return discount * sign * (forward * mp.ncdf(sign * d1) - strike * mp.ncdf(sign * (d1 - deviation)))


def _black_scholes(p: Point) -> Any:
    mp = _mp()

    forward = p["spot"] * mp.exp((p["rate"] - p["dividend_yield"]) * p["expiry"])
    return _lognormal(forward, p["strike"], p["volatility"] * mp.sqrt(p["expiry"]), _discount(p), p["is_call"])


def _black76(p: Point) -> Any:
    mp = _mp()

    return _lognormal(p["forward"], p["strike"], p["volatility"] * mp.sqrt(p["expiry"]), _discount(p), p["is_call"])


def _displaced(p: Point) -> Any:
    return _black76({**p, "forward": p["forward"] + p["shift"], "strike": p["strike"] + p["shift"]})


def _bachelier(p: Point) -> Any:
    mp = _mp()

    sign, deviation = (1 if p["is_call"] else -1), p["volatility"] * mp.sqrt(p["expiry"])
    d = sign * (p["forward"] - p["strike"]) / deviation
    return _discount(p) * deviation * (d * mp.ncdf(d) + mp.npdf(d))


def _cash_or_nothing(p: Point) -> Any:
    sign, d1, deviation = _d1(p)
    return p.get("cash", 1) * _discount(p) * _ncdf(sign * (d1 - deviation))


def _asset_or_nothing(p: Point) -> Any:
    mp = _mp()

    sign, d1, _ = _d1(p)
    return p["spot"] * mp.exp(-p["dividend_yield"] * p["expiry"]) * _ncdf(sign * d1)


def _d1(p: Point) -> tuple[int, Any, Any]:
    mp = _mp()

    deviation = p["volatility"] * mp.sqrt(p["expiry"])
    drift = (p["rate"] - p["dividend_yield"]) * p["expiry"]
    return (1 if p["is_call"] else -1), (mp.log(p["spot"] / p["strike"]) + drift) / deviation + deviation / 2, deviation


def _discount(p: Point) -> Any:
    mp = _mp()

    return mp.exp(-p["rate"] * p["expiry"])


def _ncdf(x: Any) -> Any:
    mp = _mp()

    return mp.ncdf(x)


def _quantile(p: Any) -> Any:
    """The normal quantile by Newton's method on the logarithm of the smaller tail, which is concave."""
    mp = _mp()

    sign, tail = (-1, p) if 2 * p <= 1 else (1, 1 - p)
    z = mp.sqrt(mp.mpf(2)) * mp.erfinv(1 - 2 * tail) if tail > 1e-10 else mp.sqrt(-2 * mp.log(tail))
    for _ in range(30):
        mass = mp.ncdf(-z)
        z += mp.log(mass / tail) * mass / mp.npdf(z)
    return sign * z


def _erfcx(x: Any) -> Any:
    mp = _mp()

    return mp.exp(x * x) * mp.erfc(x)


def _log_cdf(x: Any) -> Any:
    mp = _mp()

    # Above zero log N(x) is about -N(-x): the logarithm of one minus a small number.
    return mp.log(mp.ncdf(x)) if x < 0 else mp.log1p(-mp.ncdf(-x))


def _pdf(x: Any) -> Any:
    mp = _mp()

    return mp.npdf(x)


MODELS: Mapping[str, Callable[[Point], Any]] = {
    "asset_or_nothing": _asset_or_nothing,
    "bachelier": _bachelier,
    "black76": _black76,
    "black_scholes": _black_scholes,
    "cash_or_nothing": _cash_or_nothing,
    "displaced": _displaced,
}

NORMAL: Mapping[str, Callable[[Any], Any]] = {
    "cdf": _ncdf,
    "erfcx": _erfcx,
    "log_cdf": _log_cdf,
    "pdf": _pdf,
    "quantile": _quantile,
}
