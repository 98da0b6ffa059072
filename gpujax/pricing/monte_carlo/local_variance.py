r"""Surfaces of local variance, and Dupire's formula, which makes one of a surface of implied volatilities.

With k = ln(K / F_T) and the total implied variance w(T, k) = σ² T, the local variance is

$$ \sigma_{loc}^2(T, k) = \frac{\partial_T w}{g}, \qquad
   g = \Bigl(1 - \frac{k w_k}{2 w}\Bigr)^2 - \frac{w_k^2}{4} \Bigl(\frac1w + \frac14\Bigr) + \frac{w_{kk}}{2} $$

A numerator below zero is an arbitrage between expiries, a denominator below zero one between strikes: then there is no local
volatility. Derivatives are automatic, so that the surface has to be a smooth function. A table of quotes is none: fit a model to
it first (SVI, SSVI); interpolated quotes give derivatives of the interpolation.

Sources: B. Dupire, "Pricing with a Smile", Risk 7(1) (1994), 18-20; J. Gatheral, "The Volatility Surface" (2006), equation 1.10;
in this form J. Gatheral and A. Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014), equation 2.1.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.elementary import at_least
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.term_structure import growth

__all__ = ["LocalVariance", "dupire", "dupire_variance", "total_variance"]


@parameters(static=("times", "lowest", "highest"))
class LocalVariance:
    """A surface of local variance on a grid: linear between its nodes, in time and in log-moneyness, and flat outside.

    Arguments:
        times: of the rows, in years, >= 0 and increasing, at any distances; known numbers.
        lowest, highest: log-moneyness ln(S / F_t) of the first and the last column; those between are equally spaced. F_t is the
            forward price of the asset for t.
        variance: `[times, nodes]`, >= 0, per year; at least two nodes. Derivatives are taken by these.

    Raises: InputError for times that do not increase, a range that is empty, or variances of another shape or below zero.

    >>> surface = LocalVariance(times=(0.5, 1.0), lowest=-0.2, highest=0.2, variance=[[0.09, 0.04, 0.04], [0.07, 0.04, 0.03]])
    >>> surface.at(0.75)(jnp.array([-0.5, -0.1, 0.0])).round(4)
    Array([0.08, 0.06, 0.04], dtype=float64)
    """

    times: tuple[float, ...]
    lowest: float
    highest: float
    variance: Any

    def __post_init__(self):
        if isinstance(self.times, (list, np.ndarray)):
            object.__setattr__(self, "times", tuple(float(t) for t in self.times))
        if isinstance(self.variance, (list, tuple)):
            object.__setattr__(self, "variance", np.asarray(self.variance, np.float64))
        if not self.times or self.times[0] < 0 or np.any(np.diff(self.times) <= 0):
            raise InputError(f"times: {self.times}; expected increasing years >= 0")
        if not -np.inf < self.lowest < self.highest < np.inf:
            raise InputError(
                f"lowest, highest: {self.lowest}, {self.highest}; expected numbers, the first below the second"
            )
        if isinstance(self.variance, np.ndarray):
            shape = self.variance.shape
            if len(shape) != 2 or shape[0] != len(self.times) or shape[1] < 2:
                raise InputError(f"variance: shape {shape}; expected ({len(self.times)}, nodes), two nodes or more")
            wrong = np.argwhere(~((self.variance >= 0) & (self.variance < np.inf)))
            if wrong.size:
                place = tuple(wrong[0].tolist())
                raise InputError(f"variance: {self.variance[place]} at {place}; expected numbers >= 0")

    def at(self, time: Any) -> Callable[[jax.Array], jax.Array]:
        """The variance at `time` as a function of log-moneyness, `[...]` to `[...]`: the row is made once."""
        variance = jnp.asarray(self.variance)
        row = self._row(variance, jnp.asarray(time, variance.dtype))
        last = variance.shape[1] - 1
        left, slope = row[:-1], jnp.diff(row)
        scale = last / (self.highest - self.lowest)

        def interpolated(log_moneyness: jax.Array) -> jax.Array:
            place = jnp.minimum(at_least((log_moneyness - self.lowest) * scale, 0), last)
            node = jnp.minimum(place.astype(jnp.int32), last - 1)
            part = place - node.astype(place.dtype)
            return left.at[node].get(mode="promise_in_bounds") + part * slope.at[node].get(mode="promise_in_bounds")

        return interpolated

    def _row(self, variance: jax.Array, time: jax.Array) -> jax.Array:
        if len(self.times) == 1:
            return variance[0]
        times = jnp.asarray(self.times, variance.dtype)
        before = jnp.clip(jnp.searchsorted(times, time, side="right") - 1, 0, len(self.times) - 2)
        share = jnp.clip((time - times[before]) / (times[before + 1] - times[before]), 0, 1)
        return (1 - share) * variance[before] + share * variance[before + 1]


def dupire(
    surface: Callable[[jax.Array, jax.Array], jax.Array], *, times: Any, lowest: float, highest: float, nodes: int = 201
) -> LocalVariance:
    """The local variance of a surface of implied volatilities, on a grid.

    Arguments:
        surface: total implied variance w(T, k), a smooth pure function of two numbers, of time to expiry in years and of
            k = ln(strike / forward); `total_variance` makes one of implied volatilities by expiry and strike.
        times: expiries at which it is sampled, > 0 and increasing. Dense where it changes, that is at short times: before the
            first, the local variance is that of the first.
        lowest, highest, nodes: the columns; see `LocalVariance`. Beyond them the local variance stays as it is there.

    Returns: a `LocalVariance` whose derivatives by parameters of the surface are right. With n nodes the interpolation errs by
        (Δk)²/8 times the curvature.

    Raises: InputError where the surface is not positive, or has an arbitrage at a node; it says where, and how often. A surface
        made of what JAX traces is not checked: check it once with numbers.

    >>> flat = dupire(lambda T, k: 0.04 * T, times=(0.5, 1.0), lowest=-1.0, highest=1.0, nodes=3)
    >>> np.asarray(flat.variance).round(12)
    array([[0.04, 0.04, 0.04],
           [0.04, 0.04, 0.04]])
    """
    if isinstance(nodes, bool) or not isinstance(nodes, int) or nodes < 2:
        raise InputError(f"nodes: {nodes!r}; expected a whole number >= 2")
    expiries = tuple(float(t) for t in np.atleast_1d(np.asarray(times, np.float64)))
    if not expiries or not expiries[0] > 0 or np.any(np.diff(expiries) <= 0):
        raise InputError(f"times: {expiries}; expected increasing years > 0")
    if not -np.inf < lowest < highest < np.inf:
        raise InputError(f"lowest, highest: {lowest}, {highest}; expected numbers, the first below the second")
    dtype = jnp.result_type(float)
    columns = jnp.linspace(lowest, highest, nodes, dtype=dtype)

    @jax.jit
    def parts(rows: jax.Array, columns: jax.Array) -> tuple[jax.Array, ...]:
        def at_node(time: jax.Array, k: jax.Array) -> tuple[jax.Array, ...]:
            return _parts(surface, time, k)

        return jax.vmap(jax.vmap(at_node, (None, 0)), (0, None))(rows, columns)

    w, numerator, denominator = parts(jnp.asarray(expiries, dtype), columns)
    if not isinstance(w, Tracer):
        _refuse_arbitrage(expiries, np.asarray(columns), np.asarray(w), np.asarray(numerator), np.asarray(denominator))
        # What is below zero by no more than rounding.
        numerator = jnp.maximum(numerator, 0)
    variance = numerator / denominator
    return LocalVariance(times=expiries, lowest=float(lowest), highest=float(highest), variance=variance)


def dupire_variance(surface: Callable[[jax.Array, jax.Array], jax.Array], time: Any, log_moneyness: Any) -> jax.Array:
    """Dupire's local variance at one point; negative or infinite where the surface has an arbitrage.

    Arguments:
        surface: total implied variance, as for `dupire`.
        time, log_moneyness: two numbers, time > 0.

    >>> smile = lambda T, k: 0.04 * T * (1 + 0.5 * k * k)
    >>> round(float(dupire_variance(smile, 1.0, 0.0)), 6)
    0.039216
    """
    dtype = jnp.result_type(float)
    _, numerator, denominator = _parts(surface, jnp.asarray(time, dtype), jnp.asarray(log_moneyness, dtype))
    return numerator / denominator


def total_variance(
    implied_volatility: Callable[[jax.Array, jax.Array], jax.Array],
    *,
    spot: Any,
    rate: Any = 0.0,
    dividend_yield: Any = 0.0,
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Total implied variance w(T, k) from implied volatilities by expiry and strike.

    Arguments:
        implied_volatility: a smooth pure function of the expiry in years and the strike.
        spot, rate, dividend_yield: of the asset; they make the forward price F_T = S e^((r - q) T). Numbers, or
            `PiecewiseConstant`.

    >>> w = total_variance(lambda expiry, strike: 0.2 - 0.001 * (strike - 100.0), spot=100.0, rate=0.05)
    >>> round(float(w(jnp.array(1.0), jnp.array(0.0))), 6)
    0.037975
    """

    def w(time: jax.Array, log_moneyness: jax.Array) -> jax.Array:
        forward = spot * jnp.exp(growth(rate, time) - growth(dividend_yield, time))
        volatility = implied_volatility(time, forward * jnp.exp(log_moneyness))
        return volatility * volatility * time

    return w


