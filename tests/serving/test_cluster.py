"""Several engines behind a router, prefill and decode apart, and conversations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import serving
from chipwise.errors import BadInput
from chipwise.serving import Server, arrivals, metrics, schedulers
from chipwise.serving.case import Cluster
from chipwise.types import Prompts, StepTable
from tests.draws import draws

TABLE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)
SECOND = StepTable(base=1.0)
TIMES = ("arrival", "scheduled", "first", "finish", "preempted", "cached")


def load(count=200, rate=4.0, seed=3):
    rng = np.random.default_rng(seed)
    return (
        arrivals.poisson(rate, count, seed),
        rng.integers(10, 900, count),
        rng.integers(1, 200, count),
    )


def equal(one, other, names=TIMES):
    for name in names:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(one.gaps[1], other.gaps[1])
    assert one.iterations == other.iterations


def through_router(monkeypatch, router="round_robin"):
    """Send every case through the engines' row, one engine too."""
    monkeypatch.setattr(schedulers, "_aggregates", lambda case: False)
    monkeypatch.setattr("chipwise.serving.door._cluster", lambda asked: Cluster(1, router, 32))


@pytest.mark.parametrize("router", ["round_robin", "least_loaded", "prefix_aware"])
@pytest.mark.parametrize(
    "flags",
    [
        {"blocks": 300},
        {"blocks": 300, "asynchronous": True},
        {"blocks": 300, "prefix_caching": True},
        {"blocks": 300, "scheduler": "trtllm", "wait": 3, "max_tokens": 1000},
        {"blocks": 300, "max_tokens": 300, "long_prefill": 100, "reserve": False},
        {"blocks": 300, "concurrency": 20},
    ],
)
def test_one_engine_behind_a_router_is_no_router(flags, router, monkeypatch):
    times, isl, osl = load()
    args = (TABLE, None if "concurrency" in flags else times, isl, osl)
    alone = serving.simulate(*args, loop="plain", **flags)
    through_router(monkeypatch, router)
    equal(alone, serving.simulate(*args, **flags))


def test_engines_in_lockstep_are_one_engine_where_there_is_one():
    args = (TABLE, *load())
    one = serving.simulate(*args, blocks=300, loop="plain")
    equal(one, serving.simulate(*args, blocks=300, lockstep=True, loop="plain"))


@pytest.mark.parametrize("flags", [{}, {"prefix_caching": True}, {"asynchronous": True}])
def test_round_robin_is_each_engine_by_itself(flags):
    times, isl, osl = load(rate=12.0)
    run = serving.simulate(TABLE, times, isl, osl, blocks=300, replicas=3, loop="plain", **flags)
    assert list(run.replica) == [i % 3 for i in range(200)]
    for k in range(3):
        alone = serving.simulate(
            TABLE, times[k::3], isl[k::3], osl[k::3], blocks=300, loop="plain", **flags
        )
        for name in TIMES:
            np.testing.assert_array_equal(getattr(run, name)[k::3], getattr(alone, name))


def test_dealt_engines_are_the_engines_in_a_row():
    times, isl, osl = load(rate=12.0)
    table = StepTable(base=0.01, prefill=5e-5, decode=5e-5, request=0.01, request_token=1e-4)
    fast = serving.simulate(table, times, isl, osl, blocks=300, replicas=3)
    slow = serving.simulate(table, times, isl, osl, blocks=300, replicas=3, loop="plain")
    equal(fast, slow, (*TIMES, "replica"))
    np.testing.assert_array_equal(fast.gaps[0], slow.gaps[0])


def test_rows_of_dealt_engines_tell_the_requests_of_the_whole():
    times, isl, osl = load(rate=12.0)
    kw = {"blocks": 80, "replicas": 3, "record_steps": True, "max_tokens": 1000}
    run = serving.simulate(TABLE, times, isl, osl, scheduler="sglang", **kw)
    assert set(run.steps["replica"]) == {0, 1, 2}
    assert (np.diff(run.steps["t_start"]) >= 0).all()
    told = [int(i) for text in run.steps["preempted"] for i in text.split()]
    np.testing.assert_array_equal(np.bincount(told, minlength=200), run.preempted)
    assert run.preemptions > 0


