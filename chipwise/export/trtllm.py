"""Plan → `trtllm-serve` and the YAML that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from chipwise.errors import Infeasible
from chipwise.export.bench import bench
from chipwise.export.formats import kv_name, weight_words
from chipwise.export.job import Group, Job
from chipwise.export.shell import PORT, command, script
from chipwise.registry import exporter

__all__ = ["arguments", "options", "route", "serve", "trtllm"]


def arguments(job: Job, group: Group) -> list[str]:
    """Options of the engine's command; the others stand in its YAML.

    Its tp counts the ranks of data-parallel attention, which then holds all heads.

    Raises
    ------
    Infeasible
        If TensorRT-LLM has no option for what the plan says.
    """
    if group.dp > 1 and group.tp > 1:
        raise Infeasible(
            f"trtllm runs attention tensor-parallel or data-parallel; tp {group.tp} with dp "
            f"{group.dp} is both"
        )
    weight_words(job)
    return [
        *("--backend", "pytorch"),
        *("--tensor_parallel_size", str(group.tp * group.dp)),
        *("--pipeline_parallel_size", str(group.pp)),
        *(["--moe_expert_parallel_size", str(group.ep)] if group.ep > 1 else []),
        *("--max_batch_size", str(job.seqs), "--max_num_tokens", str(job.chunk)),
        *("--max_seq_len", str(job.length)),
        # A prompt that is longer than the token budget can only be cut.
        *(["--enable_chunked_prefill"] if job.load["isl"] > job.chunk else []),
    ]


def options(job: Job, group: Group) -> dict[str, Any]:
    """What only the YAML of the engine has an option for."""
    found: dict[str, Any] = {"kv_cache_config": {"dtype": kv_name(job)}}
    if group.dp > 1:
        found["enable_attention_dp"] = True
    if job.apart:
        size = max(job.chunk, job.load["isl"])
        found["cache_transceiver_config"] = {"backend": "NIXL", "max_tokens_in_buffer": size}
    return found


def serve(job: Job, group: Group, folder: str = "${0%/*}") -> str:
    """Shell command of one server; several machines run it as tasks of one MPI world."""
    words = ["--host", "0.0.0.0", "--port", PORT, *arguments(job, group)]  # noqa: S104
    words += ["--config", f"{folder}/{group.role}.yaml"]
    if group.nodes > 1:
        words += ["--gpus_per_node", str(group.place.server)]
    started = "trtllm-llmapi-launch trtllm-serve" if group.nodes > 1 else "trtllm-serve"
    return f"exec {command(f'{started} {job.checkpoint}', words, more=True)}"


def route(job: Job, addresses: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Configuration of the server before those that prefill and decode."""
    names = {"prefill": "context_servers", "decode": "generation_servers"}
    return {
        "hostname": "0.0.0.0",  # noqa: S104 -- a server
        "port": 8000,
        "backend": "pytorch",
        **{
            names[g.role]: {"num_instances": g.replicas, "urls": list(addresses[g.role])}
            for g in job.groups
        },
    }


@exporter("trtllm")
def trtllm(job: Job, comments: Sequence[str]) -> dict[str, str]:
    """Scripts that start the servers, their YAML, and the benchmark."""
    files = {f"{g.role}.sh": script(comments, serve(job, g)) for g in job.groups}
    files |= {f"{g.role}.yaml": yaml.safe_dump(options(job, g)) for g in job.groups}
    if job.apart:
        named = {g.role: [f"{g.role}-{i}:8000" for i in range(g.replicas)] for g in job.groups}
        files["route.yaml"] = yaml.safe_dump(route(job, named), sort_keys=False)
        words = ["--config_file", "${0%/*}/route.yaml"]
        started = f"exec {command('trtllm-serve disaggregated', words, more=True)}"
        files["route.sh"] = script(comments, started)
    return {**files, "bench.sh": script(comments, bench(job))}
