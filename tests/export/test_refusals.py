"""What cannot be exported is refused, with the reason and what would be right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chipwise.errors import BadInput, Infeasible
from chipwise.export import Job, read_job, render
from tests.export.cases import CASES, Case
from tests.export.test_exporters import _plan


def _job(**changed: Any) -> Job:
    return replace(CASES[0].job(), **changed)


def _grouped(case: Case, **changed: Any) -> Job:
    job = case.job()
    return replace(job, groups=tuple(replace(g, **changed) for g in job.groups))


@pytest.mark.parametrize(
    ("job", "to", "told"),
    [
        (_job(kv="int8"), "vllm", "has no cache in int8; it has bf16, fp16, fp8"),
        (_job(weights="nvfp4", own=False), "vllm", "name a checkpoint in nvfp4 with --checkpoint"),
        (_job(weights="bf16", own=False), "vllm", "published in fp8, into bf16 while it loads"),
        (_grouped(CASES[0], ep=4), "vllm", "ep 4 is neither"),
        (Case("trtllm-llama", "trtllm", "h200").job(), "trtllm", "fp8 with --checkpoint"),
        (_grouped(Case("trtllm-deepseek", "trtllm", "h200"), tp=2), "trtllm", "is both"),
        (_grouped(Case("sglang-deepseek", "sglang", "h200"), pp=2), "sglang", "not both at once"),
        (Case("vllm-deepseek", "kubernetes", "910c").job(), "kubernetes", "name one with --image"),
        (Case("vllm-deepseek", "skypilot", "910c").job(), "skypilot", "no accelerator for Huawei"),
        (Case("vllm-llama", "dynamo", "mi300x").job(), "dynamo", "NVIDIA's chips alone"),
        (_grouped(CASES[3], replicas=2), "kubernetes", "keeps them together; export to dynamo"),
    ],
)
def test_what_an_engine_or_cluster_cannot_say(job: Job, to: str, told: str) -> None:
    image = "example:1" if job.groups[0].replicas > 1 and to == "kubernetes" else None
    with pytest.raises(Infeasible, match=told):
        render(job, to, image=image)


@pytest.mark.parametrize(
    ("to", "image", "told"),
    [
        ("sglang", None, "the plan is for vllm"),
        ("vlm", None, "unknown target 'vlm'; the nearest are vllm"),
        ("vllm", "x:1", "starts no containers"),
    ],
)
def test_what_does_not_go_together(to: str, image: str | None, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        render(CASES[0].job(), to, image=image)


@pytest.mark.parametrize(
    ("plan", "asked", "told"),
    [
        ({}, {}, "not an answer of chipwise plan: chips"),
        ([], {}, "not an answer of chipwise plan"),
        ({"chips": [], "workload": {}}, {"chip": "h100"}, "decodes on h100; it has none"),
        ({"chips": [3], "workload": {}}, {}, "not an answer of chipwise plan"),
        ({"chips": [], "workload": {}}, {"mode": "both"}, "it is agg or disagg"),
    ],
)
def test_what_is_no_plan(plan: Any, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read_job(plan, **asked)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(Infeasible, match="76 chips at least"):
        read_job(_plan("vllm-llama"), chip="k100-ai")


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", None])
def test_a_degree_is_a_whole_number(value: Any) -> None:
    plan = _plan("vllm-deepseek")
    plan["chips"] = plan["chips"][:1]
    plan["chips"][0]["deployment"]["decode"]["tp"] = value
    with pytest.raises(BadInput, match="tp is"):
        read_job(plan)
