"""Tables of what was saved: the list, and two answers side by side, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables.sheet import NONE, Answer, Cell, Document, bounded, flat, grid, number, sheet
from chipwise.words import say

__all__ = ["compared", "compared_rows", "plot", "studies"]


def studies(found: Sequence[Answer], lang: str) -> Document:
    """Every study, with the command that asks it again."""
    word = partial(say, lang)
    if not found:
        return [word("studies.none")]
    names = "name day calibration_id command"
    rows = [[str(one[key]) for key in names.split()] for one in found]
    return [sheet(word, word("studies.title", count=len(found)), names, rows, section="studies")]


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
    rows = [
        (
            each["field"],
            _value(each["first"]),
            _value(each["second"]),
            NONE if each["change"] is None else f"{100 * each['change']:+.1f} %",
        )
        for each in found["fields"]
    ]
    headings = (word("heading.field"), *names.values(), word("studies.change"))
    return [grid(word("studies.compared", **names), headings, rows, (1, 2, 3), 1), *lines, agree]


def _value(value: Any) -> Cell | str:
    if isinstance(value, Mapping):
        return bounded(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value, 4)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None else str(value)


def compared_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each field that differs."""
    for each in found["fields"]:
        yield {"first": None, "second": None, **flat(each)}


def plot(found: Answer, lang: str) -> Document:
    """Where a figure was written, and the sentence to read under it."""
    return [say(lang, "plot.written", path=found["out"], reading=found["reading"])]
