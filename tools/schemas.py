"""Schemas that manifests are tested against, from released packages → tests/export/schemas.

    python tools/schemas.py FOLDER SKY     # wheels in FOLDER; SKY is a Python that has skypilot

Kubernetes: the definitions that its published OpenAPI gives for the kinds that exports write, from
the wheel kubernetes-validate, without descriptions. SkyPilot: its own, as its package returns them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "tests/export/schemas"
VERSION = "v1.37.0-local-strict"
KINDS = {
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "StatefulSet": "io.k8s.api.apps.v1.StatefulSet",
    "Service": "io.k8s.api.core.v1.Service",
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
}
SKY = """
import json, sys
from sky.utils import schemas as s
kinds = {"task": s.get_task_schema, "resources": s.get_resources_schema,
         "service": s.get_service_schema}
json.dump({name: made() for name, made in kinds.items()}, sys.stdout)
"""


def stripped(node: Any) -> Any:
    match node:
        case dict():
            told = {k: v for k, v in node.items() if not (k == "description" and type(v) is str)}
            return {k: stripped(v) for k, v in told.items()}
        case list():
            return [stripped(v) for v in node]
    return node


def references(node: Any) -> Iterator[str]:
    match node:
        case {"$ref": str(target)}:
            yield target.rpartition("/")[2]
        case dict():
            for each in node.values():
                yield from references(each)
        case list():
            for each in node:
                yield from references(each)


def kubernetes(folder: Path) -> dict[str, Any]:
    wheel = next(folder.glob("kubernetes_validate-*.whl"))
    inside = f"kubernetes_validate/kubernetes-json-schema/{VERSION}/_definitions.json"
    with zipfile.ZipFile(wheel) as file:
        whole = json.loads(file.read(inside))["$defs"]
    kept: dict[str, Any] = {}
    todo = list(KINDS.values())
    while todo:
        name = todo.pop()
        if name not in kept:
            kept[name] = stripped(whole[name])
            todo += references(whole[name])
    source = f"Kubernetes OpenAPI, from {wheel.name} ({VERSION}), Apache-2.0"
    return {"$comment": source, "kinds": KINDS, "$defs": dict(sorted(kept.items()))}


def main(folder: str, python: str) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps(kubernetes(Path(folder)), indent=0, separators=(",", ":"))
    (OUT / "kubernetes.json").write_text(text + "\n", encoding="utf-8")
    told = subprocess.run([python, "-c", SKY], check=True, capture_output=True, text=True).stdout
    found = {"$comment": "skypilot 0.14.1, sky/utils/schemas.py, Apache-2.0", **json.loads(told)}
    (OUT / "skypilot.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
