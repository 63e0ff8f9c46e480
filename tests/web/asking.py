"""Asks the page in this process, without a socket or a client's library."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp, Message

HOST = (b"host", b"127.0.0.1")
Headers = Iterable[tuple[bytes, bytes]]


async def ask(
    app: ASGIApp,
    path: bytes,
    query: bytes = b"",
    *,
    method: str = "GET",
    headers: Headers = (HOST,),
    body: bytes = b"",
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of an answer."""
    told: list[Message] = []
    whole: Message = {"type": "http.request", "body": body, "more_body": False}

    async def receive() -> Message:
        return whole

    async def send(message: Message) -> None:
        told.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode(),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    content = b"".join(each.get("body", b"") for each in told[1:])
    kept = {name.decode(): value.decode("latin-1") for name, value in told[0]["headers"]}
    return told[0]["status"], kept, content


@contextmanager
def open_page(app: ASGIApp, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """The application between its start and its end."""
    said: asyncio.Queue[Message] = asyncio.Queue()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def send(message: Message) -> None:
        (begun if message["type"] == "lifespan.startup.complete" else ended).set()

    task = loop.create_task(app({"type": "lifespan", "state": {}}, said.get, send))  # type: ignore[arg-type]
    said.put_nowait({"type": "lifespan.startup"})
    loop.run_until_complete(begun.wait())
    try:
        yield
    finally:
        said.put_nowait({"type": "lifespan.shutdown"})
        loop.run_until_complete(ended.wait())
        loop.run_until_complete(task)


if __name__ == "__main__":
    from chipwise.web import application

    for asked in sys.argv[1:]:
        code, kept, content = asyncio.run(ask(application(), asked.encode()))
        sys.stdout.write(f"{code} {kept['content-type'].partition(';')[0]} {len(content)}\n")
