"""vLLM V1's scheduler, told plainly: every iteration walks the whole running list.

Read it beside the engine's own `schedule()`: first the running requests in order of admission,
then the waiting ones while nothing was preempted, then the outputs. With `depth` 2 (asynchronous
scheduling) an iteration is scheduled while the one before it still runs, so that a request's next
token may be scheduled before its last one is known; `ahead` counts such tokens. With `depth` 1 it
is 0 whenever an iteration is scheduled, and the same lines are the synchronous scheduler.

In the functions r is the record of a request, i its number, c the record of the engine's counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from chipwise.serving.clock import GAP_BINS, Clock, clipped_pairs, gap_bin, step_seconds
from chipwise.serving.heap import heap, heap_of, pop, push
from chipwise.serving.pool import (
    commit,
    evictable,
    hits,
    known_blocks,
    pool,
    release,
    take,
    touch,
)

if TYPE_CHECKING:
    from chipwise.serving.case import Case

__all__ = [
    "COUNTS",
    "MIXED",
    "Flags",
    "Room",
    "arrive",
    "begun",
    "close_up",
    "describe",
    "enter",
    "flags",
    "give_back",
    "hand",
    "issue_next",
    "launch",
    "leave",
    "noted",
    "open_room",
    "play",
    "put_out",
    "requests",
    "schedule",
    "tables",
]

REQUEST = np.dtype(
    [
        ("isl", np.int64),
        ("osl", np.int64),
        ("computed", np.int64),  # tokens whose KV is in the cache, or on its way
        ("produced", np.int64),  # output tokens known
        ("ahead", np.int64),  # output tokens scheduled and not yet known
        ("given", np.int64),  # tokens in the iteration being scheduled
        ("drafts", np.int64),  # of them, proposed by speculation
        ("held", np.int64),  # blocks
        ("owed", np.int64),  # blocks reserved beyond them
        ("preempted", np.int64),
        ("cached", np.int64),
        ("known", np.int64),  # blocks with a node; see pool.py
        ("table", np.int64),
        ("node", np.int64),
        ("arrival", np.float64),
        ("remote", np.int64),  # tokens whose KV came from elsewhere
        ("replica", np.int64),
        ("next", np.int64),  # the request that follows when this one is complete, or -1
        ("pause", np.float64),  # before it comes, once the one before is complete
        ("head", np.int64),  # in row k: the request that begins the k-th session
        ("rank", np.float64),  # priority, smaller first
        ("half", np.float64),  # of the host's time
        ("scheduled", np.float64),
        ("first", np.float64),
        ("last", np.float64),
        ("finish", np.float64),
    ]
)

COUNTS = np.dtype(
    [
        ("running", np.int64),
        ("waiting", np.int64),
        ("free", np.int64),
        ("done", np.int64),
        ("issued", np.int64),  # sessions begun
        ("sessions", np.int64),
        ("arrived", np.int64),
        ("preemptions", np.int64),
        ("victims", np.int64),  # of the iteration being scheduled
        ("owed", np.int64),  # blocks that are reserved and not yet taken
        ("waited", np.int64),  # iterations for which prompts were held back
        ("cut", np.int64),  # SGLang: the prompt that is cut, or -1
    ]
)


# Of an iteration: not one that prefills alone; see `launch`.
MIXED = False


class Flags(NamedTuple):
    """What the scheduler is told; `watermark` in blocks, `depth` of iterations in flight.

    `draft` tokens are proposed for each decode, and each is accepted with probability
    `acceptance` if those before it were. `whole` prompts are not cut. TensorRT-LLM: `guarantee`
    reserves the blocks of the whole output; prompts are held back for `wait` iterations, or until
    they fill `share` of the budget.
    """

    blocks: int
    block_size: int
    max_seqs: int
    max_tokens: int
    long_prefill: int
    reserve: bool
    watermark: int
    depth: int
    by_priority: bool
    caching: bool
    reuse_last: bool
    draft: int
    acceptance: float
    seed: int
    whole: bool
    guarantee: bool
    wait: int
    share: float
    record: bool


class Room(NamedTuple):
    """Where the requests of an engine stand: arrays; heaps and pool are told in their files.

    `counts` has one record, `nodes` those of the prompts' blocks.
    """

    counts: Any
    running: Any
    victims: Any
    waiting: Any
    coming: Any
    block: Any
    known: Any
    nodes: Any
    table: Any
    gaps: Any


def requests(case: Case) -> Any:
    """Records of requests that nobody has seen yet."""
    n = len(case.isl)
    who = np.zeros(n, REQUEST)
    who["arrival"], who["isl"], who["osl"] = case.times, case.isl, case.osl
    who["half"] = 0.5 * (case.table.request + case.table.request_token * case.isl)
    who["rank"] = 0.0 if case.rank is None else case.rank
    who["scheduled"] = who["first"] = who["finish"] = np.nan
    who["next"] = -1
    head = np.ones(n, bool)
    if case.sessions is not None:
        follows, pause = case.sessions
        later = np.flatnonzero(follows >= 0)
        who["next"][follows[later]] = later
        who["pause"] = pause
        head[later] = False
    heads = np.flatnonzero(head)
    who["head"][: len(heads)] = heads
    return who


def begun(case: Case, who: Any) -> tuple[int, int, Any]:
    """Sessions in all, those that begin by themselves, and the heap of these."""
    sessions = len(who) - int((who["next"] >= 0).sum())
    issued = sessions if case.clients == 0 else min(case.clients, sessions)
    heads = who["head"][:issued]
    coming = heap_of(who["arrival"][heads] + who["half"][heads], len(who))
    coming["id"][1 : issued + 1] = heads[coming["id"][1 : issued + 1]]
    return sessions, issued, coming


def tables(case: Case, who: Any) -> int:
    """Give each request its places in the table of blocks; how many there are."""
    if case.prompts is None:
        return 0
    most = -(-(case.isl + case.osl + 2 * case.draft) // case.block_size)
    who["table"] = np.cumsum(most) - most
    return int(most.sum())


def open_room(case: Case, who: Any, nodes: Any, most: int) -> Room:
    """Everybody still to come, every block free; `most` nodes of prefixes."""
    counts = np.zeros(1, COUNTS)
    counts["free"] = case.blocks
    counts["sessions"], counts["issued"], coming = begun(case, who)
    return Room(
        counts=counts,
        running=np.zeros(case.max_seqs, np.int64),
        victims=np.zeros(case.max_seqs, np.int64),
        waiting=heap(len(who)),
        coming=coming,
        block=pool(0 if case.prompts is None else case.blocks),
        known=known_blocks(most),
        nodes=nodes,
        table=np.zeros(tables(case, who), np.int32),
        gaps=np.zeros(GAP_BINS, np.int64),
    )


def flags(case: Case, *, guarantee: bool = False, wait: int = 0) -> Flags:
    """The case's flags as Numba takes them."""
    return Flags(
        blocks=case.blocks,
        block_size=case.block_size,
        max_seqs=case.max_seqs,
        max_tokens=case.max_tokens,
        long_prefill=case.long_prefill,
        reserve=case.reserve,
        watermark=case.watermark,
        depth=2 if case.asynchronous else 1,
        by_priority=case.rank is not None,
        caching=case.prompts is not None,
        reuse_last=case.reuse_last,
        draft=case.draft,
        acceptance=case.acceptance,
        seed=case.seed,
        whole=not case.chunked,
        guarantee=guarantee,
        wait=wait,
        share=case.share,
        record=case.record,
    )


