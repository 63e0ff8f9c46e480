"""Data files → plain values, with the file and line in every complaint."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.errors import BadFact, BadInput

__all__ = ["DATA", "as_of", "read_csv", "read_json", "read_text", "read_toml", "where"]

DATA = Path(__file__).with_name("data")


def read_text(path: Path) -> str:
    """Text of a file in UTF-8.

    Raises
    ------
    BadInput
        If it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{str(path)!r}: no file can have this name") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Content of a TOML file; a fault in its grammar names line and column."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: not valid TOML: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not usable TOML: {_excess(error)}") from None


def read_json(path: Path) -> Any:
    """Content of a JSON file; a fault in its grammar names line and column."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadInput(f"{path}: not valid JSON: {error.msg} ({place})") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not usable JSON: {_excess(error)}") from None


def _excess(error: BaseException) -> str:
    """What is too much for the readers of Python, although the grammar allows it."""
    if isinstance(error, RecursionError):
        return "lists or tables are nested too deep"
    return "a number has more than 4,300 digits, or a day is not in the calendar"


def read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a CSV file by column name, where `columns` must all be present."""
    rows = csv.DictReader(read_text(path).splitlines())
    try:
        absent = [c for c in columns if c not in (rows.fieldnames or ())]
    except csv.Error as error:
        raise BadInput(f"{path}: line 1: not valid CSV: {error}") from None
    if absent:
        raise BadInput(f"{path}: line 1: no column {', '.join(absent)}")
    found = []
    for row in _whole(path, rows):
        if None in row or None in row.values():
            raise BadInput(
                f"{path}: line {rows.line_num}: {len(columns)} fields were expected, as in line 1"
            )
        found.append(row)
    return found


def _whole(path: Path, rows: csv.DictReader[str]) -> Iterator[dict[str, str]]:
    """Rows, where each can be read."""
    try:
        yield from rows
    except csv.Error as error:
        raise BadInput(f"{path}: line {rows.line_num}: not valid CSV: {error}") from None


def where(path: Path, attribute: str) -> str:
    """The file, and the line in which `attribute` stands, if it does.

    An attribute within a table (``flops.bf16``) is looked for dotted first, then alone.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return str(path)
    for name in (attribute, attribute.rpartition(".")[2]):
        pattern = re.compile(rf'(^\s*\[{{0,2}}|[{{,])\s*"?{re.escape(name)}"?\s*[\]=:]')
        for number, line in enumerate(lines, 1):
            if pattern.search(line):
                return f"{path}: line {number}"
    return str(path)


@lru_cache(maxsize=1)
def as_of() -> date:
    """The day for which the catalog speaks, unless another is asked for."""
    path = DATA / "catalog.toml"
    day = read_toml(path).get("as_of")
    if not isinstance(day, date):
        raise BadFact(where(path, "as_of"), "as_of", f"a date was expected, not {day!r}")
    return day
