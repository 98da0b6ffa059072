"""Runs that end when the error is small enough, or the time is up; that show how far they are, and can go on another day."""

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.arguments import (
    MOST_PATHS,
    check_process,
    flat_payoffs,
    float_dtype,
    make_grid,
    path_count,
)
from gpujax.pricing.monte_carlo.blocks import Plan, make_plan
from gpujax.pricing.monte_carlo.engine import Inputs, make_inputs, price_moments
from gpujax.pricing.monte_carlo.methods import Method, PseudoRandom
from gpujax.pricing.monte_carlo.precision import choose_dtype
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.saved import fingerprint, read_arrays, write_arrays
from gpujax.pricing.monte_carlo.statistics import Estimate, Moments, estimates, merge

__all__ = ["Progress", "Run", "price_until"]

_CHUNK = 1 << 18
_SAVE_SECONDS = 5.0


class Progress(NamedTuple):
    """How far a run is.

    Fields:
        paths: simulated so far, those of saved runs included.
        seconds: spent in this call.
        value, standard_error: of the payoff whose error is largest in relation to what was asked for.
        needed: paths that the target is expected to take, or None without a target.
    """

    paths: int
    seconds: float
    value: float
    standard_error: float
    needed: int | None


class Run(NamedTuple):
    """The outcome of a run.

    Fields:
        estimates: `Estimate`, or a mapping or tuple of them like the payoff.
        stopped: what ended it: "standard error", "seconds", "paths", or "no variance" where all samples are the same, so that
            the standard error says nothing.
        paths: all that the estimates come from.
        seconds: spent in this call, compilation included.
    """

    estimates: Any
    stopped: Literal["standard error", "seconds", "paths", "no variance"]
    paths: int
    seconds: float


def price_until(
    process: Process,
    payoff: Any,
    *,
    key: Any,
    times: Any,
    standard_error: float | None = None,
    seconds: float | None = None,
    most_paths: int = MOST_PATHS,
    chunk: int | None = None,
    progress: bool | Callable[[Progress], None] = False,
    save: Any = None,
    dtype: Any = None,
    method: Method = PseudoRandom(),  # noqa: B008  (frozen)
    control: Any = None,
    drift: Any = None,
    max_step: float | None = None,
    devices: Sequence[Any] | None = None,
) -> Run:
    """The price of a payoff, by as many paths as it takes.

    Paths are simulated in chunks until every payoff's standard error is at most `standard_error`, or the next chunk would not end
    within `seconds`, or `most_paths` are reached. The result is that of `price` with as many paths, up to rounding.

    Arguments:
        standard_error: the target, > 0, in currency; None for none.
        seconds: the time there is, > 0, compilation included; at least one chunk is simulated. None for no limit.
        most_paths: a bound, up to 2^32.
        chunk: paths at a time; by default 262,144. For a method that repeats a point set, a chunk is one set of replicates, and
            every chunk adds as many independent ones: larger chunks gain more from the points.
        progress: True for a line on the terminal, or a function that gets a `Progress` after every chunk.
        save: path of a file: the state is written there (whole or not at all), at most every five seconds and at the end; where
            it exists the run goes on from it. Interrupting a run loses at most what came after the last writing.
        others: as for `price`.

    Returns: `Run(estimates, stopped, paths, seconds)`.

    Raises: InputError as `price`; where there is neither a target nor a time nor a bound; where the first chunk shows that the
        target would take more than `most_paths`; where a saved state belongs to another calculation.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> run = price_until(stock, mc.payoffs.european(strike=100.0), key=1, times=1.0, standard_error=0.02)
    >>> run.stopped, bool(run.estimates.standard_error <= 0.02)
    ('standard error', True)
    """
    check_process(process)
    leaves, tree = flat_payoffs(payoff)
    for name, limit in (("standard_error", standard_error), ("seconds", seconds)):
        if limit is not None and not limit > 0:
            raise InputError(f"{name}: {limit}; expected a number > 0, or None")
    if standard_error is None and seconds is None and most_paths == MOST_PATHS:
        raise InputError(
            "standard_error: None, and neither seconds nor most_paths; the run would not end: give one of them"
        )
    aim = {"standard_error": standard_error} if standard_error is not None else {"paths": most_paths}
    dtype = choose_dtype(dtype, process, payoff, key=key, times=times, max_step=max_step, drift=drift, **aim)
    grid = make_grid(times, process, float_dtype(dtype), max_step)
    inputs = make_inputs(process, leaves, key, grid, control, drift)
    most = path_count(most_paths, "most_paths")
    size = path_count(min(most, _CHUNK) if chunk is None else chunk, "chunk")
    plan = make_plan(process, method, size, grid, inputs, devices=devices)
    if size > most:
        raise InputError(f"chunk: {size}, more than most_paths {most}; make it smaller")

    mark = "" if save is None else fingerprint((inputs, method, grid.known, size))
    state = _State() if save is None else _read(save, mark)
    report = _reporter(progress)
    begin = saved = time.monotonic()
    longest, fresh = 0.0, False
    value = error = np.zeros(0)
    stopped: Any = None
    try:
        while stopped is None:
            if state.paths:
                value, error = (np.asarray(x) for x in _estimates(state.found, inputs.expected, state.repeated))
                needed = (
                    None if standard_error is None else math.ceil(state.paths * (np.max(error) / standard_error) ** 2)
                )
                worst = int(np.argmax(error))
                spent = time.monotonic() - begin
                report(Progress(state.paths, spent, float(value[worst]), float(error[worst]), needed))
                stopped = _verdict(state.paths + plan.paths, error, standard_error, seconds, spent + longest, most)
                if stopped is not None:
                    break
                if needed is not None and needed > most:
                    raise InputError(
                        f"standard_error: {standard_error} would take about {needed:,} paths, more than most_paths {most:,}; "
                        f"ask for {np.max(error) * math.sqrt(state.paths / most):.2g} or more, use a control variate or "
                        "methods.Sobol(), or raise most_paths"
                    )
            start = time.monotonic()
            found = jax.block_until_ready(_chunk(inputs, jnp.uint32(state.samples), plan=plan))
            state, fresh = state.joined(plan, *found), True
            # The first chunk compiles; what later ones take is seen from the second on.
            took = time.monotonic() - start
            longest = took if not longest else min(longest, 1.2 * took)
            if save is not None and time.monotonic() - saved > _SAVE_SECONDS:
                _write(save, mark, state)
                saved, fresh = time.monotonic(), False
    finally:
        report(None)
        if save is not None and fresh:
            _write(save, mark, state)
    each = [Estimate(float(m), float(e), state.paths) for m, e in zip(value, error, strict=True)]
    named = jax.tree.unflatten(tree, each)
    named = {name: named[name] for name in payoff} if isinstance(payoff, Mapping) else named
    return Run(named, stopped, state.paths, time.monotonic() - begin)


