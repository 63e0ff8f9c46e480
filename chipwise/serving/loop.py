"""The plain loop's answers in O(1) for each iteration: the running batch as an aggregate.

Where requests are served first come first, one iteration is in flight, no prompt's share of an
iteration is limited but by the budget, and the budget holds a token for each sequence, every
decoding request gets exactly one token in each iteration and at most one prompt is cut, the newest.
So a decoding request is told by one number, its `offset`: after iteration t it has computed
t + offset tokens. Of all together it is enough to keep

- how many decode, and their computed tokens in all;
- how many need a block in each iteration: those whose offset leaves the same rest by the block;
- a calendar of the iterations in which they end;
- the order of admission, for who must go when the blocks run out: a minimal tail of it.

Between events (an end, an arrival that could be admitted, a lack of blocks) an iteration is a
handful of additions. Everything is added up as whole numbers, so that the times are those of
`plain.py` to the last bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from chipwise.serving.clock import GAP_BINS, Clock, clipped_pairs, gap_bin, step_seconds
from chipwise.serving.heap import pop, push
from chipwise.serving.tree import (
    Tree,
    advance,
    look_up,
    look_up_rest,
    release,
    settle,
    take,
    take_rest,
)
from chipwise.types import Array

__all__ = ["LONGEST", "Limits", "open_room", "play"]

LONGEST = 2**20  # tokens of output that the calendar has room for

# A running request. The running list and the calendar's days are linked through the slots.
SLOT = np.dtype(
    [
        ("id", np.int64),
        ("offset", np.int64),
        ("ends", np.int64),  # iteration of its last token
        ("before", np.int32),
        ("behind", np.int32),
        ("sooner", np.int32),
        ("later", np.int32),
    ]
)

# An iteration to come: who ends in it, and how many reach the window's length.
DAY = np.dtype([("first", np.int32), ("last", np.int32), ("crossing", np.int64)])

# A request whose prefill is under way, or which waits to do it again.
PREFILL = np.dtype(
    [
        ("id", np.int64),
        ("slot", np.int64),
        ("before", np.int64),  # tokens that were found in the cache
        ("done", np.int64),
        ("total", np.int64),
        ("produced", np.int64),
        ("last", np.float64),
    ]
)

COUNTS = np.dtype(
    [
        ("running", np.int64),
        ("decoding", np.int64),
        ("context", np.int64),  # computed tokens of the decoding
        ("clipped", np.int64),  # the same, each at most the window
        ("below", np.int64),  # decoding requests that are shorter than the window
        ("free", np.int64),
        ("tail", np.int64),  # the slot admitted last
        ("slots", np.int64),  # free slots
        ("done", np.int64),
        ("issued", np.int64),
        ("stacked", np.int64),  # preempted, waiting
        ("begun", np.int64),  # decodes, ever
        ("owed", np.int64),  # blocks that are reserved and not yet taken
    ]
)


class Limits(NamedTuple):
    """What the scheduler is told, as in plain.Flags; `half`, `half_token` of the host's time."""

    blocks: int
    shift: int  # a block has 2^shift tokens
    max_seqs: int
    max_tokens: int
    reserve: bool
    watermark: int
    clients: int
    half: float
    half_token: float
    window: int
    whole: bool
    guarantee: bool


class Room(NamedTuple):
    """Arrays of the running batch; see the module's text."""

    counts: Any
    cut: Any  # the prompt that is cut, if `slot` is not -1
    slot: Any
    spare: Any
    phase: Any
    calendar: Any


def open_room(f: Limits, requests: int, longest: int) -> Room:
    """Nobody running, every block free; the calendar has room for `longest` outputs."""
    days = 1 << (longest + 1).bit_length()
    counts, cut, calendar = np.zeros(1, COUNTS), np.zeros(1, PREFILL), np.zeros(days, DAY)
    calendar["first"] = calendar["last"] = -1
    counts["free"], counts["tail"], counts["slots"] = f.blocks, -1, f.max_seqs
    counts["issued"] = requests if f.clients == 0 else min(f.clients, requests)
    cut["slot"] = -1
    return Room(
        counts=counts,
        cut=cut,
        slot=np.zeros(f.max_seqs, SLOT),
        spare=np.arange(f.max_seqs),
        phase=np.zeros(1 << f.shift, np.int64),
        calendar=calendar,
    )


