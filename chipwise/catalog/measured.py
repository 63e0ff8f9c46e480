"""Tables of measured runs → rows, told apart by their columns."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from chipwise.errors import BadInput

__all__ = ["KINDS", "table"]

# Columns that tell a table from the others; a table may lack all others.
KINDS: Mapping[str, frozenset[str]] = {
    "serving": frozenset({"model", "chip", "backend", "isl", "osl", "concurrency"}),
    "trtllm": frozenset({"model", "gpu", "isl", "osl"}),
    "mlperf": frozenset({"accelerator", "accelerators_total", "model", "scenario"}),
    "other": frozenset({"model", "chip", "n_chips", "isl", "osl"}),
    "training": frozenset({"model", "chip", "n_chips", "seq_len"}),
    "requests": frozenset({"arrival_s", "prompt", "output", "first_token_s", "last_token_s"}),
}


def table(path: str | Path) -> tuple[str, Sequence[dict[str, str]]]:
    """Kind of a table and its rows, in order; an absent value is an empty text.

    Raises
    ------
    BadInput
        If the file cannot be read, is not CSV, or its columns are of no known table; says which
        columns are missing from the nearest.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {_reason(error)}") from None
    try:
        reader = csv.DictReader(text.splitlines(), strict=True)
        columns = reader.fieldnames or []
        rows = list(reader)
    except csv.Error as error:
        raise BadInput(f"{path}: line {reader.reader.line_num}: not CSV: {error}") from None
    for number, row in enumerate(rows, 2):
        if None in row:
            raise BadInput(f"{path}: row {number}: more cells than the {len(columns)} columns")
    # A column that the table lacks reads as an empty cell.
    cells = [defaultdict(str, {k: (v or "").strip() for k, v in r.items()}) for r in rows]
    return _kind(path, columns), cells


def _reason(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else "it is not UTF-8 text"


def _kind(path: Path, columns: Sequence[str]) -> str:
    found = set(columns)
    fits = [name for name, needed in KINDS.items() if needed <= found]
    if fits:
        return fits[0]
    nearest = max(KINDS, key=lambda name: len(KINDS[name] & found) / len(KINDS[name]))
    missing = ", ".join(sorted(KINDS[nearest] - found))
    raise BadInput(
        f"{path}: its columns are of no known table; nearest is {nearest}, which also has {missing}"
    )
