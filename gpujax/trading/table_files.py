"""Files and frames of quotes, to named columns: CSV, Parquet, data frames; what is broken is named with its place.

Nothing is interpreted here: CSV cells stay text, and `gpujax.trading.quotes` gives the columns their meaning.
"""

import csv
import gzip
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpujax.errors import DataError, InputError
from gpujax.trading.optional import optional_module

__all__ = ["NULLS", "columns_of_csv", "columns_of_frame", "columns_of_parquet"]

# Cells that mean that there is no value.
NULLS = ("", "NaN", "nan", "null", "NULL", "None", "#N/A", "N/A")
_UNREADABLE = (OSError, EOFError, zlib.error)


def columns_of_csv(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Columns of a CSV file as Arrow text columns by their header; gzip and other compressions by the file's ending.

    Raises: DataError that names the file and, where a row is cut off or has too many or too few cells, the row.
    """
    arrow_csv = optional_module("pyarrow.csv", "reading CSV files")
    arrow = optional_module("pyarrow", "reading CSV files")
    path = Path(path)
    try:
        with arrow.input_stream(str(path)) as stream:
            start = stream.read(1 << 16)
    except (arrow.ArrowInvalid, *_UNREADABLE) as error:
        raise DataError(f"{path}: cannot be read: {_first_line(error)}") from error
    first_line = start.split(b"\n", 1)[0].decode("utf-8-sig", errors="replace").rstrip("\r")
    if not first_line.strip():
        raise DataError(f"{path}: empty file; expected a header line and one line per quote")
    delimiter = max(",;\t|", key=first_line.count)
    header = next(csv.reader([first_line], delimiter=delimiter))
    options = {
        "parse_options": arrow_csv.ParseOptions(delimiter=delimiter),
        # Everything is read as text: a cell that is no number then costs one cell, with its row, not the whole file.
        "convert_options": arrow_csv.ConvertOptions(
            column_types={name: arrow.string() for name in header}, null_values=list(NULLS), strings_can_be_null=True
        ),
    }
    try:
        table = arrow_csv.read_csv(str(path), **options)
    except (arrow.ArrowInvalid, *_UNREADABLE) as error:
        raise DataError(f"{path}: {_where_csv_breaks(path, options, error)}") from error
    if len(set(table.column_names)) < len(table.column_names):
        twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        raise DataError(f"{path}: the header names {', '.join(map(repr, twice))} more than once")
    return dict(zip(table.column_names, table.columns, strict=True))


def columns_of_parquet(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Columns of a Parquet file as Arrow columns. Raises: DataError that names the file."""
    parquet = optional_module("pyarrow.parquet", "reading Parquet files")
    arrow = optional_module("pyarrow", "reading Parquet files")
    try:
        table = parquet.read_table(str(path))
    except (arrow.ArrowInvalid, *_UNREADABLE) as error:
        raise DataError(f"{path}: not a complete Parquet file: {_first_line(error)}") from error
    return dict(zip(table.column_names, table.columns, strict=True))


def columns_of_frame(table: Any) -> dict[str, Any]:
    """Columns of a pandas or polars data frame, a pyarrow table, or a mapping of names to arrays."""
    if isinstance(table, Mapping):
        return dict(table)
    if hasattr(table, "column_names") and hasattr(table, "columns"):
        return dict(zip(table.column_names, table.columns, strict=True))
    if hasattr(table, "__arrow_c_stream__"):
        arrow = optional_module("pyarrow", "reading data frames")
        table = arrow.table(table)
        return dict(zip(table.column_names, table.columns, strict=True))
    raise InputError(
        f"table: {type(table).__name__}; expected a pandas or polars DataFrame, a pyarrow Table or a dict of arrays"
    )


def _where_csv_breaks(path: Path, options: dict[str, Any], error: Exception) -> str:
    """Say at which row a CSV file cannot be read further."""
    arrow_csv = optional_module("pyarrow.csv", "reading CSV files")
    arrow = optional_module("pyarrow", "reading CSV files")
    if path.suffix == ".gz":
        rows = -1
        try:
            with gzip.open(path, "rb") as stream:
                for _ in stream:
                    rows += 1
        except _UNREADABLE as broken:
            return f"half-written: the compressed data end in row {max(rows, 0) + 1} ({_first_line(broken)})"
    broken_rows: list[Any] = []

    def note(row: Any) -> str:
        broken_rows.append(row)
        return "error"

    options = options | {
        "parse_options": arrow_csv.ParseOptions(delimiter=options["parse_options"].delimiter, invalid_row_handler=note)
    }
    try:
        # Only the reader that works in order knows the number of the row.
        arrow_csv.read_csv(str(path), read_options=arrow_csv.ReadOptions(use_threads=False), **options)
    except (arrow.ArrowInvalid, *_UNREADABLE) as in_order:
        if not broken_rows:
            return _first_line(in_order)
    row = broken_rows[0]
    place = f"row {row.number - 1} (line {row.number})" if row.number is not None else "one row"
    return (
        f"{place} has {row.actual_columns} cells instead of {row.expected_columns}: {row.text!r:.120}; "
        "the file may be half-written"
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
