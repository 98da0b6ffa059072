"""Prints the coefficients of `normal` in `gpujax/numerics/random.py`.

With q = p - 1/2 the distance of a probability from one half, N^-1(p) / q is a smooth function of v = -log2(4 p (1 - p)), which
is 0 at p = 1/2 and below 31 for p >= 2^-33. It grows like √v and has branch points at v = ±2πi / ln 2, the complex zeros of the
error function; a rational function bends round both, where polynomials, in v or in √(v + c), take forty terms.

quantile: N^-1(p) / q = middle + v numerator / denominator, these in powers of v, the relative error levelled by Remez' exchange.
logarithm: 2 atanh(f) / (f ln 2), a polynomial in f², for |f| <= 3 - 2 √2: f = (1 - m) / (1 + m) of a mantissa m in [√½, √2].

    python scripts/fit_normal_of_word.py

Sources: J. M. Blair, C. A. Edwards, J. H. Johnson, "Rational Chebyshev Approximations for the Inverse of the Error Function",
Mathematics of Computation 30 (1976), 827-830 (rational functions for the same inverse, by pieces); W. J. Cody, W. Fraser, J. F.
Hart, "Rational Chebyshev Approximation Using Linear Equations", Numerische Mathematik 12 (1968), 242-251 (the exchange).
"""

from collections.abc import Callable

import mpmath as mp
from chebyshev import in_argument, project, show

WIDEST = 31
DEGREES = {"float64": (11, 11), "float32": (6, 5)}
LOGARITHM_DEGREES = {"float64": 6, "float32": 2}
GRID = 1200


def quantile_over_offset(v: mp.mpf) -> mp.mpf:
    """N^-1(1/2 + q) / q where 1 - 4 q² = 2^-v."""
    if v < mp.mpf(10) ** -30:
        return mp.sqrt(2 * mp.pi)
    x = mp.sqrt(-mp.expm1(-v * mp.log(2)))
    return mp.sqrt(8) * mp.erfinv(x) / x


def logarithm(square: mp.mpf) -> mp.mpf:
    """2 atanh(f) / (f ln 2) where f² = square."""
    f = mp.sqrt(square)
    return 2 * mp.atanh(f) / (f * mp.log(2)) if square > mp.mpf(10) ** -30 else 2 / mp.log(2)


def remez(
    f: Callable[[mp.mpf], mp.mpf], high: mp.mpf, degrees: tuple[int, int]
) -> tuple[list[mp.mpf], list[mp.mpf], mp.mpf]:
    """Numerator and denominator in ascending powers, and the largest relative error, on [0, high]."""
    # Points are denser at zero, where the function bends: √x runs over Chebyshev's points.
    grid = [high * ((1 - mp.cos(mp.pi * i / GRID)) / 2) ** 2 for i in range(GRID + 1)]
    exact = [f(x) for x in grid]
    size = sum(degrees) + 2
    chosen = [round(i * GRID / (size - 1)) for i in range(size)]
    bottom = [mp.mpf(1)] + [mp.mpf(0)] * degrees[1]
    for _ in range(12):
        for _ in range(6):
            top, bottom, level = _levelled([grid[i] for i in chosen], [exact[i] for i in chosen], degrees, bottom)
        errors = [
            mp.polyval(top[::-1], x) / mp.polyval(bottom[::-1], x) / y - 1 for x, y in zip(grid, exact, strict=True)
        ]
        chosen = _extremes(errors, size)
        worst = max(abs(e) for e in errors)
        if worst < abs(level) * mp.mpf("1.01"):
            break
    return top, bottom, worst


def _levelled(
    points: list[mp.mpf], values: list[mp.mpf], degrees: tuple[int, int], before: list[mp.mpf]
) -> tuple[list[mp.mpf], list[mp.mpf], mp.mpf]:
    """Numerator, denominator and error, of alternating sign at the points: linear, given the denominator before."""
    rows = []
    for i, (x, y) in enumerate(zip(points, values, strict=True)):
        above = [x**j for j in range(degrees[0] + 1)]
        below = [-y * x**j for j in range(1, degrees[1] + 1)]
        rows.append([*above, *below, -((-1) ** i) * y * mp.polyval(before[::-1], x)])
    found = list(mp.lu_solve(mp.matrix(rows), mp.matrix(values)))
    return found[: degrees[0] + 1], [mp.mpf(1), *found[degrees[0] + 1 : -1]], found[-1]


def _extremes(errors: list[mp.mpf], size: int) -> list[int]:
    """Where the error is largest in each run of one sign; the smallest at the ends go until `size` are left."""
    found: list[int] = []
    for i, e in enumerate(errors):
        if found and (e > 0) == (errors[found[-1]] > 0):
            if abs(e) > abs(errors[found[-1]]):
                found[-1] = i
        else:
            found.append(i)
    while len(found) > size:
        found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
    if len(found) < size:
        raise ArithmeticError(f"the error has {len(found)} alternations, {size} are needed: ask for a lower degree")
    return found


def main() -> None:
    """Print the coefficients, highest power first."""
    mp.mp.dps = 60
    for dtype, degrees in DEGREES.items():
        top, bottom, worst = remez(quantile_over_offset, mp.mpf(WIDEST), degrees)
        # The value at v = 0 stands apart, so that what is rounded on the way to the quotient matters less.
        middle = top[0]
        apart = [a - middle * b for a, b in zip(top, [*bottom, mp.mpf(0)], strict=False)]
        show(f"quantile, {dtype}, middle", [middle], worst)
        show(f"quantile, {dtype}, numerator", apart[1:], worst)
        show(f"quantile, {dtype}, denominator", bottom, worst)
    widest = (3 - 2 * mp.sqrt(2)) ** 2
    for dtype, degree in LOGARITHM_DEGREES.items():
        powers, neglected = project(logarithm, mp.mpf(0), widest, degree)
        show(f"logarithm, {dtype}", in_argument(powers, mp.mpf(0), widest), neglected)


if __name__ == "__main__":
    main()
