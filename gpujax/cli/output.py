"""What commands print: tables for people, JSON for machines, progress beside both on standard error."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["console", "facts_table", "plain", "print_json", "progress", "table"]

_WIDE = 200


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for every table where it goes to a file or a pipe."""
    made = _Console(highlight=False, markup=False, emoji=False)
    return made if made.is_terminal else _Console(highlight=False, markup=False, emoji=False, width=_WIDE)


class _Console(Console):
    """A console that leaves it to `main` to answer a reader that has left."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def progress(text: str) -> Any:
    """A context that shows what is going on, on standard error, while it goes on; silent where nobody watches."""
    return Console(stderr=True, highlight=False).status(text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1, title: str = "") -> Table:
    """A table whose columns from `numbers_from` on are aligned to the right."""
    made = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, header_style="bold", pad_edge=False
    )
    for index, name in enumerate(header):
        right = index >= numbers_from
        made.add_column(name, justify="right" if right else "left", no_wrap=right or index == 0)
    for row in rows:
        made.add_row(*row)
    return made


def facts_table(text: str) -> Table:
    """A summary of `name  text` lines as two columns, the first in bold."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(no_wrap=True)
    made.add_column()
    for line in text.splitlines():
        name, _, rest = line.partition("  ")
        made.add_row(Text(name, style="bold"), rest.strip())
    return made


def print_json(value: Any) -> None:
    """Write a value to standard output as JSON; NaN and infinities, which JSON lacks, become null."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """Lists, dicts, texts and numbers only: times as ISO text, what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (np.datetime64, Path)):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
