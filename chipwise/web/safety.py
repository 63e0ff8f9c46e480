"""What stands before every page: who may ask, how much, and what a browser may do with it."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from http import HTTPStatus
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOOPBACK", "guarded"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_COOKIE = "chipwise_token"
_QUERY = 8_192  # [byte]
_BODY = 65_536  # [byte]
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def guarded(app: ASGIApp, *, token: str | None, hosts: Collection[str] | None) -> ASGIApp:
    """An application behind its guard.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    token : str or None
        That a caller must know: in the header ``Authorization: Bearer``, or once in the query,
        from where it moves to a cookie.
    hosts : collection of str or None
        Names by which the server may be called, so that a foreign name that points to loopback
        reads nothing; None allows any.
    """

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        asked = _sealed(send)
        refusal = _refusal(scope, token, hosts)
        if refusal is not None:
            await refusal(scope, receive, asked)
        else:
            await app(scope, _bounded(receive), asked)

    return guard


def _refusal(scope: Scope, token: str | None, hosts: Collection[str] | None) -> Response | None:
    """Why a request is not let in, as a response."""
    headers = Headers(scope=scope)
    if hosts is not None and _host(headers.get("host", "")) not in hosts:
        return _plain(HTTPStatus.MISDIRECTED_REQUEST)
    if len(scope["query_string"]) > _QUERY:
        return _plain(HTTPStatus.REQUEST_URI_TOO_LONG)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > _BODY:
        return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    # A page of another origin may link here, but not act here.
    foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if scope["method"] not in ("GET", "HEAD") and foreign:
        return _plain(HTTPStatus.FORBIDDEN)
    return None if token is None else _stranger(scope, headers, token)


def _host(header: str) -> str:
    """The name in a Host header, without its port."""
    return header[1:].partition("]")[0] if header[:1] == "[" else header.partition(":")[0]


def _plain(status: HTTPStatus) -> Response:
    return PlainTextResponse(f"{status.value} {status.phrase}\n", status)


def _stranger(scope: Scope, headers: Headers, token: str) -> Response | None:
    """What someone gets who does not show the token; who shows it in the query gets a cookie."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    shown = next((value for name, value in pairs if name == "token"), "")
    if _same(shown, token) and scope["method"] == "GET":
        rest = urlencode([pair for pair in pairs if pair[0] != "token"])
        path = "/" + scope["path"].lstrip("/")
        answer = RedirectResponse(f"{path}?{rest}" if rest else path, HTTPStatus.SEE_OTHER)
        answer.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
        return answer
    cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    if _same(bearer, token) or (cookie is not None and _same(cookie.value, token)):
        return None
    return _plain(HTTPStatus.UNAUTHORIZED)


def _same(shown: str, token: str) -> bool:
    """Whether both are equal, in a time that does not tell how much of it is."""
    return hmac.compare_digest(shown.encode(), token.encode())


def _bounded(receive: Receive) -> Receive:
    """What is received, cut off where a body is longer than it may be."""
    got = 0

    async def bounded() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        return message if got <= _BODY else {"type": "http.disconnect"}

    return bounded


def _sealed(send: Send) -> Send:
    """What is sent, with the headers that say what a browser may do."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers.setdefault("cache-control", "no-cache")
        await send(message)

    return sealed
