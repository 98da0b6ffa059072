"""Tier 2: prices, Greeks and implied volatilities in closed form.

| module | model | inputs |
|---|---|---|
| `black_scholes` | lognormal spot with carry (Black-Scholes-Merton) | spot, rate, dividend_yield |
| `black76` | lognormal forward | forward, rate |
| `displaced` | lognormal forward plus a shift | forward, shift, rate |
| `bachelier` | normal forward | forward, rate |
| `digital` | cash-or-nothing and asset-or-nothing under Black-Scholes-Merton | spot, rate, dividend_yield |

Each of the first four has `price`, `greeks`, `implied_volatility` and `implied_volatility_diagnosis`.
"""
