"""Tables of predicted against measured, and of a calibration, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables.sheet import NONE, Answer, Document, Say, Sheet, number, sheet
from chipwise.words import say

__all__ = ["calibrate", "validate", "width_rows"]

_SHOWN = 10


def validate(found: Answer, lang: str) -> Document:
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


def _sheet(word: Say, title: str, groups: Mapping[str, Answer]) -> Sheet:
    names = "group quantity count median mean p90 bias spearman held"
    rows = [
        (group, quantity, *_figures(errors))
        for group, those in groups.items()
        for quantity, errors in those.items()
    ]
    return sheet(word, title, names, rows, range(2, 9), 2, section="fidelity")


def _figures(errors: Answer) -> Iterator[str]:
    yield str(errors["count"])
    for name in ("median_ape", "mean_ape", "p90_ape"):
        yield f"{errors[name] * 100:.1f} %"
    yield f"{errors['bias']:.2f}"
    yield NONE if errors["spearman"] is None else f"{errors['spearman']:.2f}"
    yield NONE if errors["coverage"] is None else f"{errors['coverage'] * 100:.0f} %"


def _worst(word: Say, rows: Sequence[Answer]) -> Sheet:
    names = "row model chip quantity predicted measured guess"
    cells = [
        [
            number(row[n], 3) if n in ("predicted", "measured") else str(row[n])
            for n in names.split()
        ]
        for row in rows
    ]
    return sheet(word, word("fidelity.worst"), names, cells, (0, 4, 5), section="fidelity")


def calibrate(found: Answer, lang: str) -> Document:
    """Where the fitted factors were written."""
    return [say(lang, "line.written", path=found["out"])]


def width_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """The widths of intervals, a row for each basis."""
    return [{"basis": basis, **widths} for basis, widths in found["widths"].items()]
