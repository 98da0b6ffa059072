"""What fits in memory: the compiler's account, the line through it, and the batch read off that line."""

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

from gpujax.device import host, memory
from gpujax.device.memory import MemoryModel, fit_memory, free_memory, largest_batch, program_bytes, upper_bound


class FakeDevice:
    platform = "gpu"

    def __init__(self, **statistics):
        self.statistics = statistics

    def memory_stats(self):
        return self.statistics or None


def wide(x):
    """A kilobyte of temporaries an entry that cannot be fused away: both sorts need their operand in memory."""
    table = jnp.sort(x[:, None] * jnp.linspace(1.0, 2.0, 128)[None, :], axis=0)
    return jnp.sort(table, axis=1)[:, 0]


def compiled_bytes(function):
    return lambda size: program_bytes(jax.jit(function).lower(jax.ShapeDtypeStruct((size,), np.float64)).compile())


def test_the_compilers_account_counts_arguments_results_and_temporaries():
    assert compiled_bytes(lambda x: x + 1)(1000) == 16_000
    assert compiled_bytes(wide)(1000) >= 16_000 + 128 * 8 * 1000


def test_a_donated_argument_counts_once():
    shape = jax.ShapeDtypeStruct((1000,), np.float64)
    compiled = jax.jit(lambda x: x + 1, donate_argnums=0).lower(shape).compile()
    assert program_bytes(compiled) == 8_000


def test_the_line_through_two_sizes_predicts_a_third():
    measure = compiled_bytes(wide)
    model = fit_memory(measure, (64, 256))
    assert model.per_entry >= 128 * 8
    assert measure(1000) <= model.bytes(1000) <= 1.02 * measure(1000)


def test_the_line_lies_above_every_size_it_was_drawn_through():
    taken = {64: 700, 128: 1000, 256: 9000}
    model = fit_memory(taken.get, tuple(taken))
    assert all(model.bytes(size) >= bytes_ for size, bytes_ in taken.items())
    assert model.per_entry == (9000 - 1000) / 128


def test_a_program_that_does_not_grow_always_fits():
    model = fit_memory(lambda size: 100, (64, 256))
    assert model == MemoryModel(100.0, 0.0)
    assert largest_batch(model, 100, 10**9) == 10**9
    assert largest_batch(model, 99, 10**9) == 0


@pytest.mark.parametrize("budget", [999, 1000, 1023, 1024, 1071, 1072, 1096, 2000, 4000, 10**6, 10**9])
def test_largest_batch_fits_and_little_more_would(budget):
    model, wanted = MemoryModel(1000.0, 24.0), 12_345
    size = largest_batch(model, budget, wanted)
    if size:
        assert model.bytes(size) <= budget
    if size < wanted:
        # The next of 1, 2, 3, 4, 6, 8, 12, ... would not.
        larger = max(1, size + 1 if size < 4 else size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3)
        assert model.bytes(larger) > budget
    else:
        assert size == wanted


def test_the_cheap_estimate_is_above_the_compilers_account():
    def loop(x):
        return jax.lax.scan(lambda carry, step: (carry * 1.01 + step, carry), x, jnp.arange(50.0))

    def branches(x):
        return jax.lax.cond(x[0] > 0, wide, lambda x: x, x)

    for function in (lambda x: x + 1, wide, loop, branches, jax.jit(wide)):
        estimate = upper_bound(jax.make_jaxpr(function)(jnp.ones(500)))
        assert estimate >= compiled_bytes(function)(500)
    stacked = upper_bound(jax.make_jaxpr(loop)(jnp.ones(500)))
    assert stacked < 3 * 50 * 500 * 8, "a loop's body counts once, not once per step"


def test_an_accelerator_answers_for_itself():
    assert free_memory(FakeDevice(bytes_limit=1000, bytes_in_use=300)) == 700
    assert free_memory(FakeDevice(bytes_limit=1000, bytes_in_use=1300)) == 0
    assert free_memory(FakeDevice(bytes_limit=1000)) == 1000
    assert free_memory(FakeDevice()) is None
    assert free_memory(FakeDevice(bytes_in_use=5)) is None


def test_a_cpu_has_what_the_host_leaves(monkeypatch):
    device = jax.devices("cpu")[0]
    assert 0 < free_memory(device) <= psutil.virtual_memory().total
    monkeypatch.setattr(host, "memory", lambda: host.Memory(available=10_000, limit=9_000, usable=4_000))
    assert free_memory(device) == 4_000
    assert free_memory(device, sharers=8) == 500
    monkeypatch.setattr(host, "memory", lambda: host.Memory())
    assert free_memory(device) is None


def test_running_out_of_memory_is_told_from_other_errors():
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jnp.zeros(1 << 47, jnp.uint8).block_until_ready()
    assert memory.is_out_of_memory(caught.value)
    assert not memory.is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: RESOURCE_EXHAUSTED was not it"))
    assert not memory.is_out_of_memory(MemoryError("RESOURCE_EXHAUSTED"))
