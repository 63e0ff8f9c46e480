"""What the simulation of a deployment plays: its engine, its ranks, its cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chipwise import perf, plan, serving
from chipwise.plan import Search, Terms, trial
from chipwise.plan.settle import settle
from chipwise.types import Calibration, Chip, Deployment, Model, Money, Side, Workload

LOAD = Workload(2048.0, 128.0)


def one(chip: Chip, backend: str, **degrees: Any) -> Deployment:
    side = Side(chip, **({"tp": 2.0, "batch": 32.0} | degrees))
    return Deployment(side, "fp8", "bf16", backend, 8192.0)


def played(
    made: Deployment, model: Model, load: Workload, general: Calibration
) -> dict[str, float]:
    closed = perf.estimate(model, load, made, general)
    return trial.run(made, closed, model, load, general, 0)


@pytest.fixture
def terms(general: Calibration) -> Terms:
    return Terms(general, lambda _chip, _watts: Money(1.0, 2.0, 4.0), {}, 1e-4)


@pytest.mark.parametrize("backend", ["vllm", "sglang", "trtllm"])
def test_the_deployments_own_engine_is_played(
    backend: str, h200: Chip, llama2: Model, general: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    real = serving.simulate

    def spied(*args: Any, **flags: Any) -> Any:
        asked.append(flags)
        return real(*args, **flags)

    monkeypatch.setattr(serving, "simulate", spied)
    played(one(h200, backend), llama2, LOAD, general)
    assert asked[0]["scheduler"] == backend
    assert asked[0]["block_size"] == serving.presets.flags(backend)["block_size"]


def test_a_prompt_beyond_the_budget_is_cut_by_every_engine(
    h200: Chip, llama2: Model, general: Calibration
) -> None:
    load = Workload(16384.0, 64.0)
    found = played(one(h200, "trtllm", batch=2.0), llama2, load, general)
    assert found["ttft_mean"] > 0


@pytest.mark.slow
def test_what_is_in_the_cache_is_not_computed(
    h200: Chip, llama2: Model, general: Calibration
) -> None:
    made = one(h200, "vllm")
    plain, cached = (
        played(made, llama2, replace(LOAD, prefix_hit=hit), general) for hit in (0.0, 0.75)
    )
    assert cached["ttft_mean"] < 0.6 * plain["ttft_mean"]
    assert cached["throughput"] > plain["throughput"]


def test_stages_of_a_pipeline_share_the_cache(
    h200: Chip, llama2: Model, general: Calibration
) -> None:
    blocks = []
    for pp in (1.0, 2.0):
        made = one(h200, "vllm", tp=4.0, pp=pp)
        closed = perf.estimate(llama2, LOAD, made, general)
        stage = trial._stage(made, closed, llama2, LOAD, general)
        blocks.append(trial._server(stage, made.decode, 1).blocks)
        whole = perf.kv_blocks(llama2, made, made.decode, general, 2176.0, 16)
        assert blocks[-1] == whole // pp


def apart(h100: Chip, h200: Chip, ahead: int, behind: int) -> Deployment:
    front = Side(h100, tp=2.0, batch=1.0, replicas=float(ahead))
    back = Side(h200, tp=2.0, batch=64.0, replicas=float(behind))
    return Deployment(back, "fp8", "bf16", "vllm", 8192.0, front, 50e9)


def test_sides_apart_are_played_in_their_numbers(
    h100: Chip, h200: Chip, llama2: Model, general: Calibration
) -> None:
    """Twice the replicas of both are played as the same part, and serve twice as much."""
    single, double = (played(apart(h100, h200, 2 * k, k), llama2, LOAD, general) for k in (1, 2))
    assert double["throughput"] == pytest.approx(2 * single["throughput"])
    assert double["ttft_mean"] == single["ttft_mean"]
    more = played(apart(h100, h200, 4, 1), llama2, LOAD, general)
    assert more["throughput"] > 1.2 * single["throughput"]


def test_a_slow_link_shows_in_the_time_to_the_first_tokens(
    h100: Chip, h200: Chip, llama2: Model, general: Calibration
) -> None:
    """The second token waits for the transfer, so that a slower link lengthens the request."""
    load = replace(LOAD, rate=2.0)
    slow, fast = (
        played(replace(apart(h100, h200, 4, 1), link=link), llama2, load, general)
        for link in (1e9, 1e12)
    )
    moving = float(np.asarray(perf.kv_transfer(llama2, apart(h100, h200, 4, 1), 2048.0))) * 50
    assert slow["tpot_mean"] - fast["tpot_mean"] == pytest.approx(moving / 127, rel=0.2)


def test_the_simulation_decides_between_sides_apart(
    h200: Chip, llama2: Model, terms: Terms
) -> None:
    load = replace(LOAD, ttft=1.0, tpot=0.05, rate=8.0)
    row = plan.search([h200], llama2, load, terms, mode="disagg").rows[0]
    guess = plan.search([h200], llama2, load, replace(terms, simulate=False), mode="disagg").rows[0]
    assert row.feasible
    assert "the closed form preferred" in row.notes[0]
    assert row.deployment.prefill.replicas > guess.deployment.prefill.replicas
    assert row.simulated["ttft_p99"] <= 1.0
    assert row.simulated["tpot_p99"] <= 0.05


def test_all_on_the_front_were_simulated(
    h100: Chip, h200: Chip, llama2: Model, terms: Terms
) -> None:
    found = plan.search([h100, h200], llama2, LOAD, terms)
    assert found.pareto
    assert all(row.simulated for row in found.pareto)


def test_nothing_proposed_settles_nothing(llama2: Model, terms: Terms) -> None:
    assert settle(lambda *_: None, llama2, LOAD, terms) is None


def test_search_is_the_same_with_both_sides_known(
    h100: Chip, h200: Chip, llama2: Model, terms: Terms
) -> None:
    """A chip's sides are chosen once for all its pairs: a pair alone is told the same."""
    closed = replace(terms, simulate=False)
    both = plan.search([h100, h200], llama2, LOAD, closed, choice=Search())
    alone = plan.search([h200], llama2, LOAD, closed, choice=Search(), mode="disagg").rows[0]
    same = [
        r
        for r in both.apart
        if r.deployment and r.deployment.prefill and r.deployment.prefill.chip is r.chip is h200
    ]
    assert same[0].quantities == alone.quantities
