"""Polynomials against exact rational arithmetic; divided differences, also where the arguments coincide."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.numerics.polynomial import divided_difference, evaluate

# Both sides of the length at which a chain is split, odd and even, split once, twice and more.
LENGTHS = (2, 3, 6, 7, 8, 9, 15, 16, 25, 33)


def coefficients_of(length):
    return np.random.default_rng(length).normal(size=length)


def value(coefficients, x):
    total = Fraction(0)
    for c in coefficients:
        total = total * Fraction(float(x)) + Fraction(float(c))
    return total


def size(coefficients, x):
    """Sum of the terms' sizes: what rounding errors are proportional to."""
    return float(value(np.abs(coefficients), abs(x)))


@pytest.mark.parametrize("length", LENGTHS)
def test_value(length):
    coefficients = coefficients_of(length)
    for x in np.linspace(-1.5, 1.5, 13):
        got = evaluate(tuple(coefficients), jnp.float64(x))
        assert abs(Fraction(float(got)) - value(coefficients, x)) <= 2e-15 * size(coefficients, x)


@pytest.mark.parametrize("length", LENGTHS)
def test_divided_difference(length):
    coefficients = coefficients_of(length)
    bound = length * length * 1e-15  # of the size of the derivative
    for a in np.linspace(-1.5, 1.5, 7):
        for width in (0.0, 1e-15, 1e-8, 1e-3, 0.7, -2.0):
            b = a + width
            p, q = divided_difference(tuple(coefficients), jnp.float64(a), jnp.float64(b))
            assert abs(Fraction(float(p)) - value(coefficients, a)) <= 2e-15 * size(coefficients, a)
            if a == b:
                exact = value(np.polyder(coefficients), a)
            else:
                exact = (value(coefficients, a) - value(coefficients, b)) / (Fraction(float(a)) - Fraction(float(b)))
            largest = max(abs(a), abs(b), 1.0)
            assert abs(Fraction(float(q)) - exact) <= bound * size(coefficients, largest), (a, width)


def test_integers_are_exact():
    """x³ - 2x + 5 and (p(3) - p(1)) / 2, by hand; and ones, whose divided difference counts terms."""
    cubic = (1.0, 0.0, -2.0, 5.0)
    assert float(evaluate(cubic, jnp.float64(3.0))) == 26.0
    p, q = divided_difference(cubic, jnp.float64(3.0), jnp.float64(1.0))
    assert (float(p), float(q)) == (26.0, 11.0)
    p, q = divided_difference((1.0,) * 20, jnp.float64(1.0), jnp.float64(1.0))
    assert (float(p), float(q)) == (20.0, 190.0)


def test_arrays_and_their_dtype():
    x = jnp.linspace(-1, 1, 12, dtype=jnp.float32).reshape(3, 4)
    coefficients = tuple(np.float32(c) for c in coefficients_of(16))
    assert evaluate(coefficients, x).dtype == jnp.float32
    assert evaluate(coefficients, x).shape == (3, 4)
    p, q = divided_difference(coefficients, x, x)
    assert p.dtype == q.dtype == jnp.float32
    assert p.shape == q.shape == (3, 4)