@njit(cache=True, inline="always")
def host(f: Limits, isl: int) -> float:
    """Half of the host's time for a request. [s]"""
    return 0.5 * (f.half + f.half_token * isl)


@njit(cache=True, inline="always")
def blocks_of(f: Limits, tokens: int) -> int:
    """Blocks that so many tokens take."""
    return (tokens + (1 << f.shift) - 1) >> f.shift


@njit(cache=True, inline="always")
def enter(c: Any, slot: Any, spare: Any, i: int) -> int:
    """Append request i to the running list; its slot."""
    c.slots -= 1
    at = spare[c.slots]
    r = slot[at]
    r.id, r.before, r.behind = i, c.tail, -1
    if c.tail >= 0:
        slot[c.tail].behind = at
    c.tail = at
    c.running += 1
    return int(at)


@njit(cache=True, inline="always")
def quit_running(c: Any, slot: Any, spare: Any, at: int) -> None:
    """Take a slot out of the running list."""
    r = slot[at]
    if r.before >= 0:
        slot[r.before].behind = r.behind
    if r.behind >= 0:
        slot[r.behind].before = r.before
    else:
        c.tail = r.before
    spare[c.slots] = at
    c.slots += 1
    c.running -= 1


@njit(cache=True, inline="always")
def begin_decoding(
    f: Limits, c: Any, slot: Any, phase: Any, calendar: Any, at: int, t: int, total: int, ends: int
) -> None:
    """From the next iteration on, the request in a slot, with `total` tokens computed, decodes."""
    r = slot[at]
    r.offset, r.ends, r.later = total - t, ends, -1
    day = ends & (len(calendar) - 1)
    r.sooner = calendar[day].last
    if r.sooner >= 0:
        slot[r.sooner].later = at
    else:
        calendar[day].first = at
    calendar[day].last = at
    phase[r.offset & ((1 << f.shift) - 1)] += 1
    c.decoding += 1
    c.context += total
    c.clipped += min(total, f.window)
    if total < f.window:
        c.below += 1
        crosses = f.window - r.offset
        if crosses <= ends:
            calendar[crosses & (len(calendar) - 1)].crossing += 1


@njit(cache=True, inline="always")
def end_decoding(f: Limits, c: Any, slot: Any, phase: Any, calendar: Any, at: int, t: int) -> int:
    """After iteration t the request in a slot decodes no more; its computed tokens."""
    r = slot[at]
    day = r.ends & (len(calendar) - 1)
    if r.sooner >= 0:
        slot[r.sooner].later = r.later
    else:
        calendar[day].first = r.later
    if r.later >= 0:
        slot[r.later].sooner = r.sooner
    else:
        calendar[day].last = r.sooner
    phase[r.offset & ((1 << f.shift) - 1)] -= 1
    computed = t + r.offset
    c.decoding -= 1
    c.context -= computed
    c.clipped -= min(computed, f.window)
    if computed < f.window:
        c.below -= 1
        crosses = f.window - r.offset
        if crosses <= r.ends:
            calendar[crosses & (len(calendar) - 1)].crossing -= 1
    return int(computed)


@njit(cache=True)
def give_back(f: Limits, c: Any, tree: Tree | None, i: int, computed: int, t: int) -> None:
    """Free the blocks of a request that has so many tokens computed."""
    if tree is None:
        c.free += blocks_of(f, computed)
    else:
        c.free += release(tree, i, computed, t, 1 << f.shift)


@njit(cache=True)
def note_decode(c: Any, tree: Tree, i: int, offset: int) -> None:
    """Tell the cache from when on a request writes what others may read."""
    if tree.leaf[i].group >= 0:
        c.begun += 1
        tree.leaf[i].offset, tree.leaf[i].decodes = offset, c.begun


