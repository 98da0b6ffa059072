"""Prints the polynomial coefficients of `gpujax/numerics/elementary.py`.

log: (2 atanh(f) - 2 f) / f³ as a polynomial in w = f², for |f| <= (√2.005 - 1) / (√2.005 + 1) + margin;
exp: (e^r - 1 - r) / r² as a polynomial in r, for |r| <= ln(2) / 2.

    python scripts/fit_elementary.py
"""

import mpmath as mp
from chebyshev import in_argument, project, show


def atanh_tail(w: mp.mpf) -> mp.mpf:
    """(2 atanh(√w) - 2 √w) / w^{3/2}."""
    if w < mp.mpf(10) ** -15:
        return mp.mpf(2) / 3 + 2 * w / 5
    f = mp.sqrt(w)
    return (2 * mp.atanh(f) / f - 2) / w


def exp_tail(r: mp.mpf) -> mp.mpf:
    """(e^r - 1 - r) / r²."""
    return (mp.exp(r) - 1 - r) / r**2 if abs(r) > mp.mpf(10) ** -12 else mp.mpf(1) / 2 + r / 6


def main() -> None:
    """Print the coefficients, highest power first."""
    mp.mp.dps = 40
    zero, widest, half = mp.mpf(0), mp.mpf("0.0417"), mp.log(2) / 2 * mp.mpf("1.0001")
    for dtype, degree in (("float64", 7), ("float32", 2)):
        powers, neglected = project(atanh_tail, zero, widest, degree)
        show(f"log, {dtype}", in_argument(powers, zero, widest), neglected)
    for dtype, degree in (("float64", 9), ("float32", 4)):
        powers, neglected = project(exp_tail, -half, half, degree)
        show(f"exp, {dtype}", in_argument(powers, -half, half), neglected)


if __name__ == "__main__":
    main()
