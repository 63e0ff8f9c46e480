"""The prefix cache by pieces gives the answer of the cache by blocks, to the last bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from chipwise import serving
from chipwise.catalog.traces import trace
from chipwise.serving import schedulers
from chipwise.types import Prompts, StepTable
from tests.draws import draws

TABLE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8, pair=1e-9)
CHUNK = 32


def prompts(chains, isl, output=None):
    """Prompts told in chunks, one name for each chunk of each chain."""
    named = [chain[: -(-n // CHUNK)] for chain, n in zip(chains, isl, strict=True)]
    count = [len(names) for names in named]
    return Prompts(
        np.cumsum([0, *count]),
        np.concatenate(named),
        np.full(sum(count), CHUNK),
        np.full(len(isl), -1) if output is None else np.asarray(output),
    )


def same(arrival, isl, osl, told, **kw):
    args = (TABLE, arrival, isl, osl)
    kw |= {"prefix_caching": True, "prompts": told}
    fast, plain = serving.simulate(*args, **kw), serving.simulate(*args, loop="plain", **kw)
    for name in ("arrival", "scheduled", "first", "finish", "preempted", "cached"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(plain, name), err_msg=name)
    np.testing.assert_array_equal(fast.gaps[1], plain.gaps[1])
    assert fast.iterations == plain.iterations
    return fast


@pytest.fixture
def pieces_only(monkeypatch):
    """Whoever asks for `auto` must get the pieces."""
    monkeypatch.setattr(
        schedulers, "_aggregates", lambda case, ask=schedulers._aggregates: ask(case) or 1 / 0
    )
    play = schedulers._played
    monkeypatch.setattr(
        schedulers, "_played", lambda case, **kw: play(case, **kw) if case.plain else 1 / 0
    )


# Few names, so that prompts share prefixes, end where others go on, and are equal.
requests = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.lists(st.integers(0, 1), min_size=5, max_size=5),
        st.integers(0, 4),
        st.integers(0, 4),
        st.integers(1, 70),
    ),
    min_size=1,
    max_size=30,
)


def length(whole, rest, names):
    """A length whose tail is told by the names before it: no two tails of one key may differ."""
    part = (sum(names[:whole]) * 7 + rest * 0 + 5 * whole) % CHUNK
    return whole * CHUNK + (part if rest else 0) or CHUNK


@pytest.mark.slow
@pytest.mark.usefixtures("pieces_only")
@draws(400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests,
    st.integers(16, 70),
    st.sampled_from([8, 16]),
    st.integers(1, 8),
    st.sampled_from([10, 50, 300]),
    st.booleans(),
    st.sampled_from([0, 3]),
    st.sampled_from(["cut", "no_evict", "max_utilisation"]),
)
def test_equals_the_cache_by_blocks(load, blocks, size, seqs, tokens, reserve, clients, engine):
    load = sorted(load)
    # A tail has a name of its own, so that it never begins as another prompt's chunk does.
    isl = np.array([length(whole, rest, names) for _, names, whole, rest, _ in load])
    chains = [
        [*names[: n // CHUNK], 100 + 10 * (n // CHUNK)]
        for n, (_, names, *_) in zip(isl, load, strict=True)
    ]
    same(
        None if clients else np.array([gap * 0.05 for gap, *_ in load]),
        isl,
        np.array([osl for *_, osl in load]),
        prompts(chains, isl),
        concurrency=clients or None,
        blocks=blocks * 16 // size,
        block_size=size,
        max_seqs=seqs,
        max_tokens=max(tokens if engine == "cut" else 300, seqs),
        reserve=reserve,
        scheduler="vllm" if engine == "cut" else "trtllm",
        policy="no_evict" if engine == "cut" else engine,
    )


@pytest.mark.usefixtures("pieces_only")
def test_equal_prompts_at_once_preempt_one_another_and_find_one_anothers_output():
    isl, osl = np.full(12, 3 * CHUNK + 5), np.full(12, 150)
    told = prompts([[1, 2, 3, 4]] * 12, isl)
    run = same(np.arange(12) * 0.03, isl, osl, told, blocks=60, reserve=False)
    assert run.preemptions > 5
    exact = np.full(12, 3 * CHUNK)
    run = same(np.arange(12) * 0.3, exact, osl, prompts([[1, 2, 3]] * 12, exact), blocks=60)
    assert run.cached[1] == 3 * CHUNK - 16


@pytest.mark.usefixtures("pieces_only")
def test_prompts_that_share_nothing_find_their_own_blocks_when_they_resume():
    rng = np.random.default_rng(4)
    isl, osl = rng.integers(20, 300, 60), rng.integers(20, 200, 60)
    run = same(np.arange(60) * 0.05, isl, osl, None, blocks=60)
    assert run.preemptions > 20


@pytest.mark.parametrize(
    ("names", "isl", "output"),
    [
        # A tail that begins as another's chunk; tails of one name and different length; outputs
        # that differ after equal prompts.
        ([[1, 2], [1, 2, 3]], [CHUNK + 20, 2 * CHUNK + 5], None),
        ([[1, 2], [1, 2]], [CHUNK + 20, CHUNK + 25], None),
        ([[1, 2], [1, 2]], [CHUNK + 20, CHUNK + 20], [-1, -2]),
    ],
)
def test_what_pieces_cannot_tell_goes_block_by_block(names, isl, output, monkeypatch):
    called = []
    play = schedulers._played
    monkeypatch.setattr(
        schedulers, "_played", lambda case, **kw: called.append(case) or play(case, **kw)
    )
    run = same(
        [0.0, 1.0], np.array(isl), np.array([40, 40]), prompts(names, isl, output), blocks=99
    )
    assert len(called) == 2
    assert run.cached[1] >= CHUNK


@pytest.mark.usefixtures("pieces_only")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "settings"),
    [
        (1.0, {"blocks": 30000}),
        (1.0, {"blocks": 9000, "reserve": False}),
        (2.0, {"blocks": 9500, "reserve": False, "max_tokens": 1000}),
    ],
)
def test_equals_the_cache_by_blocks_on_a_recorded_hour(scale, settings):
    load = trace("mooncake_conversation")
    run = same(load.arrival * scale, load.isl, load.osl, load.prompts, **settings)
    assert run.preemptions > 100
    assert run.cached.sum() > 0
