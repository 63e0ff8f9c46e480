"""Figures of trainings."""

from __future__ import annotations

from functools import partial

from chipwise.figures.chart import Answer, Chart
from chipwise.figures.serving import memory_bars
from chipwise.tables import number
from chipwise.words import say

__all__ = ["memory", "step"]

_PARTS = ("weights", "gradients", "optimiser", "activations", "buffers")


def memory(found: Answer, lang: str) -> Chart:
    """What fills the memory of a chip that trains."""
    return memory_bars([found], _PARTS, lang)


def step(found: Answer, lang: str) -> Chart | None:
    """Where the time of a training step goes."""
    word = partial(say, lang)
    parts = {name: value for name, value in found["parts_s"].items() if value}
    if not parts:
        return None
    largest = max(parts, key=lambda each: parts[each])
    return {
        "draw": "bars",
        "title": word("chart.step"),
        "reading": word(
            "chart.step_reading",
            part=word(f"quantity.part_{largest}").strip(),
            seconds=number(parts[largest]),
            share=number(100 * parts[largest] / sum(parts.values())),
        ),
        "x": word("chart.seconds"),
        "rows": [
            {"name": word(f"quantity.part_{key}").strip(), "values": [value]}
            for key, value in parts.items()
        ],
        "words": {"interval": word("heading.interval"), "value": word("heading.value")},
    }
