"""The tree: decisions before scenarios part are common; risk is the mean of the worst."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chipwise import fleet
from chipwise.fleet import Problem
from chipwise.fleet.instance import leaves
from chipwise.fleet.outcome import Fleet
from chipwise.fleet.scenarios import instance, main, paths, sure
from chipwise.types import Interval

Filled = Callable[[dict[str, Any]], Problem]
Plan = Callable[..., Fleet]
THREE = [
    {"id": "base", "probability": 0.5, "from": "2026-Q4"},
    {"id": "boom", "probability": 0.3, "from": "2026-Q3", "demand": {"chat": 1.5}},
    {"id": "cheap", "probability": 0.2, "from": "2026-Q4", "usd": {"910c": 0.5},
     "supply": {"910c": 2.0}},
]  # fmt: skip


def test_the_tree_has_the_trunk_once(content: dict[str, Any], filled: Filled) -> None:
    content["scenario"] = THREE
    made = paths(filled(content))
    # 2026-Q1 and Q2 for all; Q3: boom and the rest; then three.
    assert made.period.tolist() == [0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert made.parent.tolist() == [-1, 0, 1, 1, 2, 3, 2, 4, 5, 6, 7, 8, 9]
    assert made.probability[:4] == pytest.approx([1, 1, 0.7, 0.3])
    names = [s.id if s else None for s in made.scenario]
    assert names[:7] == [None, None, None, "boom", "base", "boom", "cheap"]


def test_nodes_have_the_data_of_their_scenario(content: dict[str, Any], filled: Filled) -> None:
    content["scenario"] = THREE
    of = filled(content)
    made, alone = instance(of), instance(main(of))
    at = paths(of)
    for node, scenario in enumerate(at.scenario):
        t = at.period[node]
        boom = 1.5 if scenario and scenario.id == "boom" else 1.0
        cheap = 0.5 if scenario and scenario.id == "cheap" else 1.0
        assert made.demand[node, 0] == pytest.approx(boom * alone.demand[t, 0])
        assert made.price[node, 1] == pytest.approx(cheap * alone.price[t, 1])
        assert made.supply[node, 1] == pytest.approx(alone.supply[t, 1] / cheap)


@pytest.mark.slow
def test_one_certain_scenario_is_the_plan_without(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    before = plan(filled(content), 1e-6)
    content["scenario"] = [{"id": "only", "probability": 1.0, "from": "2026-Q1"}]
    assert plan(filled(content), 1e-6).objective == pytest.approx(before.objective, rel=2e-6)


@pytest.mark.slow
def test_alike_scenarios_change_nothing(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    before = plan(filled(content))
    content["scenario"] = [
        {"id": "a", "probability": 0.5, "from": "2026-Q3"},
        {"id": "b", "probability": 0.5, "from": "2026-Q3"},
    ]
    made = plan(filled(content))
    assert made.bound <= before.objective
    assert before.bound <= made.objective
    assert list(made.scenarios) == ["a", "b"]


def test_expected_cost_is_the_mean_of_the_paths(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    content["scenario"] = THREE
    made = plan(filled(content), 1e-2)
    mean = sum(s["probability"] * made.scenarios[str(s["id"])] for s in THREE)  # type: ignore[operator]
    assert mean == pytest.approx(sum(made.parts.values()), rel=1e-9)


@pytest.mark.slow
def test_costs_by_period_add_up_along_each_path(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    content["scenario"] = THREE
    made = plan(filled(content))
    nodes = {stand.node: stand for stand in made.stands}
    parent = made.program.instance.parent
    for leaf, whole in zip(leaves(parent), made.scenarios.values(), strict=True):
        path, node = 0.0, int(leaf)
        while node >= 0:
            path += sum(nodes[node].cost.values())
            node = int(parent[node])
        assert path == pytest.approx(whole, rel=1e-9)


@pytest.mark.slow
def test_knowing_the_future_is_worth_something(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    """Wait-and-see costs no more than the plan that must decide before it knows."""
    content["scenario"] = THREE
    together = plan(filled(content))
    alone = 0.0
    for each in THREE:
        content["scenario"] = [{**each, "probability": 1.0}]
        alone += float(each["probability"]) * plan(filled(content)).bound  # type: ignore[arg-type]
    assert alone <= together.objective


@pytest.mark.slow
def test_risk_weighs_the_worst(content: dict[str, Any], filled: Filled, plan: Plan) -> None:
    content["scenario"] = THREE
    bold = plan(filled(content))
    content["risk"] = {"weight": 1.0, "level": 0.7}
    careful = plan(filled(content))
    worst = max(careful.scenarios.values())
    # With 0.7 the worst 0.3 is exactly the boom: its mean is its cost.
    assert careful.objective == pytest.approx(worst, rel=2e-3)
    assert worst <= max(bold.scenarios.values()) * (1 + 2e-3)
    assert sum(careful.parts.values()) >= bold.bound


def test_what_exists_in_one_scenario_is_bought_there_alone(
    content: dict[str, Any], filled: Filled, plan: Plan
) -> None:
    content["scenario"] = THREE
    content["chips"]["h20"] = {**content["chips"]["h200"], "usd": 3000, "only": ["boom"]}
    made = plan(filled(content), 1e-2)
    found = [m for m in made.buy if m.choice == "h20"]
    assert found
    assert {m.scenario for m in found} == {"boom"}


def test_sure_is_between_the_bounds() -> None:
    interval = Interval(100.0, 60.0, 150.0)
    steps = [sure(interval, q) for q in (0.05, 0.2, 0.5, 0.8, 0.95)]
    assert steps == sorted(steps, reverse=True)
    assert steps[2] == pytest.approx(100.0)
    assert steps[0] == pytest.approx(150.0)
    assert steps[4] == pytest.approx(60.0)


def test_robust_plans_cost_more(content: dict[str, Any], filled: Filled) -> None:
    of = filled(content)
    rates = {k: Interval(v.value, 0.5 * v.value, 2 * v.value) for k, v in of.rates.items() if v}
    from dataclasses import replace

    made = instance(replace(of, rates=rates, robust=0.9))
    assert np.all(made.rate <= instance(of).rate)
    assert np.any(made.rate < instance(of).rate)


def test_an_unknown_status_opens_nothing(content: dict[str, Any]) -> None:
    from chipwise import catalog

    for chip in content["chips"].values():
        del chip["licence"]
    del content["rent"]["abroad"]["licence"]
    of = fleet.with_rates(fleet.read(content, "small.toml"), catalog.calibration())
    bare = instance(of)
    assert not bare.opened.any()
    assert not bare.offer_most.any()
    asked = []

    def judge(chip: Any, to: str, route: str, on: Any) -> str:
        asked.append((chip.id, to, route, on))
        return "free" if chip.vendor == "NVIDIA" else "unknown"

    made = instance(fleet.with_law(of, judge))
    assert made.opened[:, 0].all()
    assert not made.opened[:, 1:].any()
    assert made.offer_most.all()
    # Three chips bought in China on six first days, one rented abroad.
    assert len(asked) == len(set(asked)) == 6 * 4
