"""Measure several contestants on the same inputs, in one process, in interleaved rounds, after checking their answers.

A `Workload` is one row of a benchmark: inputs, a reference answer with a stated tolerance, and contestants. Every
contestant is first called once (its compilation, reported apart), then its answer is compared with the reference; only
then does the clock run. Each round visits every contestant once, in an order shuffled anew, so that a machine that
slows down or speeds up meets all of them alike and nobody always runs in the wake of the same neighbour.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Absent", "Contestant", "Outcome", "Result", "Tolerance", "Workload", "measure"]

Arrays = Mapping[str, np.ndarray]

# What a peer raises when it does not get along with the other versions installed: it is listed with the reason, and the
# run goes on. Errors of gpujax itself always end the run.
PEER_FAILURES = (ArithmeticError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Contestant:
    """One way to compute the workload's answer.

    Arguments:
        name: as shown in the table.
        how: what exactly is called, and why that is its best form.
        call: one pass over its inputs; returns only once the answer is there, unless `how` says otherwise.
        items: how many items one call works on (a slow peer may take fewer than the workload has).
        answer: turns what `call` returned into named arrays in the reference's units; not timed.
        ours: whether this is gpujax.
        internal: whether `call` reaches below the peer's public interface. Such a contestant is shown, and it has a
            ratio of its own in the headline, because it is the stricter comparison.
    """

    name: str
    how: str
    call: Callable[[], Any]
    items: int
    answer: Callable[[Any], Arrays]
    ours: bool = False
    internal: bool = False


@dataclass(frozen=True)
class Absent:
    """A contestant that could not take part, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Tolerance:
    """An answer agrees with the reference where |answer - reference| is at most
    absolute + relative * |reference| + standard_errors * (the answer's own standard error).

    A random answer called "x" comes with another called "x standard error".
    """

    relative: float = 0.0
    absolute: float = 0.0
    standard_errors: float = 0.0

    def excess(self, answer: np.ndarray, reference: np.ndarray, error: np.ndarray | float = 0.0) -> np.ndarray:
        """The error as a multiple of what is allowed; not-a-number where exactly one of the two is not a number."""
        allowed = self.absolute + self.relative * np.abs(reference) + self.standard_errors * error
        return np.abs(answer - reference) / np.maximum(allowed, np.finfo(float).tiny)


@dataclass(frozen=True)
class Workload:
    """One row of a benchmark.

    Arguments:
        name: what is computed, on how many items, in which dtype.
        unit: what one item is, for "ns per ...".
        reference: named arrays that every answer must match on the items it covers.
        tolerance: one for every name in `reference`.
        contestants: those that take part.
        absent: those that do not, and why.
        bytes_per_item: bytes that must be read and written for one item, if memory traffic is a limit here.
        operations_per_item: floating-point operations for one item as compiled for gpujax, if known.
        score: optional measure of each answer's error, kept in the result under the contestant.
    """

    name: str
    unit: str
    reference: Arrays
    tolerance: Mapping[str, Tolerance]
    contestants: Sequence[Contestant]
    absent: Sequence[Absent] = ()
    bytes_per_item: float | None = None
    operations_per_item: float | None = None
    score: Callable[[Arrays], Mapping[str, float]] | None = None


