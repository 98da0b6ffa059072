"""Exact answers by mpmath: every formula at sixty digits, from the floating-point inputs taken exactly as they are.

The Greeks are written out here from their definitions, independently of gpujax; `tests/benchmarks` checks them against
numerical differentiation at a hundred digits. Every result comes with its conditioning: the sum over the inputs of
|input * derivative|, which times half a unit of rounding is the change that rounding the inputs would have made.

Not for speed: one option costs a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import mpmath
from mpmath import mpf

mp: Any = mpmath.mp  # its functions are made at run time, out of sight of type checkers

__all__ = ["DIGITS", "KINDS", "Exact", "evaluate"]

DIGITS = 60
STEP = mpf(10) ** -25  # relative change of an input; squares of it are far below the digits that survive

Point = Mapping[str, Any]

# Results by name: the value and its scale.
Terms = dict[str, tuple[Any, Any]]
Formulas = Callable[[Point], Terms]


class Exact(NamedTuple):
    """One exact number.

    `conditioning`: sum of |input * derivative by input|. `scale`: the size of the terms that the number is made of,
    which is its own size except where it passes through zero.
    """

    value: Any
    conditioning: Any
    scale: Any


def evaluate(kind: str, point: Point) -> dict[str, Exact]:
    """The exact results of one kind (a key of `KINDS`) at one point of exact inputs."""
    with mp.workdps(DIGITS):
        function = KINDS[kind]
        values = function(point)
        change = {name: mpf(0) for name in values}
        if "guess" in point:
            point = {**point, "guess": values["volatility"][0]}  # the best start for what lies a tiny step beside it
        for name, value in point.items():
            if isinstance(value, bool) or value == 0 or name == "guess" or kind in UNCONDITIONED:
                continue
            moved = function({**point, name: value * (1 + STEP)})
            for result in values:
                change[result] += abs(moved[result][0] - values[result][0]) / STEP
        return {name: Exact(value, change[name], scale) for name, (value, scale) in values.items()}


def _own(value: Any) -> tuple[Any, Any]:
    """A result whose scale is its own size."""
    return value, abs(value)


def _normal(point: Point) -> Terms:
    """The normal distribution's functions of x, and their derivatives."""
    x = point["x"]
    density, below, above = mp.npdf(x), mp.ncdf(x), mp.ncdf(-x)
    scaled = mp.exp(x * x) * mp.erfc(x)
    return {
        "pdf": _own(density),
        "cdf": _own(below),
        "log_cdf": _own(mp.log(below) if x < 5 else mp.log1p(-above)),
        "erfcx": _own(scaled),
        "pdf'": _own(-x * density),
        "cdf'": _own(density),
        "log_cdf'": _own(density / below),
        "erfcx'": _own(2 * x * scaled - 2 / mp.sqrt(mp.pi)),
    }


def _mills(point: Point) -> Terms:
    """The Mills ratio (1 - N(x)) / n(x) and its derivative."""
    x = point["x"]
    ratio = mp.ncdf(-x) / mp.npdf(x)
    return {"mills_ratio": _own(ratio), "mills_ratio'": (x * ratio - 1, 1 / (1 + x * x))}


def _quantile(point: Point) -> Terms:
    """The normal quantile by Newton's method on the logarithm of the smaller tail; its derivative is 1 / density."""
    p = point["p"]
    sign, tail = (-1, p) if p <= mpf(1) / 2 else (1, 1 - p)
    target = mp.log(tail)
    # The tail's leading behaviour is exp(-z^2/2); the logarithm is concave in z, so Newton converges from any start.
    z = mp.sqrt(max(-2 * mp.log(2 * tail), mpf(0)))
    for _ in range(60):
        mass = mp.ncdf(-z)
        step = (mp.log(mass) - target) * mass / mp.npdf(z)
        z += step
        if abs(step) <= mpf(10) ** (5 - DIGITS) * (1 + abs(z)):
            break
    density = mp.npdf(z)
    return {"quantile": (sign * z, abs(z)), "quantile'": _own(1 / density)}