class _State(NamedTuple):
    """What has been simulated: how many samples and paths, and their moments."""

    samples: int = 0
    paths: int = 0
    found: Moments | None = None
    repeated: Moments | None = None

    def joined(self, plan: Plan, found: Moments, repeated: Moments | None) -> "_State":
        if self.found is not None:
            found = _merge(self.found, found)
            repeated = None if self.repeated is None or repeated is None else _merge(self.repeated, repeated)
        return _State(self.samples + plan.samples, self.paths + plan.paths, found, repeated)


@functools.partial(jax.jit, static_argnames=("plan",))
def _chunk(inputs: Inputs, first: jax.Array, *, plan: Plan) -> tuple[Moments, Moments | None]:
    return price_moments(inputs, plan, first)


_merge = jax.jit(merge)
_estimates = jax.jit(estimates)


def _verdict(
    after: int, error: np.ndarray, target: float | None, seconds: float | None, until: float, most: int
) -> str | None:
    """Why to stop now: `after` and `until` are the paths and the time at which another chunk would end."""
    if np.all(error == 0):
        return "no variance"
    if target is not None and np.all(error <= target):
        return "standard error"
    if seconds is not None and until > seconds:
        return "seconds"
    return "paths" if after > most else None


def _write(path: Any, mark: str, state: _State) -> None:
    arrays = {"samples": np.asarray(state.samples), "paths": np.asarray(state.paths)}
    for name in ("found", "repeated"):
        moments = getattr(state, name)
        if moments is not None:
            arrays |= {f"{name}.{field}": np.asarray(x) for field, x in moments._asdict().items()}
    write_arrays(path, mark, arrays)


def _read(path: Any, mark: str) -> _State:
    arrays = read_arrays(path, mark)
    if arrays is None:
        return _State()

    def moments(name: str) -> Moments | None:
        fields = {field: arrays.get(f"{name}.{field}") for field in Moments._fields}
        return None if fields["mean"] is None else Moments(**{k: jnp.asarray(x) for k, x in fields.items()})

    return _State(int(arrays["samples"]), int(arrays["paths"]), moments("found"), moments("repeated"))


def _reporter(progress: bool | Callable[[Progress], None]) -> Callable[[Progress | None], None]:
    """What is called with every `Progress`, and with None at the end."""
    if callable(progress):
        return lambda now: None if now is None else progress(now)
    if not progress:
        return lambda now: None
    from rich.console import Console
    from rich.live import Live

    live = Live(console=Console(stderr=True), refresh_per_second=4)

    def show(now: Progress | None) -> None:
        if now is None:
            live.stop()
            return
        if not live.is_started:
            live.start()
        share = "" if now.needed is None else f"  {min(1.0, now.paths / max(now.needed, 1)):.0%} of {now.needed:,}"
        live.update(f"{now.paths:,} paths{share}  {now.value:.6g} ± {now.standard_error:.2g}  {now.seconds:.0f} s")

    return show
