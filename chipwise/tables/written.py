"""Answers and rows → text: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["as_csv", "as_json"]


def as_json(answer: Any) -> str:
    """An answer as one JSON document."""
    return json.dumps(answer, ensure_ascii=False, indent=2, allow_nan=False)


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV, with every column that any of them has; unknown is empty."""
    found = list(rows)
    names = list(dict.fromkeys(name for row in found for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()
