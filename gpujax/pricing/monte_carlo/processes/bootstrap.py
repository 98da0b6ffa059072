r"""Block bootstrap: paths made of stretches of a history of log returns, in their order.

A return at a time would lose what returns have to do with each other: volatility that comes in clusters, reversals. Stretches of
the history keep it, and of several assets taken together also what they have to do with one another. The history goes round, its
first return following its last, so that every return is equally likely at every step:

$$ i_{k+1} = \begin{cases} \text{any of } 0 \dots n - 1 & \text{where a block begins,} \\
   (i_k + 1) \bmod n & \text{inside it.} \end{cases} $$

In the stationary bootstrap a block begins with probability 1 / L at every step, so that lengths are geometric with mean L and
the path has the same law at every time; in the circular one, every L steps.

Paths have the drift of the history, not that of a pricing measure: their means are forecasts, not prices.

Sources: D. N. Politis and J. P. Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89 (1994),
1303-1313; the same, "A Circular Block-Resampling Procedure for Stationary Data", in "Exploring the Limits of Bootstrap" (1992),
263-270.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError
from gpujax.numerics.elementary import exponential
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.term_structure import as_array, discount_factor, values_of

__all__ = ["BlockBootstrap"]

# States are floating-point numbers: float32 counts to here.
_LONGEST = 1 << 24


@parameters(static=("stationary",))
class BlockBootstrap:
    """Prices that repeat blocks of historical log returns; payoffs see one price, or a tuple of them.

    Every simulated step uses one historical return, however long the step is in years: simulate at the spacing of the history.
    Times then only label the steps, for payoffs and discounting. A `max_step` would add returns.

    Arguments:
        spot: price now, > 0, in currency; `[assets]` for several.
        returns: log returns of the history in order, `[n]`, or `[n, assets]` for several assets, whose returns of one date stay
            together; finite, n up to 2^24.
        block_length: L, in returns: the mean length of a block, >= 1, where it is stationary; else its length, a whole number
            from 1 to n. One makes returns independent. Longer than the memory of the returns, much shorter than the history.
        stationary: whether lengths of blocks are random.
        rate: for the discount factor, continuously compounded; a number or a `PiecewiseConstant`.

    Raises: InputError for returns of another shape or that are not finite, a spot that does not go with them, or a length of
        blocks that there cannot be.

    Derivatives by the returns and spots are those of the paths; there is none by the length of blocks.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> history = np.random.default_rng(1).standard_t(4, 1000) * 0.01
    >>> stock = mc.processes.BlockBootstrap(spot=100.0, returns=history, block_length=20)
    >>> paths = mc.simulate(stock, key=1, paths=1000, times=np.arange(1, 22) / 252)
    >>> bool(np.all(np.isin(np.diff(np.log(paths), axis=1).round(9), history.round(9))))
    True
    """

    spot: Any
    returns: Any
    block_length: Any
    stationary: bool = True
    rate: Any = 0.0

    def __post_init__(self):
        object.__setattr__(self, "spot", as_array(self.spot))
        object.__setattr__(self, "returns", as_array(self.returns))
        check_bounds(spot=(self.spot, "> 0"), rate=(values_of(self.rate), "finite"))
        if isinstance(self.returns, np.ndarray):
            _check_history(self.returns, self.spot)
            if isinstance(self.block_length, (int, float, np.generic)):
                _check_length(float(self.block_length), len(self.returns), self.stationary)

    @property
    def normals(self) -> int:
        return 0

    @property
    def uniforms(self) -> int:
        return 2 if self.stationary else 1

    def initial(self):
        spot = jnp.asarray(self.spot)
        logs = tuple(jnp.log(spot[i]) for i in range(spot.shape[0])) if spot.ndim else jnp.log(spot)
        zero = jnp.zeros((), spot.dtype)
        # The index of the return used last, and how many of the block are left: none, so that the first step begins one.
        return logs, zero, zero

    def advance(self, state, time, step, draws):
        logs, index, left = state
        returns = jnp.asarray(self.returns)
        length = returns.shape[0]
        begins = draws[1] * self.block_length < 1 if self.stationary else left < 0.5
        # At the first step of a stationary path too: nothing has been used yet.
        begins = begins | (left < 0.5)
        anywhere = jnp.minimum(jnp.floor(draws[0] * length), length - 1)
        following = jnp.where(index + 1 < length, index + 1, jnp.zeros_like(index))
        index = jnp.where(begins, anywhere, following)
        if self.stationary:
            left = jnp.ones_like(left)
        else:
            left = jnp.where(begins, self.block_length * jnp.ones_like(left), left) - 1
        used = returns[index.astype(jnp.int32)]
        if returns.ndim == 1:
            return logs + used, index, left
        return tuple(x + used[:, i] for i, x in enumerate(logs)), index, left

    def observe(self, state):
        return tuple(map(exponential, state[0])) if isinstance(state[0], tuple) else exponential(state[0])

    def discount(self, time, state):
        return discount_factor(self.rate, time)


def _check_history(returns: np.ndarray, spot: Any) -> None:
    if returns.ndim not in (1, 2) or not returns.size or len(returns) > _LONGEST:
        raise InputError(f"returns: shape {returns.shape}; expected (n,), or (n, assets), with n from 1 to {_LONGEST}")
    wrong = np.argwhere(~np.isfinite(returns))
    if wrong.size:
        place = tuple(wrong[0].tolist())
        raise InputError(
            f"returns: {returns[place]} at {place}; expected finite log returns: leave out or fill in gaps"
        )
    if np.shape(spot) != returns.shape[1:]:
        raise InputError(
            f"spot: shape {np.shape(spot)}; expected {returns.shape[1:]}, one price for each asset of the returns"
        )


def _check_length(length: float, most: int, stationary: bool) -> None:
    if not 1 <= length < np.inf:
        raise InputError(f"block_length: {length}; expected at least 1 return")
    if not stationary and (length != int(length) or length > most):
        raise InputError(f"block_length: {length}; expected a whole number from 1 to {most}, the length of the history")
