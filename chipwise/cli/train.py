"""The command that trains: a step, its layout, a whole run."""

from __future__ import annotations

from typing import Any

import click

from chipwise.cli.inputs import (
    LENGTH,
    POSITIVE,
    Number,
    Rate,
    Whole,
    config_option,
    money_options,
    output_options,
    report_option,
    together,
)
from chipwise.cli.output import reply

__all__ = ["COMMANDS"]

_SHARE = Number(0.0, 1.0)
_BUDGET = Number(0.0, 1e18, open_low=True)
_COUNT = Whole(1, 1_000_000)


class _Mix(click.ParamType[dict[str, float]]):
    """Kinds of chips with their shares."""

    name = "a=0.7,b=0.3"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, float]:
        """Shares by name."""
        if isinstance(value, dict):
            return value
        found = {}
        for part in str(value).split(","):
            name, _, share = part.partition("=")
            found[name.strip()] = Number(0.0, 1e6).convert(share, param, ctx)
        return found


def _layout_options(command: Any) -> Any:
    """Degrees; one that is not given is searched for."""
    named = (
        ("--tp", "Tensor parallel."),
        ("--pp", "Pipeline stages."),
        ("--cp", "Context parallel."),
        ("--ep", "Expert parallel."),
        ("--dp", "Data parallel; with tp and pp the layout is taken as given."),
        ("--interleave", "Model chunks of a pipeline stage."),
        ("--micro", "Sequences of a micro-batch."),
    )
    return together(
        *(click.option(flag, type=_COUNT, help=text) for flag, text in named),
        click.option(
            "--shard", type=Whole(0, 3), help="ZeRO stage; 3 shards the weights too (FSDP)."
        ),
        click.option(
            "--recompute",
            type=click.Choice(["none", "selective", "half", "full"]),
            help="Activations computed a second time.",
        ),
    )(command)


@click.command(
    short_help="Step time, layout, days and dollars of training a model.",
    epilog="\b\nExamples:\n"
    "  chipwise train llama-2-70b --chip h200 --chips 1024 --seq 4096 --global-batch 1024 "
    "--tokens 2e12\n"
    "  chipwise train deepseek-v3 --chip h800,h20,910c --chips 2048 --seq 4096 "
    "--global-batch 15360 \\\n    --precision fp8 --tokens 14.8e12\n"
    "  chipwise train deepseek-v3 --mix h800=0.5,h20=0.5 --chips 2048 --seq 4096 "
    "--global-batch 15360 \\\n    --precision fp8",
)
@click.argument("model")
@click.option(
    "--chip", help="Chip of the catalog, or a TOML file of your own; several, as a,b, are compared."
)
@click.option("--mix", type=_Mix(), help="In its place several kinds with their shares.")
@click.option("--chips", type=_COUNT, required=True, help="How many.")
@click.option("--seq", type=LENGTH, required=True, help="Tokens of a sequence.")
@click.option(
    "--global-batch",
    "batch",
    type=Whole(1, 10_000_000),
    required=True,
    help="Sequences of a step, over all chips.",
)
@click.option(
    "--precision",
    type=click.Choice(["bf16", "fp16", "fp8", "mxfp8", "nvfp4"]),
    default="bf16",
    show_default=True,
    help="Format of the matrix products.",
)
@click.option("--tokens", type=_BUDGET, help="Budget of the run, for example 15e12.")
@_layout_options
@click.option("--lora-rank", "rank", type=Whole(0, 65536), default=0, help="LoRA on a frozen base.")
@click.option(
    "--frozen", type=_SHARE, default=0.0, help="Share of the weights that get no gradient."
)
@click.option("--stack", help="Software, such as megatron-26.06.  [default: the vendor's usual]")
@click.option("--link", type=Rate(), help="Network of a chip, such as 400Gbit/s.")
@click.option(
    "--overlap",
    type=_Mix(),
    help="Shares of transfers that hide: tensor, context, expert, gather, exchange, send.",
)
@click.option("--reach", type=_COUNT, help="Nodes to which the router sends a token at most.")
@click.option("--mtbf", type=POSITIVE, help="Hours between failures of one chip.")
@click.option("--checkpoint", type=POSITIVE, help="Seconds that a checkpoint takes.")
@money_options
@config_option
@report_option
@output_options
def train(*, form: str, lang: str, **given: Any) -> None:
    """Step time, MFU, memory and best layout of training MODEL; days and dollars for a budget.

    Each with its 90 % interval. With --tp, --pp and --dp that layout; else the fastest that fits.
    """
    from chipwise import questions

    kind, answer = questions.train(given)
    reply(kind, form, lang, answer)


COMMANDS = (train,)