def _first_order(point: Point) -> Terms:
    """Price under Black-Scholes-Merton and its first derivatives; theta per year passing."""
    S, K, T, vol = (point[k] for k in ("spot", "strike", "expiry", "volatility"))
    r, q, s = point["rate"], point["dividend_yield"], 1 if point["is_call"] else -1
    root, d1, d2 = _distances(point)
    Dq, Dr = mp.exp(-q * T), mp.exp(-r * T)
    N1, N2 = mp.ncdf(s * d1), mp.ncdf(s * d2)
    vega = S * Dq * mp.npdf(d1) * root
    spread, carry, discount = vega * vol / (2 * T), s * q * S * Dq * N1, s * r * K * Dr * N2
    return {
        "price": _own(s * (S * Dq * N1 - K * Dr * N2)),
        "delta": _own(s * Dq * N1),
        "vega": _own(vega),
        "theta": (-spread + carry - discount, spread + abs(carry) + abs(discount)),
        "rho": _own(s * K * T * Dr * N2),
        "dividend_rho": _own(-s * S * T * Dq * N1),
        "dual_delta": _own(-s * Dr * N2),
    }


def _black_scholes(point: Point) -> Terms:
    """Price and Greeks to third order; theta, charm, veta and color per year passing."""
    S, K, T, vol = (point[k] for k in ("spot", "strike", "expiry", "volatility"))
    r, q, s = point["rate"], point["dividend_yield"], 1 if point["is_call"] else -1
    root, d1, d2 = _distances(point)
    v, dd, squares = vol * root, d1 * d2, d1 * d1 + d2 * d2
    Dq, n, N1 = mp.exp(-q * T), mp.npdf(d1), mp.ncdf(s * d1)
    vega, gamma = S * Dq * n * root, Dq * n / (S * v)
    drift = r - q + vol * vol / 2
    slope = drift / v - d1 / (2 * T)  # derivative of d1 by T
    steep = abs(drift / v) + abs(d1 / (2 * T))
    once = 1 / (2 * T)
    return {
        **_first_order(point),
        "gamma": _own(gamma),
        "vanna": (-Dq * n * d2 / vol, Dq * n * (1 + abs(d2)) / vol),
        "volga": (vega * dd / vol, vega * (1 + abs(dd)) / vol),
        "charm": (q * s * Dq * N1 - Dq * n * slope, abs(q) * Dq * N1 + Dq * n * steep),
        "veta": (vega * (q + d1 * slope - once), vega * (abs(q) + abs(d1) * steep + once)),
        "speed": (-gamma / S * (1 + d1 / v), gamma / S * (1 + abs(d1) / v)),
        "zomma": (gamma * (dd - 1) / vol, gamma * (abs(dd) + 1) / vol),
        "color": (gamma * (q + d1 * slope + once), gamma * (abs(q) + abs(d1) * steep + once)),
        "ultima": (vega / vol**2 * (dd * dd - squares - dd), vega / vol**2 * (dd * dd + squares + abs(dd))),
        "dual_gamma": _own(mp.exp(-r * T) * mp.npdf(d2) / (K * v)),
    }


def _distances(point: Point) -> tuple[Any, Any, Any]:
    """The root of the expiry, and d1 and d2: how many standard deviations the forward is from the strike."""
    S, K, T, vol = (point[k] for k in ("spot", "strike", "expiry", "volatility"))
    root = mp.sqrt(T)
    v = vol * root
    d1 = (mp.log(S / K) + (point["rate"] - point["dividend_yield"]) * T) / v + v / 2
    return root, d1, d1 - v


def _price(point: Point) -> Terms:
    """The price alone, for inputs too many to work out everything about them; without its conditioning."""
    S, K, T, vol = (point[k] for k in ("spot", "strike", "expiry", "volatility"))
    r, s = point["rate"], 1 if point["is_call"] else -1
    v, discounted = vol * mp.sqrt(T), K * mp.exp(-r * T)
    d1 = mp.log(S / discounted) / v + v / 2
    return {"price": _own(s * (S * mp.ncdf(s * d1) - discounted * mp.ncdf(s * (d1 - v))))}


def _intrinsic(point: Point) -> Terms:
    """The discounted payoff of the forward: what the price becomes at zero volatility, expiry or strike."""
    carried = point["spot"] * mp.exp(-point["dividend_yield"] * point["expiry"])
    discounted = point["strike"] * mp.exp(-point["rate"] * point["expiry"])
    return {"price": _own(max(carried - discounted if point["is_call"] else discounted - carried, mpf(0)))}


def _black76(point: Point) -> Terms:
    """Price and Greeks on a forward, or on a forward and strike that are both shifted.

    Black-Scholes with a dividend yield equal to the rate, under which the spot is the forward; only the derivative by the
    rate differs, which leaves the forward where it is.
    """
    shift = point.get("shift", mpf(0))
    common = {k: point[k] for k in ("expiry", "volatility", "rate", "is_call")}
    inputs = {"spot": point["forward"] + shift, "strike": point["strike"] + shift, "dividend_yield": point["rate"]}
    results = _black_scholes({**common, **inputs})
    del results["dividend_rho"]
    by_shift = {"d price / d shift": _own(results["delta"][0] + results["dual_delta"][0])} if "shift" in point else {}
    return {**results, "rho": _own(-point["expiry"] * results["price"][0]), **by_shift}


