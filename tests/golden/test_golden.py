"""End-to-end answers, kept: what moves must be named under Numbers in CHANGELOG.md.

    CHIPWISE_GOLDEN=update python -m pytest tests/golden

writes them anew. A change prints old → new → % for every number that moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chipwise.cli import app

ANSWERS = Path(__file__).parent / "answers"
SIX = "h20,h100,h200,b200,mi300x,ascend-910c"
SHORT = ("--isl", "2048", "--osl", "128")
TRT = ("--weights", "fp8", "--kv", "fp8", "--backend", "trtllm")
ASKED: dict[str, tuple[str, ...]] = {
    "plan-article": ("plan", "llama-2-70b", "--chips", SIX, *SHORT),
    "plan-chat": ("plan", "llama-3.1-70b", "--chips", "h100,h200", "--load", "chat"),
    "plan-rate": (
        *("plan", "qwen3-32b", "--chips", "h200,l40s", "--isl", "1024", "--osl", "512"),
        *("--rate", "8", "--ttft", "2", "--tpot", "0.05"),
    ),
    "plan-moe": (
        *("plan", "deepseek-r1", "--chips", "h200,b200,ascend-910c", "--isl", "4096"),
        *("--osl", "1024", "--no-simulate", "--mode", "agg"),
    ),
    "plan-rent": ("plan", "gpt-oss-120b", "--chips", "h100,mi300x", *SHORT, "--cost", "rent"),
    "plan-apart": ("plan", "llama-2-70b", "--chips", "h20,h200", *SHORT, "--mode", "disagg"),
    "h100-batch-8": ("estimate", "llama-2-70b", "--chip", "h100", "--batch", "8", *SHORT, *TRT),
    "h200-batch-32": ("estimate", "llama-2-70b", "--chip", "h200", "--batch", "32", *SHORT, *TRT),
    "h200-batch-max": ("estimate", "llama-2-70b", "--chip", "h200", "--batch", "max", *SHORT, *TRT),
    "h200-long-answers": (
        *("estimate", "llama-2-70b", "--chip", "h200", "--batch", "max"),
        *("--isl", "128", "--osl", "2048", *TRT),
    ),
    "loop-gpt-oss": (
        *("estimate", "gpt-oss-120b", "--chip", "b200", "--concurrency", "64"),
        *("--isl", "1024", "--osl", "1024", "--kv", "fp8"),
    ),
    "loop-deepseek": (
        *("estimate", "deepseek-r1", "--chip", "h200", "--tp", "8", "--ep", "8"),
        *("--concurrency", "64", "--isl", "1024", "--osl", "1024", "--backend", "sglang"),
    ),
    "loop-qwen-hybrid": (
        *("estimate", "qwen3.5-397b-a17b", "--chip", "b200", "--tp", "8", "--weights", "fp8"),
        *("--concurrency", "32", "--isl", "8192", "--osl", "1024"),
    ),
    "a100-fp8-as-bf16": (
        *("estimate", "llama-3.1-8b", "--chip", "a100", "--batch", "16", *SHORT),
        *("--weights", "fp8"),
    ),
    "chip-h200": ("chips", "h200"),
    "model-deepseek": ("models", "deepseek-r1"),
}


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document, with where it stands."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from numbers(value[key], f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from numbers(item, f"{path}[{i}]")
    else:
        yield path, value


def moved(old: Any, new: Any) -> list[str]:
    """What differs, number by number."""
    before, after = dict(numbers(old)), dict(numbers(new))
    lines = []
    for path in sorted(before.keys() | after.keys()):
        a, b = before.get(path), after.get(path)
        if isinstance(a, float) and isinstance(b, (int, float)):
            if b != pytest.approx(a, rel=1e-6, abs=1e-12):
                lines.append(f"{path}: {a:.6g} → {b:.6g} ({(b / a - 1) * 100 if a else 0:+.2f} %)")
        elif a != b:
            lines.append(f"{path}: {a!r} → {b!r}")
    return lines


@pytest.mark.parametrize("name", sorted(ASKED))
def test_answer(name: str) -> None:
    run = CliRunner().invoke(app, [*ASKED[name], "--format", "json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    kept = ANSWERS / f"{name}.json"
    if os.environ.get("CHIPWISE_GOLDEN") == "update":
        kept.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    changes = moved(json.loads(kept.read_text(encoding="utf-8")), found)
    assert not changes, "\n".join(changes[:60])
