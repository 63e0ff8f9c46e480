"""Commands that answer how fast and how well: estimate, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import (
    FILE,
    LENGTH,
    POSITIVE,
    SHARE,
    Names,
    Rate,
    Whole,
    Wholes,
    config_option,
    degree_options,
    engine_options,
    law_options,
    money_options,
    output_options,
    report_option,
    roofline_option,
    target_options,
    together,
)
from chipwise.cli.output import check_path, progress, reply, say_out, write
from chipwise.tables.written import as_json

__all__ = ["COMMANDS"]

_COUNT = Whole(1, 10_000_000)


class _Batch(click.ParamType[int | str]):
    """A number of sequences, or `max`."""

    name = "integer or max"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        if value == "max":
            return "max"
        try:
            return Whole(1, 10_000_000).convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message}, nor max", param, ctx)


def _load_options(command: Any) -> Any:
    """Lengths of the load, or a usual one."""
    return together(
        click.option("--isl", type=LENGTH, help="Prompt tokens."),
        click.option("--osl", type=LENGTH, help="Output tokens."),
        click.option(
            "--load", help="A usual load: chat, code, retrieval, reasoning, agent, batch."
        ),
        click.option(
            "--prefix-hit", type=SHARE, default=0.0, help="Share of the prompt in the prefix cache."
        ),
    )(command)


@click.command(
    short_help="One deployment under one load, with its 90 % intervals.",
    epilog="\b\nExample:\n  chipwise estimate llama-2-70b --chip h200 --batch 32 --isl 2048 "
    "--osl 128 \\\n    --weights fp8 --kv fp8 --backend trtllm",
)
@click.argument("model")
@click.option("--chip", required=True, help="Chip of the catalog, or a TOML file of your own.")
@degree_options
@click.option("--batch", type=_Batch(), help="Sequences of one static batch, or max: what fits.")
@click.option("--concurrency", type=_COUNT, help="Clients of a closed loop, in place of a batch.")
@_load_options
@click.option("--weights", help="Format of the weights.  [default: the maker's]")
@engine_options
@money_options
@law_options
@roofline_option
@report_option
@output_options
def estimate(*, form: str, lang: str, **given: Any) -> None:
    """One deployment of MODEL under one load, each quantity with its 90 % interval.

    A static batch (--batch), or a closed loop of clients (--concurrency).
    """
    from chipwise import questions

    reply("estimate", form, lang, questions.estimate(given))


@click.command(
    short_help="The best deployment on each chip that meets a target.",
    epilog="\b\nExample:\n  chipwise plan llama-2-70b --chips h20,h100,h200,b200,mi300x,910c "
    "--isl 2048 \\\n    --osl 128 --ttft 2 --tpot 0.05",
)
@click.argument("model")
@click.option("--chips", type=Names(), required=True, help="Chips to choose from.")
@_load_options
@click.option("--rate", type=POSITIVE, help="Requests per second; without it a closed loop.")
@target_options
@click.option("--gpus", type=_COUNT, help="Chips of one kind at most.")
@click.option(
    "--mode",
    type=click.Choice(["agg", "disagg", "both"]),
    default="both",
    show_default=True,
    help="Prefill and decode together, apart, or both.",
)
@click.option("--simulate/--no-simulate", default=True, help="Let the simulation decide.")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of all draws.")
@click.option(
    "--weights", type=Names(), help="Formats to try.  [default: the maker's and the chip's]"
)
@click.option("--tp", type=Wholes(), help="Degrees to try of tensor parallelism.")
@click.option("--pp", type=Wholes(), help="Of pipeline stages.")
@click.option("--ep", type=Wholes(), help="Of expert parallelism.")
@click.option("--dp", type=Wholes(), help="Of data-parallel attention.")
@click.option("--link", type=Rate(), help="Link that carries KV, such as 400Gbit/s.")
@engine_options
@money_options
@law_options
@config_option
@click.option("--out", type=FILE, help="JSON file to write as well.")
@roofline_option
@report_option
@output_options
def plan(*, out: Path | None, form: str, lang: str, **given: Any) -> int:
    """The best deployment of MODEL on each of some chips that meets a target.

    Each with throughput, latency, memory, cost, energy and licence status; what is infeasible
    says which limit binds. Not legal advice.
    """
    check_path(out)
    from chipwise import questions
    from chipwise.words import say

    with progress(say(lang, "line.working")) as mapped:
        answer = questions.plan(given, map=mapped)
    if out:
        write(out, as_json(answer) + "\n")
    reply("plan", form, lang, answer)
    if out and form == "table":
        say_out(say(lang, "line.written", path=out) + "\n")
    return 0 if any(row["feasible"] for row in (*answer["chips"], *answer["apart"])) else 1


COMMANDS = (estimate, plan)
