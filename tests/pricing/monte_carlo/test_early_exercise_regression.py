"""Least squares and polynomials on their own: against NumPy, where ranks fail, and in float32."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev, hermite_e, laguerre

from gpujax.pricing.monte_carlo.early_exercise.bases import Basis, Seen, polynomial
from gpujax.pricing.monte_carlo.early_exercise.regression import least_squares


def fitted(columns, target, used=None):
    used = np.ones(len(target), bool) if used is None else used
    return np.asarray(jax.jit(least_squares)([jnp.asarray(c) for c in columns], jnp.asarray(target), jnp.asarray(used)))


@pytest.mark.parametrize("count", [3, 9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_agrees_with_numpy(count, dtype):
    """Sums are in float64 for both, so that float32 costs no more than the rounding of what is given."""
    random = np.random.default_rng(1)
    columns = [np.ones(4000, dtype), *(random.normal(3.0, 0.5, (count, 4000)).astype(dtype))]
    target = (sum((i + 1) * c for i, c in enumerate(columns)) + random.normal(size=4000)).astype(dtype)
    used = random.uniform(size=4000) < 0.3
    whole = np.stack(columns, axis=1).astype(np.float64)
    expected = np.linalg.lstsq(whole[used], target[used].astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(fitted(columns, target, used), expected, rtol=1e-9)


def test_ranks_that_fail_do_no_harm():
    """Copies, sums, constants and zeros are dropped; the fitted values are those of the others."""
    random = np.random.default_rng(2)
    x, y = random.normal(size=(2, 1000))
    target = 1 + 2 * x - y + random.normal(size=1000)
    plain = [np.ones(1000), x, y]
    extended = [np.ones(1000), x, np.full(1000, 7.0), x + 1, y, 3 * y - x, np.zeros(1000)]
    found = fitted(extended, target)
    np.testing.assert_array_equal(found[[2, 3, 5, 6]], 0)
    np.testing.assert_allclose(found[[0, 1, 4]], fitted(plain, target), rtol=1e-9)


def test_scales_do_not_matter():
    random = np.random.default_rng(3)
    x = random.normal(size=500)
    target = x**3 + random.normal(size=500)
    base = fitted([np.ones(500), x, x * x], target)
    scaled = fitted([1e-12 * np.ones(500), 1e9 * x, 1e-30 * x * x], target)
    np.testing.assert_allclose(scaled * [1e-12, 1e9, 1e-30], base, rtol=1e-9)


def test_nothing_used_gives_zeros():
    x = np.arange(10.0)
    np.testing.assert_array_equal(fitted([np.ones(10), x], x, np.zeros(10, bool)), 0)


def seen(*spots):
    spots = tuple(jnp.asarray(s) for s in spots)
    return Seen(spots if len(spots) > 1 else spots[0], spots[0] * 0, (), ())


@pytest.mark.parametrize(("family", "module"), [("hermite", hermite_e), ("chebyshev", chebyshev)])
def test_families_are_those_of_the_literature(family, module):
    x = np.linspace(-2, 2, 9)
    found = polynomial(5, family=family).functions([jnp.asarray(x)])
    basis = {hermite_e: hermite_e.hermeval, chebyshev: chebyshev.chebval}[module]
    for n, function in enumerate(found, start=1):
        np.testing.assert_allclose(function, basis(x, np.eye(6)[n]), rtol=1e-12, atol=1e-12)


def test_laguerre_is_weighted():
    """Longstaff and Schwartz (2001), equations 3 and 4: e^(-x/2) L_n(x), from n = 0."""
    x = np.linspace(0, 4, 9)
    found = polynomial(4, family="laguerre").functions([jnp.asarray(x)])
    assert len(found) == 4
    for n, function in enumerate(found):
        np.testing.assert_allclose(function, np.exp(-x / 2) * laguerre.lagval(x, np.eye(5)[n]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("variables", "degree"), [(1, 4), (2, 3), (5, 2), (3, 3)])
def test_cross_products_up_to_the_total_degree(variables, degree):
    """Each monomial once, low degrees first."""
    primes = np.array([2.0, 3.0, 5.0, 7.0, 11.0])[:variables]
    found = Basis(variables=lambda seen: [], degree=degree).functions([jnp.asarray([p]) for p in primes])
    values = [int(f[0]) for f in found]
    assert len(values) == len(set(values)) == math.comb(variables + degree, degree) - 1

    def total(number):
        return sum(next(k for k in range(99) if number % int(p) ** (k + 1)) for p in primes)

    degrees = [total(value) for value in values]
    assert degrees == sorted(degrees)
    assert degrees[-1] == degree


def test_sorted_prices_descend():
    prices = np.random.default_rng(4).normal(size=(5, 50))
    found = polynomial(1, of="sorted").variables(seen(*prices))
    np.testing.assert_array_equal(np.stack(found), -np.sort(-prices, axis=0))


def test_equal_bases_share_a_program():
    assert polynomial(3, of="sorted", exercise=True) == polynomial(3, of="sorted", exercise=True)
    assert hash(polynomial(3)) == hash(polynomial(3))
    assert polynomial(3) != polynomial(3, family="power")
