"""Early exercise by simulation: policies by regression, what they earn, and how much more is possible.

from gpujax.pricing import monte_carlo as mc

stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.06)
put = mc.payoffs.european(strike=40.0, is_call=False)
mc.longstaff_schwartz(stock, put, key=1, paths=100_000, times=[0.02 * i for i in range(1, 51)])
"""

from gpujax.pricing.monte_carlo.early_exercise import bases
from gpujax.pricing.monte_carlo.early_exercise.bounds import (
    Bracket,
    bracket,
    longstaff_schwartz,
    longstaff_schwartz_greeks,
    lower_bound,
)
from gpujax.pricing.monte_carlo.early_exercise.dual import duality_gap, upper_bound
from gpujax.pricing.monte_carlo.early_exercise.fit import fit_policy
from gpujax.pricing.monte_carlo.early_exercise.policy import Policy, exercised

__all__ = [
    "Bracket",
    "Policy",
    "bases",
    "bracket",
    "duality_gap",
    "exercised",
    "fit_policy",
    "longstaff_schwartz",
    "longstaff_schwartz_greeks",
    "lower_bound",
    "upper_bound",
]
