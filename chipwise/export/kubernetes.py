"""Plan → Kubernetes manifests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from chipwise.catalog.servers import released
from chipwise.errors import Infeasible
from chipwise.export import sglang, trtllm, vllm
from chipwise.export.bench import bench
from chipwise.export.containers import document, image_of, name_of, pod, serve
from chipwise.export.job import Group, Job
from chipwise.export.shell import script
from chipwise.registry import exporter

__all__ = ["kubernetes"]

_HTTP = 8000
# Where the files of a ConfigMap are mounted.
_FOLDER = "/etc/chipwise"
# Loading the weights of a large model takes this long at most. [s]
_LOADING, _PERIOD = 3600, 10
_PYTHON = "python:3.12-slim"


def _labels(job: Job, role: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name_of(job), "app.kubernetes.io/component": role}


def _service(job: Job, role: str) -> dict[str, Any]:
    """What clients call."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name_of(job), "labels": _labels(job, role)},
        "spec": {
            "selector": _labels(job, role),
            "ports": [{"name": "http", "port": _HTTP, "targetPort": "http"}],
        },
    }


def _nodes(job: Job, role: str) -> dict[str, Any]:
    """Names of pods, which find one another before they are ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name_of(job)}-{role}-nodes", "labels": _labels(job, role)},
        "spec": {
            "selector": _labels(job, role),
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
        },
    }


def _settings(job: Job, group: Group) -> dict[str, Any]:
    """What TensorRT-LLM reads of a server."""
    text = yaml.safe_dump(trtllm.options(job, group))
    return _map(job, group.role, {f"{group.role}.yaml": text})


def _map(job: Job, role: str, files: dict[str, str]) -> dict[str, Any]:
    name = f"{name_of(job)}-{role}"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": _labels(job, role)},
        "data": files,
    }


def _mounted(spec: dict[str, Any], name: str) -> None:
    spec["containers"][0].setdefault("volumeMounts", []).append(
        {"name": "settings", "mountPath": _FOLDER}
    )
    spec.setdefault("volumes", []).append({"name": "settings", "configMap": {"name": name}})


def _started(spec: dict[str, Any], text: str, *, loading: int) -> None:
    """Give the container its command, port and probes."""
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": _PERIOD}
    spec["containers"][0] |= {
        "command": ["/bin/sh", "-c"],
        "args": [text],
        "ports": [{"name": "http", "containerPort": _HTTP}],
        "startupProbe": {**probe, "failureThreshold": loading // _PERIOD},
        "readinessProbe": probe,
    }


def _server(job: Job, group: Group, image: str | None) -> list[dict[str, Any]]:
    """A group's replicas.

    A Deployment; pods that others call by name, because they are machines of one replica or stand
    behind a router, are those of a StatefulSet.
    """
    role, name = group.role, f"{name_of(job)}-{group.role}"
    extra = {"folder": _FOLDER} if job.backend == "trtllm" else {}
    spec = pod(group, image_of(job, group, image))
    _started(spec, serve(job, group, **extra), loading=_LOADING)
    made = []
    if job.backend == "trtllm":
        made.append(_settings(job, group))
        _mounted(spec, name)
    if group.nodes == 1 and not job.apart:
        return [*made, _workload("Deployment", job, role, name, spec, group.replicas)]
    if group.nodes == 1:
        return [*made, *_named(job, role, spec, group.replicas)]
    if job.backend == "trtllm":
        raise Infeasible(
            f"a replica of {group.chips} chips spans {group.nodes} machines, over which trtllm "
            "runs as one MPI world; export it to trtllm for Slurm, or to dynamo"
        )
    if group.replicas > 1:
        raise Infeasible(
            f"{group.replicas} replicas that each span {group.nodes} machines need a controller "
            "that keeps them together; export to dynamo, or plan with one replica"
        )
    main = spec["containers"][0]
    main["env"] = [
        {
            "name": "NODE_RANK",
            "valueFrom": {
                "fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}
            },
        },
        {"name": "HEAD", "value": f"{name}-0.{name}-nodes"},
    ]
    # The first machine alone answers HTTP.
    del main["startupProbe"], main["readinessProbe"]
    return [*made, *_named(job, role, spec, group.nodes)]


def _named(job: Job, role: str, spec: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Pods that have names, all started at once."""
    name = f"{name_of(job)}-{role}"
    stateful = _workload("StatefulSet", job, role, name, spec, count)
    stateful["spec"] |= {"serviceName": f"{name}-nodes", "podManagementPolicy": "Parallel"}
    return [_nodes(job, role), stateful]


def _addresses(job: Job, group: Group) -> list[str]:
    """Servers of a group by name; the first machine of a replica answers for it."""
    name = f"{name_of(job)}-{group.role}"
    count = group.replicas if group.nodes == 1 else 1
    return [f"{name}-{i}.{name}-nodes:{_HTTP}" for i in range(count)]


def _workload(
    kind: str, job: Job, role: str, name: str, spec: dict[str, Any], count: int
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": _labels(job, role)},
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": _labels(job, role)},
            "template": {"metadata": {"labels": _labels(job, role)}, "spec": spec},
        },
    }


def _front(job: Job, group: Group) -> dict[str, Any]:
    """The service that clients call, where one kind of server does it all."""
    found = _service(job, group.role)
    if group.nodes > 1:
        found["spec"]["selector"] = {
            "statefulset.kubernetes.io/pod-name": f"{name_of(job)}-{group.role}-0"
        }
    return found


def _router(job: Job) -> list[dict[str, Any]]:
    """What stands before servers that prefill and servers that decode."""
    name = f"{name_of(job)}-router"
    urls = {g.role: _addresses(job, g) for g in job.groups}
    made: list[dict[str, Any]] = []
    if job.backend == "trtllm":
        image = image_of(job, job.groups[-1], None)
        settings = trtllm.route(job, urls)
        made.append(_map(job, "router", {"route.yaml": yaml.safe_dump(settings, sort_keys=False)}))
        text = f"exec trtllm-serve disaggregated --config_file {_FOLDER}/route.yaml"
    else:
        image = _PYTHON
        package = f"{job.backend}-router"
        own = vllm.route(job) if job.backend == "vllm" else sglang.route(job)
        text = f"pip install --no-cache-dir {package}=={released(package)}\n{own}"
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": image}]}
    _started(spec, text, loading=_LOADING)
    if job.backend == "trtllm":
        _mounted(spec, name)
    else:
        spec["containers"][0]["env"] = [
            {"name": role.upper(), "value": " ".join(f"http://{url}" for url in those)}
            for role, those in urls.items()
        ]
    return [*made, _workload("Deployment", job, "router", name, spec, 1)]


@exporter("kubernetes")
def kubernetes(job: Job, comments: Sequence[str], *, image: str | None = None) -> dict[str, str]:
    """Manifests of servers and services, and the benchmark."""
    files: dict[str, str] = {}
    head = "".join(f"# {line}\n" for line in comments)
    for group in job.groups:
        parts = _server(job, group, image)
        if not job.apart:
            parts.append(_front(job, group))
        files[f"{group.role}.yaml"] = head + document(*parts)
    if job.apart:
        files["router.yaml"] = head + document(*_router(job), _service(job, "router"))
    return {**files, "bench.sh": script(comments, bench(job))}
