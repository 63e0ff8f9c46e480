"""The first page: the question that chipwise began with, answered with today's numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chipwise import figures, questions
from chipwise.tables import number, short
from chipwise.tables.kinds import KINDS
from chipwise.web import site
from chipwise.web.forms import FORMS, read
from chipwise.web.pages import Asked, begun
from chipwise.words import say

__all__ = ["home"]

Answer = Mapping[str, Any]
# The chip in question, what may be had without it, and what it was cut down to.
_CHIPS = ("nvidia-h200-sxm", "nvidia-h20-96", "huawei-ascend-910c")
_ASKED = {
    "model": "llama-2-70b",
    "chips": ",".join(_CHIPS),
    "isl": "2048",
    "osl": "128",
    "mode": "agg",
    "simulate": "0",
}
# Its answer to whether the chip makes its buyers dependent.
_DEPENDENCE = "dependence"


async def home(request: Request) -> Response:
    """What the H200 brings to China, what it costs, whether it may be had, what it binds."""
    lang = site.language(request)
    asked = read(FORMS["plan"], _ASKED.items())
    planned, judged = await asyncio.gather(
        begun(request, "plan", asked), begun(request, "claims", {})
    )
    found, job = planned.answer, planned.job or judged.job
    return site.show(
        request,
        "home.html",
        asked=_ASKED,
        waiting=Asked("plan", pending=bool(job), job=job),
        document=KINDS["plan"].document(found, lang)[:1] if found else [],
        lines=[
            *(_lines(found, lang) if found else []),
            *_bound(judged.answer or [], lang),
        ],
        charts=[chart for chart in (figures.chart("pareto", found, lang),) if chart]
        if found
        else [],
    )


def _lines(found: Answer, lang: str) -> list[str]:
    """Speed, money and law of the chip in question beside the others."""
    word = partial(say, lang)
    rows = {row["chip"]: row for row in found["chips"] if row["feasible"]}
    if rows.keys() != set(_CHIPS):
        return []
    first, *others = (rows[chip] for chip in _CHIPS)
    rate = first["output_tokens_per_s_per_chip"]
    lines = [
        word(
            "home.speed",
            chip=short(first["chip"]),
            rate=number(rate["value"]),
            low=number(rate["low"]),
            high=number(rate["high"]),
        )
    ]
    for row in others:
        there = row["output_tokens_per_s_per_chip"]
        ratio = number(rate["value"] / there["value"], 2)
        lines.append(word("home.beside", ratio=ratio, chip=short(row["chip"])))
    routes = {
        route: word(f"status.{questions.policy({'chip': _CHIPS[0], 'route': route})['status']}")
        for route in ("sale", "rent-abroad")
    }
    lines.append(
        word("home.law", on=found["on"], bought=routes["sale"], rented=routes["rent-abroad"])
    )
    return lines


def _bound(claims: list[Answer], lang: str) -> list[str]:
    """What the claims say of dependence."""
    return [one["texts"][lang]["sentence"] for one in claims if one["id"] == _DEPENDENCE]
