"""The site: its routes, how a page is drawn, what is told when something is wrong."""

from __future__ import annotations

import gzip
import hashlib
import secrets
import sys
import traceback
from collections.abc import Mapping
from functools import lru_cache, partial
from http import HTTPStatus
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from chipwise import catalog
from chipwise.errors import BadInput, ChipwiseError
from chipwise.report import templates
from chipwise.tables import short
from chipwise.words import LANGUAGES, say, told

__all__ = ["NAV", "failed", "href", "language", "missing", "refused", "show", "static", "status"]

# What stands in the bar at the top: the key of its word, its path.
NAV = (
    ("plan", "/plan"),
    ("compare", "/compare"),
    ("simulate", "/simulate"),
    ("train", "/train"),
    ("fleet", "/fleet"),
    ("policy", "/policy"),
    ("claims", "/claims"),
    ("catalog", "/catalog/chips"),
    ("studies", "/studies"),
)
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
_YEAR = 31_536_000  # [s]


# -- pages ---------------------------------------------------------------------------------------


def language(request: Request) -> str:
    """The language asked for by ``?lang=``, else the browser's, else English."""
    asked = request.query_params.get("lang", "")
    if asked in LANGUAGES:
        return asked
    return "zh" if request.headers.get("accept-language", "").startswith("zh") else "en"


def show(
    request: Request, template: str, code: int = HTTPStatus.OK, **context: Any
) -> HTMLResponse:
    """A page drawn from its template.

    Parameters
    ----------
    request : Request
        What was asked.
    template : str
        File of ``chipwise/pages/templates``.
    code : int
        Of HTTP.
    **context
        What the template shows.
    """
    lang = language(request)
    drawn = (
        _templates()
        .get_template(template)
        .render(
            context,
            code=int(code),
            request=request,
            path=request.url.path,
            query=request.url.query,
            lang=lang,
            other=next(each for each in LANGUAGES if each != lang),
            word=partial(say, lang),
            told=partial(told, lang),
        )
    )
    return HTMLResponse(drawn, code, {"content-language": lang, "vary": "accept-language"})


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = templates("pages/templates")
    made.filters["chip_id"] = _chip_id
    made.globals |= {
        "nav": NAV,
        "href": _href,
        "asset": _asset,
        "linked": pass_context(lambda context, text: _linked(context["lang"], text)),
        "as_of": catalog.as_of().isoformat(),
    }
    return made


def _chip_id(name: str) -> str:
    """Id of a chip by any of its names; a name that is unknown stays as it is."""
    try:
        return catalog.known_chip(name).id
    except BadInput:
        return name


def href(path: str, lang: str, **query: Any) -> str:
    """Address of a page in a language."""
    asked = [(k, v) for k, v in {**query, "lang": lang}.items() if v not in (None, "")]
    return f"{quote(path)}?{urlencode(asked, doseq=True)}"


@pass_context
def _href(context: Context, path: str, **query: Any) -> str:
    """The same from within a template; the page's language unless another is given."""
    return href(path, query.pop("lang", context["lang"]), **query)


@lru_cache(maxsize=1)
def _addresses() -> Mapping[str, str]:
    """Pages of the catalog by what its tables write: ids and short names."""
    found = {key: f"/catalog/sources/{key}" for key in catalog.sources()}
    found |= {rule.id: f"/catalog/rules/{rule.id}" for rule in catalog.rules()}
    found |= {key: f"/catalog/models/{key}" for key in catalog.model_ids()}
    for key in catalog.chip_ids():
        found |= dict.fromkeys((key, short(key)), f"/catalog/chips/{key}")
    return found


def _linked(lang: str, text: str) -> str | None:
    """Where the name in a cell leads, if it is one of the catalog."""
    path = _addresses().get(text)
    return None if path is None else href(path, lang)


# -- files ---------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _files() -> Mapping[str, tuple[bytes, bytes, str]]:
    """Style and scripts by name: as they are, compressed, and a mark that changes with them."""
    root = resources.files("chipwise").joinpath("pages/static")
    found = {}
    for folder, prefix in ((root, ""), (root.joinpath("vendor"), "vendor/")):
        for file in folder.iterdir():
            if file.is_file():
                content = file.read_bytes()
                mark = hashlib.sha256(content).hexdigest()[:12]
                packed = gzip.compress(content, 9, mtime=0)
                found[f"{prefix}{file.name}"] = content, packed, mark
    return found


def _asset(name: str) -> str:
    return f"/static/{name}?v={_files()[name][2]}"


async def static(request: Request) -> Response:
    """A style or script; its address changes with its content, so it is kept for good."""
    name = request.path_params["name"]
    if name not in _files():
        raise HTTPException(HTTPStatus.NOT_FOUND)
    content, packed, mark = _files()[name]
    headers = {"etag": f'"{mark}"', "vary": "accept-encoding"}
    if request.query_params.get("v") == mark:
        headers["cache-control"] = f"public, max-age={_YEAR}, immutable"
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = packed, "gzip"
    kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return Response(content, headers=headers, media_type=kind)


# -- what is wrong -------------------------------------------------------------------------------


def status(error: ChipwiseError) -> int:
    """Of HTTP: 400 for what cannot be used, 422 for a question without a solution."""
    bad = isinstance(error, BadInput)
    return HTTPStatus.BAD_REQUEST if bad else HTTPStatus.UNPROCESSABLE_ENTITY


def refused(request: Request, error: Exception) -> Response:
    """What is told of a wrong question that no form shows."""
    assert isinstance(error, ChipwiseError)
    return _wrong(request, status(error), str(error))


def missing(request: Request, error: Exception) -> Response:
    """What is told of what HTTP itself refuses: no such page, too busy."""
    assert isinstance(error, HTTPException)
    answer = _wrong(request, error.status_code, HTTPStatus(error.status_code).phrase)
    answer.headers.update(error.headers or {})
    return answer


def failed(request: Request, error: Exception) -> Response:
    """What is told of a fault of the program: an id, with which the console tells more."""
    mark = secrets.token_hex(4)
    trace = "".join(traceback.format_exception(error))
    sys.stderr.write(f"chipwise web: error {mark} at {request.url.path}\n{trace}")
    return _wrong(request, HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error", mark)


def _wrong(request: Request, code: int, message: str, mark: str | None = None) -> Response:
    """A page that tells what is wrong, with an id; or the same for the API."""
    mark = mark or secrets.token_hex(4)
    if request.url.path.startswith(("/api/", "/jobs")):
        return JSONResponse({"error": message, "id": mark}, code)
    return show(request, "error.html", code, message=message, mark=mark)
