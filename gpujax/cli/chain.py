"""`gpujax chain FILE`: forwards, implied volatilities, Greeks and flags of an option chain."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpujax.errors import DataError, InputError

if TYPE_CHECKING:
    from gpujax.trading import Chain, ChainAnalysis

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  gpujax chain quotes.csv --rate 0.05
  gpujax chain quotes.parquet --rate implied --output results/
  gpujax chain page1.json page2.json --spot 169.74 --convention alpaca        Alpaca snapshots, the pages of one request
  gpujax chain eod.csv --date 2024-04-26T16:00 --spot 169.74 --root AAPL --column bid=BidPx --column ask=AskPx
  gpujax chain day.csv.gz --snapshot last --json | jq '.expiries[].at_the_money'

A table needs one row per quote with an OCC symbol, or expiry, strike and right; bid and ask; the time of the quote and
the price of the underlying, or --date and --spot. Usual spellings of column names are recognised; name others with
--column. No quote is dropped: what is wrong with one stands in its flags.
"""

_CLOCKS = ("calendar/365", "calendar/365.25", "trading/252", "alpaca", "nautilus")
_CONVENTIONS = ("raw", "alpaca", "nautilus", "vollib")
_PRICES = ("bid", "mid", "ask", "last")
_SETTLEMENTS = ("listed", "pm", "am")
_OUTPUTS = ("csv", "parquet", "plots")


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "chain",
        help="implied volatilities, Greeks and forwards of an option chain",
        description="Read an option chain (CSV, Parquet or Alpaca JSON), and work out forwards, implied "
        "volatilities, Greeks and flags of every quote.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", nargs="+", type=Path, metavar="FILE", help="the chain; several for the pages of one Alpaca request"
    )
    reading = parser.add_argument_group("reading")
    reading.add_argument("--spot", type=_spot, action="append", metavar="PRICE", help="price of the underlying, where the file "
                         "lacks it; for several roots ROOT=PRICE, once for each")  # fmt: skip
    reading.add_argument(
        "--date", metavar="TIME", help="time of all quotes, where the file lacks it: ISO text, New York time"
    )
    reading.add_argument("--root", help="symbol root, where the file lacks it")
    reading.add_argument("--column", action="append", type=_pair, default=[], metavar="OURS=THEIRS",
                         help="name of a column in the file that is not recognised; may be repeated")  # fmt: skip
    reading.add_argument("--errors", choices=("raise", "flag"), default="raise",
                         help="an illegible cell refuses the file, or flags its row (default: raise)")  # fmt: skip
    choosing = parser.add_argument_group("choosing")
    choosing.add_argument("--expiry", action="append", metavar="DATE", help="only this expiry; may be repeated")
    choosing.add_argument("--snapshot", metavar="N", type=_snapshot, help="only this snapshot: a number, first or last")
    working = parser.add_argument_group("working out")
    working.add_argument("--rate", type=_rate, default=0.0, metavar="RATE", help="interest rate, continuously compounded: 0.05 "
                         "or 5%% for five percent, or 'implied' from put-call parity (default: 0)")  # fmt: skip
    working.add_argument("--dividend-yield", type=_number, default=0.0, metavar="RATE",
                         help="where the forward comes from the spot (default: 0)")  # fmt: skip
    working.add_argument("--forward", choices=("parity", "spot"), default="parity",
                         help="where forwards come from (default: parity)")  # fmt: skip
    working.add_argument(
        "--price", choices=_PRICES, default="mid", help="the price that Greeks refer to (default: mid)"
    )
    working.add_argument("--convention", choices=_CONVENTIONS, default="raw", help="units of the Greeks (default: raw)")
    working.add_argument(
        "--clock", choices=_CLOCKS, default=_CLOCKS[0], help="how time is counted (default: calendar/365)"
    )
    working.add_argument(
        "--settlement", choices=_SETTLEMENTS, default="listed", help="when options end (default: listed)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="write every quote with its results, and the plots"
    )
    parser.add_argument("--write", nargs="+", choices=_OUTPUTS, default=list(_OUTPUTS), metavar="WHAT",
                        help="with --output, which of csv, parquet and plots (default: all)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables, and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit code."""
    from gpujax.cli.output import console, print_json, progress
    from gpujax.device import configure

    for path in options.file:
        if not path.is_file():
            raise DataError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    configure()
    with progress("reading ..."):
        chain = _read(options)
        if options.expiry or options.snapshot is not None:
            chain = chain.select(expiry=options.expiry, snapshot=options.snapshot)
        if not len(chain):
            raise DataError(
                f"{options.file[0]}: no quote{' of that choice' if options.expiry or options.snapshot else ''}"
            )
    with progress(f"working out {len(chain):,} quotes ..."):
        analysis = chain.analyze(
            rate=options.rate,
            dividend_yield=options.dividend_yield,
            forward=options.forward,
            price=options.price,
            convention=options.convention,
            clock=options.clock,
            settlement=options.settlement,
        )
    written, missing = [], []
    if options.output is not None:
        with progress(f"writing to {options.output} ..."):
            written, missing = _write(analysis, options)
    results = _results(analysis, written, missing)
    if options.json:
        print_json(results)
    else:
        _print(console(), results, repr(chain))
    return 0


def _read(options: argparse.Namespace) -> "Chain":
    from gpujax.trading import Chain

    kinds = {_kind(path) for path in options.file}
    if kinds == {"alpaca"}:
        for name in ("date", "root", "column"):
            if getattr(options, name):
                raise InputError(f"--{name} is for tables; Alpaca's JSON says it itself")
        spots = dict(options.spot or [])
        underlying = spots.get("", spots) if spots else None
        pages = list(options.file) if len(options.file) > 1 else options.file[0]
        return Chain.from_alpaca(pages, underlying=underlying, errors=options.errors)
    if len(options.file) > 1:
        raise InputError(f"{len(options.file)} files; only the pages of one Alpaca request are read together")
    spots = dict(options.spot or [])
    if spots.keys() - {""}:
        raise InputError("--spot ROOT=PRICE is for Alpaca's JSON; a table takes one --spot PRICE, or a column")
    reader = Chain.from_parquet if kinds == {"parquet"} else Chain.from_csv
    return reader(
        options.file[0],
        columns=dict(options.column) or None,
        errors=options.errors,
        time=options.date,
        underlying=spots.get(""),
        root=options.root,
    )


def _kind(path: Path) -> str:
    endings = [suffix.lower() for suffix in path.suffixes]
    if ".json" in endings:
        return "alpaca"
    return "parquet" if {".parquet", ".pq"} & set(endings) else "csv"


def _results(analysis: "ChainAnalysis", written: list[Path], missing: list[str]) -> dict[str, Any]:
    """What is printed, as plain data."""
    chain = analysis.chain
    return {
        "source": chain.source,
        "quotes": len(chain),
        "snapshots": len(np.unique(chain.snapshot)),
        "with_volatility": int(np.count_nonzero(np.isfinite(analysis.volatility))),
        "convention": analysis.convention,
        "clock": analysis.clock,
        "expiries": _expiries(analysis),
        "flags": analysis.flag_counts,
        "notes": [*chain.notes, *missing],
        "files": written,
    }


def _expiries(analysis: "ChainAnalysis") -> list[dict[str, Any]]:
    """One line per root and expiry; figures are medians over the snapshots, counts are sums."""
    from gpujax.trading import ForwardMethod, expiry_table

    groups, forwards, smiles = analysis.groups, analysis.forwards, expiry_table(analysis)
    lines = []
    for root, expiry in sorted(
        {(str(r), e) for r, e in zip(groups.root, groups.expiry, strict=True) if not np.isnat(e)}
    ):
        rows = (groups.root == root) & (groups.expiry == expiry)
        lines.append({
            "root": root,
            "expiry": expiry,
            "years": _median(groups.years[rows]),
            "spot": _median(groups.spot[rows]),
            "forward": _median(forwards.forward[rows]),
            "forward_error": _median(forwards.standard_error[rows]),
            "forward_by_parity": float(np.mean(forwards.method[rows] == ForwardMethod.PARITY)),
            "rate": _median(forwards.rate[rows]),
            "carry": _median(smiles.carry[rows]),
            "at_the_money": _median(smiles.at_the_money[rows]),
            "skew": _median(smiles.skew[rows]),
            "quotes": int(smiles.quotes[rows].sum()),
            "with_volatility": int(smiles.with_volatility[rows].sum()),
            "flagged": int(smiles.flagged[rows].sum()),
        })  # fmt: skip
    return lines


def _print(out: Any, results: Mapping[str, Any], about: str) -> None:
    from gpujax.cli.output import table

    out.print(about)
    for note in results["notes"]:
        out.print(f"note: {note}", style="yellow")
    several = len({line["root"] for line in results["expiries"]}) > 1
    days = {"trading/252": 252.0, "calendar/365.25": 365.25, "nautilus": 365.25}.get(results["clock"], 365.0)
    rows = [
        (
            f"{line['root'] + ' ' if several else ''}{line['expiry']}",
            _shown(line["years"] * days, ".1f"),
            _shown(line["forward"], ",.2f"),
            _shown(line["forward_error"], ".2f"),
            _shown(line["rate"], "+.2%"),
            _shown(line["carry"], "+.2%"),
            _shown(line["at_the_money"], ".2%"),
            _shown(line["skew"], "+.2%"),
            f"{line['quotes']:,}",
            _shown(line["with_volatility"] / max(line["quotes"], 1), ".0%"),
            _shown(line["flagged"] / max(line["quotes"], 1), ".0%"),
        )
        for line in results["expiries"]
    ]
    header = ("expiry", "days", "forward", "± error", "rate", "carry", "vol", "skew", "quotes", "solved", "flagged")
    out.print()
    out.print(table(header, rows))
    if results["flags"]:
        out.print("\nflags: " + ", ".join(f"{name} {count:,}" for name, count in results["flags"].items()))
    for path in results["files"]:
        out.print(f"written: {path}")


def _write(analysis: "ChainAnalysis", options: argparse.Namespace) -> tuple[list[Path], list[str]]:
    """Write what was asked for; returns the files, and what could not be drawn."""
    from gpujax.demo.files import save_picture

    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    stem = options.file[0].name.partition(".")[0]
    written, missing = [], []
    for ending, write in (("csv", analysis.to_csv), ("parquet", analysis.to_parquet)):
        if ending in options.write:
            written.append(folder / f"{stem}.{ending}")
            write(written[-1])
    plots = {
        "smile": analysis.plot_smile,
        "term_structure": analysis.plot_term_structure,
        "surface": analysis.plot_surface,
    }
    for name, draw in plots.items() if "plots" in options.write else ():
        try:
            figure = draw()
        except DataError as error:
            # A chain of one expiry has no surface; the rest of it is still good.
            missing.append(f"no plot of the {name.replace('_', ' ')}: {error}")
            continue
        written.append(folder / f"{stem}_{name}.png")
        save_picture(figure, written[-1])
    return written, missing


def _median(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _shown(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "-"


def _number(text: str) -> float:
    """An argparse type: 0.05 or 5%."""
    try:
        value = float(text.rstrip("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number such as 0.05 or 5%") from None
    if not np.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a finite number")
    return value


def _rate(text: str) -> float | str:
    return "implied" if text == "implied" else _number(text)


def _spot(text: str) -> tuple[str, float]:
    root, _, price = text.rpartition("=")
    value = _number(price)
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a price above 0, or ROOT=PRICE")
    return root, value


def _pair(text: str) -> tuple[str, str]:
    ours, found, theirs = text.partition("=")
    if not (ours and found and theirs):
        raise argparse.ArgumentTypeError(f"{text!r}; expected OURS=THEIRS, such as bid=BidPx")
    return ours, theirs


def _snapshot(text: str) -> int | str:
    if text in ("first", "last"):
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number, first or last") from None
