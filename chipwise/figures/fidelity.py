"""The figure of a validation."""

from __future__ import annotations

from functools import partial
from statistics import median

from chipwise.figures.chart import Answer, Chart
from chipwise.tables import number
from chipwise.words import say

__all__ = ["fidelity"]

_QUANTITIES = ("ttft_ms", "tpot_ms", "tokens_per_s", "tokens_per_s_per_chip")


def fidelity(found: Answer, lang: str) -> Chart | None:
    """Predicted against measured, with intervals."""
    pairs = found.get("compared")
    if not pairs:
        return None
    word = partial(say, lang)
    off = median(abs(p["predicted"] / p["measured"] - 1.0) for p in pairs)
    held = [p["low"] <= p["measured"] <= p["high"] for p in pairs if p["low"] is not None]
    told = {"count": len(pairs), "off": number(100 * off)}
    return {
        "draw": "fidelity",
        "title": word("report_title.validate"),
        "reading": word("plot.fidelity_reading", **told, held=number(100 * sum(held) / len(held)))
        if held
        else word("plot.fidelity_bare", **told),
        "x": word("plot.measured"),
        "y": word("plot.predicted"),
        "quantities": {
            name: word(f"plot.{name}")
            for name in _QUANTITIES
            if any(p["quantity"] == name for p in pairs)
        },
        "pairs": pairs,
        "words": {"equal": word("plot.equal")},
    }
