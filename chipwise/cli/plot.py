"""The command that draws an answer for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chipwise.cli.inputs import FILE, output_options
from chipwise.cli.output import HAND, check_path, reply, write
from chipwise.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from chipwise.figures import Figure

__all__ = ["COMMANDS"]


@click.command(
    short_help="A figure of an answer, for papers: SVG, PDF or PNG.",
    context_settings={"ignore_unknown_options": True},
    epilog="\b\nExamples:\n"
    "  chipwise plot pareto --out front.svg plan llama-2-70b --chips h100,h200,mi300x "
    "\\\n    --isl 2048 --osl 128 --no-simulate\n"
    "  chipwise plot status --out h20.png --lang zh policy h20 --timeline\n"
    "  chipwise plot fleet --out fleet.pdf --study base",
)
@click.argument("figure", metavar="FIGURE")
@click.argument("asked", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND ...]")
@click.option("--study", help="Draw what was saved under this name, in place of asking.")
@click.option("--out", type=FILE, required=True, help="File to write.")
@output_options
def plot(
    figure: str, asked: Sequence[str], *, study: str | None, out: Path, form: str, lang: str
) -> None:
    """FIGURE of what COMMAND answers, with a sentence to read under it.

    FIGURE is pareto, memory or roofline of plan; step of train; latency, loads or timeline of
    simulate; density or bandwidth of policy --map; status of policy --timeline; frontier; fleet
    or diversification; fidelity of validate. Chinese needs a font that has it, such as Debian's
    fonts-noto-cjk.
    """
    from chipwise import answers, plot
    from chipwise.figures import FIGURES

    if figure not in FIGURES:
        raise UnknownName("figure", figure, FIGURES)
    ending = out.suffix.removeprefix(".")
    if ending not in plot.FORMATS:
        raise BadInput(f"{out}: name it .{', .'.join(plot.FORMATS)}: figures are of these kinds")
    check_path(out)
    kind, answer = _kept(study) if study and not asked else _answered(asked, study, FIGURES[figure])
    drawn, reading = plot.render(figure, kind, answer, lang, ending)
    write(out, drawn)
    told = {"figure": figure, "out": str(out), "reading": reading}
    reply("plot", form, lang, {**answers.envelope("general"), **told})


def _kept(name: str) -> tuple[str, Any]:
    """Kind and answer of a study."""
    from chipwise import studies

    one = studies.show(name)
    return one.kind, one.answer


def _answered(asked: Sequence[str], study: str | None, of: Figure) -> tuple[str, Any]:
    """Kind and answer of a command, run as the command line would, with what a figure needs."""
    if not asked or study:
        raise BadInput("name either a command that answers, or a study with --study")
    context = click.get_current_context()
    assert context.parent is not None
    commands = context.parent.command
    assert isinstance(commands, click.Group)
    name, *rest = asked
    if name not in commands.commands or name == "plot":
        raise UnknownName("command", name, commands.commands)
    command = commands.commands[name]
    known = {option for param in command.params for option in param.opts}
    rest += [option for option in of.options if option in known and option not in rest]
    heard: list[tuple[str, Any]] = []
    context.meta[HAND] = heard
    with command.make_context(name, [*rest], parent=context) as inner:
        inner.command.invoke(inner)
    del context.meta[HAND]
    if not heard:
        raise BadInput(f"{name} with these options gives no answer that could be drawn")
    return heard[0]


COMMANDS = (plot,)
