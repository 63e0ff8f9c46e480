"""Blocks: parameters from dimensions, and shards that add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest

from chipwise.errors import BadInput
from chipwise.perf.blocks import layers, parameters
from chipwise.perf.formats import WEIGHT_WIDTH
from chipwise.perf.memory import kv_bytes, weight_bytes
from chipwise.registry import BLOCKS
from chipwise.types import Block, Chip, Model, Side

TRIED = {
    "gqa": {"heads": 8, "kv_heads": 4, "head_dim": 16, "window": 0},
    "mla": {"heads": 8, "q_rank": 32, "kv_rank": 24, "nope": 16, "rope": 8, "v_dim": 16},
    "dsa": {
        "heads": 8,
        "q_rank": 32,
        "kv_rank": 24,
        "nope": 16,
        "rope": 8,
        "v_dim": 16,
        "index_heads": 4,
        "index_dim": 8,
        "topk": 64,
        "index_every": 1,
    },
    "csa": {
        "heads": 8,
        "head_dim": 16,
        "q_rank": 32,
        "o_rank": 8,
        "o_groups": 2,
        "rope": 8,
        "window": 32,
        "ratio": 4,
        "index_heads": 4,
        "index_dim": 8,
        "topk": 16,
    },
    "delta": {"key_heads": 4, "value_heads": 8, "key_dim": 16, "value_dim": 16, "conv": 4},
    "mamba": {"heads": 8, "head_dim": 16, "state": 16, "groups": 2, "conv": 4},
    "mlp": {"ffn": 128, "gated": 1},
    "moe": {"experts": 8, "topk": 2, "ffn": 32, "gated": 1, "shared": 16, "latent": 0},
}


def toy(kind: str) -> Model:
    return Model("toy", "toy", (Block(kind, 3, TRIED[kind]),), 64, 100, False, "bf16", None, 3)


def test_every_block_is_tried() -> None:
    assert set(TRIED) == set(BLOCKS)


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_bf16_bytes_are_twice_the_parameters(kind: str, h100: Chip) -> None:
    network = toy(kind)
    assert weight_bytes(network, "bf16", Side(h100)) == pytest.approx(2 * parameters(network))


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_shards_hold_the_whole(kind: str, h100: Chip) -> None:
    network = toy(kind)
    whole = weight_bytes(network, "bf16", Side(h100))
    for tp in (2, 4):
        part = weight_bytes(network, "bf16", Side(h100, tp=tp))
        assert whole / tp <= part <= whole
        if kind in ("gqa", "mlp", "delta", "mamba"):
            assert part * tp == pytest.approx(whole)


def test_parameters_by_hand() -> None:
    # 3 × (gate, up, down of 64×128) + embedding and head of 100×64
    assert parameters(toy("mlp")) == 3 * 3 * 64 * 128 + 2 * 100 * 64
    # q 128×64, k and v 64×64 each, o 64×128
    assert parameters(toy("gqa")) == 3 * (128 * 64 + 2 * 64 * 64 + 64 * 128) + 2 * 100 * 64


def test_cache_of_llama2_by_hand(llama2: Model, h100: Chip) -> None:
    # key and value of 8 heads × 128 in 80 layers, two bytes each
    assert kv_bytes(llama2, "bf16", Side(h100), 1) == 2 * 8 * 128 * 80 * 2
    assert kv_bytes(llama2, "fp8", Side(h100, tp=8), 1) == 2 * 1 * 128 * 80
    # beyond the heads, tensor parallelism repeats the cache
    assert kv_bytes(llama2, "fp8", Side(h100, tp=16), 1) == 2 * 1 * 128 * 80


def test_latent_cache_is_not_divided(deepseek: Model, h100: Chip) -> None:
    one, eight = (kv_bytes(deepseek, "bf16", Side(h100, tp=tp), 1000) for tp in (1, 8))
    assert one == eight == 576 * 61 * 2 * 1000


def test_windows_stop_growing(gptoss: Model, h100: Chip) -> None:
    short, long = (float(kv_bytes(gptoss, "bf16", Side(h100), n)) for n in (128, 1_000_000))
    full = 18 * 2 * 8 * 64 * 2
    assert short == pytest.approx(2 * full * 128)
    assert long == pytest.approx(full * (1_000_000 + 128))


def test_unknown_kind_is_refused() -> None:
    odd = Model("odd", "odd", (Block("perceptron", 1, {}),), 8, 8, False, "bf16", None, 1)
    with pytest.raises(BadInput, match="unknown block kind 'perceptron'; known are csa, delta"):
        layers(odd)


def test_four_bit_mixtures_keep_attention_in_bf16(gptoss: Model, h100: Chip) -> None:
    stored = float(np.asarray(weight_bytes(gptoss, "mxfp4", Side(h100))))
    routed = 36 * 128 * 3 * 2880 * 2880
    rest = parameters(gptoss) - routed
    assert stored == pytest.approx(routed * WEIGHT_WIDTH["mxfp4"] + 2 * rest)
