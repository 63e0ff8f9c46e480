"""Tokens/s of a chip by class: stated, another's times a factor, or what the other commands say."""

from __future__ import annotations

from typing import Any

import pytest

from chipwise import api, catalog, fleet
from chipwise.types import Interval

TRAIN = {"model": "llama-3.3-70b", "kind": "train", "tokens_per_s": 1e5, "rent": []}


def rates(content: dict[str, Any], **demand: Any) -> tuple[Interval | None, str]:
    """Rate of an H200 for a class of training, and the reason where there is none."""
    content["demand"] = {"tuning": {**TRAIN, **demand}}
    for chip in content["chips"].values():
        chip.pop("throughput", None)
    made = fleet.with_rates(fleet.read(content, "small.toml"), catalog.calibration())
    return made.rates["h200", "tuning"], made.why.get(("h200", "tuning"), "")


def test_training_runs_at_the_speed_that_train_tells(content: dict[str, Any]) -> None:
    found, _ = rates(content, seq=4096, batch=128, job=32)
    alone = api.train("llama-3.3-70b", "h200", 32, seq=4096, batch=128).rate
    assert found is not None
    assert (found.value, found.low, found.high) == (alone.value, alone.low, alone.high)
    assert found.low < found.value < found.high


def test_a_mixture_of_experts_is_trained_too(content: dict[str, Any]) -> None:
    found, why = rates(content, model="qwen3-30b-a3b", job=16)
    assert found is not None, why
    dense, _ = rates(content, model="qwen3-32b", job=16)
    assert dense is not None
    assert found.value > dense.value


def test_a_job_that_holds_no_model_says_so(content: dict[str, Any]) -> None:
    found, why = rates(content, model="llama-3.1-405b", job=8)
    assert found is None
    assert "GB more than it has" in why


def test_a_stated_utilisation_wins(content: dict[str, Any]) -> None:
    half, _ = rates(content, mfu=0.2)
    whole, _ = rates(content, mfu=0.4)
    assert half is not None
    assert whole is not None
    assert whole.value == pytest.approx(2 * half.value)
    found, why = rates(content, model="deepseek-v3", mfu=0.4)
    assert found is None
    assert "leave mfu out" in why
