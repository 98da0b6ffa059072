"""What the demo found, for people."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["report"]

# Title of a column -> how an entry is shown in it.
_OPTION = {
    "days": "{days}",
    "strike": "{strike:.0f}",
    "right": "{right}",
    "volatility": "{volatility:.2%}",
    "price": "{price:.2f}",
    "delta": "{delta:+.4f}",
    "gamma": "{gamma:.6f}",
    "vega": "{vega:.1f}",
    "theta": "{theta:.1f}",
}
_EXPIRY = {
    "expiry": "{expiry!s}",
    "days": "{days:.1f}",
    "forward": "{forward:.2f}",
    "± error": "{error:.2f}",
    "spot and rate": "{expected:.2f}",
    "vol at the money": "{at_the_money:.2%}",
    "skew": "{skew:+.2%}",
    "solved": "{with_volatility} of {quotes}",
}
_TIME = {
    "": "{who}",
    "ms": "{ms:.1f}",
    "million options a second": "{rate:.1f}",
    "times plain NumPy": "{times:.1f}",
}
_CONTESTANTS = {
    "numpy": "NumPy and SciPy's ndtr",
    "numpy_arrays": "gpujax, NumPy arrays in and out",
    "device_arrays": "gpujax, arrays on the device",
}


def report(results: Mapping[str, Any], out: Any) -> None:
    """Print the results of `run_demo` to a rich console."""
    _heading(out, "Hardware")
    out.print(results["hardware"])
    _heading(out, "Configuration, and why")
    out.print(results["configuration"])

    trip = results["round_trip"]
    _heading(out, f"The DAX on 5 July 2002: {trip['options']} published volatilities -> prices -> volatilities")
    out.print("the options nearest to the money, one of each expiry; Greeks per unit, theta per year:\n")
    out.print(_table(_OPTION, trip["near_the_money"]))
    out.print(f"\nlargest error of a volatility after the round trip: {trip['largest_error']:.1e}")

    _heading(out, f"The same options as a chain: {results['quotes']} quotes, bid and ask on the tick of 0.1")
    out.print("forwards from put-call parity alone, beside what spot and rate say:\n")
    out.print(_table(_EXPIRY, results["chain"]))

    profile = results["profile"]
    seconds = profile["seconds"]
    _heading(out, f"Speed: {profile['options']:,} Black-Scholes prices in {profile['dtype']}, on {profile['device']}")
    times = [
        {"who": label, "ms": 1e3 * seconds[key], "rate": profile["options"] / seconds[key] / 1e6,
         "times": seconds["numpy"] / seconds[key]}
        for key, label in _CONTESTANTS.items()
    ]  # fmt: skip
    out.print(_table(_TIME, times))
    out.print(f"\nanswers compared first: they differ by {profile['largest_difference']:.0e} of spot or strike at most")

    for fallback in results["fallbacks"]:
        out.print(f"\n{fallback['component']} ran on the CPU: {fallback['message']}", style="yellow")
    anew = results["compiled_anew"]
    kept = "nothing was compiled anew" if anew == 0 else f"{anew} were compiled anew, and kept for the next start"
    out.print(f"\n{results['programs']} compiled programs were used; {kept}. {results['seconds']:.1f} s in all.")
    out.print("\nLook at")
    for path in results["files"]:
        out.print(f"  {path}", style="bold")


def _heading(out: Any, text: str) -> None:
    out.print(f"\n{text}", style="bold underline")


def _table(columns: Mapping[str, str], entries: Iterable[Mapping[str, Any]]) -> Any:
    """A table from a format for each column; what is not finite (a strike that the quotes do not reach) is a dash."""
    from rich.table import Table

    made = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(columns):
        made.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for entry in entries:
        cells = (form.format(**entry) for form in columns.values())
        made.add_row(*("-" if "nan" in cell else cell for cell in cells))
    return made
