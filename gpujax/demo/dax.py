"""Implied volatilities of options on the DAX on 5 July 2002: a real surface, small enough to print.

Spot 4468.17; the DAX is a total-return index, so its dividend yield is zero. Zero rates are continuously compounded,
time is days / 365. The day lies in a falling market: the short end is steep and high.

Source: A. Sepp, "Pricing European-Style Options under Jump Diffusion Processes with Stochastic Volatility: Applications
of Fourier Transform", Acta et Commentationes Universitatis Tartuensis de Mathematica 8 (2003), 123-133; the data set of
QuantLib's Heston calibration test (test-suite/hestonmodel.cpp).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["DATE", "SPOT", "Surface", "surface"]

DATE = "2002-07-05"
SPOT = 4468.17

DAYS = (13, 41, 75, 165, 256, 345, 524, 703)
ZERO_RATES = (0.0357, 0.0349, 0.0341, 0.0355, 0.0359, 0.0368, 0.0386, 0.0401)

# Strike -> volatility for each number of days.
VOLATILITIES = {
    3400: (0.6625, 0.4875, 0.4204, 0.3667, 0.3431, 0.3267, 0.3121, 0.3121),
    3600: (0.6007, 0.4543, 0.3967, 0.3511, 0.3279, 0.3154, 0.2984, 0.2921),
    3800: (0.5084, 0.4221, 0.3718, 0.3327, 0.3155, 0.3027, 0.2919, 0.2889),
    4000: (0.4541, 0.3869, 0.3492, 0.3149, 0.2963, 0.2926, 0.2819, 0.2800),
    4200: (0.4060, 0.3607, 0.3330, 0.2999, 0.2887, 0.2811, 0.2751, 0.2775),
    4400: (0.3726, 0.3396, 0.3108, 0.2781, 0.2788, 0.2722, 0.2661, 0.2686),
    4500: (0.3550, 0.3277, 0.3012, 0.2781, 0.2781, 0.2661, 0.2661, 0.2681),
    4600: (0.3428, 0.3209, 0.2958, 0.2740, 0.2688, 0.2627, 0.2580, 0.2620),
    4800: (0.3302, 0.3062, 0.2799, 0.2631, 0.2573, 0.2533, 0.2504, 0.2544),
    5000: (0.3343, 0.2959, 0.2705, 0.2540, 0.2504, 0.2464, 0.2448, 0.2462),
    5200: (0.3460, 0.2845, 0.2624, 0.2463, 0.2425, 0.2385, 0.2373, 0.2422),
    5400: (0.3857, 0.2860, 0.2578, 0.2399, 0.2357, 0.2327, 0.2312, 0.2351),
    5600: (0.3976, 0.2860, 0.2607, 0.2356, 0.2297, 0.2268, 0.2241, 0.2320),
}


class Surface(NamedTuple):
    """One option for each strike and expiry, arrays `[104]`; the out-of-the-money one of call and put."""

    days: npt.NDArray[np.int64]
    strike: npt.NDArray[np.float64]
    rate: npt.NDArray[np.float64]
    volatility: npt.NDArray[np.float64]
    is_call: npt.NDArray[np.bool_]


def surface() -> Surface:
    """The table as flat arrays, expiry by expiry."""
    strikes = np.array(list(VOLATILITIES), dtype=np.float64)
    days, rate = np.repeat(DAYS, len(strikes)), np.repeat(ZERO_RATES, len(strikes))
    strike = np.tile(strikes, len(DAYS))
    forward = SPOT * np.exp(rate * days / 365.0)
    volatility = np.array(list(VOLATILITIES.values())).T.reshape(-1)
    return Surface(days, strike, rate, volatility, strike >= forward)
