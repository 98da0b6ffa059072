"""Exercise policies, and the payoff of a right that is exercised by one."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing.monte_carlo.early_exercise.bases import Basis, Seen
from gpujax.pricing.monte_carlo.early_exercise.recording import seen_at
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation, Payoff, check_looks, of_price
from gpujax.pricing.monte_carlo.statistics import Estimate

__all__ = [
    "ExerciseValue",
    "Policy",
    "Showing",
    "Shown",
    "as_payoff",
    "continuation",
    "exercised",
    "scaled",
    "variables_of",
]

ExerciseValue = Payoff | Callable[[Any], jax.Array]


@parameters(static=("basis", "times", "exercise_at"))
class Policy:
    """When to exercise: on a date where that pays more than the fitted value of waiting, and more than nothing.

    Made by `fit_policy`. It belongs to its times, not to a market: it may be applied to other spots, volatilities or processes
    of as many variables, and remains a lower bound there.

    Fields:
        times: that the process is watched at, in years, the last date of exercise last.
        exercise_at: which of them are dates of exercise, as indices.
        basis: the regressors.
        coefficients: `[times, 1 + regressors]`, the constant first, of the value of waiting in money of the date; an infinite
            constant where there is no exercise: at the other times, and where hardly a path was in the money.
        centre, inverse_scale: `[times, variables]`; regressors are functions of (variable - centre) * inverse_scale.
        of_noise: `[times, controls]`, how much of what a path earns comes from the noise after the date: the coefficients of the
            controls of the regressions, which serve nested simulations too.
        in_the_money: `[times]`, how many paths each regression had.
        in_sample: what the policy earns on the paths that it was fitted to. It knows their future, so this value is too high by
            nobody knows how much; it is a diagnostic: far above the value on new paths, the fit is of noise.
    """

    times: tuple[float, ...]
    exercise_at: tuple[int, ...]
    basis: Basis
    coefficients: Any
    centre: Any
    inverse_scale: Any
    of_noise: Any
    in_the_money: Any
    in_sample: Estimate


def exercised(exercise_value: ExerciseValue, policy: Policy) -> Payoff:
    """What a right of exercise pays under a policy: a payoff like any other, for `price`, `greeks`, with any method and control.

    Arguments:
        exercise_value: as for `fit_policy`; negative values are never exercised.
        policy: from `fit_policy`; `times` of the simulation must be `policy.times`. A policy whose basis is of the state works
            with `lower_bound` only.

    The value of the result is that of the right or less, since no policy beats the best one. Its derivatives take the policy as
    given, which is exact for the best one, because moving the moment of exercise then changes nothing to first order (V.
    Piterbarg, "Computing deltas of callable LIBOR exotics in forward LIBOR models", Journal of Computational Finance 7(3) (2004),
    107-144).

    Raises: InputError, from the simulation, for another number of times; exercise at other times than those of the policy gives
        NaN.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> from gpujax.pricing.monte_carlo import early_exercise
    >>> stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.06)
    >>> put = mc.payoffs.european(strike=40.0, is_call=False)
    >>> policy = early_exercise.fit_policy(stock, put, key=1, paths=2048, times=[0.25, 0.5, 0.75, 1.0])
    >>> found = mc.price(stock, exercised(put, policy), key=2, paths=20_000, times=policy.times)
    >>> round(float(found.value), 1)
    4.4
    """
    payoff = as_payoff(exercise_value)
    if not isinstance(policy, Policy):
        raise InputTypeError(f"policy: {policy!r}; expected one of fit_policy(...)")
    every = policy.exercise_at == tuple(range(len(policy.times)))
    return _Exercised(
        payoff=payoff,
        coefficients=policy.coefficients,
        centre=policy.centre,
        inverse_scale=policy.inverse_scale,
        times=np.asarray(policy.times),
        basis=policy.basis,
        every=every,
    )


def as_payoff(exercise_value: ExerciseValue) -> Payoff:
    """What exercise pays as a payoff.

    Raises: InputTypeError for what is neither a payoff nor a function.
    """
    if isinstance(exercise_value, Payoff):
        return exercise_value
    if not callable(exercise_value):
        raise InputTypeError(
            f"exercise_value: {exercise_value!r}; expected one of monte_carlo.payoffs, such as european(strike=100.0), or a "
            "function of the price"
        )
    return of_price(exercise_value)


@parameters(static=("basis", "every"))
class _Exercised:
    """The account is that of the right, and what has been paid, which is zero as long as nothing has."""

    payoff: Any
    coefficients: Any
    centre: Any
    inverse_scale: Any
    times: Any
    basis: Basis
    every: bool

    def check(self, times: int) -> None:
        known = self.coefficients.shape[0]
        if times != known:
            raise InputError(f"times: {times}, but the policy is for {known}; expected policy.times")
        check_looks(self.payoff, times)

    def start(self, now):
        plain, _ = _unpacked(now)
        paths = jax.tree.leaves(plain.spot)[0]
        return self.payoff.start(plain), jnp.zeros(paths.shape[-1:], paths.dtype)

    def update(self, account, now):
        return self.moved(account, *_unpacked(now))

    def value(self, account, last):
        paid = account[1]
        whole = last.index + 1 == self.coefficients.shape[0]
        return jnp.where(whole, paid, jnp.full_like(paid, jnp.nan))

    def moved(self, account: Any, now: Observation, state: Any) -> Any:
        """The account after one more time, where the state is given."""
        held, paid = account
        held = self.payoff.update(held, now)
        if self.every:
            return held, self._paid(held, paid, now, state)
        possible = jnp.isfinite(self.coefficients[now.index, 0])
        return held, lax.cond(possible, lambda: self._paid(held, paid, now, state), lambda: paid)

    def decide(self, held: Any, now: Observation, state: Any) -> tuple[jax.Array, jax.Array]:
        """Whether to exercise, and the present value of that."""
        worth, seen = seen_at(self.payoff, now, state, held)
        i = now.index
        variables = variables_of(self.basis, seen, self.centre.shape[-1])
        waiting = continuation(self.basis, self.coefficients[i], self.centre[i], self.inverse_scale[i], variables)
        return (worth > 0) & (seen.exercise >= waiting), worth

    def _paid(self, held: Any, paid: jax.Array, now: Observation, state: Any) -> jax.Array:
        stops, worth = self.decide(held, now, state)
        # Times in float32 agree to seven digits.
        same = jnp.abs(now.time - self.times[now.index]) <= 1e-6 * now.time
        known = jnp.where(same, 1.0, jnp.nan).astype(paid.dtype)
        return jnp.where(stops & (paid == 0), known * worth, paid)


def variables_of(basis: Basis, seen: Seen, expected: int | None = None) -> list[jax.Array]:
    """The variables of a basis, checked.

    Raises: InputError for none, for wrong shapes, and for another number than a policy was fitted with.
    """
    found = basis.variables(seen)
    if not isinstance(found, Sequence) or not found:
        raise InputError(f"basis: it gives {type(found).__name__}; expected a list of at least one array [paths]")
    shape, dtype = seen.exercise.shape, seen.exercise.dtype
    for x in found:
        if np.shape(x) != shape:
            raise InputError(
                f"basis: a regressor has shape {np.shape(x)}; expected one number for each path of a block, {shape} "
                "(the constant is added to all)"
            )
    if expected is not None and len(found) != expected:
        raise InputError(
            f"policy: its basis gives {len(found)} variables here and gave {expected} where it was fitted; expected a "
            "process with as many assets or states (a basis of the state needs lower_bound)"
        )
    return [jnp.asarray(x, dtype) for x in found]


def continuation(
    basis: Basis, coefficients: jax.Array, centre: jax.Array, inverse_scale: jax.Array, variables: Sequence[jax.Array]
) -> jax.Array:
    """The fitted value of waiting `[paths]` on one date, in money of the date."""
    functions = basis.functions(scaled(variables, centre, inverse_scale))
    found = coefficients[0] + coefficients[1] * functions[0]
    for j, function in enumerate(functions[1:], start=2):
        found = found + coefficients[j] * function
    return found


def scaled(variables: Sequence[jax.Array], centre: jax.Array, inverse_scale: jax.Array) -> list[jax.Array]:
    """Variables as the polynomials take them."""
    return [(x - centre[i]) * inverse_scale[i] for i, x in enumerate(variables)]


class Shown(NamedTuple):
    """What a `Showing` process shows."""

    spot: Any
    state: Any


@parameters()
class Showing:
    """A process that shows its whole state to an exercised payoff, besides the prices."""

    process: Any

    @property
    def normals(self) -> int:
        return self.process.normals

    def initial(self):
        return self.process.initial()

    def advance(self, state, time, step, draws):
        return self.process.advance(state, time, step, draws)

    def observe(self, state):
        return Shown(self.process.observe(state), state)

    def discount(self, time, state):
        return self.process.discount(time, state)

    def __getattr__(self, name: str) -> Any:
        # Members that a process need not have; those that it has not are missing here too.
        if name in ("uniforms", "dates", "noise", "prepare"):
            return getattr(self.process, name)
        raise AttributeError(name)


def _unpacked(now: Observation) -> tuple[Observation, Any]:
    """What the right's payoff sees, and the state, or None where the process does not show it."""
    if isinstance(now.spot, Shown):
        return now._replace(spot=now.spot.spot), now.spot.state
    return now, None
