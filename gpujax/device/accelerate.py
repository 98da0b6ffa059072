"""`accelerate`: the one way to hardware. The same call on one CPU, one GPU, several devices or several hosts.

This file carries calls out; the parts it uses are in `precision`, `batching` (what the batch is), `planning` and `memory` (how
much of it at a time), `programs` (compiled for one device or a mesh) and `host_arrays` (NumPy in, NumPy out). It changes no
number: entries of a batch are independent, so that neither shards nor chunks nor padding show in a result.
"""

import concurrent.futures
import contextvars
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import get_opaque_trace_state

from gpujax.device import batching, host_arrays, memory, planning, precision, programs
from gpujax.device.batching import Batch, BatchAxis, Call, Results
from gpujax.device.config import DeviceConfig
from gpujax.device.configure import current_config
from gpujax.device.planning import Plan
from gpujax.errors import InputError, InputTypeError

__all__ = ["Plan", "accelerate"]

# Plans and programs remembered per accelerated function; the oldest go first.
_MOST_REMEMBERED = 1024

_NUMPY_SCALARS = frozenset({np.float64, np.float32, np.bool_})

# Set while a plan is carried out: what is traced then has been found to fit.
_planned: contextvars.ContextVar[bool] = contextvars.ContextVar("planned", default=False)


def accelerate(
    fn: Callable[..., Any], config: DeviceConfig | None = None, *, batch_axis: BatchAxis = 0
) -> Callable[..., Any]:
    """The function, run on the configured devices: cast, padded, sharded, in chunks that fit in memory.

    Arguments:
        fn: a pure JAX function whose entries along the batch axis are independent: its results for some entries must not depend
            on the others. Sums over the batch are refused; random numbers drawn in the shape of the batch would repeat in each
            shard, so pass them in, or one key per entry. It need not be jitted. Arguments may be positional or by keyword:
            arrays, Python floats, and containers of them are data; Python integers, booleans, strings and tuples of strings
            are constants, for each of which the function is compiled anew (give a number that varies as a float). A function
            that names its constants in an attribute `static`, as gpujax's own do, takes integers and booleans as data elsewhere.
        config: devices, parallelism, precision and memory policy; by default `current_config()` at the first call.
        batch_axis: the axis along which entries lie: an integer for all arguments (negative counts from the back); a mapping from
            the names of the batched arguments to their axes; or None if nothing is batched. Arguments whose axis has size 1, or
            that lack it, are broadcast.

    Returns: a function of the same arguments. Its results have the dtype of the floating inputs and the values that `fn` gives in
        the policy's precision, on any number of devices. NumPy arrays in give new, writable NumPy arrays out, which are finished;
        if any input is a JAX array, results are JAX arrays, computed asynchronously unless they are large. No reference to an
        input is kept. Called while JAX traces (inside `jit`, `vmap`, `grad`) it is `fn` itself under the precision policy. The
        attribute `plans()` lists what was decided for calls that needed a decision (`Plan`).

    Edges: an empty batch gives empty results; a batch smaller than the number of devices is padded. If the configuration has one
        device and that is JAX's default, nothing is moved: JAX arrays committed to another are computed there. On several hosts
        (`jax.distributed`) each host brings its own part of the batch, of the same size on each; NumPy results are that part, JAX
        results one array over all hosts (their parts must divide by the host's devices). There `batch_limit` alone makes chunks.

    Cost: with one device, JAX arrays and nothing to cast, a type check of each argument more than the jitted function
        (`benchmarks/accelerate.py`).

    Raises: InputError for arguments whose batch sizes differ, a result without a batch axis, a `batch_axis` naming no argument;
        InputTypeError for arguments that are neither data nor constants; DeviceError if a device is missing or one entry alone
        does not fit in memory. When called: what `fn` raises.

    Warns: PrecisionWarning, once, if float64 arrays come while JAX's 64-bit mode is off and the policy is float64.

    >>> import jax.numpy as jnp, numpy as np
    >>> import gpujax as gj
    >>> gj.configure()  # doctest: +SKIP
    >>> discount = gj.accelerate(lambda *, rate, expiry: jnp.exp(-rate * expiry), gj.DeviceConfig())
    >>> discount(rate=np.zeros(2), expiry=1.5)
    array([1., 1.])
    """
    _check_batch_axis(fn, batch_axis)
    runner: _Runner | None = None

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal runner
        if runner is None:
            runner = _Runner(fn, config or current_config(), batch_axis)
        # The quick way, for which every microsecond counts: arrays of JAX, or short ones of NumPy, and one device.
        if runner.quick and (not args or runner.quick_kinds.issuperset(map(type, args))):
            device_array, numpy_array, numbers, static = runner.array_kind, np.ndarray, runner.numbers, runner.static
            on_device, on_host = bool(args), False
            traced, fixed = {}, ()
            for name, value in kwargs.items():
                kind = type(value)
                if kind is device_array:
                    traced[name] = value
                    on_device = True
                elif name in static:
                    fixed += ((name, kind, value),)
                elif kind in numbers:
                    traced[name] = value
                elif kind is bool or kind is str:
                    fixed += ((name, kind, value),)
                elif kind in _NUMPY_SCALARS or (kind is numpy_array and value.size < host_arrays.BLOCK_ELEMENTS):
                    traced[name] = value
                    on_host = True
                else:
                    return runner.run(args, kwargs)
            if not on_host or (not on_device and runner.may_take_numpy()):
                try:
                    values = (runner.jitted.get(fixed) or runner.jit(fixed))(*args, **traced)
                    return host_arrays.fetch_all(values) if on_host else values
                except _TooLarge:
                    runner.quick = False
                except jax.errors.JaxRuntimeError as error:
                    if not memory.is_out_of_memory(error):
                        raise
                    runner.quick, runner.cautious = False, True
                except TypeError:
                    runner.check_kinds(runner.take_apart(args, kwargs))
                    raise
        return runner.run(args, kwargs)

    call.plans = lambda: () if runner is None else tuple(p.plan for p in tuple(runner.prepared.values()))  # pyright: ignore
    return call