def _bachelier(point: Point) -> Terms:
    """Price and Greeks under Bachelier's model; its volatility is in currency per square root of a year."""
    F, K, T, vol, r = (point[k] for k in ("forward", "strike", "expiry", "volatility", "rate"))
    s, root = 1 if point["is_call"] else -1, mp.sqrt(T)
    v = vol * root
    d = (F - K) / v
    dd, once = d * d, 1 / (2 * T)
    D, n, N = mp.exp(-r * T), mp.npdf(d), mp.ncdf(s * d)
    price, vega, gamma, decay = D * (s * (F - K) * N + v * n), D * root * n, D * n / v, D * vol * n / (2 * root)
    return {
        "price": _own(price),
        "delta": _own(s * D * N),
        "gamma": _own(gamma),
        "vega": _own(vega),
        "theta": (r * price - decay, abs(r) * price + decay),
        "rho": _own(-T * price),
        "vanna": (-D * n * d / vol, D * n * (1 + abs(d)) / vol),
        "volga": (vega * dd / vol, vega * (1 + dd) / vol),
        "charm": (s * r * D * N + D * n * d * once, abs(r) * D * N + D * n * abs(d) * once),
        "veta": (vega * (r - (1 + dd) * once), vega * (abs(r) + (1 + dd) * once)),
        "speed": (-gamma * d / v, gamma * (1 + abs(d)) / v),
        "zomma": (gamma * (dd - 1) / vol, gamma * (dd + 1) / vol),
        "color": (gamma * (r + (1 - dd) * once), gamma * (abs(r) + (1 + dd) * once)),
        "ultima": (vega * dd * (dd - 3) / vol**2, vega * (1 + dd * dd) / vol**2),
        "dual_delta": _own(-s * D * N),
        "dual_gamma": _own(gamma),
    }


def _cash(point: Point) -> Terms:
    """Price and Greeks of one unit of cash if the option ends in the money."""
    K, T, r, s = point["strike"], point["expiry"], point["rate"], 1 if point["is_call"] else -1
    root, d1, d2 = _distances(point)
    v, D = point["volatility"] * root, mp.exp(-r * T)
    price, moved = D * mp.ncdf(s * d2), s * D * mp.npdf(d2)
    slope = (r - point["dividend_yield"]) / v - d1 / (2 * T)  # derivative of d2 by T

    def delta(at: Point) -> Any:
        root, _, d2 = _distances(at)
        return s * mp.exp(-r * at["expiry"]) * mp.npdf(d2) / (at["spot"] * at["volatility"] * root)

    def vega(at: Point) -> Any:
        _, d1, d2 = _distances(at)
        return -s * mp.exp(-r * at["expiry"]) * mp.npdf(d2) * d1 / at["volatility"]

    def dual_delta(at: Point) -> Any:
        return -delta(at) * at["spot"] / at["strike"]

    by = _differentiate(point)
    results = {
        "price": price,
        "delta": delta(point),
        "gamma": by(delta, "spot"),
        "vega": vega(point),
        "theta": r * price - moved * slope,
        "rho": T * (moved / v - price),
        "dividend_rho": -T * moved / v,
        "vanna": by(vega, "spot"),
        "volga": by(vega, "volatility"),
        "charm": -by(delta, "expiry"),
        "veta": -by(vega, "expiry"),
        "speed": by(delta, "spot", "spot"),
        "zomma": by(delta, "spot", "volatility"),
        "color": -by(delta, "spot", "expiry"),
        "ultima": by(vega, "volatility", "volatility"),
        "dual_delta": -moved / (K * v),
        "dual_gamma": by(dual_delta, "strike"),
    }
    return {name: _own(value) for name, value in results.items()}


