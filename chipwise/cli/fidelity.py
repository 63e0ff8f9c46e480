"""Commands that measure the program itself: validate a table, calibrate from runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import output_options
from chipwise.cli.output import as_csv, check_path, progress, reply, say_out, write

__all__ = ["COMMANDS"]

_OUT = click.Path(path_type=Path)


@click.command(epilog="\b\nExample:\n  chipwise validate runs.csv --out predictions.csv")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=_OUT, help="CSV: a line for each row, in order, refused ones too.")
@click.option(
    "--calibration",
    default="general",
    show_default=True,
    help="Fitted factors: by name, or a file.",
)
@output_options
def validate(file: Path, *, out: Path | None, calibration: str, form: str, lang: str) -> None:
    """Predict each row of a table of measured runs in FILE, and compare.

    Serving, throughput and training tables are told apart by their columns. Predictions never
    rest on what was measured; without it only the comparison is left out. With --format csv the
    predictions are printed.
    """
    check_path(out)
    from chipwise import catalog, validation
    from chipwise.catalog.measured import table

    kind, rows = table(file)
    factors = catalog.calibration(calibration)
    lines = list(validation.predict(kind, rows, factors))
    text = as_csv(lines)
    if out:
        write(out, text)
    if form == "csv":
        say_out(text)
        return
    from chipwise import answers

    found = {
        **answers.envelope(factors.id),
        "file": str(file),
        "kind": kind,
        **validation.report(kind, rows, lines),
    }
    reply(form, lang, found, _document, lambda _: lines)


def _document(found: Mapping[str, Any], lang: str) -> Sequence[Any]:
    """The report as tables."""
    from chipwise.words import say

    def word(key: str, **names: Any) -> str:
        return say(lang, key, **names)

    refused = word("fidelity.refused", count=len(found["errors"]))
    summary = word("fidelity.rows", rows=found["rows"], predicted=found["predicted"])
    document: list[Any] = [f"{found['file']}: {summary}"]
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


_SHOWN = 10


def _sheet(word: Any, title: str, groups: Mapping[str, Mapping[str, Any]]) -> Any:
    from chipwise.tables import Cell, Sheet

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


def _worst(word: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    from chipwise.tables import Cell, Sheet, number

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


@click.command(
    epilog="\b\nExamples:\n  chipwise calibrate --out mine.json\n"
    "  chipwise calibrate --runs runs.csv --out mine.json"
)
@click.option("--out", type=_OUT, required=True, help="JSON, to be named as --calibration.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    help="Serving table with what was measured.  [default: the catalog's]",
)
@click.option(
    "--op-timings",
    type=_OUT,
    help="Fit classes of operators on the installed op timings too, and write them to this JSON.",
)
@output_options
def calibrate(
    *, out: Path, runs: Path | None, op_timings: Path | None, form: str, lang: str
) -> None:
    """Fit engines' habits on serving runs, stacks' residuals, and intervals on left-out groups.

    Takes some minutes.
    """
    from chipwise import answers
    from chipwise.validation import fitting
    from chipwise.words import say

    for path in (out, op_timings):
        check_path(path)
    with progress("calibrate"):
        if op_timings:
            write(op_timings, fitting.operators())
        text = fitting.written(runs)
        write(out, text)
    made = json.loads(text)
    found = {
        **answers.envelope(made["id"]),
        "out": str(out),
        "stacks": len(made["stacks"]),
        "widths": made["widths"],
    }
    rows = [{"basis": basis, **widths} for basis, widths in made["widths"].items()]
    lines = [say(lang, "line.written", path=out)]
    reply(form, lang, found, lambda _found, _lang: lines, lambda _: rows)


COMMANDS = (validate, calibrate)
