"""Tables of predicted against measured, and of a calibration, in English or Chinese."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables import Cell, Sheet, number
from chipwise.words import say

__all__ = ["calibrate", "validate", "width_rows"]

Document = list["Sheet | str"]
_Say = Callable[..., str]
_SHOWN = 10


def validate(found: Mapping[str, Any], lang: str) -> Document:
    """Errors in all and by group, the worst rows, and what was refused."""
    word = partial(say, lang)
    refused = word("fidelity.refused", count=len(found["errors"]))
    summary = word("fidelity.rows", rows=found["rows"], predicted=found["predicted"])
    document: Document = [f"{found['file']}: {summary}"]
    if not found["quantities"]:
        return [*document, word("fidelity.unmeasured"), refused]
    document.append(_sheet(word, word("fidelity.all"), {"": found["quantities"]}))
    document += [
        _sheet(word, word(f"fidelity.by_{by}"), found[f"by_{by}"])
        for by in ("basis", "engine", "chip", "model")
    ]
    document.append(_worst(word, found["worst"]))
    reasons = [f"{e['row']}: {e['error']}" for e in found["errors"][:_SHOWN]]
    return [*document, refused, *reasons]


def _sheet(word: _Say, title: str, groups: Mapping[str, Mapping[str, Any]]) -> Sheet:
    names = ("group", "quantity", "count", "median", "mean", "p90", "bias", "spearman", "held")
    headings = tuple(word(f"fidelity.{name}") for name in names)
    rows = tuple(
        tuple(Cell(text) for text in (group, quantity, *_figures(errors)))
        for group, those in groups.items()
        for quantity, errors in those.items()
    )
    return Sheet(title, headings, rows, frozenset(range(2, len(names))), 2)


def _figures(errors: Mapping[str, Any]) -> Iterator[str]:
    yield str(errors["count"])
    for name in ("median_ape", "mean_ape", "p90_ape"):
        yield f"{errors[name] * 100:.1f} %"
    yield f"{errors['bias']:.2f}"
    yield "—" if errors["spearman"] is None else f"{errors['spearman']:.2f}"
    yield "—" if errors["coverage"] is None else f"{errors['coverage'] * 100:.0f} %"


def _worst(word: _Say, rows: Sequence[Mapping[str, Any]]) -> Sheet:
    names = ("row", "model", "chip", "quantity", "predicted", "measured", "guess")
    headings = tuple(word(f"fidelity.{name}") for name in names)
    cells = tuple(
        tuple(
            Cell(number(row[n], 3) if n in ("predicted", "measured") else str(row[n]))
            for n in names
        )
        for row in rows
    )
    return Sheet(word("fidelity.worst"), headings, cells, frozenset((0, 4, 5)), 0)


def calibrate(found: Mapping[str, Any], lang: str) -> Document:
    """Where the fitted factors were written."""
    return [say(lang, "line.written", path=found["out"])]


def width_rows(found: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The widths of intervals, a row for each basis."""
    return [{"basis": basis, **widths} for basis, widths in found["widths"].items()]
