"""Digital (binary) options: all or nothing at the last time."""

from typing import Any

from gpujax.errors import InputError
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.checks import check_flags, check_numbers, check_width
from gpujax.pricing.monte_carlo.payoffs.payoff import AtTheEnd, Payoff
from gpujax.pricing.monte_carlo.payoffs.smoothing import above, below

__all__ = ["digital"]


@parameters(static=("is_call", "pays_asset"))
class _Digital(AtTheEnd):
    strike: Any
    cash: Any
    is_call: bool
    pays_asset: bool
    smoothing: Any

    def value(self, account, last):
        width = None if self.smoothing is None else self.smoothing * self.strike
        inside = (above if self.is_call else below)(last.spot, self.strike, width)
        return last.discount * (inside * (last.spot if self.pays_asset else self.cash))


def digital(
    *, strike: Any, cash: Any = 1.0, is_call: bool = True, pays_asset: bool = False, smoothing: Any = 0.0
) -> Payoff:
    """A digital option: `cash`, or the asset itself, if the price ends above the strike (below it for puts).

    Arguments:
        strike: K, in currency; > 0 if there is smoothing.
        cash: what is paid, in currency.
        pays_asset: whether the asset is paid instead.
        smoothing: w, from 0 to 1: the jump becomes a ramp from K (1 - w/2) to K (1 + w/2). Pathwise Greeks miss a jump (they
            are zero, or those of the asset alone); with the ramp they are right but for O(w²), as is the value (see
            `payoffs.smoothing`). A few per cent of σ√T is a good width; 0 leaves the jump.

    Raises: InputError, InputTypeError with the name of the argument.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> payoff = digital(strike=100.0, smoothing=0.02)
    >>> found = mc.greeks(stock, payoff, wrt=("spot",), key=1, paths=100_000, times=1.0)["spot"]
    >>> abs(float(found.value) - 0.0178424) < 4 * float(found.standard_error) < 4e-3
    True
    """
    check_numbers(strike=strike, cash=cash)
    check_flags(is_call=is_call, pays_asset=pays_asset)
    width = check_width(smoothing)
    if width is not None:
        try:
            check_numbers(above=0.0, strike=strike)
        except InputError as error:
            raise InputError(f"{error}, since smoothing is a share of the strike") from None
    return _Digital(strike=strike, cash=cash, is_call=is_call, pays_asset=pays_asset, smoothing=width)
