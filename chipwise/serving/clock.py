"""The time of one engine iteration: the one function that every loop calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from chipwise.types import Array, StepTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Clock",
    "clipped_pairs",
    "clock",
    "gap_bin",
    "gap_centre",
    "lockstep_end",
    "step_seconds",
]

GAP_BITS = 40  # mantissa bits dropped: a bin is 2⁻¹² of its value wide
GAP_FIRST = 4096 * (1023 - 34)  # gaps below 2⁻³⁴ s share the first bin
GAP_BINS = 4096 * 54  # up to 2²⁰ s


class Clock(NamedTuple):
    """A StepTable as Numba takes it: its grid spread out to one entry for each token count."""

    base: float
    prefill: float
    decode: float
    context: float
    grid: Array
    shared: Array
    decode_base: float
    attention: float
    attention_window: float
    pair: float
    pair_window: float
    window: float
    launch: float


def clock(table: StepTable, top: int) -> Clock:
    """Clock of iterations of up to `top` tokens."""
    count = np.arange(top + 1, dtype=np.float64)
    if len(table.tokens):
        grid = np.interp(count, table.tokens, table.seconds)
        beyond = count > table.tokens[-1]
        grid[beyond] = table.seconds[-1] * count[beyond] / table.tokens[-1]
    else:
        grid = np.zeros(top + 1)
    shared = np.interp(count, table.tokens, table.shared) if len(table.shared) else 0.0 * count
    return Clock(
        float(table.base),
        float(table.prefill),
        float(table.decode),
        float(table.context),
        grid,
        shared,
        float(table.decode_base),
        float(table.attention),
        float(table.attention_window),
        float(table.pair),
        float(table.pair_window),
        float(table.window),
        float(table.launch),
    )


@njit(cache=True)
def step_seconds(
    clock: Clock,
    prefill: int,
    decode: int,
    context: int,
    attended: int,
    attended_window: float,
    pairs: float,
    pairs_window: float,
) -> float:
    """Seconds of an iteration; see StepTable for the formula.

    Parameters
    ----------
    clock : Clock
        The step table.
    prefill, decode : int
        Tokens prefilled P and decoded D. [token]
    context, attended : int
        Computed tokens after the iteration of all its requests X, and of its decoding requests C.
        [token]
    attended_window : float
        C with each request clipped to the window. [token]
    pairs, pairs_window : float
        (query, key) pairs of the prefill chunks Q, and with the keys clipped to the window. [1]
    """
    t: float = (
        clock.base
        + clock.grid[prefill + decode]
        + clock.prefill * prefill
        + clock.decode * decode
        + clock.context * context
        + clock.attention * attended
        + clock.attention_window * attended_window
        + clock.pair * pairs
        + clock.pair_window * pairs_window
    )
    if decode > 0:
        t += clock.decode_base
    if prefill > 0 and clock.launch > 0.0:
        # Eager launches of a prefill overlap with the device's work.
        t = (t**3 + clock.launch**3) ** (1.0 / 3.0)
    return t


@njit(cache=True)
def lockstep_end(
    clock: Clock, start: float, end: float, prefill: int, tokens: int, mean: int
) -> float:
    """When a rank's iteration ends, where what ranks do together goes by the mean of their tokens.

    Parameters
    ----------
    clock : Clock
        The step table, whose `shared` is what they do together.
    start, end : float
        Of the iteration, had all ranks as many tokens as this one. [s]
    prefill, tokens, mean : int
        Tokens that it prefills, all of its tokens, and the mean of the ranks. [token]
    """
    shift = clock.shared[mean] - clock.shared[tokens]
    if shift == 0.0:
        return end
    floor = clock.launch if prefill > 0 else 0.0
    own = ((end - start) ** 3 - floor**3) ** (1.0 / 3.0) + shift
    return float(start + (own**3 + floor**3) ** (1.0 / 3.0))


@njit(cache=True)
def clipped_pairs(done: int, chunk: int, window: float) -> float:
    """Pairs of a chunk of tokens after `done`, each query seeing at most `window` keys."""
    if done + chunk <= window:
        return chunk * (done + 0.5 * chunk)
    inside = max(window - done, 0.0)
    return inside * (done + 0.5 * inside) + (chunk - inside) * window


@njit(cache=True)
def gap_bin(gap: float) -> int:
    """Bin of a gap between two tokens: the leading bits of the number, 2⁻¹² apart."""
    place = int(np.float64(gap).view(np.int64) >> GAP_BITS) - GAP_FIRST
    return min(max(place, 0), GAP_BINS - 1)


def gap_centre(bins: NDArray[np.int64]) -> Array:
    """Gap in the middle of each bin. [s]"""
    low = ((bins + GAP_FIRST) << GAP_BITS).view(np.float64)
    high = ((bins + 1 + GAP_FIRST) << GAP_BITS).view(np.float64)
    return 0.5 * (low + high)
