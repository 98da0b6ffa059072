r"""Values of rights of exercise: what a fitted policy earns on new paths, and a bracket of the true value.

A policy that was fitted to some paths and is applied to others is a rule that anybody could follow, so that it earns no more than
the best one: the estimate is biased low, by the suboptimality of the policy alone, and its standard error is that of independent
samples.
"""

from typing import Any, NamedTuple

from gpujax.pricing.monte_carlo.arguments import path_count
from gpujax.pricing.monte_carlo.controls import Control
from gpujax.pricing.monte_carlo.early_exercise.dual import duality_gap, upper_bound
from gpujax.pricing.monte_carlo.early_exercise.fit import fit_policy
from gpujax.pricing.monte_carlo.early_exercise.policy import ExerciseValue, Policy, Showing, Shown, exercised
from gpujax.pricing.monte_carlo.parameters import parameter
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, on
from gpujax.pricing.monte_carlo.prices import price
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.sensitivities import greeks
from gpujax.pricing.monte_carlo.statistics import Estimate

__all__ = ["Bracket", "bracket", "longstaff_schwartz", "longstaff_schwartz_greeks", "lower_bound"]

POLICY_PATHS = 8192


def longstaff_schwartz(
    process: Process,
    exercise_value: ExerciseValue,
    *,
    key: Any,
    paths: int,
    times: Any,
    exercise_at: Any = None,
    basis: Any = None,
    policy_paths: int = POLICY_PATHS,
    dtype: Any = None,
    max_step: float | None = None,
    **settings: Any,
) -> Estimate:
    """The value of a right that may be exercised on several dates, from below: Longstaff and Schwartz, out of sample.

    A policy is fitted to `policy_paths`, and applied to `paths` others.

    Arguments:
        process, exercise_value, times, exercise_at, basis, dtype, max_step: as for `fit_policy`. An American right is approached
            by many dates; the right to exercise at once is not counted, so a value below what exercise pays now says: exercise.
        key: an integer seed, or a key of `jax.random`. With a single date the paths are those of `price`.
        paths: that are valued. None is kept: memory does not grow with their number.
        policy_paths: that the policy is fitted to. What a policy loses falls like 1 / policy_paths until only the basis limits
            it: for a cubic and an American put of a year's 50 dates, 0.2 % with 1,024 of them, 0.1 % with 2,048, 0.05 % with
            4,096. Take some hundreds for each regressor.
        settings: method, control, devices, as for `price`.

    Returns: `Estimate(value, standard_error, paths)`. The error does not cover what the policy loses: `bracket` does.

    Raises: as `fit_policy` and `price`.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.06)
    >>> put = mc.payoffs.european(strike=40.0, is_call=False)
    >>> found = longstaff_schwartz(stock, put, key=1, paths=20_000, times=[0.25, 0.5, 0.75, 1.0], policy_paths=2048)
    >>> abs(float(found.value) - 4.36) < 4 * float(found.standard_error) + 0.02
    True

    Source: F. A. Longstaff and E. S. Schwartz, "Valuing American Options by Simulation: A Simple Least-Squares Approach", Review
    of Financial Studies 14 (2001), 113-147.
    """
    path_count(paths)
    policy = fit_policy(
        process, exercise_value, key=key, paths=path_count(policy_paths, "policy_paths"), times=times, exercise_at=exercise_at,
        basis=basis, dtype=dtype, max_step=max_step,
    )  # fmt: skip
    return lower_bound(
        policy, process, exercise_value, key=key, paths=paths, dtype=dtype, max_step=max_step, **settings
    )


def lower_bound(
    policy: Policy, process: Process, exercise_value: ExerciseValue, *, key: Any, paths: int, **settings: Any
) -> Estimate:
    """What a policy earns on paths of its own: a lower bound of the value of the right, up to the standard error.

    Arguments:
        policy: from `fit_policy`, for this market or a similar one.
        process, exercise_value, key, paths: as for `longstaff_schwartz`.
        settings: dtype, method, control, max_step, devices, as for `price`.

    Raises: as `price`; InputError for a process of another number of variables than the policy was fitted with.
    """
    right, process, settings = _right(policy, process, exercise_value, settings)
    return price(process, right, key=key, paths=paths, times=policy.times, **settings)


