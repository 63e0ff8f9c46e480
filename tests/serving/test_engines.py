"""What tells the engines apart, and what holds for all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import serving
from chipwise.errors import BadInput
from chipwise.types import Prompts, StepTable
from tests.draws import draws

SECOND = StepTable(base=1.0)
TABLE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)


def play(arrival, isl, osl, table=SECOND, **kw):
    kw.setdefault("blocks", 1000)
    return serving.simulate(table, arrival, isl, osl, record_steps=True, **kw)


def test_sglang_never_mixes_prefill_and_decode_and_vllm_does():
    load = ([0.0, 2.5], [100, 100], [10, 10])
    alone = play(*load, scheduler="sglang")
    assert not (alone.steps["prefill_tokens"] * alone.steps["decode_tokens"]).any()
    # The first request stands still for the step in which the second is prefilled.
    assert list(alone.finish) == [11.0, 13.0]
    assert list(play(*load, scheduler="vllm").finish) == [10.0, 13.0]


def test_sglang_looks_at_its_queue_every_so_many_decodes():
    load = ([0.0, 1.5], [10, 10], [30, 2])
    assert play(*load, scheduler="sglang").scheduled[1] == 2.0
    # The last look is at 1, after the prefill; ten decodes later is the next.
    assert play(*load, scheduler="sglang", poll=10).scheduled[1] == 11.0


def test_sglang_charges_the_running_less_the_less_conservative_it_is():
    load = ([0.0, 0.0], [100, 100], [400, 400])
    careful, bold = (
        play(*load, scheduler="sglang", blocks=50, conservativeness=c) for c in (1.3, 0.3)
    )
    assert careful.scheduled[1] > bold.scheduled[1]
    exact = play(*load, scheduler="sglang", blocks=50, ignore_eos=True)
    assert exact.preemptions == 0
    assert exact.scheduled[1] >= careful.scheduled[1]


def test_sglangs_radix_tree_keeps_prompts_and_outputs():
    prompts = Prompts(
        offset=np.array([0, 1, 4]),
        ident=np.array([1, 1, -5, 2]),
        length=np.array([64, 64, 32, 32]),
        output=np.array([-5, -6]),
    )
    run = play([0.0, 100.0], [64, 128], [32, 8], scheduler="sglang", prefix_caching=True,
               prompts=prompts)  # fmt: skip
    # The last output token's KV is never written, so its block is not full.
    assert list(run.cached) == [0, 80]
    assert run.steps["prefill_tokens"].sum() == 64 + 48


def test_trtllm_takes_prompts_whole_and_vllm_can_be_told_to():
    load = ([0.0, 0.0], [60, 60], [3, 3])
    for name, flags in (("trtllm", {}), ("vllm", {"chunked": False})):
        run = play(*load, scheduler=name, max_tokens=100, max_seqs=100, **flags)
        assert list(run.steps["prefill_tokens"][:2]) == [60, 60]
        with pytest.raises(BadInput, match="60 prompt tokens, but an iteration takes 50"):
            play(*load, scheduler=name, max_tokens=50, **flags)
    cut = play(*load, scheduler="trtllm", max_tokens=100, chunked=True)
    assert list(cut.steps["prefill_tokens"][:2]) == [100, 20]


def test_trtllm_never_pauses_unless_it_packs():
    load = ([0.0] * 4, [64] * 4, [200] * 4)
    safe = play(*load, scheduler="trtllm", blocks=40)
    packed = play(*load, scheduler="trtllm", blocks=40, policy="max_utilisation")
    assert safe.preemptions == 0
    assert packed.preemptions > 0
    assert packed.steps["n_running"].max() > safe.steps["n_running"].max() == 2


def test_trtllm_holds_prompts_back_until_enough_have_come():
    load = ([0.0, 1.5, 1.6], [10, 40, 40], [40, 5, 5])
    held = play(*load, scheduler="trtllm", max_tokens=100, wait=20)
    # Two prompts and a decode are 81 of 100: less than 0.9, so twenty iterations pass.
    assert list(held.scheduled) == [0.0, 22.0, 22.0]
    filled = play(*load, scheduler="trtllm", max_tokens=90, wait=20)
    assert list(filled.scheduled) == [0.0, 2.0, 2.0]


def test_a_reused_prefix_is_not_reserved_twice():
    prompts = Prompts(
        np.array([0, 1, 2]), np.array([1, 1]), np.array([320, 320]), np.array([-1, -2])
    )
    run = play([0.0, 1.0], [320, 320], [16, 16], scheduler="trtllm", blocks=25,
               prefix_caching=True, prompts=prompts)  # fmt: skip
    assert list(run.cached) == [0, 304]
    assert run.scheduled[1] == 1.0


@pytest.mark.parametrize("flags", [{"asynchronous": True}, {"draft": 1}, {"priority": [1.0]}])
@pytest.mark.parametrize("name", ["sglang", "trtllm"])
def test_what_an_engine_does_not_simulate_is_refused(name, flags):
    with pytest.raises(BadInput, match=f"vllm only, not for {name}"):
        play([0.0], [10], [5], scheduler=name, **flags)


loads = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 100), st.integers(1, 80)), min_size=1, max_size=25
)


@draws(150)
@given(
    loads,
    st.sampled_from(["vllm", "sglang", "trtllm"]),
    st.integers(12, 60),
    st.integers(1, 6),
    st.sampled_from([100, 300]),
    st.sampled_from([1, 16]),
    st.booleans(),
    st.sampled_from(["no_evict", "max_utilisation"]),
    st.sampled_from([0, 3]),
    st.sampled_from([1.0, 4.5]),
    st.sampled_from([0, 4]),
)
def test_every_request_ends_and_every_token_is_counted_once(
    load, name, blocks, seqs, tokens, size, caching, policy, wait, poll, clients
):
    load = sorted(load)
    isl, osl = [isl for _, isl, _ in load], [osl for _, _, osl in load]
    shared = Prompts(
        np.arange(len(load) + 1), np.array(isl) % 2, np.array(isl), np.full(len(load), -1)
    )
    run = play(
        None if clients else [gap * 0.1 for gap, _, _ in load], isl, osl, TABLE, scheduler=name,
        concurrency=clients or None, blocks=blocks * 16 // size, block_size=size, max_seqs=seqs,
        max_tokens=tokens, prefix_caching=caching, prompts=shared if caching else None,
        policy=policy, wait=wait, poll=poll, conservativeness=0.5, ratio_steps=20, margin=5,
    )  # fmt: skip
    steps = run.steps
    assert (run.arrival <= run.scheduled).all()
    assert (run.scheduled < run.first).all()
    assert (run.first <= run.finish).all()
    assert run.gaps[1].sum() == sum(osl) - len(osl)
    assert run.gap_sum == pytest.approx(sum(run.finish - run.first))
    computed = steps["prefill_tokens"].sum() + steps["decode_tokens"].sum()
    needed = sum(isl) + sum(osl) - len(osl)
    if not caching:
        assert computed == needed if run.preemptions == 0 else computed >= needed
    elif run.preemptions == 0:
        assert computed == needed - run.cached.sum()
    assert (steps["free_blocks"] >= 0).all()
    assert (steps["n_running"] <= seqs).all()
    assert (steps["prefill_tokens"] <= tokens).all()
    assert (steps["t_start"][1:] >= steps["t_end"][:-1]).all()
    # No starvation: first come, first admitted.
    assert clients or (np.diff(run.scheduled) >= 0).all()
    # Work conservation: nobody waits for nothing.
    idle = np.flatnonzero(steps["t_start"][1:] > steps["t_end"][:-1])
    for k in idle:
        between = steps["t_end"][k]
        assert not ((run.arrival <= between) & (run.finish > between)).any()
