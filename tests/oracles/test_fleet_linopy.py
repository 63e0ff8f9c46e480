"""The same plans stated in linopy, in other terms, cost the same.

`benchmarks/fleet.py --linopy` states them; what it found is stored, so that linopy need not be
there. With linopy installed the example itself is stated too.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chipwise.fleet.program import compose
from chipwise.fleet.solver import solve

ROOT = Path(__file__).parents[2]
STORED = json.loads((Path(__file__).parent / "data" / "fleet_linopy.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fleet_bench", ROOT / "benchmarks" / "fleet.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agrees(of: Any, row: dict[str, Any], within: float) -> None:
    made = solve(compose(of), within=within)
    # Either plan is at least as dear as what the other proves to be the least.
    assert made.bound <= row["objective"] + 1e-9 * abs(row["objective"])
    assert row["bound"] <= made.objective + 1e-9 * abs(made.objective)
    assert made.objective == pytest.approx(row["objective"], rel=1e-3)


@pytest.mark.parametrize("row", STORED["rows"][2:6], ids=lambda r: f"{r['seed']}-{r['size']}")
def test_a_stored_plan_costs_the_same(bench: ModuleType, row: dict[str, Any]) -> None:
    agrees(bench.draw(row["seed"], tuple(row["shape"]), row["size"]), row, 5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("row", STORED["rows"], ids=lambda r: f"{r['seed']}-{r['size']}")
def test_a_stored_plan_costs_the_same_to_a_finer_gap(
    bench: ModuleType, row: dict[str, Any]
) -> None:
    agrees(bench.draw(row["seed"], tuple(row["shape"]), row["size"]), row, 1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_example_costs_the_same_in_linopy(bench: ModuleType) -> None:
    pytest.importorskip("linopy")
    of = bench.example()
    agrees(of, bench.linopy_plan(of, 1e-3), 1e-3)
