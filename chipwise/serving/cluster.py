"""Several engines behind a router, and prefill and decode apart.

Engines stand in a row; the first `split` of them take what arrives. Where all do the whole job
`split` is their number; where prefill and decode are apart, a request leaves its prefill engine
with its first token, its KV crosses the link, and it goes on at one of the other engines, which
have their own flags and their own clock. Time goes from event to event: an arrival, the end of a
transfer, the end of an iteration. What an engine does in one is what `plain.py` tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from chipwise.serving.clock import GAP_BINS, Clock, lockstep_end
from chipwise.serving.heap import heap, pop, push
from chipwise.serving.plain import (
    COUNTS,
    MIXED,
    Flags,
    Room,
    begun,
    close_up,
    describe,
    give_back,
    launch,
    noted,
    put_out,
    schedule,
    tables,
)
from chipwise.serving.pool import hits, known_blocks, pool

if TYPE_CHECKING:
    from chipwise.serving.case import Case

__all__ = ["ROUTERS", "Hall", "Wiring", "open_hall", "play", "play_together"]

ROUND_ROBIN, LEAST_LOADED, PREFIX_AWARE = 0, 1, 2
ROUTERS = {
    "round_robin": ROUND_ROBIN,
    "least_loaded": LEAST_LOADED,
    "prefix_aware": PREFIX_AWARE,
}

# An engine between two events: when the next is due, and which.
ENGINE = np.dtype(
    [
        ("due", np.float64),
        ("end", np.float64),  # of the iteration scheduled last
        ("schedules", np.bool_),  # else it ends an iteration
        ("oldest", np.int64),
        ("in_flight", np.int64),
    ]
)


class Wiring(NamedTuple):
    """How the engines stand together; see the module's text.

    `router` is one of the numbers above; prefix-aware routing goes to the least loaded where the
    best match has `slack` requests more. A transfer lasts `latency` + `token` for each token of
    the prompt. [s]
    """

    engines: int
    split: int
    router: int
    slack: int
    latency: float
    token: float


class Hall(NamedTuple):
    """Arrays by engine, and what is common to all."""

    engine: Any
    counts: Any
    total: Any
    running: Any
    victims: Any
    waiting: Any
    block: Any
    known: Any
    sampled: Any
    samples: Any
    ends: Any
    nodes: Any
    table: Any
    coming: Any
    crossing: Any
    gaps: Any


def open_hall(case: Case, other: Case, who: Any, nodes: Any, most: int, wiring: Wiring) -> Hall:
    """Everybody still to come; `other` is the case of the engines from `split` on.

    `nodes` of the prompts' blocks, `most` of them.
    """
    engines, n, seqs = wiring.engines, len(who), max(case.max_seqs, other.max_seqs)
    counts, total = np.zeros(engines, COUNTS), np.zeros(1, COUNTS)
    counts["free"] = case.blocks
    counts["free"][wiring.split :] = other.blocks
    total["sessions"], total["issued"], coming = begun(case, who)
    engine = np.zeros(engines, ENGINE)
    engine["due"] = np.inf
    caches = case.prompts is not None
    return Hall(
        engine=engine,
        counts=counts,
        total=total,
        running=np.zeros((engines, seqs), np.int64),
        victims=np.zeros((engines, seqs), np.int64),
        waiting=np.stack([heap(n) for _ in range(engines)]),
        block=np.stack([pool(case.blocks if caches else 0) for _ in range(engines)]),
        known=np.stack([known_blocks(most) for _ in range(engines)]),
        sampled=np.zeros((engines, 2, seqs), np.int64),
        samples=np.zeros((engines, 2), np.int64),
        ends=np.zeros((engines, 2)),
        nodes=nodes,
        table=np.zeros(tables(case, who), np.int32),
        coming=coming,
        crossing=heap(n),
        gaps=np.zeros(GAP_BINS, np.int64),
    )


@njit(cache=True)
def room_of(hall: Hall, k: int) -> Room:
    """Where the requests of engine k stand."""
    return Room(
        hall.counts[k : k + 1],
        hall.running[k],
        hall.victims[k],
        hall.waiting[k],
        hall.coming,
        hall.block[k],
        hall.known[k],
        hall.nodes,
        hall.table,
        hall.gaps,
    )


@njit(cache=True)
def load_of(c: Any) -> int:
    """Requests that an engine has."""
    return int(c.running + c.waiting)


@njit(cache=True)
def route(w: Wiring, f: Flags, hall: Hall, r: Any, turn: int, begin: int, end: int) -> int:
    """Engine from `begin` to `end` that a request goes to; `turn` counts the requests before."""
    if w.router == ROUND_ROBIN:
        return begin + turn % (end - begin)
    least = begin
    for k in range(begin + 1, end):
        if load_of(hall.counts[k]) < load_of(hall.counts[least]):
            least = k
    if w.router == PREFIX_AWARE and f.caching and begin == 0:
        best, most = least, hits(hall.known[least], hall.nodes, r, (r.isl - 1) // f.block_size)
        for k in range(begin, end):
            found = hits(hall.known[k], hall.nodes, r, (r.isl - 1) // f.block_size)
            if found > most:
                best, most = k, found
        if load_of(hall.counts[best]) <= load_of(hall.counts[least]) + w.slack:
            return best
    return least


@njit(cache=True)
def deliver(f: Flags, c: Any, e: Any, waiting: Any, r: Any, i: int, now: float) -> None:
    """Put request i into an engine's queue, and wake it if it is idle."""
    c.arrived += 1
    if f.by_priority:
        push(waiting, r.rank, r.arrival, i)
    else:
        push(waiting, 0.0, float(c.arrived), i)
    c.waiting += 1
    wake(e, now)


