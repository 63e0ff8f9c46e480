"""What a chip that is not made could be made of, and which chips were cut down from which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from chipwise.catalog.facts import read_fact
from chipwise.catalog.files import DATA, read_toml
from chipwise.errors import UnknownName
from chipwise.types import Fact

__all__ = ["Stack", "beside", "ceilings", "companions", "cut_down", "like", "stack", "stacks"]

_PATH = DATA / "frontier.toml"
_content = lru_cache(maxsize=1)(lambda: read_toml(_PATH))


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack of memory: its rate and its size, as printed."""

    name: str
    rate: Fact
    size: Fact


@lru_cache(maxsize=1)
def stacks() -> Mapping[str, Stack]:
    """Kinds of memory by name."""
    return {
        name: Stack(
            name,
            read_fact(_PATH, f"memory.{name}", "number", "GB/s", entry["rate"]),
            read_fact(_PATH, f"memory.{name}", "number", "GB", entry["size"]),
        )
        for name, entry in _content()["memory"].items()
    }


def stack(name: str) -> Stack:
    """A kind of memory.

    Raises
    ------
    UnknownName
        If there is none of that name; names the nearest.
    """
    if name not in stacks():
        raise UnknownName("memory", name, stacks())
    return stacks()[name]


def cut_down() -> Mapping[str, str]:
    """Chips made for a rule → the one that each was cut down from."""
    found: Mapping[str, str] = _content()["cut_down"]
    return found


def beside() -> tuple[str, ...]:
    """Other chips that are shown beside those that are not made."""
    return tuple(_content()["beside"])


def like() -> str:
    """The chip that one which is not made is like, unless another is named."""
    return str(_content()["like"])


def ceilings() -> Mapping[str, float]:
    """Chips without published rates → the TPP that each cannot have reached. [TOPS × bit]"""
    raw = _content()["ceiling"]
    facts = {chip: read_fact(_PATH, chip, "number", "1", each) for chip, each in raw.items()}
    return {chip: float(fact.value) for chip, fact in facts.items()}  # type: ignore[arg-type]


def companions(rule: str) -> tuple[str, ...]:
    """Rules whose items a rule leaves out, since they are caught by those."""
    return tuple(_content()["together"].get(rule, ()))