def longstaff_schwartz_greeks(
    process: Process,
    exercise_value: ExerciseValue,
    *,
    wrt: tuple[str, ...],
    key: Any,
    paths: int,
    times: Any,
    exercise_at: Any = None,
    basis: Any = None,
    policy_paths: int = 2 * POLICY_PATHS,
    dtype: Any = None,
    max_step: float | None = None,
    **settings: Any,
) -> dict[str, Estimate]:
    """The value as `longstaff_schwartz` gives it and its first derivatives, each with its standard error.

    The policy is taken as given. Under the best policy that is exact, because its value does not change to first order when the
    moment of exercise does (Piterbarg 2004). A fitted policy is out by a little, and a derivative by as little, where a value is
    out by the square of it: half a percent of a put's delta, for a cubic. So take more policy paths and a higher degree than
    for a value.

    Arguments:
        wrt: names of parameters of the process, as for `greeks`.
        settings: estimator, method, devices, as for `greeks`.
        others: as for `longstaff_schwartz`.

    Returns: a dict with "value" and each name.

    Raises: as `longstaff_schwartz` and `greeks`.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.06)
    >>> put = mc.payoffs.european(strike=40.0, is_call=False)
    >>> found = longstaff_schwartz_greeks(
    ...     stock, put, wrt=("spot",), key=1, paths=20_000, times=[0.25, 0.5, 0.75, 1.0], policy_paths=2048)
    >>> round(float(found["spot"].value), 1)
    -0.7

    Source: V. Piterbarg, "Computing deltas of callable LIBOR exotics in forward LIBOR models", Journal of Computational Finance
    7(3) (2004), 107-144.
    """
    path_count(paths)
    policy = fit_policy(
        process, exercise_value, key=key, paths=path_count(policy_paths, "policy_paths"), times=times, exercise_at=exercise_at,
        basis=basis, dtype=dtype, max_step=max_step,
    )  # fmt: skip
    for name in wrt:
        parameter(process, name)
    right, shown, settings = _right(policy, process, exercise_value, settings)
    inner = {name: name if shown is process else f"process.{name}" for name in wrt}
    found = greeks(
        shown, right, wrt=tuple(inner.values()), key=key, paths=paths, times=policy.times, dtype=dtype,
        max_step=max_step, **settings,
    )  # fmt: skip
    return {"value": found["value"], **{name: found[inner[name]] for name in wrt}}


class Bracket(NamedTuple):
    """A value between two bounds.

    Fields:
        lower, upper: estimates of bounds of the value of the right, each with its standard error.
        gap: the estimate of upper - lower, whose standard error is smaller than that of either.
        policy: that both come from.
    """

    lower: Estimate
    upper: Estimate
    gap: Estimate
    policy: Policy


def bracket(
    process: Process,
    exercise_value: ExerciseValue,
    *,
    key: Any,
    paths: int,
    times: Any,
    outer_paths: int = 1024,
    inner_paths: int = 128,
    exercise_at: Any = None,
    basis: Any = None,
    policy_paths: int = POLICY_PATHS,
    dtype: Any = None,
    max_step: float | None = None,
    **settings: Any,
) -> Bracket:
    """Bounds of the value of a right from below and above: the true value lies between them but for their standard errors.

    Arguments:
        outer_paths, inner_paths: of `duality_gap`.
        others: as for `longstaff_schwartz`.

    Raises: as `longstaff_schwartz` and `duality_gap`.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.06)
    >>> put = mc.payoffs.european(strike=40.0, is_call=False)
    >>> found = bracket(stock, put, key=1, paths=20_000, times=[0.25, 0.5, 0.75, 1.0], policy_paths=2048,
    ...                 outer_paths=128, inner_paths=64)
    >>> bool(found.lower.value < found.upper.value < found.lower.value + 0.1)
    True
    """
    path_count(paths)
    policy = fit_policy(
        process, exercise_value, key=key, paths=path_count(policy_paths, "policy_paths"), times=times, exercise_at=exercise_at,
        basis=basis, dtype=dtype, max_step=max_step,
    )  # fmt: skip
    gap = duality_gap(
        policy, process, exercise_value, key=key, outer_paths=outer_paths, inner_paths=inner_paths, dtype=dtype,
        max_step=max_step, devices=settings.get("devices"),
    )  # fmt: skip
    lower = lower_bound(
        policy, process, exercise_value, key=key, paths=paths, dtype=dtype, max_step=max_step, **settings
    )
    return Bracket(lower, upper_bound(lower, gap), gap, policy)


def _right(
    policy: Policy, process: Process, exercise_value: ExerciseValue, settings: Any
) -> tuple[Payoff, Process, dict[str, Any]]:
    """The payoff under the policy, the process that it sees, and settings that fit."""
    right = exercised(exercise_value, policy)
    if policy.basis.of_prices:
        return right, process, dict(settings)
    control = settings.get("control")
    if control is None:
        return right, Showing(process=process), dict(settings)
    each = [control] if isinstance(control, Control) else control
    return right, Showing(process=process), {**settings, "control": [_of_spot(one) for one in each]}


def _of_spot(control: Any) -> Any:
    return control._replace(payoff=on(_spot, control.payoff)) if isinstance(control, Control) else control


def _spot(seen: Shown) -> Any:
    return seen.spot
