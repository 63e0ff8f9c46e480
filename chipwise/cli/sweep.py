"""The command that asks for many plans at once: sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import FILE, Whole, grid, output_options
from chipwise.cli.output import bar, reply
from chipwise.cli.serve import plan
from chipwise.errors import BadInput

__all__ = ["COMMANDS"]

_MOST = 10**12


@click.command(
    short_help="Many plans at once: a grid of options, here or on a Ray cluster.",
    epilog="\b\nExamples:\n  chipwise sweep examples/sweep.toml --out out/sweep\n"
    "  chipwise sweep examples/sweep.toml --out out/sweep --on ray",
)
@click.argument("file", type=FILE)
@click.option(
    "--out",
    type=FILE,
    required=True,
    help="Folder of the answers; one that an interrupted sweep left is gone on with.",
)
@click.option(
    "--on",
    "where",
    type=click.Choice(["here", "ray"]),
    default="here",
    show_default=True,
    help="Processes here, or a Ray cluster that runs.",
)
@click.option(
    "--address", help="Of the cluster.  [default: RAY_ADDRESS, or the one on this machine]"
)
@click.option("--processes", type=Whole(1, 4096), help="Here.  [default: as many as cores]")
@click.option(
    "--part", type=Whole(1, 10**6), default=100, show_default=True, help="Points of a file."
)
@click.option(
    "--parts",
    "kind",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="Form of the files.",
)
@output_options
def sweep(
    file: Path,
    *,
    out: Path,
    where: str,
    kind: str,
    form: str,
    lang: str,
    **given: Any,
) -> None:
    """Every plan of the grid in FILE, part by part, into a folder of Parquet or CSV files.

    FILE is TOML with the options of `chipwise plan` as keys, and a table [grid] with lists of
    values. A sweep that was interrupted or killed goes on where it was.
    """
    from chipwise import answers, catalog, questions
    from chipwise.sweep import Question, points, run
    from chipwise.words import say

    fixed, axes = grid(plan, file, questions.PLAN)
    for name in ("model", "chips"):
        if name not in fixed and name not in axes:
            raise BadInput(f"{file}: {name} is missing")
    asked = Question(fixed, axes)
    if points(asked) > _MOST:
        raise BadInput(f"{file}: a grid of {points(asked):,} points; {_MOST:,} at most")
    try:
        with bar(say(lang, "line.sweep")) as tell:
            found = run(asked, out, form=kind, on=where, tell=tell, **given)
    except KeyboardInterrupt:
        click.echo(say(lang, "line.resume", out=out), err=True)
        raise
    answer = {
        **answers.envelope(catalog.calibration(str(fixed.get("calibration", "general"))).id),
        "out": str(out),
        **{name: getattr(found, name) for name in found.__slots__},
        "errors": dict(found.errors),
    }
    reply("sweep", form, lang, answer)


COMMANDS = (sweep,)
