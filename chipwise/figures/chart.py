"""What a figure holds, and what its functions share.

A chart is a plain dictionary, as JSON could hold it: ``draw`` names the function that draws it, of
`chipwise.plot` for papers and of ``static/charts.js`` for pages; ``title`` and ``reading``, the
sentence under it, are words; the rest is what the function needs. Numbers are in the units shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chipwise.tables import short
from chipwise.units import from_base

__all__ = ["Answer", "Chart", "Figure", "deployed", "scaled"]

Chart = dict[str, Any]
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: the `kinds` of answers that it is made of, and what makes a chart of one.

    `make` gives None where an answer has nothing to show; `options` of the command line make its
    answer hold what the figure shows.
    """

    kinds: tuple[str, ...]
    make: Callable[[Answer, str], Chart | None]
    options: tuple[str, ...] = ()


def scaled(found: Mapping[str, float], unit: str = "") -> list[float]:
    """Value, low, high in a unit."""
    return [from_base(found[key], unit) for key in ("value", "low", "high")]


def deployed(row: Answer) -> str:
    """The chip of a deployment, or both where prefill and decode run apart."""
    made = row["deployment"]
    sides = [made[side]["chip"] for side in ("prefill", "decode") if made[side]]
    return " → ".join(dict.fromkeys(map(short, sides)))
