"""The highest rate of arrivals at which a target still holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipwise.errors import BadInput
from chipwise.serving import metrics
from chipwise.types import Simulation

__all__ = ["highest_rate", "keeps"]

# A rate is doubled until the target fails, or halved until it holds, a million-fold at most.
_DOUBLINGS = 20


def keeps(
    run: Simulation,
    ttft: float | None = None,
    tpot: float | None = None,
    percentile: float = 99.0,
    warmup: int = 0,
) -> bool:
    """Whether a percentile of the requests keeps both limits [s]; None is no limit."""
    spent = (run.first - run.arrival)[warmup:]
    if ttft is not None and np.percentile(spent, percentile) > ttft:
        return False
    times = metrics.tpot(run)[warmup:]
    times = times[~np.isnan(times)]
    return tpot is None or not len(times) or bool(np.percentile(times, percentile) <= tpot)


def highest_rate(
    play: Callable[[float], Simulation],
    holds: Callable[[Simulation], bool],
    start: float = 1.0,
    within: float = 0.01,
) -> tuple[float, Simulation] | None:
    """The highest rate [request/s] at which the target holds, by bisection, and its simulation.

    Parameters
    ----------
    play : callable
        A rate → the simulation of a load of that rate; for a fair answer from the same seed, and
        long enough that a queue which grows is seen to grow.
    holds : callable
        Whether a simulation meets the target.
    start : float
        Where to begin. [request/s]
    within : float
        How near to the true one, as a share of it. [1]

    Returns
    -------
    tuple or None
        None where the target fails however few requests come.

    Examples
    --------
    >>> from chipwise import serving
    >>> from chipwise.types import StepTable
    >>> def play(rate):
    ...     times = serving.arrivals.poisson(rate, 20_000, seed=1)
    ...     one = [1] * 20_000
    ...     return serving.simulate(StepTable(base=0.1), times, one, one, blocks=9, max_seqs=1)
    >>> rate, _ = highest_rate(play, lambda run: (run.first - run.arrival).mean() <= 0.2)
    >>> 6.3 < rate < 6.9  # M/D/1 stays 0.2 s in the system at a load of 2/3
    True
    """
    if not (start > 0 and 0 < within < 1):
        raise BadInput("the search begins at a rate above 0, to within a share between 0 and 1")
    low, high, best = None, None, None
    rate = start
    for _ in range(_DOUBLINGS):
        run = play(rate)
        if holds(run):
            low, best = rate, run
        else:
            high = rate
        if low is not None and high is not None:
            break
        rate = rate * 2 if high is None else rate / 2
    if low is None or best is None:
        return None
    if high is None:
        raise BadInput(f"the target holds at every rate up to {low:g}/s; no load limits it")
    while high / low - 1 > within:
        rate = (low * high) ** 0.5
        run = play(rate)
        if holds(run):
            low, best = rate, run
        else:
            high = rate
    return low, best
