"""quantkit-rs: Longstaff-Schwartz in Rust on all cores; of the benchmark's contracts it has the American put."""

from __future__ import annotations

from benchmarks.contestants.monte_carlo_contracts import AmericanPut, Contract, answer
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["american", "asian", "basket", "heston"]

NAME = "quantkit-rs"

quantkit, ABSENT = load(NAME, "quantkit")


def american(c: AmericanPut, dtype: str) -> list[Contestant | Absent]:
    """`mc_american` values the policy on paths apart from those that trained it; counted are those that it values."""
    if ABSENT:
        return ABSENT
    if dtype != "float64":
        return [Absent(f"{NAME} in float32", "it computes in float64 only")]

    def call() -> list[tuple[float, float]]:
        return [
            quantkit.mc_american(spot, c.strike, c.rate, c.volatility, c.expiry, is_call=False, steps=c.steps,
                                 paths=c.paths, seed=42, antithetic=False)
            for spot in c.spots
        ]  # fmt: skip

    how = "mc_american, antithetic=False; a second set of paths, for training, is not counted"
    return [Contestant(NAME, how, call, c.paths * c.steps * len(c.spots),
                       lambda got: answer(*zip(*got, strict=True), c.paths))]  # fmt: skip


def asian(c: Contract, dtype: str) -> list[Contestant | Absent]:
    return _missing("Asian call")


def basket(c: Contract, dtype: str) -> list[Contestant | Absent]:
    return _missing("basket call")


def heston(c: Contract, dtype: str) -> list[Contestant | Absent]:
    return _missing("Heston call")


def _missing(what: str) -> list[Contestant | Absent]:
    return ABSENT or [
        Absent(f"{NAME}, {what}", "it simulates European and American options on one lognormal asset only")
    ]
