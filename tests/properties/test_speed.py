"""Laws of speed and memory, over chips, models and deployments drawn at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import catalog, perf
from chipwise.perf import engines
from chipwise.types import Chip, Deployment, Estimate, Side, Workload
from tests.draws import draws

GENERAL = catalog.calibration()
MODELS = ("llama-2-70b", "gpt-oss-120b", "deepseek-r1", "qwen3-235b-a22b")
CHIPS = ("h100", "h200", "b200", "mi300x", "h20", "ascend-910c")

cases = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "chip": st.sampled_from(CHIPS),
        "tp": st.sampled_from([1, 2, 4, 8]),
        "batch": st.integers(1, 512),
        "isl": st.integers(16, 32768),
        "osl": st.integers(1, 4096),
        "loop": st.sampled_from(["static", "closed"]),
    }
)


def run(case: dict, chip: Chip, **changed: float) -> Estimate:
    given_ = {**case, **changed}
    model = catalog.model(given_["model"])
    made = Deployment(
        Side(chip, tp=given_["tp"], batch=float(given_["batch"])), model.weights, "bf16", "vllm"
    )
    load = Workload(float(given_["isl"]), float(given_["osl"]))
    return perf.estimate(model, load, made, GENERAL, loop=given_["loop"])


def roomy(chip: Chip) -> Chip:
    """The same chip with memory for anything, so that times are never missing."""
    return replace(chip, memory=1e15)


@draws(60)
@given(cases, st.floats(1.0, 4.0))
def test_more_bandwidth_is_never_slower(case: dict, more: float) -> None:
    chip = roomy(catalog.chip(case["chip"]))
    fast = replace(chip, memory_bandwidth=chip.memory_bandwidth * more)
    before, after = run(case, chip), run(case, fast)
    assert after.ttft <= before.ttft * (1 + 1e-12)
    assert after.tpot <= before.tpot * (1 + 1e-12)
    assert after.throughput >= before.throughput * (1 - 1e-12)


@draws(60)
@given(cases, st.floats(1.0, 4.0))
def test_more_arithmetic_is_never_slower(case: dict, more: float) -> None:
    """Nor is it at the same watts, where what they do not feed is clocked down."""
    chip = roomy(catalog.chip(case["chip"]))
    flops = {name: rate * more for name, rate in chip.flops.items()}
    least = run(case, chip).throughput * (1 - 1e-12)
    for power in (chip.power, chip.power * more):
        assert run(case, replace(chip, flops=flops, power=power)).throughput >= least


@draws(60)
@given(cases, st.floats(1.0, 4.0))
def test_more_memory_never_holds_less(case: dict, more: float) -> None:
    chip = catalog.chip(case["chip"])
    large = replace(chip, memory=chip.memory * more)
    # The engine's own limits step up with memory too; they may only rise.
    assert run(case, large).batch_limit >= run(case, chip).batch_limit


@draws(60)
@given(cases)
def test_longer_requests_take_longer_and_hold_fewer(case: dict) -> None:
    chip = catalog.chip(case["chip"])
    more = {"isl": 2 * case["isl"]}
    assert run(case, chip, **more).batch_limit <= run(case, chip).batch_limit
    wide = roomy(chip)
    assert run(case, wide, **more).ttft >= run(case, wide).ttft * (1 - 1e-12)


@draws(40)
@given(cases)
def test_parts_of_memory_add_up(case: dict) -> None:
    found = run(case, catalog.chip(case["chip"]))
    parts = (found.memory.weights, found.memory.kv, found.memory.activations)
    parts = (*parts, found.memory.buffers, found.memory.reserve)
    assert all(np.all(np.asarray(p) >= 0) for p in parts)
    total = float(np.sum([np.asarray(p) for p in parts]))
    if found.fits:
        assert total <= found.memory.capacity * (1 + 1e-9)


@draws(40)
@given(cases)
def test_power_lies_between_ready_and_rated(case: dict) -> None:
    chip = roomy(catalog.chip(case["chip"]))
    found = run(case, chip)
    rated = chip.power * found.chips
    assert GENERAL.shapes["power_ready"] * rated <= found.power <= rated * (1 + 1e-12)


@pytest.mark.parametrize("backend", engines.BACKENDS)
def test_every_engine_has_all_its_habits(backend: str) -> None:
    assert set(GENERAL.engines[backend].values) == set(GENERAL.engines["vllm"].values)
