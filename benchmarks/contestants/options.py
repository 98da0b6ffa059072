"""The options that contestants work on, drawn from a fixed seed, and the reference answers to compare with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

__all__ = ["GREEKS", "Options", "chain", "out_of_the_money", "reference_greeks", "reference_price"]

GREEKS = ("delta", "gamma", "vega", "theta", "rho")


@dataclass(frozen=True)
class Options:
    """European options on assets that pay no dividend: contiguous arrays of one length and one dtype.

    `price` is filled where volatilities are to be implied. Spot, strike and price in currency, expiry in years,
    volatility and rate as decimals.
    """

    spot: np.ndarray
    strike: np.ndarray
    expiry: np.ndarray
    volatility: np.ndarray
    rate: np.ndarray
    is_call: np.ndarray
    price: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return self.spot.size

    @property
    def dtype(self) -> np.dtype:
        return self.spot.dtype

    def double(self) -> Options:
        """The same numbers as float64, prepared for peers that compute in nothing else."""
        arrays = dataclasses.asdict(self)
        return Options(**{k: v if v.dtype == bool else v.astype(np.float64) for k, v in arrays.items()})

    def first(self, count: int) -> Options:
        """The first `count` options, for peers too slow to take all."""
        arrays = dataclasses.asdict(self)
        return Options(**{k: np.ascontiguousarray(v[:count]) for k, v in arrays.items()})


def chain(size: int, dtype: type, seed: int = 20021107) -> Options:
    """Calls and puts, in and out of the money: a week to three years, volatility 5 % to 100 %, rates -1 % to 6 %."""
    draw = np.random.default_rng(seed)
    spot = draw.uniform(50.0, 150.0, size)
    expiry = draw.uniform(7 / 365, 3.0, size)
    volatility = draw.uniform(0.05, 1.0, size)
    rate = draw.uniform(-0.01, 0.06, size)
    # Strikes out to three standard deviations either side, as listed chains have them.
    strike = spot * np.exp(draw.uniform(-3.0, 3.0, size) * volatility * np.sqrt(expiry))
    is_call = draw.random(size) < 0.5
    spot, strike, expiry, volatility, rate = (a.astype(dtype) for a in (spot, strike, expiry, volatility, rate))
    return Options(spot, strike, expiry, volatility, rate, is_call)


def out_of_the_money(size: int, dtype: type, seed: int = 20021107) -> Options:
    """The same options, each as the call or put that is out of the money at its forward."""
    options = chain(size, dtype, seed)
    double = options.double()
    return dataclasses.replace(options, is_call=double.strike >= double.spot * np.exp(double.rate * double.expiry))


def reference_price(options: Options) -> dict[str, np.ndarray]:
    """Prices by the textbook formula in float64, from the options' own numbers."""
    o = options.double()
    d1, d2, sign, discounted_strike = _terms(o)
    return {"price": sign * (o.spot * ndtr(sign * d1) - discounted_strike * ndtr(sign * d2))}


def reference_greeks(options: Options) -> dict[str, np.ndarray]:
    """Prices and the five Greeks as plain partial derivatives (theta per year passing), in float64."""
    o = options.double()
    d1, d2, sign, discounted_strike = _terms(o)
    root = np.sqrt(o.expiry)
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
    in_money = discounted_strike * ndtr(sign * d2)
    return {
        **reference_price(options),
        "delta": sign * ndtr(sign * d1),
        "gamma": density / (o.spot * o.volatility * root),
        "vega": o.spot * density * root,
        "theta": -o.spot * density * o.volatility / (2.0 * root) - sign * o.rate * in_money,
        "rho": sign * o.expiry * in_money,
    }


def _terms(o: Options) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    total = o.volatility * np.sqrt(o.expiry)
    d1 = (np.log(o.spot / o.strike) + o.rate * o.expiry) / total + 0.5 * total
    return d1, d1 - total, np.where(o.is_call, 1.0, -1.0), o.strike * np.exp(-o.rate * o.expiry)
