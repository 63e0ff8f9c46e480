"""Every rule of the catalog holds what a rule must."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from chipwise import catalog, testing
from chipwise.types import Rule

CHIPS = {each: catalog.chip(each) for each in catalog.chip_ids()}
RULES = catalog.rules()


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.id)
def test_rule_holds(rule: Rule) -> None:
    testing.check_rule(rule, CHIPS)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.id)
def test_a_rule_expires(rule: Rule) -> None:
    with pytest.raises(AssertionError, match="looked at again"):
        testing.check_rule(rule, CHIPS, on=date(2031, 1, 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"caught": ("nvidia-h20-96",)}, "nvidia-h20-96 is not caught"),
        ({"spared": ("nvidia-h100-sxm",)}, "nvidia-h100-sxm is not spared"),
        ({"spared": ()}, "no chip is named that it does not catch"),
        ({"caught": ()}, "no chip is named that it catches"),
        ({"caught": ("nvidia-h1000",)}, "no chip 'nvidia-h1000'"),
        ({"citation": ""}, "no citation"),
        ({"destinations": ()}, "no destination"),
    ],
)
def test_the_check_sees(change: dict[str, object], said: str) -> None:
    rule = next(r for r in RULES if r.id == "us-2023-10-3A090a-dc")
    with pytest.raises(AssertionError, match=said):
        testing.check_rule(replace(rule, **change), CHIPS)  # type: ignore[arg-type]


LISTED = Path(__file__).parents[1] / "policy" / "listed_rules.csv"
# Written from the law itself, beside the list.
BESIDE = {"us-2020-06-military-end-use", "us-2022-10-fdp", "us-2023-10-fdp"}


def test_every_rule_of_the_list_is_there_with_its_days() -> None:
    with LISTED.open(encoding="utf-8", newline="") as file:
        listed = {row["id"]: row for row in csv.DictReader(file)}
    found = {
        r.id: {
            "id": r.id,
            "jurisdiction": r.jurisdiction,
            "start": r.start.isoformat(),
            "end": r.end.isoformat() if r.end else "",
            "confidence": r.confidence,
        }
        for r in RULES
        if r.id not in BESIDE
    }
    assert found == listed


def test_what_is_reported_or_proposed_counts_only_where_it_says_why() -> None:
    for rule in RULES:
        left_out = rule.confidence in ("reported", "proposed", "unverified", "unknown")
        assert rule.counted == (not left_out or bool(rule.extra.get("counted_because")))
        assert not (rule.counted and rule.confidence == "proposed")


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.id)
def test_what_a_rule_says_to_people_is_there_in_chinese(rule: Rule) -> None:
    doubt = (rule.doubt.label, rule.doubt.because) if rule.doubt else ()
    reasons = [r.because for r in rule.readings if r.name != "format"]
    for english in (*rule.needs, *doubt, *reasons):
        assert any("\u4e00" <= sign <= "\u9fff" for sign in rule.chinese[english])


def test_every_row_of_law_has_its_kind() -> None:
    for rule in RULES:
        assert (rule.confidence == "proposed") == (rule.kind in ("bill", "draft"))
        if rule.confidence == "source" and rule.effect != "note":
            assert rule.kind in ("law", "letter", "guidance", "licence")
