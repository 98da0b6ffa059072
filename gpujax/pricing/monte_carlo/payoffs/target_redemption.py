r"""Target redemption forwards: a strip of forwards that ends once its holder has gained enough.

At each fixing k, as long as the gains before it are below the target U,

$$ g_k = \phi (S_k - K), \qquad A_k = A_{k-1} + \max(g_k, 0), $$

and the holder receives N max(g_k, 0) - N λ max(-g_k, 0). At the first fixing where A_k reaches U the contract ends, with a last
payment by one of three conventions:

| settlement | the last gain pays |
|---|---|
| full | max(g_k, 0), all of it |
| partial | U - A_{k-1}, what was missing to the target |
| none | nothing |

Sources: X. Luo and P. V. Shevchenko, "Pricing TARNs Using a Finite Difference Method", Journal of Derivatives 23(1) (2015),
62-72, for the three conventions (full, part and no gain); U. Wystup, "FX Options and Structured Products", 2nd edition (2017),
on target forwards.
"""

from typing import Any, Literal

import jax.numpy as jnp

from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_choice, check_flags, check_numbers
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff, one_price

__all__ = ["target_redemption"]

Settlement = Literal["full", "partial", "none"]


@parameters(static=("settlement", "is_call"))
class _TargetRedemption:
    strike: Any
    target: Any
    leverage: Any
    notional: Any
    settlement: str
    is_call: bool

    def start(self, now):
        nothing = jnp.zeros_like(one_price(now.spot))
        return nothing, nothing

    def update(self, account, now):
        gained, paid = account
        gain = now.spot - self.strike if self.is_call else self.strike - now.spot
        won = jnp.maximum(gain, 0)
        total = gained + won
        alive, reached = gained < self.target, total >= self.target
        pays = won
        if self.settlement == "partial":
            pays = jnp.where(reached, self.target - gained, won)
        elif self.settlement == "none":
            pays = jnp.where(reached, jnp.zeros_like(won), won)
        flow = now.discount * (pays - self.leverage * jnp.maximum(-gain, 0))
        return jnp.where(alive, total, gained), paid + jnp.where(alive, flow, jnp.zeros_like(flow))

    def value(self, account, last):
        return self.notional * account[1]


def target_redemption(
    *,
    strike: Any,
    target: Any,
    settlement: Settlement = "full",
    leverage: Any = 1.0,
    is_call: bool = True,
    notional: Any = 1.0,
) -> Payoff:
    """A target redemption forward (TARF); terms: see the module.

    Every simulated time is a fixing, whose payment is made, and discounted, at once; `at(looks, target_redemption(...))` fixes
    at some of them.

    Arguments:
        strike: K, in domestic currency per unit of foreign currency.
        target: U > 0, the sum of gains that ends the contract, in the strike's unit (per unit of notional).
        settlement: "full", "partial" or "none": what the fixing that reaches the target pays.
        leverage: λ >= 0, how many times the notional is dealt in where the fixing goes against the holder, often 2; with 0
            there are gains only (a target accrual redemption note).
        is_call: True where the holder buys the foreign currency (φ = 1), False where he sells it (φ = -1).
        notional: N, in foreign currency, at each fixing.

    Raises: InputError, InputTypeError with the name of the argument.

    With "full" and "none" the value jumps where the target is reached, so that pathwise Greeks are wrong; with "partial" the
    payments do not jump at that fixing, but those after it do if leverage is not zero.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> steady = mc.processes.GeometricBrownianMotion(spot=1.1, volatility=0.0)
    >>> fixings = [0.25, 0.5, 0.75, 1.0]
    >>> offers = {how: target_redemption(strike=1.0, target=0.25, settlement=how) for how in ("full", "partial", "none")}
    >>> {how: round(float(e.value), 6) for how, e in mc.price(steady, offers, key=1, paths=10, times=fixings).items()}
    {'full': 0.3, 'partial': 0.25, 'none': 0.2}
    """
    check_numbers(strike=strike, notional=notional)
    check_numbers(above=0.0, target=target)
    check_numbers(0.0, leverage=leverage)
    check_choice("settlement", settlement, ("full", "partial", "none"))
    check_flags(is_call=is_call)
    return _TargetRedemption(
        strike=strike, target=target, settlement=settlement, leverage=leverage, is_call=is_call, notional=notional
    )
