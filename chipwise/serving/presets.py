"""What an engine's scheduler does by default, by its version: flags of `serving.simulate`.

The newest versions were read closely; what older ones did differently is known from their release
notes alone, and is said to be `unverified`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from chipwise.errors import BadInput, UnknownName

__all__ = ["flags", "unverified"]

# The first version to which a row applies, and what it changed; rows add up from the oldest on.
_SINCE: dict[str, tuple[tuple[tuple[int, ...], dict[str, Any]], ...]] = {
    "vllm": (
        ((0, 8), {"scheduler": "vllm", "block_size": 16, "reserve": False, "reuse_last": False}),
        ((0, 12), {"reserve": True, "reuse_last": True}),
        ((0, 14), {"asynchronous": True}),
    ),
    "sglang": (((0, 4), {"scheduler": "sglang", "block_size": 1, "poll": 1.0}),),
    "trtllm": (((0, 17), {"scheduler": "trtllm", "block_size": 32, "policy": "no_evict"}),),
}

# From these on the flags were read in the engine itself.
_READ = {"vllm": (0, 33), "sglang": (0, 5), "trtllm": (1, 2)}


def flags(engine: str, version: str | None = None) -> Mapping[str, Any]:
    """Scheduler flags of an engine's version; the newest where none is said.

    Examples
    --------
    >>> flags("vllm", "0.9.1")["reserve"], flags("vllm")["asynchronous"]
    (False, True)
    """
    rows = _rows(engine)
    number = _number(engine, version)
    if number < rows[0][0]:
        oldest = ".".join(map(str, rows[0][0]))
        raise BadInput(f"{engine} {version} is older than {oldest}, the oldest that is simulated")
    found: dict[str, Any] = {}
    for since, changed in rows:
        if number >= since:
            found |= changed
    return MappingProxyType(found)


def unverified(engine: str, version: str | None = None) -> bool:
    """Whether the flags of that version rest on release notes alone."""
    _rows(engine)
    return _number(engine, version) < _READ[engine]


def _rows(engine: str) -> tuple[tuple[tuple[int, ...], dict[str, Any]], ...]:
    """Rows of an engine."""
    if engine not in _SINCE:
        raise UnknownName("engine", engine, _SINCE)
    return _SINCE[engine]


def _number(engine: str, version: str | None) -> tuple[int, ...]:
    """A version as numbers, as far as it has any."""
    if version is None:
        return (10**6,)
    parts = version.lstrip("v").split("+")[0].split(".")
    numbers = [int(p) for p in parts if p.isdigit()]
    if not numbers or not parts[0].isdigit():
        raise BadInput(f"{version!r} is no version of {engine}; write for example 0.12.1")
    return tuple(numbers)
