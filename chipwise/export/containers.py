"""What Kubernetes and those that build on it say alike of a server: image, chips, nodes."""

from __future__ import annotations

import re
from typing import Any

import yaml

from chipwise.errors import Infeasible
from chipwise.export import sglang, trtllm, vllm
from chipwise.export.job import Group, Job

__all__ = ["document", "image_of", "name_of", "pod", "serve"]

_ENGINES: dict[str, Any] = {"vllm": vllm, "sglang": sglang, "trtllm": trtllm}
# The engines keep what they share between processes in /dev/shm.
_SHARED = "16Gi"


# Scripts as blocks, and each value where it stands.
_DUMPER: Any = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda _self, _data: True})


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_DUMPER.add_representer(str, _text)


def document(*parts: Any) -> str:
    """One YAML file of one or several documents, keys in their order."""
    text: str = yaml.dump_all(
        parts, Dumper=_DUMPER, sort_keys=False, width=1000, explicit_start=len(parts) > 1
    )
    return text


def serve(job: Job, group: Group, **more: Any) -> str:
    """Shell commands of a server, by its engine."""
    text: str = _ENGINES[job.backend].serve(job, group, **more)
    return text


def name_of(job: Job) -> str:
    """A name that Kubernetes takes, from the model's."""
    short = re.sub(r"[^a-z0-9]+", "-", job.model.id.rpartition("/")[2].lower()).strip("-")
    return short[:40].strip("-")


def image_of(job: Job, group: Group, image: str | None, key: str | None = None) -> str:
    """Image of the containers: as given, or the engine's own for the vendor.

    Raises
    ------
    Infeasible
        If none is known; chipwise does not guess one.
    """
    found = image or (group.place.images or {}).get(key or job.backend)
    if found is None:
        raise Infeasible(
            f"no image of {key or job.backend} for {group.chip.vendor} is known; name one with "
            "--image"
        )
    return found


def pod(group: Group, image: str) -> dict[str, Any]:
    """Specification of a pod with the chips of one machine, its container still without a command.

    Raises
    ------
    Infeasible
        If the vendor's resource is not known.
    """
    where = group.place
    if where.resource is None:
        raise Infeasible(f"no Kubernetes resource of {group.chip.vendor} is known")
    count = min(group.chips, where.server) * where.devices
    made: dict[str, Any] = {}
    if where.label and where.product:
        made["nodeSelector"] = {where.label: where.product}
    made["containers"] = [
        {
            "name": "main",
            "image": image,
            "resources": {"limits": {where.resource: str(count)}},
            "volumeMounts": [{"name": "shared", "mountPath": "/dev/shm"}],  # noqa: S108
        }
    ]
    made["volumes"] = [{"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED}}]
    return made
