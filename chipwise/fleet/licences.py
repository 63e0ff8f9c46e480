"""The status of every chip at every place on the first day of every quarter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from chipwise.fleet.problem import Problem
from chipwise.types import Chip

__all__ = ["with_law"]

# Chip, place, route, day → status.
Judge = Callable[[Chip, str, str, date], str]


def with_law(of: Problem, judge: Judge) -> Problem:
    """The problem with the statuses of what may be bought and rented.

    A licence that the file states beats the rules. For a day to come the rules that stand are
    taken to stand still.

    Parameters
    ----------
    of : Problem
        As read.
    judge : callable
        Chip, place, route and day → status.
    """
    chips = {c.id: c for c in of.choices}
    asked = [(c.id, site.to, "sale") for c in of.choices if c.licence is None for site in of.sites]
    asked += [(h.choice, h.to, h.route) for h in of.hires if h.licence is None]
    found = {
        (name, to, route): tuple(judge(chips[name].chip, to, route, day) for day in of.starts)
        for name, to, route in dict.fromkeys(asked)
    }
    return replace(of, status=found)
