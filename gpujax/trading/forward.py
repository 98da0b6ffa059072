r"""Forward prices and rates implied by put-call parity, for many expiries and times at once.

For European options $C - P = D\,(F - K)$ at every strike $K$, with the forward $F$ and the discount factor $D$. Every
strike with two-sided quotes of both its call and its put gives an observation $F_j = K_j + (C_j - P_j)/D$, good to
about the half-spread of the two; a robust weighted mean of them is the forward.

Listed equity options are American. Parity then holds only nearly, and least at strikes far from the forward, where
one of the two carries an early-exercise premium; the weights therefore also fall with the distance from the forward,
on the scale of the price's own standard deviation, where that premium is small against the spread.

References: H. Stoll, "The relationship between put and call option prices", J. Finance 24 (1969), 801-824. P. J. Huber,
Robust Statistics (1981), chapter 3 (M-estimates of location by reweighting), with Tukey's biweight.
"""

import enum
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gpujax.errors import InputError

__all__ = ["ForwardMethod", "Forwards", "Rate", "imply_forwards"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]
Rate = float | Literal["implied"] | Callable[[Floats], Floats]

_REWEIGHTINGS = 6  # the biweight has settled to well below the standard error
_BIWEIGHT = 4.685  # in standard deviations; 95 % efficient for normal errors (Huber 1981)
_NARROW, _WIDE = 1.0, 2.5  # kernel widths in standard deviations of the price: for the forward, for the slope
_PRIOR_RATE_DEVIATION = 0.005  # how far one expiry's rate is expected from its neighbours'
_RATE_BOUNDS = (-0.05, 0.20)
_INTERVAL_SHARE = 0.02  # widest interval from one-sided quotes, relative to the forward, that is still worth its middle


class ForwardMethod(enum.IntEnum):
    """Where a forward came from: calls and puts of its own snapshot; the interval that one-sided quotes leave open; the
    carry of the same expiry at the latest earlier snapshot; spot, rate and dividend yield; or nowhere."""

    NONE = 0
    PARITY = 1
    INTERVAL = 2
    EARLIER = 3
    SPOT = 4


class Forwards(NamedTuple):
    """Forwards of all groups (one snapshot, root and expiry each), arrays `[groups]`.

    forward: in currency. rate: continuously compounded, per year. discount: today's value of 1 at expiry.
    standard_error: of the forward, in currency; rate_error: of the rate, NaN where it was given. pairs: strikes that
    carried weight. lowest, highest: interval for the forward from bids and asks near it, one-sided quotes included
    (it may be empty if a quote is wrong). method: `ForwardMethod`.
    """

    forward: Floats
    rate: Floats
    discount: Floats
    standard_error: Floats
    rate_error: Floats
    pairs: npt.NDArray[np.int64]
    lowest: Floats
    highest: Floats
    method: npt.NDArray[np.int8]


class _Pairs(NamedTuple):
    """Strikes with a call and a put, sorted by group and strike; prices NaN where missing."""

    group: Integers
    strike: Floats
    call_bid: Floats
    call_ask: Floats
    put_bid: Floats
    put_ask: Floats

    def where(self, keep: npt.NDArray[np.bool_]) -> "_Pairs":
        return _Pairs(
            self.group[keep],
            self.strike[keep],
            self.call_bid[keep],
            self.call_ask[keep],
            self.put_bid[keep],
            self.put_ask[keep],
        )


