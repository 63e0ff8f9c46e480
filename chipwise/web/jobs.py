"""Questions in hand: started, shared by those who ask the same, stopped, kept for a while."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from threading import Event
from time import monotonic
from typing import Any

from starlette.exceptions import HTTPException

from chipwise.errors import BadInput, ChipwiseError, Infeasible
from chipwise.web import work

__all__ = ["Desk", "Job", "answer", "cancel", "close", "desk", "kept", "soon", "start"]

_SECONDS = {"short": 60.0, "long": 600.0}  # that a question may take, waiting not counted [s]
_WAITING = 100  # questions that may wait
_PATIENCE = 0.8  # that a visitor looks at nothing [s]
_KEPT = 200  # answers and finished jobs that are kept
_CANCELLED = "the question was cancelled"
_CONTEXT = get_context("forkserver")


@dataclass(frozen=True, slots=True)
class Job:
    """A question in hand.

    `at` tells its state (waiting, running, done, failed, cancelled), steps done and in all, and
    the error, if any; `stopped` is set when it is cancelled; `child` its process, if any.
    """

    id: str
    kind: str
    given: Mapping[str, Any]
    at: dict[str, Any] = field(default_factory=lambda: {"state": "waiting", "done": 0, "total": 0})
    stopped: Event = field(default_factory=Event)
    child: list[ForkServerProcess] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the server keeps: lines of work, answers by question, jobs by id and by question."""

    lines: Mapping[str, ThreadPoolExecutor]
    answers: OrderedDict[str, str] = field(default_factory=OrderedDict)
    jobs: OrderedDict[str, Job] = field(default_factory=OrderedDict)
    running: dict[str, tuple[Job, asyncio.Future[str]]] = field(default_factory=dict)


def desk() -> Desk:
    """An empty desk; the process from which others are forked begins to load."""
    from multiprocessing import forkserver  # noqa: PLC0415 -- starts nothing before it is asked

    # The main module too, else every process would import the command line again.
    _CONTEXT.set_forkserver_preload(["__main__", "chipwise.web.work", "chipwise.web.warm"])
    forkserver.ensure_running()
    places = os.cpu_count() or 1
    return Desk(
        {
            "short": ThreadPoolExecutor(max(2, places)),
            "long": ThreadPoolExecutor(max(1, places // 2)),
        }
    )


def close(at: Desk) -> None:
    """Stop everything that is in hand."""
    for job, _ in list(at.running.values()):
        cancel(job)
    for line in at.lines.values():
        line.shutdown(wait=True, cancel_futures=True)


def _line(kind: str) -> str:
    return "long" if kind in work.LONG else "short"


def _key(kind: str, given: Mapping[str, Any]) -> str:
    return json.dumps([kind, given], sort_keys=True, default=str)


def kept(at: Desk, kind: str, given: Mapping[str, Any]) -> str | None:
    """The answer of a question that was asked before, as JSON; None where it is not kept."""
    key = _key(kind, given)
    if key in at.answers:
        at.answers.move_to_end(key)
    return at.answers.get(key)


def start(at: Desk, kind: str, given: Mapping[str, Any]) -> tuple[Job, asyncio.Future[str]]:
    """Begin to answer; who asks what is in hand already shares it.

    Raises
    ------
    HTTPException
        If too many questions wait.
    """
    key = _key(kind, given)
    if key in at.running:
        return at.running[key]
    if len(at.running) >= _WAITING:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"retry-after": "10"})
    job = Job(secrets.token_urlsafe(9), kind, given)
    line = _line(kind)
    future = asyncio.get_running_loop().run_in_executor(at.lines[line], _run, job, _SECONDS[line])
    at.jobs[job.id] = job
    at.running[key] = job, future
    future.add_done_callback(lambda done: _finished(at, key, job, done))
    return job, future


def _finished(at: Desk, key: str, job: Job, done: asyncio.Future[str]) -> None:
    """Keep the answer; say how it ended."""
    at.running.pop(key, None)
    error = None if done.cancelled() else done.exception()
    if done.cancelled() or job.stopped.is_set():
        job.at["state"] = "cancelled"
    elif error is not None:
        job.at["state"] = "failed"
        if isinstance(error, ChipwiseError):
            job.at["error"] = str(error)
    else:
        job.at["state"] = "done"
        at.answers[key] = done.result()
    for store in (at.answers, at.jobs):
        while len(store) > _KEPT:
            store.popitem(last=False)


async def answer(at: Desk, kind: str, given: Mapping[str, Any]) -> str:
    """The answer of a question, as JSON.

    Raises
    ------
    ChipwiseError
        If it has none.
    HTTPException, RuntimeError
        If too many questions wait; if the program is at fault.
    """
    found = kept(at, kind, given)
    if found is not None:
        return found
    _, future = start(at, kind, given)
    # Others may wait for the same; that one of them goes does not end it.
    return await asyncio.shield(future)


async def soon(at: Desk, kind: str, given: Mapping[str, Any]) -> str | Job:
    """The answer, as JSON, if it is there before a visitor tires; else the job that makes it.

    A server that has just begun may have to compile first, which takes long.

    Raises
    ------
    ChipwiseError, HTTPException, RuntimeError
        As `answer` does.
    """
    found = kept(at, kind, given)
    if found is not None:
        return found
    job, future = start(at, kind, given)
    try:
        return await asyncio.wait_for(asyncio.shield(future), _PATIENCE)
    except TimeoutError:
        return job


def cancel(job: Job) -> None:
    """Stop a job; its process ends at once."""
    job.stopped.set()
    if job.at["state"] in ("waiting", "running"):
        job.at["state"] = "cancelled"
    for child in list(job.child):
        child.kill()


def _run(job: Job, limit: float) -> str:
    """Answer in a process of its own, and wait for it."""
    here, there = _CONTEXT.Pipe(duplex=False)
    child = _CONTEXT.Process(target=work.main, args=(job.kind, job.given, there), daemon=True)
    child.start()
    there.close()
    job.child.append(child)
    try:
        if job.stopped.is_set():
            raise Infeasible(_CANCELLED)
        job.at["state"] = "running"
        end = monotonic() + limit
        while here.poll(max(end - monotonic(), 0.0)):
            match here.recv():
                case ("at", done, total):
                    job.at.update(done=done, total=total)
                case ("answer", text):
                    return str(text)
                case ("refused", code, message):
                    raise _refusal(code, message)
                case ("failed", trace):
                    raise RuntimeError(trace)
        raise Infeasible(f"the question takes longer than {limit:g} s; ask for less")
    except EOFError:
        if job.stopped.is_set():
            raise Infeasible(_CANCELLED) from None
        raise RuntimeError("the process that answered has ended") from None
    finally:
        job.child.clear()
        child.kill()
        child.join()
        child.close()
        here.close()


def _refusal(code: int, message: str) -> ChipwiseError:
    return BadInput(message) if code == BadInput.exit_code else Infeasible(message)
