"""One function for each page: what is asked, what is answered, what is shown.

A page is a GET whose URL reproduces it. To add one: a function here, a route in `server`, a
template, a name in `site.NAV`, its words in `strings.toml`; a question of its own in `forms` and
`work`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from chipwise import answers, catalog, figures, questions, report
from chipwise import studies as kept
from chipwise.errors import BadInput, ChipwiseError
from chipwise.tables.kinds import KINDS
from chipwise.web import api, jobs, site, work
from chipwise.web.forms import FORMS, texts

__all__ = [
    "Asked",
    "ask",
    "begun",
    "catalog_entry",
    "catalog_list",
    "compare",
    "fleet",
    "given_in",
    "plan",
    "simulate",
    "studies",
    "study",
    "train",
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a page: its texts as given, its answer, or why there is none.

    `pending` where the page is to show how far the work is; `job` its id, empty where the page is
    to begin it.
    """

    kind: str
    given: dict[str, list[str]] = field(default_factory=dict)
    answer: Any = None
    error: str = ""
    code: int = HTTPStatus.OK
    pending: bool = False
    job: str = ""


def given_in(request: Request) -> dict[str, list[str]]:
    """What a URL asks, as it was written."""
    return texts(p for p in request.query_params.multi_items() if p[0] != "lang")


async def ask(request: Request, kind: str) -> Asked:
    """The question in a URL and its answer; neither where the URL asks nothing.

    What takes long the page begins itself, so that looking at an address starts nothing.
    """
    given = given_in(request)
    if not given:
        return Asked(kind)
    try:
        question = api.asked(request, kind)
        if kind in work.LONG and jobs.kept(request.app.state.desk, kind, question) is None:
            return Asked(kind, given, pending=True)
        return await begun(request, kind, question, given)
    except ChipwiseError as error:
        return Asked(kind, given, error=str(error), code=site.status(error))


async def begun(
    request: Request,
    kind: str,
    question: Mapping[str, Any],
    given: dict[str, list[str]] | None = None,
) -> Asked:
    """A question's answer if it is there before a visitor tires; else the job that makes it."""
    found = await jobs.soon(request.app.state.desk, kind, question)
    if isinstance(found, jobs.Job):
        return Asked(kind, given or {}, pending=True, job=found.id)
    return Asked(kind, given or {}, json.loads(found))


def _shown(request: Request, asked: Asked) -> Response:
    """A page with a form; where it was asked, the answer's tables and figures."""
    lang, found = site.language(request), asked.answer
    return site.show(
        request,
        "ask.html",
        asked.code,
        asked=asked,
        form=FORMS[asked.kind],
        document=KINDS[asked.kind].document(found, lang) if found else [],
        charts=figures.charts(asked.kind, found, lang) if found else [],
        reported=asked.kind in report.REPORTED,
        chips=catalog.chip_name_index(),
        models=catalog.model_ids(),
    )


async def plan(request: Request) -> Response:
    """The best deployment of a model on each of some chips."""
    return _shown(request, await ask(request, "plan"))


async def compare(request: Request) -> Response:
    """Two or more deployments side by side."""
    return _shown(request, await ask(request, "compare"))


async def simulate(request: Request) -> Response:
    """Requests through a scheduler: begun in the background unless its answer is there."""
    return _shown(request, await ask(request, "simulate"))


async def train(request: Request) -> Response:
    """A training: its layout, where the time goes, what fills the memory."""
    return _shown(request, await ask(request, "train"))


async def fleet(request: Request) -> Response:
    """The example fleet over years and what a cut-off costs: begun in the background."""
    return _shown(request, await ask(request, "fleet"))


async def catalog_list(request: Request) -> Response:
    """All entries of one kind of the catalog."""
    kind, lang = request.path_params["kind"], site.language(request)
    if kind not in api.CATALOG:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    found = await run_in_threadpool(questions.entries, kind)
    return site.show(
        request,
        "catalog.html",
        kind=kind,
        kinds=api.CATALOG,
        key=None,
        document=KINDS[kind].document(found, lang),
    )


async def catalog_entry(request: Request) -> Response:
    """One entry of the catalog, every value with its source."""
    kind, key = request.path_params["kind"], request.path_params["key"]
    if kind not in api.CATALOG:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    found = await run_in_threadpool(api.known, kind, key)
    return site.show(
        request,
        "catalog.html",
        kind=kind,
        kinds=api.CATALOG,
        key=found["id"],
        document=KINDS[f"{kind}_id"].document(found, site.language(request)),
    )


async def studies(request: Request) -> Response:
    """Answers that were saved; of two that are chosen, what differs."""
    names, lang = request.query_params.getlist("name"), site.language(request)
    if len(names) not in (0, 2):
        raise BadInput(f"{len(names)} studies are chosen; choose two to compare")
    every = await run_in_threadpool(kept.listed)
    document: list[Any] = []
    if names:
        first, second = [await run_in_threadpool(kept.show, name) for name in names]
        found = {**answers.envelope(first.calibration), **kept.compared(first, second)}
        document = KINDS["studies_compared"].document(found, lang)
    entries = [kept.entry(each) for each in every]
    return site.show(request, "studies.html", entries=entries, names=names, document=document)


async def study(request: Request) -> Response:
    """An answer that was saved, as it was given."""
    found = await run_in_threadpool(kept.show, request.path_params["name"])
    lang = site.language(request)
    return site.show(
        request,
        "study.html",
        entry=kept.entry(found),
        document=KINDS[found.kind].document(found.answer, lang),
        charts=figures.charts(found.kind, found.answer, lang),
    )
