"""Tables of what was saved: the list, and two answers side by side, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables import Cell, Sheet, flat, number
from chipwise.words import say

__all__ = ["compared", "compared_rows", "plot", "studies"]

Answer = Mapping[str, Any]
Document = list["Sheet | str"]
_NONE = "—"


def studies(found: Sequence[Answer], lang: str) -> Document:
    """Every study, with the command that asks it again."""
    word = partial(say, lang)
    if not found:
        return [word("studies.none")]
    keys = ("name", "day", "calibration_id", "command")
    headings = tuple(word(f"studies.{key}") for key in keys)
    rows = tuple(tuple(Cell(str(one[key])) for key in keys) for one in found)
    return [Sheet(word("studies.title", count=len(found)), headings, rows)]


def compared(found: Answer, lang: str) -> Document:
    """What differs between two answers, field by field."""
    word = partial(say, lang)
    names = {side: found[side]["name"] for side in ("first", "second")}
    lines = [
        word("studies.asked", name=found[side]["name"], command=found[side]["command"])
        for side in ("first", "second")
    ]
    agree = word("studies.same", count=found["same"])
    if not found["fields"]:
        return [word("studies.equal", **names), *lines, agree]
    rows = tuple(
        (
            Cell(each["field"]),
            _value(each["first"]),
            _value(each["second"]),
            Cell(_NONE if each["change"] is None else f"{100 * each['change']:+.1f} %"),
        )
        for each in found["fields"]
    )
    headings = (word("heading.field"), *names.values(), word("studies.change"))
    sheet = Sheet(word("studies.compared", **names), headings, rows, frozenset({1, 2, 3}), 1)
    return [sheet, *lines, agree]


def _value(value: Any) -> Cell:
    if isinstance(value, Mapping):
        return Cell(number(value["value"]), f"{number(value['low'])}–{number(value['high'])}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Cell(number(value, 4))
    if isinstance(value, list):
        return Cell(", ".join(map(str, value)) or _NONE)
    return Cell(_NONE if value is None else str(value))


def compared_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each field that differs."""
    for each in found["fields"]:
        yield {"first": None, "second": None, **flat(each)}


def plot(found: Answer, lang: str) -> Document:
    """Where a figure was written, and the sentence to read under it."""
    return [say(lang, "plot.written", path=found["out"], reading=found["reading"])]