def imply_forwards(
    *,
    group: Integers,
    strike: Floats,
    is_call: npt.NDArray[np.bool_],
    bid: Floats,
    ask: Floats,
    years: Floats,
    spot: Floats,
    rate: Rate = 0.0,
    dividend_yield: float = 0.0,
    snapshot: Integers,
    series: Integers,
    minimum_pairs: int = 2,
    use_parity: bool = True,
) -> Forwards:
    """Forward, discount factor and their errors for each group of quotes.

    Arguments:
        group: number of each quote's group, 0 to G-1, `[n]`.
        strike, is_call, bid, ask: the quotes, `[n]`; NaN where a price is missing. Leave out what should not count.
        years: time to expiry of each group, `[G]`; a group that is not positive gets no forward.
        spot: price of the underlying, `[G]`, NaN if unknown.
        rate: continuously compounded; a number, a function of years, or "implied": from the slope of C - P in the
            strike, drawn towards the rates of the other expiries of the snapshot in proportion to its error.
        dividend_yield: only used where the forward has to come from the spot.
        snapshot: number of the snapshot of each group, `[G]`, increasing in time.
        series: number of the root and expiry of each group, `[G]`: where an earlier carry may be taken from.
        minimum_pairs: strikes below which parity is not relied on.
        use_parity: False takes all forwards from the spot.

    Returns: `Forwards`, arrays `[G]`; NaN where neither parity nor a spot is there.

    Raises: InputError for rates that are not finite or not one per group.
    """
    count = len(years)
    live = np.isfinite(years) & (years > 0.0)
    pairs = _pair(group, strike, is_call, bid, ask)
    given = _given_rate(rate, years)
    rates = np.where(live, 0.0 if given is None else given, np.nan)
    rate_errors = np.full(count, np.nan)

    two_sided = (pairs.call_bid <= pairs.call_ask) & (pairs.put_bid <= pairs.put_ask) & live[pairs.group]
    sided = pairs.where(two_sided)
    enough = use_parity & (np.bincount(sided.group, minlength=count) >= minimum_pairs) & live
    if given is None:
        # A first forward with D = 1 is exact where C = P, so it serves as the centre for the slope.
        centre = _location(sided, np.ones(count), count)
        rates, rate_errors = _implied_rates(sided, centre.value, centre.width, years, snapshot, enough)
        rates = np.where(live, rates, np.nan)
    discount = np.exp(-rates * years)
    location = _location(sided, discount, count)
    lowest, highest = _interval(pairs, discount, location, spot, count)

    carried = spot * np.exp((rates - dividend_yield) * years)
    method = np.where(live & np.isfinite(carried), ForwardMethod.SPOT, ForwardMethod.NONE).astype(np.int8)
    forward, error = np.where(method == ForwardMethod.SPOT, carried, np.nan), np.full(count, np.nan)
    if use_parity:
        parity = enough & np.isfinite(location.value)
        carry = np.where(
            parity & (spot > 0.0), np.log(location.value / np.where(spot > 0.0, spot, 1.0)), np.nan
        ) / np.where(live, years, 1.0)
        earlier = _latest_before(carry, snapshot, series)
        replaced = live & ~parity & np.isfinite(earlier) & np.isfinite(spot)
        forward = np.where(replaced, spot * np.exp(np.where(replaced, earlier * years, 0.0)), forward)
        method[replaced] = ForwardMethod.EARLIER
        width = highest - lowest
        between = (
            live & ~parity & (method != ForwardMethod.EARLIER) & (width >= 0.0) & (width <= _INTERVAL_SHARE * lowest)
        )
        forward = np.where(between, 0.5 * (lowest + highest), forward)
        error = np.where(between, width / np.sqrt(12.0), error)  # of a value anywhere in the interval
        method[between] = ForwardMethod.INTERVAL
        forward = np.where(parity, location.value, forward)
        error = np.where(parity, location.error, error)
        method[parity] = ForwardMethod.PARITY
    return Forwards(
        forward=forward,
        rate=rates,
        discount=discount,
        standard_error=error,
        rate_error=rate_errors,
        pairs=np.where(method == ForwardMethod.PARITY, location.pairs, 0),
        lowest=lowest,
        highest=highest,
        method=method,
    )


class _Location(NamedTuple):
    value: Floats
    error: Floats
    pairs: npt.NDArray[np.int64]
    width: Floats


def _location(pairs: _Pairs, discount: Floats, count: int) -> _Location:
    """Robust weighted mean of the forwards that the strikes of each group imply."""
    group = pairs.group
    call, put = 0.5 * (pairs.call_bid + pairs.call_ask), 0.5 * (pairs.put_bid + pairs.put_ask)
    observed = pairs.strike + (call - put) / discount[group]
    half_spread = 0.5 * (pairs.call_ask - pairs.call_bid + pairs.put_ask - pairs.put_bid) / discount[group]
    # Locked markets have no spread, but no infinite weight either.
    half_spread = np.maximum(half_spread, 1e-5 * pairs.strike)
    value = _weighted_median(observed, 1.0 / half_spread, group, count)
    width = _price_deviation(pairs.strike, (call + put) / discount[group], value, group, count)

    kernel = _kernel(pairs.strike, value, _NARROW * width, group)
    base = kernel / half_spread**2
    weight, total = base, np.zeros(count)
    # A redescending weight needs a start that outliers cannot reach: the median, never the mean.
    value = _weighted_median(observed, kernel / half_spread, group, count)
    for _ in range(_REWEIGHTINGS):
        standardised = np.abs(observed - value[group]) / half_spread
        # In units of half-spreads, near the money or overall: a few bad strikes can be the majority of one, hardly of both.
        # The floor keeps groups of agreeing quotes from shrinking onto two of them.
        near, overall = (_weighted_median(standardised, w, group, count) for w in (kernel, np.ones_like(kernel)))
        scale = np.maximum(1.4826 * np.fmin(near, overall), 0.25)
        u = standardised / (_BIWEIGHT * scale[group])
        weight = base * np.where(u < 1.0, (1.0 - u * u) ** 2, 0.0)
        total = _sum(weight, group, count)
        value = _ratio(_sum(weight * observed, group, count), total)
    residual = observed - value[group]
    # The scatter seen, and the width inside which each observation could lie (a third of its square: uniform), so that
    # two quotes that agree by chance do not claim certainty.
    variance = _ratio(_sum(weight**2 * (residual**2 + half_spread**2 / 3.0), group, count), total**2)
    used = np.bincount(group[weight > 1e-3 * _maximum(weight, group, count)[group]], minlength=count)
    return _Location(value=value, error=np.sqrt(variance), pairs=used, width=width)


