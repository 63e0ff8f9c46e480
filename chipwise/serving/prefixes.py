"""The tokens of prompts and outputs → the node of every full block.

Two blocks have the same node where their whole prefixes of tokens are equal, which is what an
engine's hash chain tells: a block's key mixes its parent's key with its own tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["number"]


@njit(cache=True)
def mix(key: Any, value: Any) -> Any:
    """Key of a sequence that goes on with a value [1]_.

    References
    ----------
    .. [1] G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators,"
       OOPSLA 2014, doi:10.1145/2660193.2660195 (the finaliser of SplitMix64).
    """
    z = key ^ (np.uint64(value) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def number(
    isl: NDArray[np.int64],
    osl: NDArray[np.int64],
    offset: NDArray[np.int64],
    ident: NDArray[np.int64],
    length: NDArray[np.int64],
    output: NDArray[np.int64],
    size: int,
) -> Any:
    """Nodes of the full blocks of each request's prompt and output.

    Parameters
    ----------
    offset, ident, length, output : array
        As in Prompts.
    size : int
        Tokens in a block.

    Returns
    -------
    tuple
        Where each request's blocks begin, the node of each block, the count of nodes.
    """
    n = len(isl)
    start = np.zeros(n + 1, np.int64)
    for i in range(n):
        start[i + 1] = start[i] + (isl[i] + osl[i]) // size
    node = np.zeros(start[n], np.int32)
    # Open addressing: a node's key stands at the first free place from its hash on.
    places = 1024
    while places < 2 * start[n]:
        places *= 2
    mask = np.uint64(places - 1)
    keys, named = np.zeros(places, np.uint64), np.full(places, -1, np.int32)
    nodes = 0
    for i in range(n):
        run, left, prompt, key = offset[i], np.int64(0), isl[i], np.uint64(0)
        name, following = output[i], output[i]
        for block in range(start[i], start[i + 1]):
            room, count = np.int64(size), np.int64(0)
            while room > 0:
                if left == 0 and prompt > 0:
                    following, left = ident[run], min(length[run], prompt)
                    prompt -= left
                    run += 1
                elif left == 0:
                    following, left = output[i], room
                if count > 0 and following != name:
                    key, count = mix(mix(key, name), count), np.int64(0)
                name = following
                part = min(left, room)
                count, left, room = count + part, left - part, room - part
            key = mix(mix(key, name), count)
            at = key & mask
            while named[at] >= 0 and keys[at] != key:
                at = (at + np.uint64(1)) & mask
            if named[at] < 0:
                keys[at], named[at] = key, nodes
                nodes += 1
            node[block] = named[at]
    return start, node, nodes
