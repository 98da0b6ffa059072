"""The C library keeps freed memory: a second large computation takes no fresh pages."""

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import resource
import gpujax as gj
gj.configure({{"platform": "cpu", "preallocate": {keep}}})
import jax, jax.numpy as jnp
f = jax.jit(lambda x: (x + 1.0, x * 2.0, x - 3.0))
x = jnp.ones(8_000_000)
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(f(x))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(keep: bool) -> int:
    program = [sys.executable, "-c", _PROGRAM.format(keep=keep)]
    return int(subprocess.run(program, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_is_kept():
    assert _faults(True) < 1000  # three results of 64 MB are 47,000 pages


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_is_returned_when_the_configuration_says_so():
    assert _faults(False) > 10_000
