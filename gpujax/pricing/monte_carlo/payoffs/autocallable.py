r"""Autocallable notes: redeemed early if the worst of their assets stands high, at risk below a barrier.

With the performance W = min_i S_i / S_i(0) of the worst asset and N the notional, a note that is still alive at observation k

1. pays the coupon N c_k if W >= the coupon barrier; with memory, also the coupons it has missed since it last paid one;
2. is redeemed at N if W >= the autocall level, and ends.

What is never called is redeemed at the last time: at N, or at N min(W, 1) if the protection barrier has been breached, which is
seen at the last time alone (European) or at every simulated time (American). Every payment is discounted from its own time.

Sources: T. Alm, B. Harrach, D. Harrach, M. Keller, "A Monte Carlo Pricing Algorithm for Autocallables That Allows for Stable
Differentiation", Journal of Computational Finance 17(1) (2013), 43-70, section 2, for the contract; C. P. Fries and M. S.
Joshi, "Perturbation Stable Conditional Analytic Monte-Carlo Pricing Scheme for Auto-Callable Products", International Journal of
Theoretical and Applied Finance 14 (2011), 197-219, on its Greeks.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_choice, check_flags, check_numbers, check_width, places
from gpujax.pricing.monte_carlo.payoffs.observed import check_last, place
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, prices
from gpujax.pricing.monte_carlo.payoffs.smoothing import below, settled

__all__ = ["autocallable"]

Protection = Literal["european", "american"]


@parameters(static=("observations", "memory", "protection"))
class _Autocallable:
    autocall_level: Any
    coupon: Any
    coupon_barrier: Any
    protection_barrier: Any
    notional: Any
    initial: Any
    smoothing: Any
    observations: tuple[int, ...] | None
    memory: bool
    protection: str

    def check(self, times: int) -> None:
        check_last("observations", self.observations, times)

    def start(self, now):
        spots = prices(now.spot)
        if self.initial is not None:
            count = len(self.initial) if isinstance(self.initial, tuple) else 1
            if count != len(spots):
                raise InputError(f"initial: {count} prices; expected {len(spots)}, one for each asset of the process")
        reference = spots if self.initial is None else ()
        one = jnp.ones_like(spots[0])
        alive, due, paid = one, jnp.zeros_like(one), jnp.zeros_like(one)
        lowest: Any = ()
        if self.protection == "american":
            lowest = settled(1 - below(self._worst(spots, reference), self.protection_barrier, None), up=False)
        return reference, alive, due, paid, lowest

    def update(self, account, now):
        reference, alive, due, paid, lowest = account
        worst = self._worst(now.spot, reference)
        k, observed = place(now.index, self.observations)
        seen = jnp.asarray(observed).astype(alive.dtype)
        coupon, called_from, paid_from = (
            _at(level, k) for level in (self.coupon, self.autocall_level, self.coupon_barrier)
        )
        called = seen * (1 - below(worst, called_from, self.smoothing))
        pays = seen * (1 - below(worst, paid_from, self.smoothing))
        due = (due if self.memory else jnp.zeros_like(due)) + (seen * coupon) * alive
        paid = paid + now.discount * (pays * due + called * alive)
        # On a ramp both events are partly true, of the same price: what is neither paid nor called is what the higher leaves.
        due = due * (1 - jnp.maximum(pays, called))
        if self.protection == "american":
            lowest = jnp.minimum(lowest, worst)
        return reference, alive * (1 - called), due, paid, lowest

    def value(self, account, last):
        reference, alive, _, paid, lowest = account
        worst = self._worst(last.spot, reference)
        watched = worst if self.protection == "european" else lowest
        breached = below(watched, self.protection_barrier, self.smoothing)
        redeemed = 1 + breached * (jnp.minimum(worst, 1) - 1)
        return self.notional * (paid + last.discount * (alive * redeemed))

    def _worst(self, spot: Any, reference: Any) -> jax.Array:
        spots = prices(spot)
        initial = reference if self.initial is None else self.initial
        first = initial if isinstance(initial, tuple) else (initial,)
        return functools.reduce(jnp.minimum, [s / s0 for s, s0 in zip(spots, first, strict=True)])


def autocallable(
    *,
    autocall_level: Any,
    coupon: Any,
    coupon_barrier: Any,
    protection_barrier: Any,
    observations: Any = None,
    memory: bool = True,
    protection: Protection = "european",
    notional: Any = 1.0,
    initial: Any = None,
    smoothing: Any = 0.0,
) -> Payoff:
    """An autocallable note on the worst of several assets, or on one; terms: see the module.

    Arguments:
        autocall_level: share of the initial price, one number or one for each observation (falling, if the note steps down); a
            level that no price reaches, such as 1e6, allows no call.
        coupon: c, as a decimal of the notional and not per year: one number or one for each observation.
        coupon_barrier: share of the initial price; one number or one for each observation; 0 makes coupons certain. The same as
            the autocall level, with memory, makes a note that pays all its coupons when it is called (Athena).
        protection_barrier: share of the initial price below which the notional is lost in proportion.
        observations: numbers of the simulated times, counted from 0, at which coupons and calls are decided; None for all.
            `payoffs.looks(times, dates)` finds them.
        memory: whether missed coupons are paid later.
        protection: "european", seen at the last time, or "american", at time zero and every simulated time.
        notional: N, in currency.
        initial: S_i(0), one number or a tuple with one for each asset; None takes the prices at time zero. Greeks by the
            spot need numbers: with None the levels move with it, and the derivative is zero.
        smoothing: w, from 0 to 1 in shares of the initial price: every condition becomes a ramp so wide, with a bias of O(w²)
            as long as the autocall level is further than w from the protection barrier; 0 leaves jumps, which pathwise
            Greeks miss (see `payoffs.smoothing`).

    Raises: InputError, InputTypeError with the name of the argument; InputError where fewer times are simulated than
        observations need.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> note = autocallable(autocall_level=(1.0, 0.95, 0.9), coupon=0.05, coupon_barrier=0.7, protection_barrier=0.6,
    ...                     observations=(0, 1, 2), notional=100.0)
    >>> falling = mc.processes.GeometricBrownianMotion(spot=50.0, volatility=0.0, rate=-0.06)
    >>> mc.price(falling, note, key=1, paths=10, times=[0.5, 1.0, 1.5]).value.round(6)
    Array(125.349755, dtype=float64)
    """
    levels = {
        "autocall_level": _levels(autocall_level),
        "coupon": _levels(coupon),
        "coupon_barrier": _levels(coupon_barrier),
    }
    check_numbers(0.0, **levels, protection_barrier=protection_barrier)
    check_numbers(notional=notional)
    check_flags(memory=memory)
    check_choice("protection", protection, ("european", "american"))
    seen = None if observations is None else places("observations", observations)
    for name, level in levels.items():
        if np.ndim(level) and (seen is None or np.shape(level)[-1] != len(seen)):
            wanted = "one number, or observations that say when each applies" if seen is None else f"one or {len(seen)}"
            raise InputError(f"{name}: {np.shape(level)[-1]} numbers; expected {wanted}")
    if initial is not None:
        initial = tuple(initial) if np.ndim(initial) else initial
        check_numbers(above=0.0, initial=initial)
    return _Autocallable(
        **levels,
        protection_barrier=protection_barrier,
        observations=seen,
        memory=bool(memory),
        protection=protection,
        notional=notional,
        initial=initial,
        smoothing=check_width(smoothing),
    )


def _levels(level: Any) -> Any:
    """One number, or an array with one for each observation."""
    if isinstance(level, (tuple, list)):
        return jnp.stack([jnp.asarray(x) for x in level]) if any(map(_traced, level)) else np.asarray(level)
    return level


def _traced(x: Any) -> bool:
    return isinstance(x, Tracer)


def _at(level: Any, k: jax.Array) -> Any:
    return level[..., k] if np.ndim(level) else level
