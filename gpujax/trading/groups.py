"""Which quotes share a forward, and what each group's forward means for each of its quotes."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from gpujax.trading.forward import Forwards

if TYPE_CHECKING:
    from gpujax.trading.chain import Chain

__all__ = ["ExpiryGroups", "RowForwards", "group_quotes", "row_forwards"]

Floats = npt.NDArray[np.float64]


class ExpiryGroups(NamedTuple):
    """What belongs together for a forward: one snapshot, root and expiry each; arrays `[G]`, ordered by these three.

    time: newest quote of the group, UTC. years: time to expiry from then, by the chosen clock. spot: mean price of the
    underlying over the group's quotes, NaN if none is known.
    """

    snapshot: npt.NDArray[np.int64]
    root: npt.NDArray[np.str_]
    expiry: npt.NDArray[np.datetime64]
    time: npt.NDArray[np.datetime64]
    years: Floats
    spot: Floats


class RowForwards(NamedTuple):
    """What the pricing functions take for each quote, arrays `[n]`: forward and spot in currency; rate and dividend yield
    continuously compounded per year of the volatility's clock.
    """

    forward: Floats
    spot: Floats
    rate: Floats
    dividend_yield: Floats


def group_quotes(
    chain: "Chain", years: Floats, money_years: Floats
) -> tuple[npt.NDArray[np.int64], ExpiryGroups, Floats, npt.NDArray[np.int64]]:
    """Number the groups; for each its newest time, its mean underlying, and the number of its root and expiry."""
    roots, root = np.unique(chain.root, return_inverse=True)
    expiries, expiry = np.unique(chain.expiry, return_inverse=True)
    _, snapshot = np.unique(chain.snapshot, return_inverse=True)
    series_of_row = root.reshape(-1) * len(expiries) + expiry.reshape(-1)
    key = snapshot.reshape(-1) * (len(roots) * len(expiries)) + series_of_row
    keys, first, group = np.unique(key, return_index=True, return_inverse=True)
    group, count = group.reshape(-1), len(keys)

    newest = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(newest, group, np.where(np.isnat(chain.time), np.iinfo(np.int64).min, chain.time.astype(np.int64)))
    shortest, shortest_money = np.full(count, np.inf), np.full(count, np.inf)
    np.fmin.at(shortest, group, years)
    np.fmin.at(shortest_money, group, money_years)
    shortest, shortest_money = (np.where(np.isfinite(v), v, np.nan) for v in (shortest, shortest_money))
    known = np.isfinite(chain.underlying)
    quoted = np.bincount(group[known], minlength=count)
    total = np.bincount(group[known], chain.underlying[known], minlength=count)
    spot = np.divide(total, quoted, out=np.full(count, np.nan), where=quoted > 0)
    groups = ExpiryGroups(
        snapshot=chain.snapshot[first],
        root=chain.root[first],
        expiry=chain.expiry[first],
        time=newest.astype("M8[ns]"),
        years=shortest,
        spot=spot,
    )
    return group.astype(np.int64), groups, shortest_money, series_of_row[first]


def row_forwards(
    chain: "Chain",
    years: Floats,
    money_years: Floats,
    group: npt.NDArray[np.int64],
    groups: ExpiryGroups,
    group_money_years: Floats,
    forwards: Forwards,
) -> RowForwards:
    """Forward, spot, rate and dividend yield of each quote, from its group's, its own underlying and its own time."""
    group_spot = groups.spot[group]
    moved = np.where(np.isfinite(chain.underlying), chain.underlying / group_spot, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        carry = np.log(forwards.forward / groups.spot) / group_money_years
    aged = np.nan_to_num(carry[group] * (money_years - group_money_years[group]))
    alive = years > 0.0
    forward = np.where(alive, forwards.forward[group] * moved * np.exp(np.where(alive, aged, 0.0)), np.nan)
    money_rate = forwards.rate[group]
    # The pricing functions see rates per year of their own clock, so that the discount factors are right.
    ratio = np.divide(money_years, years, out=np.ones_like(years), where=alive)
    rate = money_rate * ratio
    spot = np.where(np.isfinite(chain.underlying), chain.underlying, group_spot)
    spot = np.where(np.isfinite(spot), spot, forward * np.exp(-money_rate * money_years))
    with np.errstate(invalid="ignore", divide="ignore"):
        dividend_yield = rate - np.where(alive, np.log(forward / spot) / np.where(alive, years, 1.0), np.nan)
    return RowForwards(forward=forward, spot=spot, rate=rate, dividend_yield=dividend_yield)
