"""Pages of the law: what the rules say of a chip and of all of them, and which claims hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from chipwise import catalog, questions
from chipwise.errors import ChipwiseError
from chipwise.tables import Cell, Sheet, number, short
from chipwise.tables.kinds import KINDS
from chipwise.web import api, charts, jobs, site
from chipwise.web.forms import FORMS
from chipwise.web.pages import Asked, given_in
from chipwise.words import say

__all__ = ["claims", "policy"]

Answer = Mapping[str, Any]
# How a reader sorts statuses: what may go, what needs leave, what may not.
_GROUPS = {
    "free": ("free", "notify"),
    "licence": ("licence_approval", "licence_case_by_case", "discouraged"),
    "denied": ("licence_denial", "prohibited"),
    "unknown": ("unknown",),
}
# Options that say which trade the map is of.
_TERMS = ("to", "route", "end_user", "include")
# What stands against TPP: its word, and the title of the map.
_FIGURES = {
    "density": ("chart.density", "chart.density_title"),
    "memory_bandwidth": ("chart.memory_bandwidth", "chart.memory_bandwidth_title"),
}


async def policy(request: Request) -> Response:
    """All chips on a map of the rules with a day to move; one chip rule by rule and over time."""
    lang, desk = site.language(request), request.app.state.desk
    asked, question, document = Asked("policy", given_in(request)), dict[str, Any](), []
    try:
        question = api.asked(request, "policy")
        if "chip" in question:
            document = await run_in_threadpool(_of_chip, question, lang)
    except ChipwiseError as refused:
        asked = replace(asked, error=str(refused), code=site.status(refused))
    where = {name: question[name] for name in _TERMS if name in question}
    every = await jobs.soon(desk, "landscape", where)
    if isinstance(every, jobs.Job):
        asked = replace(asked, pending=True, job=every.id)
    on = str(question.get("on") or catalog.as_of())
    return site.show(
        request,
        "policy.html",
        asked.code,
        asked=asked,
        form=FORMS["policy"],
        chips=catalog.chip_name_index(),
        models=(),
        document=document,
        **({"charts": []} if asked.pending else _landscape(json.loads(str(every)), on, lang)),
    )


def _of_chip(question: Mapping[str, Any], lang: str) -> list[Sheet | str]:
    """What the rules say of one chip, on a day and over time."""
    return [
        *KINDS["policy"].document(questions.policy(question), lang),
        *KINDS["policy_timeline"].document(questions.timeline(question), lang),
    ]


def _landscape(found: Answer, on: str, lang: str) -> dict[str, Any]:
    """What the page shows of all chips."""
    at = _day(found["days"], on)
    return {
        "days": found["days"],
        "at": at,
        "charts": [_map(found, axis, at, lang) for axis in _FIGURES],
        "every": _statuses(found, at, lang),
    }


def _day(days: Sequence[str], on: str) -> int:
    """The last day on which something changed until one."""
    return max((at for at, each in enumerate(days) if each <= on), default=0)


def _map(found: Answer, axis: str, at: int, lang: str) -> charts.Chart:
    """Chips by TPP and another figure, with the rules' regions; a sentence for each day."""
    word = partial(say, lang)
    name, title = _FIGURES[axis]
    chips = [one for one in found["chips"] if one["tpp"] and one[axis]]
    names = dict.fromkeys(status for one in chips for status in one["statuses"])
    return {
        "draw": "rules",
        "title": word(title),
        "reading": _reading(found, at, word),
        "readings": [_reading(found, k, word) for k in range(len(found["days"]))],
        "x": word("chart.tpp"),
        "y": word(name),
        "days": found["days"],
        "statuses": {name: word(f"status.{name}") for name in names},
        "chips": [
            {
                "name": short(one["chip"]),
                "at": [one["tpp"], one[axis]],
                "statuses": one["statuses"],
            }
            for one in chips
        ],
        "regions": [
            {
                "name": region["title"].get(lang, region["rule"]),
                "outcome": word(f"status.{region['outcome']}"),
                "mild": region["effect"] == "relax",
                "from": region["start"],
                "to": region["end"],
                "boxes": region["boxes"],
            }
            for region in found["regions"][axis]
        ],
    }


def _reading(found: Answer, at: int, word: Any) -> str:
    held = [one["statuses"][at] for one in found["chips"]]
    counts = {name: sum(s in group for s in held) for name, group in _GROUPS.items()}
    return str(word("chart.rules_reading", day=found["days"][at], count=len(held), **counts))


def _statuses(found: Answer, at: int, lang: str) -> Sheet:
    """The map as a table, for whoever reads rather than looks."""
    word = partial(say, lang)
    names = (
        "heading.chip",
        "chart.tpp",
        *(name for name, _ in _FIGURES.values()),
        "heading.status",
    )
    rows = tuple(
        (
            Cell(short(one["chip"])),
            *(Cell(number(one[name])) for name in ("tpp", *_FIGURES)),
            Cell(word(f"status.{one['statuses'][at]}")),
        )
        for one in found["chips"]
    )
    title = word("chart.statuses", day=found["days"][at])
    return Sheet(title, tuple(map(word, names)), rows, frozenset((1, 2, 3)))


async def claims(request: Request) -> Response:
    """Each claim recomputed, with its verdict and the sentence to print."""
    lang, desk = site.language(request), request.app.state.desk
    begun = await jobs.soon(desk, "claims", {})
    pending = isinstance(begun, jobs.Job)
    found = [] if isinstance(begun, jobs.Job) else json.loads(begun)
    return site.show(
        request,
        "claims.html",
        asked=Asked("claims", pending=pending, job=begun.id if isinstance(begun, jobs.Job) else ""),
        document=KINDS["claims"].document(found, lang) if found else [],
        claims=found,
    )