def _implied_rates(
    pairs: _Pairs, centre: Floats, width: Floats, years: Floats, snapshot: Integers, enough: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Rates from the slope of C - P in the strike, each drawn towards its snapshot's mean by its error."""
    group, count = pairs.group, len(years)
    difference = 0.5 * (pairs.call_bid + pairs.call_ask - pairs.put_bid - pairs.put_ask)
    half_spread = 0.5 * (pairs.call_ask - pairs.call_bid + pairs.put_ask - pairs.put_bid)
    half_spread = np.maximum(half_spread, 1e-5 * pairs.strike)
    x = pairs.strike - centre[group]
    base = _kernel(pairs.strike, centre, _WIDE * width, group) / half_spread**2
    # The start is the least-absolute-deviations line through the centre, where C = P: a median of slopes, which outliers
    # do not reach. The reweighted line then has a level of its own.
    distance = np.where(x != 0.0, x, 1.0)
    slope = _weighted_median(difference / distance, np.abs(x) * base * half_spread, group, count)
    residual = difference - slope[group] * x
    weight, error = base, np.full(count, np.nan)
    for _ in range(_REWEIGHTINGS):
        standardised = np.abs(residual) / half_spread
        scale = np.maximum(1.4826 * _weighted_median(standardised, base, group, count), 0.25)
        u = standardised / (_BIWEIGHT * scale[group])
        weight = base * np.where(u < 1.0, (1.0 - u * u) ** 2, 0.0)
        total = _sum(weight, group, count)
        mean_x, mean_y = (_ratio(_sum(weight * v, group, count), total) for v in (x, difference))
        dx, dy = x - mean_x[group], difference - mean_y[group]
        spread_x = _sum(weight * dx * dx, group, count)
        slope = _ratio(_sum(weight * dx * dy, group, count), spread_x)
        residual = dy - slope[group] * dx
        scatter = _sum((weight * dx) ** 2 * (residual**2 + half_spread**2 / 3.0), group, count)
        error = np.sqrt(_ratio(scatter, spread_x**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = np.where((slope < 0.0) & enough, -np.log(-slope) / years, np.nan)
        error = np.where(np.isfinite(raw), error / (-slope * years), np.nan)
    raw = np.clip(raw, *_RATE_BOUNDS)
    precision = np.where(np.isfinite(raw) & (error > 0.0), 1.0 / error**2, 0.0)
    _, place = np.unique(snapshot, return_inverse=True)
    place = place.reshape(-1)
    places = int(place.max()) + 1
    pooled_precision = _sum(precision, place, places)
    pooled = _ratio(_sum(precision * np.nan_to_num(raw), place, places), pooled_precision)
    prior, prior_precision = np.nan_to_num(pooled)[place], 1.0 / _PRIOR_RATE_DEVIATION**2
    combined = (precision * np.nan_to_num(raw) + prior_precision * prior) / (precision + prior_precision)
    known = pooled_precision[place] > 0.0
    return np.where(known, combined, 0.0), np.where(known, np.sqrt(1.0 / (precision + prior_precision)), np.nan)


def _pair(group: Integers, strike: Floats, is_call: npt.NDArray[np.bool_], bid: Floats, ask: Floats) -> _Pairs:
    """Match each call with the put of the same group and strike."""
    rows = np.flatnonzero(np.isfinite(strike))
    rows = rows[np.lexsort((is_call[rows], strike[rows], group[rows]))]
    first, second = rows[:-1], rows[1:]
    matched = (group[first] == group[second]) & (strike[first] == strike[second]) & ~is_call[first] & is_call[second]
    put, call = first[matched], second[matched]
    return _Pairs(group[put], strike[put], bid[call], ask[call], bid[put], ask[put])


def _interval(pairs: _Pairs, discount: Floats, location: _Location, spot: Floats, count: int) -> tuple[Floats, Floats]:
    """Highest lower and lowest upper bound for the forward: nobody sells below a bid or buys above an ask.

    Only strikes near the money count, since far ones are American and carry an early-exercise premium.
    """
    group = pairs.group
    centre = np.where(np.isfinite(location.value), location.value, spot)
    width = np.where(np.isfinite(location.width), location.width, 0.05)
    near = np.abs(np.log(pairs.strike / centre[group])) <= 2.0 * width[group]
    # A missing bid is a bid of nothing: the option is worth at least zero.
    above = pairs.strike + (np.nan_to_num(pairs.call_bid) - pairs.put_ask) / discount[group]
    below = pairs.strike + (pairs.call_ask - np.nan_to_num(pairs.put_bid)) / discount[group]
    lowest, highest = np.full(count, -np.inf), np.full(count, np.inf)
    for bound, combine, result in ((above, np.maximum, lowest), (below, np.minimum, highest)):
        known = near & np.isfinite(bound)
        combine.at(result, group[known], bound[known])
    return np.where(np.isfinite(lowest), lowest, np.nan), np.where(np.isfinite(highest), highest, np.nan)


def _price_deviation(strike: Floats, straddle: Floats, forward: Floats, group: Integers, count: int) -> Floats:
    r"""Relative standard deviation of the price at expiry, from the cheapest straddle, $\approx F\sigma\sqrt{2T/\pi}$.

    At least the distance to the third nearest strike, so that on expiry day a few strikes still count.
    """
    cheapest = np.full(count, np.inf)
    np.minimum.at(cheapest, group, straddle)
    deviation = np.sqrt(np.pi / 2.0) * cheapest / forward
    distance = np.abs(np.log(strike / forward[group]))
    order = np.lexsort((distance, group))
    sizes = np.bincount(group, minlength=count)
    third = np.cumsum(sizes) - sizes + np.minimum(2, np.maximum(sizes - 1, 0))
    nearest = np.full(count, np.nan)
    nearest[sizes > 0] = distance[order][third[sizes > 0]]
    return np.where(sizes > 0, np.fmax(deviation, np.fmax(nearest, 1e-6)), np.nan)


def _kernel(strike: Floats, centre: Floats, width: Floats, group: Integers) -> Floats:
    """Gaussian weight in log-strike, cut off at three widths."""
    with np.errstate(invalid="ignore"):
        z = np.log(strike / centre[group]) / width[group]
        return np.where(np.abs(z) < 3.0, np.exp(-0.5 * z * z), 0.0)


def _latest_before(values: Floats, snapshot: Integers, series: Integers) -> Floats:
    """The last finite value of the same series at an earlier snapshot; nothing later is ever looked at."""
    order = np.lexsort((snapshot, series))
    ordered, same = values[order], series[order]
    index = np.arange(len(order))
    latest = np.maximum.accumulate(np.where(np.isfinite(ordered), index, -1))
    usable = (latest >= 0) & (same[np.maximum(latest, 0)] == same)
    result = np.full(len(values), np.nan)
    result[order] = np.where(usable, ordered[np.maximum(latest, 0)], np.nan)
    return result


def _given_rate(rate: Rate, years: Floats) -> Floats | None:
    if isinstance(rate, str):
        if rate != "implied":
            raise InputError(f"rate: {rate!r}; expected a number, a function of years, or 'implied'")
        return None
    live = np.isfinite(years) & (years > 0.0)
    values = np.asarray(rate(np.where(live, years, 1.0)) if callable(rate) else rate)
    if values.dtype.kind not in "fiu" or values.shape not in ((), years.shape):
        raise InputError(
            f"rate: {values.dtype} of shape {values.shape}; expected one number, or one per {len(years)} years"
        )
    values = np.broadcast_to(values.astype(np.float64), years.shape)
    if not np.isfinite(values[live]).all():
        raise InputError(
            f"rate: {values[live][~np.isfinite(values[live])][0]}; expected finite numbers, e.g. 0.05 for 5 %"
        )
    return values


def _sum(values: Floats, group: Integers, count: int) -> Floats:
    return np.bincount(group, values, minlength=count).astype(np.float64)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0.0)


def _maximum(values: Floats, group: Integers, count: int) -> Floats:
    result = np.zeros(count)
    np.maximum.at(result, group, values)
    return result


def _weighted_median(values: Floats, weights: Floats, group: Integers, count: int) -> Floats:
    """The value at which half of a group's weight is reached, `[count]`; NaN for groups without weight."""
    order = np.lexsort((values, group))
    cumulative = np.cumsum(weights[order])
    totals = _sum(weights, group, count)
    ends = np.cumsum(totals)
    # Rounding of the two sums differs; the index is kept inside the group's own rows.
    sizes = np.bincount(group, minlength=count)
    last = np.cumsum(sizes) - 1
    index = np.searchsorted(cumulative, ends - 0.5 * totals)
    index = np.clip(index, last - sizes + 1, last)
    result = np.full(count, np.nan)
    known = totals > 0.0
    result[known] = values[order][index[known]]
    return result
