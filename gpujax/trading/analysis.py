"""From quotes to forwards, implied volatilities, Greeks and flags, for a whole chain in a few compiled calls.

American-style listed equity options are treated as European: at the parity forward the difference is small near the
money and grows for deep in-the-money puts (and calls before dividends), whose volatilities come out too high.
Removing the early-exercise premium first is not part of this module.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gpujax.errors import InputError
from gpujax.trading.batch import evaluate
from gpujax.trading.conventions import Convention, to_convention
from gpujax.trading.expiry import Clock, Settlement, expiry_instants, years_to_expiry
from gpujax.trading.flags import QuoteFlag, count_flags, has_flag, set_flag
from gpujax.trading.forward import ForwardMethod, Forwards, Rate, imply_forwards
from gpujax.trading.groups import ExpiryGroups, RowForwards, group_quotes, row_forwards

if TYPE_CHECKING:
    from gpujax.trading.chain import Chain

__all__ = ["ChainAnalysis", "analyze"]

Floats = npt.NDArray[np.float64]
Price = Literal["bid", "mid", "ask", "last"]

_FIVE_GREEKS = ("delta", "gamma", "theta", "vega", "rho")
_UNUSABLE_FOR_PARITY = (
    QuoteFlag.CROSSED | QuoteFlag.BAD_CONTRACT | QuoteFlag.DUPLICATE | QuoteFlag.EXPIRED | QuoteFlag.STALE
)
_SESSIONS_IN_YEAR = 252.0


@dataclasses.dataclass(frozen=True, eq=False)
class ChainAnalysis:
    """A chain with what follows from its quotes; arrays are `[n]`, in the chain's order.

    chain: the quotes. years: time to expiry. forward, rate, dividend_yield: of each quote's expiry at its time,
    continuously compounded per year of the clock. underlying: the price used; the forward discounted by the rate
    where none was quoted.
    bid_volatility, mid_volatility, ask_volatility, last_volatility: implied, as decimals, NaN where there is no price
    or none exists. price, volatility: the ones that the Greeks belong to. greeks: NamedTuple of arrays under
    `convention`.
    flags: the chain's flags and those of the analysis. group: which row of `groups` and `forwards` each quote belongs
        to.
    """

    chain: "Chain"
    years: Floats
    forward: Floats
    rate: Floats
    dividend_yield: Floats
    underlying: Floats
    bid_volatility: Floats
    mid_volatility: Floats
    ask_volatility: Floats
    last_volatility: Floats
    price: Floats
    volatility: Floats
    greeks: Any
    convention: Convention
    clock: Clock
    flags: npt.NDArray[np.uint32]
    group: npt.NDArray[np.int64]
    groups: ExpiryGroups
    forwards: Forwards

    def __len__(self) -> int:
        return len(self.chain)

    def __repr__(self) -> str:
        determined = int(np.count_nonzero(np.isfinite(self.volatility)))
        found = int(np.count_nonzero(np.isfinite(self.forwards.forward)))
        return f"ChainAnalysis({len(self):,} quotes, {determined:,} with a volatility, {found:,} forwards)"

    def __getitem__(self, rows: Any) -> "ChainAnalysis":
        """The rows of a boolean mask, an index array or a slice; groups and forwards stay whole."""
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        whole = ("chain", "greeks", "convention", "clock", "groups", "forwards")
        names = (field.name for field in dataclasses.fields(self) if field.name not in whole)
        return dataclasses.replace(
            self,
            chain=self.chain[rows],
            greeks=type(self.greeks)(*(None if value is None else value[rows] for value in self.greeks)),
            **{name: getattr(self, name)[rows] for name in names},
        )

    @property
    def log_moneyness(self) -> Floats:
        """ln(strike / forward), `[n]`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(self.chain.strike / self.forward)

    @property
    def out_of_the_money(self) -> npt.NDArray[np.bool_]:
        """Calls at or above the forward and puts below it: the quotes that carry the smile."""
        return np.where(self.chain.is_call, self.chain.strike >= self.forward, self.chain.strike < self.forward)

    @property
    def flag_counts(self) -> dict[str, int]:
        """How many quotes carry each flag."""
        return count_flags(self.flags)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Everything about each quote, by column name, as `to_csv` and `to_parquet` write it."""
        from gpujax.trading.tables import analysis_columns

        return analysis_columns(self)

    def summary(self) -> str:
        """A table in text, one line per expiry; see `gpujax.trading.tables.summary`."""
        from gpujax.trading.tables import summary

        return summary(self)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write every quote with its results to a CSV file, whole or not at all."""
        from gpujax.trading.tables import write_csv

        write_csv(self.columns(), path)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write every quote with its results to a Parquet file, whole or not at all."""
        from gpujax.trading.tables import write_parquet

        write_parquet(self.columns(), path)

    def plot_smile(self, **options: Any) -> Any:
        """Smile of each expiry as a Matplotlib figure; see `gpujax.trading.plots.plot_smile`."""
        from gpujax.trading.plots import plot_smile

        return plot_smile(self, **options)

    def plot_term_structure(self, **options: Any) -> Any:
        """At-the-money volatility, skew and carry by expiry; see `gpujax.trading.plots.plot_term_structure`."""
        from gpujax.trading.plots import plot_term_structure

        return plot_term_structure(self, **options)

    def plot_surface(self, **options: Any) -> Any:
        """The volatility surface as a Matplotlib figure; see `gpujax.trading.plots.plot_surface`."""
        from gpujax.trading.plots import plot_surface

        return plot_surface(self, **options)


def analyze(
    chain: "Chain",
    *,
    rate: Rate = 0.0,
    dividend_yield: float = 0.0,
    forward: Literal["parity", "spot"] = "parity",
    clock: Clock = "calendar/365",
    settlement: Settlement = "listed",
    price: Price = "mid",
    convention: Convention = "raw",
    greeks: tuple[str, ...] = _FIVE_GREEKS,
    stale_after: float = 900.0,
) -> ChainAnalysis:
    """Forwards, implied volatilities of bid, mid, ask and last, Greeks, and flags of every quote in a chain.

    Arguments:
        chain: the quotes.
        rate: continuously compounded, as a decimal: a number, a function of years to expiry (arrays to arrays), or
            "implied" from put-call parity, per expiry and snapshot.
        dividend_yield: used where the forward comes from the spot.
        forward: "parity" implies each expiry's forward from its calls and puts, and falls back, with a flag, to the
            carry of the same expiry at an earlier snapshot, then to a narrow interval that one-sided quotes leave open,
            then to the spot; "spot" is spot * exp((rate - dividend_yield) T).
        clock: how time to expiry is counted; see `expiry.years_to_expiry`. With "trading/252" discounting still runs on
            calendar time, and the rates of the result are per year of trading time.
        settlement: when the options end; see `expiry.expiry_instants`.
        price: the price that the Greeks and flags refer to: "bid", "mid", "ask" or "last".
        convention: units of the Greeks: "raw", "alpaca", "nautilus" or "vollib"; see `conventions.to_convention`.
        greeks: names of the Greeks to compute, from those of `gpujax.pricing.black_scholes.greeks`.
        stale_after: seconds by which a quote may be older than the newest of its snapshot before it counts as stale.

    Returns: `ChainAnalysis`. No quote is dropped: where something cannot be said there is NaN, and a flag that says
        why.

    Raises: InputError for an unknown name, or a rate that is not finite.

    >>> from gpujax.trading import Chain
    >>> chain = Chain.from_arrays(expiry="2024-05-03", strike=155.0, is_call=False, bid=0.32, ask=0.35,
    ...                           underlying=169.74, time="2024-04-26T16:00")
    >>> chain.analyze(rate=0.05295).mid_volatility.round(4)
    array([0.4569])

    Source: put-call parity as in `gpujax.trading.forward`; Black-Scholes-Merton as in `gpujax.pricing.black_scholes`.
    """
    from gpujax.pricing import black_scholes

    for name, value, allowed in (("forward", forward, ("parity", "spot")), ("price", price, get_args(Price))):
        if value not in allowed:
            raise InputError(f"{name}: {value!r}; expected one of {', '.join(allowed)}")
    flags = chain.flags.copy()
    end = expiry_instants(chain.expiry, root=chain.root, settlement=settlement)
    years = years_to_expiry(chain.time, end, clock=clock)
    set_flag(flags, chain.time >= end, QuoteFlag.EXPIRED)
    set_flag(flags, _stale(chain, stale_after), QuoteFlag.STALE)

    # Money grows in calendar time, whatever clock volatility runs on.
    money_years = years if clock != "trading/252" else years_to_expiry(chain.time, end, clock="calendar/365")
    group, groups, group_money_years, series = group_quotes(chain, years, money_years)
    usable = ~has_flag(flags, _UNUSABLE_FOR_PARITY)
    forwards = imply_forwards(
        group=group[usable],
        strike=chain.strike[usable],
        is_call=chain.is_call[usable],
        bid=chain.bid[usable],
        ask=chain.ask[usable],
        years=group_money_years,
        spot=groups.spot,
        rate=rate,
        dividend_yield=dividend_yield,
        snapshot=groups.snapshot,
        series=series,
        use_parity=forward == "parity",
    )
    rows = row_forwards(chain, years, money_years, group, groups, group_money_years, forwards)
    set_flag(flags, np.isnan(rows.forward), QuoteFlag.NO_FORWARD)
    if forward == "parity":
        elsewhere = np.isfinite(rows.forward) & (forwards.method[group] != ForwardMethod.PARITY)
        set_flag(flags, elsewhere, QuoteFlag.FORWARD_NOT_PARITY)

    prices: Mapping[str, Floats] = {"bid": chain.bid, "mid": chain.mid, "ask": chain.ask, "last": chain.last}
    market = {
        "spot": rows.spot,
        "strike": chain.strike,
        "expiry": years,
        "rate": rows.rate,
        "dividend_yield": rows.dividend_yield,
        "is_call": chain.is_call,
    }
    possible = np.isfinite(rows.forward) & (years > 0.0) & np.isfinite(chain.strike)
    volatilities = _volatilities(black_scholes.implied_volatility, prices, market, possible)
    chosen, volatility = prices[price], volatilities[price]
    _flag_price(flags, chosen, volatility, chain, rows, years, possible)
    raw = _greeks(black_scholes.greeks, volatility, market, greeks)
    if clock == "trading/252":
        # Rates were rescaled to the clock of the volatility; back to one unit of the rate as given.
        ratio = np.divide(money_years, years, out=np.ones_like(years), where=years > 0.0)
        rates = {name: getattr(raw, name) for name in ("rho", "dividend_rho")}
        raw = raw._replace(**{name: value * ratio for name, value in rates.items() if value is not None})
    days = _SESSIONS_IN_YEAR if clock == "trading/252" else None
    return ChainAnalysis(
        chain=chain,
        years=years,
        forward=rows.forward,
        rate=rows.rate,
        dividend_yield=rows.dividend_yield,
        underlying=rows.spot,
        bid_volatility=volatilities["bid"],
        mid_volatility=volatilities["mid"],
        ask_volatility=volatilities["ask"],
        last_volatility=volatilities["last"],
        price=chosen,
        volatility=volatility,
        greeks=to_convention(raw, convention, days_in_year=days),
        convention=convention,
        clock=clock,
        flags=flags,
        group=group,
        groups=groups,
        forwards=forwards,
    )


def _stale(chain: "Chain", stale_after: float) -> npt.NDArray[np.bool_]:
    if not len(chain):
        return np.zeros(0, dtype=bool)
    _, place = np.unique(chain.snapshot, return_inverse=True)
    ticks = np.where(np.isnat(chain.time), np.iinfo(np.int64).min, chain.time.astype(np.int64))
    newest = np.full(place.max() + 1, np.iinfo(np.int64).min)
    np.maximum.at(newest, place, ticks)
    age = newest.astype("M8[ns]")[place] - chain.time
    return age / np.timedelta64(1, "s") > stale_after  # false where a time is unknown


def _volatilities(
    implied_volatility: Any,
    prices: Mapping[str, Floats],
    market: Mapping[str, npt.NDArray[Any]],
    possible: npt.NDArray[np.bool_],
) -> dict[str, Floats]:
    """Implied volatility of each kind of price, all in one pass; rows without a price cost nothing."""
    rows = {name: np.flatnonzero(possible & (values > 0.0)) for name, values in prices.items()}
    together = np.concatenate(list(rows.values()))
    flat = {name: values[together] for name, values in market.items()}
    flat["price"] = np.concatenate([prices[name][index] for name, index in rows.items()])
    found = evaluate(implied_volatility, flat)
    result, start = {}, 0
    for name, index in rows.items():
        result[name] = np.full(len(possible), np.nan)
        result[name][index] = found[start : start + len(index)]
        start += len(index)
    return result


def _greeks(function: Any, volatility: Floats, market: Mapping[str, npt.NDArray[Any]], names: tuple[str, ...]) -> Any:
    rows = np.flatnonzero(np.isfinite(volatility))
    flat = {name: values[rows] for name, values in market.items()}
    found = evaluate(function, {**flat, "volatility": volatility[rows]}, which=tuple(names))
    spread = []
    for value in found:
        if value is not None:
            whole = np.full(len(volatility), np.nan)
            whole[rows] = value
            value = whole
        spread.append(value)
    return type(found)(*spread)


def _flag_price(
    flags: npt.NDArray[np.uint32],
    price: Floats,
    volatility: Floats,
    chain: "Chain",
    rows: RowForwards,
    years: Floats,
    possible: npt.NDArray[np.bool_],
) -> None:
    set_flag(flags, np.isnan(price), QuoteFlag.NO_PRICE)
    discount = np.exp(-rows.rate * np.where(possible, years, 0.0))
    sign = np.where(chain.is_call, 1.0, -1.0)
    lowest = discount * np.maximum(sign * (rows.forward - chain.strike), 0.0)
    highest = discount * np.where(chain.is_call, rows.forward, chain.strike)
    undetermined = possible & np.isnan(volatility)
    below = possible & ((price < lowest) | (undetermined & (price <= lowest * (1.0 + 1e-12))))
    above = possible & ((price > highest) | (undetermined & (price >= highest * (1.0 - 1e-12))))
    set_flag(flags, below, QuoteFlag.BELOW_INTRINSIC)
    set_flag(flags, above, QuoteFlag.ABOVE_BOUND)
    set_flag(flags, undetermined & np.isfinite(price) & ~below & ~above, QuoteFlag.NO_VOLATILITY)
