"""Prices and whole paths, streamed over blocks of paths.

The numbers of a path belong to it (see `methods`) and moments of blocks are combined in one fixed way, so that a result depends
on the key, the paths and the times alone.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError
from gpujax.numerics.random import key_words
from gpujax.pricing.monte_carlo.arguments import Grid, check_process, flat_payoffs, float_dtype, make_grid, path_count
from gpujax.pricing.monte_carlo.blocks import Plan, make_plan, moments_of_blocks, repetitions
from gpujax.pricing.monte_carlo.controls import flat_controls
from gpujax.pricing.monte_carlo.methods import Method, PseudoRandom, whole
from gpujax.pricing.monte_carlo.parameters import as_dtype
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.simulation import Branch, Numbers, initial_states, run_paths
from gpujax.pricing.monte_carlo.statistics import Estimate, Moments, combine, estimates

__all__ = ["Inputs", "make_inputs", "numbers_of", "present_values", "price", "price_moments", "simulate"]


def price(
    process: Process,
    payoff: Any,
    *,
    key: Any,
    paths: int,
    times: Any,
    dtype: Any = None,
    method: Method = PseudoRandom(),  # noqa: B008  (frozen)
    control: Any = None,
    drift: Any = None,
    max_step: float | None = None,
    devices: Sequence[Any] | None = None,
) -> Any:
    """The expected present value of a payoff, with its standard error.

    Arguments:
        process: what moves, from `monte_carlo.processes`.
        payoff: what is paid, from `monte_carlo.payoffs`; or a mapping or tuple of payoffs, which share the paths.
        key: an integer seed, or a key of `jax.random`. The same key gives the same paths.
        paths: how many, from 1 to 2^32.
        times: increasing, > 0, in years: what payoffs see; one number for a single look.
        dtype: of the paths, float64 or float32; by default that of JAX's floating-point numbers. Moments are summed in float64
            wherever 64-bit mode is on.
        method: which numbers paths are made of, from `monte_carlo.methods`: pseudo-random ones (antithetic if you like), Sobol
            points, a Latin hypercube, matched moments.
        control: a control variate `Control(payoff, value)`, or several.
        drift: importance sampling: added to the normal numbers of each step, `[steps, normals]` or `[normals]`;
            `monte_carlo.find_drift` finds a good one.
        max_step: the longest step in years; intervals between times are cut into equal steps that payoffs do not see. For
            schemes that are not exact.
        devices: over which blocks of paths are spread; by default those of the configuration in force. One device where an
            argument is traced, as under `vmap` or `grad`.

    Returns: `Estimate(value, standard_error, paths)`, or a mapping or tuple of them like `payoff`.

    Raises: InputError for times that do not increase, paths out of range, a payoff of the wrong shape; InputTypeError for a key,
        process or payoff that is none.

    Differentiates by the parameters of the process and the payoff, path by path (`greeks` gives standard errors too); maps with
    `vmap` over them on common random numbers.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> found = mc.price(stock, mc.payoffs.european(strike=100.0), key=1, paths=1_000_000, times=1.0)
    >>> abs(float(found.value) - 10.450584) < 4 * float(found.standard_error) < 0.06
    True
    """
    check_process(process)
    leaves, tree = flat_payoffs(payoff)
    grid = make_grid(times, process, float_dtype(dtype), max_step)
    inputs = make_inputs(process, leaves, key, grid, control, drift)
    plan = make_plan(process, method, path_count(paths), grid, inputs, devices=devices)
    found = _price(inputs, plan=plan)
    each = jax.tree.unflatten(tree, [Estimate(m, e, paths) for m, e in zip(*found, strict=True)])
    # JAX sorts the keys of mappings; a caller's order is kept.
    return {name: each[name] for name in payoff} if isinstance(payoff, Mapping) else each


def simulate(
    process: Process,
    *,
    key: Any,
    paths: int,
    times: Any,
    dtype: Any = None,
    method: Method = PseudoRandom(),  # noqa: B008  (frozen)
    max_step: float | None = None,
) -> Any:
    """The prices of whole paths, all in memory.

    Arguments: as for `price`; every method but an antithetic one.

    Returns: `[paths, times]`, or `[paths, times, assets]` for a process of several assets.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2)
    >>> mc.simulate(stock, key=1, paths=3, times=[0.5, 1.0]).shape
    (3, 2)
    """
    check_process(process)
    grid = make_grid(times, process, float_dtype(dtype), max_step)
    if method.antithetic:
        raise InputError("method: antithetic; simulate gives single paths: use PseudoRandom()")
    inputs = make_inputs(process, [], key, grid)
    plan = make_plan(process, method, path_count(paths), grid, inputs, devices=())
    return _simulate(inputs, plan=plan, seen=grid.seen)


class Inputs(NamedTuple):
    """What a run depends on, but for its plan: a pytree of arrays.

    Fields:
        process, payoffs, controls: with parameters of any kind.
        expected: the known values of the controls, `[controls]`.
        key: two words.
        times, looks: of the `Grid`.
        drift: `[steps, normals]`, or None.
    """

    process: Any
    payoffs: list[Any]
    controls: list[Any]
    expected: jax.Array
    key: tuple[jax.Array, jax.Array]
    times: jax.Array
    looks: jax.Array | None
    drift: jax.Array | None


def make_inputs(
    process: Process, payoffs: list[Any], key: Any, grid: Grid, control: Any = None, drift: Any = None
) -> Inputs:
    """Inputs from what a caller gives, checked."""
    controls, expected = flat_controls(control)
    if drift is not None:
        expected_shape = (len(grid.times), process.normals)
        if np.shape(drift) not in (expected_shape, expected_shape[1:]):
            raise InputError(
                f"drift: shape {np.shape(drift)}; expected {expected_shape}, one for each step and normal number, or "
                f"{expected_shape[1:]} for the same in every step"
            )
        drift = jnp.broadcast_to(jnp.asarray(drift, grid.times.dtype), expected_shape)
    return Inputs(process, payoffs, controls, expected, key_words(key), grid.times, grid.looks, drift)


def numbers_of(inputs: Inputs, plan: Plan, path: jax.Array) -> Numbers:
    """The numbers that the block's paths are made of, as the process wants them."""
    known = None if plan.known is None else np.asarray(plan.known)
    layout, dtype = plan.layout, inputs.times.dtype
    numbers = plan.method.numbers(inputs.key, path, plan.points or 0, layout, dtype, known)
    prepare = getattr(inputs.process, "prepare", None)
    if prepare is None:
        return numbers
    return prepare(known, whole(numbers, layout.steps))