@dataclass
class Outcome:
    """What was measured of one contestant; times are seconds per item, one per round."""

    name: str
    how: str
    ours: bool
    internal: bool
    items: int
    first_call: float
    repeats: int
    disagreement: str | None
    score: Mapping[str, float]
    times: list[float] = field(default_factory=list)

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile of the seconds per item."""
        low, middle, high = np.percentile(self.times, [25, 50, 75])
        return float(low), float(middle), float(high)

    @property
    def median(self) -> float:
        return self.quartiles[1]


@dataclass
class Result:
    """One measured workload."""

    workload: Workload
    outcomes: list[Outcome]

    def fastest(self, *, ours: bool, internal: bool = False) -> Outcome | None:
        """The fastest of gpujax's forms, or of the peers, that agree with the reference; internal ones if asked."""
        able = [o for o in self.outcomes if o.ours == ours and not o.disagreement and (internal or not o.internal)]
        return min(able, key=lambda outcome: outcome.median, default=None)

    def ratio(self, outcome: Outcome, to: Outcome) -> tuple[float, float, float]:
        """How many times faster `outcome` is than `to`: median and quartiles of the rounds' ratios.

        Within a round both met the machine in the same state, so that what slows the machine for a while cancels.
        """
        rounds = np.array(to.times) / np.array(outcome.times)
        low, middle, high = np.percentile(rounds, [25, 50, 75])
        return float(middle), float(low), float(high)


def measure(workload: Workload, *, rounds: int, least_sample: float, seed: int = 0) -> Result:
    """Check every contestant's answer, then time all of them in interleaved rounds.

    Arguments:
        workload: what to measure.
        rounds: how often every contestant is visited, >= 1.
        least_sample: seconds that one timed sample lasts at least; shorter calls are repeated within the sample.
        seed: of the order in which contestants are visited.

    Returns: a `Result`. A contestant whose answer is off is marked with where and by how much; it is timed all the
        same, but it is never the peer that gpujax is compared with. A peer that raises is listed as absent with its
        reason.
    """
    pairs: list[tuple[Contestant, Outcome]] = []
    failed: list[Absent] = []
    for contestant in workload.contestants:
        try:
            pairs.append((contestant, _prepare(contestant, workload, least_sample)))
        except PEER_FAILURES as error:
            if contestant.ours:
                raise
            failed.append(Absent(contestant.name, f"raised {type(error).__name__}: {error}"))
    outcomes = [outcome for _, outcome in pairs]
    order = random.Random(seed)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            order.shuffle(pairs)
            for contestant, outcome in pairs:
                elapsed = _time(contestant.call, outcome.repeats)
                outcome.times.append(elapsed / (outcome.repeats * contestant.items))
    finally:
        if collecting:
            gc.enable()
    return Result(dataclasses.replace(workload, absent=[*workload.absent, *failed]), outcomes)


def _prepare(contestant: Contestant, workload: Workload, least_sample: float) -> Outcome:
    """First call (compilation included), comparison with the reference, warm-up and choice of repeats."""
    start = time.perf_counter()
    answer = contestant.answer(contestant.call())
    first_call = time.perf_counter() - start
    disagreement = _disagreement(answer, workload)
    score = dict(workload.score(answer)) if workload.score else {}
    del answer
    # Doubling until a sample is long enough also serves as the warm-up.
    repeats = 1
    while (elapsed := _time(contestant.call, repeats)) < least_sample:
        repeats = max(2 * repeats, math.ceil(0.8 * repeats * least_sample / max(elapsed, 1e-9)))
    return Outcome(
        contestant.name,
        contestant.how,
        contestant.ours,
        contestant.internal,
        contestant.items,
        first_call,
        repeats,
        disagreement,
        score,
    )


def _disagreement(answer: Arrays, workload: Workload) -> str | None:
    """The worst violation of the tolerance in words, or None where all is well."""
    for name, reference in workload.reference.items():
        if name not in answer:
            return f"{name} is missing from the answer"
        got = np.atleast_1d(np.asarray(answer[name], dtype=float))
        expected = np.atleast_1d(reference)[: got.size]
        if got.shape != expected.shape:
            return f"{name} has shape {got.shape}, expected {expected.shape}"
        excess = workload.tolerance[name].excess(got, expected, answer.get(f"{name} standard error", 0.0))
        bad = ~(excess <= 1.0)  # also true for not-a-number
        if bad.any():
            worst = int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
            example = f"item {worst}: {got[worst]:.9g}, not {expected[worst]:.9g}"
            return f"{name} off on {bad.sum():,} of {got.size:,}, e.g. {example}"
    return None


def _time(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start
