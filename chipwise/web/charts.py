"""Answers → what a chart draws, and the sentence to read under it, computed from its numbers.

A chart is a plain dictionary: ``draw`` names its function in ``static/charts.js``; ``reading`` is
the sentence; the rest is what the function needs, words included. Numbers are in the units shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables import number, short
from chipwise.units import from_base
from chipwise.words import say

__all__ = ["Chart", "memory", "pareto"]

Chart = dict[str, Any]
Answer = Mapping[str, Any]
_PARTS = ("weights", "kv", "activations", "buffers", "reserve")


def _scaled(found: Mapping[str, float], unit: str = "") -> list[float]:
    """Value, low, high in a unit."""
    return [from_base(found[key], unit) for key in ("value", "low", "high")]


def pareto(found: Answer, lang: str) -> Chart | None:
    """Cost against time per token of each chip's best, with intervals; the front drawn through.

    None where no deployment has a cost.
    """
    word = partial(say, lang)
    points = [
        {
            "name": short(row["chip"]),
            "text": row["deployment"]["text"],
            "x": _scaled(row["tpot_s"], "ms"),
            "y": _scaled(row["usd_per_million_output_tokens"]),
            "front": any(
                each["chip"] == row["chip"] and each["deployment"] == row["deployment"]
                for each in found["pareto"]
            ),
        }
        for row in found["chips"]
        if row["feasible"] and row["usd_per_million_output_tokens"] and row["tpot_s"]
    ]
    if not points:
        return None
    cheap = min(points, key=lambda p: p["y"][0])
    quick = min(points, key=lambda p: p["x"][0])
    return {
        "draw": "pareto",
        "title": word("chart.pareto"),
        "reading": word(
            "chart.pareto_reading",
            cheap=cheap["name"],
            usd=number(cheap["y"][0]),
            quick=quick["name"],
            tpot=number(quick["x"][0]),
        ),
        "x": word("chart.tpot"),
        "y": word("chart.usd"),
        "words": {"front": word("chart.front"), "interval": word("heading.interval")},
        "points": points,
    }


def memory(found: Answer, lang: str) -> Chart | None:
    """What fills the memory of each chip, beside what it has; None where nothing is feasible."""
    rows = [row for row in found["chips"] if row["feasible"]]
    if not rows:
        return None
    return memory_bar([(short(row["chip"]), row["memory_bytes"]) for row in rows], _PARTS, lang)


def memory_bar(
    rows: Sequence[tuple[str, Mapping[str, float]]], parts: Sequence[str], lang: str
) -> Chart:
    """A bar of the memory's parts for each row; the reading tells the fullest."""
    word = partial(say, lang)
    name, fullest = max(rows, key=lambda row: row[1]["total"] / row[1]["capacity"])
    largest = max(parts, key=lambda part: fullest[part])
    return {
        "draw": "memory",
        "title": word("chart.memory"),
        "reading": word(
            "chart.memory_reading",
            chip=name,
            share=number(100 * fullest["total"] / fullest["capacity"]),
            part=word(f"quantity.memory_{largest}").strip(),
            gb=number(from_base(fullest[largest], "GB")),
        ),
        "x": "GB",
        "rows": [label for label, _ in rows],
        "parts": [
            {
                "name": word(f"quantity.memory_{part}").strip(),
                "values": [from_base(held[part], "GB") for _, held in rows],
            }
            for part in parts
        ],
        "capacity": [from_base(held["capacity"], "GB") for _, held in rows],
        "words": {"capacity": word("chart.capacity")},
    }