def test_the_least_loaded_engine_is_chosen():
    run = serving.simulate(SECOND, [0.0, 0.1, 0.2, 40.0], [10] * 4, [50, 3, 30, 5], blocks=100,
                           replicas=2, router="least_loaded")  # fmt: skip
    # 1 goes where 0 is not; 2 then finds one each and takes the first; at 40 only 0 is left.
    assert list(run.replica) == [0, 1, 0, 1]


def test_a_prefix_draws_its_request_until_the_engine_is_too_full():
    prompts = Prompts(np.arange(7), np.array([1, 2, 1, 1, 1, 1]), np.full(6, 320), np.full(6, -1))
    args = (SECOND, [0.0, 0.1, 50.0, 50.1, 50.2, 50.3], [320] * 6, [9, 9, 30, 30, 30, 30])
    kw = {"blocks": 200, "replicas": 2, "prefix_caching": True, "prompts": prompts}
    near = serving.simulate(*args, router="prefix_aware", **kw)
    assert list(near.replica) == [0, 1, 0, 0, 0, 0]
    assert list(near.cached) == [0, 0, 304, 304, 304, 304]
    full = serving.simulate(*args, router="prefix_aware", router_slack=1, **kw)
    # Once the other engine has the prefix too, the less loaded of both is taken.
    assert list(full.replica) == [0, 1, 0, 0, 1, 1]


def test_ranks_in_lockstep_wait_for_the_longest():
    table = StepTable(base=1.0, prefill=0.01)
    run = serving.simulate(table, [0.0, 0.0], [100, 500], [3, 3], blocks=100, replicas=2,
                           lockstep=True, record_steps=True)  # fmt: skip
    assert list(run.first) == [6.0, 6.0]
    assert list(run.finish) == [8.0, 8.0]
    assert list(run.steps["t_end"]) == [6.0, 6.0, 7.0, 7.0, 8.0, 8.0]
    free = serving.simulate(table, [0.0, 0.0], [100, 500], [3, 3], blocks=100, replicas=2)
    assert list(free.finish) == [4.0, 8.0]


def test_what_ranks_do_together_goes_by_all_their_tokens():
    grid = np.array([1.0, 1000.0])
    table = StepTable(tokens=grid, seconds=0.02 * grid, shared=0.01 * grid)
    flags = {"blocks": 100, "replicas": 2, "lockstep": True}
    even = serving.simulate(table, [0.0, 0.0], [400, 400], [1, 1], **flags)
    np.testing.assert_allclose(even.first, 8.0, rtol=1e-12)
    # One prompt of 400 is 200 a rank for what both do, and 400 for what its own does.
    alone = serving.simulate(table, [0.0], [400], [1], **flags)
    np.testing.assert_allclose(alone.first, 4.0 + 2.0, rtol=1e-12)
    uneven = serving.simulate(table, [0.0, 0.0], [400, 200], [1, 1], **flags)
    np.testing.assert_allclose(uneven.first, 4.0 + 3.0, rtol=1e-12)
    # Under the floor of launches the same parts count.
    floored = replace(table, launch=5.0)
    run = serving.simulate(floored, [0.0], [400], [1], **flags)
    np.testing.assert_allclose(run.first, (6.0**3 + 5.0**3) ** (1 / 3), rtol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"router": "lottery"}, "lottery"),
        ({"replicas": 0}, "replicas is 0"),
        ({"scheduler": "sglang", "router": "least_loaded"}, "dealt round robin only"),
        ({"lockstep": True, "asynchronous": True}, "lockstep are simulated synchronously"),
    ],
)
def test_what_is_not_simulated_together_is_refused(wrong, says):
    with pytest.raises(BadInput, match=says):
        serving.simulate(TABLE, *load(), blocks=300, **({"replicas": 2} | wrong))


# --- prefill and decode apart


