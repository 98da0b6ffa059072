r"""How much a policy may lose: the dual upper bound of Andersen and Broadie, by simulations within a simulation.

For every martingale $\pi$ that starts from a lower bound $L_0$ the value is at most $L_0 + E \max_k (h_k - \pi_k)$, where $h_k$
is what exercise pays on date k; and it is the value itself for the best martingale (Rogers 2002, Haugh and Kogan 2004). A policy
gives one: with $Q_k$ what it earns after date k, and $L_k$ what it earns from date k on, which is $h_k$ where it exercises and
$Q_k$ elsewhere,

$$ \pi_k = \pi_{k-1} + L_k - Q_{k-1}. $$

$Q_k$ comes from `inner_paths` new paths from where each of the `outer_paths` is on each date. They are unbiased and independent
of those of other dates, so that $\pi$ remains a martingale and the bound a bound; their noise makes it wider, by an amount that
falls with inner_paths. The controls of the policy's regressions take most of it away beforehand (see `fit`).

A date where the policy goes on and exercise pays nothing cannot hold the maximum: there $h_k - \pi_k$ is below its value on the
next date that the policy exercises on, or on the last one. Such dates are left out, and their noise with them (Andersen and
Broadie 2004, section 4).

Source: L. Andersen and M. Broadie, "Primal-Dual Simulation Algorithm for Pricing Multidimensional American Options", Management
Science 50 (2004), 1222-1234; L. C. G. Rogers, "Monte Carlo valuation of American options", Mathematical Finance 12 (2002),
271-286; M. B. Haugh and L. Kogan, "Pricing American Options: A Duality Approach", Operations Research 52 (2004), 258-270.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.random import threefry
from gpujax.pricing.monte_carlo.arguments import MOST_PATHS, check_process, float_dtype, make_grid, path_count
from gpujax.pricing.monte_carlo.blocks import Plan, make_plan, moments_of_blocks
from gpujax.pricing.monte_carlo.early_exercise.fit import stream
from gpujax.pricing.monte_carlo.early_exercise.policy import ExerciseValue, Policy, exercised
from gpujax.pricing.monte_carlo.early_exercise.recording import Place, control_count, noise_controls, record
from gpujax.pricing.monte_carlo.engine import Inputs, look, make_inputs, numbers_of
from gpujax.pricing.monte_carlo.methods import PseudoRandom
from gpujax.pricing.monte_carlo.parameters import as_dtype
from gpujax.pricing.monte_carlo.payoffs.payoff import check_looks
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.statistics import Estimate, combine, estimates

__all__ = ["duality_gap", "upper_bound"]

# Inner paths that are simulated together.
_TOGETHER = 1 << 15


def duality_gap(
    policy: Policy,
    process: Process,
    exercise_value: ExerciseValue,
    *,
    key: Any,
    outer_paths: int = 1024,
    inner_paths: int = 128,
    dtype: Any = None,
    max_step: float | None = None,
    devices: Sequence[Any] | None = None,
) -> Estimate:
    """By how much the dual upper bound lies above what the policy earns; it bounds what the policy loses.

    Arguments:
        policy: from `fit_policy`.
        process, exercise_value: as for `fit_policy`. The process may not need the noise of whole paths (`prepare`).
        key: an integer seed, or a key of `jax.random`; the paths are other ones than those of `fit_policy` and `price` for it.
        outer_paths: how many gaps the estimate is a mean of.
        inner_paths: from each outer path on each date, a multiple of four: they come in antithetic pairs, two at a time. Their
            noise makes the gap too large.
        dtype, max_step, devices: as for `price`.

    Returns: `Estimate(value, standard_error, paths)`, never below zero but for noise.

    The cost is that of outer_paths * inner_paths * dates / 2 paths.

    Raises: InputError for inner paths that are no multiple of 4, fewer than 2 outer ones, and more than 2^32 of both together;
        InputTypeError for a process that prepares its noise.
    """
    check_process(process)
    outer_paths, inner_paths = path_count(outer_paths, "outer_paths"), path_count(inner_paths, "inner_paths")
    if outer_paths < 2:
        raise InputError(f"outer_paths: {outer_paths}; expected at least 2, for the error comes from their differences")
    if inner_paths % 4:
        raise InputError(f"inner_paths: {inner_paths}; expected a multiple of 4, for they come in two antithetic pairs")
    if outer_paths * inner_paths > MOST_PATHS:
        raise InputError(
            f"inner_paths: {inner_paths} for each of {outer_paths}; expected at most {MOST_PATHS} together"
        )
    if hasattr(process, "prepare"):
        raise InputTypeError(
            f"process: {type(process).__name__} makes the noise of whole paths at once, so that no path can be continued from "
            "a date; there is only its lower_bound"
        )
    grid = make_grid(policy.times, process, float_dtype(dtype), max_step)
    right = exercised(exercise_value, policy)
    check_looks(right, grid.seen)
    inputs = make_inputs(process, [right], key, grid)
    most = max(1, _TOGETHER // inner_paths)
    plan = make_plan(process, PseudoRandom(), outer_paths, grid, inputs, devices=devices, most=most)
    ends = np.arange(grid.seen) if grid.looks is None else np.flatnonzero(np.asarray(grid.looks))
    dates = np.asarray(policy.exercise_at)
    # A policy of a process with other noise is as good as any, but has no coefficients for this one's.
    shape = (grid.seen, control_count(process.normals))
    of_noise = policy.of_noise if np.shape(policy.of_noise) == shape else np.zeros(shape)
    dates, ends = np.asarray(dates, np.int32), np.asarray(ends[dates], np.int32)
    value, error = _gap(inputs, of_noise, dates, ends, plan=plan, inner=inner_paths)
    return Estimate(value, error, outer_paths)


def upper_bound(lower: Estimate, gap: Estimate) -> Estimate:
    """The upper bound of the value that belongs to a lower bound and the gap above it, which come from independent paths.

    Arguments:
        lower: from `lower_bound`.
        gap: from `duality_gap` with the same policy.

    >>> found = upper_bound(Estimate(10.0, 0.03, 1000), Estimate(0.1, 0.04, 500))
    >>> round(float(found.value), 3), round(float(found.standard_error), 3)
    (10.1, 0.05)
    """
    value, error = _beside(gap.value, lower.value), _beside(gap.standard_error, lower.standard_error)
    return Estimate(lower.value + value, jnp.hypot(lower.standard_error, error), gap.paths)


def _beside(x: Any, other: Any) -> Any:
    """On the devices of the other: a run of few blocks leaves its result on fewer devices than one of many."""
    known = isinstance(x, jax.Array) and isinstance(other, jax.Array)
    if not known or isinstance(x, Tracer) or isinstance(other, Tracer):
        return x
    return jax.device_put(x, other.sharding)


@functools.partial(jax.jit, static_argnames=("plan", "inner"))
def _gap(
    inputs: Inputs, of_noise: jax.Array, dates: jax.Array, ends: jax.Array, *, plan: Plan, inner: int
) -> tuple[jax.Array, jax.Array]:
    dtype = inputs.times.dtype

    def sampler(all_inputs: Any, path: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        inputs, of_noise, dates, ends = all_inputs
        process, right = as_dtype(inputs.process, dtype), as_dtype(inputs.payoffs[0], dtype)
        inner_key = stream(inputs.key, 3)
        inputs = inputs._replace(process=process, key=stream(inputs.key, 2))
        numbers = numbers_of(inputs, plan, path)
        places = record(process, right.payoff, numbers, path, inputs.times, inputs.looks, dates)
        # Every outer path's inner ones are counted by themselves, whatever the block. One draw serves four: a pair of normal
        # numbers and its mirror images.
        draws = path[:, None] * jnp.uint32(inner // 4) + jnp.arange(inner // 4, dtype=jnp.uint32)[None, :]

        def climb(carry: Any, at: Any) -> tuple[Any, None]:
            martingale, after, highest = carry
            date, end, place = at
            now = look(process, place.state, date, inputs.times[end])
            stops, worth = right.decide(place.account, now, place.state)
            worth = jnp.maximum(worth, 0)
            paid, controls = _earned_after(inputs, right, inner_key, plan, draws, place, date, end)
            # The coefficients come from other paths, so that nothing is biased.
            noise = sum((c * x for c, x in zip(of_noise[date], controls, strict=True)), jnp.zeros_like(paid))
            next_after = paid - now.discount * noise
            martingale = martingale + jnp.where(stops, worth, next_after) - after
            possible = stops | (worth > 0) | (date == dates[-1])
            highest = jnp.where(possible, jnp.maximum(highest, worth - martingale), highest)
            return (martingale, next_after, highest), None

        # What the policy earns altogether is left out: the martingale starts from it, and takes it off in its first step.
        zero = jnp.zeros(path.shape, dtype)
        start = (zero, zero, jnp.full_like(zero, -jnp.inf))
        return [lax.scan(climb, start, (dates, ends, places))[0][2]], []

    parts = moments_of_blocks(sampler, (inputs, of_noise.astype(dtype), dates, ends), plan)
    value, error = estimates(combine(parts), jnp.zeros(0, parts.mean.dtype))
    return value[0], error[0]


def _earned_after(
    inputs: Inputs,
    right: Any,
    inner_key: Any,
    plan: Plan,
    draws: jax.Array,
    place: Place,
    date: jax.Array,
    end: jax.Array,
) -> tuple[jax.Array, list[jax.Array]]:
    """Means over inner paths that begin where the outer ones are on a date, the end of the step `end`.

    Returns: what the policy earns after the date, and the controls of the noise on the way to that.
    """
    times, looks, process = inputs.times, inputs.looks, inputs.process
    outer, quarter = draws.shape
    count, normals = times.shape[0], plan.layout.normals
    seen = jnp.arange(count, dtype=jnp.int32) if looks is None else jnp.cumsum(looks, dtype=jnp.int32) - 1
    key = threefry(inner_key, (date.astype(jnp.uint32), jnp.uint32(0)))
    # Pseudo-random numbers are made on the way.
    draw: Any = plan.method.numbers(key, draws.reshape(-1), 0, plan.layout, times.dtype, None)

    def spread(x: jax.Array) -> jax.Array:
        wide = jnp.broadcast_to(x[..., None, :, None], (*x.shape[:-1], 4, outer, quarter))
        return wide.reshape(*x.shape[:-1], 4 * outer * quarter)

    def four(z: jax.Array, normal: bool) -> jax.Array:
        mirrored = [-z.real, -z.imag] if normal else [1 - z.real, 1 - z.imag]
        return jnp.concatenate([z.real, z.imag, *mirrored])

    def step(k: jax.Array, loop: Any) -> Any:
        state, carry, added, elapsed, ahead = loop
        numbers = tuple(four(z, i < normals) for i, z in enumerate(ahead))
        length = times[k] - times[k - 1]
        state = process.advance(state, times[k - 1], length, numbers)
        waits = carry[1] == 0
        root = jnp.where(waits, jnp.sqrt(length), 0)
        added = tuple(w + root * z for w, z in zip(added, numbers, strict=False))
        elapsed = elapsed + jnp.where(waits, length, 0)

        def looked() -> Any:
            return right.moved(carry, look(process, state, seen[k], times[k]), state)

        carry = looked() if looks is None else lax.cond(looks[k], looked, lambda: carry)
        return state, carry, added, elapsed, draw(k + 1)

    def mean(x: jax.Array) -> jax.Array:
        return jnp.mean(x.reshape(4, outer, quarter), axis=(0, 2))

    state, account = jax.tree.map(spread, (place.state, place.account))
    zero = jnp.zeros(4 * outer * quarter, times.dtype)
    start = state, (account, zero), (zero,) * normals, zero, draw(end + 1)
    _, (_, paid), added, elapsed, _ = lax.fori_loop(end + 1, count, step, start)
    return mean(paid), [mean(x) for x in noise_controls(added, elapsed)]
