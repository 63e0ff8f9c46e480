"""Laws of a training step, whatever the layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import catalog
from chipwise.catalog.training import network, training_calibration
from chipwise.errors import Infeasible
from chipwise.perf.training import Layout, Training, demand, factors, spend
from chipwise.perf.training_memory import training_memory, training_total
from chipwise.plan.training import TrainingTerms, default_stack, search_training
from tests.draws import draws

KNOWN = training_calibration()
MODELS = {name: catalog.model(name) for name in ("llama-2-70b", "deepseek-v3", "gpt-oss-120b")}
CHIPS = {name: catalog.chip(name) for name in ("a100", "h100", "h20", "b200", "mi300x", "tpu-v5p")}

powers = st.sampled_from([1, 2, 4, 8])
layouts = st.builds(
    lambda chip, tp, pp, cp, dp, micro, shard, recompute: Layout(
        CHIPS[chip], tp, pp, cp, 1, dp, 1, micro, shard, recompute, network(CHIPS[chip])
    ),
    st.sampled_from(sorted(CHIPS)),
    powers,
    powers,
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 4, 16, 64]),
    st.sampled_from([1, 2]),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from(["none", "selective", "half", "full"]),
)
models = st.sampled_from(sorted(MODELS))


def trained(model, rounds, layout):
    return Training(MODELS[model], 4096.0, float(rounds * layout.dp * layout.micro))


def spent(training, layout, chip=None):
    known = factors(KNOWN, chip or layout.chip, training.precision, default_stack(layout.chip))
    return spend(demand(training, replace(layout, chip=chip or layout.chip)), known)


@given(models, st.integers(1, 64), layouts)
def test_parts_of_time_and_memory_add_up(model, rounds, layout):
    training = trained(model, rounds, layout)
    found = spent(training, layout)
    assert sum(found.parts.values()) == pytest.approx(float(found.step))
    assert min(map(float, found.parts.values())) >= 0
    memory = training_memory(training, layout)
    parts = ("weights", "gradients", "optimiser", "activations", "buffers")
    assert training_total(memory) == pytest.approx(sum(float(getattr(memory, p)) for p in parts))


@given(models, st.integers(1, 64), layouts)
def test_no_more_than_the_chip_can(model, rounds, layout):
    found = spent(trained(model, rounds, layout), layout)
    assert 0 < found.mfu <= found.hfu * (1 + 1e-9)
    # Causal attention is counted twice, so that half of its flops need no time.
    assert found.hfu < 1.3


@given(models, st.integers(1, 16), layouts, st.sampled_from(["memory_bandwidth", "flops", "link"]))
def test_a_better_chip_is_never_slower(model, rounds, layout, what):
    training = trained(model, rounds, layout)
    chip = layout.chip
    known = factors(KNOWN, chip, "bf16", default_stack(chip))
    better = {
        "memory_bandwidth": lambda: replace(
            layout, chip=replace(chip, memory_bandwidth=2 * chip.memory_bandwidth)
        ),
        "flops": lambda: replace(
            layout, chip=replace(chip, flops={k: 2 * v for k, v in chip.flops.items()})
        ),
        "link": lambda: replace(layout, link=2 * layout.link),
    }[what]()
    assert spend(demand(training, better), known).step <= spend(
        demand(training, layout), known
    ).step * (1 + 1e-9)


@given(models, st.integers(1, 32), layouts)
def test_twice_the_batch_takes_less_than_twice_as_long(model, rounds, layout):
    one, two = (spent(trained(model, n, layout), layout).step for n in (rounds, 2 * rounds))
    assert one < two <= 2 * one * (1 + 1e-9)


@given(models, st.integers(1, 16), layouts)
def test_recomputing_more_takes_longer_and_less_memory(model, rounds, layout):
    training = trained(model, rounds, layout)
    names = ("none", "selective", "full")
    steps = [float(spent(training, replace(layout, recompute=n)).step) for n in names]
    kept = [
        float(training_memory(training, replace(layout, recompute=n)).activations) for n in names
    ]
    assert steps[0] <= steps[1] * (1 + 1e-9)
    assert steps[1] <= steps[2] * (1 + 1e-9)
    assert kept == sorted(kept, reverse=True)


@given(models, st.integers(1, 16), layouts)
def test_more_sharding_is_never_more_state(model, rounds, layout):
    training = trained(model, rounds, layout)
    held = []
    for shard in (0, 1, 2, 3):
        memory = training_memory(training, replace(layout, shard=shard))
        held.append(float(memory.weights + memory.gradients + memory.optimiser))
    assert held == sorted(held, reverse=True)


@given(models, st.integers(1, 16), layouts, st.floats(0, 1))
def test_hiding_more_is_never_slower(model, rounds, layout, share):
    training = trained(model, rounds, layout)
    stack = default_stack(layout.chip)
    names = ("tensor", "context", "gather", "exchange")
    steps = [
        spend(
            demand(training, layout),
            factors(KNOWN, layout.chip, "bf16", stack, dict.fromkeys(names, hidden)),
        ).step
        for hidden in (0.0, share, 1.0)
    ]
    assert steps[0] >= steps[1] * (1 - 1e-9)
    assert steps[1] >= steps[2] * (1 - 1e-9)


@draws(12)
@given(
    st.sampled_from(["llama-2-70b", "deepseek-v3"]),
    st.sampled_from(["h100", "h20", "b200"]),
    st.sampled_from([64, 128, 256, 512]),
)
def test_more_chips_are_not_slower_unless_transfers_say_so(model, chip, chips):
    """At a fixed batch twice the chips are faster, or their transfers and waits are what grew."""
    on = CHIPS[chip]
    training = Training(MODELS[model], 4096.0, 1024.0)
    terms = TrainingTerms(KNOWN, default_stack(on), network(on))
    try:
        few, many = (search_training(training, on, n, terms) for n in (chips, 2 * chips))
    except Infeasible:
        return
    if many.step.value > few.step.value:
        assert many.bound in ("network", "bubble", "host")
        assert many.notes


@given(models, st.sampled_from(sorted(CHIPS)), st.integers(1, 6))
def test_a_longer_sequence_takes_longer(model, chip, doubling):
    layout = Layout(CHIPS[chip], tp=8, dp=8, link=network(CHIPS[chip]))
    seq = np.array([1024.0, 1024.0 * 2**doubling])
    found = spend(
        demand(Training(MODELS[model], seq, 64.0), layout),
        factors(KNOWN, CHIPS[chip], "bf16", default_stack(CHIPS[chip])),
    )
    assert found.step[1] > found.step[0]
