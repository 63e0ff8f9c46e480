"""The door of the simulator: what it refuses, and the loads it plays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import serving
from chipwise.errors import BadInput, UnknownName
from chipwise.types import StepTable
from tests.draws import draws

TABLE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)


def play(arrival=(0.0,), isl=(100,), osl=(10,), table=TABLE, **kw):
    kw.setdefault("blocks", 1000)
    return serving.simulate(table, arrival, isl, osl, **kw)


def test_one_request_lasts_its_prefill_and_its_decodes():
    run = play(isl=[100], osl=[3], record_steps=True)
    prefill = 0.01 + 100 * 5e-5 + 100 * 2e-8
    decodes = [0.01 + 5e-5 + context * 2e-8 for context in (101, 102)]
    assert run.first[0] == pytest.approx(prefill)
    assert run.finish[0] == pytest.approx(prefill + sum(decodes))
    assert list(run.steps["prefill_tokens"]) == [100, 0, 0]
    assert list(run.steps["decode_tokens"]) == [0, 1, 1]


def test_a_gap_in_the_arrivals_is_idle_time():
    run = play([0.0, 1000.0], [100, 100], [2, 2])
    assert run.first[1] - 1000.0 == pytest.approx(run.first[0])
    assert run.scheduled[1] == 1000.0


def test_requests_that_arrive_together_are_served_in_order():
    run = play([1.0, 1.0, 1.0], [5000, 5000, 5000], [1, 1, 1])
    assert run.first[0] < run.first[1] <= run.first[2]


def test_half_of_the_host_time_passes_before_the_scheduler_and_half_after():
    plain = play(isl=[100], osl=[5])
    slow = play(isl=[100], osl=[5], table=StepTable(base=0.01, prefill=5e-5, decode=5e-5,
                context=2e-8, request=0.02, request_token=1e-4))  # fmt: skip
    assert slow.scheduled[0] == pytest.approx(0.5 * (0.02 + 100 * 1e-4))
    assert slow.first[0] - plain.first[0] == pytest.approx(0.02 + 100 * 1e-4)
    assert slow.finish[0] - slow.first[0] == pytest.approx(plain.finish[0] - plain.first[0])


def test_a_closed_loop_issues_the_next_request_when_one_completes():
    run = play(None, [100] * 7, [10, 20, 30, 10, 10, 10, 10], concurrency=3)
    assert list(run.arrival[:3]) == [0.0, 0.0, 0.0]
    assert list(run.arrival[3:]) == sorted(run.finish[:-1])[:4]
    alive = [(run.arrival <= t).sum() - (run.finish <= t).sum() for t in run.arrival]
    assert max(alive) == 3


def test_more_clients_than_requests_is_all_at_once():
    run = play(None, [100] * 3, [5] * 3, concurrency=10)
    assert list(run.arrival) == [0.0] * 3


def test_the_pieces_of_a_prefill_add_up():
    whole = StepTable(pair=1.0)
    parts = play(isl=[1000], osl=[1], table=whole, max_tokens=128, max_seqs=1)
    assert parts.finish[0] == pytest.approx(1000**2 / 2)


def test_a_window_clips_the_keys_of_prefill_and_decode():
    table = StepTable(pair_window=1.0, attention_window=1.0, window=64.0)
    run = play(isl=[100], osl=[2], table=table, max_tokens=48, max_seqs=1)
    assert run.first[0] == pytest.approx(64**2 / 2 + 36 * 64)
    assert run.finish[0] - run.first[0] == pytest.approx(64)


def test_the_grid_is_interpolated_and_goes_on_in_proportion():
    table = StepTable(tokens=np.array([1.0, 101.0]), seconds=np.array([1.0, 2.0]))
    assert play(isl=[51], osl=[1], table=table).first[0] == pytest.approx(1.5)
    assert play(isl=[202], osl=[1], table=table).first[0] == pytest.approx(4.0)


def test_launch_bounds_a_prefill_from_below_and_leaves_decode_alone():
    table = StepTable(base=0.01, launch=0.02, decode_base=0.005)
    run = play(isl=[10], osl=[2], table=table)
    assert run.first[0] == pytest.approx((0.01**3 + 0.02**3) ** (1 / 3))
    assert run.finish[0] - run.first[0] == pytest.approx(0.015)


def test_the_smaller_priority_goes_first_and_the_larger_is_preempted():
    run = play([0.0, 0.0, 0.001], [100, 100, 100], [50, 50, 50], priority=[1, 1, 0],
               max_seqs=2, record_steps=True)  # fmt: skip
    assert run.first[2] > run.first[0]
    assert run.scheduled[2] == min(run.finish[0], run.finish[1])
    tight = play([0.0, 0.01], [160, 160], [160, 160], priority=[1, 0], blocks=25)
    assert list(tight.preempted > 0) == [True, False]


def test_asynchronous_hides_nothing_but_the_schedule():
    run = play(isl=[100], osl=[5], asynchronous=True)
    assert run.finish[0] == pytest.approx(play(isl=[100], osl=[5]).finish[0])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"isl": [0]}, "isl of request 0 is 0"),
        ({"osl": [0]}, "osl of request 0 is 0"),
        ({"isl": [1.5]}, "isl of request 0 is 1.5"),
        ({"isl": [float("nan")]}, "isl of request 0 is nan"),
        ({"isl": [1, 2]}, "2 prompts but 1 outputs"),
        ({"arrival": [0.0, 1.0]}, "1 requests but 2 times"),
        ({"arrival": [-1.0]}, "arrives at -1 s"),
        ({"arrival": [float("inf")]}, "arrives at inf s"),
        ({"arrival": [float("nan")]}, "arrives at nan s"),
        ({"arrival": [2.0, 1.0], "isl": [1, 1], "osl": [1, 1]}, "sort the requests by arrival"),
        ({"arrival": None}, "either times of arrival or the concurrency"),
        ({"concurrency": 2}, "either times of arrival or the concurrency"),
        ({"arrival": None, "concurrency": 0}, "concurrency is 0"),
        ({"blocks": 0}, "blocks is 0"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"isl": [20000], "blocks": 100}, "needs 1251 blocks of 16 tokens, but the cache has 100"),
        ({"watermark": 1.0}, "watermark is 1.0"),
        ({"long_prefill": -1}, "long_prefill is -1"),
        ({"priority": [1, 2]}, "1 requests but 2 priorities"),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_reason(wrong, says):
    with pytest.raises(BadInput, match=says):
        play(**wrong)


def test_an_unknown_scheduler_is_named():
    with pytest.raises(UnknownName, match="vllm"):
        play(scheduler="vlm")


def test_a_request_that_just_fits_is_served():
    run = play(isl=[150], osl=[11], blocks=10)
    assert np.isfinite(run.finish[0])


loads = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 400), st.integers(1, 80)), min_size=1, max_size=30
)


@draws(60)
@given(
    loads,
    st.integers(30, 80),
    st.integers(1, 8),
    st.sampled_from([16, 64, 500]),
    st.sampled_from([0, 7, 64]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_every_request_ends_and_every_token_is_counted_once(
    load, blocks, seqs, tokens, limit, reserve, ahead, ranked
):
    load = sorted(load)
    arrival = [gap * 0.1 for gap, _, _ in load]
    isl, osl = [isl for _, isl, _ in load], [osl for _, _, osl in load]
    run = play(
        arrival, isl, osl, blocks=blocks, max_seqs=seqs, max_tokens=tokens, long_prefill=limit,
        reserve=reserve, asynchronous=ahead, priority=isl if ranked else None, record_steps=True,
    )  # fmt: skip
    assert (run.arrival <= run.scheduled).all()
    assert (run.scheduled < run.first).all()
    assert (run.first <= run.finish).all()
    assert run.gaps[1].sum() == sum(osl) - len(osl)
    computed = run.steps["prefill_tokens"].sum() + run.steps["decode_tokens"].sum()
    needed = sum(isl) + sum(osl) - len(osl)
    assert computed == needed if run.preemptions == 0 else computed >= needed
    assert (run.steps["free_blocks"] >= 0).all()
    assert (run.steps["n_running"] <= seqs).all()
    assert (run.steps["prefill_tokens"] + run.steps["decode_tokens"] <= tokens).all()
    assert (run.steps["t_end"] > run.steps["t_start"]).all()
    assert (run.steps["t_start"][1:] >= run.steps["t_end"][:-1]).all()


def test_the_watermark_counts_the_block_that_is_never_used():
    # A tenth of 29 + 1 blocks is 3: beside ten blocks there is room for sixteen, not seventeen.
    for second, waits in ((256, False), (257, True)):
        run = play([0.0, 0.0], [160, second], [1, 1], blocks=29, watermark=0.1)
        assert (run.scheduled[1] > run.scheduled[0]) == waits
