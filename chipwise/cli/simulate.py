"""The command that plays requests through an engine's scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from chipwise.cli.inputs import (
    DEGREE,
    FILE,
    LENGTH,
    POSITIVE,
    SHARE,
    Number,
    Rate,
    Whole,
    config_option,
    degree_options,
    engine_options,
    output_options,
    report_option,
    target_options,
)
from chipwise.cli.output import REPORT, check_path, reply, write

__all__ = ["COMMANDS", "SECTIONS"]

_COUNT = Whole(1, 10_000_000)
_REQUESTS = ("id", "arrival", "prompt", "output", "cached_tokens", "ttft", "finish", "preemptions")
SECTIONS = {
    "Model": "chip tp pp ep dp weights kv backend chunk calibration",
    "In place of a model": "step_time step_table kv_blocks",
    "Load": "trace rate burstiness concurrency isl osl low lengths prefix turns pause requests "
    "warm_up seed",
    "Scheduler": "engine_version block_size max_num_seqs max_num_batched_tokens chunked_prefill "
    "prefix_caching",
    "Of vLLM alone": "sync long_prefill_token_threshold reserve_full_isl watermark policy "
    "num_speculative_tokens acceptance",
    "Of SGLang alone": "schedule_conservativeness scheduler_recv_interval ignore_eos",
    "Of TensorRT-LLM alone": "capacity_policy batch_wait_timeout_iters batch_wait_max_tokens_ratio",
    "Several engines": "replicas router prefill_chip prefill_tp prefill_replicas link",
    "Target": "ttft tpot percentile find_rate since",
    "Output": "loads moments requests_out iterations_out timeline report save config form "
    "lang help",
}


class _Sections(click.Command):
    """A command whose help has its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options of each section, in the order in which they are declared."""
        for title, names in SECTIONS.items():
            records = [
                record
                for param in self.get_params(ctx)
                if param.name in names.split()
                and (record := param.get_help_record(ctx)) is not None
            ]
            with formatter.section(title):
                formatter.write_dl(records)


class _Seconds(click.ParamType[tuple[float, ...]]):
    """Four numbers a,b,c,d of a stated step time."""

    name = "a,b,c,d"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
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
    cls=_Sections,
    short_help="Requests through an engine's scheduler, iteration by iteration.",
    epilog="\b\nExamples:\n"
    "  chipwise simulate llama-2-70b --chip h200 --tp 2 --rate 4 --isl 2048 --osl 128\n"
    "  chipwise simulate llama-2-70b --chip h200 --tp 2 --isl 2048 --osl 128 --find-rate --ttft 2\n"
    "  chipwise simulate --trace trace.csv --step-time 0.01,5e-5,5e-5,2e-8 --kv-blocks 3000",
)
@click.argument("model", required=False)
@click.option("--chip", help="Chip of the catalog, or a TOML file of your own.")
@degree_options
@click.option("--weights", help="Format of the weights.  [default: the maker's]")
@engine_options
@click.option(
    "--step-time",
    type=_Seconds(),
    help="An iteration of P prefill tokens, D decodes and X computed tokens lasts "
    "a + b·P + c·D + d·X s.",
)
@click.option(
    "--step-table", type=FILE, help="CSV with columns tokens and seconds of an iteration."
)
@click.option("--kv-blocks", type=_COUNT, help="Usable blocks of KV cache.")
@click.option("--trace", help="Requests as recorded: a CSV or JSONL file, or a trace's id.")
@click.option("--rate", type=POSITIVE, help="Requests per second, arriving at random.")
@click.option(
    "--burstiness",
    type=Number(1e-3, 1e3),
    help="Shape of the gamma-distributed gaps: below 1 in bursts, above it evenly.  [default: 1]",
)
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
@click.option("--lengths", type=FILE, help="CSV of isl, osl and weight to draw lengths from.")
@click.option("--prefix-len", "prefix", type=LENGTH, help="Tokens that all prompts begin with.")
@click.option("--turns", type=Whole(1, 10_000), help="Requests of a conversation.  [default: 1]")
@click.option("--pause", type=Number(), help="From an answer to the next question, in s.")
@click.option("--requests", type=_COUNT, help="Requests, without a trace.  [default: 1000]")
@click.option("--warm-up", type=Whole(0), default=0, help="Requests at the start not to count.")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of all draws.")
@click.option(
    "--engine-version", help="Defaults of a release of the engine, such as 0.9.1; see the docs."
)
@click.option(
    "--block-size",
    "--page-size",
    "--tokens-per-block",
    "block_size",
    type=Whole(1, 65536),
    help="Tokens of a block of the cache.  [default: the engine's]",
)
@click.option(
    "--max-num-seqs",
    "--max-running-requests",
    "--max-batch-size",
    "max_num_seqs",
    type=_COUNT,
    help="Sequences running at most.",
)
@click.option(
    "--max-num-batched-tokens",
    "--chunked-prefill-size",
    "--max-num-tokens",
    "max_num_batched_tokens",
    type=_COUNT,
    help="Tokens of an iteration at most.",
)
@click.option(
    "--chunked-prefill/--no-chunked-prefill",
    default=None,
    help="Cut prompts that exceed the budget.  [default: as the engine does]",
)
@click.option("--prefix-caching", is_flag=True, help="Use again the KV of equal prompts.")
@click.option(
    "--sync/--async",
    "sync",
    default=None,
    help="Schedule a step when the one before it has ended, or while it runs.  [default: sync]",
)
@click.option(
    "--long-prefill-token-threshold",
    type=Whole(0),
    help="Prompt tokens of one request in an iteration at most; 0 is no limit.",
)
@click.option(
    "--reserve-full-isl/--no-reserve-full-isl",
    default=None,
    help="Admit a request only if its whole prompt fits now.",
)
@click.option("--watermark", type=SHARE, help="Share of blocks that stay free.")
@click.option(
    "--policy",
    type=click.Choice(["fcfs", "priority"]),
    default="fcfs",
    show_default=True,
    help="Who goes first.",
)
@click.option(
    "--num-speculative-tokens", type=Whole(0, 64), help="Tokens proposed for each decode."
)
@click.option(
    "--acceptance",
    type=Number(0.0, 1.0),
    help="Probability that a proposed token is right, if those before it were.",
)
@click.option(
    "--schedule-conservativeness",
    type=Number(0.0, 100.0),
    help="Factor of the new-token ratio.  [default: 1]",
)
@click.option(
    "--scheduler-recv-interval",
    type=Whole(1),
    help="Decodes between two looks at the queue.  [default: 1]",
)
@click.option(
    "--ignore-eos/--obey-eos", default=None, help="Charge the running with all of their output."
)
@click.option(
    "--capacity-policy",
    type=click.Choice(["guaranteed_no_evict", "max_utilization"]),
    help="Admit what can finish, or what fits now.",
)
@click.option(
    "--batch-wait-timeout-iters", type=Whole(0), help="Iterations that prompts are held back."
)
@click.option(
    "--batch-wait-max-tokens-ratio",
    type=Number(0.0, 1.0),
    help="Until they fill this share of the budget.",
)
@click.option("--replicas", type=Whole(1, 1024), help="Engines behind a router.  [default: 1]")
@click.option(
    "--router",
    type=click.Choice(["round_robin", "least_loaded", "prefix_aware"]),
    help="Who gets a request.  [default: round_robin; apart: least_loaded]",
)
@click.option("--prefill-chip", help="Prefill apart, on this chip.")
@click.option("--prefill-tp", type=DEGREE, help="Tensor parallel there.  [default: as --tp]")
@click.option(
    "--prefill-replicas",
    type=Whole(1, 1024),
    help="Prefill apart, on so many engines.  [default: 1]",
)
@click.option("--link", type=Rate(), help="Link that carries KV, such as 400Gbit/s.")
@target_options
@click.option(
    "--find-rate", is_flag=True, help="Find the highest rate at which the limits are kept."
)
@click.option(
    "--since",
    type=SHARE,
    default=0.0,
    help="Of a trace that tells what was measured: compare the requests that were not complete "
    "after this share of its time.",
)
@click.option("--loads", is_flag=True, help="Play it at 0.25 to 2 times the load as well.")
@click.option(
    "--moments",
    is_flag=True,
    callback=lambda ctx, _, asked: asked or REPORT in ctx.meta,
    help="Tell how many requests run and wait over time.  [default: in a report]",
)
@click.option("--requests-out", type=FILE, help="A row a request: .csv or .parquet.")
@click.option("--iterations-out", type=FILE, help="A row an iteration: .csv or .parquet.")
@click.option("--timeline", type=FILE, help="JSON that Perfetto and Chrome open.")
@config_option
@report_option
@output_options
def simulate(
    *,
    requests_out: Path | None,
    iterations_out: Path | None,
    timeline: Path | None,
    form: str,
    lang: str,
    **given: Any,
) -> None:
    """Requests through an engine's scheduler: percentiles, goodput, preemptions.

    Of MODEL on a chip, or with a stated step time; from a trace, at a rate, or in a closed loop.
    A trace that has first_token_s and last_token_s is compared with.
    """
    from chipwise.cli.frames import check_frame, write_frame

    for path in (requests_out, iterations_out):
        check_frame(path)
    check_path(timeline)
    from chipwise import questions

    run, answer = questions.simulate(given, record_steps=bool(iterations_out or timeline))
    if requests_out:
        write_frame(requests_out, _request_rows(run))
    if iterations_out:
        write_frame(iterations_out, run.steps)
    if timeline:
        write(timeline, _timeline(run))
    reply("simulate", form, lang, answer)


def _timeline(run: Any) -> str:
    import json

    from chipwise import serving

    return json.dumps({"traceEvents": serving.timeline.events(run), "displayTimeUnit": "ms"})


def _request_rows(run: Any) -> Mapping[str, Any]:
    """Columns of the requests."""
    import numpy as np

    values = (
        np.arange(len(run.isl)),
        run.arrival,
        run.isl,
        run.osl,
        run.cached,
        run.first - run.arrival,
        run.finish,
        run.preempted,
    )
    return dict(zip(_REQUESTS, values, strict=True))


COMMANDS = (simulate,)
