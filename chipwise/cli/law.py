"""The command that asks the rules."""

from __future__ import annotations

from datetime import date

import click

from chipwise.cli.inputs import law_options, output_options
from chipwise.cli.output import reply

__all__ = ["COMMANDS"]


@click.command(
    short_help="Whether a chip may go somewhere, rule by rule.",
    epilog="\b\nExample:\n  chipwise policy h200 --to CN --on 2026-11-23 --route sale",
)
@click.argument("chip")
@law_options
@output_options
def policy(chip: str, to: str, on: date | None, route: str, form: str, lang: str) -> None:
    """Whether CHIP may go there: each rule in force, its arithmetic, its outcome.

    Not legal advice.
    """
    from chipwise import answers, api, tables

    found = api.verdict(api.chip(chip), api.Ask(to=to, route=route, on=on))
    answer = {**answers.envelope("general"), **answers.verdict(found), "not_legal_advice": True}
    reply(form, lang, answer, tables.policy, _rows)


def _rows(answer: dict[str, object]) -> list[dict[str, object]]:
    """A row for each rule, with the verdict of its side and the whole."""
    from chipwise.tables import flat

    told = {k: answer[k] for k in ("chip", "to", "on", "route", "status")}
    return [
        {**told, "side": side, "side_status": part["status"], **flat(rule)}  # type: ignore[index]
        for side in ("export", "import")
        for part in (answer[side],)
        for rule in part["rules"] or [{}]  # type: ignore[index]
    ]


COMMANDS = (policy,)
