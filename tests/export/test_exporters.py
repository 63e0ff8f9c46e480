"""What every exporter writes: options of the engines, manifests by their schemas, golden texts."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from chipwise.export import TARGETS, read_job, render
from chipwise.registry import EXPORTERS
from chipwise.testing import check_exporter
from tests.export.cases import CASES, HERE, Case

EVERY = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
GOLDEN = HERE / "golden"


@cache
def files(case: Case) -> dict[str, str]:
    return check_exporter(case.to, case.job(), image=case.image)


@EVERY
def test_every_option_is_the_engines_and_the_plan_is_told(case: Case) -> None:
    assert files(case)


def test_each_exporter_has_a_case_with_both_phases_together_and_one_apart() -> None:
    assert set(TARGETS) == set(EXPORTERS)
    assert {(c.to, c.mode) for c in CASES} == {(t, m) for t in TARGETS for m in ("agg", "disagg")}


@EVERY
def test_the_texts_are_those_that_were_read_over(case: Case) -> None:
    """CHIPWISE_GOLDEN=update writes them anew."""
    folder = GOLDEN / case.id
    if os.environ.get("CHIPWISE_GOLDEN") == "update":
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, text in files(case).items():
            (folder / name).write_text(text, encoding="utf-8")
    kept = {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir()}
    assert files(case) == kept


@EVERY
def test_a_shell_reads_the_scripts(case: Case) -> None:
    for name, text in files(case).items():
        if name.endswith(".sh"):
            done = subprocess.run(
                ["sh", "-n"], input=text, text=True, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr


@cache
def _schema(name: str) -> Any:
    return json.loads((HERE / f"schemas/{name}.json").read_text(encoding="utf-8"))


@cache
def _registry() -> Registry[Any]:
    own = Resource(_schema("kubernetes"), DRAFT7)
    return Registry().with_resource("kubernetes.json", own)


def _valid(schema: Any, found: Any) -> None:
    jsonschema.Draft7Validator(schema, registry=_registry()).validate(found)


def _manifest(found: dict[str, Any]) -> None:
    if found["kind"] == "DynamoGraphDeployment":
        _valid(_schema("dynamo"), found)
        return
    kind = _schema("kubernetes")["kinds"][found["kind"]]
    _valid({"$ref": f"kubernetes.json#/$defs/{kind}"}, found)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.to in ("kubernetes", "dynamo")], ids=lambda c: c.id
)
def test_manifests_hold_to_their_schemas(case: Case) -> None:
    seen = 0
    for name, text in files(case).items():
        for found in yaml.safe_load_all(text) if name.endswith(".yaml") else ():
            _manifest(found)
            seen += 1
    assert seen


@pytest.mark.parametrize("case", [c for c in CASES if c.to == "skypilot"], ids=lambda c: c.id)
def test_tasks_hold_to_skypilots_schemas(case: Case) -> None:
    seen = 0
    for name, text in files(case).items():
        for found in yaml.safe_load_all(text) if name.endswith(".yaml") else ():
            _valid(_schema("skypilot")["task"], found)
            for part in ("resources", "service"):
                if part in found:
                    _valid(_schema("skypilot")[part], found[part])
            seen += 1
    assert seen


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replica": 1}},
        {"kind": "DynamoGraphDeployment", "spec": {"components": [{"name": "a b"}]}},
        {
            "kind": "DynamoGraphDeployment",
            "apiVersion": "nvidia.com/v1beta1",
            "metadata": {"name": "x"},
            "spec": {"components": [{"name": "a", "podTemplate": {"spec": {"container": []}}}]},
        },
    ],
)
def test_a_manifest_that_is_wrong_is_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _manifest(wrong)


@pytest.mark.parametrize(
    ("case", "resource", "count"),
    [
        ("vllm-deepseek-kubernetes-h200-agg", "nvidia.com/gpu", "8"),
        ("vllm-deepseek-kubernetes-910c-agg", "huawei.com/Ascend910", "16"),
        ("vllm-llama-kubernetes-mi300x-agg", "amd.com/gpu", "1"),
        ("vllm-llama-kubernetes-gaudi3-agg", "habana.ai/gaudi", "2"),
    ],
)
def test_a_pod_asks_for_the_vendors_devices(case: str, resource: str, count: str) -> None:
    found = next(c for c in CASES if c.id == case)
    parts = list(yaml.safe_load_all(files(found)["serve.yaml"]))
    pods = [p["spec"]["template"]["spec"] for p in parts if "template" in p.get("spec", {})]
    assert [p["containers"][0]["resources"]["limits"] for p in pods] == [{resource: count}]


def test_a_replica_of_several_machines_is_told_which_it_is() -> None:
    found = next(c for c in CASES if c.id == "vllm-deepseek-kubernetes-910c-agg")
    parts = {p["kind"]: p for p in yaml.safe_load_all(files(found)["serve.yaml"])}
    assert parts["StatefulSet"]["spec"]["replicas"] == 8
    env = parts["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {e["name"] for e in env} == {"NODE_RANK", "HEAD"}


def test_both_languages_have_the_same_numbers() -> None:
    job = CASES[0].job()
    english, chinese = (render(job, "vllm", lang=lang)["README.md"] for lang in ("en", "zh"))
    rows = [
        [line.split("|")[2] for line in t.splitlines() if line.startswith("| ")][1:]
        for t in (english, chinese)
    ]
    assert rows[0] == rows[1]
    assert "预填充" in render(CASES[1].job(), "vllm", lang="zh")["README.md"]


def _plan(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(HERE / f"plans/{name}.json").read_text("utf-8"))
    return found


def test_without_a_chip_the_cheapest_token_is_exported() -> None:
    plan = _plan("vllm-deepseek")
    cost = {r["chip"]: r["usd_per_million_output_tokens"]["value"] for r in plan["chips"]}
    assert read_job(plan).groups[0].chip.id == min(cost, key=lambda chip: cost[chip])


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("--max-num-seqs", "--max-seqs", "it has no --max-seqs"),
        ("--kv-cache-dtype bfloat16", "--kv-cache-dtype bf16", "is not bf16"),
        ("--max-num-seqs 1024", "--max-num-seqs many", "no int"),
        ("--tensor-parallel-size 2", "--tensor-parallel-size 4", "no server has the degrees"),
        ("--enable-expert-parallel", "--enable-expert-parallel 1", "takes no value"),
        ("--num-prompts 640", "--num-prompts 64", "another load"),
    ],
)
def test_a_script_that_is_wrong_is_found(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str, told: str
) -> None:
    right = EXPORTERS["vllm"]

    def wrong(job: Any, comments: Any) -> dict[str, str]:
        return {name: text.replace(before, after) for name, text in right(job, comments).items()}

    monkeypatch.setitem(EXPORTERS, "vllm", wrong)
    with pytest.raises(AssertionError, match=told):
        check_exporter("vllm", CASES[0].job())


def test_every_server_behind_a_router_has_a_name() -> None:
    found = next(c for c in CASES if c.id == "sglang-llama-kubernetes-h100-disagg")
    parts = list(yaml.safe_load_all(files(found)["router.yaml"]))
    env = parts[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    first = {e["name"]: e["value"].split() for e in env}
    assert len(first["PREFILL"]) == 4
    assert len(first["DECODE"]) == 1
