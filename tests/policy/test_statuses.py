from __future__ import annotations

import pytest

from chipwise.catalog.rulebook import STATUSES as READ
from chipwise.errors import BadInput
from chipwise.policy.statuses import between, status_order, stricter, strictest
from chipwise.types import STATUSES


def test_the_order_is_the_documented_one() -> None:
    assert [status_order(s) for s in STATUSES] == list(range(7))
    assert STATUSES == (
        "free",
        "notify",
        "licence_approval",
        "discouraged",
        "licence_case_by_case",
        "licence_denial",
        "prohibited",
    )


def test_rule_files_know_the_same_statuses() -> None:
    assert READ == STATUSES


def test_unknown_is_never_milder_than_what_is_known() -> None:
    assert all(stricter("unknown", s) == "unknown" for s in STATUSES[:-1])
    assert stricter("prohibited", "unknown") == "prohibited"
    assert stricter("unknown", "prohibited") == "prohibited"


@pytest.mark.parametrize("one", STATUSES)
@pytest.mark.parametrize("other", STATUSES)
def test_the_stricter_of_two_known_ones(one: str, other: str) -> None:
    found = stricter(one, other)
    assert status_order(found) == max(status_order(one), status_order(other))
    assert found == strictest([one, other])


def test_bounds_that_differ_are_unknown() -> None:
    assert between("free", "free") == "free"
    assert between("free", "notify") == "unknown"


def test_another_word_is_refused() -> None:
    with pytest.raises(BadInput, match="known are free"):
        status_order("allowed")
