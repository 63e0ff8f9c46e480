"""Commands that answer how fast: estimate, plan, simulate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import (
    DEGREE,
    LENGTH,
    POSITIVE,
    SHARE,
    Names,
    Number,
    Rate,
    Whole,
    Wholes,
    config_option,
    law_options,
    money_options,
    output_options,
)
from chipwise.cli.output import check_path, progress, reply, say_out, write
from chipwise.tables.written import as_csv, as_json

__all__ = ["COMMANDS"]

_COUNT = Whole(1, 10_000_000)
_REQUESTS = ("id", "arrival", "prompt", "output", "cached_tokens", "ttft", "finish", "preemptions")


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
    for option in (
        click.option(
            "--prefix-hit", type=SHARE, default=0.0, help="Share of the prompt in the prefix cache."
        ),
        click.option(
            "--load", help="A usual load: chat, code, retrieval, reasoning, agent, batch."
        ),
        click.option("--osl", type=LENGTH, help="Output tokens."),
        click.option("--isl", type=LENGTH, help="Prompt tokens."),
    ):
        command = option(command)
    return command


def _engine_options(command: Any) -> Any:
    """Formats, engine, its token budget; which calibration."""
    for option in (
        click.option(
            "--calibration",
            default="general",
            show_default=True,
            help="Fitted factors: by name, or a file.",
        ),
        click.option(
            "--chunk",
            type=Whole(1, 10_000_000),
            help="Token budget of an iteration.  [default: the engine's]",
        ),
        click.option(
            "--backend",
            default="vllm",
            show_default=True,
            help="Engine: vllm, sglang or trtllm.",
        ),
        click.option(
            "--kv",
            default="auto",
            show_default=True,
            help="Format of the KV cache; auto is that of the activations.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    short_help="One deployment under one load, with its 90 % intervals.",
    epilog="\b\nExample:\n  chipwise estimate llama-2-70b --chip h200 --batch 32 --isl 2048 "
    "--osl 128 \\\n    --weights fp8 --kv fp8 --backend trtllm",
)
@click.argument("model")
@click.option("--chip", required=True, help="Chip of the catalog, or a TOML file of your own.")
@click.option("--tp", type=DEGREE, default=1, show_default=True, help="Tensor parallel.")
@click.option("--pp", type=DEGREE, default=1, show_default=True, help="Pipeline stages.")
@click.option("--ep", type=DEGREE, default=1, show_default=True, help="Expert parallel.")
@click.option("--dp", type=DEGREE, default=1, show_default=True, help="Data-parallel attention.")
@click.option("--batch", type=_Batch(), help="Sequences of one static batch, or max: what fits.")
@click.option("--concurrency", type=_COUNT, help="Clients of a closed loop, in place of a batch.")
@_load_options
@click.option("--weights", help="Format of the weights.  [default: the maker's]")
@_engine_options
@money_options
@law_options
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
@click.option("--ttft", type=POSITIVE, help="Limit of the time to the first token, in s.")
@click.option("--tpot", type=POSITIVE, help="Limit of the time per output token, in s.")
@click.option(
    "--percentile",
    type=Number(0.0, 100.0, open_low=True, open_high=True),
    default=99.0,
    show_default=True,
    help="Share of the requests that keep the limits, in %.",
)
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
@_engine_options
@money_options
@law_options
@config_option
@click.option("--out", type=click.Path(path_type=Path), help="JSON file to write as well.")
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


class _Seconds(click.ParamType[tuple[float, ...]]):
    """Four numbers a,b,c,d of a stated step time."""

    name = "a,b,c,d"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if len(parts) != 4:
            self.fail(f"{value!r} is not four numbers a,b,c,d with commas between them", param, ctx)
        limit = Number(0.0, 1e6)
        found = tuple(limit.convert(part, param, ctx) for part in parts)
        if not any(found):
            self.fail(
                "an iteration must last longer than 0 s; one of the four is above 0", param, ctx
            )
        return found


@click.command(
    short_help="Requests through an engine's scheduler, iteration by iteration.",
    epilog="\b\nExamples:\n"
    "  chipwise simulate llama-2-70b --chip h200 --tp 2 --rate 4 --isl 2048 --osl 128\n"
    "  chipwise simulate --trace trace.csv --step-time 0.01,5e-5,5e-5,2e-8 --kv-blocks 3000",
)
@click.argument("model", required=False)
@click.option("--chip", help="Chip of the catalog, or a TOML file of your own.")
@click.option("--tp", type=DEGREE, default=1, show_default=True, help="Tensor parallel.")
@click.option("--ep", type=DEGREE, default=1, show_default=True, help="Expert parallel.")
@click.option("--weights", help="Format of the weights.  [default: the maker's]")
@_engine_options
@click.option(
    "--step-time",
    type=_Seconds(),
    help="In place of a model: an iteration of P prefill tokens, D decodes and X computed tokens "
    "lasts a + b·P + c·D + d·X s.",
)
@click.option("--kv-blocks", type=_COUNT, help="Usable blocks of KV cache.")
@click.option("--block-size", type=Whole(1, 65536), default=16, show_default=True, help="Tokens.")
@click.option("--trace", help="Requests as recorded: a CSV or JSONL file, or a trace's id.")
@click.option("--rate", type=POSITIVE, help="Requests per second, arriving at random.")
@click.option("--concurrency", type=Whole(1, 1_000_000), help="Clients of a closed loop.")
@click.option("--isl", type=LENGTH, help="Prompt tokens, without a trace.")
@click.option("--osl", type=LENGTH, help="Output tokens, without a trace.")
@click.option(
    "--low",
    type=Number(0.0, 1.0, open_low=True),
    default=1.0,
    show_default=True,
    help="Lengths are drawn evenly from this share of isl and osl to all of it.",
)
@click.option("--requests", type=_COUNT, help="Requests, without a trace.  [default: 1000]")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of all draws.")
@click.option("--max-num-seqs", type=_COUNT, help="Sequences running at most.")
@click.option("--max-num-batched-tokens", type=_COUNT, help="Tokens of an iteration at most.")
@click.option(
    "--sync/--async",
    "sync",
    default=True,
    help="Schedule a step when the one before it has ended, or while it runs.",
)
@click.option("--prefix-caching", is_flag=True, help="Use again the KV of equal prompts.")
@click.option(
    "--long-prefill-token-threshold",
    type=Whole(0),
    default=0,
    help="Prompt tokens of one request in an iteration at most; 0 is no limit.",
)
@click.option(
    "--reserve-full-isl/--no-reserve-full-isl",
    default=True,
    help="Admit a request only if its whole prompt fits now.",
)
@click.option("--watermark", type=SHARE, default=0.0, help="Share of blocks that stay free.")
@click.option(
    "--policy",
    type=click.Choice(["fcfs", "priority"]),
    default="fcfs",
    show_default=True,
    help="Who goes first.",
)
@click.option("--ttft", type=POSITIVE, help="Limit for goodput, in s.")
@click.option("--tpot", type=POSITIVE, help="Limit for goodput, in s.")
@click.option("--requests-out", type=click.Path(path_type=Path), help="CSV, a row a request.")
@click.option("--iterations-out", type=click.Path(path_type=Path), help="CSV, a row an iteration.")
@output_options
def simulate(
    *,
    requests_out: Path | None,
    iterations_out: Path | None,
    form: str,
    lang: str,
    **given: Any,
) -> None:
    """Requests through an engine's scheduler: percentiles, goodput, preemptions.

    Of MODEL on a chip, or with a stated step time; from a trace, at a rate, or in a closed loop.
    """
    for path in (requests_out, iterations_out):
        check_path(path)
    from chipwise import questions

    run, answer = questions.simulate(given, record_steps=bool(iterations_out))
    if requests_out:
        write(requests_out, _request_rows(run))
    if iterations_out:
        columns = {name: values.tolist() for name, values in run.steps.items()}
        write(iterations_out, _columns(columns))
    reply("simulate", form, lang, answer)


def _request_rows(run: Any) -> str:
    values = (
        range(len(run.isl)),
        run.arrival.tolist(),
        run.isl.tolist(),
        run.osl.tolist(),
        run.cached.tolist(),
        (run.first - run.arrival).tolist(),
        run.finish.tolist(),
        run.preempted.tolist(),
    )
    return _columns(dict(zip(_REQUESTS, values, strict=True)))


def _columns(columns: Mapping[str, Any]) -> str:
    """Columns of equal length as CSV."""
    names = list(columns)
    return as_csv(dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True))


COMMANDS = (estimate, plan, simulate)
