"""Where a rule speaks, as boxes on a map of chips: TPP against density, or memory bandwidth.

The rules' own conditions are evaluated on chips that could be made: like a real one in all but
the two figures of the map. Nothing is written down twice, so a new rule draws itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from chipwise.policy.engine import trace
from chipwise.types import Chip, Rule
from chipwise.units import to_base

__all__ = ["AXES", "Box", "boxes"]

# tpp from and to, the other figure from and to.
Box = tuple[float, float, float, float]
# What stands against TPP, with the span of the map: 1/mm², GB/s.
AXES = {"density": (0.1, 1_000.0), "memory_bandwidth": (50.0, 40_000.0)}
TPP = (100.0, 250_000.0)
# A sum of two figures has an edge that no number in the condition names: it is looked for.
_FINE = 12
_BITS = 16


@lru_cache(maxsize=256)
def boxes(rule: Rule, like: Chip, axis: str, to: str = "CN") -> tuple[Box, ...]:
    """Where a rule's condition holds for chips like one.

    Parameters
    ----------
    rule : Rule
        Whose condition.
    like : Chip
        In all but TPP and the figure of `axis`: vendor, market, link, die where density is not
        the figure.
    axis : str
        A key of `AXES`.
    to : str
        Destination.

    Returns
    -------
    tuple of Box
        That do not overlap; none where the condition hangs on nothing that the map shows.

    Examples
    --------
    >>> from chipwise import catalog
    >>> rule = next(r for r in catalog.rules() if r.id == "us-2023-10-3A090a-dc")
    >>> {box[:2] for box in boxes(rule, catalog.chip("h200"), "density")}
    {(1600.0, 4800.0), (4800.0, 250000.0)}
    """
    named = [float(text) for text in re.findall(r"(?<![\w.\"-])\d+(?:\.\d+)?", rule.condition)]
    columns = _edges(TPP, named, 0)
    rows = _edges(AXES[axis], named, _FINE)
    found: list[Box] = []
    for left, right in pairwise(columns):

        def holds(figure: float, tpp: float = _middle(left, right)) -> bool:
            return bool(trace(rule, _made(like, tpp, axis, figure), to).fires)

        found += [(left, right, *run) for run in _runs(rows, named, holds)]
    return tuple(_joined(found))


def _edges(span: tuple[float, float], named: Sequence[float], fine: int) -> list[float]:
    low, high = span
    steps = np.geomspace(low, high, fine + 2).tolist()
    return sorted({low, high, *steps, *(each for each in named if low < each < high)})


def _middle(low: float, high: float) -> float:
    return float(np.sqrt(low * high))


def _made(like: Chip, tpp: float, axis: str, figure: float) -> Chip:
    """A chip like one with a TPP and the other figure."""
    facts = {name: fact for name, fact in like.facts.items() if not name.startswith("flops.")}
    made = replace(like, id="", flops={"fp16": to_base(tpp / _BITS, "TFLOPS")}, facts=facts)
    if axis == "density":
        return replace(made, die_area=to_base(tpp / figure, "mm2"))
    return replace(made, memory_bandwidth=to_base(figure, "GB/s"))


def _runs(
    edges: Sequence[float], named: Sequence[float], holds: Callable[[float], bool]
) -> Iterator[tuple[float, float]]:
    """Where a condition holds along a column, its ends as the condition has them."""
    middles = [_middle(*pair) for pair in pairwise(edges)]
    within = [holds(middle) for middle in middles]
    begin = edges[0] if within[0] else None
    for at, edge in enumerate(edges[1:-1]):
        if within[at] == within[at + 1]:
            continue
        turn = edge if edge in named else _turn(middles[at], middles[at + 1], holds)
        if begin is None:
            begin = turn
        else:
            yield begin, turn
            begin = None
    if begin is not None:
        yield begin, edges[-1]


def _turn(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """Where between two figures a condition begins or ends to hold, to one part in a million."""
    first = holds(low)
    while high / low > 1.0 + 1e-6:
        middle = _middle(low, high)
        low, high = (middle, high) if holds(middle) == first else (low, middle)
    return float(f"{high:.5g}")


def _joined(found: Sequence[Box]) -> list[Box]:
    """Neighbouring columns of the same height as one."""
    made: list[Box] = []
    for box in sorted(found, key=lambda each: (each[2:], each[:2])):
        if made and made[-1][2:] == box[2:] and made[-1][1] == box[0]:
            made[-1] = (made[-1][0], box[1], *box[2:])
        else:
            made.append(box)
    return made
