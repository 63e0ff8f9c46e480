"""Memory of a training by part."""

from __future__ import annotations

import numpy as np
import pytest

from chipwise import catalog
from chipwise.perf import parameters
from chipwise.perf.training import Layout, Training
from chipwise.perf.training_memory import training_memory, training_total


@pytest.fixture(scope="module")
def a100():
    return catalog.chip("a100")


def test_sixteen_bytes_a_weight_without_sharding(llama2, a100):
    """bf16 weights, fp32 gradients, master weights and two moments: 2 + 4 + 12."""
    found = training_memory(Training(llama2, 2048.0, 8.0), Layout(a100, tp=8, shard=0))
    held = found.weights + found.gradients + found.optimiser
    assert held == pytest.approx(18 * parameters(llama2) / 8)


@pytest.mark.parametrize(("shard", "bytes_"), [(0, 18), (1, 6 + 12 / 64), (2, 2 + 16 / 64)])
def test_each_stage_of_zero_shards_more(llama2, a100, shard, bytes_):
    found = training_memory(Training(llama2, 2048.0, 64.0), Layout(a100, dp=64, shard=shard))
    held = found.weights + found.gradients + found.optimiser
    assert held == pytest.approx(bytes_ * parameters(llama2))


def test_fully_sharded_weights_are_gathered_by_layer(llama2, a100):
    found = training_memory(Training(llama2, 2048.0, 64.0), Layout(a100, dp=64, shard=3))
    held = found.weights + found.gradients + found.optimiser
    assert held == pytest.approx(18 * parameters(llama2) / 64)
    plain = training_memory(Training(llama2, 2048.0, 64.0), Layout(a100, dp=64, shard=1))
    assert found.buffers - plain.buffers == pytest.approx(2 * 2 * parameters(llama2) / 80)


def test_the_parts_add_up(deepseek, h100):
    found = training_memory(
        Training(deepseek, 4096.0, 4096.0, "fp8"), Layout(h100, pp=8, ep=32, dp=64)
    )
    parts = (found.weights, found.gradients, found.optimiser, found.activations, found.buffers)
    assert training_total(found) == pytest.approx(sum(parts))


def test_recomputation_keeps_less(llama2, a100):
    kept = [
        training_memory(
            Training(llama2, 2048.0, 64.0), Layout(a100, tp=8, pp=4, dp=2, recompute=name)
        ).activations
        for name in ("none", "selective", "half", "full")
    ]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < kept[0] / 5


def test_interleaving_keeps_a_chunk_more(llama2, a100):
    """L·(1 + (p − 1)/(p·m)) layers' activations (arXiv:2205.05198, section 4.2.3)."""
    training = Training(llama2, 2048.0, 64.0)
    plain, chunks = (
        training_memory(training, Layout(a100, tp=8, pp=8, interleave=v)).activations
        for v in (1, 5)
    )
    assert chunks / plain == pytest.approx(1 + 7 / 40, rel=0.02)


def test_a_frozen_base_has_no_state(llama2, a100):
    training = Training(llama2, 2048.0, 64.0, frozen=1.0, rank=16)
    found = training_memory(training, Layout(a100, tp=8, dp=2))
    assert found.gradients + found.optimiser < 0.05 * found.weights


def test_experts_are_spread(deepseek, h100):
    training = Training(deepseek, 4096.0, 4096.0, "fp8")
    one, many = (
        training_memory(training, Layout(h100, pp=8, ep=ep, dp=64)).weights for ep in (1, 64)
    )
    assert many < one / 20


def test_many_layouts_at_once(llama2, a100):
    tp = np.array([1.0, 2.0, 4.0, 8.0])
    many = training_total(training_memory(Training(llama2, 2048.0, 64.0), Layout(a100, tp=tp)))
    for degree, total in zip(tp, many, strict=True):
        one = training_memory(Training(llama2, 2048.0, 64.0), Layout(a100, tp=degree))
        assert training_total(one) == pytest.approx(total)
