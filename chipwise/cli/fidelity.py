"""The command that measures the program itself against a table of runs."""

from __future__ import annotations

from pathlib import Path

import click

from chipwise.cli.inputs import FILE, output_options, report_option
from chipwise.cli.output import check_path, keep, reply, say_out, write
from chipwise.tables.written import as_csv

__all__ = ["COMMANDS"]


@click.command(
    short_help="A table of measured runs, predicted and compared.",
    epilog="\b\nExample:\n  chipwise validate runs.csv --out predictions.csv",
)
@click.argument("file", type=FILE)
@click.option("--out", type=FILE, help="CSV: a line for each row, in order, refused ones too.")
@click.option(
    "--calibration",
    default="general",
    show_default=True,
    help="Fitted factors: by name, or a file.",
)
@report_option
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
    from chipwise import answers

    found = {
        **answers.envelope(factors.id),
        "file": str(file),
        "kind": kind,
        **validation.report(kind, rows, lines),
    }
    if form == "csv":
        keep("validate", lang, found)
        say_out(text)
        return
    reply("validate", form, lang, found)


COMMANDS = (validate,)
