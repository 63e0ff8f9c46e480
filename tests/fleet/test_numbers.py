"""docs/fleet.md tells what the example gives today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chipwise import api, catalog, fleet
from chipwise.fleet.cutoff import cut_cost

ROOT = Path(__file__).parents[2]
STORED = json.loads((ROOT / "docs" / "fleet.numbers.json").read_text("utf-8"))
AGAIN = "run benchmarks/fleet_numbers.py, then make format"


@pytest.mark.slow
def test_the_stored_numbers_are_fresh() -> None:
    assert STORED["as_of"] == catalog.as_of().isoformat(), AGAIN
    made = api.fleet_problem(ROOT / "examples" / "fleet.toml")
    plan = fleet.answer(made).plan
    # Two plans within the same gap may differ by as much.
    near = pytest.approx(STORED["plan"]["objective_usd"], rel=2 * made.gap)
    assert plan.objective == near, AGAIN
    for row in (STORED["cut_offs"][0], STORED["cut_offs"][6]):
        found = cut_cost(made, fleet.cut_off(made, row["asked"], "cut-off"))
        low, high = found.low / 1e6, found.high / 1e6
        # Intervals of the same truth overlap.
        assert low <= row["high"] + 1e-3, AGAIN
        assert row["low"] <= high + 1e-3, AGAIN
        assert low > 0


@pytest.mark.slow
def test_the_example_keeps_its_promises() -> None:
    """Twenty seconds, a cost above nothing, another who serves; nothing after the horizon."""
    made = api.fleet_problem(ROOT / "examples" / "fleet.toml")
    cut = cut_cost(made, fleet.cut_off(made, {"vendor": "NVIDIA", "from": "2027-Q1"}, "cut-off"))
    assert cut.low > 0
    assert cut.base is not None
    assert cut.cut is not None
    tokens = [
        sum(s.tokens for s in p.serve if s.choice == "h200" and s.period >= "2029-Q1")
        for p in (cut.base, cut.cut)
    ]
    assert tokens[1] < 0.9 * tokens[0]
    late = cut_cost(made, fleet.cut_off(made, {"vendor": "NVIDIA", "from": "2031-Q1"}, "cut-off"))
    assert (late.low, late.high) == (0.0, 0.0)
