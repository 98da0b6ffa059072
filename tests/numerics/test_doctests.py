"""Every example in the documentation of gpujax.numerics runs and prints what it says."""

import doctest
import importlib
import pkgutil

import jax.numpy as jnp
import pytest

import gpujax.numerics

MODULES = sorted(f"gpujax.numerics.{module.name}" for module in pkgutil.iter_modules(gpujax.numerics.__path__))


def run(name):
    return doctest.testmod(importlib.import_module(name), extraglobs={"jnp": jnp})


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert run(name).failed == 0


def test_there_are_examples():
    """One for each function of the normal distribution at the least."""
    assert run("gpujax.numerics.normal").attempted >= 5
