"""How each kind of answer is told as tables and rows: those of the commands, and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from chipwise import tables
from chipwise.tables import Cell, Sheet, flat, short
from chipwise.tables.kinds import KINDS, Kind
from chipwise.words import say, told

__all__ = ["TOLD", "side_name"]

Answer = Mapping[str, Any]


def side_name(side: Answer) -> str:
    """What a deployment is called beside others: its chip and how it is cut."""
    made = side.get("deployment")
    return f"{short(side['chip'])} {made['text']}" if made else short(side["chip"])


def _compare(found: Answer, lang: str) -> list[Sheet | str]:
    """Quantities down, deployments across; then why some are not possible."""
    word = partial(say, lang)
    able = [side for side in found["sides"] if side["feasible"]]
    document: list[Sheet | str] = []
    if able:
        told_of = [tables.estimate(side, lang) for side in able]
        sheets = [next(p for p in parts if isinstance(p, Sheet)) for parts in told_of]
        rows = []
        for lines in zip(*(sheet.rows for sheet in sheets), strict=True):
            unit = f" [{lines[0][3].text}]" if lines[0][3].text else ""
            values = (Cell(value.text, bounds.text) for _, value, bounds, _ in lines)
            rows.append((Cell(f"{lines[0][0].text.strip()}{unit}"), *values))
        headings = (word("heading.quantity"), *map(side_name, able))
        columns = frozenset(range(1, len(headings)))
        document.append(Sheet(word("title.compare"), headings, tuple(rows), columns))
        lines_of = [line for parts in told_of for line in parts if isinstance(line, str)]
        document += list(dict.fromkeys(lines_of))
    document += [
        word("line.why", chip=short(side["chip"]), why=told(lang, side["why"]))
        for side in found["sides"]
        if not side["feasible"]
    ]
    return document


def _sides(found: Answer) -> Iterable[Mapping[str, Any]]:
    return map(flat, found["sides"])


TOLD: Mapping[str, Kind] = {**KINDS, "compare": Kind(_compare, _sides)}
