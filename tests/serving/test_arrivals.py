import numpy as np
import pytest

from chipwise.errors import BadInput
from chipwise.serving import arrivals


def test_poisson_keeps_its_rate_and_its_variation():
    gaps = np.diff(arrivals.poisson(4.0, 40_000, seed=3))
    assert gaps.mean() == pytest.approx(0.25, rel=0.02)
    assert gaps.std() == pytest.approx(0.25, rel=0.03)


def test_bursts_vary_more_and_even_arrivals_not_at_all():
    gaps = np.diff(arrivals.gamma(4.0, 40_000, 3.0, seed=3))
    assert gaps.mean() == pytest.approx(0.25, rel=0.05)
    assert gaps.std() / gaps.mean() == pytest.approx(3.0, rel=0.05)
    assert list(arrivals.gamma(4.0, 3, 0.0, seed=3)) == [0.0, 0.25, 0.5]


def test_the_seed_decides():
    assert (arrivals.poisson(1, 50, seed=1) == arrivals.poisson(1, 50, seed=1)).all()
    assert (arrivals.poisson(1, 50, seed=1) != arrivals.poisson(1, 50, seed=2)).any()


def test_uniform_lengths_stay_between_the_share_and_the_nominal():
    drawn = arrivals.uniform(1000, 0.8, 20_000, seed=5)
    assert 800 <= drawn.min() < 805
    assert 995 < drawn.max() <= 1000
    assert drawn.mean() == pytest.approx(900, rel=0.005)
    assert (arrivals.uniform(1, 0.0, 100, seed=5) == 1).all()


def test_lognormal_lengths_keep_their_median():
    drawn = arrivals.lognormal(500, 1.0, 20_000, seed=5)
    assert np.median(drawn) == pytest.approx(500, rel=0.03)
    assert drawn.min() >= 1


def test_a_histogram_draws_each_pair_as_often_as_its_weight_says():
    isl, osl = arrivals.histogram([(10, 1), (20, 2)], [1, 3], 20_000, seed=5)
    assert (isl == 20).mean() == pytest.approx(0.75, abs=0.01)
    assert (osl == isl // 10).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: arrivals.poisson(0, 10, seed=1),
        lambda: arrivals.poisson(float("nan"), 10, seed=1),
        lambda: arrivals.gamma(1, 10, -1, seed=1),
        lambda: arrivals.uniform(100, 1.2, 10, seed=1),
        lambda: arrivals.lognormal(100, -1.0, 10, seed=1),
        lambda: arrivals.histogram([(1, 1)], [0], 10, seed=1),
        lambda: arrivals.histogram([(1, 1)], [1, 2], 10, seed=1),
    ],
)
def test_what_no_load_can_be_is_refused(wrong):
    with pytest.raises(BadInput):
        wrong()
