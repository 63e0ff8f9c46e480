"""The application with its routes, and the server that runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from chipwise.errors import BadInput, ChipwiseError
from chipwise.web import api, home, jobs, law, pages, site
from chipwise.web.safety import LOOPBACK, guarded

__all__ = ["application", "serve"]

_TOKEN = 16  # letters that a token has at least
_CONNECTIONS = 400
_IDLE = 15  # seconds that an idle connection is kept

ROUTES = (
    Route("/", home.home, name="home"),
    Route("/plan", pages.plan),
    Route("/compare", pages.compare),
    Route("/simulate", pages.simulate),
    Route("/train", pages.train),
    Route("/fleet", pages.fleet),
    Route("/policy", law.policy),
    Route("/claims", law.claims),
    Route("/catalog/{kind}", pages.catalog_list),
    Route("/catalog/{kind}/{key:path}", pages.catalog_entry),
    Route("/studies", pages.studies),
    Route("/studies/{name}", pages.study),
    Route("/api/{kind}", api.question),
    Route("/api/{kind}/{key:path}", api.entry),
    Route("/jobs", api.begin, methods=["POST"]),
    Route("/jobs/{id}", api.progress),
    Route("/jobs/{id}", api.stop, methods=["DELETE"]),
    Route("/static/{name:path}", site.static),
)


def application(*, token: str | None = None, hosts: Collection[str] | None = LOOPBACK) -> ASGIApp:
    """The application.

    Parameters
    ----------
    token : str, optional
        That a caller must know.
    hosts : collection of str or None
        Names by which it may be called; None allows any.
    """

    @asynccontextmanager
    async def open_desk(app: Starlette) -> AsyncIterator[None]:
        app.state.desk = jobs.desk()
        try:
            yield
        finally:
            jobs.close(app.state.desk)

    made = Starlette(
        routes=list(ROUTES),
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={
            ChipwiseError: site.refused,
            HTTPException: site.missing,
            Exception: site.failed,
        },
        lifespan=open_desk,
    )
    return guarded(made, token=token, hosts=hosts)


def serve(host: str, port: int, token: str | None) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    host, port : str, int
        Where to listen.
    token : str or None
        That a caller must know; needed anywhere but on loopback.

    Raises
    ------
    BadInput
        If a token is missing or too short, or the port cannot be had.
    """
    import uvicorn  # noqa: PLC0415 -- needed to serve alone

    local = host in LOOPBACK
    if token is None and not local:
        raise BadInput(f"host {host} can be reached from elsewhere; give a --token as well")
    if token is not None and len(token) < _TOKEN:
        raise BadInput(f"the token has {len(token)} letters; it must have at least {_TOKEN}")
    # Each question has a process of its own; none needs threads for its algebra.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    config = uvicorn.Config(
        application(token=token, hosts=LOOPBACK if local and token is None else None),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=2,
        lifespan="on",
    )
    try:
        socket = config.bind_socket()
    except SystemExit:
        raise BadInput(f"{host}:{port} cannot be listened on; is another server there?") from None
    with socket:
        # From here on callers are queued, until the server takes them in.
        socket.listen(config.backlog)
        where = f"[{host}]" if ":" in host else host
        sys.stderr.write(f"chipwise: http://{where}:{socket.getsockname()[1]}/\n")
        uvicorn.Server(config).run(sockets=[socket])
