import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import serving
from chipwise.serving import metrics
from chipwise.types import Simulation, StepTable


def simulation(arrival, first, finish, osl, **kw):
    n = len(osl)
    zeros = np.zeros(n, np.int64)
    return Simulation(
        arrival=np.array(arrival, float), first=np.array(first, float),
        finish=np.array(finish, float), isl=np.full(n, 10), osl=np.array(osl), preempted=zeros,
        cached=zeros, iterations=1, preemptions=0, scheduled=np.array(arrival, float), **kw,
    )  # fmt: skip


def test_percentiles_are_those_of_the_sorted_values():
    found = metrics.percentiles(np.arange(101.0))
    assert found == {"mean": 50.0, "p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}


def test_nothing_has_no_percentile():
    assert metrics.percentiles(np.array([np.nan]))["p99"] is None
    assert metrics.itl(simulation([0], [1], [1], [1]))["mean"] is None


def test_tpot_is_the_mean_after_the_first_token_and_absent_for_one():
    run = simulation([0, 0], [1, 1], [3, 1], [5, 1])
    assert metrics.tpot(run)[0] == 0.5
    assert np.isnan(metrics.tpot(run)[1])
    assert metrics.summary(run)["tpot"]["mean"] == 0.5


def test_itl_counts_every_gap():
    table = StepTable(base=0.01, decode=0.001)
    run = serving.simulate(table, [0.0, 0.0], [10, 10], [11, 6], blocks=100)
    # Five steps with both, five with one.
    expected = np.sort([0.012] * 10 + [0.011] * 5)
    found = metrics.itl(run)
    assert found["mean"] == pytest.approx(expected.mean())
    assert found["p50"] == pytest.approx(np.median(expected), rel=2**-12)
    assert found["p99"] == pytest.approx(0.012, rel=2**-12)


def test_warm_up_is_left_out():
    run = simulation([0, 1], [5, 2], [6, 3], [3, 3])
    assert metrics.summary(run, warmup=1)["ttft"]["mean"] == 1.0


def test_goodput_counts_those_that_keep_both_limits():
    run = simulation([0, 0, 0, 0], [1, 1, 3, 1], [3, 9, 5, 10], [3, 3, 3, 1])
    assert metrics.goodput(run) == (0.4, 1.0)
    assert metrics.goodput(run, ttft=2.0) == (0.3, 0.75)
    # The last has one token, and so no time between tokens that could be too long.
    assert metrics.goodput(run, ttft=2.0, tpot_limit=1.0) == (0.2, 0.5)


def test_throughput_is_tokens_between_first_arrival_and_last_token():
    run = simulation([1, 1], [2, 2], [6, 11], [5, 5])
    assert metrics.output_tokens_per_second(run) == pytest.approx(1.0)
    # From 2 to 6 the first request makes 5 tokens, the other 1 and 4/9 of its later 4.
    assert metrics.output_tokens_per_second(run, 2, 6) == pytest.approx((5 + 1 + 16 / 9) / 4)


def test_the_steady_part_of_a_closed_loop_leaves_out_both_ends():
    table = StepTable(base=0.01, prefill=1e-4, decode=1e-4)
    run = serving.simulate(table, None, [100] * 200, [50] * 200, concurrency=10, blocks=1000)
    start, end = metrics.steady(run, 10)
    assert run.first[:10].max() == start
    assert end == run.arrival.max()
    steady = metrics.output_tokens_per_second(run, start, end)
    assert steady > metrics.output_tokens_per_second(run)
    alone = serving.simulate(table, None, [100], [50], concurrency=1, blocks=1000)
    assert metrics.steady(alone, 1) == (0.0, alone.finish[0])


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=60))
def test_percentiles_are_numpys_to_the_last_bit(values):
    given_, found = np.array(values), metrics.percentiles(np.array(values))
    known = given_[~np.isnan(given_)]
    if len(known):
        exact = np.percentile(known, metrics.PERCENTILES)
        assert [found[f"p{p}"] for p in metrics.PERCENTILES] == list(exact)
        assert found["mean"] == known.mean()
