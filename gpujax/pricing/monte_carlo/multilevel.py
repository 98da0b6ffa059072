r"""Multilevel Monte Carlo: a price to a given error, discretisation included, at nearly the cost of coarse steps alone.

With P_l the payoff simulated in 2^l times as many steps as on level 0,

$$ \mathrm{E}\,P_L = \mathrm{E}\,P_0 + \sum_{l=1}^{L} \mathrm{E}[P_l - P_{l-1}] , $$

each expectation from paths of its own, N_l of them in proportion to √(V_l / C_l): V_l the variance of a sample on level l, C_l
its cost. Both members of a difference come from one Brownian motion, so that V_l falls like 2^(-β l), β = 1 for Euler's scheme
and 2 for Milstein's, while the means fall like 2^(-α l), α the weak order. An error ε takes work of order ε^-2 if β > 1, and
ε^-2 (ln ε)^2 if β = 1; a single step size takes ε^-(2 + 1/α). The means of the last levels tell the bias that is left.

Sources: M. B. Giles, "Multilevel Monte Carlo Path Simulation", Operations Research 56 (2008), 607-617; M. B. Giles, "Multilevel
Monte Carlo methods", Acta Numerica 24 (2015), 259-328, sections 1.3 (complexity), 3.1 and 3.4 (the algorithm).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh

from gpujax.device.configure import devices_in_force
from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.random import key_words
from gpujax.pricing.monte_carlo.arguments import (
    MOST_PATHS,
    check_payoff,
    check_process,
    float_dtype,
    make_grid,
    path_count,
)
from gpujax.pricing.monte_carlo.coupled import Task, level_moments
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.statistics import Moments, merge

__all__ = ["Level", "MultilevelEstimate", "multilevel"]


class Level(NamedTuple):
    """What was sampled on one level: the payoff on level 0, its change by halving the steps on the others.

    Fields:
        steps: of a (fine) path.
        paths: sampled.
        mean, variance: of a sample.
        cost: of a sample, in steps: fine and coarse ones together.
    """

    steps: int
    paths: int
    mean: float
    variance: float
    cost: int


class MultilevelEstimate(NamedTuple):
    """A multilevel estimate.

    Fields:
        value: the estimate.
        standard_error: one standard deviation of `value`, by sampling.
        bias: how far the finest steps are still off, estimated from the last levels.
        levels: one `Level` each, the coarsest first.
        weak_order: α, at which the means of the levels fall, as observed: by a factor of 2^-α from one to the next.
        variance_order: β, at which their variances fall; twice the strong order of the scheme if the payoff is Lipschitz.
    """

    value: float
    standard_error: float
    bias: float
    levels: tuple[Level, ...]
    weak_order: float
    variance_order: float

    @property
    def paths(self) -> int:
        """Paths of all levels."""
        return sum(level.paths for level in self.levels)

    @property
    def cost(self) -> int:
        """Steps of all paths of all levels."""
        return sum(level.paths * level.cost for level in self.levels)


def multilevel(
    process: Process,
    payoff: Payoff,
    *,
    key: Any,
    times: Any,
    error: float,
    first_steps: int = 1,
    pilot_paths: int = 1 << 12,
    most_levels: int = 12,
    most_paths: int = MOST_PATHS,
    dtype: Any = None,
    devices: Sequence[Any] | None = None,
) -> MultilevelEstimate:
    """The expected present value of a payoff to a given error, by as many levels and paths as it takes.

    Arguments:
        process: any that draws normal numbers only. The faster its scheme converges path by path, which `variance_order` shows,
            the more there is to gain; exact schemes, whose steps may be of any length, have nothing to gain.
        payoff: as for `price`, one of them. It sees `times` on every level.
        key: an integer seed, or a key of `jax.random`.
        times: increasing, > 0, in years: what payoffs see.
        error: the root of the mean square error to reach, > 0, in currency; half of its square is left to sampling, half to bias.
        first_steps: between one time and the next on level 0; more where so few steps would be useless, or unstable.
        pilot_paths: on each new level, at least 256.
        most_levels: beyond level 0, from 2 to 20.
        most_paths: of all levels together, a bound.
        dtype: of the paths, float64 or float32. In float32 differences between levels end at rounding, a few 1e-7 of the price.
        devices: over which paths are spread; by default those of the configuration in force.

    Returns: `MultilevelEstimate(value, standard_error, bias, levels, weak_order, variance_order)`.

    Raises: as `price`; InputError for a process with uniform or prepared numbers, which have no coarse counterpart; for an error
        that would take more than `most_paths`, before they are simulated, or more than `most_levels`; InputTypeError where
        parameters are traced: what to do next depends on their values.

    The bias is an extrapolation, as honest as the decay that it extrapolates: digital payoffs, whose differences are rare and
    large, want more pilot paths.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> euler = mc.processes.CustomProcess(
    ...     start=lambda values: values["spot"],
    ...     move=lambda values, spot, time, step, draws: spot * (1 + values["volatility"] * step**0.5 * draws[0]),
    ...     values={"spot": 100.0, "volatility": 0.2}, normals=1)
    >>> found = multilevel(euler, mc.payoffs.european(strike=100.0), key=1, times=1.0, error=0.05)
    >>> abs(found.value - 7.965567) < 4 * 0.05
    True
    """
    check_process(process)
    check_payoff(payoff)
    _check_numbers(process)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((process, payoff, key, times))):
        raise InputTypeError("process, payoff, key or times: traced; call multilevel outside of jit, grad and vmap")
    if not (isinstance(error, (int, float, np.number)) and 0 < error < math.inf):
        raise InputError(f"error: {error!r}; expected a number > 0, in currency")
    for name, value, low, high in (
        ("first_steps", first_steps, 1, 1 << 16), ("pilot_paths", pilot_paths, 256, 1 << 24), ("most_levels", most_levels, 2, 20),
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise InputError(f"{name}: {value!r}; expected an integer from {low} to {high}")
    grid = make_grid(times, process, float_dtype(dtype))
    run = _Run(
        Task(process, payoff, grid.times, grid.looks), key_words(key), int(first_steps),
        list(devices_in_force() if devices is None else devices),
    )  # fmt: skip
    return _levels(run, float(error), int(pilot_paths), int(most_levels), path_count(most_paths, "most_paths"))


class _Run(NamedTuple):
    task: Task
    key: tuple[jax.Array, jax.Array]
    first_steps: int
    devices: list[Any]

    def moments(self, level: int, first: int, count: int) -> Moments:
        """Moments of so many samples of a level, from the one numbered `first`."""
        block = _BLOCK if self.devices[0].platform == "cpu" else _WIDE_BLOCK
        spread = len(self.devices) > 1 and count >= len(self.devices) * block
        mesh = Mesh(np.asarray(self.devices), ("paths",)) if spread else None
        steps = self.first_steps << max(level - 1, 0)
        of = np.uint32(level), np.uint32(steps), np.uint32(first), np.uint32(count)
        return level_moments(self.task, self.key, *of, coupled=level > 0, block=block, mesh=mesh)

    def described(self, level: int, found: Moments) -> Level:
        steps = len(self.task.times) * self.first_steps << level
        count = float(found.count)
        variance = float(found.square[0]) / max(count - 1, 1)
        return Level(steps, int(count), float(found.mean[0]), variance, steps + (steps // 2 if level else 0))


def _levels(run: _Run, error: float, pilot_paths: int, most_levels: int, most_paths: int) -> MultilevelEstimate:
    """Giles's algorithm: sample, allot, and add a level for as long as the bias is too large."""
    wanted = [pilot_paths] * 3
    found: list[Moments] = []
    levels: list[Level] = []
    while True:
        for number, want in enumerate(wanted):
            have = levels[number].paths if number < len(levels) else 0
            if want <= have:
                continue
            more = run.moments(number, have, want - have)
            if have:
                found[number] = _merge(found[number], more)
                levels[number] = run.described(number, found[number])
            else:
                found.append(more)
                levels.append(run.described(number, more))
        if not all(math.isfinite(level.mean) and math.isfinite(level.variance) for level in levels):
            bad = next(level for level in levels if not math.isfinite(level.mean + level.variance))
            raise InputError(f"payoff: mean {bad.mean} over paths of {bad.steps} steps; expected finite values")
        alpha, beta = _orders(levels)
        wanted = _allotted(levels, error, beta)
        if sum(wanted) > most_paths:
            within = error * math.sqrt(sum(wanted) / most_paths)
            raise InputError(
                f"error: {error} would take about {sum(wanted):,} paths, more than most_paths {most_paths:,}; "
                f"ask for {within:.2g} or more, or raise most_paths"
            )
        if any(want > 1.01 * level.paths for want, level in zip(wanted, levels, strict=True)):
            continue
        bias = _bias(levels, alpha)
        if bias <= error * math.sqrt(0.5):
            deviation = math.sqrt(sum(level.variance / level.paths for level in levels))
            return MultilevelEstimate(sum(level.mean for level in levels), deviation, bias, tuple(levels), alpha, beta)
        if len(levels) > most_levels:
            raise InputError(
                f"error: {error} is not reached by most_levels {most_levels}: with {levels[-1].steps} steps the bias is still "
                f"about {bias:.2g} (weak order {alpha:.2f}); ask for {bias * math.sqrt(2):.2g} or more, raise most_levels, or "
                "take a scheme of higher order"
            )
        wanted.append(pilot_paths)


