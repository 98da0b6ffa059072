"""Every example in the documentation of gpujax.pricing runs and prints what it says."""

import doctest
import importlib
import pkgutil

import jax.numpy as jnp
import pytest

import gpujax.pricing

MODULES = sorted(f"gpujax.pricing.{module.name}" for module in pkgutil.iter_modules(gpujax.pricing.__path__))


def run(name):
    return doctest.testmod(importlib.import_module(name), extraglobs={"jnp": jnp})


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert run(name).failed == 0


@pytest.mark.parametrize("model", ["bachelier", "black76", "black_scholes", "digital", "displaced"])
def test_there_is_one_for_every_public_function(model):
    module = importlib.import_module(f"gpujax.pricing.{model}")
    for name in module.__all__:
        assert ">>> " in getattr(module, name).__doc__, f"{model}.{name} has no example"