@njit(cache=True, inline="always")
def leave(
    f: Limits, c: Any, i: int, now: float, arrival: Array, isl: Any, finish: Array, coming: Any
) -> None:
    """End request i, whose blocks are free; in a closed loop its client issues the next."""
    finish[i] = now + host(f, isl[i])
    c.done += 1
    if f.clients > 0 and c.issued < len(isl):
        arrival[c.issued] = finish[i]
        push(coming, finish[i] + host(f, isl[c.issued]), 0.0, c.issued)
        c.issued += 1


@njit(cache=True)
def play(  # noqa: C901, PLR0912, PLR0915 -- one iteration, read top to bottom
    f: Limits,
    clock: Clock,
    arrival: Array,
    isl: Any,
    osl: Any,
    room: Room,
    tree: Tree | None,
    line: Any,
    coming: Any,
) -> Any:
    """Play requests through the scheduler to the last one's end.

    Parameters
    ----------
    line : array
        Requests in the order in which the scheduler sees them; empty where that is their own.
        Written in a closed loop.
    coming : array
        In a closed loop, the heap of issued requests by the time at which they are seen.

    Returns
    -------
    tuple
        Times scheduled, first and finish; preempted; cached; gaps; iterations.
    """
    n = len(isl)
    scheduled, first, finish = np.empty(n), np.empty(n), np.empty(n)
    preempted, cached = np.zeros(n, np.int64), np.zeros(n, np.int64)
    gaps, size = np.zeros(GAP_BINS, np.int64), 1 << f.shift
    c, cut = room.counts[0], room.cut[0]
    slot, spare, phase, calendar = room.slot, room.spare, room.phase, room.calendar
    days = len(calendar)
    if tree is not None:
        unit, store, leaf, piece, kept = tree.unit, tree.store, tree.leaf, tree.piece, tree.kept
        copies, per = tree.copies, tree.chunk // size
    # Whoever is preempted goes to the front of the queue: a stack before the line.
    stack = np.zeros(f.max_seqs, PREFILL)
    fresh = np.zeros(f.max_seqs, PREFILL)  # prefills that end with this iteration
    own_order = len(line) == 0
    head, seen, t, now = 0, 0, 0, 0.0
    next_at = coming[1].rank if f.clients > 0 else arrival[0] + host(f, isl[0])
    if f.clients == 0 and not own_order:
        next_at = arrival[line[0]] + host(f, isl[line[0]])

    while c.done < n:
        while next_at <= now:
            if f.clients > 0:
                line[seen] = pop(coming)
                seen += 1
                next_at = coming[1].rank if coming[0].id > 0 else np.inf
            else:
                seen += 1
                next_at = np.inf
                if seen < n:
                    i = seen if own_order else line[seen]
                    next_at = arrival[i] + host(f, isl[i])

        # --- the running: a token for each that decodes, the rest of the budget for a cut prompt
        t += 1
        need = phase[(1 - t) & (size - 1)]
        budget = f.max_tokens - c.decoding
        chunk, cut_need = 0, 0
        if cut.slot >= 0:
            chunk = min(cut.total - cut.done, budget)
            cut_need = blocks_of(f, cut.done + chunk) - blocks_of(f, cut.done)
        short = need + cut_need > c.free
        while need + cut_need > c.free:
            # Those before the last have taken what there was; now the last must go.
            part = min(need, c.free)
            need -= part
            c.free -= part
            if tree is not None:
                left = take(unit, store, copies, part)
                if left > 0:
                    take_rest(tree, left)
            at = c.tail
            r = slot[at]
            entry = stack[c.stacked]
            c.stacked += 1
            entry.id = r.id
            if at == cut.slot:
                give_back(f, c, tree, r.id, cut.done, t - 1)
                entry.produced, entry.last = cut.produced, cut.last
                cut.slot, chunk, cut_need = -1, 0, 0
            else:
                entry.produced, entry.last = osl[r.id] - (r.ends - t + 1), now
                computed = end_decoding(f, c, slot, phase, calendar, at, t - 1)
                need -= computed & (size - 1) == 0
                give_back(f, c, tree, r.id, computed, t - 1)
            quit_running(c, slot, spare, at)
            preempted[r.id] += 1
        c.free -= need + cut_need
        if f.guarantee:
            c.owed -= need + cut_need
        budget -= chunk
        if tree is not None:
            left = take(unit, store, copies, need + cut_need)
            if left > 0:
                take_rest(tree, left)
            if chunk > 0:
                advance(tree, cut.id, cut.done, cut.done + chunk, size)

        # --- the waiting, in order, while the first of them fits
        begun = 0
        new_cut = -1
        while (
            not short and budget > 0 and c.running < f.max_seqs and (c.stacked > 0 or head < seen)
        ):
            if c.stacked > 0:
                i, produced, last = (
                    stack[c.stacked - 1].id,
                    stack[c.stacked - 1].produced,
                    stack[c.stacked - 1].last,
                )
            else:
                i, produced, last = (head if own_order else line[head]), 0, now
            total = isl[i] + produced
            hit, unused = 0, 0
            if tree is not None:
                hit, unused, on = look_up(unit, leaf, piece, kept, copies, per, i)
                if on >= 0:
                    rest, free = look_up_rest(tree, i, total, t, size, on, hit)
                    hit += rest
                    unused += free
            before = hit * size
            if f.whole and total - before > budget:
                break
            todo = min(total - before, budget)
            need = blocks_of(f, before + todo) - hit
            whole = blocks_of(f, total) - hit if f.reserve else need
            free = c.free
            if f.guarantee:
                whole = blocks_of(f, isl[i] + osl[i]) - hit
                free -= c.owed
            if whole + unused + (f.watermark if c.running > 0 else 0) > free:
                break
            if f.guarantee:
                c.owed += whole - need
            if c.stacked > 0:
                c.stacked -= 1
            else:
                head += 1
                scheduled[i], cached[i] = now, before
            c.free -= need + unused
            budget -= todo
            if tree is not None:
                settle(tree, i, hit, need, before + todo, size)
            entry = fresh[begun]
            entry.id, entry.slot = i, enter(c, slot, spare, i)
            entry.before, entry.done, entry.total = before, before + todo, total
            entry.produced, entry.last = produced, last
            begun += 1
            if before + todo < total:
                new_cut = begun - 1

        # --- how long it lasts
        if c.running == 0:
            t -= 1
            now = max(now, next_at)
            continue
        n_decode, prefill, pairs, pairs_window = c.decoding, 0, 0.0, 0.0
        c.context += c.decoding
        c.clipped += c.below
        c.below -= calendar[t & (days - 1)].crossing
        calendar[t & (days - 1)].crossing = 0
        context = attended = c.context
        clipped = float(c.clipped)
        if chunk > 0:
            context += cut.done + chunk
            if chunk == 1 and cut.done >= isl[cut.id]:
                n_decode += 1
                attended += cut.done + 1
                clipped += min(float(cut.done + 1), clock.window)
            else:
                prefill += chunk
                pairs += chunk * (cut.done + 0.5 * chunk)
                pairs_window += clipped_pairs(cut.done, chunk, clock.window)
            cut.done += chunk
        for k in range(begun):
            e = fresh[k]
            todo = e.done - e.before
            context += e.done
            if todo == 1 and e.before >= isl[e.id]:
                n_decode += 1
                attended += e.done
                clipped += min(float(e.done), clock.window)
            else:
                prefill += todo
                pairs += todo * (e.before + 0.5 * todo)
                pairs_window += clipped_pairs(e.before, todo, clock.window)
        end = now + step_seconds(
            clock, prefill, n_decode, context, attended, clipped, pairs, pairs_window
        )

        # --- the outputs, in the order of the running list
        gaps[gap_bin(end - now)] += c.decoding
        at = calendar[t & (days - 1)].first
        while at >= 0:
            following = slot[at].later
            i = slot[at].id
            computed = end_decoding(f, c, slot, phase, calendar, at, t)
            give_back(f, c, tree, i, computed, t)
            if f.guarantee:
                c.owed -= blocks_of(f, isl[i] + osl[i]) - blocks_of(f, computed)
            quit_running(c, slot, spare, at)
            leave(f, c, i, end, arrival, isl, finish, coming)
            at = following
        cut_ends = cut.slot >= 0 and cut.done == cut.total
        for k in range(-1 if cut_ends else 0, begun):
            if k == new_cut and k >= 0:
                continue
            e = fresh[k] if k >= 0 else cut
            i = e.id
            if e.produced == 0:
                first[i] = end + host(f, isl[i])
            else:
                gaps[gap_bin(end - e.last)] += 1
            if e.produced + 1 == osl[i]:
                give_back(f, c, tree, i, e.total, t)
                if f.guarantee:
                    c.owed -= blocks_of(f, isl[i] + osl[i]) - blocks_of(f, e.total)
                quit_running(c, slot, spare, e.slot)
                leave(f, c, i, end, arrival, isl, finish, coming)
            else:
                ends = t + osl[i] - e.produced - 1
                begin_decoding(f, c, slot, phase, calendar, e.slot, t, e.total, ends)
                if tree is not None:
                    note_decode(c, tree, i, e.total - t)
        if cut_ends:
            cut.slot = -1
        if new_cut >= 0:
            e = fresh[new_cut]
            cut.id, cut.slot, cut.done, cut.total = e.id, e.slot, e.done, e.total
            cut.produced, cut.last = e.produced, e.last
        now = end
        if f.clients > 0:
            next_at = coming[1].rank if coming[0].id > 0 else np.inf

        # --- decoding alone: nobody can be admitted before `until`
        if cut.slot < 0 and c.decoding > 0:
            until = np.inf
            if c.running < f.max_seqs and c.decoding < f.max_tokens:
                if c.stacked == 0 and head == seen:
                    until = next_at
                else:
                    i = stack[c.stacked - 1].id if c.stacked > 0 else 0
                    total = stack[c.stacked - 1].produced if c.stacked > 0 else 0
                    if c.stacked == 0:
                        i = head if own_order else line[head]
                    total += isl[i]
                    hit, unused = 0, 0
                    if tree is not None:
                        hit, unused, on = look_up(unit, leaf, piece, kept, copies, per, i)
                        if on >= 0:
                            rest, free = look_up_rest(tree, i, total, t, size, on, hit)
                            hit += rest
                            unused += free
                        if leaf[i].group >= 0:  # others may write what it begins with
                            until = now
                    todo = (
                        total if f.reserve else min(total, hit * size + f.max_tokens - c.decoding)
                    )
                    free = c.free
                    if f.guarantee:
                        todo, free = isl[i] + osl[i], free - c.owed
                    fits = blocks_of(f, todo) - hit + unused + f.watermark <= free
                    if fits and not (f.whole and total - hit * size > f.max_tokens - c.decoding):
                        until = now
            # Not a function of its own: handing over its arrays would take longer than all it does.
            decoding, context, clipped_sum, below = c.decoding, c.context, c.clipped, c.below
            at, free = (-t) & (size - 1), c.free
            while now < until and calendar[(t + 1) & (days - 1)].first < 0 and phase[at] <= free:
                t += 1
                free -= phase[at]
                if tree is not None:
                    left = take(unit, store, copies, phase[at])
                    if left > 0:
                        take_rest(tree, left)
                at = at - 1 if at > 0 else size - 1
                context += decoding
                clipped_sum += below
                if clock.attention_window != 0.0:
                    below -= calendar[t & (days - 1)].crossing
                    calendar[t & (days - 1)].crossing = 0
                end = now + step_seconds(
                    clock, 0, decoding, context, context, float(clipped_sum), 0.0, 0.0
                )
                gaps[gap_bin(end - now)] += decoding
                now = end
            c.owed -= c.free - free if f.guarantee else 0
            c.context, c.clipped, c.below, c.free = context, clipped_sum, below, free
    return scheduled, first, finish, preempted, cached, gaps, t
