"""vLLM V1's scheduler, told plainly: every iteration walks the whole running list.

Read it beside the engine's own `schedule()`: first the running requests in order of admission,
then the waiting ones while nothing was preempted, then the outputs. With `depth` 2 (asynchronous
scheduling) an iteration is scheduled while the one before it still runs, so that a request's next
token may be scheduled before its last one is known; `ahead` counts such tokens. With `depth` 1 it
is 0 whenever an iteration is scheduled, and the same lines are the synchronous scheduler.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from chipwise.serving.clock import GAP_BINS, Clock, clipped_pairs, gap_bin, step_seconds
from chipwise.types import Array

__all__ = ["COLUMNS", "Flags", "play"]

COLUMNS = (
    "t_start",
    "t_end",
    "n_running",
    "n_waiting",
    "n_scheduled",
    "prefill_tokens",
    "decode_tokens",
    "free_blocks",
)


class Flags(NamedTuple):
    """What the scheduler is told; `watermark` in blocks, `depth` of iterations in flight."""

    blocks: int
    block_size: int
    max_seqs: int
    max_tokens: int
    long_prefill: int
    reserve: bool
    watermark: int
    depth: int
    by_priority: bool


@njit(cache=True)
def play(  # noqa: C901, PLR0912, PLR0915 -- one iteration, read top to bottom
    flags: Flags,
    clock: Clock,
    arrival: Array,
    isl: Any,
    osl: Any,
    rank: Array,
    half: Array,
    clients: int,
    record: bool,  # noqa: FBT001 -- Numba takes no keyword-only arguments
) -> Any:
    """Play requests through the scheduler.

    Parameters
    ----------
    arrival : array
        Times of arrival [s]; in a closed loop they are written, and so must be writable.
    rank : array
        Priority, smaller first. [1]
    half : array
        Half of the host's time for a request. [s]
    clients : int
        Of a closed loop; 0 where requests arrive by themselves.
    """
    size, n = flags.block_size, len(isl)
    computed = np.zeros(n, np.int64)  # tokens whose KV is in the cache, or on its way
    produced = np.zeros(n, np.int64)  # output tokens known
    ahead = np.zeros(n, np.int64)  # output tokens scheduled and not yet known
    held = np.zeros(n, np.int64)  # blocks
    given = np.zeros(n, np.int64)  # tokens in the iteration being scheduled
    preempted = np.zeros(n, np.int64)
    scheduled, first = np.full(n, np.nan), np.full(n, np.nan)
    last, finish = np.full(n, np.nan), np.full(n, np.nan)
    gaps = np.zeros(GAP_BINS, np.int64)

    running = np.zeros(flags.max_seqs, np.int64)
    n_running, n_waiting, free = 0, 0, flags.blocks
    # A preempted request goes to the front: its key is lower than all before it.
    waiting = [(0.0, 0.0, 0) for _ in range(0)]
    coming = [(0.0, 0) for _ in range(0)]
    back, front = 0.0, 0.0
    for i in range(n if clients == 0 else min(clients, n)):
        heappush(coming, (arrival[i] + half[i], i))
    issued = len(coming)

    sampled = np.zeros((flags.depth, flags.max_seqs), np.int64)  # who gets a token, by iteration
    samples, ends = np.zeros(flags.depth, np.int64), np.zeros(flags.depth)
    oldest, in_flight, iterations, done, preemptions = 0, 0, 0, 0, 0
    now, end, gap_sum = 0.0, 0.0, 0.0
    log = np.zeros((1024 if record else 1, 8))
    victims = [(0, 0) for _ in range(0)]

    while done < n:
        while len(coming) > 0 and coming[0][0] <= now:
            i = heappop(coming)[1]
            if flags.by_priority:
                heappush(waiting, (rank[i], arrival[i], i))
            else:
                back += 1.0
                heappush(waiting, (0.0, back, i))
            n_waiting += 1

        # --- schedule one iteration
        budget, victims_before = flags.max_tokens, len(victims)
        limit = flags.long_prefill if n_running + n_waiting > 1 else 0
        place = 0
        while in_flight < flags.depth and place < n_running and budget > 0:
            i = running[place]
            todo = isl[i] + produced[i] + ahead[i] - computed[i]
            if ahead[i] > 0 and computed[i] + 2 - ahead[i] >= isl[i] + osl[i]:
                todo = 0  # its last token is on its way
            if 0 < limit < todo:
                todo = limit
            todo = min(todo, budget)
            if todo == 0:
                place += 1
                continue
            need = -(-(computed[i] + todo) // size) - held[i]
            victim = -1
            while need > free and victim != i:
                at = n_running - 1
                if flags.by_priority:
                    for k in range(n_running - 2, -1, -1):
                        a, b = running[k], running[at]
                        if (rank[a], arrival[a]) >= (rank[b], arrival[b]):
                            at = k
                victim = running[at]
                running[at : n_running - 1] = running[at + 1 : n_running]
                n_running -= 1
                if given[victim] > 0:  # it stood before this one: its tokens go back
                    budget += given[victim]
                    given[victim] = 0
                    place -= 1
                free += held[victim]
                held[victim] = computed[victim] = ahead[victim] = 0
                preempted[victim] += 1
                preemptions += 1
                victims.append((iterations + 1, victim))
                front -= 1.0
                key = (rank[victim], arrival[victim]) if flags.by_priority else (0.0, front)
                heappush(waiting, (key[0], key[1], victim))
                n_waiting += 1
            if victim == i:
                if flags.by_priority:
                    continue
                break
            free -= need
            held[i] += need
            given[i] = todo
            budget -= todo
            place += 1
        while (
            in_flight < flags.depth
            and len(victims) == victims_before
            and n_waiting > 0
            and budget > 0
            and n_running < flags.max_seqs
        ):
            i = waiting[0][2]
            if produced[i] == osl[i]:  # finished while it waited
                heappop(waiting)
                continue
            todo = isl[i] + produced[i]
            whole = -(-todo // size)
            if 0 < limit < todo:
                todo = limit
            todo = min(todo, budget)
            need = -(-todo // size)
            margin = flags.watermark if n_running > 0 else 0
            if (whole if flags.reserve else need) + margin > free:
                break
            heappop(waiting)
            n_waiting -= 1
            running[n_running] = i
            n_running += 1
            free -= need
            held[i] = need
            given[i] = todo
            budget -= todo
            if np.isnan(scheduled[i]):
                scheduled[i] = now

        # --- what it holds, and how long it lasts
        if budget < flags.max_tokens:
            prefill, decode, context, attended, batch = 0, 0, 0, 0, 0
            attended_window, pairs, pairs_window = 0.0, 0.0, 0.0
            slot = (oldest + in_flight) % flags.depth
            samples[slot] = 0
            for place in range(n_running):
                i = running[place]
                todo = given[i]
                if todo == 0:
                    continue
                given[i] = 0
                batch += 1
                before = computed[i]
                computed[i] += todo
                context += computed[i]
                if todo == 1 and before >= isl[i]:
                    decode += 1
                    attended += computed[i]
                    attended_window += min(float(computed[i]), clock.window)
                else:
                    prefill += todo
                    pairs += todo * (before + 0.5 * todo)
                    pairs_window += clipped_pairs(before, todo, clock.window)
                if computed[i] == isl[i] + produced[i] + ahead[i]:
                    sampled[slot, samples[slot]] = i
                    samples[slot] += 1
                    ahead[i] += 1
            start = max(now, end)
            end = start + step_seconds(
                clock, prefill, decode, context, attended, attended_window, pairs, pairs_window
            )
            ends[slot] = end
            in_flight += 1
            if record:
                if iterations == len(log):
                    log = np.concatenate((log, np.zeros_like(log)))
                log[iterations, 0], log[iterations, 1] = start, end
                log[iterations, 2], log[iterations, 3] = n_running, n_waiting
                log[iterations, 4], log[iterations, 5] = batch, prefill
                log[iterations, 6], log[iterations, 7] = decode, free
            iterations += 1
            if in_flight < flags.depth:
                continue

        # --- wait for an output, or an arrival
        if in_flight == 0:
            now = max(now, coming[0][0])
            continue
        now = ends[oldest]
        for k in range(samples[oldest]):
            i = sampled[oldest, k]
            produced[i] += 1
            ahead[i] = max(ahead[i] - 1, 0)
            if produced[i] == 1:
                first[i] = now + half[i]
            else:
                gap = now - last[i]
                gaps[gap_bin(gap)] += 1
                gap_sum += gap
            last[i] = now
            if produced[i] == osl[i]:
                finish[i] = now + half[i]
                done += 1
                if held[i] == 0:  # preempted meanwhile: it leaves the queue
                    n_waiting -= 1
                free += held[i]
                held[i] = 0
                if issued < n:
                    arrival[issued] = finish[i]
                    heappush(coming, (finish[i] + half[issued], issued))
                    issued += 1
        kept = 0
        for place in range(n_running):
            i = running[place]
            running[kept] = i
            kept += produced[i] < osl[i]
        n_running = kept
        oldest = (oldest + 1) % flags.depth
        in_flight -= 1

    return (
        scheduled, first, finish, preempted, gaps, gap_sum, iterations, preemptions,
        log[:iterations] if record else log[:0], victims,
    )  # fmt: skip
