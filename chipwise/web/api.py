"""Answers for programs: JSON with the keys of the command line's, CSV; and jobs in hand."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chipwise import catalog, questions, report
from chipwise.errors import BadInput
from chipwise.tables.kinds import KINDS
from chipwise.tables.written import as_csv, as_json
from chipwise.web import jobs, site
from chipwise.web.forms import FORMS, read

__all__ = ["CATALOG", "asked", "begin", "entry", "known", "progress", "question", "stop"]

CATALOG = ("chips", "models", "prices", "rules", "sources")


def asked(request: Request, kind: str) -> dict[str, Any]:
    """The question in a URL."""
    pairs = [pair for pair in request.query_params.multi_items() if pair[0] != "lang"]
    return read(FORMS[kind], pairs)


def known(kind: str, key: str | None = None) -> Any:
    """Entries of the catalog, or one; of the catalog alone, never a file.

    Raises
    ------
    UnknownName
        If there is none; with the nearest.
    """
    return questions.entries(kind) if key is None else questions.entry(kind, _itself(kind, key))


def _itself(kind: str, key: str) -> Any:
    """A chip or model by any of its names, so that none is tried as a path; else the name."""
    if kind == "models":
        return catalog.known_model(key)
    offer = kind == "prices" and any(each["id"] == key for each in questions.entries(kind))
    return catalog.known_chip(key) if kind in ("chips", "prices") and not offer else key


async def question(request: Request) -> Response:
    """The answer of ``/api/plan?…``, ``/api/plan.csv?…``, or a list of the catalog."""
    kind, _, form = request.path_params["kind"].partition(".")
    if form not in ("", "json", "csv", "html"):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if kind in CATALOG:
        text = await run_in_threadpool(lambda: as_json(known(kind)))
    elif kind in FORMS:
        text = await jobs.answer(request.app.state.desk, kind, asked(request, kind))
    else:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if form == "html":
        return await run_in_threadpool(_reported, request, kind, text)
    return _sent(kind, text, form)


def _reported(request: Request, kind: str, text: str) -> Response:
    """An answer as one file that opens without the server."""
    if kind not in report.REPORTED:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    page = report.html(kind, json.loads(text), site.language(request))
    headers = {"content-disposition": f'attachment; filename="chipwise-{kind}.html"'}
    return Response(page, headers=headers, media_type="text/html; charset=utf-8")


async def entry(request: Request) -> Response:
    """The answer of ``/api/chips/h200``."""
    kind, key = request.path_params["kind"], request.path_params["key"]
    if kind not in CATALOG:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    text = await run_in_threadpool(lambda: as_json(known(kind, key)))
    return _sent(f"{kind}_id", text, "")


def _sent(kind: str, text: str, form: str) -> Response:
    """JSON as it is, or as the rows of its CSV; a form named in the URL is a file to keep."""
    headers = {"content-disposition": f'attachment; filename="chipwise-{kind}.{form}"'}
    if form == "csv":
        rows = KINDS[kind].rows(json.loads(text))
        return Response(as_csv(rows), headers=headers, media_type="text/csv; charset=utf-8")
    return Response(f"{text}\n", headers=headers if form else {}, media_type="application/json")


async def begin(request: Request) -> Response:
    """Begin a question in the background; where it can be asked after."""
    kind = request.query_params.get("kind", "")
    if kind not in FORMS:
        raise BadInput("kind is missing or unknown")
    pairs = [p for p in request.query_params.multi_items() if p[0] not in ("lang", "kind")]
    job, _ = jobs.start(request.app.state.desk, kind, read(FORMS[kind], pairs))
    return JSONResponse({"id": job.id, **job.at}, HTTPStatus.ACCEPTED)


async def progress(request: Request) -> Response:
    """How far a question is."""
    return JSONResponse({"id": request.path_params["id"], **_job(request).at})


async def stop(request: Request) -> Response:
    """Stop a question; its process ends at once."""
    jobs.cancel(_job(request))
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _job(request: Request) -> jobs.Job:
    found: jobs.Desk = request.app.state.desk
    job = found.jobs.get(request.path_params["id"])
    if job is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return job
