"""vLLM's prefix cache by pieces: what `pool.py` does block by block, for the aggregate loop.

Prompts are told in chunks (of 512 tokens, say), so that blocks are used, freed and evicted many at
a time. A *piece* is a chunk behind a certain prefix; what a request has beyond its last whole
chunk, and all of its output, is its *tail*. Where requests are served first come first and at most
one prompt is cut, this holds of every piece, and of every tail that no other request can share:

- its known blocks are the first `length` of it: a sequence loses its tail first, and who needs a
  block needs those before it;
- they all have the same users, and if there are none they stand together in the free queue, the
  last first. So a piece is one entry of the queue, from whose end blocks are taken.

Tails that several requests may have in common (equal prompts), and pieces with which a prompt
ends, are kept block by block, as in `pool.py`: the last block of a prompt is computed even where
it is known, so that a block may be there twice, and a hit takes the one that was known first.
What the decoding write becomes known when somebody asks, in the order in which they reached each
block. Blocks that are not known are free first, and only counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from chipwise.serving.prefixes import mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chipwise.serving.case import Case

__all__ = [
    "Tree",
    "advance",
    "grow",
    "look_up",
    "look_up_rest",
    "release",
    "settle",
    "take",
    "take_rest",
]

# An entry of the free queue: a piece, a tail, or a block of a shared tail.
UNIT = np.dtype(
    [("ahead", np.int32), ("after", np.int32), ("length", np.int32), ("users", np.int32)]
)

# A block of a shared tail: which of its nodes it is, and the others of the same node by age.
COPY = np.dtype([("node", np.int32), ("older", np.int32), ("younger", np.int32)])
NODE = np.dtype([("oldest", np.int32), ("youngest", np.int32)])

LEAF = np.dtype(
    [
        ("start", np.int64),  # of its pieces
        ("pieces", np.int64),
        ("slow", np.int64),  # of them, kept block by block
        ("group", np.int64),  # of the tail, or -1 if it is the request's own
        ("table", np.int64),  # of the blocks of slow pieces, then of a shared tail
        ("known", np.int64),  # of the tail
        ("offset", np.int64),  # as in loop.py, while it decodes
        ("decodes", np.int64),
        ("next", np.int64),  # of the group
    ]
)

GROUP = np.dtype([("first", np.int64), ("node", np.int64)])
STORE = np.dtype([("unknown", np.int64), ("spare", np.int64)])


class Tree(NamedTuple):
    """Arrays of the cache. Units are pieces, then tails, then blocks, then the queue's ends."""

    chunk: int
    copies: int
    unit: Any
    leaf: Any
    piece: Any
    kept: Any  # the first node of a piece that is kept block by block, or -1
    group: Any
    node: Any
    copy: Any
    table: Any
    spare: Any
    store: Any


