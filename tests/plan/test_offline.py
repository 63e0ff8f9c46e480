"""Runs that report a rate: what must hold of batches, bursts, loops and single phases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipwise import catalog
from chipwise.errors import Infeasible
from chipwise.plan import offline as module
from chipwise.plan.offline import LOADS, Offline, Outcome, offline
from chipwise.types import Calibration, Chip, Model, Workload


@pytest.fixture
def run(llama2: Model, h100: Chip) -> Offline:
    return Offline(llama2, h100, "vllm", "fp8", "bf16", 4, Workload(512.0, 256.0), tp=4)


def _in(run: Offline, how: str, clients: float | None, calibration: Calibration) -> Outcome:
    return offline(replace(run, how=how, clients=clients), calibration)


@pytest.mark.parametrize("how", LOADS)
def test_every_load_gives_a_rate(run: Offline, general: Calibration, how: str) -> None:
    found = _in(run, how, 16.0, general)
    assert found.rate > 0
    assert found.degrees == (4, 1, 1, 1)
    assert (found.ttft > 0) == (how != "decode")
    assert (found.tpot > 0) == (how != "prefill")


def test_a_static_batch_takes_its_prompts_and_then_its_steps(
    run: Offline, general: Calibration
) -> None:
    found = _in(run, "static", 16.0, general)
    # One chunk of 8,192 tokens: all first tokens come together.
    whole = found.ttft + 255 * found.tpot
    assert found.rate == pytest.approx(16 * 256 / whole, rel=1e-9)


def test_more_clients_yield_more_and_wait_longer(run: Offline, general: Calibration) -> None:
    found = [_in(run, "steady", c, general) for c in (1.0, 8.0, 64.0)]
    assert found[0].rate < found[1].rate < found[2].rate
    assert found[0].tpot < found[1].tpot < found[2].tpot


def test_what_is_left_open_is_chosen_to_yield_most(run: Offline, general: Calibration) -> None:
    best = offline(replace(run, tp=None, clients=None), general)
    for clients in (8.0, 64.0, 256.0):
        for tp in (1, 2, 4):
            try:
                told = offline(replace(run, tp=tp, clients=clients), general)
            except Infeasible:
                continue
            assert told.rate <= best.rate * 1.01


def test_limits_are_kept_and_cost_rate(run: Offline, general: Calibration) -> None:
    free = offline(run, general)
    held = offline(replace(run, load=replace(run.load, tpot=0.02)), general)
    assert held.tpot <= 0.02 < free.tpot
    assert held.rate < free.rate
    rates = [
        offline(replace(run, load=replace(run.load, ttft=limit)), general).rate
        for limit in (0.3, 1.0, 100.0)
    ]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(free.rate, rel=0.01)


def test_a_queue_is_never_wholly_used() -> None:
    service = np.array([1e-3, 0.1, 1.0, 5.0])
    found = module._utilisation(service, 2.0)
    assert np.all((found >= 0) & (found < 1))
    assert np.all(np.diff(found) < 0)


def test_a_burst_ends_in_a_tail(run: Offline, general: Calibration) -> None:
    """So many at once yield less than as many that come back, the more so of unequal lengths."""
    loop = _in(run, "loop", 64.0, general)
    alike = _in(run, "burst", 64.0, general)
    varied = offline(replace(run, how="burst", clients=64.0, uneven=module.EXPONENTIAL), general)
    assert varied.rate < alike.rate < loop.rate * 1.1
    assert varied.rate < 0.7 * loop.rate


def test_lengths_keep_their_means(run: Offline) -> None:
    for uneven in (1.0, module.EXPONENTIAL):
        isl, osl = module._lengths(replace(run, uneven=uneven), 1000)
        assert isl.mean() == pytest.approx(512, rel=0.03)
        assert osl.mean() == pytest.approx(256, rel=0.02)
        assert (np.unique(isl).size > 1) is (uneven > 1.0)
        assert isl.min() >= 1
        assert isl.max() <= 2048


def test_long_outputs_are_met_oftener_than_they_are_sent(
    run: Offline, general: Calibration
) -> None:
    """Of lengths drawn, a sequence in flight holds E[L²]/2E[L] of its output in the mean."""
    exponential = np.random.default_rng(0).exponential(256.0, 400_000)
    met = np.average(exponential, weights=exponential) / 2.0
    varied = replace(run, uneven=module.EXPONENTIAL)
    assert module._context(varied) - 512.0 == pytest.approx(met, rel=0.01)
    # They take more cache each, so that fewer fit, and each step reads more of it.
    assert offline(varied, general).rate < offline(run, general).rate
    assert offline(varied, general).batch <= offline(run, general).batch


def test_a_bound_on_sequences_bounds_the_rate(run: Offline, general: Calibration) -> None:
    few, many = (offline(replace(run, most=n), general) for n in (8, 512))
    assert few.batch <= 8
    assert few.rate < many.rate


def test_an_eager_engine_is_slower_and_a_compiled_one_quicker_to_the_first_token(
    run: Offline, general: Calibration
) -> None:
    usual = _in(run, "steady", 1.0, general)
    ascend = replace(run, chip=catalog.chip("ascend-910b3"), weights="bf16", kv="bf16", clients=1.0)
    eager, graphs = (offline(replace(ascend, eager=known), general) for known in (True, False))
    compiled = offline(replace(run, clients=1.0, compiled=True), general)
    assert eager.tpot > 1.2 * graphs.tpot
    assert compiled.ttft < usual.ttft


def test_guesses_that_pass_make_tokens_come_sooner(run: Offline, general: Calibration) -> None:
    for how in ("steady", "static", "burst", "loop", "decode"):
        plain = _in(run, how, 4.0, general)
        guessed = offline(replace(run, how=how, clients=4.0, drafted=2.0, accepted=1.8), general)
        assert 0.99 * plain.tpot / 1.8 < guessed.tpot < plain.tpot
        assert plain.rate < guessed.rate < 1.8 * plain.rate * 1.01


def test_prompts_alone_are_paid_by_the_token(run: Offline, general: Calibration) -> None:
    one = _in(run, "prefill", 1.0, general)
    assert one.rate == pytest.approx(512 / one.ttft, rel=1e-6)
    many = _in(run, "prefill", None, general)
    assert many.rate > 1.3 * one.rate
    # A second replica does not make one prompt quicker.
    wide = offline(replace(run, how="prefill", clients=1.0, chips=8), general)
    assert wide.ttft == pytest.approx(one.ttft)


def test_attention_on_every_rank_of_many_servers(general: Calibration, deepseek: Model) -> None:
    chip = catalog.chip("h20-96")
    run = Offline(
        deepseek, chip, "sglang", "fp8", "fp8", 16, Workload(4096.0, 1536.0), 512.0, "decode",
        tp=1, pp=1, ep=16, dp=16,
    )  # fmt: skip
    found = offline(run, general)
    assert found.degrees == (1, 1, 16, 16)
    assert found.rate == pytest.approx(512 / found.tpot, rel=1e-9)


def test_what_cannot_be_says_why(run: Offline, general: Calibration) -> None:
    with pytest.raises(Infeasible, match=r"bf16 does not fit 1 NVIDIA H100.* with tp 1"):
        offline(replace(run, weights="bf16", chips=1, tp=1), general)
    with pytest.raises(Infeasible, match=r"with tp 3: no legal division"):
        offline(replace(run, chips=3, tp=3), general)


def test_a_model_too_large_for_a_layer_division_takes_stages(general: Calibration) -> None:
    model, chip = catalog.model("llama-3.1-405b"), catalog.chip("l40s")
    found = offline(
        Offline(model, chip, "vllm", "fp8", "bf16", 16, Workload(128.0, 128.0)), general
    )
    assert found.degrees[1] > 1