@njit(cache=True)
def wake(e: Any, now: float) -> None:
    """Let an idle engine look at its queue."""
    if e.in_flight == 0:
        e.due, e.schedules = now, True


@njit(cache=True)
def hand_over(
    w: Wiring, who: Any, room: Room, crossing: Any, sampled: Any, samples: int, now: float
) -> None:
    """Send requests that have their first token on to the decode engines."""
    c, running = room.counts[0], room.running
    for s in range(samples):
        r = who[sampled[s]]
        if r.produced == 1 and r.osl > 1:
            push(crossing, now + w.latency + w.token * r.isl, 0.0, sampled[s])
            r.remote = r.isl
    kept = 0
    for place in range(c.running):
        running[kept] = running[place]
        kept += who[running[place]].remote == 0
    c.running = kept


@njit(cache=True)
def next_engine(engine: Any) -> int:
    """The engine whose event is due first."""
    first = 0
    for k in range(1, len(engine)):
        if engine[k].due < engine[first].due:
            first = k
    return first


@njit(cache=True)
def next_arrival(hall: Hall) -> float:
    """When the next request arrives at the router, or has crossed the link; infinity if none."""
    comes = hall.coming[1].rank if hall.coming[0].id > 0 else np.inf
    crosses = hall.crossing[1].rank if hall.crossing[0].id > 0 else np.inf
    return min(comes, crosses)


@njit(cache=True)
def admit_one(f: Flags, g: Flags, w: Wiring, who: Any, hall: Hall, turns: Any) -> None:
    """Bring who arrives next to an engine."""
    now = next_arrival(hall)
    if hall.coming[0].id > 0 and hall.coming[1].rank == now:
        i = pop(hall.coming)
        r = who[i]
        k = route(w, f, hall, r, turns[0], 0, w.split)
        turns[0] += 1
    else:
        i = pop(hall.crossing)
        r = who[i]
        give_back(f, r, room_of(hall, r.replica))
        wake(hall.engine[r.replica], now)
        r.computed = 0
        k = route(w, g, hall, r, turns[1], w.split, w.engines)
        turns[1] += 1
    r.replica = k
    here = f if k < w.split else g
    deliver(here, hall.counts[k], hall.engine[k], hall.waiting[k], r, i, now)


@njit(cache=True)
def schedule_engine(f: Flags, clock: Clock, who: Any, hall: Hall, k: int, row: Any) -> bool:
    """One iteration of engine k, if it may begin one and has anything to do; `row` tells it."""
    e, room = hall.engine[k], room_of(hall, k)
    if e.in_flight == f.depth or not schedule(f, who, room, e.due):
        return False
    slot = (e.oldest + e.in_flight) % f.depth
    start = max(e.due, e.end)
    seconds, batch, prefill, decode, samples = launch(
        clock, who, room, hall.sampled[k, slot], MIXED
    )
    hall.samples[k, slot] = samples
    e.end = start + seconds
    hall.ends[k, slot] = e.end
    e.in_flight += 1
    describe(row, start, e.end, room.counts[0], batch, prefill, decode)
    row[8] = k
    return True


