"""The commands that ask the rules: statuses, what a rule is worth, claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import (
    FILE,
    LENGTH,
    POSITIVE,
    Country,
    Names,
    Whole,
    law_options,
    output_options,
)
from chipwise.cli.output import reply
from chipwise.errors import BadInput

__all__ = ["COMMANDS"]


@click.command(
    short_help="Whether a chip may go somewhere, rule by rule.",
    epilog="\b\nExamples:\n"
    "  chipwise policy h200 --to CN --on 2026-11-23 --route sale\n"
    "  chipwise policy h20 --timeline\n"
    "  chipwise policy --all --route rent-abroad",
)
@click.argument("chip", metavar="[CHIP]", required=False)
@law_options
@click.option(
    "--from", "origin", type=Country(), help="Country of export.  [default: the vendor's]"
)
@click.option(
    "--end-user",
    type=click.Choice(["private", "state", "military"]),
    default="private",
    show_default=True,
    help="Who will use it.",
)
@click.option(
    "--include",
    type=Names(),
    help="Count these too: reported, proposed, unverified, unknown.",
)
@click.option("--all", "every", is_flag=True, help="Every chip of the catalog, a row each.")
@click.option("--timeline", is_flag=True, help="The chip's statuses from 2022 until that day.")
@click.option(
    "--map",
    "mapped",
    is_flag=True,
    help="Every chip's TPP, density and bandwidth, and where each rule speaks, until that day.",
)
@output_options
def policy(
    chip: str | None,
    *,
    include: tuple[str, ...] | None,
    every: bool,
    timeline: bool,
    mapped: bool,
    form: str,
    lang: str,
    **asked: Any,
) -> None:
    """Whether CHIP may go there: each rule in force, its arithmetic, its outcome.

    Not legal advice.
    """
    from chipwise import questions

    if mapped and (every or timeline):
        raise BadInput("--map is of all chips; --all and --timeline do not go with it")
    if (chip is None) != every and not mapped:
        raise BadInput("give either a chip, or --all")
    if every and timeline:
        raise BadInput("--timeline is of one chip; give its name in place of --all")
    asked |= {"chip": chip, "include": include or ()}
    if mapped:
        reply("landscape", form, lang, questions.landscape(asked))
    elif chip is None:
        reply("policy_all", form, lang, questions.statuses(asked))
    elif timeline:
        reply("policy_timeline", form, lang, questions.timeline(asked))
    else:
        reply("policy", form, lang, questions.policy(asked))


@click.command(
    short_help="What a rule is worth: the fastest chips just inside it.",
    epilog="\b\nExample:\n"
    "  chipwise frontier --rule us-2023-10-3A090a-dc --model llama-2-70b --isl 2048 --osl 128 "
    "\\\n    --memory hbm3 --stacks 5",
)
@click.option(
    "--rule", "rules", multiple=True, required=True, help="Id of a rule; several bind together."
)
@click.option("--model", required=True, help="What is served.")
@click.option("--isl", type=LENGTH, required=True, help="Prompt tokens.")
@click.option("--osl", type=LENGTH, required=True, help="Output tokens.")
@click.option("--tpot", type=POSITIVE, help="Seconds for an output token at most.")
@click.option(
    "--like",
    default="h200-sxm",
    show_default=True,
    help="A chip of the generation of which it is made.",
)
@click.option("--die-area", type=POSITIVE, help="mm² at most.  [default: that of --like]")
@click.option(
    "--memory",
    default="hbm3e",
    show_default=True,
    help="hbm2e, hbm3, hbm3e, gddr6, gddr6x or gddr7.",
)
@click.option(
    "--stacks",
    type=Whole(1, 64),
    default=6,
    show_default=True,
    help="Stacks of memory, or devices of graphics memory.",
)
@click.option("--power", type=POSITIVE, help="Watts at most.  [default: those of --like]")
@click.option(
    "--market",
    type=click.Choice(["datacenter", "workstation", "consumer"]),
    default="datacenter",
    show_default=True,
    help="For which it is sold.",
)
@click.option(
    "--chips",
    type=Names(),
    help="Real chips to show.  [default: those made for a rule and what they were cut from]",
)
@click.option("--weights", help="Format of the weights.  [default: fp8 where --like has it]")
@click.option("--kv", default="auto", show_default=True, help="Format of the KV cache.")
@click.option("--backend", default="vllm", show_default=True, help="Engine.")
@click.option("--to", type=Country(), default="CN", show_default=True, help="Destination.")
@output_options
def frontier(*, form: str, lang: str, **given: Any) -> None:
    """The fastest chips that could be made just inside a rule, beside the real ones.

    In prefill and in decode tokens/s of one chip: what the rule costs in tokens, not in TPP.
    """
    from chipwise import questions

    reply("frontier", form, lang, questions.frontier(given))


@click.command(
    short_help="Claims recomputed, with a verdict each.",
    epilog="\b\nExamples:\n  chipwise claims --lang zh\n  chipwise claims mine.toml --format json",
)
@click.argument("file", required=False, type=FILE)
@output_options
def claims(file: Path | None, form: str, lang: str) -> None:
    """Each claim of an article recomputed, with a verdict and the sentence to print.

    FILE holds claims of your own; docs/claims.md says how they are written.
    """
    from chipwise import questions

    reply("claims", form, lang, questions.claims({"file": file}))


COMMANDS = (policy, frontier, claims)
