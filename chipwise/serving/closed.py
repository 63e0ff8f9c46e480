"""A benchmark's closed loop, replayed by leaps: what the measured tables were measured with.

All clients start at once and each issues its next request when its former one is complete, so
nothing happens between a completion and the next but decoding, which is summed in closed form.
Cost is O(clients) for a completion, whatever the output length. The three engines' habits of
mixing, chunking and polling are told apart; the cache is a sum of tokens, without blocks or
preemption, which is what a benchmark that fits its cache sees. `plain.py` is the reference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from chipwise.serving.clock import Clock, clipped_pairs, clock, step_seconds
from chipwise.types import Array, StepTable

__all__ = ["Habits", "replay"]

VLLM, SGLANG, TRTLLM = 0, 1, 2
ENGINES = {"vllm": VLLM, "sglang": SGLANG, "trtllm": TRTLLM}


class Habits(NamedTuple):
    """What an engine is told.

    `engine` is one of the numbers above; `chunk` tokens of an iteration; `cache` tokens that fit;
    `growth` share of the output that an admission reserves; `most` sequences; `poll` decode
    iterations between looks at the queue (SGLang); `wait` iterations for which contexts are held
    back until they fill `share` of the budget (TensorRT-LLM).
    """

    engine: int
    chunk: int
    cache: float
    growth: float
    most: int
    poll: float = 1.0
    wait: int = 0
    share: float = 0.9


def replay(
    table: StepTable,
    isl: NDArray[np.int64],
    osl: NDArray[np.int64],
    clients: int,
    habits: Habits,
) -> tuple[Array, Array, Array]:
    """Arrival, first token and completion of each request, in the order of the arrays. [s]

    Parameters
    ----------
    table : StepTable
        Seconds of an iteration; its request overheads pass half before the engine sees a
        request, half after each token.
    isl, osl : array of int
        Prompts and outputs. [token]
    clients : int
        Requests in flight.
    habits : Habits
        The engine's.
    """
    half = 0.5 * (table.request + table.request_token * isl)
    top = int(max(habits.chunk, isl.max())) + clients
    arrival, first, finish = _replay(
        clock(table, top), isl, osl, np.asarray(half, np.float64), min(clients, len(isl)), habits
    )
    return arrival, first + half, finish + half


@njit(cache=True)
def _replay(  # noqa: C901, PLR0912, PLR0915 -- one loop, read top to bottom
    clock: Clock,
    isl: NDArray[np.int64],
    osl: NDArray[np.int64],
    half: Array,
    clients: int,
    habits: Habits,
) -> tuple[Array, Array, Array]:
    count = len(isl)
    arrival, first, finish = np.zeros(count), np.zeros(count), np.zeros(count)
    queue = np.empty(count, np.int64)  # requests by arrival; [head, issued) wait or are unborn
    for i in range(clients):
        queue[i] = i
    issued, known, head, done = clients, 0, 0, 0
    running = np.empty(clients, np.int64)  # decoding requests
    ends = np.empty(clients, np.int64)  # decode step at which each of them ends
    n, context, step, now = 0, 0, 0, 0.0
    held = 0.0  # tokens of cache that admitted requests may come to need
    partial, left = -1, 0  # a prompt that is cut, and its tokens to go
    polled, waited, fresh = 0, 0, True
    window = clock.window
    while done < count:
        # What the engine knows: arrivals up to now, if it looks.
        looks = habits.engine != SGLANG or fresh or n == 0 or step - polled >= habits.poll
        if looks:
            while known < issued and arrival[queue[known]] + half[queue[known]] <= now:
                known += 1
            polled = step
        fresh = False
        # What it prefills now.
        space = habits.chunk if habits.engine == SGLANG else habits.chunk - n
        prefill, pairs, pairs_window = 0, 0.0, 0.0
        begun = head
        if partial >= 0:
            take = min(left, space)
            gone = isl[partial] - left
            prefill += take
            pairs += take * (gone + 0.5 * take)
            pairs_window += clipped_pairs(gone, take, window)
            left -= take
        cut = partial if left > 0 else -1
        release = True
        if habits.engine == TRTLLM and habits.wait > 0 and n > 0 and known > head:
            total = n
            for j in range(head, known):
                total += isl[queue[j]]
            release = total >= habits.share * habits.chunk or waited >= habits.wait
            waited += 1
        while release and cut < 0 and head < known and space > prefill:
            i = queue[head]
            need = isl[i] + habits.growth * osl[i]
            if n + (head - begun) + (1 if partial >= 0 else 0) >= habits.most:
                break
            if held + need > habits.cache and held > 0:
                break
            take = min(isl[i], space - prefill)
            if take < isl[i] and habits.engine == TRTLLM:
                if prefill > 0 or n > 0:
                    break
                take = isl[i]
            held += need
            prefill += take
            pairs += 0.5 * take * take
            pairs_window += clipped_pairs(0, take, window)
            head += 1
            if take < isl[i]:
                cut, left = i, isl[i] - take
        if prefill > 0:
            waited = 0
            fresh = True
            alone = habits.engine == SGLANG
            d = 0 if alone else n
            c = 0 if alone else context + n
            w = min(float(c), d * window)
            now += step_seconds(clock, prefill, d, c, c, w, pairs, pairs_window)
            if not alone:
                step += 1
                context += n
        elif n > 0:
            # Decoding alone: leap to the first end, or to when a prompt can join.
            k = ends[0] - step
            for j in range(1, n):
                k = min(k, ends[j] - step)
            room = n < habits.most
            if room and known < issued and known == head:
                i = queue[known]
                need = isl[i] + habits.growth * osl[i]
                if held + need <= habits.cache:
                    each = step_seconds(
                        clock,
                        0,
                        n,
                        context + n,
                        context + n,
                        min(float(context + n), n * window),
                        0.0,
                        0.0,
                    )
                    ahead = arrival[i] + half[i] - now
                    until = int(np.ceil(ahead / each)) if ahead > 0 else 1
                    if habits.engine == SGLANG:
                        until = max(until, int(np.ceil(habits.poll - (step - polled))))
                    k = min(k, max(until, 1))
            elif not release:
                k = min(k, max(habits.wait - waited + 1, 1))
            # Time is linear in the context, so the middle of the leap stands for it.
            middle = context + n * (k + 1) / 2.0
            w = min(middle, n * window)
            now += k * step_seconds(clock, 0, n, middle, middle, w, 0.0, 0.0)
            step += k
            context += n * k
            if habits.engine == TRTLLM and not release:
                waited += k - 1
        else:
            i = queue[head]
            now = max(now, arrival[i] + half[i])
            continue
        # Ends of decoding requests.
        j = 0
        while j < n:
            if ends[j] <= step:
                i = running[j]
                finish[i] = now
                held -= isl[i] + habits.growth * osl[i]
                context -= isl[i] + osl[i] - 1
                done += 1
                if issued < count:
                    queue[issued] = issued
                    arrival[issued] = now + half[i]
                    issued += 1
                n -= 1
                running[j], ends[j] = running[n], ends[n]
            else:
                j += 1
        # Prompts that are complete give their first token and begin to decode.
        if partial >= 0 and cut != partial:
            i = partial
            first[i] = now
            running[n], ends[n] = i, step + osl[i] - 1
            context += isl[i]
            n += 1
        for j in range(begun, head):
            i = queue[j]
            if i == cut:
                continue
            first[i] = now
            running[n], ends[n] = i, step + osl[i] - 1
            context += isl[i]
            n += 1
        partial = cut
    return arrival, first, finish
