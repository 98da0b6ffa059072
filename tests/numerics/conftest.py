"""The oracle of the numerics tests: mpmath at fifty digits, from the floating-point inputs taken exactly as they are."""

import types

import mpmath
import numpy as np
import pytest

DIGITS = 50


@pytest.fixture
def exact():
    """`exact.each(function, *arrays)`, and errors against its results: `exact.relative` and `exact.units`."""
    return types.SimpleNamespace(each=_each, relative=_relative, units=_units)


def _each(function, *arrays, digits=DIGITS):
    """The mpmath function of each entry; a list of mpmath numbers."""
    with mpmath.mp.workdps(digits):
        return [function(*(mpmath.mpf(float(x)) for x in entry)) for entry in zip(*arrays, strict=True)]


def _relative(got, expected):
    """|got / expected - 1| for each entry; infinite where one is zero, infinite or NaN and the other is not."""
    got = np.asarray(got)
    assert got.shape == (len(expected),)
    return np.array([_error(float(x), exact) for x, exact in zip(got, expected, strict=True)])


def _units(got, expected):
    """The error in units of the last place of the exact result, in the dtype of what was computed."""
    got = np.asarray(got)
    last = [float(np.spacing(np.abs(got.dtype.type(float(x))))) for x in expected]
    return _relative(got, expected) * np.abs(np.array([float(x) for x in expected])) / np.array(last)


def _error(got, exact):
    with mpmath.mp.workdps(DIGITS):
        if exact == 0 or not np.isfinite(got):
            return 0.0 if exact == got else np.inf
        return float(abs((mpmath.mpf(got) - exact) / exact))
