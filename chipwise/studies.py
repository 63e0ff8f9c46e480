"""Answers kept under a name: an embedded SQLite file in the user's data folder.

A study is what was asked, in the words of the command line, and what was answered. Commands and
pages save, list, show and delete through these functions; each opens the file, does one thing
and closes it, so that several programs may do so at once.

The folder is that of the platform: ``$XDG_DATA_HOME`` or ``~/.local/share`` on Linux,
``~/Library/Application Support`` on macOS, ``%LOCALAPPDATA%`` on Windows. The environment variable
``CHIPWISE_STUDIES`` names another file, ``CHIPWISE_HOME`` another folder.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from chipwise.catalog.folder import user_folder
from chipwise.errors import BadInput, UnknownName

__all__ = [
    "Study",
    "check_new",
    "compared",
    "delete",
    "entry",
    "file",
    "listed",
    "names",
    "save",
    "show",
]

_VARIABLE = "CHIPWISE_STUDIES"
_NAME = re.compile(r"\w[\w.-]{0,63}")
_PATIENCE = 30.0  # [s] that a writer waits for another one

_INTERVAL = {"value", "low", "high"}
_NAMING = (
    "chip",
    "id",
    "period",
    "scenario",
    "place",
    "demand",
    "site",
    "by",
    "limit",
    "of",
    "name",
)

# The columns of the table are the fields of `Study`, in order.
_TABLE = """
create table if not exists studies (
  name text primary key,
  kind text not null,
  arguments text not null,
  answer text not null,
  version text not null,
  catalog text not null,
  calibration text not null,
  day text not null
) strict
"""


@dataclass(frozen=True, slots=True)
class Study:
    """A question and its answer under a name.

    `kind` of the answer as in `docs/schema.json`; `arguments` of the command line that asks it
    again; `answer` as JSON holds it; `version` of the program, day of the `catalog`, id of the
    `calibration`, and the `day` on which it was saved.
    """

    name: str
    kind: str
    arguments: tuple[str, ...]
    answer: Any
    version: str
    catalog: str
    calibration: str
    day: date


def file() -> Path:
    """Where the studies of this user are kept."""
    named = os.environ.get(_VARIABLE)
    return Path(named) if named else user_folder() / "studies.sqlite3"


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """The file, made where it is missing; what is done within is done whole or not at all."""
    path = file()
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as kept:
            # The lock is taken before the first look, so that no two writers decide on the same.
            kept.execute("begin immediate")
            kept.execute(_TABLE)
            yield kept
            kept.execute("commit")


def _rows(query: str, *values: str) -> list[Any]:
    """What the file has; none where it is missing, and looking does not make it."""
    path = file()
    with _told(path):
        try:
            path.stat()
        except FileNotFoundError:
            return []
        reading = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(reading, timeout=_PATIENCE, uri=True)) as kept:
            return kept.execute(query, values).fetchall()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What is wrong with the file, in a sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise BadInput(f"{path}: studies cannot be opened: {error}") from None
    except sqlite3.DatabaseError as error:
        raise BadInput(
            f"{path}: no file of studies, or a damaged one ({error}); "
            f"move it away, or name another in {_VARIABLE}"
        ) from None
    except OSError as error:
        raise BadInput(f"{path}: studies cannot be opened: {error.strerror}") from None


def save(
    name: str,
    kind: str,
    arguments: Sequence[str],
    answer: Any,
    *,
    day: date,
) -> Study:
    """Keep an answer under a new name.

    Parameters
    ----------
    name : str
        Of up to 64 letters, digits, ``.``, ``_`` and ``-``.
    kind : str
        Of the answer, as in `docs/schema.json`.
    arguments : sequence of str
        Of the command line that asks for it again.
    answer : dict or list
        As JSON holds it.
    day : date
        On which it is saved.

    Raises
    ------
    BadInput
        If the name is taken or no name, or the file cannot be written.
    """
    made = Study(_checked(name), kind, tuple(arguments), answer, *_versions(answer), day)
    row = (
        made.name,
        made.kind,
        _text(made.arguments),
        _text(made.answer),
        made.version,
        made.catalog,
        made.calibration,
        made.day.isoformat(),
    )
    with _opened() as kept:
        _free(kept, name)
        kept.execute("insert into studies values (?, ?, ?, ?, ?, ?, ?, ?)", row)
    return made


def check_new(name: str) -> None:
    """Refuse, before the work, a name under which nothing could be saved after it."""
    with _opened() as kept:
        _free(kept, _checked(name))


def _free(kept: sqlite3.Connection, name: str) -> None:
    if kept.execute("select 1 from studies where name = ?", (name,)).fetchone():
        raise BadInput(
            f"a study is named {name!r} already; take another name, or delete that one first"
        )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name[:70]!r} cannot name a study; take up to 64 letters, digits, '.', '_' and '-', "
            "a letter or digit first"
        )
    return name


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _versions(answer: Any) -> tuple[str, str, str]:
    """What an answer carries: program, catalog, calibration; a list carries them in each entry."""
    of: Mapping[str, Any] = answer if isinstance(answer, Mapping) else next(iter(answer), {})
    keys = ("chipwise_version", "catalog_as_of", "calibration_id")
    version, catalog, calibration = (str(of.get(key, "")) for key in keys)
    return version, catalog, calibration


def listed() -> list[Study]:
    """Every study, the newest first."""
    rows = _rows("select * from studies order by day desc, rowid desc")
    return [_study(row) for row in rows]


def names() -> list[str]:
    """The name of every study."""
    return [name for (name,) in _rows("select name from studies order by name")]


def show(name: str) -> Study:
    """The study of a name.

    Raises
    ------
    UnknownName
        If there is none; with the nearest.
    """
    rows = _rows("select * from studies where name = ?", name)
    if not rows:
        raise UnknownName("study", name, names())
    return _study(rows[0])


def _study(row: Sequence[str]) -> Study:
    name, kind, arguments, answer, *versions, day = row
    try:
        asked, found, saved = json.loads(arguments), json.loads(answer), date.fromisoformat(day)
    except ValueError as error:
        raise BadInput(f"{file()}: study {name!r} is damaged: {error}") from None
    version, catalog, calibration = versions
    return Study(name, kind, tuple(asked), found, version, catalog, calibration, saved)


def delete(name: str) -> None:
    """Forget a study.

    Raises
    ------
    UnknownName
        If there is none; with the nearest.
    """
    with _opened() as kept:
        gone = kept.execute("delete from studies where name = ?", (name,)).rowcount
    if not gone:
        raise UnknownName("study", name, names())


def entry(of: Study) -> dict[str, Any]:
    """A study in the list of all, as JSON holds it: without its answer."""
    return {
        "name": of.name,
        "kind": of.kind,
        "command": shlex.join(("chipwise", *of.arguments)),
        "day": of.day.isoformat(),
        "chipwise_version": of.version,
        "catalog_as_of": of.catalog,
        "calibration_id": of.calibration,
    }


def compared(first: Study, second: Study) -> dict[str, Any]:
    """Two answers of one kind side by side, as JSON holds it.

    Returns
    -------
    dict
        ``first`` and ``second`` as `entry` tells them; ``same``, the count of fields that agree;
        ``fields``, those that do not, each with both values (None where an answer lacks it) and,
        for numbers, ``change`` (second over first, less one).

    Raises
    ------
    BadInput
        If they are answers of different kinds.
    """
    if first.kind != second.kind:
        raise BadInput(
            f"{first.name!r} is an answer of {first.kind}, {second.name!r} of {second.kind}; "
            "only two of a kind can be compared"
        )
    left, right = dict(_leaves(first.answer)), dict(_leaves(second.answer))
    fields = dict.fromkeys((*left, *right))
    differing = [k for k in fields if left.get(k) != right.get(k)]
    return {
        "kind": first.kind,
        "first": entry(first),
        "second": entry(second),
        "same": len(fields) - len(differing),
        "fields": [
            {
                "field": key,
                "first": left.get(key),
                "second": right.get(key),
                "change": _change(left.get(key), right.get(key)),
            }
            for key in differing
        ],
    }


def _leaves(answer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Plain values and intervals of an answer by path; entries of a list by what names them."""
    if isinstance(answer, Mapping) and set(answer) != _INTERVAL:
        for key, value in answer.items():
            yield from _leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(answer, list) and any(isinstance(each, (Mapping, list)) for each in answer):
        seen: dict[str, int] = {}
        for each in answer:
            name = _called(each)
            seen[name] = seen.get(name, 0) + 1
            mark = name if seen[name] == 1 else f"{name}#{seen[name]}"
            yield from _leaves(each, f"{path}[{mark}]")
    else:
        yield path, answer


def _called(each: Any) -> str:
    """What tells an entry of a list from the others: the values of the keys that name things."""
    if not isinstance(each, Mapping):
        return ""
    return " ".join(str(each[key]) for key in _NAMING if isinstance(each.get(key), str))


def _change(first: Any, second: Any) -> float | None:
    """Second over first, less one; None for what is no number."""
    a, b = (v["value"] if isinstance(v, Mapping) else v for v in (first, second))
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (a, b))
    return b / a - 1.0 if numbers and a else None
