"""How calls are timed on a device.

With CUDA's events around a captured graph of many calls (CUDA and ROCm, which torch calls alike),
with events around as many plain calls (Ascend), and with the thread's own CPU time (a CPU that
computes with one thread, so that other programs do not count) or the wall's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from chipwise.profile.devices import Device, load

__all__ = ["Body", "Timing", "Watch", "apart", "clock", "stopwatch", "timed"]

Body = Callable[..., Any]
Watch = Callable[[Sequence[Body]], float]

_LEAST, _MOST = 3, 25  # stretches of which the median counts
_BLOCK = 4e-3  # shortest stretch that is timed as one [s]
_BUDGET = 0.15  # time after which a case is repeated no more [s]
_LAUNCHES = 20  # calls of a case that a graph holds at least
_TICKS = {"thread": time.thread_time, "wall": time.perf_counter}


@dataclass(frozen=True, slots=True)
class Timing:
    """Median and shortest of some repeats of a case [s], and by which clock."""

    seconds: float
    shortest: float
    repeats: int
    clock: str


def clock(device: Device) -> str:
    """What times the device: ``thread``, ``wall`` or ``event``."""
    if device.kind != "cpu":
        return "event"
    return "thread" if device.threads == 1 else "wall"


def stopwatch(device: Device, named: str) -> Watch:
    """A function that makes calls one after the other and tells the seconds of all, by a clock."""
    if named in _TICKS:
        tick = _TICKS[named]
        return lambda calls: _run(calls, tick)
    torch = load()
    if device.kind == "npu":
        return lambda calls: _between_events(torch.npu, lambda: _make(calls))
    return _graphs(torch)


def apart(device: Device, named: str) -> tuple[Watch, Callable[[Body], Body]]:
    """A stopwatch, and what makes of a function one whose time it does not count.

    On a CPU the function runs and the watch stands still, so that what follows it finds the caches
    as it leaves them. Elsewhere, where the host's code does not count, it runs once and is left out
    from then on.
    """
    if named not in _TICKS:
        return stopwatch(device, named), _once
    tick, away = _TICKS[named], [0.0]

    def aside(function: Body) -> Body:
        def unclocked(*given: Any, **options: Any) -> Any:
            start = tick()
            found = function(*given, **options)
            away[0] += tick() - start
            return found

        return unclocked

    def watch(calls: Sequence[Body]) -> float:
        away[0] = 0.0
        return _run(calls, tick) - away[0]

    return watch, aside


def _once(function: Body) -> Body:
    """A function of an activation and an operand, which gives its first result for the latter."""
    kept: dict[int, Any] = {}

    def known(x: Any, operand: Any, *more: Any, **options: Any) -> Any:
        at = operand.data_ptr()
        if at not in kept:
            kept[at] = function(x, operand, *more, **options)
        return kept[at]

    return known


def _make(calls: Sequence[Body]) -> None:
    for call in calls:
        call()


def _run(calls: Sequence[Body], tick: Callable[[], float]) -> float:
    start = tick()
    _make(calls)
    return tick() - start


def _between_events(module: Any, work: Callable[[], None]) -> float:
    """Seconds that the device takes for work, between two of its events."""
    start, end = module.Event(enable_timing=True), module.Event(enable_timing=True)
    module.synchronize()
    start.record()
    work()
    end.record()
    module.synchronize()
    return float(start.elapsed_time(end)) * 1e-3


def _graphs(torch: Any) -> Watch:
    """Calls captured once and replayed, so that the host's launches do not count."""
    kept: list[tuple[Sequence[Body], Any]] = []

    def run(calls: Sequence[Body]) -> float:
        if not kept or kept[0][0] is not calls:
            kept.clear()
            kept.append((calls, _captured(torch, calls)))
        return _between_events(torch.cuda, kept[0][1].replay)

    return run


def _captured(torch: Any, calls: Sequence[Body]) -> Any:
    """A graph of the calls; they run on a side stream first, as a capture asks for."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        _make(calls)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        _make(calls)
    graph.replay()
    return graph


def timed(bodies: Sequence[Body], watch: Watch, named: str) -> Timing:
    """Seconds of one call, the median of some stretches of calls after a warm-up.

    Parameters
    ----------
    bodies : sequence of callable
        The same case on different operands, which take turns.
    watch : callable
        From `stopwatch` or `apart`.
    named : str
        From `clock`.
    """
    turns = cycle(bodies)
    one = [next(turns)]
    first = min(watch(one), watch(one))
    # A graph is captured once, and must hold a whole turn; plain calls go on where they were.
    least = max(_LAUNCHES, len(bodies)) if named == "event" else 1
    count = max(int(_BLOCK / max(first, 1e-9)), least)
    calls = list(islice(turns, count))
    if named == "event":
        watch(calls)
    found: list[float] = []
    end = time.perf_counter() + _BUDGET
    while len(found) < _LEAST or (time.perf_counter() < end and len(found) < _MOST):
        found.append(watch(calls) / count)
        if named != "event":
            calls = list(islice(turns, count))
    return Timing(statistics.median(found), min(found), len(found), named)
