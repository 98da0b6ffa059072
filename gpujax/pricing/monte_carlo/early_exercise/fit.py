r"""Fitting an exercise policy by regression: Longstaff and Schwartz (2001).

Backwards from the last date, what a path earns later by the policy found so far is regressed on what is known on the date, over
the paths where exercise pays anything. The fitted value of waiting serves for the decision only; a path goes on earning what it
earns. Amounts are regressed in money of the date, each brought there along its own path, so that random rates are in order.

What the noise W adds to a path between the date t and the moment τ when it earns has mean zero, whatever is known on the date,
and so has $(W_\tau - W_t)^2 - (\tau - t)$. Both are regressors too, and then forgotten: for an American put they take away 24
parts in 25 of the variance that a fit has to see through, so that 2,048 paths make a better policy than 16,384 do without them.
This is the use of control variates of Rasmussen (2005), with martingales that every process has.

Sources: F. A. Longstaff and E. S. Schwartz, "Valuing American Options by Simulation: A Simple Least-Squares Approach", Review of
Financial Studies 14 (2001), 113-147; E. Clément, D. Lamberton and P. Protter, "An analysis of a least squares regression method
for American option pricing", Finance and Stochastics 6 (2002), 449-471 (convergence); N. S. Rasmussen, "Control variates for
Monte Carlo valuation of American options", Journal of Computational Finance 9(1) (2005), 83-118.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.random import threefry
from gpujax.pricing.monte_carlo.arguments import check_process, float_dtype, make_grid, path_count
from gpujax.pricing.monte_carlo.blocks import Plan, make_plan
from gpujax.pricing.monte_carlo.early_exercise.bases import Basis, Seen, as_basis, default_basis
from gpujax.pricing.monte_carlo.early_exercise.policy import (
    ExerciseValue,
    Policy,
    as_payoff,
    continuation,
    scaled,
    variables_of,
)
from gpujax.pricing.monte_carlo.early_exercise.recording import Place, beginning, noise_controls, record, seen_at
from gpujax.pricing.monte_carlo.early_exercise.regression import least_squares, wide_dtype
from gpujax.pricing.monte_carlo.engine import Inputs, look, make_inputs, numbers_of
from gpujax.pricing.monte_carlo.methods import PseudoRandom
from gpujax.pricing.monte_carlo.parameters import as_dtype
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, check_looks
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.statistics import Estimate

__all__ = ["fit_policy", "stream"]


def fit_policy(
    process: Process,
    exercise_value: ExerciseValue,
    *,
    key: Any,
    paths: int,
    times: Any,
    exercise_at: Any = None,
    basis: Any = None,
    dtype: Any = None,
    max_step: float | None = None,
) -> Policy:
    """A policy of exercise, fitted by regression on simulated paths.

    Arguments:
        process: what moves, from `monte_carlo.processes`.
        exercise_value: what exercise on a date pays: a function of the price then (of a tuple of prices if there are several
            assets), or a payoff, by its `value` at each date: european(...), best_of(...), an asian(...) whose average runs up
            to the date.
        key: an integer seed, or a key of `jax.random`. The paths are other ones than those that `price` makes of the same key.
        paths: how many the policy is fitted to. All their dates are in memory: the process's state, the payoff's account and the
            noise.
        times: increasing, > 0, in years: what the payoff sees. Exercise now, at time zero, is not among the dates.
        exercise_at: which of the times are dates of exercise: indices, or a bool for each time; by default all. Times after the
            last of them are dropped.
        basis: from `bases`, or a function of what is `Seen` that gives the regressors. By default cubics of the price; with
            several assets or a payoff that keeps an account, of the prices and the exercise value; of the state where that
            knows more than the prices. Quadratics where the variables are more than two.
        dtype: of the paths. Sums of the regressions are in float64 wherever 64-bit mode is on.
        max_step: as for `price`.

    Returns: a `Policy`. On dates where no more paths are in the money than twice the regressors, it does not exercise.

    Raises: InputError for indices that are not among the times, a basis of wrong shapes, and as `price`.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.06)
    >>> put = mc.payoffs.european(strike=40.0, is_call=False)
    >>> policy = fit_policy(stock, put, key=1, paths=2048, times=[0.25, 0.5, 0.75, 1.0])
    >>> policy.exercise_at, policy.coefficients.shape, round(float(policy.in_sample.value), 1)
    ((0, 1, 2, 3), (4, 4), 4.3)
    """
    check_process(process)
    payoff = as_payoff(exercise_value)
    dtype = float_dtype(dtype)
    grid = make_grid(times, process, dtype, max_step)
    if grid.known is None:
        raise InputTypeError("times: traced; expected numbers, for they are part of the policy")
    dates = _dates(exercise_at, grid.seen)
    known = np.asarray(grid.known)
    looked = known if grid.looks is None else known[np.asarray(grid.looks)]
    looked = looked[: dates[-1] + 1]
    if dates[-1] + 1 < grid.seen:
        grid = make_grid(looked, process, dtype, max_step)
    check_looks(payoff, len(looked))
    if basis is None:
        basis = _default_basis(process, payoff)
    inputs = make_inputs(process, [payoff], key, grid)
    plan = make_plan(process, PseudoRandom(), path_count(paths), grid, inputs, devices=())
    fitted = _fit(inputs, np.asarray(dates, np.int32), plan=plan, basis=as_basis(basis), looks=len(looked))
    value, error = fitted.pop("in_sample")
    return Policy(
        times=tuple(looked.tolist()), exercise_at=dates, basis=as_basis(basis), in_sample=Estimate(value, error, paths),
        **fitted,
    )  # fmt: skip


def stream(key: tuple[jax.Array, jax.Array], number: int) -> tuple[jax.Array, jax.Array]:
    """A key whose numbers have nothing to do with those of `key` itself, nor with those of its other streams."""
    # Counted where no simulation counts: its second number is a step's.
    return threefry(key, (jnp.uint32(number), jnp.uint32(0xFFFFFFFF)))


def _dates(exercise_at: Any, times: int) -> tuple[int, ...]:
    if exercise_at is None:
        return tuple(range(times))
    given = np.asarray(exercise_at)
    if given.dtype == bool:
        if given.shape != (times,):
            raise InputError(f"exercise_at: shape {given.shape}; expected a bool for each of the {times} times")
        given = np.flatnonzero(given)
    if not np.issubdtype(given.dtype, np.integer) and given.size:
        raise InputTypeError(f"exercise_at: {exercise_at!r}; expected indices of times, or a bool for each time")
    given = np.atleast_1d(given)
    if not given.size:
        raise InputError("exercise_at: empty; expected at least one date of exercise")
    outside = given[(given < -times) | (given >= times)]
    if outside.size:
        raise InputError(
            f"exercise_at: {outside[0]} is not among the {times} times; expected indices from 0 to {times - 1}"
        )
    return tuple(sorted({int(i) % times for i in given}))


def _default_basis(process: Process, payoff: Payoff) -> Basis:
    """The default for what a path shows, what its state is made of and what its account keeps."""
    leaves, tree = jax.tree.flatten((process, payoff))
    return _default_of(tree, tuple(np.shape(leaf) for leaf in leaves))


@functools.lru_cache(maxsize=256)
def _default_of(tree: Any, shapes: tuple[tuple[int, ...], ...]) -> Basis:
    def parts(process: Process, payoff: Payoff) -> Any:
        place = beginning(process, payoff, jnp.zeros(1, jnp.uint32), jnp.float32)
        return process.observe(place.state), place.state, place.account

    leaves = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    sizes = (sum(x.size for x in jax.tree.leaves(part)) for part in jax.eval_shape(parts, *tree.unflatten(leaves)))
    return default_basis(*sizes)


@functools.partial(jax.jit, static_argnames=("plan", "basis", "looks"))
def _fit(inputs: Inputs, dates: jax.Array, *, plan: Plan, basis: Basis, looks: int) -> dict[str, Any]:
    dtype = inputs.times.dtype
    # A policy is taken as given by whatever differentiates.
    process, payoff = lax.stop_gradient(as_dtype((inputs.process, inputs.payoffs[0]), dtype))
    inputs = inputs._replace(process=process, key=stream(inputs.key, 1))
    # Noise that was prepared for whole paths is no martingale.
    noise = not hasattr(process, "prepare")
    times = inputs.times if inputs.looks is None else inputs.times[jnp.flatnonzero(inputs.looks, size=looks)]

    def block(begin: jax.Array) -> Place:
        path = begin + jnp.arange(plan.block, dtype=jnp.uint32)
        numbers = numbers_of(inputs, plan, path)
        return record(process, payoff, numbers, path, inputs.times, inputs.looks, dates, noise=noise)

    begins = jnp.arange(-(-plan.samples // plan.block), dtype=jnp.uint32) * jnp.uint32(plan.block)

    def joined(x: jax.Array) -> jax.Array:
        """[blocks, dates, ..., block] as [dates, ..., paths]"""
        x = jnp.moveaxis(x, 0, -2)
        return x.reshape(*x.shape[:-2], -1)[..., : plan.samples]

    places = jax.tree.map(joined, lax.map(block, begins))

    def regress(earned: _Earned, at: tuple[jax.Array, Place]) -> tuple[_Earned, Any]:
        date, place = at
        now = look(process, place.state, date, times[date])
        worth, seen = seen_at(payoff, now, place.state, place.account)
        stopping = _Earned(worth, now.time, place.noise)
        return _regress(basis, earned, stopping, seen, now.discount, date == dates[-1])

    none = jnp.zeros(plan.samples, dtype)
    (paid, _, _), fitted = lax.scan(
        regress, _Earned(none, none, (none,) * len(places.noise)), (dates, places), reverse=True
    )

    every = jnp.arange(looks, dtype=jnp.int32)
    slot = jnp.searchsorted(dates, every)
    on_date = dates[slot] == every

    def placed(x: jax.Array, elsewhere: Any) -> jax.Array:
        """From dates of exercise to times."""
        other = jnp.broadcast_to(jnp.asarray(elsewhere, x.dtype), x[slot].shape)
        return jnp.where(on_date.reshape(-1, *(1,) * (x.ndim - 1)), x[slot], other)

    coefficients, centre, inverse_scale, of_noise, count = fitted
    wide = paid.astype(wide_dtype())
    deviation = jnp.sqrt(jnp.sum((wide - jnp.mean(wide)) ** 2) / max(wide.size - 1, 1))
    return {
        "coefficients": placed(coefficients, [jnp.inf, *[0] * (coefficients.shape[1] - 1)]),
        "centre": placed(centre, 0),
        "inverse_scale": placed(inverse_scale, 1),
        "of_noise": placed(of_noise, 0),
        "in_the_money": placed(count, 0),
        "in_sample": (jnp.mean(wide), deviation / np.sqrt(wide.size)),
    }


class _Earned(NamedTuple):
    """What each path earns, present value, with the time of that and the noise up to it."""

    paid: jax.Array
    time: jax.Array
    noise: tuple[jax.Array, ...]


def _regress(
    basis: Basis, earned: _Earned, stopping: _Earned, seen: Seen, discount: jax.Array, last: jax.Array
) -> tuple[_Earned, Any]:
    """One date: the present value that each path earns from here on, and the fit.

    On the last date nothing is earned later, so that the fit is zero, as it should be.
    """
    # What several loops would each compute again is computed once.
    variables, worth, exercise = lax.optimization_barrier((variables_of(basis, seen), stopping.paid, seen.exercise))
    dtype, used = earned.paid.dtype, worth > 0
    scales = [_scale(basis, x, used) for x in variables]
    centre, inverse_scale = (jnp.stack(each).astype(dtype) for each in zip(*scales, strict=True))
    columns = [jnp.ones_like(earned.paid), *basis.functions(scaled(variables, centre, inverse_scale))]
    # What the noise adds from now on until a path earns has mean zero, whatever is known now.
    added = [then - w for then, w in zip(earned.noise, stopping.noise, strict=True)]
    controls = noise_controls(added, earned.time - stopping.time)
    solved = least_squares([*columns, *controls], earned.paid / discount, used).astype(dtype)
    coefficients, of_noise = solved[: len(columns)], solved[len(columns) :]
    count = jnp.sum(used, dtype=jnp.int32)
    # So few paths say nothing about the value of waiting, and as few can lose by it.
    enough = count > 2 * (len(columns) + len(controls))
    never = jnp.zeros_like(coefficients).at[0].set(jnp.where(last, 0, jnp.inf).astype(dtype))
    coefficients = jnp.where(enough, coefficients, never)
    of_noise = jnp.where(enough, of_noise, jnp.zeros_like(of_noise))
    stops = used & (exercise >= continuation(basis, coefficients, centre, inverse_scale, variables))
    moved = lax.optimization_barrier(stops | last)
    stopping = stopping._replace(paid=jnp.maximum(worth, 0))
    earned = jax.tree.map(lambda then, now: jnp.where(moved, now, then), earned, stopping)
    return earned, (coefficients, centre, inverse_scale, of_noise, count)


def _scale(basis: Basis, x: jax.Array, used: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Centre and inverse scale of a variable.

    They only have to be of the right size, so that a thousand paths will do: those of them in the money, or all where these are
    few.
    """
    wide, eps = wide_dtype(), float(jnp.finfo(x.dtype).eps)
    x, used = x[:_SCALED_BY].astype(wide), used[:_SCALED_BY]
    used = used | (jnp.sum(used) < 32)
    number = jnp.sum(used.astype(wide))
    mean = jnp.sum(jnp.where(used, x, jnp.zeros_like(x))) / number
    if not basis.centred():
        return jnp.zeros((), wide), jnp.where(mean > 0, 1 / jnp.where(mean > 0, mean, 1), 0)
    apart = jnp.where(used, x - mean, jnp.zeros_like(x))
    deviation = jnp.sqrt(jnp.sum(apart * apart) / number)
    # A variable that is the same on all paths differs by rounding.
    varies = deviation > 8 * eps * jnp.abs(mean)
    return mean, jnp.where(varies, 1 / jnp.where(varies, deviation, 1), 0)


_SCALED_BY = 1024
