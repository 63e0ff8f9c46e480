"""Four decorators, one dictionary each: the places where a kind of thing is added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "BLOCKS",
    "EXPORTERS",
    "OPERATORS",
    "SCHEDULERS",
    "block",
    "exporter",
    "operator",
    "scheduler",
]

F = TypeVar("F", bound=Callable[..., Any])

OPERATORS: dict[str, Callable[..., Any]] = {}
BLOCKS: dict[str, Callable[..., Any]] = {}
SCHEDULERS: dict[str, Callable[..., Any]] = {}
EXPORTERS: dict[str, Callable[..., Any]] = {}


def _into(table: dict[str, Callable[..., Any]], name: str) -> Callable[[F], F]:
    def enter(function: F) -> F:
        assert name not in table, f"{name} is registered twice"
        table[name] = function
        return function

    return enter


def operator(name: str) -> Callable[[F], F]:
    """Enter a function shapes → Work under the operator class `name`."""
    return _into(OPERATORS, name)


def block(name: str) -> Callable[[F], F]:
    """Enter a function (dimensions, hidden) → Layer under the block kind `name`."""
    return _into(BLOCKS, name)


def scheduler(name: str) -> Callable[[F], F]:
    """Enter a scheduling policy of a serving engine under `name`."""
    return _into(SCHEDULERS, name)


def exporter(name: str) -> Callable[[F], F]:
    """Enter a function (job, comments) → files under the target `name`."""
    return _into(EXPORTERS, name)
