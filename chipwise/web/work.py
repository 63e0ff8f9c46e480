"""Questions that a page may ask, and the process that answers one of them.

Each is answered in a process of its own, so that it can be stopped at any time, leaves nothing
behind, and takes nothing from the others. It says how far it is, and at the end the answer as
JSON; it writes no file.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any

from chipwise import answers, catalog, questions
from chipwise.errors import BadInput, ChipwiseError
from chipwise.tables.written import as_json
from chipwise.web.forms import SIDES

__all__ = ["LONG", "WORK", "Tell", "main"]

# (how many steps are done, of how many)
Tell = Callable[[int, int], None]
Given = Mapping[str, Any]


def _objects(given: Given) -> dict[str, Any]:
    """A question with the catalog's own chips and models, so that no name is tried as a path."""
    found = dict(given)
    if "model" in found:
        found["model"] = catalog.known_model(found["model"])
    if "chip" in found:
        found["chip"] = catalog.known_chip(found["chip"])
    if isinstance(found.get("chips"), tuple):
        found["chips"] = [catalog.known_chip(name) for name in found["chips"]]
    return found


def _plan(given: Given, tell: Tell) -> Any:
    def counted(function: Callable[[Any], Any], items: Any) -> Iterator[Any]:
        every = list(items)
        for at, item in enumerate(every):
            tell(at, len(every))
            yield function(item)

    return questions.plan({**_objects(given), "roofline": True}, map=counted)


def _estimate(given: Given, _: Tell) -> Any:
    return questions.estimate({**_objects(given), "roofline": True})


def _compare(given: Given, tell: Tell) -> Any:
    """One load on several deployments; one that is not possible says why."""
    sides: list[dict[str, Any]] = []
    common = {k: v for k, v in given.items() if not k[-1].isdigit()}
    for at in range(1, SIDES + 1):
        own = {k[:-2]: v for k, v in given.items() if k.endswith(f"_{at}")}
        if not own:
            continue
        tell(len(sides), SIDES)
        if missing := next((k for k in ("model", "chip") if k not in own), None):
            raise BadInput(f"{missing}_{at} is missing")
        try:
            found = questions.estimate(_objects({**common, **own}))
        except ChipwiseError as error:
            sides.append({"feasible": False, "why": str(error), **own})
        else:
            sides.append({"feasible": True, "why": "", **found})
    return {**answers.envelope("general"), "sides": sides}


def _simulate(given: Given, tell: Tell) -> Any:
    """The simulation asked for with its timeline, then the same at other loads."""
    if ("rate" in given) == ("concurrency" in given):
        raise BadInput("give either a rate or a concurrency")
    asking = {**_objects(given), "moments": True, "loads": True}
    return questions.simulate(asking, tell=tell)[1]


def _train(given: Given, _: Tell) -> Any:
    asking = {**given, "model": catalog.known_model(given["model"])}
    return questions.train(asking)[1]


def _fleet(given: Given, _: Tell) -> Any:
    """The example that comes along, with one cut-off or none."""
    name, _, value = given.get("cut_off", "").partition("=")
    since = given.get("since", "2027-Q1")
    return questions.fleet({"cut_offs": ({name: value, "from": since},)} if name else {})


WORK: Mapping[str, Callable[[Given, Tell], Any]] = {
    "plan": _plan,
    "estimate": _estimate,
    "compare": _compare,
    "simulate": _simulate,
    "train": _train,
    "policy": lambda given, _: questions.policy(_objects(given)),
    "landscape": lambda given, _: questions.landscape(given),
    "fleet": _fleet,
    "claims": lambda given, _: questions.claims(given),
}
# Those that may take minutes: they wait in a line of their own.
LONG = frozenset({"simulate", "fleet"})


def main(kind: str, given: Given, pipe: Connection) -> None:
    """Answer one question into a pipe, and end.

    What is sent: ``("at", done, total)`` now and then; at last ``("answer", text)``,
    ``("refused", exit code, message)`` or ``("failed", traceback)``.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_server, daemon=True).start()
    try:
        answer = WORK[kind](given, lambda done, total: pipe.send(("at", done, total)))
        pipe.send(("answer", as_json(answer)))
    except ChipwiseError as error:
        pipe.send(("refused", error.exit_code, str(error)))
    except MemoryError:
        pipe.send(("refused", 1, "not enough memory for a question of this size"))
    except Exception:
        pipe.send(("failed", traceback.format_exc()))


def _end_with_server() -> None:
    """End at once when the server has gone, however it went."""
    server = parent_process()
    if server is not None:
        wait([server.sentinel])
        os._exit(1)
