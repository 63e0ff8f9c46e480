"""Times of requests → percentiles, goodput, throughput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chipwise.types import Array, Simulation

__all__ = [
    "PERCENTILES",
    "goodput",
    "itl",
    "moments",
    "output_tokens_per_second",
    "over_time",
    "percentiles",
    "steady",
    "summary",
    "tpot",
]

PERCENTILES = (50, 90, 95, 99)


def summary(run: Simulation, warmup: int = 0) -> dict[str, Mapping[str, float | None]]:
    """Mean and percentiles of ttft, tpot, itl, e2e and queue. [s]

    Parameters
    ----------
    run : Simulation
        What the scheduler did.
    warmup : int
        Requests to leave out at the start; `itl` is over all requests.
    """
    kept = slice(warmup, None)
    return {
        "ttft": percentiles((run.first - run.arrival)[kept]),
        "tpot": percentiles(tpot(run)[kept]),
        "itl": itl(run),
        "e2e": percentiles((run.finish - run.arrival)[kept]),
        "queue": percentiles((run.scheduled - run.arrival)[kept]),
    }


def tpot(run: Simulation) -> Array:
    """Mean time per output token of each request after the first; NaN where it has only one. [s]"""
    after = run.osl - 1
    return np.where(after > 0, (run.finish - run.first) / np.maximum(after, 1), np.nan)


def percentiles(values: Array) -> dict[str, float | None]:
    """Mean and percentiles, NaN left out; None where nothing is left.

    Examples
    --------
    >>> percentiles(np.array([1.0, 2.0, 3.0]))["p50"]
    2.0
    """
    # Sorting whole is faster than np.percentile's partition, and leaves NaN at the end.
    rising = np.sort(values)
    if len(rising) and np.isnan(rising[-1]):
        known = ~np.isnan(values)
        values, rising = values[known], rising[: np.count_nonzero(known)]
    if not len(rising):
        return dict.fromkeys(("mean", *(f"p{p}" for p in PERCENTILES)))
    named = {f"p{p}": _between(rising, p / 100 * (len(rising) - 1)) for p in PERCENTILES}
    return {"mean": float(values.mean()), **named}


def _between(rising: Array, place: float) -> float:
    """Value at a place between two neighbours, as np.percentile interpolates to the last bit."""
    at = int(place)
    low, high, share = rising[at], rising[min(at + 1, len(rising) - 1)], place - at
    step = high - low
    return float(low + step * share if share < 0.5 else high - step * (1.0 - share))


def itl(run: Simulation) -> dict[str, float | None]:
    """Mean and percentiles of the gap between two neighbouring tokens of a request. [s]

    The mean is exact, a percentile the middle of a bin that is 2⁻¹² of it wide.
    """
    gap, count = run.gaps
    total = int(count.sum())
    if not total:
        return dict.fromkeys(("mean", *(f"p{p}" for p in PERCENTILES)))
    below = np.cumsum(count)
    named = {
        f"p{p}": float(gap[np.searchsorted(below, p / 100 * total, side="left")])
        for p in PERCENTILES
    }
    return {"mean": run.gap_sum / total, **named}


def goodput(
    run: Simulation, ttft: float | None = None, tpot_limit: float | None = None, warmup: int = 0
) -> tuple[float, float]:
    """Requests that keep both limits: each second, and as a share. [request/s, 1]

    Parameters
    ----------
    ttft, tpot_limit : float, optional
        Limits of each request; None is no limit, and a request of one token has no tpot. [s]
    """
    good = np.ones(len(run.isl), bool)
    if ttft is not None:
        good &= run.first - run.arrival <= ttft
    if tpot_limit is not None:
        good &= ~(tpot(run) > tpot_limit)
    good = good[warmup:]
    span = float(run.finish.max() - run.arrival[warmup:].min())
    return float(good.sum()) / span, float(good.mean())


def output_tokens_per_second(
    run: Simulation, start: float | None = None, end: float | None = None
) -> float:
    """Output tokens each second between two times, or from first arrival to last token.

    The tokens of a request after its first are taken as evenly spaced.
    """
    if start is None and end is None:
        return float(run.osl.sum()) / float(run.finish.max() - run.arrival.min())
    start = float(run.arrival.min()) if start is None else start
    end = float(run.finish.max()) if end is None else end
    after = run.osl - 1
    span = run.finish - run.first
    inside = np.clip(np.minimum(run.finish, end) - np.maximum(run.first, start), 0.0, None)
    share = np.divide(inside, span, out=np.zeros_like(span), where=span > 0)
    whole = (span <= 0) & (run.finish >= start) & (run.finish <= end)
    firsts = (run.first >= start) & (run.first <= end)
    return float((firsts + after * np.where(whole, 1.0, share)).sum()) / (end - start)


def steady(run: Simulation, concurrency: int) -> tuple[float, float]:
    """When all clients of a closed loop were at work: from the first wave's last first token to
    the last request's arrival. [s]

    Where there is no such time (few requests for each client), the whole run.
    """  # noqa: D205 -- the sentence does not fit on a line
    start = float(run.first[: min(concurrency, len(run.first))].max())
    end = float(run.arrival.max())
    if end > start:
        return start, end
    return float(run.arrival.min()), float(run.finish.max())


def moments(run: Simulation, count: int = 400) -> list[dict[str, float]]:
    """Requests that wait, run and are done at even moments of a run.

    Parameters
    ----------
    run : Simulation
        What the scheduler did.
    count : int
        Moments at most; there are two for each request where that is less.
    """
    span = float(run.finish.max())
    edges = np.linspace(0.0, span, min(count, 2 * len(run.isl)) + 1)[1:]

    def until(times: Array) -> Any:
        return np.searchsorted(np.sort(times), edges, side="right")

    arrived, begun, ended = until(run.arrival), until(run.scheduled), until(run.finish)
    return [
        {"time_s": float(t), "waiting": int(a - b), "running": int(b - e), "done": int(e)}
        for t, a, b, e in zip(edges, arrived, begun, ended, strict=True)
    ]


def over_time(run: Simulation, blocks: Array) -> dict[str, dict[str, float]]:
    """Mean over time and most of an engine's requests running and waiting, and cache in use.

    Each iteration counts for as long as it lasts; what an engine has while it is idle does not.

    Parameters
    ----------
    run : Simulation
        With its steps recorded.
    blocks : array
        Of each engine.

    Returns
    -------
    dict
        ``running``, ``waiting`` requests, ``kv_use`` as a share of the blocks: ``mean``, ``max``.
    """
    steps = run.steps
    replica = steps.get("replica", np.zeros(len(steps["step"]), np.int64))
    lasts = steps["t_end"] - steps["t_start"]
    columns = {
        "running": steps["n_running"],
        "waiting": steps["n_waiting"],
        "kv_use": 1.0 - steps["free_blocks"] / np.asarray(blocks)[replica],
    }
    return {
        name: {
            "mean": float((values * lasts).sum() / lasts.sum()),
            "max": float(values.max()),
        }
        for name, values in columns.items()
    }
