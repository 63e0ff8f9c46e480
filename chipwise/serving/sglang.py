"""SGLang's scheduler, told plainly: prefill goes first and alone, while decodes stand still.

An iteration prefills whoever fits, up to a chunk of tokens, and only if nobody does it decodes.
Who fits is a guess of how much the running may still write: their remaining output times the
new-token ratio, which falls while decoding goes well and is estimated anew when it did not. Then
requests are retracted, the fewest outputs first, and queue again at the end. With prefix caching
the radix tree is told by its pages, which are the blocks: a prompt's are known once it is
prefilled, an output's when the request ends.

In the functions r is the record of a request, i its number, c the record of the engine's counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from chipwise.serving.clock import Clock
from chipwise.serving.heap import push
from chipwise.serving.plain import (
    Room,
    arrive,
    close_up,
    describe,
    enter,
    hand,
    issue_next,
    launch,
    leave,
    noted,
)
from chipwise.serving.pool import commit, evictable, hits, release, take, touch

__all__ = ["SglangFlags", "play"]


REUSE_LAST = True  # what is not in the tree is free at once


class SglangFlags(NamedTuple):
    """What the scheduler is told.

    The ratio begins at `start` and falls by `fall` in each decode iteration down to `floor`; a
    retraction makes room for `margin` tokens of each that stays. `longest` output is what an
    admission asks for at most. [token] The queue is looked at every `poll` decode iterations,
    after a prefill and when idle.
    """

    block_size: int
    max_seqs: int
    chunk: int
    start: float
    floor: float
    fall: float
    margin: int
    longest: int
    poll: float
    caching: bool
    record: bool
    by_priority: bool


@njit(cache=True)
def left_over(f: SglangFlags, who: Any, room: Room, ratio: float) -> float:
    """Tokens that the cache has room for when the running have written what they may."""
    c, running = room.counts[0], room.running
    left = float(c.free * f.block_size)
    for place in range(c.running):
        r = who[running[place]]
        if r.given == 0:  # who prefills is charged by his own admission
            left -= min(r.osl - r.produced, f.longest) * ratio
    return left


@njit(cache=True)
def hold(f: SglangFlags, r: Any, c: Any, todo: int) -> int:
    """Schedule `todo` tokens of a request; the blocks that they need."""
    need = -(-(r.computed + todo) // f.block_size) - r.held
    c.free -= need
    r.given = todo
    return int(need)


@njit(cache=True)
def schedule_prefill(  # noqa: PLR0915 -- one admission, read top to bottom
    f: SglangFlags, who: Any, room: Room, ratio: float, now: float
) -> None:
    """Admit who fits, in order, until the chunk is full; c.cut goes on before all."""
    c, waiting = room.counts[0], room.waiting
    block, known, nodes, table = room.block, room.known, room.nodes, room.table
    budget = f.chunk
    left = left_over(f, who, room, ratio)
    if c.cut >= 0:
        r = who[c.cut]
        whole = r.isl + r.produced - r.computed
        left += min(r.osl - r.produced, f.longest) * ratio
        todo = min(whole, budget)
        need = hold(f, r, c, todo)
        if f.caching:
            take(block, known, table, r, need)
        r.held += need
        budget -= todo
        left -= todo
        if todo == whole:
            left -= min(r.osl - r.produced, f.longest)
            c.cut = -1
    while c.cut < 0 and c.waiting > 0 and budget > 0 and c.running < f.max_seqs:
        i = waiting[1].id
        r = who[i]
        total = r.isl + r.produced
        hit, taken = 0, 0
        if f.caching:
            hit = hits(known, nodes, r, (total - 1) // f.block_size)
            taken = evictable(block, known, nodes, r, hit)
        whole = total - hit * f.block_size
        output = min(r.osl - r.produced, f.longest)
        if whole + output + taken * f.block_size > left:
            break
        todo = whole
        if whole > budget:  # a cut falls on the edge of a block
            todo = budget - budget % f.block_size
        if todo == 0 or -(-todo // f.block_size) + taken > c.free:
            break
        enter(room)
        r.computed, r.held = hit * f.block_size, hit
        c.free -= taken
        need = hold(f, r, c, todo)
        if f.caching:
            touch(block, known, nodes, table, r, hit)
            take(block, known, table, r, need)
        r.held += need
        budget -= todo
        left -= taken * f.block_size + todo
        if todo < whole:
            c.cut = i
        else:
            left -= output
        if np.isnan(r.scheduled):
            r.scheduled = now
            r.cached = r.computed


@njit(cache=True)
def weakest(who: Any, room: Room) -> int:
    """Place of the running request that has made the fewest tokens, of equals the longest."""
    c, running = room.counts[0], room.running
    at = 0
    for place in range(1, c.running):
        a, b = who[running[place]], who[running[at]]
        if a.produced < b.produced or (a.produced == b.produced and a.isl >= b.isl):
            at = place
    return at


@njit(cache=True)
def retract(f: SglangFlags, who: Any, room: Room) -> float:
    """Send requests back to the queue until the others can go on; the ratio from now on."""
    c = room.counts[0]
    while c.running > 1 and (c.victims == 0 or c.free * f.block_size < f.margin * c.running):
        i = leave(room, weakest(who, room))
        r = who[i]
        c.free += release(room.block, room.table, r, REUSE_LAST) if f.caching else r.held
        r.held = r.computed = r.given = 0
        r.preempted += 1
        room.victims[c.victims] = i
        c.victims += 1
        c.preemptions += 1
        c.arrived += 1
        push(room.waiting, r.rank if f.by_priority else 0.0, float(c.arrived), i)
        c.waiting += 1
    made, limits = 0, 0
    for place in range(c.running):
        r = who[room.running[place]]
        made += r.produced
        limits += r.osl
    ratio = (made + f.margin * c.running) / (limits + 1.0)
    return float(min(ratio, 1.0))


@njit(cache=True)
def schedule_decode(f: SglangFlags, who: Any, room: Room, ratio: float) -> float:
    """Give every running request one token; the ratio from now on."""
    c, running = room.counts[0], room.running
    need = 0
    for place in range(c.running):
        need += who[running[place]].computed % f.block_size == 0
    ratio = retract(f, who, room) if need > c.free else max(ratio - f.fall, f.floor)
    for place in range(c.running):
        r = who[running[place]]
        new = hold(f, r, c, 1)
        if f.caching and new > 0:
            take(room.block, room.known, room.table, r, new)
        r.held += new
    return ratio


@njit(cache=True)
def put_out(f: SglangFlags, who: Any, room: Room, sampled: Any, samples: int, now: float) -> None:
    """Give each its token; a prompt that is done becomes known, and who has all tokens leaves."""
    c, block, known, nodes, table = (
        room.counts[0],
        room.block,
        room.known,
        room.nodes,
        room.table,
    )
    for k in range(samples):
        r = who[sampled[k]]
        if f.caching and r.computed == r.isl + r.produced and r.known * f.block_size < r.isl:
            commit(block, known, nodes, table, r, r.computed // f.block_size)
        hand(r, room.gaps, now)
        r.ahead = 0
        if r.produced == r.osl:
            if f.caching:
                commit(block, known, nodes, table, r, r.computed // f.block_size)
                c.free += release(block, table, r, REUSE_LAST)
            else:
                c.free += r.held
            r.held = 0
            issue_next(who, c, room.coming, r, now)


@njit(cache=True)
def play(f: SglangFlags, clock: Clock, who: Any, room: Room) -> Any:
    """Play requests through the scheduler to the last one's end; returns as plain.play does."""
    c = room.counts[0]
    c.cut = -1
    now, ratio, since, fresh, iterations = 0.0, f.start, 0, True, 0
    sampled, row = np.zeros(f.max_seqs, np.int64), np.zeros(9)
    log, gone = np.zeros((1024 if f.record else 0, 9)), [(0, 0) for _ in range(0)]
    while c.done < len(who):
        if fresh or c.running == 0 or since >= f.poll:
            arrive(f, who, room, now)
            since = 0
        c.victims = 0
        waited = c.cut >= 0
        if c.cut >= 0 or (c.waiting > 0 and c.running < f.max_seqs):
            before = c.running
            schedule_prefill(f, who, room, ratio, now)
            fresh = waited or c.running > before
        else:
            fresh = False
        if not fresh and c.running > 0:
            ratio = schedule_decode(f, who, room, ratio)
            since += 1
        if c.running == 0:
            now = max(now, room.coming[1].rank)
            continue
        seconds, batch, prefill, decode, samples = launch(clock, who, room, sampled, fresh)
        end = now + seconds
        if f.record:
            describe(row, now, end, c, batch, prefill, decode)
            row[8] = ratio
            log = noted(log, row, iterations)
            gone.extend([(iterations, i) for i in room.victims[: c.victims]])
        iterations += 1
        now = end
        put_out(f, who, room, sampled, samples, now)
        close_up(who, room)
    return iterations, log[:iterations], gone
