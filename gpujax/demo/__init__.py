"""Tier 4: `gpujax demo`, the whole of it on a real volatility surface that comes with the package."""

from gpujax.demo.report import report
from gpujax.demo.run import run_demo

__all__ = ["report", "run_demo"]
