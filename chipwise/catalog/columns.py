"""A user's own tables of numbers for `simulate`: step times, and lengths with their weights."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipwise.catalog.files import read_csv
from chipwise.errors import BadInput
from chipwise.types import Array, StepTable

__all__ = ["read_lengths", "read_step_table"]

_GRID = ("tokens", "seconds")
_SHARED = "shared"  # a column of the grid that may be absent
_SCALARS = tuple(f.name for f in fields(StepTable) if f.name not in (*_GRID, _SHARED))


def read_step_table(path: str | Path) -> StepTable:
    """Seconds of an iteration by its tokens, and what else of a StepTable the columns name.

    The columns ``tokens`` and ``seconds``, and ``shared`` where it is there, are a grid, by rising
    tokens. Every other column has the
    name of a field of StepTable (``base``, ``attention``, ``request`` …) and one value, in the
    first row; it may be blank below.

    Raises
    ------
    BadInput
        With file, line and column of the first fault.
    """
    path = Path(path)
    rows = read_csv(path, _GRID)
    if not rows:
        raise BadInput(f"{path}: no row in it; a step table has at least one")
    unknown = [name for name in rows[0] if name not in (*_GRID, _SHARED, *_SCALARS)]
    if unknown:
        known = ", ".join((*_GRID, _SHARED, *_SCALARS))
        raise BadInput(f"{path}: line 1: unknown column {unknown[0]!r}; known are {known}")
    grid = {
        name: np.array([_number(path, k, name, row[name]) for k, row in enumerate(rows, 2)])
        for name in (*_GRID, _SHARED)
        if name in rows[0]
    }
    falls = np.flatnonzero(np.diff(grid["tokens"]) <= 0)
    if len(falls):
        line = int(falls[0]) + 3
        raise BadInput(f"{path}: line {line}, column tokens: must be above that of the line above")
    if grid["tokens"][-1] <= 0:
        line = len(rows) + 1
        raise BadInput(f"{path}: line {line}, column tokens: the last row is of at least one token")
    scalars = {
        name: _number(path, 2, name, rows[0][name])
        for name in _SCALARS
        if rows[0].get(name, "").strip()
    }
    for name in _SCALARS:
        for line, row in enumerate(rows[1:], 3):
            if row.get(name, "").strip() not in ("", rows[0].get(name, "").strip()):
                message = "has one value, in the first row; leave it blank below"
                raise BadInput(f"{path}: line {line}, column {name}: {message}")
    if not grid["seconds"].any() and not any(scalars.values()):
        raise BadInput(f"{path}: an iteration must last longer than 0 s; all values are 0")
    named: dict[str, Any] = {**grid, **scalars}
    return StepTable(**named)


def read_lengths(path: str | Path) -> tuple[NDArray[np.int64], Array]:
    """Pairs of prompt and output lengths [token], one a row, and how often each occurs.

    Columns ``isl`` and ``osl``, and ``weight`` where they differ in it.

    Raises
    ------
    BadInput
        With file, line and column of the first fault.
    """
    path = Path(path)
    rows = read_csv(path, ("isl", "osl"))
    if not rows:
        raise BadInput(f"{path}: no row in it; a table of lengths has at least one")
    pairs = [
        [_whole(path, line, name, row[name]) for name in ("isl", "osl")]
        for line, row in enumerate(rows, 2)
    ]
    weights = [
        _number(path, line, "weight", row.get("weight", "1")) for line, row in enumerate(rows, 2)
    ]
    if not sum(weights) > 0:
        raise BadInput(f"{path}: column weight: one of them must be above 0")
    return np.array(pairs, np.int64), np.array(weights)


def _number(path: Path, line: int, column: str, text: str) -> float:
    """A finite number of at least 0."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        message = f"{text[:40]!r} is not a number of at least 0"
        raise BadInput(f"{path}: line {line}, column {column}: {message}")
    return found


def _whole(path: Path, line: int, column: str, text: str) -> int:
    """A whole number of tokens, at least one and at most 10 million."""
    found = _number(path, line, column, text)
    if found != int(found) or not 1 <= found <= 10_000_000:
        message = f"{text[:40]!r} is not a whole number of 1 to 10,000,000 tokens"
        raise BadInput(f"{path}: line {line}, column {column}: {message}")
    return int(found)
