"""How the measured benchmarks were run: protocols.toml → the flags of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

from chipwise.catalog.files import DATA, read_toml
from chipwise.errors import BadFact
from chipwise.types import Protocol

__all__ = ["protocol"]

_FLAGS = frozenset(
    {"chunk", "chunk_least", "kv", "poll", "wait", "most", "utilisation", "low", "jitter", "steady"}
)
_EQUAL = ("backend", "isl", "osl", "series")
_AMONG = ("family", "generation", "weights", "tp", "dp", "chip")
_OTHER = ("concurrency_min", "from", "until", "isl_multiple", "source")


@lru_cache(maxsize=1)
def _table() -> tuple[Mapping[str, Any], ...]:
    file = DATA / "protocols.toml"
    whole = read_toml(file)
    known = _FLAGS | {*_EQUAL, *_AMONG, *_OTHER}
    for number, entry in enumerate(whole["protocol"], 1):
        odd = set(entry) - known
        if odd:
            raise BadFact(file.name, f"protocol {number}", f"unknown key {min(odd)!r}")
    return (whole, *whole["protocol"])


def _applies(entry: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    if any(name in entry and entry[name] != run[name] for name in _EQUAL):
        return False
    if any(name in entry and run[name] not in entry[name] for name in _AMONG):
        return False
    if run["concurrency"] < entry.get("concurrency_min", 0):
        return False
    if "isl_multiple" in entry and run["isl"] % entry["isl_multiple"]:
        return False
    when: date | None = run["on"]
    if "from" in entry and (when is None or when < entry["from"]):
        return False
    return "until" not in entry or (when is not None and when < entry["until"])


def _count(value: int | str, run: Mapping[str, Any]) -> int:
    """A number, or one of the three that scripts compute from the load."""
    named = {
        "2*isl": 2 * run["isl"],
        "concurrency": run["concurrency"],
        "concurrency+isl+64": run["concurrency"] + run["isl"] + 64,
    }
    return int(named[value] if isinstance(value, str) else value)


def protocol(run: Mapping[str, Any]) -> Protocol:
    """Flags of a run.

    Parameters
    ----------
    run : mapping
        family, backend, chip, generation, weights, tp, dp, isl, osl, concurrency, on (date or
        None).

    Returns
    -------
    Protocol
        What the scripts set; engine's defaults where no entry applies.
    """
    whole, *entries = _table()
    usual = {1024, 8192}
    named = run["family"] in whole["families"] or run["on"] is not None
    series = "infinex" if {run["isl"], run["osl"]} <= usual and named else "other"
    flags: dict[str, Any] = {}
    for entry in entries:
        if _applies(entry, {**run, "series": series}):
            flags |= {name: entry[name] for name in _FLAGS & entry.keys()}
    least = flags.pop("chunk_least", 0)
    for name in ("chunk", "most"):
        if name in flags:
            flags[name] = _count(flags[name], run)
    if "chunk" in flags:
        flags["chunk"] = max(flags["chunk"], least)
    jitter = flags.pop("jitter", 0.0)
    found = Protocol(**flags)
    return replace(found, low=1.0 - jitter, high=1.0 + jitter) if jitter else found
