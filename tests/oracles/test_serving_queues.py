"""Queues with closed forms: one server, arrivals that know nothing of one another.

The mean wait of M/G/1 is λ E[S²] / (2 (1 − ρ)) (Pollaczek 1930, Khinchine 1932); of M/M/1 the time
in the system is exponential with rate μ − λ. Little's law L = λ W holds for every scheduler.
"""

import numpy as np
import pytest

from chipwise import serving
from chipwise.serving import arrivals, metrics
from chipwise.types import StepTable

COUNT = 400_000


def one_server(rate, isl, table, **kw):
    return serving.simulate(
        table,
        arrivals.poisson(rate, len(isl), seed=11),
        isl,
        np.ones(len(isl), np.int64),
        blocks=2**30,
        max_seqs=1,
        max_tokens=2**18,
        **kw,
    )


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_equal_services_wait_as_in_m_d_1(load):
    run = one_server(load, np.ones(COUNT, np.int64), StepTable(base=1.0))
    wait = (run.scheduled - run.arrival).mean()
    assert wait == pytest.approx(load / (2 * (1 - load)), rel=0.03)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_exponential_services_wait_as_in_m_m_1(load):
    isl = np.maximum(np.random.default_rng(5).exponential(1e4, COUNT), 1).astype(np.int64)
    run = one_server(load, isl, StepTable(prefill=1e-4))
    spent = run.finish - run.arrival
    assert spent.mean() == pytest.approx(1 / (1 - load), rel=0.03)
    for share in (0.5, 0.9, 0.99):
        exact = -np.log(1 - share) / (1 - load)
        assert np.quantile(spent, share) == pytest.approx(exact, rel=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["vllm", "sglang", "trtllm"])
def test_littles_law(scheduler):
    rng = np.random.default_rng(1)
    isl, osl = rng.integers(10, 400, 2000), rng.integers(1, 100, 2000)
    run = serving.simulate(
        StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8),
        arrivals.poisson(3.0, 2000, seed=2),
        isl,
        osl,
        blocks=4000,
        scheduler=scheduler,
        record_steps=True,
    )
    span = run.finish.max()
    steps = run.steps
    # Requests in the system, integrated over the iterations; who comes within one is not seen yet.
    inside = ((steps["n_running"] + steps["n_waiting"]) * (steps["t_end"] - steps["t_start"])).sum()
    unseen = sum(
        steps["t_end"][np.searchsorted(steps["t_end"], t, side="right")] - t
        for t in run.arrival
        if steps["t_start"][np.searchsorted(steps["t_end"], t, side="right")] < t
    )
    assert (inside + unseen) / span == pytest.approx(
        2000 / span * (run.finish - run.arrival).mean(), rel=1e-9
    )


def test_the_share_of_accepted_drafts_is_the_geometric_one():
    draft, right = 3, 0.7
    run = serving.simulate(
        StepTable(base=1.0), [0.0], [10], [100_001], blocks=10**5, draft=draft, acceptance=right
    )
    exact = (1 - right ** (draft + 1)) / (1 - right)
    assert 100_000 / (run.iterations - 1) == pytest.approx(exact, rel=0.01)
    assert run.gaps[1].sum() == 100_000


@pytest.mark.parametrize(("right", "steps"), [(1.0, 5), (0.0, 17)])
def test_drafts_that_are_always_or_never_right(right, steps):
    run = serving.simulate(
        StepTable(base=1.0), [0.0], [10], [17], blocks=100, draft=3, acceptance=right,
        record_steps=True,
    )  # fmt: skip
    assert run.iterations == steps
    assert list(run.steps["decode_tokens"][1:]) == [4] * (steps - 1)
    assert metrics.tpot(run)[0] == pytest.approx((steps - 1) / 16)
