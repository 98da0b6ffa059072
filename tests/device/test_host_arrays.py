"""Streaming NumPy arrays: every entry computed and written, slices taken without a copy, nothing held afterwards."""

import gc
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.device import host_arrays
from gpujax.device.host_arrays import BLOCK_ELEMENTS, fetch, plan_blocks, stream


def at_phase(size, phase, dtype=np.float64):
    """An array whose memory starts `phase` bytes past a multiple of 64."""
    itemsize = np.dtype(dtype).itemsize
    room = np.zeros(size * itemsize + 128, np.uint8)
    start = -room.ctypes.data % 64 + phase
    array = room[start : start + size * itemsize].view(dtype)
    assert array.ctypes.data % 64 == phase
    return array


def covered(blocks, size):
    seen = np.zeros(size, bool)
    for block in blocks:
        seen[block] = True
    return seen.all()


SIZES = [BLOCK_ELEMENTS, BLOCK_ELEMENTS + 1, 196_607, 250_000, 999_999, 1_000_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("phase", [0, 8, 16, 48, 56])
def test_aligned_blocks_cover_the_batch_and_start_aligned(size, phase):
    x = at_phase(size, phase)
    blocks = plan_blocks(size, [x, 0.5], [0, None], most=None, align=True)
    ranges = [block for block in blocks if isinstance(block, slice)]
    others = [block for block in blocks if not isinstance(block, slice)]
    assert covered(blocks, size)
    assert len({block.stop - block.start for block in ranges}) == 1, "one size, one program"
    assert all(x[block].ctypes.data % 64 == 0 for block in ranges)
    assert [block.size for block in others] in ([], [128]), "the edges of all batches share one program"
    assert sum(block.stop - block.start for block in ranges) < 1.07 * size, "little is computed twice"


def test_block_sizes_do_not_depend_on_alignment_and_are_few():
    def block_size(size, phase):
        block = plan_blocks(size, [at_phase(size, phase)], [0], most=None, align=True)[0]
        return block.stop - block.start

    assert len({block_size(1_000_000, phase) for phase in range(0, 64, 8)}) == 1
    rng = np.random.default_rng(0)
    assert len({block_size(int(n), 16) for n in rng.integers(BLOCK_ELEMENTS, 5_000_000, 200)}) <= 48


def test_start_suits_most_bytes():
    x, y, z = at_phase(200_000, 16), at_phase(200_000, 16), at_phase(200_000, 32)
    flags = at_phase(200_000, 0, np.bool_)
    first = plan_blocks(200_000, [flags, z, y, x], [0] * 4, most=None, align=True)[0].start
    assert x[first:].ctypes.data % 64 == y[first:].ctypes.data % 64 == 0
    single = [at_phase(200_000, 4, np.float32), at_phase(200_000, 4, np.float32), z]
    first = plan_blocks(200_000, single, [0] * 3, most=None, align=True)[0].start
    assert single[0][first:].ctypes.data % 64 == 0 or z[first:].ctypes.data % 64 == 0


@pytest.mark.parametrize("size", [1, 5, 6, 11, 12, 13])
@pytest.mark.parametrize("most", [1, 3, 6])
def test_blocks_by_a_limit_cover_the_batch(size, most):
    blocks = plan_blocks(size, [np.zeros(size)], [0], most=most, align=False)
    assert covered(blocks, size)
    assert {b.stop - b.start for b in blocks} == {min(size, most)}


def test_a_limit_below_comfortable_blocks_wins():
    size = 4 * BLOCK_ELEMENTS
    blocks = plan_blocks(size, [np.zeros(size)], [0], most=1000, align=True)
    assert max(b.stop - b.start for b in blocks) == 1000


def test_short_batches_and_long_rows_stay_whole():
    assert plan_blocks(1000, [np.zeros(1000)], [0], most=None, align=True) == [slice(0, 1000)]
    rows = np.zeros((100, 5000))
    assert plan_blocks(100, [rows], [0], most=None, align=True) == [slice(0, 100)]
    assert len(plan_blocks(100_000, [np.zeros((100_000, 8))], [0], most=None, align=True)) > 4


@jax.jit
def double(x, y):
    return [x * 2 + y, x > y]


@pytest.mark.parametrize("layout", ["contiguous", "strided", "reversed", "misaligned"])
def test_streamed_results_are_those_of_the_whole(layout):
    size = BLOCK_ELEMENTS + 77
    values = np.random.default_rng(0).normal(size=2 * size)
    x = {
        "contiguous": values[:size],
        "strided": values[::2],
        "reversed": values[size - 1 :: -1],
        "misaligned": np.frombuffer(b"abc" + values[:size].tobytes(), np.uint8)[3:].view(np.float64),
    }[layout]
    assert x.size == size
    blocks = plan_blocks(size, [x, 0.5], [0, None], most=None, align=True)
    assert len(blocks) > 1
    results = [np.full(size, np.nan), np.empty(size, bool)]
    stream(double, [x, 0.5], [0, None], blocks, results, [0, 0])
    np.testing.assert_array_equal(results[0], x * 2 + 0.5)
    np.testing.assert_array_equal(results[1], x > 0.5)


def test_batch_axes_need_not_come_first():
    x = np.random.default_rng(0).normal(size=(3, 10))
    results = [np.empty((2, 10, 3))]
    blocks = plan_blocks(10, [x], [1], most=4, align=False)
    stream(lambda x: [jnp.stack([x.T, -x.T])], [x], [1], blocks, results, [1])
    np.testing.assert_array_equal(results[0], np.stack([x.T, -x.T]))


def test_aligned_slices_are_taken_without_a_copy():
    size = 4 * BLOCK_ELEMENTS
    x = at_phase(size, 16)
    pointers = []

    def note(piece):
        placed = jax.device_put(piece)
        pointers.append((placed.unsafe_buffer_pointer(), piece.ctypes.data))
        return [placed]

    stream(note, [x], [0], plan_blocks(size, [x], [0], most=None, align=True), [np.empty(size)], [0])
    *blocks, edges = pointers
    assert all(device == host for device, host in blocks)
    assert edges, "the edges are gathered"


def test_no_reference_to_the_arrays_outlives_the_call():
    size = BLOCK_ELEMENTS
    x, result = at_phase(size, 16), np.empty(size)
    owner = weakref.ref(x)
    held = sys.getrefcount(result)
    stream(
        lambda x: [jax.jit(jnp.negative)(x)],
        [x],
        [0],
        plan_blocks(size, [x], [0], most=None, align=True),
        [result],
        [0],
    )
    assert sys.getrefcount(result) == held
    del x
    gc.collect()
    assert owner() is None


def test_an_error_waits_for_what_is_under_way():
    finished = []

    class Value:
        """Stands in for a device array that is still being computed."""

        def block_until_ready(self):
            finished.append(self)
            return self

    value = Value()

    def run(x):
        if x[0] == 0:
            return [value]
        raise FloatingPointError("second block")

    with pytest.raises(FloatingPointError, match="second block"):
        stream(run, [np.arange(4.0)], [0], [slice(0, 2), slice(2, 4)], [np.empty(4)], [0])
    assert finished == [value]


@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 2)])
def test_fetched_arrays_belong_to_the_caller(shape):
    leaf = jnp.ones(shape)
    result = fetch(leaf)
    assert result.flags.writeable
    assert result.shape == shape
    result[...] = 5.0
    np.testing.assert_array_equal(leaf, np.ones(shape))


def test_padding_is_not_written():
    result = np.zeros(5)
    stream(lambda x: [jnp.concatenate([x, jnp.full(3, np.nan)])], [np.ones(5)], [0], [slice(0, 5)], [result], [0])
    np.testing.assert_array_equal(result, np.ones(5))


def test_at_most_two_blocks_are_under_way(monkeypatch):
    started, written = [], []
    write = host_arrays._write

    def run(x):
        started.append(x)
        return [jnp.asarray(x)]

    def note(*arguments):
        written.append(len(started))
        write(*arguments)

    monkeypatch.setattr(host_arrays, "_write", note)
    stream(run, [np.ones(10)], [0], [slice(i, i + 2) for i in range(0, 10, 2)], [np.zeros(10)], [0])
    assert written == [2, 3, 4, 5, 5], "blocks started when each was written"
