"""A plan that cannot be: which limits conflict, in the words of the file, and by how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chipwise import fleet
from chipwise.errors import Infeasible
from chipwise.fleet import Problem

Filled = Callable[[dict[str, Any]], Problem]


def why(of: Problem) -> str:
    with pytest.raises(Infeasible) as caught:
        fleet.answer(of)
    return str(caught.value)


@pytest.fixture
def must(content: dict[str, Any]) -> dict[str, Any]:
    """All of the chat must be served."""
    del content["rent"]
    content["demand"]["chat"]["unserved"] = []
    content["demand"]["chat"]["served"] = {"CUDA": 1.0}
    content["chips"]["bw1000"]["supply"] = 0
    content["chips"]["910c"]["supply"] = 0
    content["installed"][0]["count"] = 60
    return content


def test_too_little_power(must: dict[str, Any], filled: Filled) -> None:
    must["sites"]["west"]["power_kw"] = 120
    must["sites"]["east"]["power_kw"] = 0
    message = why(filled(must))
    assert message.startswith("small.toml: these limits cannot all be kept: ")
    assert "power of site west (sites.west.power_kw)" in message
    assert "demand chat must be served (demand.chat.unserved)" in message
    assert "budget" not in message
    assert "(chips." not in message
    assert "Most is missing in 2027-Q2: " in message
    assert "tokens/s of chat" in message


def test_too_little_supply_and_money(must: dict[str, Any], filled: Filled) -> None:
    must["chips"]["h200"]["supply"] = {"2026-Q1": 8, "2026-Q2": 0}
    must["budget"] = {"usd": 1e9}
    message = why(filled(must))
    assert "supply of h200 (chips.h200.supply)" in message
    assert "budget" not in message
    must["chips"]["h200"]["supply"] = 7
    message = why(filled(must))
    assert "supply of h200 (chips.h200.supply)" in message
    must["chips"]["910c"]["licence"] = "licence_denial"
    must["chips"]["h200"]["supply"] = 0
    assert "910c cannot be bought: the law, its dates or a cut-off keep it out" in why(filled(must))
    must["chips"]["h200"]["supply"] = 1000
    must["budget"] = {"usd": 1000}
    message = why(filled(must))
    assert "the budget (budget.usd)" in message
    assert "(chips." not in message


def test_a_cap_that_demand_cannot_keep(must: dict[str, Any], filled: Filled) -> None:
    must["cap"] = [{"name": "not all eggs", "of": "vendor", "value": "NVIDIA", "share": 0.5}]
    message = why(filled(must))
    assert "cap not all eggs" in message


def test_demand_that_nothing_serves(must: dict[str, Any], filled: Filled) -> None:
    must["demand"]["chat"]["country"] = "CN"
    must["demand"]["chat"]["served"] = {}
    message = why(filled(must))
    assert "demand chat must be served in 2026-Q1, and no chip can: " in message
    assert "h200 may not serve it" in message
    assert "bw1000 is neither there nor can it be bought or rented by then" in message


def test_what_can_be_planned_is_not_refused(must: dict[str, Any], filled: Filled) -> None:
    must["sites"]["west"]["power_kw"] = 100000
    must["chips"]["h200"]["supply"] = 1000
    made = fleet.answer(filled(must))
    assert max(s.missed["chat"] for s in made.plan.stands) == pytest.approx(0.0, abs=1e-6)