@njit(cache=True)
def cut_alike(isl: Any, offset: Any, length: Any, chunk: int) -> bool:
    """Whether every prompt is told in runs of one chunk, but its last."""
    for i in range(len(isl)):
        if offset[i + 1] - offset[i] != -(-isl[i] // chunk):
            return False
        for j in range(offset[i], offset[i + 1] - 1):
            if length[j] != chunk:
                return False
    return True


@njit(cache=True)
def place_of(key: Any, keys: Any, named: Any) -> int:
    """Where a key stands in a table of open addressing, or the free place where it would."""
    mask = np.uint64(len(keys) - 1)
    at = key & mask
    while named[at] >= 0 and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return int(at)


@njit(cache=True)
def chain(isl: Any, offset: Any, ident: Any, chunk: int, start: Any) -> Any:
    """The piece of every whole chunk, the key of every tail, and how many pieces there are.

    No pieces (-1) where a tail begins as another prompt's whole chunk does.
    """
    n, places = len(isl), 1024
    piece, tail = np.empty(start[n], np.int32), np.empty(n, np.uint64)
    while places < 2 * start[n]:
        places *= 2
    keys, named = np.zeros(places, np.uint64), np.full(places, -1, np.int32)
    pieces = 0
    for i in range(n):
        key = np.uint64(0)
        count = start[i + 1] - start[i]
        for j in range(count):
            key = mix(key, ident[offset[i] + j])
            at = place_of(key, keys, named)
            if named[at] < 0:
                keys[at], named[at] = key, pieces
                pieces += 1
            piece[start[i] + j] = named[at]
        if isl[i] > count * chunk:
            tail[i] = mix(key, ident[offset[i] + count])
        else:  # nothing of the prompt is left; not the key of any chunk
            tail[i] = mix(mix(key, 0), -1)
    for i in range(n):
        if named[place_of(tail[i], keys, named)] >= 0:
            return piece, tail, -1
    return piece, tail, pieces


@njit(cache=True)
def gather(tail: Any, rest: Any, output: Any, leaf: Any) -> int:
    """Put requests with one tail into a group; how many groups, -1 where tails of one key differ.

    Of one tail prompts of other length, or other outputs, part in its middle.
    """
    places = 1024
    while places < 2 * len(tail):
        places *= 2
    keys, named, groups = np.zeros(places, np.uint64), np.full(places, -1, np.int64), 0
    for i in range(len(tail)):
        leaf[i].group = -1
        at = place_of(tail[i], keys, named)
        if named[at] < 0:
            keys[at], named[at] = tail[i], i
            continue
        model = named[at]
        if rest[i] != rest[model] or output[i] != output[model]:
            return -1
        if leaf[model].group < 0:
            leaf[model].group = groups
            groups += 1
        leaf[i].group = leaf[model].group
    return groups


@njit(cache=True)
def keep(leaf: Any, rest: Any, piece: Any, per: int, kept: Any) -> int:
    """Give pieces with which a prompt ends their nodes, and count them; how many nodes."""
    nodes = 0
    for i in range(len(leaf)):
        r = leaf[i]
        if rest[i] == 0 and kept[piece[r.start + r.pieces - 1]] < 0:
            kept[piece[r.start + r.pieces - 1]] = nodes
            nodes += per
    if nodes > 0:
        for i in range(len(leaf)):
            r = leaf[i]
            for j in range(r.start, r.start + r.pieces):
                r.slow += kept[piece[j]] >= 0
    return nodes


def grow(case: Case) -> Tree | None:
    """The tree of a case's prompts, all unknown; None where they are not told in chunks."""
    told, isl, size = case.prompts, case.isl, case.block_size
    assert told is not None
    several = len(told.ident) > len(isl)
    chunk = int(told.length.max()) if several else 2**40
    if chunk % size or not cut_alike(isl, told.offset, told.length, chunk):
        return None
    leaf, whole, per = np.zeros(len(isl), LEAF), isl // chunk, chunk // size
    start = np.concatenate((np.zeros(1, np.int64), np.cumsum(whole)))
    leaf["pieces"], leaf["start"] = whole, start[:-1]
    rest = isl - whole * chunk
    piece, tail, pieces = chain(isl, told.offset, told.ident, chunk, start)
    groups = gather(tail, rest, told.output, leaf)
    if pieces < 0 or groups < 0:
        return None
    kept = np.full(pieces, -1, np.int32)
    ends = keep(leaf, rest, piece, per, kept)
    tails = np.where(leaf["group"] < 0, 0, (rest + case.osl) // size)
    most = tails + (leaf["slow"] * per if ends else 0)
    leaf["table"] = np.cumsum(most) - most
    group, nodes = _nodes(leaf["group"], tails, groups, ends)
    copies = case.blocks if nodes else 0
    return Tree(
        chunk=chunk,
        copies=copies,
        unit=_units(pieces + len(isl) + copies),
        leaf=leaf,
        piece=piece,
        kept=kept,
        group=group,
        node=np.full(2 * nodes, -1, np.int32).view(NODE),
        copy=np.zeros(copies, COPY),
        table=np.zeros(int(most.sum()), np.int32),
        spare=np.arange(copies, dtype=np.int32),
        store=np.array([(case.blocks, copies)], STORE),
    )


def _nodes(
    number: NDArray[np.int64], tails: NDArray[np.int64], groups: int, before: int
) -> tuple[Any, int]:
    """Groups with their first nodes, from `before` on, and how many nodes there are."""
    longest = np.zeros(groups, np.int64)
    shared = number >= 0
    np.maximum.at(longest, number[shared], tails[shared])
    group = np.zeros(groups, GROUP)
    group["first"] = -1
    group["node"] = before + np.cumsum(longest) - longest
    return group, before + int(longest.sum())


def _units(count: int) -> Any:
    """So many units, none of them in the queue, and the queue's ends."""
    unit = np.zeros(count + 1, UNIT)
    unit["ahead"][-1] = unit["after"][-1] = count
    return unit


@njit(cache=True, inline="always")
def append(unit: Any, k: int) -> None:
    """Put a unit at the back of the free queue."""
    end = len(unit) - 1
    last = unit[end].ahead
    unit[k].ahead, unit[k].after = last, end
    unit[last].after = k
    unit[end].ahead = k


@njit(cache=True, inline="always")
def unlink(unit: Any, k: int) -> None:
    """Take a unit out of the free queue."""
    u = unit[k]
    unit[u.ahead].after = u.after
    unit[u.after].ahead = u.ahead


@njit(cache=True)
def goes_before(offset: Any, begun: Any, other_offset: Any, other_begun: Any) -> bool:
    """Whether one decode reached every block before another: further on, or admitted first."""
    return bool(offset > other_offset or (offset == other_offset and begun < other_begun))


@njit(cache=True)
def synchronise(tree: Tree, g: int, t: int, size: int) -> None:
    """Make known what the decoding of a group have written after iteration t, in their order."""
    leaf = tree.leaf
    last_offset, last_begun = np.int64(2**62), np.int64(0)
    while True:
        # The next by offset, the largest first: it reached every block first.
        best = np.int64(-1)
        i = tree.group[g].first
        while i >= 0:
            r = leaf[i]
            waits = r.decodes > 0 and goes_before(last_offset, last_begun, r.offset, r.decodes)
            b = leaf[best]
            if waits and (best < 0 or goes_before(r.offset, r.decodes, b.offset, b.decodes)):
                best = i
            i = r.next
        if best < 0:
            return
        r = leaf[best]
        last_offset, last_begun = r.offset, r.decodes
        commit_tail(tree, r, (t + r.offset - r.pieces * tree.chunk) // size, size)


@njit(cache=True)
def commit_tail(tree: Tree, r: Any, full: int, size: int) -> None:
    """Make a shared tail known up to `full` blocks."""
    begin = r.table + r.slow * (tree.chunk // size if r.slow > 0 else 0)
    for j in range(r.known, full):
        commit(tree, tree.group[r.group].node + j, begin + j)
    r.known = max(r.known, full)


@njit(cache=True)
def commit(tree: Tree, at: int, place: int) -> None:
    """Make a block known by its node, and write it down at its place in the table."""
    store, blocks = tree.store[0], len(tree.unit) - 1 - tree.copies
    store.spare -= 1
    k = tree.spare[store.spare]
    x, b = tree.node[at], tree.copy[k]
    b.node, b.older, b.younger = at, x.youngest, -1
    if x.youngest < 0:
        x.oldest = k
    else:
        tree.copy[x.youngest].younger = k
    x.youngest = k
    tree.unit[blocks + k].users, tree.unit[blocks + k].length = 1, 1
    tree.table[place] = k


@njit(cache=True)
def forget(tree: Tree, k: int) -> None:
    """Give up a block that was known by its node."""
    b, store = tree.copy[k], tree.store[0]
    x = tree.node[b.node]
    if b.older < 0:
        x.oldest = b.younger
    else:
        tree.copy[b.older].younger = b.younger
    if b.younger < 0:
        x.youngest = b.older
    else:
        tree.copy[b.younger].older = b.older
    tree.spare[store.spare] = k
    store.spare += 1


@njit(cache=True)
def look_up_copies(tree: Tree, at: int, most: Any) -> Any:
    """Known blocks from a node on, at most so many, and how many of them nobody uses."""
    blocks, found, unused = len(tree.unit) - 1 - tree.copies, np.int64(0), np.int64(0)
    while found < most and tree.node[at + found].oldest >= 0:
        unused += tree.unit[blocks + tree.node[at + found].oldest].users == 0
        found += 1
    return found, unused


@njit(cache=True)
def hold_copies(tree: Tree, at: int, place: int, count: int) -> None:
    """Take hits from a node on, and write them down in the table."""
    blocks = len(tree.unit) - 1 - tree.copies
    for j in range(count):
        k = tree.node[at + j].oldest
        if tree.unit[blocks + k].users == 0:
            unlink(tree.unit, blocks + k)
        tree.unit[blocks + k].users += 1
        tree.table[place + j] = k


@njit(cache=True)
def release_copies(tree: Tree, place: int, count: int) -> Any:
    """Give blocks back that stand in the table, the last first; how many are free now."""
    blocks, free = len(tree.unit) - 1 - tree.copies, np.int64(0)
    for j in range(count - 1, -1, -1):
        k = blocks + tree.table[place + j]
        tree.unit[k].users -= 1
        if tree.unit[k].users == 0:
            append(tree.unit, k)
            free += 1
    return free


@njit(cache=True, inline="always")
def look_up(unit: Any, leaf: Any, piece: Any, kept: Any, copies: int, per: int, i: Any) -> Any:
    """Blocks of the longest known prefix of request i, and how many of them nobody uses.

    Third, where that is not all: the piece from which on `look_up_rest` must go on, else -1. The
    arrays are the tree's, as in `take`; a piece has `per` blocks.
    """
    r = leaf[i]
    found, unused, j, end = np.int64(0), np.int64(0), r.start + 0, r.start + r.pieces
    while j < end and kept[piece[j]] < 0 and unit[piece[j]].length == per:
        found += per
        unused += per if unit[piece[j]].users == 0 else 0
        j += 1
    if j < end and kept[piece[j]] < 0:
        found += unit[piece[j]].length
        unused += unit[piece[j]].length if unit[piece[j]].users == 0 else 0
        j = -1
    elif j == end and r.group < 0:
        tail = unit[len(unit) - 1 - copies - len(leaf) + i].length
        found += tail
        unused += tail
        j = -1
    return found, unused, j


@njit(cache=True)
def look_up_rest(tree: Tree, i: int, total: int, t: int, size: int, begin: int, before: int) -> Any:
    """As look_up, from the piece at `begin` on, with `before` blocks found before it."""
    unit, r = tree.unit, tree.leaf[i]
    pieces, kept = tree.piece, tree.kept
    per, most = tree.chunk // size, (total - 1) // size - before
    found, unused = np.int64(0), np.int64(0)
    for j in range(begin, r.start + r.pieces):
        piece = pieces[j]
        if kept[piece] < 0:
            length, free = np.int64(unit[piece].length), np.int64(0)
            if unit[piece].users == 0:
                free = length
        else:
            length, free = look_up_copies(tree, kept[piece], min(per, most - found))
        found += length
        unused += free
        if length < per:
            return found, unused
    if r.group < 0:
        u = unit[len(unit) - 1 - tree.copies - len(tree.leaf) + i]
        return found + u.length, unused + u.length
    synchronise(tree, r.group, t, size)
    length, free = look_up_copies(tree, tree.group[r.group].node, most - found)
    return found + length, unused + free


@njit(cache=True)
def hold(tree: Tree, i: int, hit: int, size: int) -> None:
    """Give request i its `hit` blocks."""
    unit, pieces, kept, r = tree.unit, tree.piece, tree.kept, tree.leaf[i]
    per, left, j, place = tree.chunk // size, hit, r.start, r.table
    while left > 0 and j < r.start + r.pieces:
        piece = pieces[j]
        if kept[piece] < 0:
            u = unit[piece]
            if u.users == 0:
                unlink(unit, piece)
            u.users += 1
            left -= u.length
        else:
            part = min(left, per)
            hold_copies(tree, kept[piece], place, part)
            place += per
            left -= part
        j += 1
    r.known = 0
    if r.group >= 0:
        r.next = tree.group[r.group].first
        tree.group[r.group].first = i
        hold_copies(tree, tree.group[r.group].node, place, left)
        r.known = left
        return
    k = len(unit) - 1 - tree.copies - len(tree.leaf) + i
    if unit[k].length > 0:  # nobody else has it, and it is all of what is left
        unlink(unit, k)
        unit[k].length = 0


@njit(cache=True)
def advance(tree: Tree, i: int, before: int, after: int, size: int) -> None:
    """Make known what a prefill from `before` to `after` tokens fills."""
    unit, pieces, kept, r, chunk = tree.unit, tree.piece, tree.kept, tree.leaf[i], tree.chunk
    per = chunk // size
    j = before // chunk
    if j < r.pieces:
        place = r.table
        if r.slow > 0:
            for k in range(j):
                place += per if kept[pieces[r.start + k]] >= 0 else 0
        while j < r.pieces and j * chunk < after:
            piece = pieces[r.start + j]
            full = min(chunk, after - j * chunk) // size
            if kept[piece] < 0:
                unit[piece].users += before <= j * chunk
                unit[piece].length = full
            else:
                for k in range(max(before - j * chunk, 0) // size, full):
                    commit(tree, kept[piece] + k, place + k)
                place += per
            j += 1
    if r.group >= 0 and after > r.pieces * chunk:
        commit_tail(tree, r, (after - r.pieces * chunk) // size, size)


@njit(cache=True, inline="always")
def take(unit: Any, store: Any, copies: int, count: int) -> int:
    """Take free blocks: those that are not known first, then the least recently used.

    Stops before a block that is known by its node, for `take_rest`; how many are left to take.
    The arrays are the tree's: Numba takes longer to hand over a tuple of arrays than all of this.
    """
    unknown = min(count, store[0].unknown)
    store[0].unknown -= unknown
    count -= unknown
    end = len(unit) - 1
    while count > 0:
        k = unit[end].after
        if k >= end - copies:
            break
        part = min(count, unit[k].length)
        unit[k].length -= part
        count -= part
        if unit[k].length == 0:
            unlink(unit, k)
    return count


@njit(cache=True)
def take_rest(tree: Tree, count: int) -> None:
    """Take free blocks, those that are known by their node too."""
    unit, copies = tree.unit, tree.copies
    blocks = len(unit) - 1 - copies
    left = take(unit, tree.store, copies, count)
    while left > 0:
        k = unit[len(unit) - 1].after
        unlink(unit, k)
        forget(tree, k - blocks)
        left = take(unit, tree.store, copies, left - 1)


@njit(cache=True)
def settle(tree: Tree, i: int, hit: int, need: int, after: int, size: int) -> None:
    """Admit request i: its hits, `need` blocks more, and what a prefill up to `after` fills."""
    hold(tree, i, hit, size)
    take_rest(tree, need)
    advance(tree, i, hit * size, after, size)


@njit(cache=True)
def quit_group(tree: Tree, i: int) -> None:
    """Take request i out of its group."""
    r = tree.leaf[i]
    g, at, before = tree.group[r.group], tree.group[r.group].first, np.int64(-1)
    while at != i:
        before, at = at, tree.leaf[at].next
    if before < 0:
        g.first = r.next
    else:
        tree.leaf[before].next = r.next


@njit(cache=True)
def release(tree: Tree, i: int, computed: int, t: int, size: int) -> int:
    """Take all blocks from request i, which has `computed` tokens; how many are free now."""
    unit, pieces, kept, r = tree.unit, tree.piece, tree.kept, tree.leaf[i]
    store, per = tree.store[0], tree.chunk // size
    known = computed // size
    free = -(-computed // size) - known
    store.unknown += free
    tail = known - r.pieces * per
    place = r.table + r.slow * (per if r.slow > 0 else 0)
    if r.group >= 0:
        if r.decodes > 0:
            synchronise(tree, r.group, t, size)
        r.decodes = 0
        quit_group(tree, i)
        free += release_copies(tree, place, r.known)
    elif tail > 0:
        k = len(unit) - 1 - tree.copies - len(tree.leaf) + i
        unit[k].length = tail
        append(unit, k)
        free += tail
    for j in range(r.pieces - 1, -1, -1):
        piece, begin = pieces[r.start + j], j * tree.chunk
        if kept[piece] >= 0:
            place -= per
            if computed > begin:
                free += release_copies(tree, place, min(computed - begin, tree.chunk) // size)
        elif computed > begin:
            u = unit[piece]
            u.users -= 1
            if u.users == 0 and u.length > 0:
                append(unit, piece)
                free += u.length
    return int(free)
