"""MkDocs hooks: tables from the code, formulas without scripts, and no public name without documentation.

A marker in a page, `<!-- gpujax: NAME -->`, is replaced by what the function `_NAME` makes of the installed package, so
that no table is written twice. LaTeX becomes MathML while the site is built: pages need no script and no network.
"""

import argparse
import dataclasses
import html
import re
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import latex2mathml.converter
from mkdocs.exceptions import PluginError

from gpujax.cli.main import _parser
from gpujax.device import DeviceConfig, gpus
from gpujax.hub import COMPONENTS, categories
from gpujax.pricing.greek_names import GREEKS
from gpujax.pricing.implied import Status
from gpujax.trading.conventions import convention_factors

sys.path.insert(0, str(Path(__file__).parent))

from public import public_symbols

__all__ = ["expand", "on_page_content", "on_page_markdown", "on_post_build"]

_MARKER = re.compile(r"^<!-- gpujax: ([\w-]+) -->$", re.MULTILINE)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the markers of a page."""
    return expand(markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Turn LaTeX into MathML."""
    return _FORMULA.sub(_formula, html)


def on_post_build(config: Any, **_: Any) -> None:
    """Fail the build where a public name is not in the reference."""
    inventory = (Path(config["site_dir"]) / "objects.inv").read_bytes()
    listed = {line.split()[0] for line in zlib.decompress(inventory.split(b"\n", 4)[4]).decode().splitlines()}
    missing = sorted({symbol.path for symbol in public_symbols()} - listed)
    if missing:
        raise PluginError(f"public names that are not in the reference (docs/reference/): {', '.join(missing)}")


def expand(markdown: str) -> str:
    """A page's text with every marker replaced; an unknown one is an error."""

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name not in _MAKERS:
            raise PluginError(f"unknown marker <!-- gpujax: {name} -->; there are {', '.join(_MAKERS)}")
        return _MAKERS[name]()

    return _MARKER.sub(filled, markdown)


def _formula(match: re.Match[str]) -> str:
    text = html.unescape(match[2]).strip()
    display = text.startswith(r"\[")
    latex = text.removeprefix(r"\[").removesuffix(r"\]").removeprefix(r"\(").removesuffix(r"\)")
    return latex2mathml.converter.convert(latex.strip(), display="block" if display else "inline")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _components() -> str:
    parts = []
    for category, names in categories().items():
        rows = []
        for name in names:
            row = COMPONENTS[name]
            needed = ", ".join(f"`{a.name}`" for a in row.arguments if a.required)
            defaults = [f"`{a.name}={a.default}`" for a in row.arguments if not a.required]
            defaults += [f"`{o.name}`" for o in row.options]
            rows.append((f"`{name}`", row.summary, needed, ", ".join(defaults)))
        header = ("component", "what it computes", "has to be given", "may be given")
        parts.append(f"## {category[0].upper()}{category[1:]}\n\n{_table(header, rows)}")
    return "\n\n".join(parts)


def _config_fields() -> str:
    fields = [field for field in dataclasses.fields(DeviceConfig) if field.name != "why"]
    rows = [(f"`{field.name}`", field.metadata["meaning"]) for field in fields]
    return _table(("field", "meaning and values"), rows)


def _gpus() -> str:
    rows = []
    for gpu in gpus.TABLE:
        figures = (gpu.memory, gpu.bandwidth, gpu.float64, gpu.float32, gpu.bfloat16)
        remarks = gpu.source + (f". Note: {gpu.disagreement}" if gpu.disagreement else "")
        rows.append((gpu.name, *("-" if figure is None else f"{figure:g}" for figure in figures), remarks))
    header = ("GPU", "memory, GiB", "bandwidth, GB/s", "float64, TFLOP/s", "float32", "bfloat16, dense", "source")
    return _table(header, rows)


def _statuses() -> str:
    rows = [(f"`Status.{status.name}`", str(status.value), status.message) for status in Status]
    return _table(("status", "code", "meaning"), rows)


def _conventions() -> str:
    names = ("alpaca", "nautilus", "vollib")
    factors = {name: convention_factors(name) for name in names}  # pyright: ignore[reportArgumentType]
    rows = [(f"`{greek}`", *(_factor(factors[name][greek]) for name in names)) for greek in GREEKS]
    return _table(("Greek", *(f"`{name}`" for name in names)), rows)


def _factor(value: float) -> str:
    for days in (365.25, 365.0):
        for points in (1.0, 1e-2, 1e-4, 1e-6):
            if abs(value * days - points) < 1e-12:
                return f"{points:g} / {days:g}"
    return f"{value:g}"


def _command_line() -> str:
    parser = _parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = [f"```text\n{parser.format_help()}```"]
    for name, command in commands.choices.items():
        parts.append(f"## gpujax {name}\n\n```text\n{command.format_help()}```")
    return "\n\n".join(parts)


_MAKERS: dict[str, Callable[[], str]] = {
    "components": _components,
    "config-fields": _config_fields,
    "gpus": _gpus,
    "statuses": _statuses,
    "conventions": _conventions,
    "command-line": _command_line,
}