@njit(cache=True)
def arrive(f: Any, who: Any, room: Room, now: float) -> None:
    """Put into the queue who has come."""
    c, coming, waiting = room.counts[0], room.coming, room.waiting
    while coming[0].id > 0 and coming[1].rank <= now:
        i = pop(coming)
        c.arrived += 1
        if f.by_priority:
            push(waiting, who[i].rank, who[i].arrival, i)
        else:
            push(waiting, 0.0, float(c.arrived), i)
        c.waiting += 1


@njit(cache=True)
def blocks_of(f: Flags, r: Any, todo: int) -> int:
    """Blocks that a request holds once `todo` more tokens are scheduled."""
    return int(-(-(r.computed + todo + f.draft) // f.block_size))


@njit(cache=True)
def give(f: Flags, r: Any, c: Any, todo: int) -> int:
    """Schedule `todo` tokens of a request; the blocks that they need."""
    need = blocks_of(f, r, todo) - r.held
    c.free -= need
    if f.guarantee:
        c.owed -= need
        r.owed -= need
    r.given = todo
    return int(need)


@njit(cache=True)
def name_blocks(f: Flags, r: Any, need: int, room: Room) -> None:
    """Take `need` blocks from the pool, and make known which are full of tokens that are known."""
    take(room.block, room.known, room.table, r, need)
    full = min(r.computed + r.given, r.isl + r.produced) // f.block_size
    commit(room.block, room.known, room.nodes, room.table, r, full)


@njit(cache=True)
def give_back(f: Flags, r: Any, room: Room) -> None:
    """Free all blocks of a request, and what is reserved for it."""
    c = room.counts[0]
    if f.caching:
        c.free += release(room.block, room.table, r, f.reuse_last)
    else:
        c.free += r.held
    c.owed -= r.owed
    r.held = r.owed = 0


@njit(cache=True)
def victim(f: Flags, who: Any, room: Room) -> int:
    """Place of the running request that must go: the last, or the least urgent and latest."""
    c, running = room.counts[0], room.running
    at = c.running - 1
    if f.by_priority:
        for place in range(c.running - 2, -1, -1):
            a, b = who[running[place]], who[running[at]]
            if a.rank > b.rank or (a.rank == b.rank and a.arrival >= b.arrival):
                at = place
    return int(at)


@njit(cache=True)
def enter(room: Room) -> None:
    """Take the first of the queue among the running."""
    c = room.counts[0]
    c.waiting -= 1
    room.running[c.running] = pop(room.waiting)
    c.running += 1


@njit(cache=True)
def leave(room: Room, at: int) -> int:
    """Take who stands at a place out of the running; his number."""
    c, running = room.counts[0], room.running
    i = running[at]
    for place in range(at, c.running - 1):
        running[place] = running[place + 1]
    c.running -= 1
    return int(i)


@njit(cache=True)
def preempt(f: Flags, who: Any, room: Room, at: int) -> None:
    """Send the running request at place `at`, whose blocks are free, to the front of the queue."""
    c, waiting = room.counts[0], room.waiting
    i = leave(room, at)
    r = who[i]
    r.computed = r.ahead = r.given = r.drafts = r.remote = 0
    r.preempted += 1
    c.preemptions += 1
    if f.by_priority:
        push(waiting, r.rank, r.arrival, i)
    else:  # each goes before all that stand there
        push(waiting, 0.0, -float(c.preemptions), i)
    c.waiting += 1


@njit(cache=True)
def wanted(f: Flags, r: Any, limit: int, budget: int) -> int:
    """Tokens that a running request may have in this iteration."""
    todo = r.isl + r.produced + r.ahead - r.computed
    if r.ahead > 0 and r.computed + 2 - r.ahead >= r.isl + r.osl:
        return 0  # its last token is on its way
    r.drafts = f.draft if r.produced > 0 and todo == 1 else 0
    todo += r.drafts
    if 0 < limit < todo:
        todo = limit
    todo = min(todo, budget)
    r.drafts = min(r.drafts, todo - 1)
    return int(todo)


@njit(cache=True)
def schedule_running(f: Flags, who: Any, room: Room, limit: int) -> int:
    """Give the running requests their tokens, in order; the budget that is left."""
    c, running = room.counts[0], room.running
    budget, place = f.max_tokens, 0
    while place < c.running and budget > 0:
        i = running[place]
        r = who[i]
        todo = wanted(f, r, limit, budget)
        if todo == 0:
            place += 1
            continue
        gone = -1
        while blocks_of(f, r, todo) - r.held > c.free and gone != i:
            at = victim(f, who, room)
            gone = running[at]
            if who[gone].given > 0:  # it stood before this one: its tokens go back
                budget += who[gone].given
                place -= 1
            room.victims[c.victims] = gone
            c.victims += 1
            give_back(f, who[gone], room)
            preempt(f, who, room, at)
        if gone != i:
            need = give(f, r, c, todo)
            if f.caching:
                name_blocks(f, r, need, room)
            r.held += need
            budget -= todo
            place += 1
        elif not f.by_priority:
            break
    return budget


@njit(cache=True)
def schedule_waiting(f: Flags, who: Any, room: Room, limit: int, budget: int, now: float) -> int:
    """Admit waiting requests, in order, while the first of them fits; the budget that is left."""
    c, waiting = room.counts[0], room.waiting
    block, known, nodes = room.block, room.known, room.nodes
    while c.waiting > 0 and budget > 0 and c.running < f.max_seqs:
        r = who[waiting[1].id]
        if r.produced == r.osl:  # preempted, and finished by what was in flight
            pop(waiting)
            continue
        total = r.isl + r.produced
        hit, taken = 0, 0
        if f.caching:  # a full hit still computes the last block, for its logits
            hit = hits(known, nodes, r, (total - 1) // f.block_size)
            taken = evictable(block, known, nodes, r, hit)
        r.computed = max(hit * f.block_size, r.remote)
        todo = total - r.computed
        if 0 < limit < todo:
            todo = limit
        if f.whole and todo > budget:
            break
        todo = min(todo, budget)
        need = blocks_of(f, r, todo)
        if f.guarantee:
            need = max(need, -(-(r.isl + r.osl) // f.block_size))
        elif f.reserve:
            need = max(need, -(-total // f.block_size))
        margin = f.watermark if c.running > 0 else 0
        if need - hit + taken + margin > c.free - c.owed:
            break
        enter(room)
        r.held = hit
        c.free -= taken
        if f.guarantee:
            r.owed = need - hit
            c.owed += r.owed
        need = give(f, r, c, todo)
        if f.caching:
            touch(block, known, nodes, room.table, r, hit)
            name_blocks(f, r, need, room)
        r.held += need
        budget -= todo
        if np.isnan(r.scheduled):
            r.scheduled = now
            r.cached = r.computed
    return budget


@njit(cache=True)
def held_back(f: Flags, who: Any, room: Room) -> bool:
    """Whether TensorRT-LLM lets prompts wait for more of them, while others decode."""
    c, waiting = room.counts[0], room.waiting
    if f.wait == 0 or c.running == 0 or c.waiting == 0:
        return False
    tokens = c.running
    for k in range(1, waiting[0].id + 1):
        r = who[waiting[k].id]
        tokens += r.isl + r.produced
    if c.waited < f.wait and tokens < f.share * f.max_tokens:
        c.waited += 1
        return True
    c.waited = 0
    return False


@njit(cache=True)
def schedule(f: Flags, who: Any, room: Room, now: float) -> bool:
    """Give an iteration its tokens; whether there are any."""
    c = room.counts[0]
    c.victims = 0
    limit = f.long_prefill if c.running + c.waiting > 1 else 0
    budget = schedule_running(f, who, room, limit)
    if c.victims == 0 and not held_back(f, who, room):
        budget = schedule_waiting(f, who, room, limit, budget, now)
    return bool(budget < f.max_tokens)


@njit(cache=True)
def launch(
    clock: Clock,
    who: Any,
    room: Room,
    sampled: Any,
    alone: bool,  # noqa: FBT001 -- Numba takes no keywords
) -> tuple[float, int, int, int, int]:
    """Move every request on by its tokens; seconds, requests, P, D, and how many get a token.

    Prefill `alone` counts no token as decoded.
    """
    c, running = room.counts[0], room.running
    prefill, decode, context, attended, batch, samples = 0, 0, 0, 0, 0, 0
    attended_window, pairs, pairs_window = 0.0, 0.0, 0.0
    for place in range(c.running):
        r = who[running[place]]
        todo, before = r.given, r.computed
        if todo == 0:
            continue
        r.given = 0
        r.computed += todo
        batch += 1
        context += r.computed
        if todo == 1 + r.drafts and before >= r.isl and not alone:
            decode += todo
            attended += r.computed
            attended_window += min(float(r.computed), clock.window)
        else:
            prefill += todo
            pairs += todo * (before + 0.5 * todo)
            pairs_window += clipped_pairs(before, todo, clock.window)
        if r.computed >= r.isl + r.produced + r.ahead:
            sampled[samples] = running[place]
            samples += 1
            r.ahead += 1
    seconds = step_seconds(
        clock, prefill, decode, context, attended, attended_window, pairs, pairs_window
    )
    return seconds, batch, prefill, decode, samples


@njit(cache=True)
def confirm(f: Flags, r: Any) -> int:
    """Tokens that an iteration made of a request: one, and the drafts that it confirmed."""
    tokens = 1
    while tokens <= r.drafts and np.random.random() < f.acceptance:  # noqa: NPY002
        tokens += 1
    r.computed -= max(r.drafts + 1 - tokens, 0)
    r.drafts = 0
    r.ahead = max(r.ahead - 1, 0)
    return int(min(tokens, r.osl - r.produced))


@njit(cache=True)
def issue_next(who: Any, c: Any, coming: Any, r: Any, now: float) -> None:
    """End a request, whose blocks are free: its next turn comes, or a client's next session."""
    r.finish = now + r.half
    c.done += 1
    i = r.next
    if i < 0 and c.issued < c.sessions:
        i = who[c.issued].head
        c.issued += 1
    if i >= 0:
        new = who[i]
        new.arrival = r.finish + new.pause
        push(coming, new.arrival + new.half, 0.0, i)


@njit(cache=True)
def hand(r: Any, gaps: Any, now: float) -> None:
    """Give a request one token."""
    r.produced += 1
    if r.produced == 1:
        r.first = now + r.half
    else:
        gaps[gap_bin(now - r.last)] += 1
    r.last = now


@njit(cache=True)
def put_out(
    f: Flags, who: Any, room: Room, total: Any, sampled: Any, samples: int, now: float
) -> None:
    """Give every request that an iteration sampled its tokens; who has all of them leaves."""
    for k in range(samples):
        r = who[sampled[k]]
        for _ in range(confirm(f, r)):
            hand(r, room.gaps, now)
        if r.produced == r.osl:
            room.counts[0].waiting -= r.held == 0  # preempted meanwhile: it leaves the queue
            give_back(f, r, room)
            issue_next(who, total, room.coming, r, now)


@njit(cache=True)
def close_up(who: Any, room: Room) -> None:
    """Keep the unfinished in the running list, in their order."""
    c, running = room.counts[0], room.running
    kept = 0
    for place in range(c.running):
        r = who[running[place]]
        running[kept] = running[place]
        kept += r.produced < r.osl
    c.running = kept


@njit(cache=True)
def describe(
    row: Any, start: float, end: float, c: Any, batch: int, prefill: int, decode: int
) -> None:
    """Fill a row of the record with an iteration."""
    row[0], row[1], row[2], row[3] = start, end, c.running, c.waiting
    row[4], row[5], row[6], row[7] = batch, prefill, decode, c.free


@njit(cache=True)
def noted(log: Any, row: Any, at: int) -> Any:
    """The rows with one more, in more room if it needs it."""
    if at == len(log):
        log = np.concatenate((log, np.zeros_like(log)))
    log[at] = row
    return log


@njit(cache=True)
def play(f: Flags, clock: Clock, who: Any, room: Room) -> Any:
    """Play requests through the scheduler to the last one's end.

    Returns
    -------
    tuple
        The iterations, their rows (where recorded), and (iteration, request) of every preemption
        (likewise).
    """
    np.random.seed(f.seed)  # noqa: NPY002 -- Numba's own generator, apart from NumPy's
    c = room.counts[0]
    now, end = 0.0, 0.0
    sampled = np.zeros((f.depth, f.max_seqs), np.int64)  # who gets a token, by iteration
    samples, ends = np.zeros(f.depth, np.int64), np.zeros(f.depth)
    oldest, in_flight, iterations, row = 0, 0, 0, np.zeros(8)
    log, gone = np.zeros((1024 if f.record else 0, 8)), [(0, 0) for _ in range(0)]
    while c.done < len(who):
        arrive(f, who, room, now)
        if in_flight < f.depth and schedule(f, who, room, now):
            slot = (oldest + in_flight) % f.depth
            start = max(now, end)
            seconds, batch, prefill, decode, samples[slot] = launch(
                clock, who, room, sampled[slot], MIXED
            )
            end = start + seconds
            ends[slot] = end
            if f.record:
                describe(row, start, end, c, batch, prefill, decode)
                log = noted(log, row, iterations)
                gone.extend([(iterations, i) for i in room.victims[: c.victims]])
            in_flight += 1
            iterations += 1
            continue
        if in_flight == 0:
            now = max(now, room.coming[1].rank)
            continue
        now = ends[oldest]
        put_out(f, who, room, c, sampled[oldest], samples[oldest], now)
        close_up(who, room)
        oldest = (oldest + 1) % f.depth
        in_flight -= 1
    return iterations, log[:iterations], gone
