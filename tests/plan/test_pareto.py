"""The front: nobody on it is beaten, everybody off it is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chipwise.plan.pareto import front

points = st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=0, max_size=40)


def beats(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@given(points)
def test_against_every_pair(found: list[tuple[int, int, int]]) -> None:
    columns = np.array(found, float).reshape(-1, 3).T
    chosen = {found[i] for i in front(*columns)}
    best = {p for p in found if not any(beats(q, p) for q in found)}
    assert chosen == best


def test_equal_points_enter_once() -> None:
    assert len(front([1.0, 1.0], [2.0, 2.0])) == 1


def test_unknown_never_enters() -> None:
    assert list(front([np.nan, 2.0], [0.0, 1.0])) == [1]


def test_where_leaves_out() -> None:
    assert list(front([1.0, 2.0], [1.0, 2.0], where=[False, True])) == [1]
