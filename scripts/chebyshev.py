"""Chebyshev projection of a function with many digits, rewritten as a polynomial in powers of its argument."""

from collections.abc import Callable

import mpmath as mp

NODES = 60


def project(f: Callable[[mp.mpf], mp.mpf], low: mp.mpf, high: mp.mpf, degree: int) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients of 1, u, u², ... in u = (2 x - low - high) / (high - low), and the first term neglected."""
    nodes = [mp.cos(mp.pi * (k + mp.mpf(1) / 2) / NODES) for k in range(NODES)]
    values = [f((high - low) / 2 * u + (high + low) / 2) for u in nodes]
    series = []
    for j in range(NODES):
        terms = (v * mp.cos(mp.pi * j * (k + mp.mpf(1) / 2) / NODES) for k, v in enumerate(values))
        series.append(2 * sum(terms) / NODES)
    series[0] /= 2
    previous, current = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    powers = [mp.mpf(0)] * (degree + 1)
    for j in range(degree + 1):
        for i, t in enumerate(previous):
            powers[i] += series[j] * t
        following = [mp.mpf(0), *(2 * t for t in current)]
        for i, t in enumerate(previous):
            following[i] -= t
        previous, current = current, following
    return powers, abs(series[degree + 1])


def in_argument(powers: list[mp.mpf], low: mp.mpf, high: mp.mpf) -> list[mp.mpf]:
    """The same polynomial in powers of x itself."""
    scale, shift = 2 / (high - low), -(high + low) / (high - low)
    result = [mp.mpf(0)] * len(powers)
    for i, c in enumerate(powers):
        for k in range(i + 1):
            result[k] += c * mp.binomial(i, k) * scale**k * shift ** (i - k)
    return result


def show(title: str, coefficients: list[mp.mpf], neglected: mp.mpf) -> None:
    """Print coefficients from the highest power down, as the modules hold them."""
    print(f"{title}, degree {len(coefficients) - 1}, first neglected term {mp.nstr(neglected, 3)}")
    for c in reversed(coefficients):
        print(f"    {float(c)!r},")
