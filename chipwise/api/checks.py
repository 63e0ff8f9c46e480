"""What every question is checked for at the door."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from chipwise.errors import BadInput
from chipwise.perf.formats import KV_WIDTH
from chipwise.types import Numeric

__all__ = ["known_format", "kv_format", "lengths", "positive", "whole"]

_LONGEST = 10_000_000


def lengths(isl: float, osl: float) -> None:
    """Refuse lengths that are no whole numbers of tokens."""
    for name, value in (("isl", isl), ("osl", osl)):
        if not 1 <= value <= _LONGEST or value != int(value):
            raise BadInput(
                f"{name} is {value:g}; it must be a whole number of 1 to {_LONGEST:,} tokens"
            )


def known_format(name: str, value: str | None, known: Iterable[str]) -> None:
    """Refuse a number format that is given and not known."""
    if value is not None and value not in known:
        raise BadInput(f"unknown {name} format {value!r}; known are {', '.join(known)}")


def positive(**values: float | None) -> None:
    """Refuse a value that is given and not above zero."""
    for name, value in values.items():
        if value is not None and not 0 < value < np.inf:
            raise BadInput(f"{name} is {value:g}; it must be a positive number")


def whole(**values: Numeric) -> None:
    """Refuse a count that is not whole, or below one."""
    for name, value in values.items():
        if not value >= 1 or value != int(value):
            raise BadInput(f"{name} is {value:g}; it must be a whole number of at least 1")


def kv_format(kv: str) -> str:
    """Format of the cache: the engine's own ``auto`` keeps the activations', bf16."""
    if kv == "auto":
        return "bf16"
    known_format("kv", kv, KV_WIDTH)
    return kv
