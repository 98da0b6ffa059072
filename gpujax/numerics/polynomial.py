"""Polynomials evaluated for throughput: short dependent chains, and divided differences without cancellation."""

from collections.abc import Sequence
from typing import Any

import jax

__all__ = ["divided_difference", "evaluate"]

# Below this many coefficients Horner's chain of dependent operations is as fast as splitting it.
_SHORT = 7


def evaluate(coefficients: Sequence[Any], x: jax.Array) -> jax.Array:
    """Value at x of the polynomial whose coefficients are given from the highest power down.

    Even and odd powers are evaluated apart, as polynomials in x², and so on (Estrin 1960): a vectorised loop over Horner's
    scheme waits for each operation in turn, since one element's work fills the processor's reordering window.
    """
    if len(coefficients) <= _SHORT:
        value: Any = coefficients[0]
        for c in coefficients[1:]:
            value = value * x + c
        return value
    even, odd = _even_odd(coefficients)
    y = x * x
    return evaluate(even, y) + x * evaluate(odd, y)


def divided_difference(coefficients: Sequence[Any], a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(p(a), [p(a) - p(b)] / (a - b)) for the polynomial p, without subtracting: exact in the limit b -> a too.

    The quotient follows Horner's scheme beside the value: q <- q b + p, p <- p a + c. Longer polynomials are split as in
    `evaluate`: with p(x) = e(x²) + x o(x²) it is (a + b) e[a², b²] + o(a²) + b (a + b) o[a², b²].
    """
    if len(coefficients) <= _SHORT:
        value: Any = coefficients[0] * a + coefficients[1]
        quotient: Any = coefficients[0]
        for c in coefficients[2:]:
            quotient = quotient * b + value
            value = value * a + c
        return value, quotient
    even, odd = _even_odd(coefficients)
    aa, bb = a * a, b * b
    e, de = divided_difference(even, aa, bb)
    o, do = divided_difference(odd, aa, bb)
    return e + a * o, o + (a + b) * (de + b * do)


def _even_odd(coefficients: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    from_constant = coefficients[::-1]
    return from_constant[::2][::-1], from_constant[1::2][::-1]
