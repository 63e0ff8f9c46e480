"""What a profile times, and the work that each case is counted as."""

from __future__ import annotations

import pytest

from chipwise.profile import LARGE, SMALL, planned
from chipwise.profile.cases import Case, key, shapes, work


@pytest.mark.parametrize(
    ("case", "flops", "bytes_"),
    [
        (Case("gemm", "fp32", {"m": 2, "n": 3, "k": 5}), 60, 3 * 5 * 4 + 2 * 2 * 8),
        (Case("gemm", "fp8", {"m": 2, "n": 3, "k": 5}), 60, 3 * 5 + 2 * 2 * 8),
        (Case("copy", "fp32", {"bytes": 64}), 0, 128),
        (
            Case(
                "attention_decode",
                "bf16",
                {"batch": 2, "context": 10, "heads": 4, "kv_heads": 2, "head_dim": 8},
            ),
            20 * 4 * 4 * 8,
            20 * 2 * 2 * 8 * 2,
        ),
        (
            Case(
                "attention_prefill",
                "bf16",
                {"tokens": 6, "heads": 2, "kv_heads": 1, "head_dim": 4},
            ),
            18 * 4 * 2 * 4,
            0,
        ),
        (Case("elementwise", "fp32", {"tokens": 3, "hidden": 4}), 0, 24),
    ],
)  # fmt: skip
def test_work_is_counted_by_hand(case, flops, bytes_):
    found = work(case)
    assert (float(found.flops), float(found.bytes)) == (flops, bytes_)


def test_a_sum_over_ranks_sends_what_a_ring_sends():
    found = work(Case("all_reduce", "bf16", {"bytes": 1000, "ranks": 4}))
    assert float(found.wire) == pytest.approx(1000 * 2 * 3 / 4)
    assert float(found.messages) == 1.0


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_cases_are_told_apart_and_within_the_limit(size):
    every = shapes(size, ("bf16", "fp8"), 4)
    assert len({key(c) for c in every}) == len(every)
    assert all(float(work(c).flops) <= size.flops for c in every)
    kinds = {c.op for c in every}
    assert kinds == {
        *("copy", "gemm", "attention_decode", "attention_prefill", "elementwise", "all_reduce")
    }


def test_one_device_sums_nothing_and_steps_come_last():
    every = planned("small", ("fp32",))
    assert "all_reduce" not in {c.op for c in every}
    at = [i for i, c in enumerate(every) if c.op == "step"]
    assert at == list(range(len(every) - len(at), len(every)))


def test_no_step_has_the_shapes_of_a_timed_product():
    """The check is of shapes that the fit has not seen."""
    timed = {(c.shape["n"], c.shape["k"]) for c in planned("small", ("fp32",)) if c.op == "gemm"}
    hidden, ffn, qkv, head = 768, 2048, (12 + 2 * 4) * 64, 8000
    products = {(qkv, hidden), (hidden, hidden), (2 * ffn, hidden), (hidden, ffn), (head, hidden)}
    assert not timed & products