def test_apart_with_an_endless_link_and_no_load_is_the_sum_of_both():
    times = np.arange(20) * 100.0
    isl, osl = np.full(20, 700), np.full(20, 60)
    quick, slow = StepTable(base=0.004, prefill=2e-5), StepTable(base=0.02, context=1e-7)
    apart = serving.simulate_apart(Server(quick, 100), Server(slow, 100), times, isl, osl)
    first = serving.simulate(quick, times, isl, np.ones(20), blocks=100)
    whole = serving.simulate(slow, times, isl, osl, blocks=100)
    ttft = first.first - first.arrival
    np.testing.assert_allclose(apart.first - apart.arrival, ttft, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        apart.finish - apart.arrival, ttft + (whole.finish - whole.first), rtol=0, atol=1e-9
    )


def test_a_transfer_takes_its_time_and_a_busy_prefill_engine_holds_its_blocks():
    kw = {"latency": 3.0, "latency_token": 0.01}
    servers = Server(SECOND, 8, max_seqs=4), Server(SECOND, 100)
    run = serving.simulate_apart(*servers, [0.0, 0.0], [100, 100], [5, 5], **kw)
    # Seven blocks of eight are taken until the first prompt has crossed at 1 + 3 + 1.
    assert list(run.first) == [1.0, 6.0]
    assert list(run.finish) == [9.0, 14.0]
    assert list(run.replica) == [1, 1]


def test_the_sides_have_their_own_numbers_and_clocks():
    prefill = Server(StepTable(base=2.0), 1000, replicas=3, max_seqs=1)
    decode = Server(StepTable(base=0.5), 1000, replicas=2)
    run = serving.simulate_apart(
        prefill, decode, np.zeros(6), [50] * 6, [11] * 6, record_steps=True
    )
    assert sorted(run.first) == [2.0] * 3 + [4.0] * 3
    assert sorted(run.finish) == [7.0] * 3 + [9.0] * 3
    side = run.steps["replica"] < 3
    assert not run.steps["decode_tokens"][side].any()
    assert not run.steps["prefill_tokens"][~side].any()
    assert set(run.replica) == {3, 4}


def test_who_is_preempted_on_the_decode_side_computes_his_prompt_there():
    run = serving.simulate_apart(
        Server(SECOND, 100), Server(SECOND, 21), [0.0, 0.0], [100, 100], [200, 200],
        record_steps=True,
    )  # fmt: skip
    assert run.preemptions > 0
    assert run.steps["prefill_tokens"][run.steps["replica"] == 1].sum() > 0
    assert np.isfinite(run.finish).all()


def test_one_token_needs_no_decode_engine():
    run = serving.simulate_apart(Server(SECOND, 10), Server(SECOND, 10), [0.0], [100], [1])
    assert list(run.finish) == [1.0]
    assert list(run.replica) == [0]


def test_a_closed_loop_apart_keeps_its_clients():
    run = serving.simulate_apart(
        Server(TABLE, 500), Server(TABLE, 500), None, [300] * 40, [20] * 40, concurrency=4,
        latency=0.01,
    )  # fmt: skip
    alive = [(run.arrival <= t).sum() - (run.finish <= t).sum() for t in run.arrival]
    assert max(alive) == 4


def test_what_fits_no_side_is_refused():
    with pytest.raises(BadInput, match="needs 7 blocks of 16 tokens, but the cache has 6"):
        serving.simulate_apart(Server(SECOND, 6), Server(SECOND, 99), [0.0], [100], [9])
    with pytest.raises(BadInput, match="needs 7 blocks of 16 tokens, but the cache has 6"):
        serving.simulate_apart(Server(SECOND, 99), Server(SECOND, 6), [0.0], [100], [9])
    with pytest.raises(BadInput, match="latency"):
        serving.simulate_apart(Server(SECOND, 9), Server(SECOND, 9), [0.0], [9], [9], latency=-1.0)


# --- conversations


