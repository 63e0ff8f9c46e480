"""Chips and rules that the tests of the room share."""

from __future__ import annotations

from datetime import date
from functools import cache

from chipwise import catalog, policy
from chipwise.types import Chip, Rule, Verdict

LAST = date(2026, 11, 23)


def rules() -> tuple[Rule, ...]:
    return catalog.rules()


@cache
def chips() -> tuple[Chip, ...]:
    return tuple(catalog.chip(each) for each in catalog.chip_ids())


def rule(name: str) -> Rule:
    return next(r for r in rules() if r.id == name)


def verdict(chip: str | Chip, on: date = LAST, **asked: object) -> Verdict:
    of = catalog.chip(chip) if isinstance(chip, str) else chip
    return policy.check(of, rules(), on=on, **asked)  # type: ignore[arg-type]
