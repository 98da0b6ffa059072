"""Tier 2: prices, Greeks and implied volatilities in closed form, and by simulation.

| module | model | inputs |
|---|---|---|
| `black_scholes` | lognormal spot with carry (Black-Scholes-Merton) | spot, rate, dividend_yield |
| `black76` | lognormal forward | forward, rate |
| `displaced` | lognormal forward plus a shift | forward, shift, rate |
| `bachelier` | normal forward | forward, rate |
| `digital` | cash-or-nothing and asset-or-nothing under Black-Scholes-Merton | spot, rate, dividend_yield |
| `geometric_asian` | average of lognormal spots at dates, geometric: a closed form | spot, times, rate, dividend_yield |
| `arithmetic_asian` | the same, arithmetic: quasi-Monte Carlo | spot, rate, dividend_yield |
| `monte_carlo` | any process and payoff, by simulation | a process and a payoff |

Each of the first four has `price`, `greeks`, `implied_volatility` and `implied_volatility_diagnosis`.
"""
