"""What the tests of Monte Carlo share."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def within():
    """Asserts that an estimate lies within four of its standard errors (and a stated bias) of the exact value."""

    def check(estimate, exact, bias=0.0):
        error = np.abs(np.asarray(estimate.value) - np.asarray(exact))
        allowed = 4 * np.asarray(estimate.standard_error) + bias
        assert np.all(error <= allowed), f"{estimate.value} is {error / allowed * 4} standard errors from {exact}"

    return check
