"""Prices and whole paths, streamed over blocks of paths.

The numbers of a path belong to it (see `methods`) and moments of blocks are combined in one fixed way, so that a result depends
on the key, the paths and the times alone.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.arguments import check_process, flat_payoffs, float_dtype, make_grid, path_count
from gpujax.pricing.monte_carlo.blocks import Plan, at_home, make_plan
from gpujax.pricing.monte_carlo.engine import Inputs, make_inputs, numbers_of, price_moments
from gpujax.pricing.monte_carlo.methods import Method, PseudoRandom
from gpujax.pricing.monte_carlo.parameters import as_dtype
from gpujax.pricing.monte_carlo.precision import choose_dtype
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.simulation import initial_states, run_paths
from gpujax.pricing.monte_carlo.statistics import Estimate, estimates

__all__ = ["price", "simulate"]


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
        dtype: of the paths, float64 or float32; by default that of JAX's floating-point numbers. "auto" for float32 where it
            changes the value by less than a tenth of the standard error of as many independent paths, as `measure_precision`
            finds on a pilot. Moments are summed in float64 wherever 64-bit mode is on.
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
    dtype = choose_dtype(
        dtype, process, payoff, key=key, times=times, paths=path_count(paths), max_step=max_step, drift=drift
    )
    grid = make_grid(times, process, float_dtype(dtype), max_step)
    inputs = make_inputs(process, leaves, key, grid, control, drift)
    plan = make_plan(process, method, path_count(paths), grid, inputs, devices=devices)
    found = at_home(_price(inputs, plan=plan), plan)
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
