"""A binary heap in an array of records: the smallest (rank, order, id) first.

Entry 0 counts the entries, the first stands at 1, and the children of entry k at 2k and 2k + 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["heap", "heap_of", "pop", "push"]

ENTRY = np.dtype([("rank", np.float64), ("order", np.float64), ("id", np.int64)])


def heap(capacity: int) -> Any:
    """Heap without an entry."""
    return np.zeros(capacity + 1, ENTRY)


def heap_of(ranks: Any, capacity: int) -> Any:
    """Heap of entries by rank, their ids the places."""
    h = heap(capacity)
    order = np.argsort(ranks, kind="stable")  # what is sorted is a heap
    h[0]["id"] = len(ranks)
    h["rank"][1 : len(ranks) + 1], h["id"][1 : len(ranks) + 1] = ranks[order], order
    return h


@njit(cache=True)
def before(a: Any, b: Any) -> bool:
    """Whether an entry goes before another."""
    if a.rank != b.rank:
        return bool(a.rank < b.rank)
    if a.order != b.order:
        return bool(a.order < b.order)
    return bool(a.id < b.id)


@njit(cache=True)
def swap(a: Any, b: Any) -> None:
    """Exchange two entries."""
    a.rank, b.rank = b.rank, a.rank
    a.order, b.order = b.order, a.order
    a.id, b.id = b.id, a.id


@njit(cache=True)
def push(h: Any, rank: float, order: float, i: int) -> None:
    """Add an entry."""
    h[0].id += 1
    at = h[0].id
    new = h[at]
    new.rank, new.order, new.id = rank, order, i
    while at > 1 and before(h[at], h[at // 2]):
        swap(h[at], h[at // 2])
        at //= 2


@njit(cache=True)
def pop(h: Any) -> int:
    """Take the first entry out; its id."""
    first, end = h[1].id, h[0].id
    swap(h[1], h[end])
    h[0].id -= 1
    at = 1
    while 2 * at < end:
        child = 2 * at
        if child + 1 < end and before(h[child + 1], h[child]):
            child += 1
        if not before(h[child], h[at]):
            break
        swap(h[at], h[child])
        at = child
    return int(first)
