"""What people call chips and models → the catalog's ids, by an index that is made from the files.

A name matches an id, an id without its vendor, an alias or a short name, whatever the case and the
punctuation; else the one id that begins with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from chipwise.catalog.files import DATA, read_json, read_toml
from chipwise.errors import BadInput, UnknownName

__all__ = ["Entry", "build_index", "chip_path", "index", "key", "model_path", "resolve"]


class Entry(TypedDict):
    """One line of the index."""

    id: str
    name: str
    vendor: str
    status: str
    aliases: list[str]


def key(name: str) -> str:
    """A name without case, blanks and punctuation; a point between digits stays.

    Examples
    --------
    >>> key("RTX-4090"), key("Llama 3.1 8B")
    ('rtx4090', 'llama3.1 8b'.replace(' ', ''))
    """
    kept = "".join(c for c in name.casefold() if c.isalnum() or c == ".")
    return kept.strip(".")


def chip_path(chip_id: str) -> Path:
    """File of a chip of the catalog."""
    return DATA / "chips" / f"{chip_id}.toml"


def model_path(model_id: str) -> Path:
    """File of a model of the catalog."""
    return DATA / "models" / f"{model_id}.toml"


@lru_cache(maxsize=1)
def index() -> Mapping[str, list[Entry]]:
    """The generated index: entries of ``chips`` and of ``models``."""
    found: Mapping[str, list[Entry]] = read_json(DATA / "index.json")
    return found


def _entry(content: Mapping[str, Any]) -> Entry:
    return {
        "id": content["id"],
        "name": content.get("name", content["id"]),
        "vendor": content.get("vendor", content["id"].partition("/")[0]),
        "status": content.get("status", "public"),
        "aliases": content.get("aliases", []),
    }


def build_index() -> dict[str, list[Entry]]:
    """The index as the files have it now; what is stored must equal it."""
    return {
        kind: [_entry(read_toml(path)) for path in sorted((DATA / kind).rglob("*.toml"))]
        for kind in ("chips", "models")
    }


def _short(name: str) -> str:
    """An id without its vendor, or without its organisation."""
    return name.partition("/")[2] if "/" in name else name.partition("-")[2]


@lru_cache(maxsize=2)
def _table(kind: str) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, str]]:
    """Ids by key of every name that stands for them, and names as written by key."""
    ids: dict[str, dict[str, None]] = {}
    written: dict[str, str] = {}
    # Earlier rounds win: an id is never hidden by another entry's alias.
    rounds = (
        lambda e: [e["id"]],
        lambda e: [_short(e["id"])],
        lambda e: e["aliases"],
    )
    for names in rounds:
        fresh: dict[str, dict[str, None]] = {}
        for entry in index()[kind]:
            for name in names(entry):
                if key(name) not in ids:
                    fresh.setdefault(key(name), {})[entry["id"]] = None
                    written.setdefault(key(name), name)
        ids.update(fresh)
    return {k: tuple(v) for k, v in ids.items()}, written


def _nearest(name: str, among: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name.lower(), sorted(set(among)), 3, 0.0)


def _begins(entry: Entry, name: str) -> bool:
    """Whether an id, or an id without its vendor, begins with whole words of `name`."""
    words = name.casefold().replace("_", "-").replace(" ", "-").strip("-")
    return any(
        i.casefold() == words or i.casefold().startswith(words + "-")
        for i in (entry["id"], _short(entry["id"]))
    )


def resolve(kind: str, name: str, spoken: str | None = None) -> str:
    """Id of the one entry that `name` stands for.

    Parameters
    ----------
    kind : str
        ``chips`` or ``models``.
    name : str
        As a person or a table writes it.
    spoken : str, optional
        The name to quote in a complaint.

    Raises
    ------
    UnknownName
        If nothing is called so; names the nearest three.
    BadInput
        If several are; names three of them.
    """
    ids, written = _table(kind)
    spoken = spoken or name
    found = ids.get(key(name), ())
    if not found and key(name):
        found = tuple(e["id"] for e in index()[kind] if _begins(e, name))
    if len(found) == 1:
        return found[0]
    singular = kind.removesuffix("s")
    if found:
        near = ", ".join(_nearest(name, found))
        raise BadInput(f"ambiguous {singular} {spoken!r}: it could be {near}; say which")
    raise UnknownName(singular, spoken, written.values())
