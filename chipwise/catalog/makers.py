"""origins.toml → who makes a chip's dies, memory, package and software, as facts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.catalog.facts import PROVENANCE
from chipwise.catalog.files import DATA, read_toml
from chipwise.errors import BadFact
from chipwise.types import Fact

__all__ = ["origins", "read_origins"]

STAGES = ("fab", "memory", "packaging", "software")
_REQUIRED = ("stage", "value", "country", "chips", "source", "provenance", "on")
_COUNTRIES = re.compile(r"[A-Z]{2}( \+ [A-Z]{2})*")


def _checked(path: Path, number: int, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """One statement, all of whose keys are there and right."""

    def bad(key: str, message: str) -> BadFact:
        return BadFact(f"{path}: [[origin]] {number}", key, message)

    for key in _REQUIRED:
        if key not in raw:
            raise bad(key, "is missing")
    if strange := sorted(set(raw) - {*_REQUIRED, "note"}):
        raise bad(strange[0], f"unknown key; known are {', '.join((*_REQUIRED, 'note'))}")
    for key in ("stage", "value", "country", "source", "provenance"):
        if not isinstance(raw[key], str) or not raw[key]:
            raise bad(key, f"text in quotes was expected, not {raw[key]!r}")
    if raw["stage"] not in STAGES:
        raise bad("stage", f"one of {', '.join(STAGES)} was expected, not {raw['stage']!r}")
    if raw["provenance"] not in PROVENANCE:
        raise bad("provenance", f"one of {', '.join(PROVENANCE)} was expected")
    if not _COUNTRIES.fullmatch(raw["country"]):
        raise bad("country", f"two letters, several joined by ' + ', not {raw['country']!r}")
    if not isinstance(raw["on"], date) or isinstance(raw["on"], datetime):
        raise bad("on", f"a date such as 2026-11-23 without quotes, not {raw['on']!r}")
    chips = raw["chips"]
    if not isinstance(chips, list) or not chips or not all(isinstance(c, str) for c in chips):
        raise bad("chips", f"a list of chips' ids was expected, not {chips!r}")
    return raw


def read_origins(path: Path) -> Mapping[str, Mapping[str, Fact]]:
    """Facts by chip and name: ``fab``, ``fab_country``, ``memory`` …, ``software_country``.

    Raises
    ------
    BadFact
        Says which file, statement and key, and what was expected.
    """
    found: dict[str, dict[str, Fact]] = {}
    for number, raw in enumerate(read_toml(path).get("origin", []), 1):
        said = _checked(path, number, raw)
        stage = said["stage"]
        rest = (said["source"], said["provenance"], said["on"], None, None, said.get("note", ""))
        for chip in said["chips"]:
            facts = found.setdefault(chip, {})
            if stage in facts:
                where = f"{path}: [[origin]] {number}"
                raise BadFact(where, "chips", f"the {stage} of {chip} is told twice")
            facts[stage] = Fact(said["value"], "", *rest)
            facts[f"{stage}_country"] = Fact(said["country"], "", *rest)
    return found


@lru_cache(maxsize=1)
def origins() -> Mapping[str, Mapping[str, Fact]]:
    """Who makes the parts of the catalog's chips; what is not told is unknown.

    Examples
    --------
    >>> origins()["huawei-ascend-910c"]["fab"].value
    'TSMC + SMIC'
    """
    return read_origins(DATA / "origins.toml")
