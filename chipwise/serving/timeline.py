"""A simulation as a timeline: the events of the trace format that Perfetto and Chrome open.

Times are in microseconds, as that format has them. Requests that overlap stand in lanes, each in
the first that is free, so that the lanes are as many as the requests at once.

References
----------
.. [1] "Trace Event Format," the Chromium project, 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import Any

import numpy as np

from chipwise.errors import BadInput
from chipwise.types import Simulation
from chipwise.units import from_base

__all__ = ["events"]

Event = dict[str, Any]

_REQUESTS, _ENGINE = 1, 2
_COUNTERS = {
    "requests": ("n_running", "n_waiting"),
    "tokens": ("prefill_tokens", "decode_tokens"),
    "free blocks": ("free_blocks",),
}


def events(run: Simulation, most: int = 100_000) -> list[Event]:
    """Events of a timeline: every request's wait, prefill and decode, and every iteration.

    Parameters
    ----------
    run : Simulation
        Where its steps were recorded, the engines' iterations and counters are among the events.
    most : int
        Requests and iterations that a timeline may have; a browser opens no more with ease.

    Raises
    ------
    BadInput
        If there are more.

    Examples
    --------
    >>> import numpy as np
    >>> from chipwise import serving
    >>> from chipwise.types import StepTable
    >>> run = serving.simulate(StepTable(base=1.0), [0.0], [10], [3], blocks=10)
    >>> [(e["name"], e["ts"], e["dur"]) for e in events(run) if e["ph"] == "X"]
    [('0 prefill', 0.0, 1000000.0), ('0 decode', 1000000.0, 2000000.0)]
    """
    rows = len(run.isl) + len(run.steps.get("step", ()))
    if rows > most:
        raise BadInput(
            f"{rows} requests and iterations are too many for a timeline; at most {most}"
        )
    return [*_names(run), *_requests(run), *_iterations(run.steps)]


def _micro(seconds: float) -> float:
    """Microseconds."""
    return from_base(float(seconds), "us")


def _names(run: Simulation) -> Iterator[Event]:
    """What the tracks are called."""
    tracks = {_REQUESTS: "requests"}
    for k in range(_engines(run)):
        tracks[_ENGINE + k] = f"engine {k}"
    for process, name in tracks.items():
        yield {"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": name}}


def _engines(run: Simulation) -> int:
    """Engines whose iterations were recorded."""
    if not len(run.steps.get("step", ())):
        return 0
    return int(run.steps["replica"].max()) + 1 if "replica" in run.steps else 1


def _lanes(run: Simulation) -> list[int]:
    """Lane of each request."""
    lanes, free, busy = [0] * len(run.isl), [0], [(np.inf, 0)]
    for i in np.argsort(run.arrival, kind="stable"):
        while busy[0][0] <= run.arrival[i]:
            heappush(free, heappop(busy)[1])
        lane = heappop(free)
        if not free:
            heappush(free, lane + 1)
        heappush(busy, (float(run.finish[i]), lane))
        lanes[i] = lane
    return lanes


def _requests(run: Simulation) -> Iterator[Event]:
    """Wait, prefill and decode of each request."""
    lanes = _lanes(run)
    for i, lane in enumerate(lanes):
        told = {"prompt": int(run.isl[i]), "output": int(run.osl[i])}
        told |= {"preempted": int(run.preempted[i]), "cached": int(run.cached[i])}
        ends = (run.arrival[i], run.scheduled[i], run.first[i], run.finish[i])
        for name, start, end in zip(("wait", "prefill", "decode"), ends, ends[1:], strict=False):
            if end > start:
                yield _slice(f"{i} {name}", start, end, _REQUESTS, lane, told)


def _slice(
    name: str, start: float, end: float, process: int, lane: int, told: Mapping[str, Any]
) -> Event:
    """Something that lasts."""
    return {
        "name": name,
        "ph": "X",
        "ts": _micro(start),
        "dur": _micro(end - start),
        "pid": process,
        "tid": lane,
        "args": dict(told),
    }


def _iterations(steps: Mapping[str, Any]) -> Iterator[Event]:
    """Iterations of the engines, and how full these are."""
    for k in range(len(steps.get("step", ()))):
        process = _ENGINE + (int(steps["replica"][k]) if "replica" in steps else 0)
        start, end = steps["t_start"][k], steps["t_end"][k]
        told = {"preempted": str(steps["preempted"][k])} if steps["preempted"][k] else {}
        mixed = [name for name in ("prefill", "decode") if steps[f"{name}_tokens"][k]]
        yield _slice(" and ".join(mixed), start, end, process, 0, told)
        for name, columns in _COUNTERS.items():
            values = {column: int(steps[column][k]) for column in columns}
            yield {"name": name, "ph": "C", "ts": _micro(start), "pid": process, "args": values}
