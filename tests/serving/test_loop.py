"""The aggregate loop gives the plain loop's answer, to the last bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from chipwise import serving
from chipwise.catalog.traces import trace
from chipwise.serving import schedulers
from chipwise.types import StepTable
from tests.draws import draws

TABLE = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)
RICH = StepTable(
    base=3e-3, prefill=1e-6, decode=7e-6, context=1e-9, tokens=np.array([1.0, 100.0, 3000.0]),
    seconds=np.array([1e-3, 2e-3, 3e-2]), decode_base=1e-4, attention=3e-9, attention_window=5e-9,
    pair=2e-10, pair_window=1e-10, window=64.0, launch=2e-2, request=3e-3, request_token=1e-5,
)  # fmt: skip


def same(table, arrival, isl, osl, **kw):
    fast = serving.simulate(table, arrival, isl, osl, **kw)
    plain = serving.simulate(table, arrival, isl, osl, loop="plain", **kw)
    for name in ("arrival", "scheduled", "first", "finish", "preempted", "cached"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(plain, name), err_msg=name)
    np.testing.assert_array_equal(fast.gaps[0], plain.gaps[0])
    np.testing.assert_array_equal(fast.gaps[1], plain.gaps[1])
    for name in ("iterations", "preemptions", "gap_sum"):
        assert getattr(fast, name) == getattr(plain, name)
    return fast


@pytest.fixture
def aggregate_only(monkeypatch):
    """Whoever asks for `auto` must get the aggregate loop."""
    monkeypatch.setattr(
        schedulers, "_aggregates", lambda case, ask=schedulers._aggregates: ask(case) or 1 / 0
    )


requests = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 300), st.integers(1, 90)), min_size=1, max_size=40
)


@pytest.mark.usefixtures("aggregate_only")
@draws(300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests,
    st.integers(27, 120),
    st.sampled_from([16, 8, 32, 1]),
    st.integers(1, 12),
    st.sampled_from([12, 40, 200, 4000]),
    st.booleans(),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([TABLE, RICH]),
    st.sampled_from([0, 1, 3, 50]),
    st.sampled_from(["cut", "whole", "no_evict", "max_utilisation"]),
)
def test_equals_the_plain_loop(
    load, blocks, size, seqs, tokens, reserve, mark, table, clients, engine
):
    load = sorted(load)
    flags = {"scheduler": "vllm", "chunked": engine == "cut"}
    if engine in ("no_evict", "max_utilisation"):
        flags = {"scheduler": "trtllm", "policy": engine}
    if engine != "cut":
        tokens = max(tokens, 400)
    same(
        table,
        None if clients else [gap * 0.05 for gap, _, _ in load],
        [isl for _, isl, _ in load],
        [osl for _, _, osl in load],
        concurrency=clients or None,
        blocks=blocks * 16 // size,
        block_size=size,
        max_seqs=seqs,
        max_tokens=tokens,
        reserve=reserve,
        watermark=mark,
        **flags,
    )


@pytest.mark.usefixtures("aggregate_only")
@pytest.mark.parametrize(
    ("scale", "settings"),
    [
        (1.0, {"blocks": 30000, "max_seqs": 256}),
        (0.3, {"blocks": 8000, "max_seqs": 256}),
        (0.2, {"blocks": 60000, "max_seqs": 1024}),
        (0.25, {"blocks": 3000, "max_seqs": 256, "max_tokens": 512, "reserve": False}),
    ],
)
@pytest.mark.slow
def test_equals_the_plain_loop_on_a_recorded_hour(scale, settings):
    load = trace("azure2023_conv")
    run = same(TABLE, load.arrival * scale, load.isl, load.osl, **settings)
    assert run.preemptions > 0 or scale == 1.0


@pytest.mark.usefixtures("aggregate_only")
def test_equals_the_plain_loop_where_requests_are_preempted():
    load = trace("azure2023_conv")
    part = slice(0, 1500)
    run = same(
        TABLE, load.arrival[part] * 0.2, load.isl[part], load.osl[part], blocks=2000, reserve=False
    )
    assert run.preemptions > 100


@pytest.mark.parametrize(
    "other",
    [
        {"asynchronous": True},
        {"long_prefill": 5},
        {"priority": [1.0]},
        {"prefix_caching": True, "reuse_last": False},
        {"draft": 2},
        {"record_steps": True},
        {"block_size": 24},
        {"max_tokens": 100},
    ],
)
def test_what_the_aggregate_cannot_tell_goes_to_the_plain_loop(other, monkeypatch):
    monkeypatch.setattr(schedulers, "_aggregate", lambda case, **_: 1 / 0)
    run = serving.simulate(TABLE, [0.0], [10], [5], blocks=100, **other)
    assert run.finish[0] > 0
    with pytest.raises(ZeroDivisionError):
        serving.simulate(TABLE, [0.0], [10], [5], blocks=100)
