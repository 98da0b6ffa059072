"""Processes: dynamics of one price or several, each a pytree of its parameters."""

from gpujax.pricing.monte_carlo.local_variance import LocalVariance, dupire, dupire_variance, total_variance
from gpujax.pricing.monte_carlo.parameters import parameter, parameters
from gpujax.pricing.monte_carlo.process import CustomProcess, Process
from gpujax.pricing.monte_carlo.processes.bates import Bates
from gpujax.pricing.monte_carlo.processes.bootstrap import BlockBootstrap
from gpujax.pricing.monte_carlo.processes.geometric import CorrelatedGeometricBrownianMotion, GeometricBrownianMotion
from gpujax.pricing.monte_carlo.processes.heston import Heston
from gpujax.pricing.monte_carlo.processes.jumps import Kou, Merton
from gpujax.pricing.monte_carlo.processes.levy import NormalInverseGaussian, VarianceGamma
from gpujax.pricing.monte_carlo.processes.local_volatility import LocalVolatility
from gpujax.pricing.monte_carlo.processes.mean_reverting import OrnsteinUhlenbeck, Schwartz
from gpujax.pricing.monte_carlo.processes.multi_heston import CorrelatedHeston
from gpujax.pricing.monte_carlo.processes.rough_bergomi import RoughBergomi
from gpujax.pricing.monte_carlo.processes.sabr import Sabr
from gpujax.pricing.monte_carlo.processes.short_rates import CoxIngersollRoss, HullWhite, Vasicek
from gpujax.pricing.monte_carlo.term_structure import Dividends, PiecewiseConstant

__all__ = [
    "Bates",
    "BlockBootstrap",
    "CorrelatedGeometricBrownianMotion",
    "CorrelatedHeston",
    "CoxIngersollRoss",
    "CustomProcess",
    "Dividends",
    "GeometricBrownianMotion",
    "Heston",
    "HullWhite",
    "Kou",
    "LocalVariance",
    "LocalVolatility",
    "Merton",
    "NormalInverseGaussian",
    "OrnsteinUhlenbeck",
    "PiecewiseConstant",
    "Process",
    "RoughBergomi",
    "Sabr",
    "Schwartz",
    "VarianceGamma",
    "Vasicek",
    "dupire",
    "dupire_variance",
    "parameter",
    "parameters",
    "total_variance",
]
