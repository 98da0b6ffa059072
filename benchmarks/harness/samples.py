"""Inputs that cover each function's domain out to its edges, region by region.

Options are drawn by how many standard deviations they are from the money (d1) and by their total volatility, because
that is what decides whether a formula holds; the inputs that users pass are worked out from them and rounded to the
dtype. The oracle then takes those rounded inputs at their exact values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Samples", "forward_options", "normal_arguments", "normal_model_options", "probabilities", "spot_options",
           "upper_arguments"]  # fmt: skip

# Deepest option, in standard deviations: its price is near the smallest number that the dtype holds with all its
# digits.
DEEPEST = {"float64": 37.0, "float32": 12.5}
SMALLEST_TOTAL = {"float64": 1e-8, "float32": 1e-4}
LARGEST_LOG_MONEYNESS = {"float64": 640.0, "float32": 70.0}


@dataclass(frozen=True)
class Samples:
    """Input arrays by name, and for every point the region it belongs to."""

    inputs: Mapping[str, np.ndarray]
    region: np.ndarray

    def take(self, mask: np.ndarray) -> Samples:
        """Only the points where `mask` is true."""
        return Samples({name: array[mask] for name, array in self.inputs.items()}, self.region[mask])


def spot_options(count: int, dtype: str, seed: int = 1) -> Samples:
    """Options on a spot, `count` in each region; half calls, half puts, so half of them in the money."""
    draw, samples = np.random.default_rng(seed), []
    for region, (d1, total, expiry) in _regions(count, dtype, draw).items():
        rate, dividend_yield = draw.uniform(-0.1, 0.2, count), draw.uniform(-0.05, 0.1, count)
        volatility = total / np.sqrt(expiry)
        spot = 100.0 * np.exp(draw.uniform(-3.0, 3.0, count))
        moneyness = _clip(d1 * total - 0.5 * total * total, dtype)  # log of forward over strike
        strike = spot * np.exp((rate - dividend_yield) * expiry - moneyness)
        samples.append((region, {
            "spot": spot, "strike": strike, "expiry": expiry, "volatility": volatility, "rate": rate,
            "dividend_yield": dividend_yield, "is_call": draw.random(count) < 0.5,
        }))  # fmt: skip
    return _join(samples, dtype)


def forward_options(count: int, dtype: str, *, shifted: bool, seed: int = 2) -> Samples:
    """Options on a forward for Black's formula; with a shift, the forward and strike may be negative."""
    draw, samples = np.random.default_rng(seed), []
    for region, (d1, total, expiry) in _regions(count, dtype, draw).items():
        shift = draw.uniform(0.5, 50.0, count) if shifted else np.zeros(count)
        forward = 100.0 * np.exp(draw.uniform(-3.0, 3.0, count))
        # Far strikes next to a shift would be rounded away by the addition that the model itself makes.
        moneyness = np.clip(
            _clip(d1 * total - 0.5 * total * total, dtype), *((-8.0, 3.0) if shifted else (-np.inf, np.inf))
        )
        samples.append((region, {
            "forward": forward - shift, "strike": forward * np.exp(-moneyness) - shift, "expiry": expiry,
            "volatility": total / np.sqrt(expiry), "rate": draw.uniform(-0.1, 0.2, count),
            **({"shift": shift} if shifted else {}), "is_call": draw.random(count) < 0.5,
        }))  # fmt: skip
    return _join(samples, dtype)


def normal_model_options(count: int, dtype: str, seed: int = 3) -> Samples:
    """Options under Bachelier's model: forwards and strikes of either sign."""
    draw, samples = np.random.default_rng(seed), []
    for region, (d1, total, expiry) in _regions(count, dtype, draw).items():
        forward = draw.uniform(-50.0, 150.0, count)
        deviation = total * 100.0  # total volatility in currency
        samples.append((region, {
            "forward": forward, "strike": forward - d1 * deviation, "expiry": expiry,
            "volatility": deviation / np.sqrt(expiry), "rate": draw.uniform(-0.1, 0.2, count),
            "is_call": draw.random(count) < 0.5,
        }))  # fmt: skip
    return _join(samples, dtype)


