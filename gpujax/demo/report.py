"""What the demo found, for people."""

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["report"]


def report(results: Mapping[str, Any], out: Any) -> None:
    """Print the results of `run_demo` to a rich console."""
    _heading(out, "Hardware")
    out.print(results["hardware"])
    _heading(out, "Configuration, and why")
    out.print(results["configuration"])

    trip = results["round_trip"]
    _heading(out, f"The DAX on 5 July 2002: {trip['options']} published volatilities -> prices -> volatilities")
    out.print("the options nearest to the money, one of each expiry; Greeks per unit, theta per year:\n")
    out.print(_table(
        ("days", "strike", "right", "volatility", "price", "delta", "gamma", "vega", "theta"),
        [(f"{o['days']}", f"{o['strike']:.0f}", "call" if o["is_call"] else "put", f"{o['volatility']:.2%}", f"{o['price']:.2f}",
          f"{o['delta']:+.4f}", f"{o['gamma']:.6f}", f"{o['vega']:.1f}", f"{o['theta']:.1f}") for o in trip["near_the_money"]],
    ))  # fmt: skip
    out.print(f"\nlargest error of a volatility after the round trip: {trip['largest_error']:.1e}")

    _heading(out, f"The same options as a chain: {results['quotes']} quotes, bid and ask on the tick of 0.1")
    out.print("forwards from put-call parity alone, beside what spot and rate say:\n")
    out.print(_table(
        ("expiry", "days", "forward", "± error", "spot and rate", "vol at the money", "skew", "solved"),
        [(str(g["expiry"]), f"{g['days']:.1f}", f"{g['forward']:.2f}", f"{g['error']:.2f}", f"{g['expected']:.2f}",
          f"{g['at_the_money']:.2%}", _percent(g["skew"]), f"{g['with_volatility']} of {g['quotes']}") for g in results["chain"]],
    ))  # fmt: skip

    profile = results["profile"]
    seconds = profile["seconds"]
    _heading(out, f"Speed: {profile['options']:,} Black-Scholes prices in {profile['dtype']}, on {profile['device']}")
    out.print(_table(
        ("", "ms", "million options a second", "times plain NumPy"),
        [(label, f"{1e3 * seconds[key]:.1f}", f"{profile['options'] / seconds[key] / 1e6:.1f}",
          f"{seconds['numpy'] / seconds[key]:.1f}")
         for key, label in (("numpy", "NumPy and SciPy's ndtr"), ("numpy_arrays", "gpujax, NumPy arrays in and out"),
                            ("device_arrays", "gpujax, arrays on the device"))],
    ))  # fmt: skip
    out.print(f"\nanswers compared first: they differ by {profile['largest_difference']:.0e} of spot or strike at most")

    for fallback in results["fallbacks"]:
        out.print(f"\n{fallback['component']} ran on the CPU: {fallback['message']}", style="yellow")
    anew = results["compiled_anew"]
    kept = "nothing was compiled anew" if anew == 0 else f"{anew} were compiled anew, and kept for the next start"
    out.print(f"\n{results['programs']} compiled programs were used; {kept}. {results['seconds']:.1f} s in all.")
    out.print("\nLook at")
    for path in results["files"]:
        out.print(f"  {path}", style="bold")


def _percent(value: float) -> str:
    """A strike that the quotes do not reach has no skew."""
    return f"{value:+.2%}" if math.isfinite(value) else "-"


def _heading(out: Any, text: str) -> None:
    out.print(f"\n{text}", style="bold underline")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Any:
    from rich.table import Table

    made = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(header):
        made.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made
