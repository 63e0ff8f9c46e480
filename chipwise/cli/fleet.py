"""The command that plans a fleet over years, and tells what a cut-off costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import FILE, Number, output_options, report_option
from chipwise.cli.output import check_path, reply, write
from chipwise.errors import BadInput
from chipwise.tables.written import as_json

__all__ = ["COMMANDS"]

_GAP = Number(0.0, 0.5, open_low=True)


class _Parts(click.ParamType[dict[str, str]]):
    """Parts with commas between them."""

    name = "key=value,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, str]:
        """Values by key."""
        if isinstance(value, dict):
            return value
        found: dict[str, str] = {}
        for part in str(value).split(","):
            key, equals, each = (text.strip() for text in part.partition("="))
            if not (key and equals and each) or key in found:
                self.fail(f"{part!r} is not key=value, each key once", param, ctx)
            found[key] = each
        return found


class _Counts(click.ParamType[tuple[str, tuple[float, ...]]]):
    """A chip and counts of it."""

    name = "chip=0,500,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, tuple[float, ...]]:
        """The chip's key and its counts."""
        if isinstance(value, tuple):
            return value
        chip, equals, rest = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r} is not chip=count,count", param, ctx)
        count = Number(0.0, 1e9)
        return chip.strip(), tuple(count.convert(n, param, ctx) for n in rest.split(","))


class _Window(click.ParamType[tuple[int, int]]):
    """Quarters seen and quarters kept."""

    name = "ahead,keep"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Two whole numbers."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if len(parts) != 2 or not all(p.strip().isdigit() for p in parts):
            self.fail(f"{value!r} is not two whole numbers such as 8,4", param, ctx)
        ahead, keep = (int(p) for p in parts)
        return ahead, keep


@click.command(
    short_help="What to buy, rent and retire over years; what dependence costs.",
    epilog="\b\nExamples:\n"
    "  chipwise fleet examples/fleet.toml\n"
    "  chipwise fleet examples/fleet.toml --cut-off vendor=NVIDIA,from=2027-Q1\n"
    "  chipwise fleet examples/fleet.toml --cut-off country=US,from=2028-Q1,announced=2027-Q1 "
    "\\\n    --spares h200=0,500,1000",
)
@click.argument("file", type=FILE, metavar="FILE.toml")
@click.option(
    "--cut-off",
    "cut_offs",
    type=_Parts(),
    multiple=True,
    help="What a cut-off costs: one of vendor, country, fab, memory, software, chip; from, and "
    "until, announced, deliveries=refunded|lost|delivered. Repeatable.",
)
@click.option("--curve", type=_Parts(), help="Premium of capping a share, such as vendor=NVIDIA.")
@click.option("--regret", is_flag=True, help="What each plan costs in each scenario.")
@click.option("--spares", type=_Counts(), help="The first cut-off with so many spares in store.")
@click.option("--rolling", type=_Window(), help="Plan as it would be lived: quarters seen, kept.")
@click.option("--gap", "within", type=_GAP, help="Gap at which to stop.  [default: the file's]")
@click.option(
    "--write-model",
    "model",
    type=FILE,
    help="Write the program, for audit, as .lp or .mps, and end.",
)
@click.option("--out", type=FILE, help="Write the answer as JSON.")
@report_option
@output_options
def fleet(
    file: Path, *, model: Path | None, out: Path | None, form: str, lang: str, **given: Any
) -> None:
    """What to buy, rent and retire over the years of FILE.toml, and what dependence costs.

    FILE.toml names sites, chips, demand and limits by quarter; docs/fleet.md tells how.
    """
    if model is not None:
        _write_model(file, model)
        return
    from chipwise import questions

    check_path(out)
    if given["curve"] is not None:
        if len(given["curve"]) != 1:
            raise BadInput("--curve takes one attribute, such as vendor=NVIDIA")
        given["curve"] = next(iter(given["curve"].items()))
    answer = questions.fleet({"file": file, **given})
    if out is not None:
        write(out, as_json(answer) + "\n")
    reply("fleet", form, lang, answer)


def _write_model(file: Path, path: Path) -> None:
    """The program in a format that other solvers read."""
    import tempfile

    from chipwise import api
    from chipwise.fleet import save

    check_path(path)
    made = api.fleet_problem(file)
    # The solver writes for itself; what it writes is then put in place whole.
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / path.name
        save(made, part)
        write(path, part.read_text(encoding="utf-8"))


COMMANDS = (fleet,)
