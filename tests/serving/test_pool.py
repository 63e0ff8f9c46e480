"""The block pool against the engine's rules, told with lists."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chipwise.serving import pool
from chipwise.serving.plain import REQUEST
from tests.draws import draws


class Told:
    """The same pool with Python's own lists: a free queue, and the blocks of each node in order."""

    def __init__(self, blocks):
        self.free = list(range(blocks))
        self.users = [0] * blocks
        self.node = [None] * blocks
        self.known = {}

    def hits(self, nodes):
        found = []
        for node in nodes:
            if not self.known.get(node):
                break
            found.append(self.known[node][0])
        return found

    def touch(self, found):
        for k in found:
            if self.users[k] == 0:
                self.free.remove(k)
            self.users[k] += 1

    def take(self, count):
        taken, self.free = self.free[:count], self.free[count:]
        for k in taken:
            if self.node[k] is not None:
                self.known[self.node[k]].remove(k)
            self.node[k], self.users[k] = None, 1
        return taken

    def commit(self, table, nodes):
        for k, node in zip(table, nodes, strict=False):
            if self.node[k] is None:
                self.node[k] = node
                self.known.setdefault(node, []).append(k)

    def release(self, table):
        for k in reversed(table):
            self.users[k] -= 1
            if self.users[k] == 0:
                self.free.insert(0 if self.node[k] is None else len(self.free), k)


def queue(block):
    found, k = [], block[-1]["after"]
    while k != len(block) - 1:
        found.append(int(k))
        k = block[k]["after"]
    return found


steps = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(0, 6), st.integers(0, 2)),
    max_size=40,
)


@draws(150)
@given(steps)
def test_equals_the_pool_told_with_lists(steps):
    blocks, width = 14, 6
    told, block = Told(blocks), pool.pool(blocks)
    # Sequence s goes through nodes that it shares with its neighbour up to the second.
    nodes = np.array([0, 1, 2, 3, 4, 5, 0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], np.int32)
    known, table = pool.known_blocks(16), np.zeros(4 * width, np.int32)
    who = np.zeros(4, REQUEST)
    who["table"] = np.arange(4) * width
    tables = [[], [], [], []]
    for i, want, full, sequence in steps:
        r = who[i]
        if r["held"]:
            assert (
                pool.release(block, table, r, True)
                == (
                    told.release(tables[i]),
                    sum(told.users[k] == 0 for k in tables[i]),
                )[1]
            )
            r["held"] = 0
        else:
            r["node"] = sequence * width
            mine = nodes[r["node"] : r["node"] + width]
            found = told.hits(mine[: want - 1])
            assert pool.hits(known, nodes, r, want - 1) == len(found)
            free = sum(told.users[k] == 0 for k in found)
            assert pool.evictable(block, known, nodes, r, len(found)) == free
            if want - len(found) + free > len(told.free):
                continue
            told.touch(found)
            pool.touch(block, known, nodes, table, r, len(found))
            r["held"] = len(found)
            tables[i] = found + told.take(want - len(found))
            pool.take(block, known, table, r, want - len(found))
            r["held"] = want
            committed = max(min(full, want), len(found))
            told.commit(tables[i][:committed], mine)
            pool.commit(block, known, nodes, table, r, committed)
            assert list(table[r["table"] : r["table"] + want]) == tables[i]
        assert queue(block) == told.free
        assert list(block["users"][:-1]) == told.users
