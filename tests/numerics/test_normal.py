"""The normal distribution against mpmath: values and derivatives over the whole domain, and what happens at its ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from gpujax.numerics import normal

both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])

# Where the density stays above the smallest normal number of the dtype.
LOWEST = {"float64": -37.0, "float32": -12.9}


def log_cdf(x):
    return mp.log(mp.ncdf(x)) if x < 0 else mp.log1p(-mp.ncdf(-x))


def erfcx(x):
    return mp.exp(x * x) * mp.erfc(x)


def quantile(p):
    """By Newton's method on the logarithm of the smaller tail, which is concave."""
    tail, sign = (p, -1) if p < 0.5 else (1 - p, 1)
    z = mp.sqrt(2) * mp.erfinv(1 - 2 * tail) if tail > 1e-6 else mp.sqrt(-2 * mp.log(tail))
    for _ in range(8):
        mass = mp.ncdf(-z)
        z += mp.log(mass / tail) * mass / mp.npdf(z)
    return sign * z


# name: the function, its derivative, and for each dtype the bounds on their relative errors in units of eps. The promise is
# 1e-14 (45 eps) in float64 and a few units in float32; the bounds are what the functions reach, and half as much again.
FUNCTIONS = {
    "pdf": (mp.npdf, lambda x: -x * mp.npdf(x), {"float64": (2, 3), "float32": (2, 3)}),
    "cdf": (mp.ncdf, mp.npdf, {"float64": (11, 2), "float32": (6, 2)}),
    "log_cdf": (log_cdf, lambda x: mp.npdf(x) / mp.ncdf(x), {"float64": (8, 10), "float32": (9, 7)}),
    "erfcx": (erfcx, lambda x: 2 * x * erfcx(x) - 2 / mp.sqrt(mp.pi), {"float64": (12, 25), "float32": (13, 25)}),
}


def values_and_slopes(function, x):
    return jax.jit(lambda x: (function(x), jax.vmap(jax.grad(function))(x)))(jnp.asarray(x))


def arguments(name, dtype):
    """Dense over the domain, the bands that other libraries get wrong, and both sides of zero down to 1e-20."""
    near_zero = np.geomspace(1e-20, 1.0, 40)
    if name == "erfcx":
        lowest = {"float64": -26.5, "float32": -9.2}[dtype]
        parts = [np.linspace(lowest, 30.0, 400), np.linspace(9.15, 9.45, 60), np.geomspace(30.0, 1e9, 40)]
    else:
        parts = [np.linspace(LOWEST[dtype], 8.0, 500), np.linspace(4.9, 5.05, 60), np.linspace(7.9, 8.0, 60)]
    return np.concatenate([*parts, near_zero, -near_zero]).astype(dtype)


@both_dtypes
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes(name, dtype, exact):
    function, derivative, bounds = FUNCTIONS[name]
    x = arguments(name, dtype)
    eps = np.finfo(dtype).eps
    values, slopes = values_and_slopes(getattr(normal, name), x)
    assert values.dtype == slopes.dtype == dtype
    for what, got, expected, bound in (
        ("value", values, exact.each(function, x), bounds[dtype][0]),
        ("slope", slopes, exact.each(derivative, x), bounds[dtype][1]),
    ):
        error = exact.relative(got, expected) / eps
        # The float32 density itself underflows a little before the end of its domain.
        error = np.where([abs(e) > np.finfo(dtype).tiny for e in expected], error, 0)
        worst = int(np.argmax(error))
        assert error[worst] <= bound, f"{what} of {name} at {x[worst]!r}: {error[worst]:.1f} eps, allowed {bound}"


@both_dtypes
def test_log_cdf_far_above(dtype, exact):
    """log N(x) is about -N(-x): tiny, and relative accuracy has to follow it down."""
    x = np.linspace(0.0, -LOWEST[dtype], 300).astype(dtype)
    error = exact.relative(jax.jit(normal.log_cdf)(x), exact.each(log_cdf, x)) / np.finfo(dtype).eps
    assert error.max() <= 12, f"{error.max()} eps at {x[error.argmax()]}"


