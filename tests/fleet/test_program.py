"""What a plan must be, where a hand can check it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chipwise.fleet import Problem
from chipwise.fleet.outcome import Fleet
from chipwise.fleet.program import compose, cost_before
from chipwise.fleet.scenarios import first_state, instance
from chipwise.fleet.solver import matrix, solve
from chipwise.fleet.states import state_at

Filled = Callable[[dict[str, Any]], Problem]
Plan = Callable[..., Fleet]
# Where a limit must be kept, by a good plan as by the best.
ROUGH = 0.05
QUARTER = 90 * 86400.0  # 2026-Q1


def single(content: dict[str, Any]) -> dict[str, Any]:
    """One quarter, one site, one chip, one class."""
    content["horizon"]["last"] = "2026-Q1"
    del content["installed"], content["rent"], content["demand"]["code"]
    content["sites"] = {"west": content["sites"]["west"]}
    content["chips"] = {"bw1000": {**content["chips"]["bw1000"], "server": 1, "supply": 1000}}
    content["software"] = {}
    demand = content["demand"]["chat"]
    demand |= {"peak": 1.0, "tokens_per_s": 2000, "served": {}}
    return content


def test_one_chip_one_quarter_by_hand(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content = single(content)
    content["chips"]["bw1000"] |= {"life_years": 1, "residual": 0.5, "fee": 0.1, "idle": 0.25}
    made = plan(filled(content))
    # 2,000 tokens/s at 200 a chip: ten chips; they keep all of their power's worth for a quarter.
    left = 0.5**0.25 * 1.08 ** -(QUARTER / (365.25 * 86400))
    joule = 600 * 1.2 * QUARTER
    expected = 10 * (
        15000 * 1.1
        - 15000 * left
        + joule * 0.05 / 3.6e6
        + 600 * 50 / 1000 * 12 / (365 * 86400) * QUARTER
    )
    assert [m.count for m in made.buy] == [10.0]
    assert made.objective == pytest.approx(expected, rel=1e-9)
    assert made.stands[0].energy == pytest.approx(10 * joule)
    assert made.stands[0].carbon == pytest.approx(10 * joule / 3.6e6 * 500)


def test_dear_service_is_left_undone(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content = single(content)
    content["demand"]["chat"]["unserved"] = [{"share": 1.0, "usd_per_million_tokens": 0.01}]
    made = plan(filled(content))
    assert not made.buy
    assert made.objective == pytest.approx(2000 * QUARTER * 0.01 / 1e6)


def test_whole_servers_are_bought(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content = single(content)
    content["chips"]["bw1000"]["server"] = 4
    content["demand"]["chat"]["unserved"] = [{"share": 1.0, "usd_per_million_tokens": 1000}]
    assert [m.count for m in plan(filled(content)).buy] == [12.0]


def test_nothing_is_bought_that_is_not_supplied(
    content: dict[str, Any], filled: Filled, plan: Plan, base: Fleet
) -> None:
    assert any(m.choice == "h200" for m in base.buy)
    content["chips"]["h200"]["supply"] = 0
    after = plan(filled(content), ROUGH)
    assert not [m for m in after.buy if m.choice == "h200"]
    assert after.objective >= base.bound


@pytest.mark.parametrize("status", ["licence_denial", "unknown", "prohibited"])
def test_nothing_is_bought_that_the_law_does_not_let_in(
    content: dict[str, Any], filled: Filled, plan: Plan, status: str
) -> None:
    content["chips"]["h200"]["licence"] = {"2026-Q1": "free", "2026-Q3": status}
    made = plan(filled(content), ROUGH)
    assert not [m for m in made.buy if m.choice == "h200" and m.period >= "2026-Q3"]


def test_a_chip_that_is_dearer_and_slower_in_all_is_never_chosen(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    worse = {**content["chips"]["910c"], "usd": 25000, "kw": 1.5, "chip": "910c"}
    worse["throughput"] = {"chat": 450, "code": 390}
    content["chips"]["910c"]["supply"] = 1e6
    content["chips"]["h200"]["supply"] = 0
    content["chips"]["worse"] = worse
    content["software"] = {}
    made = plan(filled(content))
    assert [m for m in made.buy if m.choice == "910c"]
    assert not [m for m in made.buy if m.choice == "worse"]


@pytest.mark.slow
def test_a_cap_at_all_changes_nothing(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    before = plan(filled(content))
    content["cap"] = [{"of": "vendor", "value": "NVIDIA", "share": 1.0}]
    assert plan(filled(content)).objective == pytest.approx(before.objective, rel=2e-3)
    content["cap"] = [{"of": "vendor", "value": "NVIDIA", "share": 0.3}]
    capped = plan(filled(content))
    assert capped.objective > before.objective
    served = {s.node: 0.0 for s in capped.stands}
    mine = dict(served)
    for each in capped.serve:
        served[each.node] += each.tokens
        mine[each.node] += each.tokens if each.choice == "h200" else 0.0
    assert all(mine[n] <= 0.3 * served[n] * (1 + 1e-6) for n in served)


def test_a_quota_holds_over_its_quarters(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    content["quota"] = [{"name": "q", "chips": ["h200"], "until": "2026-Q4", "count": 20}]
    made = plan(filled(content), ROUGH)
    early = sum(m.count for m in made.buy if m.choice == "h200" and m.period <= "2026-Q4")
    assert early <= 20


def test_power_holds_at_every_site(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content["sites"]["west"]["power_kw"] = 90
    made = plan(filled(content), ROUGH)
    for stand in made.stands:
        assert stand.power["west"] <= 90e3 * (1 + 1e-6)
        assert stand.power["east"] <= 200e3 * (1 + 1e-6)


def test_the_worth_of_power_is_what_more_of_it_saves(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    content["sites"]["west"]["power_kw"] = [90] * 6
    content["sites"]["east"]["power_kw"] = 0
    for chip in content["chips"].values():
        chip["server"] = 1
    made = plan(filled(content))
    worth = sum(p.value for p in made.prices if p.limit == "power" and p.of == "west")
    cost = []
    for watts in (-1.0, 1.0):
        content["sites"]["west"]["power_kw"] = [90 + watts / 1000] * 6
        program = compose(instance(filled(content)))
        cost.append(solve(program, fixed=made.solution.values).objective * 1e6)
    # Cost is convex in a limit where the servers are fixed: the price lies between both slopes.
    assert worth > 0
    assert made.objective - cost[1] <= worth * (1 + 1e-3)
    assert cost[0] - made.objective >= worth * (1 - 1e-3)


def test_a_budget_holds_and_carries(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content["budget"] = {"usd": 500000}
    tight = plan(filled(content))
    spent = dict.fromkeys(tight.problem.periods, 0.0)
    price = {c.id: c.price[0] for c in tight.problem.choices if c.price is not None}
    for move in tight.buy:
        spent[move.period] += move.count * price[move.choice]
    assert max(spent.values()) <= 500000 * (1 + 1e-9)
    content["budget"]["carry"] = True
    assert plan(filled(content)).bound <= tight.objective


@pytest.mark.slow
def test_software_ramps(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content["software"]["CANN"]["ramp"] = 0.1
    made = plan(filled(content))
    for name in ("chat", "code"):
        share = [0.0] * len(made.stands)
        for each in made.serve:
            if each.choice == "910c" and each.demand == name:
                share[each.node] += each.tokens
        asked = [s.asked[name] for s in made.stands]
        gains = np.diff([0.0, *share])
        assert np.all(gains <= 0.1 * np.array(asked) * (1 + 1e-6))


def test_the_plan_adds_up(base: Fleet) -> None:
    made = base
    assert sum(made.parts.values()) == pytest.approx(made.objective, rel=1e-9)
    assert made.bound <= made.objective
    told = sum(sum(stand.cost.values()) for stand in made.stands)
    assert told == pytest.approx(made.objective, rel=1e-9)
    # What is left is told at the end alone; what is bought, in the quarter of its order.
    assert [s.cost["left"] < 0 for s in made.stands] == [False] * (len(made.stands) - 1) + [True]
    first = sum(m.count for m in made.buy if m.period == made.stands[0].period)
    assert (made.stands[0].cost["purchase"] > 0) == (first > 0)
    for stand in made.stands:
        for name, asked in stand.asked.items():
            served = sum(s.tokens for s in made.serve if (s.node, s.demand) == (stand.node, name))
            assert served + stand.missed[name] == pytest.approx(asked, rel=1e-3)


def test_the_values_keep_every_row(base: Fleet) -> None:
    rows, lower, upper = matrix(base.program)
    value = rows @ base.solution.values
    assert np.all(value >= lower - 1e-6)
    assert np.all(value <= upper + 1e-6)


def test_what_is_handed_over_is_what_the_whole_plan_had(
    content: dict[str, Any], filled: Filled
) -> None:
    """A plan cut in two costs what it costs whole: nothing is lost or gained at the seam."""
    content["horizon"]["last"] = "2026-Q4"
    of = filled(content)
    start = first_state(of)
    whole = compose(instance(of))
    found = solve(whole, within=1e-6)
    for at in (1, 3):
        state = state_at(of, whole, found, start, at)
        rest = solve(compose(instance(of, state=state)), within=1e-6)
        early = float(cost_before(whole, at) @ found.values)
        assert early + rest.objective == pytest.approx(found.objective, rel=3e-6)


def test_failures_without_replacement_shrink_the_stock(base: Fleet) -> None:
    made = base.program.instance
    assert np.all(made.keep == 1.0)
    gone = replace(made, keep=np.where(made.parent[:, None] < 0, 1.0, 0.9 * made.keep))
    assert solve(compose(gone), within=ROUGH).bound * 1e6 > base.objective
