"""The numbers of docs/fleet.md and of the claims on dependence, from examples/fleet.toml.

Written to docs/fleet.numbers.json and, what the claims rest on, to fleet_figures.toml of the
catalog. Run it, then `make format`, when the catalog, the calibration or the example has changed.
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chipwise import answers, api, catalog, fleet
from chipwise.fleet.cutoff import cut_cost

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "fleet.toml"
NUMBERS = ROOT / "docs" / "fleet.numbers.json"
FIGURES = ROOT / "chipwise" / "catalog" / "data" / "fleet_figures.toml"
DOMESTIC = ("910b", "910c", "mlu590", "bw1000")
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
    "half the supply of every domestic chip": lambda content: halved(content, *DOMESTIC),
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


def _no_h200(content: dict[str, Any]) -> None:
    """None may be bought; those that are there stay, and renting abroad is another question."""
    for quota in content["quota"]:
        quota["count"] = 0


def domestic(change: Callable[[dict[str, Any]], None]) -> dict[str, float]:
    """Domestic chips bought by year, if all goes on as it is."""
    content = tomllib.loads(EXAMPLE.read_text("utf-8"))
    change(content)
    years: dict[str, float] = {}
    for move in fleet.answer(api.fleet_problem(content)).plan.buy:
        if move.choice in DOMESTIC and move.scenario in (None, "as-is"):
            year = move.period[:4]
            years[year] = years.get(year, 0.0) + move.count
    return years


def figures(numbers: dict[str, Any]) -> dict[str, tuple[float, str, str]]:
    """What the claims take of the stored numbers: value, unit and what it is, by name."""
    shares = {row["period"]: row["shares"]["NVIDIA"] for row in numbers["shares"]}
    first, last = min(shares), max(shares)
    found = {
        f"nvidia_share_{first[:4]}": (shares[first], "1", f"of the served tokens, {first}"),
        f"nvidia_share_{last[:4]}": (shares[last], "1", f"of the served tokens, {last}"),
    }
    rows = {
        "": numbers["cut_offs"][0],
        "_half_domestic": _changed(numbers, "half the supply of every domestic chip"),
        "_robust": _changed(numbers, "speeds that nine chips in ten reach"),
    }
    for name, row in rows.items():
        what = row.get("change", "as it stands")
        found |= {
            f"cut_low{name}": (row["low"] * MILLION, "USD", f"cost of the cut-off: {what}"),
            f"cut_high{name}": (row["high"] * MILLION, "USD", f"cost of the cut-off: {what}"),
            f"serving{name}": (row["base"] * MILLION, "USD", f"cost without it: {what}"),
        }
    for name, years in numbers["domestic_bought"].items():
        for year in ("2026", "2027"):
            what = f"domestic chips bought in {year}, {name}"
            found[f"domestic_{year}_{name}"] = (years[year], "chip", what)
    return found


def _changed(numbers: dict[str, Any], change: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in numbers["changes"] if row["change"] == change)
    return row


def as_toml(numbers: dict[str, Any]) -> str:
    """The figures as a file of the catalog."""
    lines = [
        "# What claims rest on of the plan of examples/fleet.toml. Made by",
        "# benchmarks/fleet_numbers.py: run it again instead of editing.",
    ]
    for name, (value, unit, note) in figures(numbers).items():
        lines.append(
            f'{name} = {{ value = {value:.6g}, unit = "{unit}", source = "fleet-example", '
            f'provenance = "derived", on = {numbers["as_of"]}, note = "{note}" }}'
        )
    return "\n".join(lines) + "\n"


def main() -> dict[str, Any]:
    start = time.perf_counter()
    calibration = catalog.calibration().id
    found = answers.fleet(api.fleet(EXAMPLE), calibration)
    seconds = time.perf_counter() - start
    made = api.fleet_problem(EXAMPLE)
    more = answers.fleet(
        api.fleet(
            EXAMPLE,
            cut_offs=[BASE],
            curve=("vendor", "NVIDIA"),
            regret=True,
            spares=("h200", (0.0, 500.0, 1000.0, 2000.0)),
            rolling=(8, 4),
        ),
        calibration,
    )
    answer = {
        "calibration": calibration,
        "as_of": catalog.as_of().isoformat(),
        "plan_s": seconds,
        "plan": {k: found[k] for k in ("objective_usd", "gap", "unserved_share", "cost_usd")},
        "first_scenario_usd": found["scenario_usd"],
        "shares": shares(found),
        "cut_offs": [cut(made, given) for given in CUTS],
        "changes": changed(),
        "domestic_bought": {
            "with_h200": domestic(lambda content: None),
            "without_h200": domestic(_no_h200),
        },
        **{k: more[k] for k in ("diversification", "regret_usd", "spares")},
        "rolling_usd": more["rolling"]["cost_usd"],
    }
    rounded = json.loads(json.dumps(answer), parse_float=lambda t: float(f"{float(t):.6g}"))
    NUMBERS.write_text(json.dumps(rounded, indent=1) + "\n", "utf-8")
    FIGURES.write_text(as_toml(rounded), "utf-8")
    return rounded


if __name__ == "__main__":
    made = main()
    for row in (*made["cut_offs"], *made["changes"]):
        print(row)
    print(made["plan"], np.round(made["plan_s"], 1))
