"""What people call chips and models → the catalog's ids, by an index that is made from the files.

A name matches an id, an id without its vendor, an alias or a short name, whatever the case and the
punctuation; else the one id that begins with it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from chipwise.catalog.files import DATA, read_json, read_toml
from chipwise.errors import BadInput, UnknownName

__all__ = [
    "Entry",
    "begins",
    "build_index",
    "chip_path",
    "exact",
    "index",
    "key",
    "model_path",
    "only",
]


class Entry(TypedDict):
    """One line of the index."""

    id: str
    name: str
    vendor: str
    status: str
    aliases: list[str]


# Names that are worth suggesting: short, in small letters.
_PLAIN = re.compile(r"[a-z0-9.-]{2,24}")


def key(name: str) -> str:
    """A name without case, blanks and punctuation; a point between digits stays.

    Examples
    --------
    >>> key("RTX-4090"), key("Llama 3.1 8B")
    ('rtx4090', 'llama3.18b')
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
def _table(kind: str) -> Mapping[str, tuple[str, ...]]:
    """Ids by key of every name that stands for them; an id is never hidden by an alias."""
    ids: dict[str, tuple[str, ...]] = {}
    rounds: tuple[Callable[[Entry], list[str]], ...] = (
        lambda entry: [entry["id"]],
        lambda entry: [_short(entry["id"])],
        lambda entry: entry["aliases"],
    )
    for names in rounds:
        fresh: dict[str, dict[str, None]] = {}
        for entry in index()[kind]:
            for name in names(entry):
                if key(name) not in ids:
                    fresh.setdefault(key(name), {})[entry["id"]] = None
        ids.update({name: tuple(found) for name, found in fresh.items()})
    return ids


def _nearest(name: str, among: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name.lower(), sorted(set(among)), 3, 0.0)


def _simple(kind: str) -> list[str]:
    """Names that a person would type, to choose the nearest from."""
    names = []
    for entry in index()[kind]:
        aliases = [a for a in entry["aliases"] if _PLAIN.fullmatch(a)]
        names += [_short(entry["id"]), *aliases]
    return names


def exact(kind: str, name: str) -> tuple[str, ...]:
    """Ids of the entries that are called `name`, whatever the case and the punctuation."""
    return _table(kind).get(key(name), ())


def begins(kind: str, name: str) -> tuple[str, ...]:
    """Ids of the entries with a name that begins with the whole words of `name`."""
    words = name.casefold().replace("_", "-").replace(" ", "-").strip("-")
    if not words:
        return ()
    return tuple(
        entry["id"]
        for entry in index()[kind]
        if any(
            spelt.casefold().replace(" ", "-").startswith(words + "-")
            for spelt in (entry["id"], _short(entry["id"]), *entry["aliases"])
        )
    )


def only(kind: str, name: str, found: tuple[str, ...]) -> str:
    """The one of the ids `found` under `name`.

    Raises
    ------
    UnknownName
        If there is none; names the nearest three.
    BadInput
        If there are several; names the nearest three of them.
    """
    if len(found) == 1:
        return found[0]
    singular = kind.removesuffix("s")
    if found:
        near = ", ".join(_nearest(name, found))
        raise BadInput(f"ambiguous {singular} {name!r}: it could be {near}; say which")
    raise UnknownName(singular, name, _simple(kind))
