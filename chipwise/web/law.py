"""Pages of the law: what the rules say of a chip and of all of them, and which claims hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from chipwise import catalog, figures, questions
from chipwise.errors import ChipwiseError
from chipwise.tables.kinds import KINDS
from chipwise.web import api, site
from chipwise.web.forms import FORMS
from chipwise.web.pages import Asked, begun, given_in

__all__ = ["claims", "policy"]

Answer = Mapping[str, Any]
# Options that say which trade the map is of.
_TERMS = ("to", "route", "end_user", "include")


async def policy(request: Request) -> Response:
    """All chips on a map of the rules with a day to move; one chip rule by rule and over time."""
    lang = site.language(request)
    asked, question = Asked("policy", given_in(request)), dict[str, Any]()
    shown: dict[str, Any] = {"document": [], "statuses": [], "charts": []}
    try:
        question = api.asked(request, "policy")
        if "chip" in question:
            shown |= await run_in_threadpool(_of_chip, question, lang)
    except ChipwiseError as refused:
        asked = replace(asked, error=str(refused), code=site.status(refused))
    where = {name: question[name] for name in _TERMS if name in question}
    every = await begun(request, "landscape", where)
    asked = replace(asked, pending=every.pending, job=every.job)
    if every.answer:
        on = str(question.get("on") or catalog.as_of())
        shown |= _landscape({**every.answer, "on": on, "chip": question.get("chip")}, lang)
    return site.show(
        request,
        "policy.html",
        asked.code,
        asked=asked,
        form=FORMS["policy"],
        chips=catalog.chip_name_index(),
        models=(),
        **shown,
    )


def _of_chip(question: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """What the rules say of one chip, on a day and over time."""
    course = questions.timeline(question)
    return {
        "document": [
            *KINDS["policy"].document(questions.policy(question), lang),
            *KINDS["policy_timeline"].document(course, lang),
        ],
        "statuses": figures.charts("policy_timeline", course, lang),
    }


def _landscape(found: Answer, lang: str) -> dict[str, Any]:
    """What the page shows of all chips: the map, and its table for whoever reads."""
    charts = figures.charts("landscape", found, lang)
    return {
        "days": found["days"],
        "at": charts[0]["at"],
        "charts": charts,
        "every": KINDS["landscape"].document(found, lang)[0],
    }


async def claims(request: Request) -> Response:
    """Each claim recomputed, with its verdict and the sentence to print."""
    lang, asked = site.language(request), await begun(request, "claims", {})
    found = asked.answer or []
    return site.show(
        request,
        "claims.html",
        asked=asked,
        document=KINDS["claims"].document(found, lang) if found else [],
        claims=found,
    )
