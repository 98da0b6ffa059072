"""Monte Carlo: processes, payoffs and an engine that combines them.

import gpujax as gj

gj.configure()
stock = gj.monte_carlo.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
average = gj.monte_carlo.payoffs.asian(strike=100.0)
gj.monte_carlo.price(stock, average, key=1, paths=1_000_000, times=[0.25, 0.5, 0.75, 1.0])
"""

from gpujax.pricing.monte_carlo import methods, payoffs, processes
from gpujax.pricing.monte_carlo.controls import Control, geometric_average
from gpujax.pricing.monte_carlo.correlation import nearest_correlation
from gpujax.pricing.monte_carlo.early_exercise import (
    Bracket,
    Policy,
    bases,
    bracket,
    duality_gap,
    exercised,
    fit_policy,
    longstaff_schwartz,
    longstaff_schwartz_greeks,
    lower_bound,
    upper_bound,
)
from gpujax.pricing.monte_carlo.importance import find_drift
from gpujax.pricing.monte_carlo.multilevel import MultilevelEstimate, multilevel
from gpujax.pricing.monte_carlo.precision import Precision, measure_precision
from gpujax.pricing.monte_carlo.prices import price, simulate
from gpujax.pricing.monte_carlo.sensitivities import greeks, second_order
from gpujax.pricing.monte_carlo.statistics import Estimate
from gpujax.pricing.monte_carlo.until import Progress, Run, price_until

__all__ = [
    "Bracket",
    "Control",
    "Estimate",
    "MultilevelEstimate",
    "Policy",
    "Precision",
    "Progress",
    "Run",
    "bases",
    "bracket",
    "duality_gap",
    "exercised",
    "find_drift",
    "fit_policy",
    "geometric_average",
    "greeks",
    "longstaff_schwartz",
    "longstaff_schwartz_greeks",
    "lower_bound",
    "measure_precision",
    "methods",
    "multilevel",
    "nearest_correlation",
    "payoffs",
    "price",
    "price_until",
    "processes",
    "second_order",
    "simulate",
    "upper_bound",
]
