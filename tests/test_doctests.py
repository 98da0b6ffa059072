"""Every example in the documentation of the package runs and prints what it says, and where one is due there is one."""

import doctest
import importlib
import inspect
import pkgutil

import jax.numpy as jnp
import pytest

import gpujax

MODULES = sorted(
    found.name for found in pkgutil.walk_packages(gpujax.__path__, "gpujax.") if found.name != "gpujax.__main__"
)
# Rooms whose public functions are formulas: each of them has an example.
FORMULAS = [
    f"gpujax.{name}"
    for name in (
        "numerics.normal", "pricing.bachelier", "pricing.black76", "pricing.black_scholes", "pricing.digital",
        "pricing.displaced", "pricing.geometric_asian", "pricing.arithmetic_asian",
    )
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name), extraglobs={"jnp": jnp}).failed == 0


@pytest.mark.parametrize("name", FORMULAS)
def test_there_is_one_for_every_formula(name):
    module = importlib.import_module(name)
    for public in (name for name in module.__all__ if callable(getattr(module, name))):
        assert ">>> " in inspect.getdoc(getattr(module, public)), f"{name}.{public} has no example"


def test_chains_have_examples():
    found = doctest.DocTestFinder()
    names = [name for name in MODULES if name.startswith("gpujax.trading.")]
    assert sum(len(t.examples) for name in names for t in found.find(importlib.import_module(name))) >= 20
