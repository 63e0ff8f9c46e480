"""Formats of weights and cache → what each engine calls them, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chipwise.errors import Infeasible
from chipwise.export.job import Job

__all__ = ["kv_name", "weight_words"]

# What an engine quantises to while it loads the maker's own checkpoint in 16 bits. Other formats
# need a checkpoint that somebody made.
_ON_LOAD: Mapping[str, Mapping[str, str]] = {
    "vllm": {"fp8": "fp8"},
    "sglang": {"fp8": "fp8"},
    "trtllm": {},
}
_KV: Mapping[str, Mapping[str, str]] = {
    "vllm": {"bf16": "bfloat16", "fp16": "float16", "fp8": "fp8"},
    "sglang": {"bf16": "bf16", "fp8": "fp8_e4m3"},
    "trtllm": {"bf16": "auto", "fp16": "auto", "fp8": "fp8"},
}
_DTYPE = {"bf16": "bfloat16", "fp16": "float16"}


def weight_words(job: Job, flag: str = "--quantization") -> Sequence[str]:
    """Options that make the engine hold its weights in the plan's format.

    Raises
    ------
    Infeasible
        If the engine cannot make them of the maker's checkpoint.
    """
    dtype = ["--dtype", _DTYPE[job.weights]] if job.weights in _DTYPE else []
    if job.own:
        return dtype
    made = _ON_LOAD[job.backend]
    if job.weights in made and job.model.weights in _DTYPE:
        return [flag, made[job.weights]]
    raise Infeasible(
        f"{job.backend} does not turn {job.model.id}, published in {job.model.weights}, into "
        f"{job.weights} while it loads; name a checkpoint in {job.weights} with --checkpoint"
    )


def kv_name(job: Job) -> str:
    """What the engine calls the format of the cache.

    Raises
    ------
    Infeasible
        If it has none.
    """
    known = _KV[job.backend]
    if job.kv not in known:
        raise Infeasible(
            f"{job.backend} {job.version} has no cache in {job.kv}; it has {', '.join(known)}"
        )
    return known[job.kv]
