"""Random variates against SciPy's distributions at the edges of their domains, moments, and implicit derivatives."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import special, stats

from gpujax.errors import InputError
from gpujax.numerics import variates
from gpujax.numerics.variates import (
    GAMMA_NORMALS,
    GAMMA_UNIFORMS,
    NONCENTRAL_NORMALS,
    NONCENTRAL_UNIFORMS,
    gamma,
    inverse_gaussian,
    loggamma,
    noncentral_chi_square,
    poisson,
)

N = 20_000
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])

# One program for each law and dtype serves all tests: arrays are `[N]`, and derivatives are taken along given tangents.
poissons = jax.jit(poisson)
moved_gammas = jax.jit(lambda a, da, z, u: jax.jvp(lambda a: loggamma(a, z, u), (a,), (da,)))
moved_inverse_gaussians = jax.jit(lambda p, dp, z, u: jax.jvp(lambda m, s: inverse_gaussian(m, s, z, u), p, dp))
moved_chi_squares = jax.jit(lambda p, dp, z, u: jax.jvp(lambda d, n: noncentral_chi_square(d, n, z, u), p, dp))


def draws(normals, uniforms, dtype=np.float64, seed=0):
    """Tuples of normal and of uniform numbers, the latter at the midpoints of cells as the engine's are."""
    random = np.random.default_rng(seed)
    cells = 2**32 if dtype == np.float64 else 2**23
    z = tuple(jnp.asarray(random.standard_normal(N), dtype) for _ in range(normals))
    u = tuple(jnp.asarray((random.integers(0, cells, N) + 0.5) / cells, dtype) for _ in range(uniforms))
    return z, u


