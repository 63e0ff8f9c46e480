"""A training step: what it counts, how its parts add up, what it refuses."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from chipwise import catalog
from chipwise.catalog.training import network, training_calibration
from chipwise.errors import BadInput, Infeasible, NotCalibrated
from chipwise.perf import parameters
from chipwise.perf.training import (
    PRECISIONS,
    Demand,
    Layout,
    Training,
    crowding,
    demand,
    factors,
    floor,
    held_weights,
    model_flops,
    peak,
    resolve_stack,
    spend,
    trained,
)
from chipwise.plan.training import default_stack
from chipwise.types import Block, Model

KNOWN = training_calibration()


def gpt(layers=4, hidden=1024, heads=8, vocab=51200):
    parts = (
        Block("gqa", layers, {"heads": heads, "kv_heads": heads, "head_dim": hidden // heads}),
        Block("mlp", layers, {"ffn": 4 * hidden, "gated": 0}),
    )
    return Model("gpt", "gpt", parts, hidden, vocab, True, "bf16", 2048, layers)


@pytest.fixture(scope="module")
def a100():
    return catalog.chip("a100")


def step(training, layout, precision=None, stack="megatron-24.07"):
    known = factors(KNOWN, layout.chip, precision or training.precision, stack)
    return spend(demand(training, layout), known)


def test_model_flops_are_those_of_megatron():
    """96·s·l·h²·(1 + s/6h + V/16lh) with recomputation is 4/3 of it (arXiv:2104.04473)."""
    layers, hidden, seq, vocab = 96, 12288, 2048, 51200
    model = gpt(layers, hidden, 96, vocab)
    whole = 96 * layers * hidden**2 * (1 + seq / (6 * hidden) + vocab / (16 * layers * hidden))
    found = model_flops(Training(model, float(seq), 1.0))
    # Megatron's formula recomputes the layers but not the head.
    head = 6 * vocab * hidden
    assert found == pytest.approx((whole - head) * 3 / 4 + head, rel=1e-6)


def test_model_flops_of_a_mixture_count_what_a_token_passes(deepseek):
    """DeepSeek-V3 has 37 bn weights that a token passes (arXiv:2412.19437)."""
    assert model_flops(Training(deepseek, 2.0, 1.0)) == pytest.approx(6 * 37e9, rel=0.02)


def test_frozen_weights_need_a_third_less(llama2):
    whole = model_flops(Training(llama2, 8.0, 1.0))
    lora = model_flops(Training(llama2, 8.0, 1.0, frozen=1.0, rank=16))
    assert lora == pytest.approx(whole * 2 / 3, rel=0.01)


@pytest.mark.parametrize(("frozen", "rank", "share"), [(0, 0, 1), (0.25, 0, 0.75), (1, 0, 0)])
def test_the_share_that_learns(llama2, frozen, rank, share):
    assert trained(Training(llama2, 4096.0, 1.0, frozen=frozen, rank=rank)) == share


def test_adapters_are_a_small_share(llama2):
    assert 0 < trained(Training(llama2, 4096.0, 1.0, frozen=1.0, rank=16)) < 0.01


@pytest.mark.parametrize("degrees", [{}, {"tp": 4}, {"pp": 8}, {"tp": 2, "pp": 4, "interleave": 5}])
@pytest.mark.parametrize("recompute", ["none", "selective", "half", "full"])
def test_the_parts_add_up(llama2, a100, degrees, recompute):
    layout = Layout(a100, dp=8, recompute=recompute, **degrees)
    found = step(Training(llama2, 4096.0, 256.0), layout)
    assert sum(found.parts.values()) == pytest.approx(found.step)
    assert all(value >= 0 for value in found.parts.values())


def test_what_binds_adds_up_too(deepseek, h100):
    layout = Layout(h100, pp=8, ep=32, dp=64, interleave=2, link=50e9)
    found = step(Training(deepseek, 4096.0, 4096.0, "fp8"), layout)
    assert sum(found.bound.values()) == pytest.approx(found.step, rel=1e-6)


def test_one_layout_and_many_are_one_path(deepseek, h100):
    training = Training(deepseek, 4096.0, 2048.0, "fp8")
    degrees = {"tp": [1, 2, 4], "pp": [8, 4, 2], "ep": [32, 16, 8], "dp": [64, 64, 64]}
    many = Layout(h100, **{k: np.array(v, float) for k, v in degrees.items()}, link=50e9)
    together = step(training, many).step
    for i in range(3):
        one = Layout(h100, **{k: v[i] for k, v in degrees.items()}, link=50e9)
        assert step(training, one).step == pytest.approx(together[i])


def test_all_stages_hold_all_weights(llama2, a100):
    """With one stage a chip holds everything; eight ways of tensor hold an eighth each."""
    training = Training(llama2, 4096.0, 8.0)
    assert sum(held_weights(training, Layout(a100))) == parameters(llama2)
    assert sum(held_weights(training, Layout(a100, tp=8))) == parameters(llama2) / 8


def test_a_pipeline_waits_for_its_filling(llama2, a100):
    """(pp − 1)/(rounds·interleave) of the work (arXiv:2104.04473, section 2.2)."""
    training = Training(llama2, 4096.0, 64.0)
    plain = step(training, Layout(a100, pp=8, dp=1))
    chunks = step(training, Layout(a100, pp=8, dp=1, interleave=5))
    work = plain.step - plain.parts["bubble"] - plain.parts["optimiser"] - plain.parts["overhead"]
    assert plain.parts["bubble"] / work == pytest.approx(7 / 64, rel=1e-3)
    assert chunks.parts["bubble"] < plain.parts["bubble"] / 4


def test_recomputation_costs_a_forward_pass(llama2, a100):
    training = Training(llama2, 4096.0, 64.0)
    layout = Layout(a100, tp=4, dp=8)
    whole = step(training, replace(layout, recompute="full"))
    assert whole.parts["recompute"] == pytest.approx(whole.parts["forward"], rel=0.12)
    assert whole.hfu / whole.mfu == pytest.approx(4 / 3, rel=0.05)
    assert step(training, layout).parts["recompute"] == 0


def test_mfu_is_flops_over_peak(llama2, a100):
    training = Training(llama2, 4096.0, 64.0)
    found = step(training, Layout(a100, tp=8, dp=4))
    flops = model_flops(training) * found.rate
    assert found.mfu == pytest.approx(flops / a100.flops["bf16"])
    assert 0 < found.mfu < found.hfu + 1e-9 < 1


def test_nothing_crosses_a_wire_on_one_chip(a100):
    counted = demand(Training(gpt(), 2048.0, 8.0), Layout(a100))
    wires = ("tensor", "context", "inside", "beyond", "send", "gather", "exchange")
    assert [getattr(counted, name) for name in wires] == [0.0] * len(wires)


def test_a_ring_within_a_node_is_faster(llama2, h100):
    """The same gradients between eight chips of a node, and between chips of eight nodes."""
    training = Training(llama2, 4096.0, 64.0)
    inside = demand(training, Layout(h100, dp=8, link=50e9)).exchange
    beyond = demand(training, Layout(h100, tp=8, dp=8, link=50e9)).exchange * 8
    assert beyond == pytest.approx(inside * 450 / 50, rel=0.01)


def test_every_rail_of_a_node_carries_a_ring(llama2, h100):
    """All eight chips of each node take part: eight links enter it, as fast as its own."""
    training = Training(llama2, 4096.0, 128.0)
    one = demand(training, Layout(h100, dp=8, link=50e9)).exchange * 8 / 7
    many = demand(training, Layout(h100, dp=64, link=50e9)).exchange * 64 / 63
    assert many == pytest.approx(one * 450 / 400)


def test_a_router_that_sends_to_few_nodes_sends_less(deepseek, h100):
    training = Training(deepseek, 4096.0, 4096.0, "fp8")
    free = demand(training, Layout(h100, ep=64, dp=64, link=50e9)).beyond
    few = demand(training, Layout(h100, ep=64, dp=64, link=50e9, reach=4)).beyond
    # of eight nodes 5.25 are reached by eight draws, and 4 at most; an eighth stays at home
    assert few / free == pytest.approx(4 / (8 * (1 - (7 / 8) ** 8)))


def test_experts_stay_at_home_without_expert_parallelism(deepseek, h100):
    counted = demand(Training(deepseek, 4096.0, 64.0, "fp8"), Layout(h100, dp=8))
    assert counted.inside == counted.beyond == 0


def test_sharded_weights_are_gathered_for_each_micro_batch(llama2, h100):
    training = Training(llama2, 4096.0, 256.0)
    counted = demand(training, Layout(h100, dp=64, shard=3))
    assert counted.gather > 0
    assert counted.exchange == 0
    assert demand(training, Layout(h100, dp=64, shard=1)).gather == 0


def test_a_window_bounds_attention(h100):
    """Half of gpt-oss's layers see 128 keys: at 8k its attention is about half of a full one's."""
    oss = catalog.model("gpt-oss-120b")
    full = replace(
        oss,
        layers=tuple(
            replace(b, dims={k: v for k, v in b.dims.items() if k != "window"}) for b in oss.layers
        ),
    )
    windowed, whole = (
        demand(Training(m, 8192.0, 64.0), Layout(h100, dp=8)).attention for m in (oss, full)
    )
    assert windowed / whole == pytest.approx(0.5 + 0.5 * 256 / 8192, rel=0.02)


def test_more_layers_to_predict_ahead_cost_more(deepseek, h100):
    layout = Layout(h100, pp=1, ep=8, dp=64)
    plain = step(Training(deepseek, 4096.0, 1024.0, "fp8"), layout).step
    ahead = step(Training(deepseek, 4096.0, 1024.0, "fp8", ahead=1.0), layout).step
    assert 1.01 < ahead / plain < 1.05


def test_stated_overlap_takes_the_place_of_the_fitted(deepseek, h100):
    training = Training(deepseek, 4096.0, 1024.0, "fp8")
    counted = demand(training, Layout(h100, ep=8, dp=64))
    hidden, shown = (
        spend(counted, factors(KNOWN, h100, "fp8", "megatron", {"expert": share}))
        for share in (1.0, 0.0)
    )
    assert hidden.parts["expert"] == 0
    assert shown.parts["expert"] > 0


@pytest.mark.parametrize("name", ["fp8", "mxfp8", "nvfp4"])
def test_a_format_that_a_chip_lacks_is_refused(a100, name):
    with pytest.raises(BadInput, match="it can train in bf16, fp16"):
        peak(a100, name)


def test_an_unknown_precision_is_refused(a100):
    with pytest.raises(BadInput, match="known are bf16, fp16"):
        peak(a100, "fp12")


def test_a_release_falls_back_to_the_one_before_it():
    assert resolve_stack(KNOWN, "megatron-26.05") == "megatron-26.04"
    assert resolve_stack(KNOWN, "megatron-19.01") == "megatron-21.04"
    assert resolve_stack(KNOWN, "megatron") == "megatron-26.08"
    assert resolve_stack(KNOWN, "torchtitan") == "torchtitan"
    with pytest.raises(NotCalibrated, match="known are"):
        resolve_stack(KNOWN, "colossal")


def test_more_arithmetic_for_each_watt_is_less_of_it():
    full, half = catalog.chip("h100"), catalog.chip("nvidia-h100-sxm-96-500w")
    reference = full.flops["bf16"] / full.power
    assert crowding(full, reference, 0.3) == 1.0
    assert crowding(half, reference, 0.3) == pytest.approx((500 / 700) ** 0.3)
    assert crowding(replace(full, power=None), reference, 0.3) == 1.0


def test_no_fitted_share_is_above_all_of_it():
    for stack in KNOWN.engines:
        for name in ("a100", "h100", "b200", "mi300x", "tpu-v5p"):
            known = factors(KNOWN, catalog.chip(name), "bf16", stack)
            shares = [known[k] for k in ("gemm", "wide", "attention", "experts", "network")]
            shares += [v for k, v in known.items() if k.startswith("overlap_")]
            assert max(shares) <= 1.02, (stack, name)


def test_no_chip_of_the_catalog_is_given_more_than_its_rate():
    """Spare power lifts a cut-down chip's share, never above what chips are known to reach."""
    for name in catalog.chip_ids():
        chip = catalog.chip(name)
        for precision in PRECISIONS:
            try:
                peak(chip, precision)
                found = factors(KNOWN, chip, precision, default_stack(chip))
            except (BadInput, Infeasible):
                continue
            for kind in ("gemm", "wide", "attention", "experts"):
                assert found[kind] <= 0.9, (name, precision, kind)


@pytest.mark.parametrize("name", ["h100", "h20", "b200", "910c"])
def test_a_step_is_never_below_what_the_datasheet_allows(llama2, name):
    chip = catalog.chip(name)
    asked = demand(Training(llama2, 4096.0, 64.0), Layout(chip, tp=4, pp=2, dp=2, interleave=5))
    found = spend(asked, factors(KNOWN, chip, "bf16", default_stack(chip)))
    # At the floor a chip does what its datasheet says: causal attention is counted twice in MFU.
    least = asked.flops / (asked.limit * asked.chips)
    assert 0.9 * least < floor(asked) * asked.rounds / (asked.rounds + asked.fill) < least
    assert found.step > floor(asked)


def test_networks_are_known_of_every_chip():
    for name in catalog.chip_ids():
        assert 1e9 < network(catalog.chip(name)) < 1e12


def test_a_demand_is_finite(deepseek, h100):
    counted = demand(
        Training(deepseek, 4096.0, 4096.0, "fp8"), Layout(h100, pp=8, ep=64, dp=64, link=50e9)
    )
    for part in fields(Demand):
        assert np.all(np.isfinite(np.asarray(getattr(counted, part.name))))
