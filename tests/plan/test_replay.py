"""The benchmark's closed loop: leaps against the plain loop, and what the client sees."""

from __future__ import annotations

import numpy as np
import pytest

from chipwise import catalog, perf, serving
from chipwise.plan.replay import Run, replay
from chipwise.serving import closed
from chipwise.types import Calibration, Chip, Deployment, Model, Protocol, Side


@pytest.mark.parametrize(("clients", "isl"), [(1, 1024), (16, 1024), (64, 4096)])
def test_leaps_equal_the_plain_loop(
    h200: Chip, general: Calibration, llama2: Model, clients: int, isl: int
) -> None:
    """vLLM without pressure on its cache: the mean of every time within one in a hundred."""
    side = Side(h200, tp=8, batch=float(clients))
    made = Deployment(side, "fp8", "fp8", "vllm", 8192.0)
    table = perf.step_table(llama2, made, side, general)
    rng = np.random.default_rng(3)
    prompts = np.floor(isl * rng.uniform(0.8, 1, 6 * clients)).astype(np.int64)
    outputs = np.floor(256 * rng.uniform(0.8, 1, 6 * clients)).astype(np.int64)
    habits = closed.Habits(closed.VLLM, 8192, 1e12, 1.0, 1024)
    arrival, first, finish = closed.replay(table, prompts, outputs, clients, habits)
    whole = serving.simulate(
        table, None, prompts, outputs, concurrency=clients, blocks=10**7, max_seqs=1024
    )
    assert (first - arrival).mean() == pytest.approx((whole.first - whole.arrival).mean(), rel=0.03)
    tpot = ((finish - first) / (outputs - 1)).mean()
    assert tpot == pytest.approx(serving.metrics.tpot(whole).mean(), rel=0.01)
    assert finish.max() == pytest.approx(whole.finish.max(), rel=0.01)


@pytest.mark.parametrize("engine", sorted(closed.ENGINES))
def test_every_request_ends_and_none_overtakes_its_own_past(
    h200: Chip, general: Calibration, llama2: Model, engine: str
) -> None:
    side = Side(h200, tp=8, batch=32.0)
    made = Deployment(side, "fp8", "fp8", engine, 8192.0)
    table = perf.step_table(llama2, made, side, general)
    rng = np.random.default_rng(5)
    prompts, outputs = rng.integers(1, 9000, 200), rng.integers(1, 300, 200)
    habits = closed.Habits(closed.ENGINES[engine], 8192, 60_000.0, 1.0, 16, 10.0, 20)
    arrival, first, finish = closed.replay(table, prompts, outputs, 32, habits)
    assert np.all(first > arrival)
    assert np.all(finish >= first)
    # 32 clients: no more than that are ever between arrival and completion.
    for moment in np.linspace(0, finish.max(), 50):
        assert np.sum((arrival <= moment) & (finish > moment)) <= 32


def test_a_wait_delays_the_first_token(h200: Chip, general: Calibration, llama2: Model) -> None:
    def first_token(wait: int) -> float:
        flags = Protocol(low=0.8, wait=wait)
        run = Run(llama2, h200, "trtllm", "fp8", "fp8", 1024, 1024, 16, flags, tp=4)
        return replay(run, general)[0]

    assert first_token(20) > first_token(0) * 1.2


def test_more_clients_wait_longer(h200: Chip, general: Calibration, llama2: Model) -> None:
    times = [
        replay(Run(llama2, h200, "vllm", "fp8", "fp8", 1024, 512, c, Protocol(low=0.8)), general)
        for c in (1, 8, 64)
    ]
    assert times[0][0] < times[1][0] < times[2][0]
    assert times[0][1] < times[1][1] < times[2][1]


def test_no_room_for_a_request_is_not_a_time(h100: Chip, general: Calibration) -> None:
    model = catalog.model("deepseek-r1")
    run = Run(model, h100, "vllm", "fp8", "bf16", 1024, 1024, 4, Protocol())
    assert np.isnan(replay(run, general)).all()
