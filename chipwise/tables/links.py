"""Files that were written for others, and what was read of theirs → lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chipwise.words import say

__all__ = ["export", "file_rows", "imported", "measurement_rows"]


def export(found: Mapping[str, Any], lang: str) -> list[Any]:
    """Which files were written."""
    return [say(lang, "line.written", path=f"{found['out']}/{name}") for name in found["files"]]


def file_rows(found: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The files, a row for each."""
    return [{"target": found["target"], "file": f"{found['out']}/{n}"} for n in found["files"]]


def imported(found: Mapping[str, Any], lang: str) -> list[Any]:
    """How many measurements were read, of which tools, and where they were written."""
    tools = ", ".join(sorted({row["tool"] for row in found["rows"]}))
    read = say(lang, "line.imported", count=len(found["rows"]), tools=tools)
    return [read, say(lang, "line.written", path=found["out"])]


def measurement_rows(found: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The measurements, a row for each."""
    rows: Iterable[Mapping[str, Any]] = found["rows"]
    return rows
