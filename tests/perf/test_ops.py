"""Operators: their counts against a plain NumPy count, and arrays against numbers."""

from __future__ import annotations

import numpy as np
import pytest

from chipwise.perf import ops
from chipwise.registry import OPERATORS
from chipwise.types import Work

# Arguments by operator class: a shape, and which of them make it larger.
SHAPES: dict[str, dict[str, float]] = {
    "gemm": {"m": 3, "n": 5, "k": 7, "width": 2.0},
    "experts": {"tokens": 4, "active": 3, "topk": 2, "weights": 30, "width": 1.0, "ranks": 2},
    "permute": {"tokens": 4, "topk": 2, "hidden": 8, "passes": 5, "ranks": 2},
    "attention_decode": {"keys": 100, "flops": 64, "bytes": 16},
    "attention_prefill": {"pairs": 50, "flops": 64},
    "state_update": {"sequences": 3, "state": 128},
    "elementwise": {"tokens": 4, "hidden": 8, "passes": 10},
    "all_reduce": {"tokens": 4, "hidden": 8, "ranks": 4, "growth": 0.15},
    "all_to_all": {"tokens": 4, "topk": 2, "hidden": 8, "ranks": 4},
    "send": {"bytes": 100, "hops": 2},
}
FIELDS = ("flops", "bytes", "wire", "messages")


def test_every_operator_is_tried() -> None:
    assert set(SHAPES) == set(OPERATORS)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_numbers_equal_arrays(name: str) -> None:
    shape = SHAPES[name]
    one: Work = OPERATORS[name](**shape)
    many: Work = OPERATORS[name](**{k: np.array([v, 2.0 * v]) for k, v in shape.items()})
    for field in FIELDS:
        first = np.broadcast_to(getattr(many, field), 2)[0]
        assert first == pytest.approx(getattr(one, field), rel=1e-15)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_work_is_not_negative_and_grows_with_each_shape(name: str) -> None:
    shape = SHAPES[name]
    base: Work = OPERATORS[name](**shape)
    for key in shape:
        more: Work = OPERATORS[name](**{**shape, key: 2.0 * shape[key]})
        for field in FIELDS:
            before, after = getattr(base, field), getattr(more, field)
            assert before >= 0
            if key == "ranks" and name in ("experts", "permute"):
                assert after <= before
            else:
                assert after >= before


def test_gemm_counts_what_a_loop_counts() -> None:
    m, n, k = 3, 5, 7
    multiplications = sum(1 for _ in np.ndindex(m, n, k))
    found = ops.gemm(m, n, k, 1.0)
    assert found.flops == 2 * multiplications
    assert found.bytes == n * k * 1.0 + 2 * (m * k + m * n)


def test_experts_count_what_a_loop_counts() -> None:
    rng = np.random.default_rng(0)
    tokens, experts, topk, weights = 6, 8, 2, 30
    chosen = [rng.choice(experts, topk, replace=False) for _ in range(tokens)]
    flops = sum(2 * weights for expert in chosen for _ in expert)
    active = len(set(np.concatenate(chosen)))
    found = ops.experts(tokens, active, topk, weights, 2.0, 1)
    assert found.flops == flops
    assert found.bytes == active * weights * 2.0


def test_distinct_experts_against_drawing() -> None:
    rng = np.random.default_rng(1)
    drawn = [
        len({int(e) for _ in range(40) for e in rng.choice(128, 8, replace=False)})
        for _ in range(300)
    ]
    assert ops.distinct_experts(40, 128, 8, 1.0) == pytest.approx(np.mean(drawn), rel=0.01)


def test_one_rank_sends_nothing() -> None:
    assert ops.all_reduce(10, 64, 1, 0.15).wire == 0
    assert ops.all_reduce(10, 64, 1, 0.15).messages == 0
    assert ops.all_to_all(10, 8, 64, 1).messages == 0
