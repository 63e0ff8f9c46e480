"""The numbers of docs/fleet.md, from examples/fleet.toml, written to docs/fleet.numbers.json.

Run it, then `make format`, when the catalog, the calibration or the example has changed.
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chipwise import api, catalog, fleet
from chipwise.fleet.cutoff import cut_cost

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "fleet.toml"
NUMBERS = ROOT / "docs" / "fleet.numbers.json"
BASE = {"vendor": "NVIDIA", "from": "2027-Q1"}
CUTS: tuple[dict[str, str], ...] = (
    BASE,
    {**BASE, "announced": "2026-Q1"},
    {**BASE, "deliveries": "lost"},
    {**BASE, "until": "2027-Q4"},
    {"vendor": "NVIDIA", "from": "2026-Q2"},
    {"vendor": "NVIDIA", "from": "2028-Q1"},
    {"country": "US", "from": "2027-Q1"},
    {"fab": "TSMC", "from": "2027-Q1"},
    {"memory": "SK hynix", "from": "2027-Q1"},
    {"memory": "Samsung", "from": "2027-Q1"},
    {"fab": "SMIC", "from": "2027-Q1"},
    {"vendor": "Huawei", "from": "2027-Q1"},
)
MILLION = 1e6


def halved(content: dict[str, Any], *chips: str) -> None:
    for chip in chips:
        content["chips"][chip]["supply"]["start"] /= 2


def _robust(content: dict[str, Any]) -> None:
    content["plan"]["robust"] = 0.9


def _demand(content: dict[str, Any]) -> None:
    for demand in content["demand"].values():
        demand["tokens_per_s"]["start"] *= 1.5


def _no_rent(content: dict[str, Any]) -> None:
    content["rent"]["h200-abroad"]["chips"] = 0


def _no_quota(content: dict[str, Any]) -> None:
    del content["quota"]


# What the answer hangs on: the same question with one thing changed.
CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "as it stands": lambda content: None,
    "half the supply of the 910C": lambda content: halved(content, "910c"),
    "half the supply of every domestic chip": lambda content: halved(
        content, "910b", "910c", "mlu590", "bw1000"
    ),
    "half as much demand again": _demand,
    "no H200 to rent abroad": _no_rent,
    "no quota on the H200": _no_quota,
    "speeds that nine chips in ten reach": _robust,
}


def cut(made: fleet.Problem, given: dict[str, str]) -> dict[str, Any]:
    found = cut_cost(made, fleet.cut_off(made, given, "cut-off"))
    assert found.base is not None
    return {
        "asked": given,
        "low": found.low / MILLION,
        "high": found.high / MILLION,
        "base": found.base.objective / MILLION,
        "unserved": found.unserved,
        "unserved_base": found.unserved_base,
        "recovers": found.recovers,
    }


def changed() -> list[dict[str, Any]]:
    rows = []
    for name, change in CHANGES.items():
        content = tomllib.loads(EXAMPLE.read_text("utf-8"))
        change(content)
        rows.append({"change": name, **cut(api.fleet_problem(content), BASE)})
    return rows


def shares(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Share of the served tokens by vendor, at the beginning of each year and at the end."""
    rows = []
    for each in found["dependence"]:
        wanted = each["period"].endswith("-Q1") or each["period"] == found["periods"][-1]
        if each["by"] == "vendor" and wanted and each["scenario"] in (None, "as-is"):
            rows.append({k: each[k] for k in ("period", "shares", "hhi")})
    return rows


def main() -> dict[str, Any]:
    start = time.perf_counter()
    found = fleet.told(api.fleet(EXAMPLE))
    seconds = time.perf_counter() - start
    made = api.fleet_problem(EXAMPLE)
    more = fleet.told(
        api.fleet(
            EXAMPLE,
            cut_offs=[BASE],
            curve=("vendor", "NVIDIA"),
            regret=True,
            spares=("h200", (0.0, 500.0, 1000.0, 2000.0)),
            rolling=(8, 4),
        )
    )
    answer = {
        "calibration": catalog.calibration().id,
        "as_of": catalog.as_of().isoformat(),
        "plan_s": seconds,
        "plan": {k: found[k] for k in ("objective_usd", "gap", "unserved_share", "cost_usd")},
        "first_scenario_usd": found["scenario_usd"],
        "shares": shares(found),
        "cut_offs": [cut(made, given) for given in CUTS],
        "changes": changed(),
        **{k: more[k] for k in ("diversification", "regret_usd", "spares")},
        "rolling_usd": more["rolling"]["cost_usd"],
    }
    rounded = json.loads(json.dumps(answer), parse_float=lambda t: float(f"{float(t):.6g}"))
    NUMBERS.write_text(json.dumps(rounded, indent=1) + "\n", "utf-8")
    return rounded


if __name__ == "__main__":
    made = main()
    for row in (*made["cut_offs"], *made["changes"]):
        print(row)
    print(made["plan"], np.round(made["plan_s"], 1))
