"""Columns of equal length → a file of rows, as CSV or Parquet by the end of its name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chipwise.cli.output import check_path, write
from chipwise.errors import BadInput
from chipwise.tables.written import as_csv

__all__ = ["check_frame", "write_frame"]


def check_frame(path: Path | None) -> None:
    """Refuse, before the work, a file of rows that could not be written after it."""
    check_path(path)
    if path is not None and _is_parquet(path) and find_spec("polars") is None:
        raise BadInput(
            f"{path}: Parquet needs polars; install chipwise[frames], or name a .csv file"
        )


def write_frame(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns, arrays by their name, whole or not at all."""
    if _is_parquet(path):
        write(path, _parquet(columns))
        return
    names, values = list(columns), [each.tolist() for each in columns.values()]
    rows = (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))
    write(path, as_csv(rows))


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _parquet(columns: Mapping[str, Any]) -> bytes:
    from io import BytesIO

    import polars as pl

    packed = BytesIO()
    pl.DataFrame(dict(columns)).write_parquet(packed)
    return packed.getvalue()
