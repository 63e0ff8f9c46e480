"""Plan → a DynamoGraphDeployment of NVIDIA's Dynamo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from chipwise.catalog.servers import released
from chipwise.errors import Infeasible
from chipwise.export import sglang, trtllm, vllm
from chipwise.export.bench import bench
from chipwise.export.containers import document, image_of, name_of, pod
from chipwise.export.job import Group, Job
from chipwise.export.shell import script
from chipwise.registry import exporter

__all__ = ["dynamo"]

_KIND = {"serve": "worker", "prefill": "prefill", "decode": "decode"}


def _words(job: Job, group: Group) -> list[str]:
    """Options of a worker: those of its engine, and its place in the graph."""
    split = ["--disaggregation-mode", group.role] if job.apart else []
    if job.backend == "vllm":
        return ["--model", job.checkpoint, *vllm.arguments(job, group), *split]
    if job.backend == "sglang":
        return ["--model-path", job.checkpoint, *_older(sglang.arguments(job, group))]
    sizes = {
        "--tensor-parallel-size": group.tp * group.dp,
        "--pipeline-parallel-size": group.pp,
        "--max-batch-size": job.seqs,
        "--max-num-tokens": job.chunk,
        "--max-seq-len": job.length,
    }
    if group.ep > 1:
        sizes["--expert-parallel-size"] = group.ep
    # The engine's own refusals hold here too.
    trtllm.arguments(job, group)
    words = ["--model", job.checkpoint]
    words += [text for flag, size in sizes.items() for text in (flag, str(size))]
    return [*words, "--override-engine-args", json.dumps(trtllm.options(job, group)), *split]


def _older(words: list[str]) -> list[str]:
    """The same for the release of SGLang that Dynamo has, which spells attention's groups apart."""
    if "--attn-dp-size" not in words:
        return words
    at = words.index("--attn-dp-size")
    return [*words[:at], "--dp-size", words[at + 1], "--enable-dp-attention", *words[at + 2 :]]


def _component(job: Job, group: Group, image: str) -> dict[str, Any]:
    spec = pod(group, image)
    main = spec["containers"][0]
    main |= {"command": ["python3", "-m", f"dynamo.{job.backend}"], "args": _words(job, group)}
    # The operator mounts /dev/shm itself.
    del main["volumeMounts"], spec["volumes"]
    found: dict[str, Any] = {
        "name": group.role,
        "type": _KIND[group.role],
        "replicas": group.replicas,
        "sharedMemorySize": "16Gi",
    }
    if group.nodes > 1:
        found["multinode"] = {"nodeCount": group.nodes}
    return {**found, "podTemplate": {"spec": spec}}


@exporter("dynamo")
def dynamo(job: Job, comments: Sequence[str], *, image: str | None = None) -> dict[str, str]:
    """The graph: a frontend and workers, and the benchmark."""
    for group in job.groups:
        if group.chip.vendor != "NVIDIA":
            raise Infeasible(f"Dynamo {released('dynamo')} runs on NVIDIA's chips alone")
    images = [image_of(job, g, image, f"dynamo-{job.backend}") for g in job.groups]
    # The frontend runs on any machine, in the same image.
    frontend = {
        "name": "frontend",
        "type": "frontend",
        "replicas": 1,
        "podTemplate": {
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": images[0],
                        "command": ["python3", "-m", "dynamo.frontend"],
                        "args": ["--http-port", "8000"],
                    }
                ]
            }
        },
    }
    workers = [_component(job, g, i) for g, i in zip(job.groups, images, strict=True)]
    graph = {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name_of(job)},
        "spec": {"backendFramework": job.backend, "components": [frontend, *workers]},
    }
    head = "".join(f"# {line}\n" for line in comments)
    return {
        "graph.yaml": head + document(graph),
        "bench.sh": script(comments, bench(job)),
    }