def present_values(inputs: Inputs, plan: Plan, path: jax.Array, *, remember: bool = True) -> list[jax.Array]:
    """The present value of every payoff, then of every control, on every path of a block.

    Reverse differentiation remembers everything that a step computes, or computes it again from the step's start.
    """
    dtype = inputs.times.dtype
    # Parameters become numbers of the paths' dtype here, inside whatever differentiates by them.
    process = as_dtype(inputs.process, dtype)
    payoffs = [as_dtype(payoff, dtype) for payoff in (*inputs.payoffs, *inputs.controls)]
    inputs = inputs._replace(process=process)
    start = initial_states(process, path, dtype)
    now = _look(process, start, jnp.asarray(-1, jnp.int32), jnp.zeros((), dtype))
    accounts = [payoff.start(now) for payoff in payoffs]

    def visit(accounts: Any, state: Any, index: jax.Array, time: jax.Array) -> Any:
        now = _look(process, state, index, time)
        return [payoff.update(account, now) for payoff, account in zip(payoffs, accounts, strict=True)]

    branches = run_paths(
        process, numbers_of(inputs, plan, path), path, inputs.times, accounts, visit,
        looks=inputs.looks, drift=inputs.drift, reflect=plan.method.antithetic, remember=remember,
    )  # fmt: skip
    seen = inputs.times.shape[0] if inputs.looks is None else jnp.sum(inputs.looks.astype(jnp.int32))

    def values(branch: Branch) -> list[jax.Array]:
        last = _look(process, branch.state, jnp.asarray(seen - 1, jnp.int32), inputs.times[-1])
        paid = [payoff.value(account, last) for payoff, account in zip(payoffs, branch.carry, strict=True)]
        for value in paid:
            if np.shape(value) != path.shape:
                raise InputError(
                    f"payoff: its values have shape {np.shape(value)}; expected one for each path of a block, "
                    f"{path.shape}: a payoff works on arrays of paths, entry by entry"
                )
        return paid if branch.weight is None else [value * branch.weight for value in paid]

    found = [values(branch) for branch in branches]
    return found[0] if len(found) == 1 else [0.5 * (a + b) for a, b in zip(*found, strict=True)]


def price_moments(inputs: Inputs, plan: Plan, first: Any = 0) -> tuple[Moments, Moments | None]:
    """Moments of all samples from the one numbered `first`, and those of the means of repetitions, if there are any."""
    quantities = len(inputs.payoffs)

    def sampler(inputs: Inputs, path: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        values = present_values(inputs, plan, path)
        return values[:quantities], values[quantities:]

    parts = moments_of_blocks(sampler, inputs, plan, first)
    return combine(parts), repetitions(parts, plan)


@functools.partial(jax.jit, static_argnames=("plan",))
def _price(inputs: Inputs, *, plan: Plan) -> tuple[Any, Any]:
    found, repeated = price_moments(inputs, plan)
    value, error = estimates(found, inputs.expected, repeated)
    return list(value), list(error)


@functools.partial(jax.jit, static_argnames=("plan", "seen"))
def _simulate(inputs: Inputs, *, plan: Plan, seen: int) -> jax.Array:
    dtype = inputs.times.dtype
    process = as_dtype(inputs.process, dtype)

    def block(first: jax.Array) -> Any:
        path = first + jnp.arange(plan.block, dtype=jnp.uint32)

        def visit(carry: Any, state: Any, index: jax.Array, time: jax.Array) -> Any:
            return jax.tree.map(
                lambda room, x: lax.dynamic_update_index_in_dim(room, x, index, 0), carry, process.observe(state)
            )

        shown = process.observe(initial_states(process, path, dtype))
        room = jax.tree.map(lambda _: jnp.zeros((seen, plan.block), dtype), shown)
        numbers = numbers_of(inputs._replace(process=process), plan, path)
        return run_paths(process, numbers, path, inputs.times, room, visit, looks=inputs.looks)[0].carry

    firsts = jnp.arange(-(-plan.samples // plan.block), dtype=jnp.uint32) * jnp.uint32(plan.block)
    found = lax.map(block, firsts)
    joined = jax.tree.map(lambda x: jnp.moveaxis(x, 1, -1).reshape(-1, seen)[: plan.samples], found)
    return jnp.stack(joined, axis=-1) if isinstance(joined, tuple) else joined


def _look(process: Process, state: Any, index: jax.Array, time: jax.Array) -> Observation:
    return Observation(index, time, process.discount(time, state), process.observe(state))
