"""Plan → SkyPilot tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from chipwise.catalog.servers import released
from chipwise.errors import Infeasible
from chipwise.export import sglang, trtllm, vllm
from chipwise.export.bench import bench
from chipwise.export.containers import document, image_of, name_of, serve
from chipwise.export.job import Group, Job
from chipwise.export.shell import script
from chipwise.registry import exporter

__all__ = ["skypilot"]

_HTTP = 8000
_NODES = 'export NODE_RANK=$SKYPILOT_NODE_RANK HEAD=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)\n'


def _task(job: Job, group: Group, image: str | None) -> dict[str, Any]:
    """A cluster that holds one replica."""
    if group.place.sky is None:
        raise Infeasible(f"SkyPilot has no accelerator for {group.chip.name}")
    if group.nodes > 1 and job.backend == "trtllm":
        raise Infeasible(
            f"a replica of {group.chips} chips spans {group.nodes} machines, over which trtllm "
            "runs as one MPI world; export it to trtllm for Slurm, or to dynamo"
        )
    count = min(group.chips, group.place.server)
    task: dict[str, Any] = {
        "name": f"{name_of(job)}-{group.role}",
        "num_nodes": group.nodes,
        "resources": {
            "accelerators": f"{group.place.sky}:{count}",
            "ports": _HTTP,
            "image_id": f"docker:{image_of(job, group, image)}",
        },
    }
    if job.backend == "trtllm":
        settings = yaml.safe_dump(trtllm.options(job, group))
        task["setup"] = f"cat > ~/{group.role}.yaml <<'END'\n{settings}END\n"
        return {**task, "run": serve(job, group, folder="$HOME")}
    started = serve(job, group)
    return {**task, "run": (_NODES if group.nodes > 1 else "") + started}


def _router(job: Job) -> dict[str, Any]:
    """The machine before servers that prefill and servers that decode; takes their addresses."""
    if job.backend == "trtllm":
        raise Infeasible(
            "trtllm names its servers in a file before it starts; with prefill and decode apart "
            "export to kubernetes or dynamo"
        )
    package = f"{job.backend}-router"
    route = vllm.route(job) if job.backend == "vllm" else sglang.route(job)
    return {
        "name": f"{name_of(job)}-router",
        "resources": {"cpus": "4+", "ports": _HTTP},
        # What `sky launch --env` fills in: addresses with blanks between them.
        "envs": {"PREFILL": None, "DECODE": None},
        "setup": f"pip install {package}=={released(package)}",
        "run": route,
    }


@exporter("skypilot")
def skypilot(job: Job, comments: Sequence[str], *, image: str | None = None) -> dict[str, str]:
    """A task for each kind of server, and the benchmark; replicas of one kind as a service."""
    head = "".join(f"# {line}\n" for line in comments)
    files: dict[str, str] = {}
    for group in job.groups:
        task = _task(job, group, image)
        if not job.apart and group.replicas > 1:
            task["service"] = {
                "readiness_probe": {"path": "/health", "initial_delay_seconds": 3600},
                "replicas": group.replicas,
            }
        files[f"{group.role}.yaml"] = head + document(task)
    if job.apart:
        files["router.yaml"] = head + document(_router(job))
    return {**files, "bench.sh": script(comments, bench(job))}