@both_dtypes
def test_log_cdf_far_below(dtype, exact):
    """Where N(x) itself has long underflowed."""
    x = -np.geomspace(-LOWEST[dtype], 1e100 if dtype == "float64" else 1e15, 60).astype(dtype)
    values, slopes = values_and_slopes(normal.log_cdf, x)

    def series(x):  # log M(z), z = -x, from the asymptotic series of the Mills ratio
        z = -x
        mills = mp.log1p(-1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8 - 945 / z**10 + 10395 / z**12)
        return -z * z / 2 - mp.log(z) - mp.log(2 * mp.pi) / 2 + mills

    error = exact.relative(values, exact.each(series, x)) / np.finfo(dtype).eps
    assert error.max() <= 3
    np.testing.assert_allclose(slopes, -x, rtol=0.006)  # the inverse Mills ratio is z + 1/z - ...


@both_dtypes
def test_quantile(dtype, exact):
    near_half = np.geomspace(np.finfo(dtype).eps / 4, 0.49, 60)
    p = np.concatenate([
        np.linspace(0.0025, 0.9975, 400), 0.5 + near_half, 0.5 - near_half,
        np.geomspace(2 * np.finfo(dtype).tiny, 0.3, 100), 1 - np.geomspace(np.finfo(dtype).eps, 0.3, 60),
        [0.25, np.nextafter(0.25, 0), np.nextafter(0.25, 1), 0.75],
    ]).astype(dtype)  # fmt: skip
    p = p[p != 0.5]
    eps = np.finfo(dtype).eps
    values, slopes = values_and_slopes(normal.quantile, p)
    assert values.dtype == dtype
    expected = exact.each(quantile, p)
    error = exact.relative(values, expected) / eps
    assert error.max() <= 12, f"{error.max()} eps at {p[error.argmax()]!r}"
    # The slope is 1 / n(x): what the error of x does to it is x² times as much.
    expected = [1 / mp.npdf(x) for x in expected]
    size = np.array([float(normal_density_condition(p_)) for p_ in p])
    slope_error = exact.relative(slopes, expected) / eps / size
    assert slope_error.max() <= 8, f"{slope_error.max()} at {p[slope_error.argmax()]!r}"


def normal_density_condition(p):
    """1 + x²: how many units of its last place the density of x loses when x is rounded."""
    return 1 + 2 * abs(mp.log(2 * min(float(p), 1 - float(p))))


@both_dtypes
def test_quantile_inverts_the_distribution(dtype):
    x = np.linspace(LOWEST[dtype] * 0.99, 5.0 if dtype == "float64" else 3.0, 2001).astype(dtype)
    back, density = jax.jit(lambda x: (normal.quantile(normal.cdf(x)), normal.pdf(x)))(x)
    # Above zero N(x), rounded near one, holds x only to eps / n(x); below, to what the relative error of N(x) makes of it.
    told = np.finfo(dtype).eps * (12 * np.maximum(np.abs(x), 1) + np.where(x > 0, 2 / np.asarray(density), 0))
    worst = int(np.argmax(np.abs(back - x) / told))
    assert np.all(np.abs(back - x) <= told), f"{x[worst]!r} came back as {back[worst]!r}"


@both_dtypes
def test_symmetry_and_order(dtype):
    positive = np.concatenate([np.geomspace(1e-6, 1e-3, 200), np.linspace(1e-3, 9, 2000)]).astype(dtype)
    x = np.concatenate([-positive[::-1], np.zeros(1, dtype), positive])
    eps = float(np.finfo(dtype).eps)
    lower, density, log_lower = map(np.asarray, jax.jit(lambda x: (normal.cdf(x), normal.pdf(x), normal.log_cdf(x)))(x))
    np.testing.assert_allclose(density, density[::-1], rtol=2 * eps)
    np.testing.assert_allclose(lower + lower[::-1], 1, rtol=3 * eps)
    # Rounding may turn neighbours about by a few units; it may not do more.
    assert np.all(np.diff(lower) >= -16 * eps * lower[1:])
    assert np.all(np.diff(log_lower) >= 16 * eps * log_lower[:-1])


