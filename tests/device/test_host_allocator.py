"""The C library keeps freed memory: a repeated large computation takes no fresh pages."""

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
x = jnp.ones(5_000_000)
faults = []
for _ in range(24):  # the heap grows over the first calls until it holds what they need
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(f(x))
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(faults[-8:])[3])
"""


def _faults(keep: bool) -> int:
    program = [sys.executable, "-c", _PROGRAM.format(keep=keep)]
    return int(subprocess.run(program, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_is_kept():
    assert _faults(True) < 1000  # three results of 40 MB are 29,000 pages


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_is_returned_when_the_configuration_says_so():
    assert _faults(False) > 10_000