@pytest.mark.parametrize("scheduler", ["vllm", "sglang", "trtllm"])
def test_conversations_with_the_cache_on_never_compute_a_shared_prefix_twice(scheduler):
    rng = np.random.default_rng(2)
    asked, said = rng.integers(20, 200, (12, 6)), rng.integers(5, 60, (12, 6))
    chat = arrivals.turns(arrivals.poisson(0.5, 12, 1), asked, said, pause=2.0, system=100)
    run = serving.simulate(
        TABLE, chat.arrival, chat.isl, chat.osl, blocks=20000, scheduler=scheduler,
        prefix_caching=True, prompts=chat.prompts, follows=chat.follows, pause=chat.pause,
        record_steps=True,
    )  # fmt: skip
    later = chat.follows >= 0
    former = chat.follows[later]
    assert later.sum() == 60
    # All but the last token of the turn before was computed, in blocks of 16.
    before = chat.isl[former] + chat.osl[former] - 1
    np.testing.assert_array_equal(run.cached[later], before // 16 * 16)
    np.testing.assert_allclose(run.arrival[later], run.finish[former] + 2.0)
    computed = run.steps["prefill_tokens"].sum()
    assert computed == (chat.isl - run.cached).sum()


def test_turns_are_told_as_they_were_spoken():
    chat = arrivals.turns([0.0, 1.0], [[10, 20, 30], [5, 0, 9]], [[1, 2, 3], [4, 5, 6]], system=7)
    assert list(chat.isl) == [17, 38, 70, 12]
    assert list(chat.osl) == [1, 2, 3, 4]
    assert list(chat.follows) == [-1, 0, 1, -1]
    told = chat.prompts
    third = slice(told.offset[2], told.offset[3])
    assert list(told.length[third]) == [7, 10, 1, 20, 2, 30]
    assert told.ident[told.offset[1] + 2] == told.output[0]
    assert len(set(told.output)) == 4


def test_a_client_begins_its_next_conversation_when_the_last_turn_is_complete():
    chat = arrivals.turns(np.zeros(3), np.full((3, 2), 50), np.full((3, 2), 10), pause=1.0)
    run = serving.simulate(SECOND, None, chat.isl, chat.osl, concurrency=1, blocks=100,
                           follows=chat.follows, pause=chat.pause)  # fmt: skip
    assert list(run.finish) == [10.0, 21.0, 31.0, 42.0, 52.0, 63.0]


@pytest.mark.parametrize(
    ("follows", "says"),
    [
        ([-1, 1], "request 1 follows 1; it must be one before it"),
        ([-1, -2], "request 1 follows -2"),
        ([-1], "2 requests but 1 that they follow"),
    ],
)
def test_turns_that_follow_nobody_are_refused(follows, says):
    with pytest.raises(BadInput, match=says):
        serving.simulate(SECOND, [0.0, 0.0], [5, 5], [5, 5], blocks=100, follows=follows)
    with pytest.raises(BadInput, match="request 0 is followed by several"):
        serving.simulate(SECOND, np.zeros(3), [5] * 3, [5] * 3, blocks=100, follows=[-1, 0, 0])
    with pytest.raises(BadInput, match="at least one token"):
        arrivals.turns([0.0], [[0, 5]], [[5, 5]])


@draws(60)
@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 200), st.integers(1, 60)),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 3),
    st.integers(0, 3),
    st.sampled_from(["round_robin", "least_loaded", "prefix_aware"]),
    st.booleans(),
    st.integers(17, 40),
    st.sampled_from([0, 5]),
)
def test_every_request_ends_and_every_token_is_counted_once(
    load, first, second, router, caching, blocks, clients
):
    load = sorted(load)
    isl, osl = [isl for _, isl, _ in load], [osl for _, _, osl in load]
    times = None if clients else [gap * 0.1 for gap, _, _ in load]
    kw = {"router": router, "prefix_caching": caching, "concurrency": clients or None}
    if second:
        servers = Server(TABLE, blocks, replicas=first), Server(TABLE, blocks, replicas=second)
        run = serving.simulate_apart(
            *servers, times, isl, osl, latency=0.01, record_steps=True, **kw
        )
    else:
        run = serving.simulate(
            TABLE, times, isl, osl, blocks=blocks, replicas=first, record_steps=True, **kw
        )
    assert (run.arrival <= run.scheduled).all()
    assert (run.scheduled < run.first).all()
    assert (run.first <= run.finish).all()
    assert run.gaps[1].sum() == sum(osl) - len(osl)
    assert (run.steps["free_blocks"] >= 0).all()
    computed = run.steps["prefill_tokens"].sum() + run.steps["decode_tokens"].sum()
    if run.preemptions == 0:
        assert computed == sum(isl) + sum(osl) - len(osl) - run.cached.sum()
    assert metrics.output_tokens_per_second(run) > 0