def _asset(point: Point) -> Terms:
    """Price and Greeks of the asset if the option ends in the money."""
    S, K, T, q, s = (*(point[k] for k in ("spot", "strike", "expiry", "dividend_yield")), 1 if point["is_call"] else -1)
    root, d1, d2 = _distances(point)
    v, D = point["volatility"] * root, mp.exp(-q * T)
    exercised, moved = D * mp.ncdf(s * d1), s * D * mp.npdf(d1)
    slope = (point["rate"] - q) / v - d2 / (2 * T)  # derivative of d1 by T

    def density(at: Point) -> Any:
        root, d1, _ = _distances(at)
        return s * mp.exp(-q * at["expiry"]) * mp.npdf(d1) / (at["volatility"] * root)

    def gamma(at: Point) -> Any:
        root, d1, _ = _distances(at)
        return density(at) / at["spot"] * (1 - d1 / (at["volatility"] * root))

    def vega(at: Point) -> Any:
        root, _, d2 = _distances(at)
        return -density(at) * at["spot"] * d2 * root

    def dual_delta(at: Point) -> Any:
        return -density(at) * at["spot"] / at["strike"]

    by = _differentiate(point)
    results = {
        "price": S * exercised,
        "delta": exercised + moved / v,
        "gamma": gamma(point),
        "vega": vega(point),
        "theta": S * (q * exercised - moved * slope),
        "rho": S * moved * T / v,
        "dividend_rho": -S * T * (exercised + moved / v),
        "vanna": by(vega, "spot"),
        "volga": by(vega, "volatility"),
        "charm": q * exercised - moved * slope - by(density, "expiry"),
        "veta": -by(vega, "expiry"),
        "speed": by(gamma, "spot"),
        "zomma": by(gamma, "volatility"),
        "color": -by(gamma, "expiry"),
        "ultima": by(vega, "volatility", "volatility"),
        "dual_delta": -S * moved / (K * v),
        "dual_gamma": by(dual_delta, "strike"),
    }
    return {name: _own(value) for name, value in results.items()}


def _differentiate(point: Point) -> Callable[..., Any]:
    """Differentiate functions at a point by central differences, with digits to spare for what they cancel.

    For functions that are all density, without a constant beside which they may be tiny. A step moves d1 and d2 by less
    than 1e-20, so that what is neglected is below 1e-35 of the result.
    """
    root, d1, d2 = _distances(point)
    step = mpf(10) ** -20 * min(point["volatility"] * root, 1) / (1 + d1 * d1 + d2 * d2)

    def by(function: Callable[[Point], Any], *names: str) -> Any:
        def difference(at: Point, names: tuple[str, ...]) -> Any:
            if not names:
                return function(at)
            name, *rest = names
            width = point[name] * step
            up, down = ({**at, name: at[name] + sign * width} for sign in (1, -1))
            return (difference(up, tuple(rest)) - difference(down, tuple(rest))) / (2 * width)

        with mp.workdps(DIGITS + 90):
            return difference(point, names)

    return by


def _implied(model: Formulas, derivatives: Mapping[str, str], vega: str) -> Formulas:
    """The volatility at which a model gives the price, by Newton's method from `point["guess"]`, and its derivatives.

    Arguments:
        model: prices a point.
        derivatives: input -> name of the price's derivative by it in the model's results.
        vega: name of the derivative by volatility.
    """

    def solve(point: Point) -> Terms:
        inputs = {k: v for k, v in point.items() if k not in ("price", "guess")}
        volatility, price = point["guess"], point["price"]
        for _ in range(100):
            at = model({**inputs, "volatility": volatility})
            # The guess is a rounding error away, where the price is as good as a straight line in the volatility.
            step = (price - at["price"][0]) / at[vega][0]
            volatility += max(step, -volatility / 2)
            if abs(step) <= mpf(10) ** (20 - DIGITS) * volatility:
                break
        slope = at[vega][0]
        return {
            "volatility": _own(volatility),
            "d volatility / d price": _own(1 / slope),
            **{f"d volatility / d {k}": _own(-at[name][0] / slope) for k, name in derivatives.items()},
        }

    return solve


# Which result is the price's derivative by which input.
SPOT = {"spot": "delta", "strike": "dual_delta", "rate": "rho", "dividend_yield": "dividend_rho"}
FORWARD = {"forward": "delta", "strike": "dual_delta", "rate": "rho"}

KINDS: dict[str, Formulas] = {
    "normal": _normal,
    "mills": _mills,
    "quantile": _quantile,
    "black_scholes": _black_scholes,
    "price": _price,
    "intrinsic": _intrinsic,
    "black76": _black76,
    "displaced": _black76,
    "bachelier": _bachelier,
    "cash-or-nothing": _cash,
    "asset-or-nothing": _asset,
    "black_scholes implied": _implied(_first_order, SPOT, "vega"),
    "black76 implied": _implied(_black76, FORWARD, "vega"),
    "displaced implied": _implied(_black76, FORWARD, "vega"),
    "bachelier implied": _implied(_bachelier, FORWARD, "vega"),
}  # fmt: skip

# Left without conditioning, to save time.
UNCONDITIONED = ("price",)
