"""What a profile times, and the work that each case is counted as."""

from __future__ import annotations

from itertools import pairwise

import pytest

from chipwise.profile import CONFIGS, LARGE, SMALL, planned
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
        (Case("elementwise", "fp32", {"sequences": 3, "prompt": 0, "hidden": 4}), 0, 24),
        (Case("elementwise", "fp32", {"sequences": 0, "prompt": 3, "hidden": 4}), 0, 24),
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


def test_one_device_sums_nothing_and_steps_stand_among_the_operators():
    every = planned("small", ("fp32",))
    assert "all_reduce" not in {c.op for c in every}
    assert len({key(c) for c in every}) == len(every)
    assert {key(c) for c in shapes(SMALL, ("fp32",))} < {key(c) for c in every}
    at = [i for i, c in enumerate(every) if c.op == "step"]
    apart = {after - before for before, after in pairwise(at)}
    assert len(at) > 5
    assert max(apart) - min(apart) <= 1


@pytest.mark.parametrize("size", ["small", "large"])
def test_no_step_has_the_shapes_of_a_timed_operator(size):
    """The check is of shapes that the fit has not seen: products, caches, widths and lengths."""
    every = planned(size, ("fp32",))
    config = CONFIGS[size]
    hidden, ffn, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    products = {
        ((heads + 2 * shared) * dim, hidden),
        (hidden, heads * dim),
        (2 * ffn, hidden),
        (hidden, ffn),
        (config["vocab_size"], hidden),
    }

    def timed(op, *names):
        return {tuple(c.shape[n] for n in names) for c in every if c.op == op}

    assert not products & timed("gemm", "n", "k")
    for op in ("attention_decode", "attention_prefill"):
        assert (heads, shared, dim) not in timed(op, "heads", "kv_heads", "head_dim")
    assert (hidden,) not in timed("elementwise", "hidden")
    steps = timed("step", "prompt", "sequences", "context")
    assert not {(prompt,) for prompt, _, _ in steps} & timed("attention_prefill", "tokens")
    assert not {(s, c) for _, s, c in steps} & timed("attention_decode", "batch", "context")
