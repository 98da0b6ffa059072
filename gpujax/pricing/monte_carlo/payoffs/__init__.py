"""Payoffs: running accounts of a path, which combine freely with processes.

from gpujax.pricing.monte_carlo import payoffs

payoffs.asian(strike=100.0)
payoffs.on(lambda spots: spots[0] / spots[1], payoffs.european(strike=1.0))
payoffs.at((2, 5, 8, 11), payoffs.cliquet(local_cap=0.05, global_floor=0.0))
"""

from gpujax.pricing.monte_carlo.payoffs.asian import asian
from gpujax.pricing.monte_carlo.payoffs.autocallable import autocallable
from gpujax.pricing.monte_carlo.payoffs.barrier import barrier
from gpujax.pricing.monte_carlo.payoffs.cliquet import cliquet
from gpujax.pricing.monte_carlo.payoffs.digital import digital
from gpujax.pricing.monte_carlo.payoffs.european import basket, best_of, european, spread, worst_of
from gpujax.pricing.monte_carlo.payoffs.forward_start import forward_start
from gpujax.pricing.monte_carlo.payoffs.lookback import lookback
from gpujax.pricing.monte_carlo.payoffs.observed import at, looks
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation, Payoff, of_path, of_price, on
from gpujax.pricing.monte_carlo.payoffs.realised import variance_swap, volatility_swap
from gpujax.pricing.monte_carlo.payoffs.target_redemption import target_redemption

__all__ = [
    "Observation",
    "Payoff",
    "asian",
    "at",
    "autocallable",
    "barrier",
    "basket",
    "best_of",
    "cliquet",
    "digital",
    "european",
    "forward_start",
    "lookback",
    "looks",
    "of_path",
    "of_price",
    "on",
    "spread",
    "target_redemption",
    "variance_swap",
    "volatility_swap",
    "worst_of",
]
