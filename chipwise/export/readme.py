"""What whoever runs an export must know: what was assumed, what to expect, what to check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chipwise.catalog.servers import released
from chipwise.export.job import Group, Job
from chipwise.units import from_base
from chipwise.words import say

__all__ = ["comments", "guide"]

_TRACED = {"ttft": ("ttft_mean", "ttft_at"), "tpot": ("tpot_mean", "tpot_at")}
_COMPARE = """```sh
URL=http://127.0.0.1:8000 RESULT={result} sh bench.sh
chipwise import {result}{day} --out runs.csv
chipwise validate runs.csv
```"""


def _number(value: float) -> str:
    return f"{value:.4g}"


def _spread(found: Mapping[str, float] | None, factor: float = 1.0) -> str:
    """A quantity with its interval."""
    if found is None:
        return "—"
    value, low, high = (_number(found[k] * factor) for k in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


def comments(job: Job, lang: str) -> tuple[str, ...]:
    """Lines at the head of each file: what it serves, and who wrote it of what."""
    chips = " → ".join(f"{g.replicas} × {g.chips} {g.chip.name}" for g in job.groups)
    made = say(lang, "export.made", version=job.made_by["chipwise_version"])
    return f"{job.checkpoint} · {chips} · {job.backend} {released(job.backend)}", made


def _layout(lang: str, group: Group) -> str:
    degrees = ", ".join(
        f"{n} {getattr(group, n)}" for n in ("tp", "pp", "dp", "ep") if getattr(group, n) > 1
    )
    return say(
        lang,
        f"export.{group.role}",
        replicas=group.replicas,
        chips=group.chips,
        chip=group.chip.name,
        degrees=degrees or "tp 1",
        batch=group.batch,
        nodes=group.nodes,
    )


def _load(job: Job, lang: str) -> str:
    rate = job.load["rate_per_s"]
    how = (
        say(lang, "export.rate", rate=_number(rate))
        if rate
        else say(lang, "export.closed", clients=job.clients)
    )
    named = {"isl": job.load["isl"], "osl": job.load["osl"]}
    return say(lang, "export.load", how=how, requests=job.requests, **named)


def _assumed(job: Job, lang: str) -> Iterator[str]:
    yield _load(job, lang)
    yield from (_layout(lang, g) for g in job.groups)
    yield say(lang, "export.formats", weights=job.weights, kv=job.kv)
    yield say(lang, "export.limits", seqs=job.seqs, chunk=job.chunk)
    yield say(lang, "export.release", backend=job.backend, version=released(job.backend))
    if job.version != released(job.backend):
        yield say(lang, "export.planned", backend=job.backend, version=job.version)
    if job.load["prefix_hit"]:
        yield say(lang, "export.prefix", share=f"{job.load['prefix_hit']:.0%}")
    if job.row["rests_on_unverified"]:
        yield say(lang, "export.unverified", fields=", ".join(job.row["rests_on_unverified"]))


def _checks(job: Job, lang: str, target: str) -> Iterator[str]:
    names = ["checkpoint", "length", "memory"]
    names += ["devices"] if any(g.place.devices > 1 for g in job.groups) else []
    names += ["plugin"] if any(g.chip.vendor != "NVIDIA" for g in job.groups) else []
    names += ["transfer"] if job.apart else []
    names += ["machines"] if any(g.nodes > 1 for g in job.groups) else []
    names += ["selector"] if target in ("kubernetes", "dynamo") else []
    length = job.length
    for name in names:
        yield say(lang, f"check.{name}", checkpoint=job.checkpoint, length=length)


def _row(lang: str, name: str, value: str) -> str:
    return f"| {say(lang, f'export.{name}')} | {value} |"


def _expected(job: Job, lang: str) -> Iterator[str]:
    row: Mapping[str, Any] = job.row
    yield f"| {say(lang, 'export.quantity')} | {say(lang, 'export.predicted')} |"
    yield "|---|---|"
    for name, (mean, worst) in _TRACED.items():
        factor = 1.0 if name == "ttft" else from_base(1.0, "ms")
        yield _row(lang, mean, _spread(row[f"{name}_s"], factor))
        at = row["simulated"].get(f"{name}_p{job.load['percentile']:g}")
        if at is not None:
            percentile = f"{job.load['percentile']:g}"
            key = say(lang, f"export.{worst}", percentile=percentile)
            yield f"| {key} | {_number(at * factor)} |"
    yield _row(lang, "rate_out", _spread(row["output_tokens_per_s"]))
    yield _row(lang, "power", _spread(row["power_w"]))
    cost = row["usd_per_million_output_tokens"]
    yield _row(lang, "cost", _spread(cost))


def guide(job: Job, target: str, files: Mapping[str, str], lang: str) -> str:
    """The README of an export, in Markdown."""
    started = [n for n in files if n != "bench.sh"]
    parts = [
        f"# {job.checkpoint} · {job.backend} → {target}",
        "\n".join(comments(job, lang)),
        f"## {say(lang, 'export.head_start')}",
        say(lang, f"start.{target}", files=", ".join(f"`{n}`" for n in started)),
        *([say(lang, "start.route")] if "route.sh" in files else []),
        f"## {say(lang, 'export.head_assumed')}",
        "\n".join(f"- {line}" for line in _assumed(job, lang)),
        f"## {say(lang, 'export.head_checks')}",
        "\n".join(f"- {line}" for line in _checks(job, lang, target)),
        f"## {say(lang, 'export.head_expected')}",
        "\n".join(_expected(job, lang)),
        say(lang, "export.basis", basis=say(lang, f"basis.{job.row['basis']}")),
        f"## {say(lang, 'export.head_back')}",
        say(lang, "export.back"),
        _compared(job),
    ]
    return "\n\n".join(parts) + "\n"


def _compared(job: Job) -> str:
    """Commands that measure and compare; SGLang's results do not say their day."""
    if job.backend == "sglang":
        return _COMPARE.format(result="result.jsonl", day=" --on today")
    return _COMPARE.format(result="result.json", day="")
