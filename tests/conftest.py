"""Settings that hold for every test: eight simulated devices, 64-bit mode, strict promotion.

The environment is set before JAX can start; a test that needs other settings (float32 mode, a fresh start) runs a
subprocess.
"""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.pop("GPUJAX_CONFIG", None)

import jax
import psutil
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("GPUJAX_TEST_CACHE", ROOT / ".jax_cache"))
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# The folder of real market data and published tables beside the repository; tests that need it are marked `shared_data`.
SHARED = ROOT.parent / "shared"


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """Compiled programs of earlier modules are dropped once they fill memory; the cache on disk brings them back."""
    yield
    if psutil.Process().memory_info().rss > 3 << 30:
        jax.clear_caches()


@pytest.fixture
def shared():
    """The folder of real market data, or a skip that says which folder is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"real market data not on this machine: {SHARED} is missing")
    return SHARED
