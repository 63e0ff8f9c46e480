"""Laws of every scheduler: no idle engine beside work, nobody starves, first come, first in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import serving
from chipwise.types import Simulation, StepTable
from tests.draws import draws

TABLE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)
ENGINES: list[dict[str, Any]] = [
    {"scheduler": "vllm"},
    {"scheduler": "vllm", "asynchronous": True},
    {"scheduler": "vllm", "reserve": False},
    {"scheduler": "vllm", "watermark": 0.1},
    {"scheduler": "vllm", "draft": 2, "acceptance": 0.6},
    {"scheduler": "sglang"},
    {"scheduler": "trtllm"},
    {"scheduler": "trtllm", "policy": "max_utilisation"},
]
loads = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 200), st.integers(1, 60)), min_size=1, max_size=40
)


def played(load: list[tuple[int, int, int]], flags: dict[str, Any], **kw: Any) -> Simulation:
    load = sorted(load)
    return serving.simulate(
        TABLE,
        [gap * 0.05 for gap, _, _ in load],
        [isl for _, isl, _ in load],
        [osl for _, _, osl in load],
        blocks=24,
        block_size=16,
        max_seqs=8,
        max_tokens=256,
        record_steps=True,
        **flags,
        **kw,
    )


@draws(150)
@given(loads, st.sampled_from(ENGINES))
def test_an_engine_is_idle_only_while_nobody_is_there(
    load: list[tuple[int, int, int]], flags: dict[str, Any]
) -> None:
    """Work conservation: between two iterations with a gap no request is in the system."""
    run = played(load, flags)
    starts, ends = run.steps["t_start"], run.steps["t_end"]
    assert (starts[1:] >= ends[:-1] - 1e-12).all()
    for idle, wakes in zip(ends[:-1], starts[1:], strict=True):
        if wakes > idle:
            inside = (run.arrival < wakes - 1e-12) & (run.finish > idle + 1e-12)
            assert not inside.any()


@draws(150)
@given(loads, st.sampled_from(ENGINES), st.booleans())
def test_nobody_starves(
    load: list[tuple[int, int, int]],
    flags: dict[str, Any],
    ranked: bool,
) -> None:
    """Everybody ends, no later than if all were served one by one, and again where preempted."""
    extra: dict[str, Any] = {}
    if ranked and flags["scheduler"] == "vllm" and "draft" not in flags:
        extra["priority"] = np.arange(len(load)) % 3
    run = played(load, flags, **extra)
    assert np.isfinite(run.finish).all()
    alone = sum(
        (osl + -(-isl // 256) + 1) * (0.01 + 5e-5 * 256 + 2e-8 * 24 * 16 * 8)
        for _, isl, osl in load
    )
    rounds = 1 + int(run.preempted.sum())
    assert run.finish.max() <= run.arrival.max() + alone * rounds + 1e-9


@draws(100)
@given(loads, st.sampled_from(ENGINES))
def test_first_come_is_first_admitted(
    load: list[tuple[int, int, int]], flags: dict[str, Any]
) -> None:
    run = played(load, flags)
    assert (np.diff(run.scheduled) >= 0).all()
    assert (run.scheduled >= run.arrival).all()
    assert (run.first > run.scheduled).all()
    assert (run.finish >= run.first).all()


@draws(100)
@given(loads, st.sampled_from(ENGINES[:5]))
def test_tokens_of_the_iterations_are_those_of_the_requests(
    load: list[tuple[int, int, int]], flags: dict[str, Any]
) -> None:
    """Without preemption or speculation every prompt token is prefilled, every next one decoded."""
    run = played(load, flags)
    if run.preemptions or "draft" in flags:
        return
    assert run.steps["prefill_tokens"].sum() == run.isl.sum()
    assert run.steps["decode_tokens"].sum() == (run.osl - 1).sum()


@pytest.mark.parametrize("flags", ENGINES, ids=str)
def test_more_blocks_or_seats_leave_no_request_behind(flags: dict[str, Any]) -> None:
    """A saturated engine still ends the very first request before the very last one begins."""
    load = [(0, 150, 40)] * 60
    run = played(load, flags)
    assert run.finish.min() < run.scheduled.max()
