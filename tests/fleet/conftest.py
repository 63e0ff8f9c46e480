"""A small plan with every figure stated, so that nothing but the fleet program is tested."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from chipwise import catalog, fleet
from chipwise.fleet import Problem
from chipwise.fleet.outcome import Fleet
from chipwise.fleet.outcome import fleet as told
from chipwise.fleet.program import compose
from chipwise.fleet.scenarios import first_state, instance
from chipwise.fleet.solver import solve

_CONTENT: dict[str, Any] = {
    "title": "small",
    "horizon": {"first": "2026-Q1", "last": "2027-Q2", "interest": 0.08},
    "plan": {"gap": 1e-3},
    "sites": {
        "west": {"to": "CN", "power_kw": 400, "pue": 1.2, "usd_per_kwh": 0.05,
                 "gco2_per_kwh": 500, "usd_per_kw_month": 50},
        "east": {"to": "CN", "power_kw": 200, "pue": 1.4, "usd_per_kwh": 0.10,
                 "gco2_per_kwh": 500, "usd_per_kw_month": 80},
    },
    "chips": {
        "h200": {"software": "CUDA", "fab": "TSMC", "memory": "SK hynix + Micron", "usd": 30000,
                 "kw": 1.5, "server": 8, "lead_quarters": 1, "failure": 0.08, "supply": 80,
                 "throughput": {"chat": 900, "code": 800}, "licence": "free"},
        "910c": {"software": "CANN", "fab": "SMIC", "memory": "CXMT", "usd": 24000, "kw": 1.4,
                 "server": 16, "lead_quarters": 1, "failure": 0.1, "supply": 96,
                 "throughput": {"chat": 500, "code": 400}, "licence": "free"},
        "bw1000": {"software": "DTK", "usd": 15000, "kw": 0.6, "server": 4, "supply": 60,
                   "throughput": {"chat": 200, "code": 150}, "licence": "free"},
    },
    "rent": {
        "abroad": {"chip": "h200", "to": "SG", "route": "rent-abroad", "usd_per_hour": 4.0,
                   "chips": 40, "licence": "free"},
    },
    "demand": {
        "chat": {"model": "llama-2-70b", "isl": 1000, "osl": 200, "peak": 1.5,
                 "tokens_per_s": {"start": 30000, "yearly": 1.6},
                 "unserved": [{"share": 0.3, "usd_per_million_tokens": 3},
                              {"share": 0.7, "usd_per_million_tokens": 15}],
                 "served": {"CUDA": 0.5}},
        "code": {"model": "llama-2-70b", "isl": 2000, "osl": 100, "peak": 1.2,
                 "tokens_per_s": 12000,
                 "unserved": [{"share": 1.0, "usd_per_million_tokens": 12}]},
    },
    "software": {"CANN": {"usd_per_token_s": 2.0, "ramp": 0.4},
                 "CUDA": {"usd_per_token_s": 0.1, "ramp": 0.8}},
    "installed": [{"chip": "h200", "site": "west", "count": 24, "since": "2025-Q1"}],
}  # fmt: skip


@pytest.fixture
def content() -> dict[str, Any]:
    """What the file says, to be changed at will."""
    return copy.deepcopy(_CONTENT)


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
