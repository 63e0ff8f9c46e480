"""What tables are made of: cells, sheets, and numbers for reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chipwise.units import from_base

__all__ = [
    "NONE",
    "VERSIONS",
    "Answer",
    "Cell",
    "Document",
    "Say",
    "Sheet",
    "bounded",
    "flat",
    "grid",
    "number",
    "quantities",
    "scaled",
    "sheet",
    "short",
    "status",
    "text",
    "versions",
]

Answer = Mapping[str, Any]
Document = list["Sheet | str"]
Say = Callable[..., str]
NONE = "—"
# Keys that every answer carries: with what it was made.
VERSIONS = ("chipwise_version", "catalog_as_of", "calibration_id", "schema_version")


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a cell, and what stands beside or beneath it: mostly the bounds of an interval."""

    text: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: title, headings, rows of cells.

    Columns in `numbers` are set to the right. Where it is too wide, the columns after the first
    `keys` may go beneath, those repeated; with 0 its cells are broken instead.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    keys: int = 0


Row = Iterable[Cell | str]


def _cell(of: Cell | str) -> Cell:
    return of if isinstance(of, Cell) else Cell(of)


def grid(
    title: str,
    headings: Iterable[str],
    rows: Iterable[Row],
    right: Iterable[int] = (),
    keys: int = 0,
) -> Sheet:
    """A table of cells and plain texts; columns in `right` are numbers."""
    cells = tuple(tuple(map(_cell, row)) for row in rows)
    return Sheet(title, tuple(headings), cells, frozenset(right), keys)


def sheet(
    word: Say,
    title: str,
    names: str,
    rows: Iterable[Row],
    right: Iterable[int] = (),
    keys: int = 0,
    section: str = "heading",
) -> Sheet:
    """A table whose headings are words of a section of `strings.toml`, by their keys."""
    return grid(title, [word(f"{section}.{name}") for name in names.split()], rows, right, keys)


def quantities(word: Say, title: str, found: Iterable[tuple[str, Cell | str, str]]) -> Sheet:
    """A row for each quantity: its value, its bounds, its unit."""
    rows = []
    for name, value, unit in found:
        cell = _cell(value)
        rows.append((word(f"quantity.{name}"), cell.text, cell.beside, unit))
    return sheet(word, title, "quantity value interval unit", rows, (1, 2))


def number(value: float | None, digits: int = 3) -> str:
    """A number for reading: so many digits, thousands parted, none lost above the point.

    Examples
    --------
    >>> number(1234.5), number(0.012345), number(None)
    ('1,234', '0.0123', '—')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    shown = f"{value:.{digits}g}"
    return shown if "e" not in shown or abs(value) < 1e-6 else f"{Decimal(shown):f}"


def bounded(found: Mapping[str, float] | None, unit: str = "", digits: int = 3) -> Cell:
    """A value with its bounds, read in `unit`."""
    if found is None:
        return Cell(NONE)
    value, low, high = (from_base(found[k], unit) for k in ("value", "low", "high"))
    return Cell(number(value, digits), f"{number(low, digits)}–{number(high, digits)}")


def scaled(value: float | None, unit: str, digits: int = 3) -> str:
    """A value read in `unit`."""
    return NONE if value is None else number(from_base(value, unit), digits)


def text(value: Any) -> str:
    """A value as it is, a dash for none."""
    return NONE if value is None or value == "" else str(value)


def status(word: Say, of: str | None) -> str:
    """A status of the rules in words."""
    return word(f"status.{of or 'unknown'}")


def versions(word: Say, found: Answer) -> str:
    """With what an answer was made."""
    return word(
        "line.versions",
        version=found["chipwise_version"],
        as_of=found["catalog_as_of"],
        calibration=found["calibration_id"],
    )


def short(chip: str) -> str:
    """A chip's id without its vendor, as the tables show it; it names the chip as well.

    Examples
    --------
    >>> short("nvidia-h200-sxm")
    'h200-sxm'
    """
    return chip.partition("-")[2] or chip


def flat(answer: Answer, prefix: str = "") -> dict[str, Any]:
    """One row of an answer: nested names joined, an interval as name, name_low and name_high.

    Lists of plain values are joined; lists of tables are left to the JSON.

    Examples
    --------
    >>> flat({"ttft_s": {"value": 1.0, "low": 0.9, "high": 1.2}, "notes": ["a", "b"]})
    {'ttft_s': 1.0, 'ttft_s_low': 0.9, 'ttft_s_high': 1.2, 'notes': 'a; b'}
    """
    row: dict[str, Any] = {}
    for key, value in answer.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            inner = flat(value, f"{name}_")
            if f"{name}_value" in inner:
                inner = {k.replace(f"{name}_value", name): v for k, v in inner.items()}
            row |= inner
        elif not isinstance(value, list):
            row[name] = value
        elif not any(isinstance(v, Mapping) for v in value):
            row[name] = "; ".join(map(str, value))
    return row
