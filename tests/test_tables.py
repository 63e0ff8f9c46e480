"""Answers as tables and as rows."""

from __future__ import annotations

from datetime import date

import pytest

from chipwise import answers, api
from chipwise.tables import Sheet, flat, number, short
from chipwise.tables.law import policy


def _policy(lang, chip, **asked):
    found = api.verdict(api.chip(chip), api.Ask(**asked))
    answer = {**answers.envelope("general"), **answers.verdict(found)}
    document = policy(answer, lang)
    cells = [c.text for s in document if isinstance(s, Sheet) for row in s.rows for c in row]
    return "\n".join([*cells, *(line for line in document if isinstance(line, str))])


def test_a_verdict_in_chinese_says_what_a_deal_needs_and_what_is_disputed():
    text = _policy("zh", "h20", on=date(2026, 11, 23))
    assert "美国政府期望获得收入的 15 %" in text
    assert "2025 年 4 月的告知函：按 有约束力 为许可：逐案审查，按 无约束力 为未知" in text
    assert "从未公开撤回" in text
    assert "：是" in text
    for english in ("revenue", "binding", "withdrawn", ": yes", ": no"):
        assert english not in text
    assert "binding gives licence: case by case, not binding gives unknown" in _policy(
        "en", "h20", on=date(2026, 11, 23)
    )


def test_a_verdict_names_the_groups_without_a_source():
    text = _policy("zh", "h100", to="AE", on=date(2024, 6, 1))
    assert "所依据的数值中尚无来源者：country_groups" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (12.345, "12.3"),
        (99.96, "100"),
        (123.4, "123"),
        (1234567.8, "1,234,568"),
        (0.00001234, "0.0000123"),
        (1e-9, "1e-09"),
        (-3.14159, "-3.14"),
        (None, "—"),
        (float("nan"), "—"),
        (float("inf"), "—"),
    ],
)
def test_a_number_keeps_three_digits_and_none_is_a_dash(value, text):
    assert number(value) == text


def test_a_row_keeps_units_in_its_headings_and_joins_lists():
    answer = {
        "ttft_s": {"value": 1.0, "low": 0.5, "high": 2.0},
        "deployment": {"decode": {"tp": 2}, "prefill": None},
        "notes": ["a", "b"],
        "pareto": [{"chip": "x"}],
    }
    assert flat(answer) == {
        "ttft_s": 1.0,
        "ttft_s_low": 0.5,
        "ttft_s_high": 2.0,
        "deployment_decode_tp": 2,
        "deployment_prefill": None,
        "notes": "a; b",
    }


def test_a_chips_short_name_names_the_chip():
    from chipwise import catalog

    for name in catalog.chip_ids():
        assert catalog.chip(short(name)).id == name