class _TooLarge(Exception):
    """Raised while tracing: the call may need so much memory that it should be planned."""


class _Prepared(NamedTuple):
    """A plan with what carries it out."""

    plan: Plan
    fixed: tuple[Any, ...]
    treedef: Any
    batch: Batch
    results: Results | None
    program: Callable[..., Any]


class _Runner:
    """One accelerated function, its devices, and what has been decided and compiled for it."""

    def __init__(self, fn: Callable[..., Any], config: DeviceConfig, batch_axis: BatchAxis) -> None:
        self.fn = fn
        self.name = _name(fn)
        self.config = config
        self.batch_axis = batch_axis
        self.layout = programs.plan_layout(config)
        self.alone = programs.plan_layout(config, alone=True)
        self.precise = precision.with_precision(fn, config)
        self.jitted: dict[Any, Callable[..., Any]] = {}
        self.programs: dict[Any, Callable[..., Any]] = {}
        self.prepared: dict[Any, _Prepared] = {}
        self.quick = self.layout.mesh is None and self.layout.is_default
        # A function may say which of its arguments select code (an attribute, `static`); then Python's integers and booleans are
        # numbers everywhere else, as they are to the function itself.
        declared = getattr(fn, "static", None)
        self.static = frozenset(declared or ())
        self.numbers = frozenset({float} if declared is None else {float, bool, int})
        self.take_apart = functools.partial(batching.take_apart, static=None if declared is None else self.static)
        self.cautious = False  # memory ran out once without warning: wait for results, however small
        with jax.ensure_compile_time_eval():  # the first call may come while JAX traces
            self.array_kind = type(jnp.zeros(()))
        self.quick_kinds = frozenset({self.array_kind, float})

    def jit(self, fixed: tuple[Any, ...]) -> Callable[..., Any]:
        """The function compiled for one device, given the arguments that select code."""
        function = batching.put_together(self.precise, fixed)

        def inspected(*args: Any, **kwargs: Any) -> Any:
            # Runs while JAX traces, so once per shape: the place to look at calls that JAX then dispatches by itself.
            batch = self.batch(Call(args, kwargs, fixed))
            if not _planned.get() and batch.size is not None and batch.size > 1:
                traced, treedef = jax.tree.flatten((args, kwargs))
                bound = batching.of_leaves(function, treedef)
                if planning.worth_planning(bound, traced, batch, self.config, self.layout):
                    raise _TooLarge
            results = function(*args, **kwargs)
            batching.check_results(self.name, results, batch)
            return results

        inspected.__name__ = inspected.__qualname__ = self.name  # for profiles and messages
        return self.jitted.setdefault(fixed, jax.jit(inspected))

    def batch(self, call: Call) -> Batch:
        """The entries of a call."""
        return batching.find_batch(self.name, batching.named_leaves(self.fn, call), self.batch_axis)

    def check_kinds(self, call: Call) -> None:
        """Raise the InputTypeError for an array that JAX cannot take, if there is one."""
        batching.check_kinds(self.name, batching.named_leaves(self.fn, call))

    def may_take_numpy(self) -> bool:
        """Whether NumPy arrays may go the quick way: not to be rounded unsaid, and results can be fetched."""
        x64 = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
        return x64 and not _tracing()

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Any call: plan its shape, unless that was done before, and carry it out; with less at a time if memory runs out."""
        leaves = jax.tree.leaves((args, kwargs))
        if any(isinstance(leaf, Tracer) for leaf in leaves) or _tracing():
            return self.precise(*args, **kwargs)
        call = self.take_apart(args, kwargs)
        traced, treedef = jax.tree.flatten((call.args, call.kwargs))
        on_device = any(isinstance(leaf, jax.Array) for leaf in traced)
        to_host = not on_device and any(isinstance(leaf, (np.ndarray, np.generic)) for leaf in traced)
        precision.warn_if_rounded(self.name, lambda: batching.named_leaves(self.fn, call), self.config, stacklevel=3)
        if on_device:
            # The results are handed out before everything has been read: what is read must not be the caller's to change.
            traced = [leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in traced]
        if self.layout.hosts > 1 and any(
            isinstance(leaf, jax.Array) and not leaf.is_fully_addressable for leaf in traced
        ):
            # Already spread over the hosts: the computation goes where the data are.
            return (self.jitted.get(call.fixed) or self.jit(call.fixed))(*call.args, **call.kwargs)
        key = (call.fixed, treedef, to_host, tuple(map(_signature, traced)))
        prepared = self.prepared.get(key)
        if prepared is None:
            self.check_kinds(call)
            batch = self.batch(call)
            bound = self.bound(call.fixed, treedef)
            plan = planning.decide(self.name, bound, traced, batch, self.config, self.layout, to_host)
            plan = plan._replace(waits=plan.waits or self.cautious)
            prepared = _remember(self.prepared, key, self._prepare(plan, call.fixed, treedef, batch, traced, to_host))
        token = _planned.set(True)
        try:
            while True:
                try:
                    return self._carry_out(prepared, traced, to_host)
                except jax.errors.JaxRuntimeError as error:
                    if not memory.is_out_of_memory(error) or self.layout.hosts > 1:
                        raise
                    message = str(error)
                # Outside the handler: its traceback would keep the failed attempt's arrays alive.
                plan = planning.with_less(self.name, prepared.plan, message)
                _, fixed, treedef, batch, *_ = prepared
                prepared = _remember(self.prepared, key, self._prepare(plan, fixed, treedef, batch, traced, to_host))
        finally:
            _planned.reset(token)

    def bound(self, fixed: tuple[Any, ...], treedef: Any) -> Callable[..., Any]:
        """The function, under the precision policy, of the traced leaves alone."""
        return batching.of_leaves(batching.put_together(self.precise, fixed), treedef)

    def _prepare(
        self, plan: Plan, fixed: tuple[Any, ...], treedef: Any, batch: Batch, traced: list[Any], to_host: bool
    ) -> _Prepared:
        """What carries out a plan. Programs that take any number of entries are shared among batches of all sizes."""
        self.quick = self.quick and not plan.waits
        jitted = batching.of_leaves(self.jitted.get(fixed) or self.jit(fixed), treedef)
        alone = plan.devices == 1
        if alone and plan.chunk is None and not (to_host and host_arrays.is_long(traced, batch.axes)):
            return _Prepared(plan, fixed, treedef, batch, None, jitted)
        bound = self.bound(fixed, treedef)
        results = batching.find_results(self.name, bound, traced, batch)
        if alone and to_host:
            return _Prepared(plan, fixed, treedef, batch, results, lambda *leaves: jax.tree.leaves(jitted(*leaves)))
        # What is streamed comes in chunks already; what is resident is cut by a loop on the device.
        share = programs.share(batch.size, self.layout)  # pyright: ignore[reportArgumentType]
        loop = None if plan.chunk is None or (to_host and self.layout.hosts == 1) else (share, plan.chunk)
        key = (fixed, treedef, batch.axes, results.axes, loop)
        program = self.programs.get(key)
        if program is None:
            local = batching.in_chunks(bound, batch, results, *(loop or (1, 1)))
            compiled = programs.compile_program(local, batch, results, self.layout)
            program = _remember(self.programs, key, compiled)
        return _Prepared(plan, fixed, treedef, batch, results, program)

    def _carry_out(self, prepared: _Prepared, traced: list[Any], to_host: bool) -> Any:
        plan, _, _, batch, results, program = prepared
        if results is None:
            values = program(*programs.place(traced, batch, self.alone))
            if to_host:
                return host_arrays.fetch_all(values)
            return jax.block_until_ready(values) if plan.waits else values
        if to_host and self.layout.hosts == 1:
            leaves = self._stream(plan, batch, results, program, traced)
        else:
            if self.layout.hosts > 1 and not to_host:
                programs.check_divides(self.name, batch, self.layout)
            leaves = program(*programs.place(traced, batch, self.layout))
            if to_host:
                leaves = programs.local_parts(leaves, results.axes, batch.size)  # pyright: ignore[reportArgumentType]
            else:
                leaves = programs.without_padding(leaves, results.axes, batch.size * self.layout.hosts)  # pyright: ignore[reportOptionalOperand]
            if plan.waits:
                jax.block_until_ready(leaves)
        return jax.tree.unflatten(results.treedef, leaves)

    def _stream(
        self, plan: Plan, batch: Batch, results: Results, program: Callable[..., Any], traced: list[Any]
    ) -> list[np.ndarray]:
        blocks = host_arrays.plan_blocks(
            batch.size,  # pyright: ignore[reportArgumentType]
            traced,
            batch.axes,
            most=None if plan.chunk is None else plan.chunk * plan.devices,
            align=plan.devices == 1 and self.config.platform == "cpu",
        )
        values = [np.empty(leaf.shape, leaf.dtype) for leaf in results.leaves]

        def run(*pieces: Any) -> Any:
            return program(*programs.place(pieces, batch, self.layout))

        host_arrays.stream(run, traced, batch.axes, blocks, values, results.axes)
        return values


def _remember(store: dict[Any, Any], key: Any, value: Any) -> Any:
    while len(store) >= _MOST_REMEMBERED and key not in store:
        store.pop(next(iter(store)), None)
    store[key] = value
    return value


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _tracing() -> bool:
    """Whether JAX is tracing, so that even a computation on constants has no value yet."""
    return get_opaque_trace_state(convention="flax") != _eager_state()


@functools.cache
def _eager_state() -> Any:
    # Tracing is a matter of the thread: a fresh one is not.
    with concurrent.futures.ThreadPoolExecutor(1) as fresh:
        return fresh.submit(get_opaque_trace_state, convention="flax").result()


def _signature(leaf: Any) -> Any:
    """What of a leaf decides how it is compiled."""
    if hasattr(leaf, "dtype"):
        return leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)
    return type(leaf)


def _check_batch_axis(fn: Callable[..., Any], batch_axis: Any) -> None:
    if batch_axis is None or (isinstance(batch_axis, int) and not isinstance(batch_axis, bool)):
        return
    if not isinstance(batch_axis, Mapping):
        raise InputTypeError(
            f"batch_axis: {type(batch_axis).__name__} {batch_axis!r:.60}; expected an integer, None, or a mapping from argument "
            "names to axes such as {'spot': 0}"
        )
    known = batching.parameter_names(fn)
    for name, axis in batch_axis.items():
        if known is not None and name not in known:
            raise InputError(f"batch_axis names {name!r}, but the arguments of {_name(fn)} are {', '.join(known)}")
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise InputTypeError(f"batch_axis[{name!r}]: {axis!r:.60}; expected an integer, or leave {name!r} out")
