import numpy as np
import pytest

from chipwise import serving
from chipwise.errors import BadInput
from chipwise.serving import arrivals, capacity
from chipwise.types import StepTable


def play(rate, count=20_000):
    one = np.ones(count, np.int64)
    times = arrivals.poisson(rate, count, seed=4)
    return serving.simulate(StepTable(base=0.1), times, one, one, blocks=9, max_seqs=1)


def test_the_highest_rate_of_m_d_1_is_found():
    # In the system for 0.1 (1 + ρ / (2 (1 − ρ))): 0.3 s at ρ = 0.8.
    rate, run = capacity.highest_rate(play, lambda run: (run.finish - run.arrival).mean() <= 0.3)
    assert rate == pytest.approx(8.0, rel=0.03)
    assert (run.finish - run.arrival).mean() <= 0.3


def test_beyond_it_the_target_fails():
    def holds(run):
        return capacity.keeps(run, ttft=1.0)

    rate, run = capacity.highest_rate(play, holds, start=100.0)
    assert holds(run)
    assert holds(play(rate))
    assert not holds(play(rate * 1.02))


def test_a_target_that_nothing_meets_has_no_rate():
    assert capacity.highest_rate(play, lambda run: capacity.keeps(run, ttft=0.05)) is None


def test_a_target_that_everything_meets_is_none():
    with pytest.raises(BadInput, match="no load limits it"):
        capacity.highest_rate(lambda _: play(1.0, 10), lambda _: True)
    with pytest.raises(BadInput, match="begins at a rate above 0"):
        capacity.highest_rate(play, lambda _: True, start=0.0)


def test_limits_are_kept_by_the_percentile():
    run = serving.simulate(StepTable(base=0.1), [0.0, 0.0], [1, 1], [11, 1], blocks=9, max_seqs=1)
    assert capacity.keeps(run, ttft=0.1, percentile=0)
    assert not capacity.keeps(run, ttft=0.1)
    assert capacity.keeps(run, tpot=0.1001)
    assert not capacity.keeps(run, tpot=0.0999)
    assert capacity.keeps(run, tpot=0.0, warmup=1)
