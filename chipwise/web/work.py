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

from chipwise import catalog, questions
from chipwise.errors import ChipwiseError
from chipwise.tables.written import as_json

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

    return questions.plan(_objects(given), map=counted)


def _estimate(given: Given, _: Tell) -> Any:
    return questions.estimate(_objects(given))


WORK: Mapping[str, Callable[[Given, Tell], Any]] = {
    "plan": _plan,
    "estimate": _estimate,
}
# Those that may take minutes: they wait in a line of their own.
LONG = frozenset[str]()


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
