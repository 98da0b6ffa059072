"""Derivatives of prices by parameters of the process, each with its standard error."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.arguments import check_payoff, check_process, float_dtype, make_grid, path_count
from gpujax.pricing.monte_carlo.blocks import Plan, at_home, make_plan, moments_of_blocks, repetitions
from gpujax.pricing.monte_carlo.engine import Inputs, make_inputs, present_values
from gpujax.pricing.monte_carlo.likelihood import FixedPath, Weighted, check_noise
from gpujax.pricing.monte_carlo.methods import Method, PseudoRandom
from gpujax.pricing.monte_carlo.parameters import as_dtype, parameter, replaced
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.statistics import Estimate, combine, estimates

__all__ = ["greeks", "second_order"]

First = Literal["pathwise", "reverse", "likelihood-ratio"]
Second = Literal["mixed", "likelihood-ratio", "bumped", "bumped reverse"]
_FIRST, _SECOND = ("pathwise", "reverse", "likelihood-ratio"), ("mixed", "likelihood-ratio", "bumped", "bumped reverse")

# Paths whose mean gradient is one sample of the reverse mode, at most.
_GROUP = 64


def greeks(
    process: Process,
    payoff: Payoff,
    *,
    wrt: tuple[str, ...],
    key: Any,
    paths: int,
    times: Any,
    dtype: Any = None,
    estimator: First = "pathwise",
    method: Method = PseudoRandom(),  # noqa: B008  (frozen)
    drift: Any = None,
    max_step: float | None = None,
    devices: Sequence[Any] | None = None,
) -> dict[str, Estimate]:
    """The value and its first derivatives by parameters of the process, each with its standard error.

    Arguments:
        wrt: names of parameters, "spot" or "params.v0"; one that is an array gives derivatives of its shape.
        estimator: "pathwise", forward differentiation of every path (Broadie and Glasserman 1996): unbiased where the payoff is
            continuous in the path; blind to jumps, so that digitals and barriers watched at dates have wrong or zero derivatives.
            Its cost grows with the number of parameters.
            "reverse", the same estimator by reverse differentiation, at a few times the cost of the price however many
            parameters there are; steps are computed again on the way back, and blocks are small, so that memory stays bounded.
            "likelihood-ratio": any payoff, for processes with a density (`likelihood`); its variance grows with the number of
            steps for parameters that act in each of them.
        others: as for `price`.

    Returns: a dict with "value" and each name.

    Raises: as `price`; InputError for a name that is not a parameter of the process or an estimator that is none.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> found = mc.greeks(stock, mc.payoffs.european(strike=100.0), wrt=("spot",), key=1, paths=1_000_000, times=1.0)
    >>> abs(float(found["spot"].value) - 0.636831) < 4 * float(found["spot"].standard_error)
    True
    """
    if estimator not in _FIRST:
        raise InputError(f"estimator: {estimator!r}; expected one of {', '.join(map(repr, _FIRST))}")
    if estimator == "likelihood-ratio":
        check_noise(process, estimator)
    run = {"key": key, "paths": paths, "times": times, "dtype": dtype, "method": method, "drift": drift,
           "max_step": max_step, "devices": devices}  # fmt: skip
    inputs, plan = _prepared(process, payoff, wrt, **run)
    if estimator == "reverse":
        plan, group = _reverse_plan(plan, inputs)
        found = _reverse(inputs, plan=plan, wrt=tuple(wrt), group=group)
    else:
        found = _forward(inputs, plan=plan, wrt=tuple(wrt), estimator=estimator)
    found = at_home(found, plan)
    return {name: Estimate(found[name][0], found[name][1], paths) for name in ("value", *wrt)}


def second_order(
    process: Process,
    payoff: Payoff,
    *,
    wrt: tuple[tuple[str, str], ...],
    key: Any,
    paths: int,
    times: Any,
    dtype: Any = None,
    estimator: Second = "mixed",
    bump: float = 0.01,
    method: Method = PseudoRandom(),  # noqa: B008  (frozen)
    drift: Any = None,
    max_step: float | None = None,
    devices: Sequence[Any] | None = None,
) -> dict[tuple[str, str], Estimate]:
    """Second derivatives by pairs of parameters: gamma is ("spot", "spot"), vanna ("spot", "volatility").

    Arguments:
        wrt: pairs of names; the result of two arrays has the shape of the first followed by that of the second.
        estimator: "mixed", path by path for the first name and by the likelihood ratio for the second: unbiased for payoffs that
            are continuous but kinked, with a small variance. For processes with a density.
            "likelihood-ratio" for both: any payoff, with a large variance.
            "bumped", the central difference of the pathwise derivative on the same random numbers: any process, continuous
            payoffs; biased by terms of order bump², with a variance of order 1 / bump where the payoff is kinked.
            "bumped reverse", the same by reverse differentiation: its cost does not grow with the entries of the first parameter.
        bump: size of the bump relative to the second parameter, or itself where that is zero.
        others: as for `price`.

    Raises: as `greeks`.

    Source: P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 7.3.3.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> gamma = mc.second_order(
    ...     stock, mc.payoffs.european(strike=100.0), wrt=(("spot", "spot"),), key=1, paths=200_000, times=1.0
    ... )["spot", "spot"]
    >>> abs(float(gamma.value) - 0.018762) < 4 * float(gamma.standard_error) < 0.0006
    True
    """
    if estimator not in _SECOND:
        raise InputError(f"estimator: {estimator!r}; expected one of {', '.join(map(repr, _SECOND))}")
    if not estimator.startswith("bumped"):
        check_noise(process, estimator)
    if not bump > 0:
        raise InputError(f"bump: {bump}; expected a number > 0, such as 0.01")
    for pair in wrt:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise InputError(f"wrt: {pair!r}; expected pairs of names, such as (('spot', 'spot'),)")
    run = {"key": key, "paths": paths, "times": times, "dtype": dtype, "method": method, "drift": drift,
           "max_step": max_step, "devices": devices}  # fmt: skip
    inputs, plan = _prepared(process, payoff, tuple(name for pair in wrt for name in pair), **run)
    size = np.asarray(bump, inputs.times.dtype)
    if estimator == "bumped reverse":
        plan, group = _reverse_plan(plan, inputs)
        found = _second_reverse(inputs, size, plan=plan, wrt=tuple(wrt), group=group)
    else:
        found = _second(inputs, size, plan=plan, wrt=tuple(wrt), estimator=estimator)
    found = at_home(found, plan)
    return {pair: Estimate(found[place][0], found[place][1], paths) for place, pair in enumerate(wrt)}


_REVERSE_BYTES = 1 << 25


def _power(number: float) -> int:
    """The largest power of two that is not above the number, and one at least."""
    return 1 << max(0, int(np.floor(np.log2(max(number, 1)))))


def _group(plan: Plan) -> int:
    """How many neighbouring paths make one sample: a power of two that divides everything, so that all samples are alike."""
    if plan.method.indivisible:
        return plan.block
    together = plan.samples if plan.points is None else plan.points
    return min(_GROUP, together & -together, plan.block & -plan.block)


def _reverse_plan(plan: Plan, inputs: Inputs) -> tuple[Plan, int]:
    """Blocks so small that every step's state and numbers may be kept for the way back."""
    group = _group(plan)
    kept = 4 * plan.layout.steps * (plan.layout.each + 2) * inputs.times.dtype.itemsize
    return dataclasses.replace(plan, block=max(group, min(plan.block, _power(_REVERSE_BYTES / kept)))), group


