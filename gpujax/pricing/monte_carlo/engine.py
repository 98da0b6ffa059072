"""The engine: present values of payoffs on blocks of paths, and their moments."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError
from gpujax.numerics.random import key_words
from gpujax.pricing.monte_carlo.arguments import Grid
from gpujax.pricing.monte_carlo.blocks import Plan, moments_of_blocks, repetitions
from gpujax.pricing.monte_carlo.controls import flat_controls
from gpujax.pricing.monte_carlo.methods import whole
from gpujax.pricing.monte_carlo.parameters import as_dtype
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation, check_looks
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.simulation import Branch, Numbers, initial_states, run_paths
from gpujax.pricing.monte_carlo.statistics import Moments, combine

__all__ = ["Inputs", "look", "make_inputs", "numbers_of", "present_values", "price_moments"]


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
    expected: Any
    key: tuple[Any, Any]
    times: Any
    looks: Any
    drift: jax.Array | None


def make_inputs(
    process: Process, payoffs: list[Any], key: Any, grid: Grid, control: Any = None, drift: Any = None
) -> Inputs:
    """Inputs from what a caller gives, checked."""
    controls, expected = flat_controls(control)
    for each in (*payoffs, *controls):
        check_looks(each, grid.seen)
    if drift is not None:
        if hasattr(process, "prepare"):
            raise InputError(
                f"drift: {type(process).__name__} turns normal numbers into others, whose law is not that of independent ones; "
                "expected None"
            )
        expected_shape = (len(grid.times), process.normals)
        if np.shape(drift) not in (expected_shape, expected_shape[1:]):
            raise InputError(
                f"drift: shape {np.shape(drift)}; expected {expected_shape}, one for each step and normal number, or "
                f"{expected_shape[1:]} for the same in every step"
            )
        drift = jnp.broadcast_to(jnp.asarray(drift, grid.times.dtype), expected_shape)
    return Inputs(process, payoffs, controls, expected, _words(key), grid.times, grid.looks, drift)


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
    now = look(process, start, jnp.asarray(-1, jnp.int32), jnp.zeros((), dtype))
    accounts = [payoff.start(now) for payoff in payoffs]

    def visit(accounts: Any, state: Any, index: jax.Array, time: jax.Array) -> Any:
        now = look(process, state, index, time)
        return [payoff.update(account, now) for payoff, account in zip(payoffs, accounts, strict=True)]

    branches = run_paths(
        process, numbers_of(inputs, plan, path), path, inputs.times, accounts, visit,
        looks=inputs.looks, drift=inputs.drift, reflect=plan.method.antithetic, remember=remember,
    )  # fmt: skip
    seen = inputs.times.shape[0] if inputs.looks is None else jnp.sum(inputs.looks.astype(jnp.int32))

    def values(branch: Branch) -> list[jax.Array]:
        last = look(process, branch.state, jnp.asarray(seen - 1, jnp.int32), inputs.times[-1])
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


def look(process: Process, state: Any, index: jax.Array, time: jax.Array) -> Observation:
    """What payoffs see of a state."""
    return Observation(index, time, process.discount(time, state), process.observe(state))


def _words(key: Any) -> tuple[Any, Any]:
    """The words of a key; those of a seed as NumPy numbers, which go to the device with everything else, in one call."""
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        seed = int(key) % 2**64
        return np.uint32(seed >> 32), np.uint32(seed & 0xFFFFFFFF)
    return key_words(key)
