"""A small plan with every figure stated, so that nothing but the fleet program is tested."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chipwise import catalog, fleet
from chipwise.fleet import Problem
from chipwise.fleet.outcome import Fleet
from chipwise.fleet.outcome import fleet as told
from chipwise.fleet.program import compose
from chipwise.fleet.scenarios import first_state, instance
from chipwise.fleet.solver import solve

SMALL = Path(__file__).parent / "small.toml"


@pytest.fixture
def content() -> dict[str, Any]:
    """What the file says, to be changed at will."""
    return tomllib.loads(SMALL.read_text("utf-8"))


def ready(content: dict[str, Any]) -> Problem:
    """A problem in which everything is stated, so that neither speed nor law is asked for."""
    made = fleet.with_rates(fleet.read(content, "small.toml"), catalog.calibration())

    def never(*asked: object) -> str:
        raise AssertionError(f"the law was asked for {asked}")

    return fleet.with_law(made, never)


@pytest.fixture
def filled() -> Callable[[dict[str, Any]], Problem]:
    return ready


def planned(of: Problem, within: float = 1e-3) -> Fleet:
    program = compose(instance(of, state=first_state(of)))
    return told(of, program, solve(program, within=within))


@pytest.fixture
def plan() -> Callable[..., Fleet]:
    return planned


@pytest.fixture(scope="session")
def base() -> Fleet:
    """The plan of the file as it is."""
    return planned(ready(tomllib.loads(SMALL.read_text("utf-8"))))
