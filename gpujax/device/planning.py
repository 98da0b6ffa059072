"""Planning a call of `accelerate`: how many entries of its batch each device takes at a time, and why."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from gpujax.device import batching, memory, programs
from gpujax.device.batching import Batch
from gpujax.device.config import DeviceConfig
from gpujax.device.memory import MemoryModel
from gpujax.device.programs import Layout
from gpujax.errors import DeviceError

__all__ = ["Plan", "decide", "with_less", "worth_planning"]

_log = logging.getLogger("gpujax.device")

# A call that may need more than this share of its memory budget is waited for, so that running out of memory can be answered;
# smaller ones keep JAX's asynchronous dispatch. Without a known budget it is a share of this many bytes.
_WORTH_WAITING = 1 / 8
_UNKNOWN_BUDGET = 1 << 30

# Batch sizes at which a program is compiled to see how its memory grows.
_TRIAL_SIZES = (1024, 4096)


class Plan(NamedTuple):
    """What `accelerate` decided for calls of one shape.

    Fields:
        batch: entries in a call (on this host), or None if nothing is batched.
        devices: how many devices share them.
        parallelism: "none", "shard_map" or "pmap".
        chunk: most entries that one device takes at a time, or None for all of its share at once.
        memory: bytes that a number of entries takes on a device, by the compiler; None where a cheap estimate was enough.
        budget: bytes that a chunk may take, or None where the device does not tell what is free.
        waits: whether the call waits for its results (it is so large that it may run out of memory).
        retries: how often memory ran out and the chunk was halved.
        reason: why this chunk.
    """

    batch: int | None
    devices: int
    parallelism: str
    chunk: int | None
    memory: MemoryModel | None
    budget: int | None
    waits: bool
    retries: int
    reason: str


def decide(
    name: str,
    bound: Callable[..., Any],
    traced: Sequence[Any],
    batch: Batch,
    config: DeviceConfig,
    layout: Layout,
    to_host: bool,
) -> Plan:
    """The plan for calls of one shape. Compiles trial programs only if a cheap estimate does not fit.

    Arguments:
        name: of the function, for messages.
        bound: the function of the traced leaves.
        traced: those leaves, of which shapes and dtypes matter.
        batch: its entries.
        config: `batch_limit` and `batch_margin`.
        layout: the devices.
        to_host: whether inputs and results are NumPy arrays, streamed through the device.

    Raises: DeviceError if the budget does not hold one entry.
    """
    whole = Plan(batch.size, 1, "none", None, None, None, False, 0, "nothing to split")
    if batch.size is None or batch.size < 2:
        return whole
    share = programs.share(batch.size, layout)
    wanted = min(share, config.batch_limit or share)
    # Hosts must run the same program but have different amounts of memory free: there only the limit divides.
    budget = _budget(config, layout) if layout.hosts == 1 else None
    estimate = _estimate(bound, batching.with_batch_size(traced, batch, share))
    plan = whole._replace(
        devices=len(layout.devices),
        parallelism=layout.parallelism,
        chunk=None if wanted == share else wanted,
        budget=budget,
        waits=estimate > _worth_waiting(budget),
        reason=f"batch_limit {config.batch_limit}" if wanted < share else "all at once fits, by a cheap estimate",
    )
    if budget is None or estimate <= budget:
        return plan
    model = memory.fit_memory(lambda size: _trial_bytes(bound, traced, batch, size), _TRIAL_SIZES)
    room = budget
    if to_host:
        room //= 2  # two chunks are under way at once
    else:
        results = batching.find_results(name, bound, traced, batch)
        room -= sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in results.leaves) // len(layout.devices)
    chunk = memory.largest_batch(model, room, wanted)
    if chunk < 1:
        raise DeviceError(
            f"{name}: one entry of the batch takes {model.bytes(1):,} bytes, but {max(0, room):,} may be used for it on "
            f"{layout.devices[0]} (batch_margin {config.batch_margin} of the free memory, less what the results take). Give "
            "entries with fewer elements, free memory, raise batch_margin, or use a device with more"
        )
    return plan._replace(
        chunk=None if chunk == share else chunk,
        memory=model,
        reason=f"{model.per_entry:,.0f} bytes an entry by the compiler's account, {room:,} bytes of room",
    )


def worth_planning(
    bound: Callable[..., Any], traced: Sequence[Any], batch: Batch, config: DeviceConfig, layout: Layout
) -> bool:
    """Whether a call may have to be divided or waited for, and so be planned before it runs; asked while JAX traces it."""
    if config.batch_limit is not None and batch.size is not None and batch.size > config.batch_limit:
        return True
    return _estimate(bound, traced) > _worth_waiting(_budget(config, layout))


def with_less(name: str, plan: Plan, error: str) -> Plan:
    """The plan after memory ran out: half as many entries at a time.

    Raises: DeviceError if one entry at a time was too much already, or if the plan may not be changed by one host alone.
    """
    first_line = error.partition("\n")[0]
    share = 1 if plan.batch is None else math.ceil(plan.batch / plan.devices)
    chunk = (plan.chunk or share) // 2
    if chunk < 1:
        what = "nothing batched" if plan.batch is None else "one entry of the batch"
        raise DeviceError(
            f"{name}: out of memory with {what}, so there is nothing to divide ({first_line}). Give fewer elements, free memory, "
            "or use a device with more"
        )
    _log.warning("%s: out of memory; going on with %d entries at a time (%s)", name, chunk, first_line)
    return plan._replace(
        chunk=chunk, waits=True, retries=plan.retries + 1, reason=f"halved after running out of memory: {first_line}"
    )


def _budget(config: DeviceConfig, layout: Layout) -> int | None:
    mine = next(device for device in layout.devices if device.process_index == jax.process_index())
    free = memory.free_memory(mine, sharers=layout.local_devices)
    return None if free is None else int(free * config.batch_margin)


def _worth_waiting(budget: int | None) -> float:
    return _WORTH_WAITING * (_UNKNOWN_BUDGET if budget is None else budget)


def _estimate(bound: Callable[..., Any], traced: Sequence[Any]) -> int:
    return memory.upper_bound(jax.make_jaxpr(bound)(*traced))


def _trial_bytes(bound: Callable[..., Any], traced: Sequence[Any], batch: Batch, size: int) -> int:
    trial = batching.with_batch_size(traced, batch, size)
    taken = memory.program_bytes(jax.jit(bound).lower(*trial).compile())
    # Without the compiler's account the estimate has to do; it is high, so that chunks come out small rather than too large.
    return _estimate(bound, trial) if taken is None else taken
