"""The program as a file says the same as the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import highspy
import pytest

from chipwise.errors import BadInput
from chipwise.fleet import Problem, save
from chipwise.fleet.audit import names
from chipwise.fleet.outcome import Fleet
from chipwise.fleet.program import compose
from chipwise.fleet.scenarios import instance

Filled = Callable[[dict[str, Any]], Problem]
Plan = Callable[..., Fleet]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".lp", ".mps"])
def test_another_reader_finds_the_same_cost(
    content: dict[str, Any], filled: Filled, plan: Plan, tmp_path: Path, suffix: str
) -> None:
    of = filled(content)
    path = tmp_path / f"fleet{suffix}"
    save(of, path)
    text = path.read_text("utf-8")
    assert "acquire__" in text
    assert "power__2026_Q2__west" in text
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", 1e-3)
    solver.readModel(str(path))
    solver.run()
    made = plan(of)
    found = solver.getInfo()
    assert found.mip_dual_bound * 1e6 <= made.objective * (1 + 1e-6)
    assert made.bound <= found.objective_function_value * 1e6 * (1 + 1e-6)


def test_names_are_each_ones_own(content: dict[str, Any], filled: Filled) -> None:
    content["scenario"] = [
        {"id": "a", "probability": 0.5, "from": "2026-Q3"},
        {"id": "b", "probability": 0.5, "from": "2026-Q3", "demand": {"chat": 2}},
    ]
    content["risk"] = {"weight": 0.5}
    of = filled(content)
    made = compose(instance(of))
    columns, rows = names(of, made)
    assert len(columns) == len(set(columns)) == len(made.lower)
    assert len(rows) == len(set(rows)) == sum(len(r.lower) for r in made.rows)


def test_another_format_is_refused(content: dict[str, Any], filled: Filled, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.lp or \.mps was expected"):
        save(filled(content), tmp_path / "fleet.txt")
