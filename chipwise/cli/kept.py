"""The command that shows what was saved under a name."""

from __future__ import annotations

import click

from chipwise.cli.inputs import output_options
from chipwise.cli.output import reply
from chipwise.errors import BadInput

__all__ = ["COMMANDS"]


@click.command(
    short_help="Answers that were saved under a name: list, show, compare, delete.",
    epilog="\b\nExamples:\n"
    "  chipwise studies\n"
    "  chipwise studies before --format json\n"
    "  chipwise studies before after\n"
    "  chipwise studies before --delete",
)
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("other", metavar="[OTHER]", required=False)
@click.option("--delete", is_flag=True, help="Forget NAME.")
@output_options
def studies(name: str | None, other: str | None, *, delete: bool, form: str, lang: str) -> None:
    """What was kept with --save: all of it; NAME again as it was answered; NAME beside OTHER.

    Kept in an SQLite file in the user's data folder, or where CHIPWISE_STUDIES says.
    """
    from chipwise import answers
    from chipwise import studies as kept

    if delete:
        if name is None or other is not None:
            raise BadInput("--delete takes the name of one study")
        kept.delete(name)
    elif name is None:
        versions = {"schema_version": answers.SCHEMA_VERSION}
        reply("studies", form, lang, [{**kept.entry(one), **versions} for one in kept.listed()])
    elif other is None:
        one = kept.show(name)
        reply(one.kind, form, lang, one.answer)
    else:
        found = kept.compared(kept.show(name), kept.show(other))
        reply("studies_compared", form, lang, {**answers.envelope("general"), **found})


COMMANDS = (studies,)