@njit(cache=True)
def put_out_engine(f: Flags, w: Wiring, who: Any, hall: Hall, k: int, now: float) -> None:
    """End the oldest iteration of engine k."""
    e, room = hall.engine[k], room_of(hall, k)
    sampled, samples = hall.sampled[k, e.oldest], hall.samples[k, e.oldest]
    put_out(f, who, room, hall.total[0], sampled, samples, now)
    close_up(who, room)
    if w.split < w.engines and k < w.split:
        hand_over(w, who, room, hall.crossing, sampled, samples, now)
    e.oldest = (e.oldest + 1) % f.depth
    e.in_flight -= 1


@njit(cache=True)
def play(f: Flags, g: Flags, clock: Clock, other: Clock, w: Wiring, who: Any, hall: Hall) -> Any:
    """Play requests through the engines to the last one's end.

    `f` and `clock` are of the engines before `split`, `g` and `other` of those from it on.

    Returns
    -------
    tuple
        As plain.play; the rows end with the engine's number.
    """
    np.random.seed(f.seed)  # noqa: NPY002 -- Numba's own generator, apart from NumPy's
    turns, iterations, row = np.zeros(2, np.int64), 0, np.zeros(9)
    log, gone = np.zeros((1024 if f.record else 0, 9)), [(0, 0) for _ in range(0)]
    while hall.total[0].done < len(who):
        k = next_engine(hall.engine)
        e = hall.engine[k]
        if next_arrival(hall) <= e.due:
            admit_one(f, g, w, who, hall, turns)
            continue
        here, seconds = (f, clock) if k < w.split else (g, other)
        if not e.schedules:
            put_out_engine(here, w, who, hall, k, e.due)
            e.schedules = True
        elif schedule_engine(here, seconds, who, hall, k, row):
            if f.record:
                log = noted(log, row, iterations)
                gone.extend([(iterations, i) for i in hall.victims[k, : hall.counts[k].victims]])
            iterations += 1
        else:
            e.schedules = False
            e.due = hall.ends[k, e.oldest] if e.in_flight > 0 else np.inf
    return iterations, log[:iterations], gone


@njit(cache=True)
def play_together(f: Flags, clock: Clock, w: Wiring, who: Any, hall: Hall) -> Any:
    """As `play`, where every iteration begins in all engines together and lasts the longest.

    What the engines do together in it goes by the mean of their tokens.
    """
    np.random.seed(f.seed)  # noqa: NPY002 -- Numba's own generator, apart from NumPy's
    turns, iterations, row, now = np.zeros(2, np.int64), 0, np.zeros(9), 0.0
    prefill, tokens = np.zeros(w.engines, np.int64), np.zeros(w.engines, np.int64)
    log, gone = np.zeros((1024 if f.record else 0, 9)), [(0, 0) for _ in range(0)]
    while hall.total[0].done < len(who):
        while next_arrival(hall) <= now:
            admit_one(f, f, w, who, hall, turns)
        began, end = iterations, now
        tokens[:] = 0
        for k in range(w.engines):
            hall.engine[k].due = now
            if schedule_engine(f, clock, who, hall, k, row):
                prefill[k], tokens[k] = int(row[5]), int(row[5] + row[6])
                if f.record:
                    log = noted(log, row, iterations)
                    gone.extend(
                        [(iterations, i) for i in hall.victims[k, : hall.counts[k].victims]]
                    )
                iterations += 1
        if iterations == began:
            now = next_arrival(hall)
            continue
        mean = tokens.sum() // w.engines
        for k in range(w.engines):
            if tokens[k] > 0:
                alone = hall.engine[k].end
                end = max(end, lockstep_end(clock, now, alone, prefill[k], tokens[k], mean))
        if f.record:
            log[began:iterations, 1] = end
        now = end
        for k in range(w.engines):
            hall.engine[k].end = now
            if hall.engine[k].in_flight > 0:
                put_out_engine(f, w, who, hall, k, now)
    return iterations, log[:iterations], gone
