"""Shares add up to one; concentration by hand; an unknown maker is never a known one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chipwise.fleet import Problem, hhi, shares
from chipwise.fleet.outcome import Fleet

Filled = Callable[[dict[str, Any]], Problem]
Plan = Callable[..., Fleet]


@pytest.mark.parametrize(
    ("shares", "unknown", "expected"),
    [
        ({"a": 1.0}, 0.0, (1.0, 1.0)),
        ({"a": 0.25, "b": 0.75}, 0.0, (0.625, 0.625)),
        ({"a": 0.5, "b": 0.3}, 0.2, (0.34, 0.58)),
        ({}, 1.0, (0.0, 1.0)),
    ],
)
def test_concentration_by_hand(
    shares: dict[str, float], unknown: float, expected: tuple[float, float]
) -> None:
    assert hhi(shares, unknown) == pytest.approx(expected)


def test_shares_add_up(base: Fleet) -> None:
    made = base
    found = shares(made)
    assert len(found) == 6 * len(made.stands)
    for each in found:
        assert sum(each.shares.values()) + each.unknown == pytest.approx(1.0)
        assert 0 <= each.hhi[0] <= each.hhi[1] <= 1 + 1e-9
    # The file names no fab of the third chip.
    mine = [e for e in found if e.attribute == "fab" and e.period == "2027-Q1"]
    tokens = {s.choice: 0.0 for s in made.serve}
    for served in made.serve:
        if served.period == "2027-Q1":
            tokens[served.choice] += served.tokens
    expected = tokens.get("bw1000", 0.0) / sum(tokens.values())
    assert mine[0].unknown == pytest.approx(expected)


def test_two_makers_share_a_chip(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content["chips"] = {"h200": content["chips"]["h200"]}
    content["software"] = {}
    found = [d for d in shares(plan(filled(content))) if d.attribute == "memory"]
    assert found[0].shares == pytest.approx({"SK hynix": 0.5, "Micron": 0.5})
