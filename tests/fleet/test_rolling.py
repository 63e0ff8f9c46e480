"""A plan made a window at a time costs no less than the one that sees all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chipwise.errors import BadInput
from chipwise.fleet import Problem, roll
from chipwise.fleet.outcome import Fleet

Filled = Callable[[dict[str, Any]], Problem]


def test_seeing_all_is_the_plan(content: dict[str, Any], filled: Filled, base: Fleet) -> None:
    made = roll(filled(content), ahead=6, keep=2)
    assert len(made.windows) == 1
    assert made.cost == pytest.approx(base.objective, rel=1e-6)


@pytest.mark.parametrize(("ahead", "keep"), [(3, 1), (4, 2), (2, 2)])
def test_seeing_less_costs_no_less(
    content: dict[str, Any], filled: Filled, base: Fleet, ahead: int, keep: int
) -> None:
    made = roll(filled(content), ahead=ahead, keep=keep)
    assert made.cost >= base.bound
    assert list(made.missed) == list(made.windows[0].problem.periods)
    periods = [m.period for m in made.buy]
    assert periods == sorted(periods)


@pytest.mark.parametrize(("ahead", "keep"), [(2, 3), (2, 0)])
def test_a_window_keeps_what_it_sees(
    content: dict[str, Any], filled: Filled, ahead: int, keep: int
) -> None:
    with pytest.raises(BadInput, match="keep is"):
        roll(filled(content), ahead=ahead, keep=keep)
