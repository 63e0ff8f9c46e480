"""Plans, as `chipwise plan` wrote them, and what is exported of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipwise.export import Job, read_job

HERE = Path(__file__).parent
IMAGE = "example/engine:1"


@dataclass(frozen=True)
class Case:
    plan: str
    to: str
    chip: str
    mode: str = "agg"
    checkpoint: str | None = None
    image: str | None = None

    @property
    def id(self) -> str:
        return f"{self.plan}-{self.to}-{self.chip}-{self.mode}"

    def job(self) -> Job:
        found: dict[str, Any] = json.loads((HERE / f"plans/{self.plan}.json").read_text("utf-8"))
        return read_job(found, chip=self.chip, mode=self.mode, checkpoint=self.checkpoint)


CASES = [
    Case("vllm-deepseek", "vllm", "h200"),
    Case("vllm-deepseek", "vllm", "h200", "disagg"),
    Case("vllm-deepseek", "vllm", "b200", checkpoint="nvidia/DeepSeek-V3-0324-FP4"),
    Case("vllm-deepseek", "vllm", "910c"),
    Case("vllm-deepseek", "dynamo", "h200"),
    Case("vllm-deepseek", "dynamo", "h200", "disagg"),
    Case("vllm-deepseek", "kubernetes", "h200"),
    Case("vllm-deepseek", "kubernetes", "h200", "disagg"),
    Case("vllm-deepseek", "kubernetes", "910c", image=IMAGE),
    Case("vllm-deepseek", "skypilot", "h200"),
    Case("vllm-deepseek", "skypilot", "h200", "disagg"),
    Case("vllm-llama", "vllm", "mi300x"),
    Case("vllm-llama", "kubernetes", "mi300x", image=IMAGE),
    Case("vllm-llama", "kubernetes", "gaudi3", image=IMAGE),
    Case("vllm-llama", "skypilot", "mi300x", image=IMAGE),
    Case("sglang-llama", "sglang", "h100"),
    Case("sglang-llama", "sglang", "h100", "disagg"),
    Case("sglang-llama", "kubernetes", "h100", "disagg"),
    Case("sglang-llama", "skypilot", "h100"),
    Case("sglang-llama", "dynamo", "h100", "disagg"),
    Case("sglang-deepseek", "sglang", "h200"),
    Case("sglang-deepseek", "dynamo", "h200"),
    Case("trtllm-llama", "trtllm", "h200", checkpoint="/models/llama-2-70b-fp8"),
    Case("trtllm-llama", "trtllm", "h200", "disagg", checkpoint="/models/llama-2-70b-fp8"),
    Case("trtllm-llama", "kubernetes", "h200", checkpoint="/models/llama-2-70b-fp8"),
    Case("trtllm-llama", "kubernetes", "h200", "disagg", checkpoint="/models/llama-2-70b-fp8"),
    Case("trtllm-deepseek", "trtllm", "h200"),
    Case("trtllm-deepseek", "dynamo", "h200", "disagg"),
    Case("trtllm-deepseek", "skypilot", "h200"),
]
