"""Every example in the documentation of gpujax.trading runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import gpujax.trading

MODULES = sorted(f"gpujax.trading.{module.name}" for module in pkgutil.iter_modules(gpujax.trading.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    results = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert results.failed == 0


def test_there_are_examples():
    attempted = sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES)
    assert attempted >= 20