def normal_arguments(count: int, dtype: str) -> Samples:
    """Arguments of the normal distribution's functions: dense between -8 and 8, then to the end of each tail."""
    deepest, each = DEEPEST[dtype], 4 * count
    return _join([
        ("centre", {"x": np.linspace(-8.0, 8.0, each)}),
        ("lower tail", {"x": np.linspace(-deepest, -8.0, each)}),
        ("upper tail", {"x": np.linspace(8.0, deepest, each)}),
        ("near zero", {"x": np.geomspace(1e-12, 1e-2, count) * np.where(np.arange(count) % 2, 1.0, -1.0)}),
    ], dtype)  # fmt: skip


def upper_arguments(count: int, dtype: str) -> Samples:
    """Arguments of the Mills ratio: from -1, where its approximation begins, to far beyond any option."""
    return _join([
        ("centre", {"x": np.linspace(-1.0, 8.0, 2 * count)}),
        ("upper tail", {"x": np.geomspace(8.0, {"float64": 1e12, "float32": 1e6}[dtype], count)}),
    ], dtype)  # fmt: skip


def probabilities(count: int, dtype: str) -> Samples:
    """Arguments of the normal quantile: all of (0, 1), and both of its ends."""
    smallest = {"float64": 1e-300, "float32": 1e-36}[dtype]
    near_one = {"float64": 1e-15, "float32": 1e-6}[dtype]
    return _join([
        ("centre", {"p": np.linspace(0.001, 0.999, 2 * count)}),
        ("lower tail", {"p": np.geomspace(smallest, 1e-3, count)}),
        ("upper tail", {"p": 1.0 - np.geomspace(near_one, 1e-3, count)}),
    ], dtype)  # fmt: skip


def _regions(count: int, dtype: str, draw: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Distance from the money, total volatility and expiry in years, for each region of the domain."""
    deepest, smallest = DEEPEST[dtype], SMALLEST_TOTAL[dtype]

    def between(low: float, high: float) -> np.ndarray:
        return draw.uniform(low, high, count)

    def across(low: float, high: float) -> np.ndarray:
        return np.exp(draw.uniform(np.log(low), np.log(high), count))

    return {
        "ordinary": (between(-4.0, 4.0), across(0.02, 1.5), across(1 / 365, 5.0)),
        "wings": (between(-deepest, deepest), across(0.01, 3.0), across(1 / 365, 5.0)),
        "small total volatility": (between(-8.0, 8.0), across(smallest, 1e-2), across(0.01, 5.0)),
        "at the money": (between(-1e-3, 1e-3), across(smallest, 2.0), across(1 / 365, 5.0)),
        "large total volatility": (between(-deepest, deepest), across(2.0, 30.0), across(0.5, 30.0)),
        "short expiry": (between(-deepest, deepest), across(smallest, 1e-2), across(1e-9, 1e-3)),
    }


def _clip(moneyness: np.ndarray, dtype: str) -> np.ndarray:
    """Keep strikes between the smallest and the largest numbers of the dtype."""
    return np.clip(moneyness, -LARGEST_LOG_MONEYNESS[dtype], LARGEST_LOG_MONEYNESS[dtype])


def _join(samples: list[tuple[str, dict[str, np.ndarray]]], dtype: str) -> Samples:
    names = samples[0][1]
    inputs = {name: np.concatenate([arrays[name] for _, arrays in samples]) for name in names}
    rounded = {name: array if array.dtype == bool else array.astype(dtype) for name, array in inputs.items()}
    region = np.concatenate([np.full(len(next(iter(arrays.values()))), region) for region, arrays in samples])
    return Samples(rounded, region)
