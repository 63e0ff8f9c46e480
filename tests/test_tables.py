"""Answers as tables and as rows."""

from __future__ import annotations

import pytest

from chipwise.tables import flat, number, short


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
