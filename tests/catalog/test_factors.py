"""Fitted factors are read from their own file, apart from facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chipwise import catalog
from chipwise.errors import BadFact, BadInput, UnknownName
from chipwise.types import Efficiency, Scale

CONTENT: dict[str, Any] = {
    "id": "mine",
    "fitted_on": "nothing",
    "operators": [
        {
            "class": "gemm",
            "format": "bf16",
            "scope": "",
            "start": 1e-6,
            "compute": 0.5,
            "memory": 0.8,
            "exponent": 3.0,
        }
    ],
    "scales": {"nvidia": {"compute": 0.9}},
    "shapes": {"x": 1.0},
    "engines": {"vllm": {"layer": 1e-6}},
    "widths": {"seen": {"tpot": 0.1}},
    "stacks": [["llama-2-70b", "nvidia-h100-sxm", "vllm"]],
}


def _write(folder: Path, content: object) -> str:
    path = folder / "mine.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_factors_of_a_file(tmp_path: Path) -> None:
    found = catalog.calibration(_write(tmp_path, CONTENT))
    assert found.id == "mine"
    assert found.operators["gemm", "bf16", ""] == Efficiency(1e-6, 0.5, 0.8, 3.0)
    assert found.scales["nvidia"] == Scale(compute=0.9)
    assert found.engines["vllm"].values["layer"] == 1e-6
    assert ("llama-2-70b", "nvidia-h100-sxm", "vllm") in found.stacks


def test_general_factors_ship() -> None:
    found = catalog.calibration()
    assert found.id
    assert {"vllm", "sglang", "trtllm"} <= set(found.engines)
    assert {"gemm"} <= {kind for kind, _, _ in found.operators}


@pytest.mark.parametrize("part", sorted(CONTENT))
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    less = {k: v for k, v in CONTENT.items() if k != part}
    with pytest.raises(BadFact, match=f"{part}: is missing"):
        catalog.calibration(_write(tmp_path, less))


@pytest.mark.parametrize(
    "change",
    [{"operators": [{}]}, {"operators": 3}, {"scales": {"x": {"speed": 1}}}, {"stacks": 3}],
)
def test_another_form_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="not of the form that is read"):
        catalog.calibration(_write(tmp_path, CONTENT | change))


def test_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFact, match="an object was expected"):
        catalog.calibration(_write(tmp_path, [1]))


def test_unknown_calibration_names_what_there_is() -> None:
    with pytest.raises(UnknownName, match="general"):
        catalog.calibration("mine")
