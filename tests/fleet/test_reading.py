"""Wrong files are refused with file, key and what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chipwise import fleet
from chipwise.errors import BadFact, BadInput
from chipwise.fleet import Problem

Filled = Callable[[dict[str, Any]], Problem]


def put(content: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The content with a value at a dotted path; None takes it out."""
    *above, last = path.split(".")
    at: Any = content
    for part in above:
        at = at[int(part)] if part.isdigit() and isinstance(at, list) else at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return content


WRONG = [
    ("horizon.first", None, "horizon.first: is missing"),
    ("horizon.first", "2026", "horizon.first: a quarter such as 2026-Q1 was expected, not '2026'"),
    ("horizon.last", "2025-Q1", "horizon.last: 2025-Q1 was expected at or after first"),
    ("sites.west.power_kw", None, "sites.west.power_kw: is missing"),
    ("sites.west.power_kw", math.nan, ("sites.west.power_kw: a number of at "
     "least 0 was expected, not nan")),
    ("sites.west.power_kw", -5, "sites.west.power_kw: a number of at least 0 was expected, not -5"),
    ("sites.west.power_kw", True, "sites.west.power_kw: a number of at least 0"),
    ("sites.west.power_kw", [1, 2, 3], ("sites.west.power_kw: 6 numbers were "
     "expected, one for each quarter from 2026-Q1 to 2027-Q2, not 3")),
    ("sites.west.power_kw", {"2026-Q3": 5}, "sites.west.power_kw: no value for 2026-Q1 to 2026-Q2"),
    ("sites.west.power_kw", {"start": 5}, "sites.west.power_kw: start and yearly were expected"),
    ("sites.west.pue", 0.9, "sites.west.pue: a number of at least 1"),
    ("sites.west.curtailed", 1.5, "sites.west.curtailed: a number of at least 0 and at most 0.99"),
    ("sites.west.curtailed", {"start": 0.9, "yearly": 2}, "sites.west.curtailed: comes to"),
    ("sites.west.powr_kw", 5, "sites.west.powr_kw: unknown key 'powr_kw'; the nearest are"),
    ("chips.h200.chip", "h2000x", "chips.h200.chip: unknown chip 'h2000x'; the nearest are"),
    ("chips.h200.server", 0, "chips.h200.server: a number of at least 1"),
    ("chips.h200.server", 8.5, "chips.h200.server: a whole number was expected, not 8.5"),
    ("chips.h200.licence", "fre", "chips.h200.licence: unknown status 'fre'; the nearest are free"),
    ("chips.h200.like", {"chip": "x", "factor": 1}, "chips.h200.like.chip: unknown chip 'x'"),
    ("chips.h200.throughput", {"chat": math.inf}, "chips.h200.throughput.chat: a number"),
    ("chips", {}, "chips: at least one [chips.…] was expected"),
    ("rent.abroad.chip", "h100", "rent.abroad.chip: unknown chip 'h100'"),
    ("rent.abroad.route", "sale", "rent.abroad.route: unknown route 'sale'"),
    ("demand.chat.model", "llama-9", "demand.chat.model: unknown model 'llama-9'"),
    ("demand.chat.isl", None, "demand.chat.isl: is missing"),
    ("demand.chat.sites", ["north"], "demand.chat.sites: unknown site 'north'"),
    ("demand.chat.country", "US2", "demand.chat.country: unknown country 'US2'"),
    ("demand.chat.served", {"CUDA": 0.8, "CANN": 0.8}, "demand.chat.served: shares were expected"),
    ("demand.chat.unserved", [{"share": 1}], "demand.chat.unserved[0]: share and usd_per_million"),
    ("demand.chat.unserved", [{"share": 0.8, "usd_per_million_tokens": 1}] * 2,
     "demand.chat.unserved: shares were expected to add up to at most 1, not 1.6"),
    ("installed.0.site", "north", "installed[0].site: unknown site 'north'"),
    ("installed.0.count", None, "installed[0].count: is missing"),
    ("spares", {"h100": 5}, "spares.h100: unknown chip 'h100'"),
    ("spares", {"h200": -5}, "spares.h200: a number of at least 0 was expected, not -5"),
    ("plan.law", ["fine"], "plan.law: unknown status 'fine'; the nearest are"),
    ("cap", [{"of": "vendor", "value": "Nvidia", "share": 0.5}],
     "cap[0].value: unknown vendor 'Nvidia'; the nearest are NVIDIA"),
    ("quota", [{"name": "q", "chips": ["x"], "count": 1}], "quota[0].chips: unknown chip 'x'"),
    ("scenario", [{"id": "a", "probability": 0.5, "from": "2026-Q3"}],
     "scenario: probabilities add up to 0.5, not 1"),
    ("scenario", [{"id": "a", "probability": 1.0, "from": "2029-Q3"}],
     "scenario[0].from: a quarter of the horizon was expected"),
    ("scenario", [{"id": "a", "probability": 1.0, "from": "2026-Q3", "demand": {"x": 1}}],
     "scenario[0].demand: unknown name 'x'"),
    ("budget", {"usd": 5, "carry": 1}, "budget.carry: true or false was expected, not 1"),
    ("budget", 5, "budget: a table was expected, not 5"),
    ("installed", {}, "installed: tables [[installed]] were expected"),
    ("sites", [], "sites: tables [sites.…] were expected"),
    ("fleet", {}, "fleet: unknown key 'fleet'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "message"), WRONG, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG)]
)
def test_what_is_wrong_is_named(
    content: dict[str, Any], path: str, value: object, message: str
) -> None:
    with pytest.raises(BadFact) as caught:
        fleet.read(put(content, path, value), "my.toml")
    assert str(caught.value).startswith(f"my.toml: {message}")
    assert "\n" not in str(caught.value)


def test_a_file_without_a_horizon_is_refused() -> None:
    with pytest.raises(BadFact, match=r"my\.toml: horizon: a table with first and last"):
        fleet.read({}, "my.toml")


def test_series_take_every_form(content: dict[str, Any]) -> None:
    forms: list[tuple[Any, list[float]]] = [
        (5, [5] * 6),
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        ({"2025-Q1": 1, "2026-Q3": 2}, [1, 1, 2, 2, 2, 2]),
        ({"start": 16, "yearly": 16}, [16, 32, 64, 128, 256, 512]),
    ]
    for given, expected in forms:
        made = fleet.read(put(content, "sites.west.power_kw", given), "my.toml")
        assert made.sites[0].power == pytest.approx(np.array(expected) * 1e3)


def test_what_the_file_leaves_out_comes_from_the_catalog(content: dict[str, Any]) -> None:
    for key in ("usd", "kw"):
        del content["chips"]["910c"][key]
    del content["horizon"]["interest"]
    made = fleet.read(content, "my.toml")
    chip = made.choices[1]
    assert chip.price is not None
    assert 15_000 < chip.price[0] < 60_000
    assert chip.watts == pytest.approx(1460)
    assert any("huawei-ascend-910c: price of the catalog" in note for note in made.notes)
    assert 0.05 < made.interest < 0.15


def test_an_unknown_price_is_no_price(content: dict[str, Any], filled: Filled) -> None:
    del content["chips"]["bw1000"]["usd"]
    made = filled(content)
    assert made.choices[2].price is None
    assert "hygon-bw1000: no price is known, so it is not bought" in made.notes
    found = fleet.answer(made)
    assert not [m for m in found.plan.buy if m.choice == "bw1000"]


CUTS: list[tuple[dict[str, str], str]] = [
    ({"from": "2026-Q3"}, "cut-off: cut_off: one of vendor, country"),
    ({"vendor": "NVIDIA"}, "cut-off: cut_off.from: is missing"),
    ({"vendor": "NVIDIAX", "from": "2026-Q3"}, ("cut-off: cut_off.vendor: unknown "
     "vendor 'NVIDIAX'; the nearest are NVIDIA")),
    ({"vendor": "NVIDIA", "from": "2025-Q3"}, "cut-off: cut_off.from: 2025-Q3 is before 2026-Q1"),
    ({"vendor": "NVIDIA", "from": "2026-Q3", "until": "2026-Q2"},
     "cut-off: cut_off.until: 2026-Q2 is before 2026-Q3"),
    ({"vendor": "NVIDIA", "from": "2026-Q3", "announced": "2026-Q4"},
     "cut-off: cut_off.announced: 2026-Q4 is after 2026-Q3"),
    ({"vendor": "NVIDIA", "from": "soon"}, "cut-off: cut_off.from: a quarter such as 2026-Q1"),
    ({"vendor": "NVIDIA", "from": "2026-Q3", "deliveries": "x"},
     "cut-off: cut_off.deliveries: unknown word 'x'"),
    ({"vender": "NVIDIA", "from": "2026-Q3"}, "cut-off: cut_off.vender: unknown key 'vender'"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), CUTS)
def test_a_wrong_cut_off_is_named(
    content: dict[str, Any], given: dict[str, str], message: str
) -> None:
    made = fleet.read(content, "my.toml")
    with pytest.raises(BadInput) as caught:
        fleet.cut_off(made, given, "cut-off")
    assert str(caught.value).startswith(message)


def test_a_maker_may_be_one_of_several(content: dict[str, Any]) -> None:
    made = fleet.read(content, "my.toml")
    cut = fleet.cut_off(made, {"memory": "Micron", "from": "2026-Q3"}, "cut-off")
    assert (cut.attribute, cut.value, cut.first) == ("memory", "Micron", 2)
