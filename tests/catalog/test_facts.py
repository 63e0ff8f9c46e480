"""A fact is read as printed; everything that it can lack or get wrong is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from chipwise.catalog.facts import in_base, read_fact
from chipwise.errors import BadFact

HERE = Path("x.toml")


def _read(raw: dict[str, object], kind: str = "number") -> object:
    return read_fact(HERE, "memory_bandwidth", kind, "GB/s", raw)


def test_fact_keeps_what_was_printed() -> None:
    raw = {"value": 3.35, "unit": "TB/s", "source": "s", "on": date(2023, 3, 21), "note": "n"}
    fact = read_fact(HERE, "memory_bandwidth", "number", "GB/s", raw)
    assert (fact.value, fact.unit, fact.source, fact.note) == (3.35, "TB/s", "s", "n")
    assert fact.on == date(2023, 3, 21)
    assert in_base(fact) == pytest.approx(3.35e12)


def test_fact_without_source_is_its_own() -> None:
    fact = read_fact(HERE, "power", "number", "W", {"value": 1, "unit": "W"})
    assert (fact.source, fact.provenance, fact.on) == ("x.toml", "source", None)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"value": 1}, "the unit is missing"),
        ({"value": 1, "unit": "kg"}, "'kg' does not measure it; .*GB/s"),
        ({"value": 1, "unit": "GB"}, "'GB' does not measure it"),
        ({"value": 0, "unit": "GB/s"}, "must be above zero, not 0"),
        ({"value": -1, "unit": "GB/s"}, "must be above zero, not -1"),
        ({"value": float("nan"), "unit": "GB/s"}, "must be above zero, not nan"),
        ({"value": float("inf"), "unit": "GB/s"}, "must be above zero, not inf"),
        ({"value": "much", "unit": "GB/s"}, "must be a number, not 'much'"),
        ({"value": True, "unit": "GB/s"}, "must be a number, not True"),
        ({"value": 2, "unit": "GB/s", "low": 3}, "low ≤ value ≤ high"),
        ({"value": 2, "unit": "GB/s", "high": 1}, "low ≤ value ≤ high"),
        ({"value": 2, "unit": "GB/s", "low": -1}, "low must be above zero"),
        ({"value": 2, "unit": "GB/s", "provenance": "rumour"}, "provenance must be one of"),
        ({"value": 2, "unit": "GB/s", "on": "2026"}, "on must be a date"),
        ({"value": 2, "unit": "GB/s", "from": "me"}, "unknown key 'from'"),
        ({"unit": "GB/s"}, "a table with value"),
    ],
)
def test_bad_fact_says_what_and_where(raw: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadFact, match=f"x.toml: memory_bandwidth: .*{complaint}"):
        _read(raw)


@pytest.mark.parametrize(("kind", "value"), [("text", 1), ("bool", "yes"), ("any", True)])
def test_kind_of_value_is_held(kind: str, value: object) -> None:
    with pytest.raises(BadFact, match="value must be"):
        _read({"value": value}, kind)


def test_not_even_a_table() -> None:
    with pytest.raises(BadFact, match=r"a table .* was expected, not 4\.1"):
        read_fact(HERE, "power", "number", "W", 4.1)


def test_unknown_has_no_base_value() -> None:
    text = read_fact(HERE, "market", "text", "", {"value": "datacenter"})
    assert in_base(None) is None
    assert in_base(text) is None
