"""Prints the polynomial coefficients of `gpujax/numerics/mills.py`.

The Mills ratio M(z) = (1 - N(z)) / n(z) of the standard normal distribution is written as M(z) = u R(x), with
u = C / (C + z) and x = 2 u / u_max - 1, which maps z in [Z_MIN, infinity) onto x in (-1, 1]. R is smooth there (M ~ 1/z),
so that its Chebyshev series converges fast; it is computed with 40 digits and rewritten in powers of x. The series falls
off by a factor of four a term, so the powers of x lose nothing to cancellation.

    python scripts/fit_mills_ratio.py
"""

import mpmath as mp

C = 5
Z_MIN = -1
DEGREES = {"float64": 24, "float32": 12}
NODES = 60


def mills_ratio(z: mp.mpf) -> mp.mpf:
    """M(z) to working precision: complementary error function, or the continued fraction where that underflows."""
    if z < 12:
        return mp.sqrt(mp.pi / 2) * mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2))
    tail = mp.mpf(0)
    for k in range(400, 0, -1):
        tail = k / (z + tail)
    return 1 / (z + tail)


def chebyshev_series(u_max: mp.mpf) -> list[mp.mpf]:
    """Chebyshev coefficients of R on [-1, 1]."""
    nodes = [mp.cos(mp.pi * (k + mp.mpf(1) / 2) / NODES) for k in range(NODES)]
    values = []
    for x in nodes:
        u = u_max * (x + 1) / 2
        values.append(mills_ratio(C / u - C) / u)
    series = []
    for j in range(NODES):
        series.append(2 * sum(f * mp.cos(mp.pi * j * (k + mp.mpf(1) / 2) / NODES) for k, f in enumerate(values)) / NODES)
    series[0] /= 2
    return series


def powers(series: list[mp.mpf], degree: int) -> list[mp.mpf]:
    """Coefficients of 1, x, x^2, ... of the series cut off after `degree`."""
    previous, current = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    result = [mp.mpf(0)] * (degree + 1)
    for j in range(degree + 1):
        for i, t in enumerate(previous):
            result[i] += series[j] * t
        following = [mp.mpf(0), *(2 * t for t in current)]
        for i, t in enumerate(previous):
            following[i] -= t
        previous, current = current, following
    return result


def main() -> None:
    """Print the coefficients, highest power first."""
    mp.mp.dps = 40
    u_max = mp.mpf(C) / (C + Z_MIN)
    series = chebyshev_series(u_max)
    for dtype, degree in DEGREES.items():
        print(f"{dtype}, degree {degree}, first neglected term {mp.nstr(abs(series[degree + 1]), 3)}")
        for coefficient in reversed(powers(series, degree)):
            print(f"    {float(coefficient)!r},")


if __name__ == "__main__":
    main()
