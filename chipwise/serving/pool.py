"""vLLM's block pool with prefix caching: which block holds what, and which goes first.

Every block of the cache is in use by `users` requests or stands in the free queue, a doubly
linked list whose ends are both the entry beyond the last block. A full block is known by its
`node`: the number of its whole prefix of tokens. Blocks that hold the same prefix stand in a list,
oldest first, and a hit takes the oldest. A freed block that is known goes to the back of the
queue, the tail of a sequence before its head, so that the least recently used go first and a
sequence loses its tail first; one that is not known is used again at once.

A request's blocks stand in `table` from `r.table` on; `r.known` of them have a node, and the nodes
of its tokens stand in `nodes` from `r.node` on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["commit", "evictable", "hits", "known_blocks", "pool", "release", "take", "touch"]

BLOCK = np.dtype(
    [(name, np.int32) for name in ("users", "ahead", "after", "node", "older", "younger")]
)
NODE = np.dtype([("oldest", np.int32), ("youngest", np.int32)])


def pool(blocks: int) -> Any:
    """All blocks free, in order, and unknown."""
    block = np.zeros(blocks + 1, BLOCK)
    block["after"] = np.roll(np.arange(blocks + 1), -1)
    block["ahead"] = np.roll(np.arange(blocks + 1), 1)
    block["node"] = block["older"] = block["younger"] = -1
    return block


def known_blocks(nodes: int) -> Any:
    """No block known for any node."""
    known = np.zeros(nodes, NODE)
    known["oldest"] = known["youngest"] = -1
    return known


@njit(cache=True)
def hits(known: Any, nodes: Any, r: Any, most: int) -> int:
    """Blocks of the longest cached prefix of a request, at most so many."""
    for k in range(most):
        if known[nodes[r.node + k]].oldest < 0:
            return k
    return most


@njit(cache=True)
def evictable(block: Any, known: Any, nodes: Any, r: Any, count: int) -> int:
    """Of `count` hits, those that nobody uses: taking them takes free blocks."""
    free = 0
    for k in range(count):
        free += block[known[nodes[r.node + k]].oldest].users == 0
    return free


@njit(cache=True)
def unlink(block: Any, k: int) -> None:
    """Take block k out of the free queue."""
    b = block[k]
    block[b.ahead].after = b.after
    block[b.after].ahead = b.ahead


@njit(cache=True)
def link(block: Any, k: int, behind: int) -> None:
    """Put block k into the free queue behind another."""
    b = block[k]
    b.ahead, b.after = behind, block[behind].after
    block[b.after].ahead = k
    block[behind].after = k


@njit(cache=True)
def touch(block: Any, known: Any, nodes: Any, table: Any, r: Any, count: int) -> None:
    """Give a request its `count` hits."""
    for j in range(count):
        k = known[nodes[r.node + j]].oldest
        if block[k].users == 0:
            unlink(block, k)
        block[k].users += 1
        table[r.table + j] = k
    r.known = count


@njit(cache=True)
def take(block: Any, known: Any, table: Any, r: Any, count: int) -> None:
    """Give a request `count` more blocks, from the front of the queue."""
    end = block[len(block) - 1]
    for j in range(r.held, r.held + count):
        k = end.after
        unlink(block, k)
        if block[k].node >= 0:
            forget(block, known, k)
        block[k].users = 1
        table[r.table + j] = k


@njit(cache=True)
def forget(block: Any, known: Any, k: int) -> None:
    """Take the node from block k, which is used for something else."""
    b = block[k]
    if b.older < 0:
        known[b.node].oldest = b.younger
    else:
        block[b.older].younger = b.younger
    if b.younger < 0:
        known[b.node].youngest = b.older
    else:
        block[b.younger].older = b.older
    b.node = b.older = b.younger = -1


@njit(cache=True)
def commit(block: Any, known: Any, nodes: Any, table: Any, r: Any, full: int) -> None:
    """Make the blocks of a request known up to `full` blocks."""
    for j in range(r.known, full):
        k, node = table[r.table + j], nodes[r.node + j]
        b, n = block[k], known[node]
        b.node, b.older = node, n.youngest
        if n.youngest < 0:
            n.oldest = k
        else:
            block[n.youngest].younger = k
        n.youngest = k
    r.known = max(r.known, full)


@njit(cache=True)
def release(block: Any, table: Any, r: Any, reuse_last: bool) -> int:  # noqa: FBT001
    """Take all its blocks from a request, the last first; how many are free now.

    With `reuse_last`, those that are not known go to the front of the queue.
    """
    end, free = len(block) - 1, 0
    for j in range(r.held - 1, -1, -1):
        k = table[r.table + j]
        block[k].users -= 1
        if block[k].users == 0:
            first = reuse_last and block[k].node < 0
            link(block, k, end if first else block[end].ahead)
            free += 1
    r.known = 0
    return free
