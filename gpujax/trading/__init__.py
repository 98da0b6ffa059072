"""Option chains: symbols, calendars, quotes in, forwards, implied volatilities, Greeks, flags, tables and plots out.

import gpujax as gj

gj.configure()
chain = gj.Chain.from_csv("quotes.csv", root="GOOG")
analysis = chain.analyze(rate=0.005)
print(analysis.summary())
analysis.plot_smile().savefig("smile.png")
"""

from gpujax.trading.alpaca import alpaca_quotes
from gpujax.trading.analysis import ChainAnalysis, analyze
from gpujax.trading.chain import Chain
from gpujax.trading.conventions import convention_factors, to_convention
from gpujax.trading.expiry import AM_SETTLED_ROOTS, expiry_instants, years_to_expiry
from gpujax.trading.flags import QuoteFlag, count_flags, describe_flags, flag_names
from gpujax.trading.forward import ForwardMethod, Forwards, imply_forwards
from gpujax.trading.groups import ExpiryGroups
from gpujax.trading.occ import OccSymbols, format_occ, parse_occ
from gpujax.trading.plots import plot_smile, plot_surface, plot_term_structure
from gpujax.trading.sessions import early_closes, holidays, session_bounds, trading_days_between
from gpujax.trading.tables import expiry_table, summary

__all__ = [
    "AM_SETTLED_ROOTS",
    "Chain",
    "ChainAnalysis",
    "ExpiryGroups",
    "ForwardMethod",
    "Forwards",
    "OccSymbols",
    "QuoteFlag",
    "alpaca_quotes",
    "analyze",
    "convention_factors",
    "count_flags",
    "describe_flags",
    "early_closes",
    "expiry_instants",
    "expiry_table",
    "flag_names",
    "format_occ",
    "holidays",
    "imply_forwards",
    "parse_occ",
    "plot_smile",
    "plot_surface",
    "plot_term_structure",
    "session_bounds",
    "summary",
    "to_convention",
    "trading_days_between",
    "years_to_expiry",
]