def _prepared(process: Any, payoff: Any, names: Sequence[str], **run: Any) -> tuple[Inputs, Plan]:
    check_process(process)
    check_payoff(payoff)
    grid = make_grid(run["times"], process, float_dtype(run["dtype"]), run["max_step"])
    for name in names:
        parameter(process, name)
    inputs = make_inputs(process, [payoff], run["key"], grid, None, run["drift"])
    return inputs, make_plan(process, run["method"], path_count(run["paths"]), grid, inputs, devices=run["devices"])


@functools.partial(jax.jit, static_argnames=("plan", "wrt", "estimator"))
def _forward(inputs: Inputs, *, plan: Plan, wrt: tuple[str, ...], estimator: str) -> dict[str, Any]:
    inputs = inputs._replace(process=as_dtype(inputs.process, inputs.times.dtype))
    stacked = _stack([d for name in wrt for d in _directions(inputs.process, name)])

    def sampler(inputs: Any, path: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        run, stacked = inputs
        along = _likelihood_values if estimator == "likelihood-ratio" else _values
        values = functools.partial(along, run, plan, path)
        # One direction after the other: side by side they make a program that takes a minute to compile.
        value, tangents = lax.map(lambda direction: jax.jvp(values, (run.process,), (direction,)), stacked)
        return [value[0], *tangents], []

    shapes = {"value": (), **{name: np.shape(parameter(inputs.process, name)) for name in wrt}}
    return _estimated(sampler, (inputs, stacked), plan, shapes)


@functools.partial(jax.jit, static_argnames=("plan", "wrt", "group"))
def _reverse(inputs: Inputs, *, plan: Plan, wrt: tuple[str, ...], group: int) -> dict[str, Any]:
    inputs = inputs._replace(process=as_dtype(inputs.process, inputs.times.dtype))

    def sampler(inputs: Inputs, number: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        def of_group(number: jax.Array) -> list[jax.Array]:
            value, slopes = _gradient(inputs, plan, _paths_of(number, group), wrt, inputs.process)
            return [value, *(entry for slope in slopes for entry in jnp.ravel(slope))]

        return jax.vmap(of_group)(number), []

    shapes = {"value": (), **{name: np.shape(parameter(inputs.process, name)) for name in wrt}}
    return _estimated(sampler, inputs, _of_groups(plan, group), shapes)


@functools.partial(jax.jit, static_argnames=("plan", "wrt", "group"))
def _second_reverse(
    inputs: Inputs, bump: jax.Array, *, plan: Plan, wrt: tuple[tuple[str, str], ...], group: int
) -> dict[int, Any]:
    process = as_dtype(inputs.process, inputs.times.dtype)
    inputs = inputs._replace(process=process)
    bumps = [[(b, _bump_of(process, second, b, bump)) for b in _directions(process, second)] for _, second in wrt]
    stacked = [_stack(each) for each in bumps]

    def sampler(inputs: Any, number: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        run, stacked = inputs

        def of_group(number: jax.Array) -> list[jax.Array]:
            path, found = _paths_of(number, group), []
            for (first, _), along in zip(wrt, stacked, strict=True):

                def slope(bump: Any, first: str = first) -> jax.Array:
                    direction, size = bump

                    def side(signed: jax.Array) -> jax.Array:
                        moved = jax.tree.map(lambda x, d: x + signed * d, run.process, direction)
                        return _gradient(run, plan, path, (first,), moved)[1][0]

                    up, down = lax.map(side, jnp.stack([size, -size]))
                    return (up - down) / (2 * size)

                # [second, ...first] in the order [...first, second]
                slopes = lax.map(slope, along)
                found += list(jnp.ravel(jnp.moveaxis(slopes, 0, -1)))
            return found

        return jax.vmap(of_group)(number), []

    shapes = {
        place: np.shape(parameter(process, first)) + np.shape(parameter(process, second))
        for place, (first, second) in enumerate(wrt)
    }
    return _estimated(sampler, (inputs, stacked), _of_groups(plan, group), shapes)


@functools.partial(jax.jit, static_argnames=("plan", "wrt", "estimator"))
def _second(
    inputs: Inputs, bump: jax.Array, *, plan: Plan, wrt: tuple[tuple[str, str], ...], estimator: str
) -> dict[int, Any]:
    process = as_dtype(inputs.process, inputs.times.dtype)
    inputs = inputs._replace(process=process)
    pairs = [
        (a, b, _bump_of(process, second, b, bump))
        for first, second in wrt
        for a in _directions(process, first)
        for b in _directions(process, second)
    ]
    stacked = _stack(pairs)

    def sampler(inputs: Any, path: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        run, stacked = inputs
        derivative = {"mixed": _mixed, "likelihood-ratio": _twice, "bumped": _bumped}[estimator]
        return list(lax.map(lambda pair: derivative(run, plan, path, *pair), stacked)), []

    shapes = {
        place: np.shape(parameter(process, first)) + np.shape(parameter(process, second))
        for place, (first, second) in enumerate(wrt)
    }
    return _estimated(sampler, (inputs, stacked), plan, shapes)


def _estimated(sampler: Any, inputs: Any, plan: Plan, shapes: dict[Any, tuple[int, ...]]) -> dict[Any, Any]:
    """Values and standard errors of what is sampled, cut into arrays of these shapes in turn."""
    parts = moments_of_blocks(sampler, inputs, plan)
    found = estimates(combine(parts), jnp.zeros(0, parts.mean.dtype), repetitions(parts, plan))
    result, begin = {}, 0
    for name, shape in shapes.items():
        end = begin + int(np.prod(shape))
        result[name] = tuple(field[begin:end].reshape(shape) for field in found)
        begin = end
    return result


def _values(inputs: Inputs, plan: Plan, path: jax.Array, process: Any) -> jax.Array:
    return present_values(inputs._replace(process=process), plan, path)[0]


def _gradient(
    inputs: Inputs, plan: Plan, path: jax.Array, names: tuple[str, ...], process: Any
) -> tuple[jax.Array, list[jax.Array]]:
    """The mean over the paths and its derivatives by reverse differentiation."""

    def mean(leaves: list[Any]) -> jax.Array:
        moved = process
        for name, leaf in zip(names, leaves, strict=True):
            moved = replaced(moved, name, leaf)
        return jnp.mean(present_values(inputs._replace(process=moved), plan, path, remember=False)[0])

    return jax.value_and_grad(mean)([parameter(process, name) for name in names])


def _paths_of(number: jax.Array, group: int) -> jax.Array:
    return number * jnp.uint32(group) + jnp.arange(group, dtype=jnp.uint32)


def _of_groups(plan: Plan, group: int) -> Plan:
    """The plan whose samples are groups of paths."""
    points = None if plan.points is None else plan.points // group
    return dataclasses.replace(plan, samples=plan.samples // group, block=plan.block // group, points=points)


def _likelihood_values(inputs: Inputs, plan: Plan, path: jax.Array, law: Any, moving: Any = None) -> jax.Array:
    """The present values, times what is one but has the derivatives of the likelihood ratio."""
    fixed = FixedPath(law=law, moving=law if moving is None else moving)
    weighted = [Weighted(payoff=payoff) for payoff in inputs.payoffs]
    return present_values(inputs._replace(process=fixed, payoffs=weighted), plan, path)[0]


def _mixed(inputs: Inputs, plan: Plan, path: jax.Array, a: Any, b: Any, _: Any) -> jax.Array:
    """∂_b by the density of ∂_a path by path."""

    def pathwise(law: Any) -> jax.Array:
        def values(moving: Any) -> jax.Array:
            return _likelihood_values(inputs, plan, path, law, moving)

        return jax.jvp(values, (law,), (a,))[1]

    return jax.jvp(pathwise, (inputs.process,), (b,))[1]


def _twice(inputs: Inputs, plan: Plan, path: jax.Array, a: Any, b: Any, _: Any) -> jax.Array:
    def values(law: Any) -> jax.Array:
        return _likelihood_values(inputs, plan, path, law)

    return jax.jvp(lambda law: jax.jvp(values, (law,), (a,))[1], (inputs.process,), (b,))[1]


def _bumped(inputs: Inputs, plan: Plan, path: jax.Array, a: Any, b: Any, size: jax.Array) -> jax.Array:
    def slope(signed: jax.Array) -> jax.Array:
        moved = jax.tree.map(lambda x, d: x + signed * d, inputs.process, b)
        return jax.jvp(functools.partial(_values, inputs, plan, path), (moved,), (a,))[1]

    # One after the other, for the sake of a program of half the size.
    up, down = lax.map(slope, jnp.stack([size, -size]))
    return (up - down) / (2 * size)


def _bump_of(process: Any, name: str, direction: Any, bump: jax.Array) -> jax.Array:
    entry = jnp.sum(parameter(process, name) * parameter(direction, name))
    return jnp.where(entry == 0, bump, jnp.abs(entry) * bump)


def _directions(process: Any, name: str) -> list[Any]:
    """Unit tangents of a process along every entry of a parameter."""
    leaf = parameter(process, name)
    zero = jax.tree.map(jnp.zeros_like, process)
    return [replaced(zero, name, jnp.zeros_like(leaf).at[index].set(1)) for index in np.ndindex(np.shape(leaf))]


def _stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
