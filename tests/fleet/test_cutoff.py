"""What a cut-off costs: never less than nothing, exact bounds, less the more spares there are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from chipwise import fleet
from chipwise.fleet import Problem
from chipwise.fleet.cutoff import cut_cost, diversification, regret, spare_values

Filled = Callable[[dict[str, Any]], Problem]


def cost(of: Problem, within: float = 1e-3, **given: str) -> fleet.CutCost:
    named = {k.rstrip("_"): v for k, v in given.items()}
    return cut_cost(of, fleet.cut_off(of, named, "cut-off"), within=within)


def test_a_cut_off_costs_and_changes_who_serves(content: dict[str, Any], filled: Filled) -> None:
    made = cost(filled(content), vendor="NVIDIA", from_="2026-Q3")
    assert 0 < made.low < made.high
    assert made.base is not None
    assert made.cut is not None
    assert not [m for m in made.cut.buy if m.choice == "h200"]
    assert not [m for m in made.cut.rent if m.choice == "h200"]
    last = made.cut.stands[-1].node
    before, after = (
        sum(s.tokens for s in p.serve if s.choice == "h200" and s.node == last)
        for p in (made.base, made.cut)
    )
    assert after < before


@pytest.mark.parametrize("first", ["2027-Q3", "2031-Q1"])
def test_a_cut_off_after_the_horizon_costs_nothing(
    content: dict[str, Any], filled: Filled, first: str
) -> None:
    made = cost(filled(content), vendor="NVIDIA", from_=first)
    assert (made.low, made.high) == (0.0, 0.0)


def test_a_cut_off_of_what_is_not_used_costs_at_most_the_gap(
    content: dict[str, Any], filled: Filled
) -> None:
    content["chips"]["bw1000"]["usd"] = 1e6
    made = cost(filled(content), vendor="Hygon", from_="2026-Q3")
    assert made.base is not None
    assert made.low == 0.0
    assert made.high <= 2.1e-3 * abs(made.base.objective)
    assert made.recovers == "2026-Q3"


@pytest.mark.slow
def test_what_was_decided_before_is_the_base_plan(content: dict[str, Any], filled: Filled) -> None:
    made = cost(filled(content), vendor="NVIDIA", from_="2026-Q4")
    assert made.cut is not None
    assert min(s.period for s in made.cut.stands) == "2026-Q4"


@pytest.mark.slow
def test_warning_makes_it_no_dearer(content: dict[str, Any], filled: Filled) -> None:
    of = filled(content)
    surprise = cost(of, vendor="NVIDIA", from_="2026-Q4")
    warned = cost(of, vendor="NVIDIA", from_="2026-Q4", announced="2026-Q1")
    assert warned.low <= surprise.high


@pytest.mark.slow
def test_orders_under_way_are_refunded_lost_or_delivered(
    content: dict[str, Any], filled: Filled
) -> None:
    content["chips"]["h200"]["lead_quarters"] = 2
    of = filled(content)
    found = {
        word: cost(of, vendor="NVIDIA", from_="2026-Q3", deliveries=word)
        for word in ("refunded", "lost", "delivered")
    }
    assert found["delivered"].low <= found["refunded"].high
    assert found["refunded"].high < found["lost"].low


@pytest.mark.slow
def test_a_cut_off_that_ends_costs_no_more(content: dict[str, Any], filled: Filled) -> None:
    of = filled(content)
    forever = cost(of, country="US", from_="2026-Q3")
    passing = cost(of, country="US", from_="2026-Q3", until="2026-Q4")
    assert passing.low <= forever.high
    assert passing.cut is not None
    assert all(m.period > "2026-Q4" for m in passing.cut.buy if m.choice == "h200")


@pytest.mark.slow
def test_it_falls_as_spares_rise(content: dict[str, Any], filled: Filled) -> None:
    of = filled(content)
    cut = fleet.cut_off(of, {"vendor": "NVIDIA", "from": "2026-Q3"}, "cut-off")
    found = spare_values(of, cut, "h200", (0, 8, 40), within=1e-2)
    costs = [each for _, each in found]
    assert all(one.low <= more.high for one, more in zip(costs[1:], costs, strict=False))
    assert costs[-1].high < costs[0].low
    released = costs[-1].cut
    assert released is not None
    assert 0 < sum(m.count for m in released.released) <= 40 + 1e-6
    assert costs[-1].base is not None
    assert not costs[-1].base.released


@pytest.mark.slow
def test_recovery_is_when_demand_is_served_again(content: dict[str, Any], filled: Filled) -> None:
    content["chips"]["910c"]["supply"] = {"2026-Q1": 0, "2026-Q4": 400}
    content["software"]["CANN"]["ramp"] = 1.0
    for demand in content["demand"].values():
        demand["unserved"] = [{"share": 1.0, "usd_per_million_tokens": 50}]
    made = cost(filled(content), vendor="NVIDIA", from_="2026-Q2")
    assert made.unserved > made.unserved_base
    # Ordered in 2026-Q4 at the earliest, there a quarter later.
    assert made.recovers == "2027-Q1"
    assert made.quarters == 3


@pytest.mark.slow
def test_capping_a_share_costs_more_the_tighter_it_is(
    content: dict[str, Any], filled: Filled
) -> None:
    found = diversification(filled(content), "vendor", "NVIDIA", (1.0, 0.5, 0.0), within=1e-3)
    assert found[0].low == 0.0
    assert found[0].high < 1e-2 * found[2].high
    assert all(a.low <= b.high for a, b in pairwise(found))
    assert found[2].low > 0


SCENARIOS = [
    {"id": "base", "probability": 0.6, "from": "2026-Q3"},
    {"id": "boom", "probability": 0.2, "from": "2026-Q3", "demand": {"chat": 1.8}},
    {"id": "closed", "probability": 0.2, "from": "2026-Q3",
     "cut_off": {"vendor": "NVIDIA", "from": "2026-Q3"}},
]  # fmt: skip


@pytest.mark.slow
def test_regret_is_nothing_at_home_and_never_negative(
    content: dict[str, Any], filled: Filled
) -> None:
    content["scenario"] = SCENARIOS
    table = regret(filled(content), within=2e-3)
    assert set(table) == {"base", "boom", "closed", "expected"}
    for plan, row in table.items():
        for scenario, (low, high) in row.items():
            assert 0 <= low <= high
            if plan == scenario:
                assert (low, high) == (0.0, 0.0)
    assert max(high for row in table.values() for _, high in row.values()) > 0