def _allotted(levels: list[Level], error: float, beta: float) -> list[int]:
    """Paths of each level that make the variance error² / 2 at the least cost (Giles 2015, equation 1.5)."""
    variances = [level.variance for level in levels]
    for number in range(2, len(levels)):
        # A few pilots can miss what is rare: no level counts for much less than the one before suggests.
        variances[number] = max(variances[number], 0.5 * variances[number - 1] * 2 ** -(beta if beta > 0 else 0.0))
    total = sum(math.sqrt(v * level.cost) for v, level in zip(variances, levels, strict=True))
    ideal = [2 / error**2 * total * math.sqrt(v / level.cost) for v, level in zip(variances, levels, strict=True)]
    return [max(level.paths, math.ceil(paths)) for level, paths in zip(levels, ideal, strict=True)]


def _bias(levels: list[Level], alpha: float) -> float:
    """What all finer levels would add, from the last three means (Giles 2015, section 3.1)."""
    rate = min(max(alpha, _LEAST_ORDER), _MOST_ORDER) if alpha == alpha else 1.0
    last = len(levels) - 1
    means = (abs(levels[number].mean) * 2 ** (rate * (number - last)) for number in range(max(1, last - 2), last + 1))
    return max(means) / (2**rate - 1)


def _orders(levels: list[Level]) -> tuple[float, float]:
    """The observed rates at which means and variances fall; NaN where levels differ by rounding alone."""
    scale = math.sqrt(levels[0].variance) + abs(levels[0].mean)
    known = [(n, level) for n, level in enumerate(levels) if n and math.sqrt(level.variance) > 1e-10 * scale]
    if len(known) < 2:
        return math.nan, math.nan
    number = np.array([n for n, _ in known], float)
    mean, variance, paths = (
        np.array([getattr(level, name) for _, level in known]) for name in ("mean", "variance", "paths")
    )
    # ln |mean| is known to (standard error / mean)²; one that is lost in its noise hardly counts.
    certainty = np.minimum(mean**2 * paths / variance, 1e4)
    alpha = -_slope(number, np.log2(np.maximum(np.abs(mean), 1e-300)), certainty)
    return alpha, -_slope(number, np.log2(variance), np.ones(len(known)))


def _slope(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    weight = (weight + 1e-12) / np.sum(weight + 1e-12)
    apart = x - weight @ x
    return float((weight * apart) @ y / ((weight * apart) @ apart))


def _check_numbers(process: Process) -> None:
    name = type(process).__name__
    if getattr(process, "uniforms", 0):
        raise InputError(
            f"process: {name} draws uniform numbers, which have no coarse counterpart; use price(max_step=...)"
        )
    if hasattr(process, "prepare"):
        raise InputError(
            f"process: {name} prepares the numbers of whole paths, which have no coarse counterpart; use price"
        )
    if not process.normals:
        raise InputError(f"process: {name} takes no normal numbers; there is nothing to simulate")


_merge = jax.jit(merge)

# Paths at a time: on a CPU few enough that their states stay in its caches.
_BLOCK, _WIDE_BLOCK = 1 << 12, 1 << 16
# Between which a weak order is believed when it decides on the bias: coarse levels often seem to converge faster than they will,
# and a scheme of second order pays for the doubt with a level or two, cheap ones if its variances fall as fast.
_LEAST_ORDER, _MOST_ORDER = 0.5, 1.0
