"""Intervals: the basis of a case, and widths that only grow with distance."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from chipwise import catalog, intervals
from chipwise.types import Calibration, Chip, Model, Yields

STACKS = frozenset(
    {
        ("llama-2-70b", "nvidia-h100-sxm", "vllm", "Hopper", "NVIDIA"),
        ("deepseek-v3", "nvidia-h200-sxm", "sglang", "Hopper", "NVIDIA"),
    }
)


@pytest.mark.parametrize(
    ("model", "chip", "backend", "expected"),
    [
        ("llama-2-70b", "h100", "vllm", "seen"),
        ("llama-2-70b", "h100", "sglang", "stack"),
        ("llama-2-70b", "h200", "vllm", "stack"),
        ("gpt-oss-120b", "h200", "vllm", "model"),
        ("llama-2-70b", "h20", "vllm", "chip"),
        ("llama-2-70b", "b200", "vllm", "vendor"),
        ("llama-2-70b", "mi300x", "vllm", "seen"),  # of published tables
        ("llama-2-70b", "mi355x", "vllm", "vendor"),
        ("llama-2-70b", "trainium2", "vllm", "datasheet"),
        ("llama-2-70b", "b300", "vllm", "vendor"),
        ("llama-2-70b", "a100", "vllm", "vendor"),
    ],
)
def test_basis(general: Calibration, model: str, chip: str, backend: str, expected: str) -> None:
    known = replace(general, stacks=STACKS)
    found = intervals.basis(known, catalog.model(model), catalog.chip(chip), backend)
    assert found == expected


def test_widths_never_shrink_with_distance(general: Calibration) -> None:
    for quantity in ("tpot", "ttft", "throughput"):
        widths = [general.widths[b][quantity] for b in intervals.BASES]
        assert all(a <= b for a, b in itertools.pairwise(widths))
        assert widths[0] > 0


def test_unverified_facts_widen(general: Calibration, h100: Chip) -> None:
    widths = [intervals.half_width(general, "seen", "tpot", h100, n) for n in range(4)]
    assert all(a < b for a, b in itertools.pairwise(widths))


def test_widen_is_symmetric_in_ratio() -> None:
    made = intervals.widen(10.0, 0.3)
    assert made.low < made.value < made.high
    assert made.low * made.high == pytest.approx(made.value**2)


def test_nothing_known_is_the_datasheet(general: Calibration, h100: Chip, llama2: Model) -> None:
    blank = replace(general, stacks=frozenset(), yields=Yields())
    assert intervals.basis(blank, llama2, h100, "vllm") == "datasheet"
