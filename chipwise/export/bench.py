"""The plan's load → the benchmark that sends it, with what was run written into its result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from chipwise.catalog.servers import released
from chipwise.export.job import SPREAD, Job
from chipwise.export.shell import command

__all__ = ["bench", "notes"]

_URL = "${URL:-http://127.0.0.1:8000}"
_USUAL = (50, 90, 95, 99)


def notes(job: Job) -> Mapping[str, str]:
    """What an import asks of a result, from the plan."""
    group = job.groups[-1]
    return {
        "model": job.model.id,
        "chip": group.chip.id,
        **{n: str(getattr(group, n)) for n in ("tp", "pp", "dp", "ep")},
        "weight_format": job.weights,
        "kv": job.kv,
        "backend": job.backend,
        "backend_version": released(job.backend),
        "replicas": str(group.replicas),
        **({"apart": "yes"} if job.apart else {}),
    }


def bench(job: Job) -> str:
    """Shell command that sends the plan's load to URL and keeps the result in RESULT."""
    return f"exec {_sglang(job) if job.backend == 'sglang' else _vllm(job)}"


def _limits(job: Job) -> list[str]:
    """Limits of the target in ms."""
    limits = [(n, job.load[f"{n}_s"]) for n in ("ttft", "tpot")]
    return [f"{n}:{value * 1e3:g}" for n, value in limits if value]


def _paced(job: Job) -> list[str]:
    """Closed loop of as many clients as the batch, or arrivals at the rate."""
    rate = job.load["rate_per_s"]
    if rate:
        return ["--request-rate", f"{rate:g}"]
    return ["--request-rate", "inf", "--max-concurrency", str(job.clients)]


def _prefix(job: Job) -> int:
    """Tokens of the prompt that all requests share."""
    return int(job.load["isl"] * (job.load["prefix_hit"] or 0.0))


def _vllm(job: Job) -> str:
    """`vllm bench serve`, which draws lengths evenly within the spread of the nominal ones."""
    prefix, limits = _prefix(job), _limits(job)
    at = sorted({*_USUAL, job.load["percentile"]})
    words = [
        *("--backend", "vllm", "--base-url", _URL, "--endpoint", "/v1/completions"),
        *("--model", job.checkpoint, "--dataset-name", "random"),
        *("--random-input-len", str(job.load["isl"] - prefix)),
        *("--random-output-len", str(job.load["osl"])),
        *("--random-range-ratio", str(SPREAD)),
        *(["--random-prefix-len", str(prefix)] if prefix else []),
        *("--num-prompts", str(job.requests), *_paced(job)),
        *("--num-warmups", str(job.clients), "--ignore-eos", "--seed", "0"),
        *("--percentile-metrics", "ttft,tpot,itl,e2el"),
        *("--metric-percentiles", ",".join(f"{p:g}" for p in at)),
        *(["--goodput", *limits] if limits else []),
        *("--save-result", "--result-filename", "${RESULT:-result.json}"),
        *("--metadata", *(f"chipwise_{k}={v}" for k, v in notes(job).items())),
    ]
    return command("vllm bench serve", words)


def _sglang(job: Job) -> str:
    """SGLang's own, which draws lengths evenly from a share of the longest to all of it."""
    share = (1 - SPREAD) / (1 + SPREAD)
    longest = {n: str(math.ceil(job.load[n] * (1 + SPREAD))) for n in ("isl", "osl")}
    prefix, limits = _prefix(job), _limits(job)
    lengths: Sequence[str] = [
        *("--dataset-name", "random-ids"),
        *("--random-input-len", longest["isl"], "--random-output-len", longest["osl"]),
        *("--random-range-ratio", f"{share:.4f}"),
    ]
    if prefix:
        lengths = [
            *("--dataset-name", "generated-shared-prefix", "--gsp-num-groups", "1"),
            *("--gsp-prompts-per-group", str(job.requests)),
            *("--gsp-system-prompt-len", str(prefix)),
            *("--gsp-question-len", str(job.load["isl"] - prefix)),
            *("--gsp-output-len", str(job.load["osl"])),
        ]
    words = [
        *("--backend", "sglang-oai", "--base-url", _URL, "--model", job.checkpoint),
        *lengths,
        *("--num-prompts", str(job.requests), *_paced(job)),
        *("--warmup-requests", str(job.clients), "--seed", "0"),
        *(["--goodput", *limits] if limits else []),
        *("--output-file", "${RESULT:-result.jsonl}"),
        *("--tag", "chipwise " + " ".join(f"{k}={v}" for k, v in notes(job).items())),
    ]
    return command("python3 -m sglang.benchmark.serving", words)
