"""Prints the polynomial coefficients of `gpujax/numerics/mills.py`.

The Mills ratio M(z) = (1 - N(z)) / n(z) of the standard normal distribution is written as M(z) = u R(x), with
u = C / (C + z) and x = 2 u / u_max - 1, which maps z in [Z_MIN, infinity) onto x in (-1, 1]. R is smooth there (M ~ 1/z),
so that its Chebyshev series converges fast; it is computed with 40 digits and rewritten in powers of x. The series falls
off by a factor of four a term, so the powers of x lose nothing to cancellation.

    python scripts/fit_mills_ratio.py
"""

import mpmath as mp
from chebyshev import project, show

C = 5
Z_MIN = -1
DEGREES = {"float64": 24, "float32": 12}


def mills_ratio(z: mp.mpf) -> mp.mpf:
    """M(z) to working precision: complementary error function, or the continued fraction where that underflows."""
    if z < 12:
        return mp.sqrt(mp.pi / 2) * mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2))
    tail = mp.mpf(0)
    for k in range(400, 0, -1):
        tail = k / (z + tail)
    return 1 / (z + tail)


def main() -> None:
    """Print the coefficients, highest power first."""
    mp.mp.dps = 40
    u_max = mp.mpf(C) / (C + Z_MIN)
    for dtype, degree in DEGREES.items():
        powers, neglected = project(lambda u: mills_ratio(C / u - C) / u, mp.mpf(0), u_max, degree)
        show(dtype, powers, neglected)


if __name__ == "__main__":
    main()
