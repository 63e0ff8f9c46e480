"""Commands that show the catalog: chips, models, prices, sources, rules."""

from __future__ import annotations

import click

from chipwise.cli.inputs import output_options
from chipwise.cli.output import reply

__all__ = ["COMMANDS"]


def _example(text: str) -> str:
    return f"\b\nExample:\n  chipwise {text}"


def _tell(kind: str, key: str | None, form: str, lang: str) -> None:
    """All entries, a row each; or one of them."""
    from chipwise import questions

    if key is None:
        reply(kind, form, lang, questions.entries(kind))
    else:
        reply(f"{kind}_id", form, lang, questions.entry(kind, key))


@click.command(
    short_help="All chips; with an ID every value with its source.", epilog=_example("chips h200")
)
@click.argument("chip", metavar="[ID]", required=False)
@output_options
def chips(chip: str | None, form: str, lang: str) -> None:
    """All chips; with an ID every value with unit, source and date.

    ID is a chip's id or usual name, or a TOML file of your own.
    """
    _tell("chips", chip, form, lang)


@click.command(
    short_help="All models; with an ID what it is made of.",
    epilog=_example("models llama-2-70b --format json"),
)
@click.argument("model", metavar="[ID]", required=False)
@output_options
def models(model: str | None, form: str, lang: str) -> None:
    """All models; with an ID what it is made of, and its parameters by two counts.

    ID is a model's name on Hugging Face or a short one, or a config.json of your own.
    """
    _tell("models", model, form, lang)


@click.command(
    short_help="All prices; with a chip what its offers come to.", epilog=_example("prices h200")
)
@click.argument("name", metavar="[ID]", required=False)
@output_options
def prices(name: str | None, form: str, lang: str) -> None:
    """All prices as offered; with a chip's name what its offers come to, of each kind.

    ID is a chip, or the id of one offer as the list in JSON has it.
    """
    _tell("prices", name, form, lang)


@click.command(
    short_help="What the catalog's values stand on.", epilog=_example("sources --format csv")
)
@click.argument("key", metavar="[ID]", required=False)
@output_options
def sources(key: str | None, form: str, lang: str) -> None:
    """What the catalog's values stand on: title, address, day of retrieval."""
    _tell("sources", key, form, lang)


@click.command(short_help="Export and import rules as data.", epilog=_example("rules"))
@click.argument("rule", metavar="[ID]", required=False)
@output_options
def rules(rule: str | None, form: str, lang: str) -> None:
    """Export and import rules as data; with an ID every part of one."""
    _tell("rules", rule, form, lang)


COMMANDS = (chips, models, prices, sources, rules)
