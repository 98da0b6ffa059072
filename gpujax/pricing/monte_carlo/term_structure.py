r"""What is known in advance: rates, yields and volatilities that change with time, and discrete dividends.

Wherever a process takes a rate, a number and a `PiecewiseConstant` do equally; the functions here are what processes put both
through. Averages over a step are exact, so that a step may be of any length:

$$ \bar r = \frac1\Delta \int_t^{t+\Delta} r(u)\,du, \qquad \bar\sigma^2 = \frac1\Delta \int_t^{t+\Delta} \sigma(u)^2\,du $$
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing.monte_carlo.parameters import parameters

__all__ = [
    "Dividends",
    "PiecewiseConstant",
    "as_array",
    "average",
    "discount_factor",
    "growth",
    "root_mean_square",
    "values_of",
]


@parameters(static=("times",))
class PiecewiseConstant:
    """A function of time with jumps: `values[i]` from `times[i]` on and up to, but without, `times[i + 1]`.

    Arguments:
        times: where the pieces begin, in years, the first 0.0 and increasing; known numbers, which select code.
        values: the value of each piece, `[pieces]`; the last one holds for ever. Derivatives are taken by these.

    Raises: InputError for times that do not begin at zero and increase, or other values than one for each.

    >>> rates = PiecewiseConstant(times=(0.0, 1.0), values=(0.03, 0.05))
    >>> float(rates(1.0)), round(float(rates.integral(0.5, 2.0)), 6)
    (0.05, 0.065)
    """

    times: tuple[float, ...]
    values: Any

    def __post_init__(self):
        object.__setattr__(self, "times", _as_times(self.times))
        object.__setattr__(self, "values", as_array(self.values))
        if not self.times or self.times[0] != 0 or np.any(np.diff(self.times) <= 0):
            raise InputError(f"times: {self.times}; expected increasing years, the first of them 0.0")
        _check_numbers("values", self.values, self.times)

    def __call__(self, time: Any) -> jax.Array:
        """The value at `time`, a number or an array of any shape."""
        time = jnp.asarray(time, self._values.dtype)
        return self._values[jnp.searchsorted(self._edges, time, side="right") - 1]

    def integral(self, start: Any, end: Any) -> jax.Array:
        """The exact integral from `start` to `end`, in years >= 0; minus it where the end comes first."""
        start, end = (jnp.asarray(x, self._values.dtype) for x in (start, end))
        return jnp.sign(end - start) * self.over(jnp.minimum(start, end), jnp.abs(end - start))

    def integral_of_square(self, start: Any, end: Any) -> jax.Array:
        """The exact integral of the square: the variance that a volatility adds up to."""
        return self._squared().integral(start, end)

    def over(self, start: Any, step: Any) -> jax.Array:
        """The exact integral over `step` years, >= 0, from `start` on."""
        values = self._values
        start, step = jnp.asarray(start, values.dtype), jnp.asarray(step, values.dtype)
        start, step = jnp.broadcast_arrays(start, step)
        # Of each edge the part of the step that lies before it: where the step lies in one piece, exactly all or nothing, while
        # differences of late times would lose the digits of a short step.
        edges = self._edges.reshape((1,) * start.ndim + (-1,)) - start[..., None]
        whole = step[..., None]
        before = jnp.clip(edges, 0, whole)
        lengths = jnp.diff(before, axis=-1, append=whole)
        return jnp.sum(lengths * values.reshape((1,) * start.ndim + (-1,)), axis=-1)

    def _squared(self) -> "PiecewiseConstant":
        return PiecewiseConstant(times=self.times, values=self._values * self._values)

    @property
    def _values(self) -> jax.Array:
        return jnp.asarray(self.values, _float(self.values))

    @property
    def _edges(self) -> jax.Array:
        # The first piece reaches back: before time zero there is nothing else to say.
        return jnp.asarray((-np.inf, *self.times[1:]), _float(self.values))


@parameters(static=("times", "proportional"))
class Dividends:
    """Dividends on fixed dates, by which the price itself drops; between them it is lognormal.

    At an ex-date the price S falls to max(S - D, 0) for an amount of cash D, or to (1 - d) S for a share d of the price. Whoever
    looks at the price at an ex-date sees it without the dividend. Where the price is no higher than the cash, the holder gets all
    there is and the company is no more, its price zero ever after: the "liquidator" of Haug, Haug and Lewis. The expected price
    then lies above the forward that takes off every dividend in full, by what was not paid.

    Arguments:
        times: ex-dates in years, > 0 and increasing; known numbers, which select code. Those beyond the horizon play no part.
        amounts: `[dates]`: cash in currency, >= 0; or a share of the price, in [0, 1]. Derivatives are taken by these.
        proportional: whether amounts are shares; or a tuple with one answer for each date.

    Raises: InputError for dates that do not increase from above zero, amounts out of range, or not one for each date.

    >>> dividends = Dividends(times=(0.25, 0.75), amounts=(1.5, 0.02), proportional=(False, True))
    >>> cash, share = dividends.paid(jnp.array(0.5), jnp.array(0.25))
    >>> float(cash), float(share)
    (0.0, 0.02)

    Source: E. G. Haug, J. Haug, A. Lewis, "Back to Basics: a New Approach to the Discrete Dividend Problem", Wilmott Magazine
    (September 2003), 37-47.
    """

    times: tuple[float, ...]
    amounts: Any
    proportional: bool | tuple[bool, ...] = False

    def __post_init__(self):
        object.__setattr__(self, "times", _as_times(self.times))
        object.__setattr__(self, "amounts", as_array(self.amounts))
        if not isinstance(self.proportional, bool):
            object.__setattr__(self, "proportional", tuple(map(bool, self.proportional)))
        if not self.times or self.times[0] <= 0 or np.any(np.diff(self.times) <= 0):
            raise InputError(f"times: {self.times}; expected increasing years > 0; add up what is paid on one date")
        if len(self._shares) != len(self.times):
            raise InputError(f"proportional: {self.proportional}; expected True, False, or one for each of the times")
        _check_numbers("amounts", self.amounts, self.times)
        if isinstance(self.amounts, np.ndarray):
            if np.any(self.amounts < 0):
                raise InputError(f"amounts: {self.amounts.tolist()}; expected numbers >= 0")
            if np.any(self.amounts[np.asarray(self._shares)] > 1):
                raise InputError(
                    f"amounts: {self.amounts.tolist()}; expected in [0, 1] where they are shares of the price"
                )

    def paid(self, time: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The cash, and the share of the price, that are paid after `time` and up to the end of the step from it."""
        dates = jnp.asarray(self.times, step.dtype)
        # The engine steps on every ex-date, so that each is the end of one step, up to rounding and to the distance at which the
        # engine takes two times for one.
        slack = 4 * float(jnp.finfo(step.dtype).eps) * (time + step) + 2e-11
        now = (dates > time + slack) & (dates <= time + step + slack)
        amounts, shares = jnp.asarray(self.amounts, step.dtype), np.asarray(self._shares)
        zero = jnp.zeros_like(amounts)
        return jnp.sum(jnp.where(now & ~shares, amounts, zero)), jnp.sum(jnp.where(now & shares, amounts, zero))

    @property
    def _shares(self) -> tuple[bool, ...]:
        return (self.proportional,) * len(self.times) if isinstance(self.proportional, bool) else self.proportional