def spread(values, dtype=np.float64):
    """Each value for an equal share of the N entries."""
    values = np.atleast_1d(values)
    return jnp.asarray(values[np.arange(N) * len(values) // N], dtype)


def agrees(probabilities):
    """Values of a distribution function at variates of its law are uniform."""
    return stats.kstest(np.asarray(probabilities, np.float64), "uniform").pvalue > 1e-3


def mean_is(x, exact, slack=0.0):
    x = np.asarray(x, np.float64)
    assert np.all(np.isfinite(x))
    assert abs(x.mean() - exact) < 4 * x.std() / np.sqrt(x.size) + slack


# Poisson

MEANS = np.array([0.0, 1e-6, 0.004, 0.3, 1, 5, 30, 80, 95, 96, 100, 250, 700, 999, 1001, 2500, 1e4, 1e5, 1e6, 1e6])


@both_dtypes
def test_poisson_is_the_quantile(dtype):
    """Against SciPy's, with both tails, for means that differ from entry to entry and for one mean alone."""
    _, (u,) = draws(0, 1, dtype)
    tails = np.array([1e-9, 1e-7, 1e-5, 1e-3]) if dtype == np.float64 else np.array([1e-6, 1e-5, 1e-4, 1e-3])
    tails = jnp.asarray(np.tile(np.concatenate([tails, 1 - tails]), len(MEANS)), dtype)
    u = u.at[jnp.arange(len(tails)) * (N // len(tails))].set(tails)
    means = np.asarray(spread(MEANS, dtype))
    found = np.asarray(poissons(jnp.asarray(means), u))
    assert found.dtype == dtype
    law, p = stats.poisson(means.astype(float)), np.asarray(u, float)
    if dtype == np.float64:
        np.testing.assert_array_equal(found, law.ppf(p))
    else:
        assert np.max(np.maximum(law.cdf(found - 1) - p, p - law.cdf(found))) < 2e-5
        assert np.mean(found != law.ppf(p)) < 1e-2
    for mean in (0.3, 96.0, 2500.0):
        np.testing.assert_array_equal(poissons(dtype(mean), u)[means == mean], found[means == mean])


def test_poisson_does_not_decrease_and_ends():
    u = np.sort(np.concatenate([np.linspace(0, 1, N)[1:-1], [1e-300, np.nextafter(1, 0)]]))
    for mean in (0.7, 50.0, 900.0, 5000.0):
        found = np.asarray(poissons(mean, jnp.asarray(u)))
        assert np.all(np.diff(found) >= 0)
        assert found[-1] < mean + 12 * np.sqrt(mean) + 20


def test_poisson_edges():
    _, (u,) = draws(0, 1)
    wrong = np.array([-1e-9, np.nan, np.inf, -np.inf])
    assert np.all(np.isnan(poissons(spread(wrong), u)))
    assert np.all(poissons(0.0, u) == 0)
    # Counts have no derivative; the loop does not stand in the way of reverse differentiation, nor of several means at once.
    several = np.array([0.5, 2000.0])
    mapped, slopes = jax.jit(jax.vmap(jax.value_and_grad(lambda m: poisson(m, u[:50]).sum())))(several)
    np.testing.assert_array_equal(mapped, stats.poisson(several[:, None]).ppf(np.asarray(u[:50])).sum(1))
    np.testing.assert_array_equal(slopes, 0)


# Gamma

SHAPES = np.array([1e-6, 0.005, 0.3, 0.999, 1.0, 1.001, 2.5, 40.0, 1e4, 1e6])


def gamma_cdf(shape, log_x):
    """The distribution function of the logarithm, also where the variate itself is zero in floating point."""
    log_x = np.asarray(log_x, np.float64)
    leading = np.exp(np.minimum(shape * log_x - special.gammaln(shape + 1), 0))
    return np.where(log_x < -35, leading, special.gammainc(shape, np.exp(np.maximum(log_x, -35))))


@both_dtypes
def test_gamma_has_its_law_and_its_moments_their_derivatives(dtype):
    """E log G = ψ(a), so that the mean derivative is ψ'(a); that of the square, for its covariance with the variate."""
    for seed, shape in enumerate(SHAPES.astype(dtype).astype(float)):
        z, u = draws(GAMMA_NORMALS, GAMMA_UNIFORMS, dtype, seed)
        x, slope = (np.asarray(a) for a in moved_gammas(spread(shape, dtype), spread(1.0, dtype), z, u))
        assert x.dtype == slope.dtype == dtype
        x, slope = x.astype(float), slope.astype(float)
        assert agrees(gamma_cdf(shape, x)), shape
        mean, variance = special.digamma(shape), special.polygamma(1, shape)
        # The logarithm of a million has an error of a thousandth of its deviation in float32.
        mean_is(x, mean, 1e-6 * abs(mean) * (dtype == np.float32))
        assert abs(x.var() / variance - 1) < 5 * np.sqrt(8 / N)
        mean_is(slope, variance, 1e-5 * variance + (1e-9 if dtype == np.float32 else 0))
        if shape < 100:
            mean_is(2 * (x - mean) * slope, special.polygamma(2, shape), 1e-5 * abs(special.polygamma(2, shape)))


def test_gamma_is_the_exponential():
    z, u = draws(GAMMA_NORMALS, GAMMA_UNIFORMS)
    shape = spread([0.005, 3.5])
    x, log_x = np.asarray(jax.jit(gamma)(shape, z, u)), np.asarray(moved_gammas(shape, shape, z, u)[0])
    assert 0 < np.mean(x[: N // 2] == 0) < 0.1
    np.testing.assert_allclose(x, np.exp(log_x), rtol=1e-12, atol=1e-300)
    for power, moment in ((1, 3.5), (2, 3.5 * 4.5)):
        mean_is(x[N // 2 :] ** power, moment)


def test_gamma_takes_the_first_accepted_proposal():
    """Also the last one where no other is, turned over where it would be negative; that is as rare as stated."""
    shape = 1.0
    d = shape - 1 / 3
    c = 1 / np.sqrt(9 * d)
    z, u = draws(GAMMA_NORMALS, GAMMA_UNIFORMS)
    # The first thousand accept nothing, from proposals far out.
    z = tuple(x.at[:1000].add(-6.0) for x in z)
    u = tuple(x.at[:1000].set(1 - 2.0**-33) for x in u)
    t = 1 + c * np.array(z)
    room = 0.5 * np.array(z) ** 2 + d - d * t**3 + 3 * d * np.log(np.maximum(t, 1e-9))
    accepted = (t > 0) & (np.log(np.array(u)) < room)
    assert not np.any(accepted[:-1, :1000])
    assert np.mean(t[-1, :1000] < 0) > 0.9
    rate = accepted[:-1, 1000:].mean()
    assert abs(rate - (1 - 0.0484)) < 4 * np.sqrt(0.05 / (4 * N))
    accepted[-1] = True
    chosen = np.take_along_axis(t, np.argmax(accepted, axis=0)[None], 0)[0]
    found = np.exp(moved_gammas(spread(shape), spread(shape), z, u)[0])
    np.testing.assert_allclose(found, d * np.where(chosen > 0, chosen, 2 - chosen) ** 3, rtol=1e-11)


def test_gamma_moves_along_its_distribution():
    """The derivative by shapes from one on is that of the quantile, into the tails."""
    shape = np.asarray(spread([1.0, 1.7, 12.0, 800.0]))
    z, u = draws(GAMMA_NORMALS, GAMMA_UNIFORMS)
    x, slope = (np.asarray(a) for a in moved_gammas(jnp.asarray(shape), spread(1.0), z, u))
    some = np.arange(0, N, 25)
    x, slope, shape = np.exp(x[some]), slope[some], shape[some]
    p, q, bump = special.gammainc(shape, x), special.gammaincc(shape, x), 1e-4 * shape
    ends = [
        np.where(p < 0.5, special.gammaincinv(shape + side * bump, p), special.gammainccinv(shape + side * bump, q))
        for side in (1, -1)
    ]
    np.testing.assert_allclose(x * slope, (ends[0] - ends[1]) / (2 * bump), rtol=2e-6)


def test_gamma_differentiates_in_reverse_and_twice():
    """The second derivative is that of the quantile too, which is not that of the variate with its proposals kept."""
    shape = 2.5
    z, u = (tuple(x[:100] for x in numbers) for numbers in draws(GAMMA_NORMALS, GAMMA_UNIFORMS))

    def total(a):
        return loggamma(a, z, u).sum()

    first, second = jax.jit(lambda a: jax.jvp(jax.grad(total), (a,), (1.0,)))(shape)
    log_x, slope = moved_gammas(spread(shape), spread(1.0), *draws(GAMMA_NORMALS, GAMMA_UNIFORMS))
    np.testing.assert_allclose(first, slope[:100].sum(), rtol=1e-12)
    p = special.gammainc(shape, np.exp(log_x[:100]))
    at = [np.log(special.gammaincinv(shape + bump, p)).sum() for bump in (-1e-3, 0, 1e-3)]
    np.testing.assert_allclose(second, (at[0] - 2 * at[1] + at[2]) / 1e-6, rtol=1e-5)


def test_gamma_edges():
    z, u = draws(GAMMA_NORMALS, GAMMA_UNIFORMS)
    ones = spread(1.0)
    assert np.all(np.isnan(moved_gammas(spread([0.0, -1.0, np.nan]), ones, z, u)[0]))
    shape = spread([2.0, 0.5])
    without, whole = jax.jit(loggamma)(shape, z, u[:-1]), moved_gammas(shape, ones, z, u)[0]
    half = N // 2
    np.testing.assert_array_equal(without[:half], whole[:half])
    assert np.all(np.isnan(without[half:]))
    for normals, uniforms in ((z, u[:3]), (z[:1], ()), (z[:3], u)):
        with pytest.raises(InputError, match="uniforms: "):
            loggamma(2.0, normals, uniforms)


# Inverse Gaussian

PAIRS = np.array([(1.0, 1.0), (1e-3, 1e-6), (1e3, 1e-3), (0.1, 1e4), (5.0, 0.1)])


def ones_and_zeros(place, dtype=np.float64):
    return tuple(spread(float(place == i), dtype) for i in range(2))


@both_dtypes
def test_inverse_gaussian_has_its_law(dtype):
    for seed, (mean, shape) in enumerate(PAIRS):
        (z,), (u,) = draws(1, 1, dtype, seed)
        pair = (spread(mean, dtype), spread(shape, dtype))
        x, slope = (np.asarray(a) for a in moved_inverse_gaussians(pair, ones_and_zeros(1, dtype), z, u))
        assert x.dtype == dtype
        assert np.all(np.isfinite(slope))
        x = x.astype(float)
        assert agrees(stats.invgauss(mean / shape, scale=shape).cdf(x)), (mean, shape)
        # 1/X has mean 1/mean + 1/shape; the tails of X are too heavy for its own moments where the shape is small.
        mean_is(1 / x, 1 / mean + 1 / shape)
        if mean <= shape:
            mean_is(x, mean)
            assert abs(x.var() * shape / mean**3 - 1) < 0.2


def test_inverse_gaussian_roots_do_not_cancel(exact):
    """Both solutions of shape (x - mean)² = mean² x z², with a mean a million times the shape, to the last digits."""
    z = np.array([0.003, 0.1, 1.0, 3.0, 6.5])
    mean, shape = 1e3, 1e-3

    def root(z, sign):
        b = mpmath.mpf(mean) + mpmath.mpf(mean) ** 2 * z * z / (2 * mpmath.mpf(shape))
        return b + sign * mpmath.sqrt(b * b - mpmath.mpf(mean) ** 2)

    for u, sign in ((1e-12, -1), (1 - 1e-16, 1)):
        pair = (spread(mean), spread(shape))
        found = moved_inverse_gaussians(pair, pair, spread(z), spread(u))[0][:: N // 5]
        assert np.max(exact.relative(found, exact.each(functools.partial(root, sign=sign), z))) < 1e-14


@pytest.mark.parametrize(("mean", "shape"), [(1.0, 1.0), (0.3, 4.0), (20.0, 2.0)])
def test_inverse_gaussian_moves_along_its_distribution(mean, shape):
    (z,), (u,) = draws(1, 1)
    some = np.arange(0, N, 100)
    density = None
    for place in range(2):
        pair = (spread(mean), spread(shape))
        x, slope = (np.asarray(a)[some] for a in moved_inverse_gaussians(pair, ones_and_zeros(place), z, u))
        density = stats.invgauss(mean / shape, scale=shape).pdf(x)
        bump = 1e-5 * (mean, shape)[place]
        ends = []
        for side in (1, -1):
            m, s = (mean + side * bump, shape) if place == 0 else (mean, shape + side * bump)
            law = stats.invgauss(m / s, scale=s)
            # The smaller of both tails, so that the difference keeps its digits.
            ends.append(np.where(x > mean, -law.sf(x), law.cdf(x)))
        np.testing.assert_allclose(slope, -(ends[0] - ends[1]) / (2 * bump) / density, rtol=2e-6, atol=1e-7)


def test_inverse_gaussian_derivatives_are_finite():
    for dtype in (np.float64, np.float32):
        z, u = spread([0.0, 1e-8, 1.0, 6.7] * 2, dtype), spread([1e-7] * 4 + [1 - 1e-7] * 4, dtype)
        for pair in ((1.0, 1.0), (1e-4, 1e-8), (100.0, 1e-4)):
            parameters = tuple(spread(x, dtype) for x in pair)
            for place in range(2):
                slope = moved_inverse_gaussians(parameters, ones_and_zeros(place, dtype), z, u)[1]
                assert np.all(np.isfinite(slope))


# Noncentral chi-square


def chi_squares(degrees, noncentrality, place=1, dtype=np.float64, seed=0):
    """Variates and their derivatives by the degrees (0) or the noncentrality (1)."""
    z, u = draws(NONCENTRAL_NORMALS, NONCENTRAL_UNIFORMS, dtype, seed)
    pair = (spread(degrees, dtype), spread(noncentrality, dtype))
    return tuple(np.asarray(a) for a in moved_chi_squares(pair, ones_and_zeros(place, dtype), z, u))


@both_dtypes
def test_noncentral_chi_square_has_its_law(dtype):
    """Also E dX/dλ = 1, and dE X²/dλ = 2 (d + λ) + 4."""
    for degrees in (0.3, 1.0, 1.05, 6.0):
        for noncentrality in (0.0, 1e-6, 0.8, 60.0, 3e4):
            x, slope = chi_squares(degrees, noncentrality, dtype=dtype, seed=round(degrees * 100 + noncentrality))
            assert x.dtype == slope.dtype == dtype
            x = x.astype(float)
            law = stats.ncx2(degrees, noncentrality) if noncentrality else stats.chi2(degrees)
            assert agrees(law.cdf(x)), (degrees, noncentrality)
            loose = dtype == np.float32
            mean_is(x, degrees + noncentrality, 1e-5 * loose * noncentrality)
            assert abs(x.var() / (2 * (degrees + 2 * noncentrality)) - 1) < 0.2
            mean_is(slope, 1, 1e-5)
            mean_is(2 * x * slope, 2 * (degrees + noncentrality) + 4, 1e-4 * loose * noncentrality)


def test_noncentral_chi_square_with_an_atom_at_zero():
    """No degrees of freedom: zero as often as the Poisson number is, and the rest of the mean."""
    x, slope = chi_squares(0.0, 1.5)
    mean_is(x == 0, np.exp(-0.75))
    mean_is(x, 1.5)
    mean_is(slope, 1)
    assert np.all(chi_squares(0.0, 0.0)[0] == 0)


@pytest.mark.parametrize("degrees", [0.3, 1.0, 2.5])
def test_noncentral_chi_square_moves_along_its_distribution(degrees):
    """By λ, on both sides of one degree: the derivative is that of the quantile."""
    values = np.array([1e-3, 0.5, 8.0, 300.0])
    some = np.arange(0, N, 50)
    x, slope = (a[some] for a in chi_squares(degrees, values))
    n = np.asarray(spread(values))[some]
    p, bump = stats.ncx2.cdf(x, degrees, n), 1e-3 * n
    inside = (p > 1e-4) & (p < 1 - 1e-6)
    ends = [stats.ncx2.ppf(p, degrees, n + side * bump) for side in (1, -1)]
    assert inside.mean() > 0.9
    np.testing.assert_allclose(slope[inside], ((ends[0] - ends[1]) / (2 * bump))[inside], rtol=2e-4, atol=1e-7)


def test_density_quotient_is_that_of_bessel_functions():
    random = np.random.default_rng(3)
    quotient = jax.jit(variates._density_quotient)
    for degrees in (1e-3, 0.3, 1.0, 4.0, 30.0):
        n, x = 10 ** random.uniform(-6, 4, (2, 2000))
        z = np.sqrt(n * x)
        below, above = special.ive(degrees / 2 - 1, z), special.ive(degrees / 2, z)
        known = above > 1e-250
        found = np.asarray(quotient(jnp.full(2000, degrees), jnp.asarray(n), jnp.asarray(x)))
        np.testing.assert_allclose(found[known], np.sqrt(x / n)[known] * above[known] / below[known], rtol=1e-8)


@both_dtypes
def test_noncentral_chi_square_by_its_degrees(dtype):
    """dE X/dd = 1, dE X²/dd = 2 (d + λ) + 2; finite where the central part underflows."""
    for degrees in (0.3, 2.5):
        x, slope = (a.astype(float) for a in chi_squares(degrees, 0.8, 0, dtype))
        mean_is(slope, 1)
        mean_is(2 * x * slope, 2 * (degrees + 0.8) + 2)
    assert np.all(np.isfinite(chi_squares([1e-4, 1e-9], 0.0, 0, dtype)[1]))


def test_noncentral_chi_square_in_reverse():
    z, u = draws(NONCENTRAL_NORMALS, NONCENTRAL_UNIFORMS)

    def total(degrees, noncentrality):
        return noncentral_chi_square(degrees, noncentrality, z, u).sum()

    by_reverse = jax.jit(jax.grad(total, argnums=(0, 1)))(0.3, 0.8)
    np.testing.assert_allclose(by_reverse[0], chi_squares(0.3, 0.8, 0)[1].sum(), rtol=1e-10)
    np.testing.assert_allclose(by_reverse[1], chi_squares(0.3, 0.8, 1)[1].sum(), rtol=1e-10)


def test_noncentral_chi_square_refuses():
    z, u = draws(NONCENTRAL_NORMALS, NONCENTRAL_UNIFORMS)
    with pytest.raises(InputError, match="normals, uniforms: 5 and 6 of them; expected 6 and 6"):
        noncentral_chi_square(2.0, 1.0, z[1:], u)
    assert np.all(np.isnan(chi_squares([2.0, 0.5, -0.5], [-1.0, -1.0, 1.0])[0]))
