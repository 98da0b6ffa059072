"""The house stands: imports point down the tiers, importing is lazy, starts no backend, and every public name resolves."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import gpujax

ROOT = Path(__file__).resolve().parents[1]
# What only some functions need: imported by those functions.
OPTIONAL = {"matplotlib", "mpmath", "pandas", "pyarrow", "QuantLib", "pynvml", "optax", "flax"}


def in_a_new_process(code):
    """What a new interpreter prints, as JSON, without the settings of the tests."""
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS", "GPUJAX_CONFIG")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_imports_point_down_the_tiers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(contracts)} kept, 0 broken" in done.stdout


def test_importing_gpujax_imports_nothing_else():
    loaded = in_a_new_process(
        "import sys; before = set(sys.modules); import gpujax, json\n"
        "print(json.dumps([m for m in sys.modules if m.partition('.')[0] in ('jax', 'jaxlib', 'numpy', 'gpujax')]))"
    )
    assert loaded == ["gpujax"]


def test_every_public_name_resolves_without_starting_a_backend():
    found = in_a_new_process(
        "import json, sys, gpujax\n"
        "kinds = {name: type(getattr(gpujax, name)).__name__ for name in gpujax.__all__}\n"
        "from jax._src import xla_bridge\n"
        "print(json.dumps([kinds, xla_bridge.backends_are_initialized(), sorted({m.partition('.')[0] for m in sys.modules})]))"
    )
    kinds, started, loaded = found
    assert set(kinds) == set(gpujax.__all__)
    assert not started, "resolving the public names has started a JAX backend"
    assert not OPTIONAL & set(loaded)


def test_every_module_imports_without_starting_a_backend():
    found = in_a_new_process(
        "import importlib, json, pkgutil, sys, gpujax\n"
        "names = [m.name for m in pkgutil.walk_packages(gpujax.__path__, 'gpujax.') if not m.name.endswith('__main__')]\n"
        "for name in names: importlib.import_module(name)\n"
        "from jax._src import xla_bridge\n"
        "print(json.dumps([names, xla_bridge.backends_are_initialized(), sorted({m.partition('.')[0] for m in sys.modules})]))"
    )
    names, started, loaded = found
    assert {"gpujax.hub.registry", "gpujax.cli.main", "gpujax.demo.run", "gpujax.pricing.black_scholes"} <= set(names)
    assert not started, "a module starts a JAX backend when it is imported"
    assert not OPTIONAL & set(loaded)


def test_public_names_are_listed():
    assert dir(gpujax) == gpujax.__all__ == sorted(gpujax.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'black_schols'; it has .*black_scholes"):
        gpujax.black_schols  # noqa: B018


def test_names_in_all_exist_in_every_module():
    missing = in_a_new_process(
        "import importlib, json, pkgutil, gpujax\n"
        "names = [m.name for m in pkgutil.walk_packages(gpujax.__path__, 'gpujax.') if not m.name.endswith('__main__')]\n"
        "modules = [importlib.import_module(name) for name in names]\n"
        "print(json.dumps([f'{m.__name__}.{n}' for m in modules for n in getattr(m, '__all__', ()) if not hasattr(m, n)]))"
    )
    assert missing == []