def average(curve: Any, time: Any, step: Any) -> Any:
    """The average of a rate over the step from `time` on; a number is its own average.

    >>> float(average(PiecewiseConstant(times=(0.0, 1.0), values=(0.02, 0.04)), 0.5, 1.0))
    0.03
    """
    return curve.over(time, step) / step if isinstance(curve, PiecewiseConstant) else curve


def root_mean_square(curve: Any, time: Any, step: Any) -> Any:
    """The constant volatility with the same variance over the step; a number is its own.

    >>> volatility = PiecewiseConstant(times=(0.0, 1.0), values=(0.1, 0.3))
    >>> round(float(root_mean_square(volatility, 0.5, 1.0)) ** 2, 6)
    0.05
    """
    if not isinstance(curve, PiecewiseConstant):
        return curve
    square = curve._squared().over(time, step) / step
    positive = square > 0
    root = jnp.sqrt(jnp.where(positive, square, jnp.ones_like(square)))
    return jnp.where(positive, root, jnp.zeros_like(root))


def growth(curve: Any, time: Any) -> Any:
    """The integral of a rate from now to `time`.

    >>> growth(0.05, 2.0)
    0.1
    """
    return curve.over(0.0, time) if isinstance(curve, PiecewiseConstant) else curve * time


def discount_factor(rate: Any, time: Any) -> jax.Array:
    """What one paid at `time` is worth today, e^(-∫ r).

    >>> round(float(discount_factor(0.05, 2.0)), 6)
    0.904837
    """
    return jnp.exp(-growth(rate, time))


def values_of(curve: Any) -> Any:
    """The numbers that a rate is made of, to check them."""
    return curve.values if isinstance(curve, PiecewiseConstant) else curve


def as_array(values: Any) -> Any:
    """A list or tuple as one array; anything else as it is, for JAX rebuilds these objects with leaves of its own."""
    if not isinstance(values, (list, tuple)):
        return values
    return jnp.stack(values) if any(isinstance(x, jax.Array) for x in values) else np.asarray(values, np.float64)


def _as_times(times: Any) -> tuple[float, ...]:
    if isinstance(times, (str, bytes)) or not isinstance(times, (tuple, list, np.ndarray)):
        raise InputTypeError(f"times: {times!r}; expected a tuple of years that are known, such as (0.0, 1.0)")
    return tuple(float(time) for time in times)


def _check_numbers(name: str, values: Any, times: tuple[float, ...]) -> None:
    if not isinstance(values, np.ndarray):
        return
    if values.shape != (len(times),):
        raise InputError(f"{name}: shape {values.shape}; expected {(len(times),)}, one for each of the times")
    if not np.all(np.isfinite(values)):
        raise InputError(f"{name}: {values.tolist()}; expected finite numbers")


def _float(values: Any) -> Any:
    dtype = jnp.result_type(values)
    return dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
