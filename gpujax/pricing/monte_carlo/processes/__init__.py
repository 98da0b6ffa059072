"""Processes: dynamics of one price or several, each a pytree of its parameters."""

from gpujax.pricing.monte_carlo.process import CustomProcess, Process
from gpujax.pricing.monte_carlo.processes.geometric import CorrelatedGeometricBrownianMotion, GeometricBrownianMotion
from gpujax.pricing.monte_carlo.processes.heston import Heston

__all__ = [
    "CorrelatedGeometricBrownianMotion",
    "CustomProcess",
    "GeometricBrownianMotion",
    "Heston",
    "Process",
]