def _parts(surface: Any, time: jax.Array, k: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """w, and numerator and denominator of the local variance."""

    def checked(time: jax.Array, k: jax.Array) -> jax.Array:
        w = surface(time, k)
        if np.shape(w) != ():
            raise InputTypeError(f"surface: gives an array of shape {np.shape(w)}; expected one number for two numbers")
        return jnp.asarray(w, k.dtype)

    w, rises = jax.value_and_grad(checked, argnums=0)(time, k)
    slope, bend = jax.jvp(lambda x: jax.grad(checked, argnums=1)(time, x), (k,), (jnp.ones_like(k),))
    tilt = 1 - k * slope / (2 * w)
    return w, rises, tilt * tilt - 0.25 * slope * slope * (1 / w + 0.25) + 0.5 * bend


def _refuse_arbitrage(times: Any, columns: Any, w: Any, rises: Any, density: Any) -> None:
    def first(wrong: np.ndarray) -> str:
        i, j = np.argwhere(wrong)[0]
        return f"at T = {times[i]:.6g}, k = {columns[j]:.6g}"

    remedy = "use parameters without arbitrage, or a narrower range of lowest and highest"
    many = f"of {w.size} nodes"
    wrong = ~((w > 0) & (w < np.inf))
    if wrong.any():
        worst = w[wrong][0]
        raise InputError(
            f"surface: total variance {worst:.6g} {first(wrong)}, {wrong.sum()} {many}; expected numbers > 0"
        )
    # Differentiation rounds; a variance that rises by less than this part of itself in a year does not rise.
    wrong = ~(rises >= -64 * np.finfo(w.dtype).eps * w / np.asarray(times)[:, None])
    if wrong.any():
        raise InputError(
            f"surface: total variance falls with time {first(wrong)} (by {-rises[wrong][0]:.3g} a year), {wrong.sum()} {many}: "
            f"an arbitrage between expiries; {remedy}"
        )
    wrong = ~(density > 0)
    if wrong.any():
        raise InputError(
            f"surface: negative density {first(wrong)} (g = {density[wrong][0]:.3g}), {wrong.sum()} {many}: an arbitrage between "
            f"strikes; {remedy}"
        )
