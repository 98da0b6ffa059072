"""Payoffs: running accounts of a path, which combine freely with processes.

from gpujax.pricing.monte_carlo import payoffs

payoffs.asian(strike=100.0)
payoffs.on(lambda spots: spots[0] / spots[1], payoffs.european(strike=1.0))
"""

from gpujax.pricing.monte_carlo.payoffs.asian import asian
from gpujax.pricing.monte_carlo.payoffs.european import basket, best_of, digital, european, spread, worst_of
from gpujax.pricing.monte_carlo.payoffs.extremes import barrier, lookback
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation, Payoff, of_path, on

__all__ = [
    "Observation",
    "Payoff",
    "asian",
    "barrier",
    "basket",
    "best_of",
    "digital",
    "european",
    "lookback",
    "of_path",
    "on",
    "spread",
    "worst_of",
]
