"""Prints the polynomial coefficients of `gpujax/numerics/random.py`.

sine: sin(πf/2) / f, cosine: cos(πf/2), both as polynomials in w = f², for |f| <= 1/2.

    python scripts/fit_trigonometric.py
"""

import mpmath as mp
from chebyshev import in_argument, project, show


def sine(w: mp.mpf) -> mp.mpf:
    """sin(π√w / 2) / √w."""
    return mp.sin(mp.pi * mp.sqrt(w) / 2) / mp.sqrt(w) if w > mp.mpf(10) ** -30 else mp.pi / 2


def cosine(w: mp.mpf) -> mp.mpf:
    """cos(π√w / 2)."""
    return mp.cos(mp.pi * mp.sqrt(w) / 2)


def main() -> None:
    """Print the coefficients, highest power first."""
    mp.mp.dps = 40
    zero, widest = mp.mpf(0), mp.mpf(1) / 4
    for function, degrees in ((sine, (6, 3)), (cosine, (6, 3))):
        for dtype, degree in zip(("float64", "float32"), degrees, strict=True):
            powers, neglected = project(function, zero, widest, degree)
            show(f"{function.__name__}, {dtype}", in_argument(powers, zero, widest), neglected)


if __name__ == "__main__":
    main()