@both_dtypes
def test_ends(dtype):
    huge = 1e300 if dtype == "float64" else 1e37
    x = np.array([-np.inf, -huge, -50.0, 0.0, 50.0, huge, np.inf, np.nan], dtype)
    values = jax.jit(lambda x: {name: getattr(normal, name)(x) for name in FUNCTIONS})(x)
    values = {name: np.asarray(array) for name, array in values.items()}
    for array in values.values():
        assert np.isnan(array[-1])
    np.testing.assert_array_equal(values["cdf"][[0, 1, 2, 4, 5, 6]], np.array([0, 0, 0, 1, 1, 1], dtype))
    np.testing.assert_array_equal(values["pdf"][[0, 1, 2, 4, 5, 6]], 0)
    assert values["log_cdf"][0] == -np.inf
    np.testing.assert_array_equal(values["log_cdf"][[5, 6]], 0)
    np.testing.assert_array_equal(values["erfcx"][[0, 1, 2]], np.inf)
    assert np.all((values["erfcx"][[5, 6]] >= 0) & (values["erfcx"][[5, 6]] < 1e-14))
    p = np.array([0.0, 0.5, 1.0, -0.1, 1.1, -np.inf, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(jax.jit(normal.quantile)(p), np.array([-np.inf, 0, np.inf, *[np.nan] * 5], dtype))


@pytest.mark.parametrize(("mode", "dtype"), [("reverse", "float64"), ("reverse", "float32"), ("forward", "float64")])
def test_derivatives_are_finite_everywhere(dtype, mode):
    """First and second derivatives, infinities included; for erfcx, which overflows below, from there upwards."""
    differentiate = jax.grad if mode == "reverse" else jax.jacfwd
    huge = 1e300 if dtype == "float64" else 1e37
    x = np.array([-np.inf, -huge, -1e3, -40, -38.5, -37.7, -14, -13, -0.0, 0.0, 13, 14, 38, 1e3, huge, np.inf], dtype)
    for name in FUNCTIONS:
        function, at = getattr(normal, name), x
        if name == "erfcx":
            at = np.append(x[x >= 0], np.array([-26.0, -8.0] if dtype == "float64" else [-8.0, -6.0], dtype))
        slope = differentiate(function)
        bend = differentiate(slope)
        slopes, bends = jax.jit(jax.vmap(lambda x, s=slope, b=bend: (s(x), b(x))))(jnp.asarray(at))
        assert np.all(np.isfinite(slopes)), f"{name}' {dict(zip(at, np.asarray(slopes), strict=True))}"
        assert np.all(np.isfinite(bends)), f"{name}'' {dict(zip(at, np.asarray(bends), strict=True))}"
    ends = jax.jit(jax.vmap(differentiate(normal.quantile)))(np.array([0.0, 1.0, 0.5], dtype))
    np.testing.assert_allclose(ends, [np.finfo(dtype).max] * 2 + [np.sqrt(2 * np.pi)], rtol=1e-6)


def test_second_derivatives(exact):
    x = np.linspace(-20.0, 6.0, 60)
    bends = {
        name: jax.jit(jax.vmap(jax.grad(jax.grad(getattr(normal, name)))))(x)
        for name in ("pdf", "cdf", "log_cdf", "erfcx")
    }
    expected = {
        "pdf": lambda x: (x * x - 1) * mp.npdf(x),
        "cdf": lambda x: -x * mp.npdf(x),
        "log_cdf": lambda x: -(mp.npdf(x) / mp.ncdf(x)) * (x + mp.npdf(x) / mp.ncdf(x)),
        "erfcx": lambda x: (4 * x * x + 2) * erfcx(x) - 4 * x / mp.sqrt(mp.pi),
    }
    for name, function in expected.items():
        # Differences of nearly equal terms far out: log N'' and erfcx'' lose x² units in the last place, and more.
        error = exact.relative(bends[name], exact.each(function, x)) / (1 + x**4)
        assert error.max() < 1e-14, f"{name}: {error.max()} at {x[error.argmax()]}"


def test_shapes_and_scalars():
    for name in (*FUNCTIONS, "quantile"):
        function = getattr(normal, name)
        for shape in ((), (0,), (2, 3, 1)):
            assert jax.eval_shape(function, jax.ShapeDtypeStruct(shape, jnp.float32)).shape == shape
        single, mapped = jax.jit(lambda x, f=function: (f(x), jax.vmap(f)(jnp.full((4,), x))))(0.3)
        np.testing.assert_allclose(mapped, single, rtol=1e-15)
