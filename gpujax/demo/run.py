"""What the demo does; `report` prints it."""

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gpujax.demo import dax
from gpujax.demo.files import save_picture
from gpujax.device import detect
from gpujax.hub import Adapter
from gpujax.trading import Chain, expiry_instants, years_to_expiry

__all__ = ["run_demo"]

# Eurex quotes DAX options in tenths of an index point.
_TICK = 0.1
# The chain's clock counts to the minute and by New York's calendar, so the quotes are dated to the close there, 16:00:
# then the days are those of the table, but for an hour across a change of clocks, and for 15 June 2003, a Sunday, which
# counts as Friday.
_TIME = np.datetime64(f"{dax.DATE}T20:00")


def run_demo(folder: Path, *, options: int = 1_000_000, rounds: int = 7) -> dict[str, Any]:
    """Price the DAX surface, solve it back, analyse it as a chain, draw it, and time this machine.

    Arguments:
        folder: where pictures and tables go; made if it is not there.
        options, rounds: see `Adapter.get_performance_profile`.

    Returns: everything that `report` prints, as numbers, texts and arrays by name.

    Raises: ConfigError, DeviceError as `gpujax.configure`; OSError where the folder cannot be written.
    """
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    with _Compilations() as compilations:
        adapter = Adapter()
        prices = _round_trip(adapter)
        analysis = _chain(adapter)
        files = _draw(analysis, folder)
        profile = adapter.get_performance_profile(options=options, rounds=rounds)
    return {
        "hardware": detect().summary(),
        "configuration": adapter.get_config_summary(),
        "round_trip": prices,
        "chain": _expiries(analysis),
        "quotes": len(analysis),
        "profile": profile,
        "fallbacks": [fallback._asdict() for fallback in adapter.fallbacks],
        "programs": compilations.programs,
        "compiled_anew": compilations.programs - compilations.from_cache,
        "seconds": time.perf_counter() - started,
        "files": files,
    }


def _round_trip(adapter: Adapter) -> dict[str, Any]:
    """Published volatility -> price -> implied volatility, and the Greeks of every option."""
    surface = dax.surface()
    market = {
        "spot": dax.SPOT,
        "strike": surface.strike,
        "expiry": surface.days / 365.0,
        "rate": surface.rate,
        "is_call": surface.is_call,
    }
    pricer = adapter.adapt_options_pricing()
    price = pricer.price(**market, volatility=surface.volatility)
    solved = pricer.implied_volatility(**market, price=price)
    greeks = pricer.greeks(**market, volatility=surface.volatility, which=("delta", "gamma", "vega", "theta"))
    nearest = [int(np.flatnonzero(surface.days == d)[np.argmin(np.abs(surface.strike[surface.days == d] - dax.SPOT))])
               for d in dax.DAYS]  # fmt: skip
    shown = {"days": surface.days, "strike": surface.strike, "right": np.where(surface.is_call, "call", "put"),
             "volatility": surface.volatility, "price": price, "delta": greeks.delta, "gamma": greeks.gamma,
             "vega": greeks.vega, "theta": greeks.theta}  # fmt: skip
    return {
        "options": len(price),
        "largest_error": float(np.max(np.abs(solved - surface.volatility))),
        "near_the_money": [{name: np.asarray(values)[row] for name, values in shown.items()} for row in nearest],
    }


def _chain(adapter: Adapter) -> Any:
    """The surface as a market would show it: calls and puts with bid and ask on the tick around the price."""
    surface = dax.surface()
    expiry = np.datetime64(dax.DATE) + surface.days.astype("m8[D]")
    years = years_to_expiry(_TIME, expiry_instants(expiry, settlement="pm"))
    both = {
        "spot": dax.SPOT,
        "strike": np.tile(surface.strike, 2),
        "expiry": np.tile(years, 2),
        "rate": np.tile(_rate(years), 2),
        "is_call": np.repeat([True, False], len(years)),
    }
    price = adapter["black_scholes.price"](**both, volatility=np.tile(surface.volatility, 2))
    chain = Chain.from_arrays(
        root="DAX",
        expiry=np.tile(expiry, 2),
        strike=both["strike"],
        is_call=both["is_call"],
        bid=np.floor(price / _TICK) * _TICK,
        ask=np.ceil(price / _TICK) * _TICK,
        underlying=dax.SPOT,
        time=f"{_TIME}Z",
        snapshots="all",
    )
    return chain.analyze(rate=_rate, settlement="pm")


def _rate(years: Any) -> Any:
    """The zero rate at any time to expiry, linear between the table's."""
    return np.interp(years, np.array(dax.DAYS) / 365.0, dax.ZERO_RATES)


def _expiries(analysis: Any) -> list[dict[str, Any]]:
    from gpujax.trading import expiry_table

    table, groups, forwards = expiry_table(analysis), analysis.groups, analysis.forwards
    names = ("expiry", "days", "forward", "error", "expected", "at_the_money", "skew", "quotes", "with_volatility")
    expected = dax.SPOT * np.exp(_rate(groups.years) * groups.years)
    columns = (groups.expiry, groups.years * 365.0, forwards.forward, forwards.standard_error, expected,
               table.at_the_money, table.skew, table.quotes, table.with_volatility)  # fmt: skip
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _draw(analysis: Any, folder: Path) -> list[Path]:
    title = "DAX, 5 July 2002: "
    pictures = {
        "smile": (analysis.plot_smile, {"x": "log_moneyness"}, "implied volatility by expiry"),
        "term_structure": (analysis.plot_term_structure, {}, "term structure"),
        "surface": (analysis.plot_surface, {"width": 2.0}, "implied volatility surface"),
    }
    written = []
    for name, (draw, options, said) in pictures.items():
        figure = draw(**options)
        figure.suptitle(title + said, x=0.012, ha="left", fontsize=13)
        written.append(folder / f"dax_{name}.png")
        save_picture(figure, written[-1])
    written.append(folder / "dax_chain.csv")
    analysis.to_csv(written[-1])
    return written


class _Compilations:
    """Counts the programs that XLA is asked for, and those that the persistent cache had."""

    def __init__(self) -> None:
        self.programs = self.from_cache = 0

    def __enter__(self) -> "_Compilations":
        jax.monitoring.register_event_duration_secs_listener(self._on_duration)
        jax.monitoring.register_event_listener(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._on_duration)
        jax.monitoring.unregister_event_listener(self._on_event)

    def _on_duration(self, event: str, duration_secs: float, **_: Any) -> None:
        self.programs += event == "/jax/core/compile/backend_compile_duration"

    def _on_event(self, event: str, **_: Any) -> None:
        self.from_cache += event == "/jax/compilation_cache/cache_hits"
