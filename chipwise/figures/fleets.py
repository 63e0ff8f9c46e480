"""Figures of fleets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chipwise.figures.chart import Answer, Chart
from chipwise.tables import number, short
from chipwise.words import say

__all__ = ["diversification", "fleet"]


def fleet(found: Answer, lang: str) -> Chart | None:
    """Tokens served by chip over the periods: the plan, and beside it the cut-off."""
    if not found["serve"]:
        return None
    word, periods = partial(say, lang), list(found["periods"])
    cut = found["cut_off"] if found["cut_off"] and found["cut_off"]["with"] else None
    served = [(word("plot.base"), found["serve"])]
    if cut:
        after = cut["with"]["serve"]
        first = min((periods.index(each["period"]) for each in after), default=0)
        before = [each for each in found["serve"] if periods.index(each["period"]) < first]
        served.append((word("plot.cut", period=cut["from"]), [*before, *after]))
    chips = list(dict.fromkeys(each["chip"] for _, part in served for each in part))
    return {
        "draw": "fleet",
        "title": word("chart.fleet"),
        "reading": _reading(found, cut, lang),
        "y": word("plot.tokens"),
        "periods": periods,
        "asked": _asked(found, periods),
        "panels": [
            {
                "title": title,
                "series": [
                    {"name": short(chip), "values": _by_period(part, chip, periods)}
                    for chip in chips
                ],
            }
            for title, part in served
        ],
        "words": {"asked": word("plot.asked")},
    }


def _reading(found: Answer, cut: Answer | None, lang: str) -> str:
    if not cut:
        return say(lang, "plot.fleet_reading", unserved=number(100 * found["unserved_share"]))
    return say(
        lang,
        "plot.cut_reading",
        period=cut["from"],
        low=number(cut["cost_usd"]["low"] / 1e6),
        high=number(cut["cost_usd"]["high"] / 1e6),
        unserved=number(100 * cut["unserved_share"]),
        without=number(100 * cut["unserved_share_without"]),
    )


def _by_period(served: Sequence[Answer], chip: str, periods: Sequence[str]) -> list[float]:
    """Thousands of tokens/s of a chip in each period; scenarios in their mean."""
    scenarios = len({each["scenario"] for each in served if each["scenario"]}) or 1
    total = dict.fromkeys(periods, 0.0)
    for each in served:
        if each["chip"] == chip:
            share = 1.0 / scenarios if each["scenario"] else 1.0
            total[each["period"]] += share * each["tokens_per_s"] / 1e3
    return list(total.values())


def _asked(found: Answer, periods: Sequence[str]) -> list[float]:
    """Thousands of tokens/s that are demanded in each period, in the mean of the scenarios."""
    total = dict.fromkeys(periods, 0.0)
    for each in found["by_period"]:
        whole = sum(each["asked_tokens_per_s"].values())
        total[each["period"]] += each["probability"] * whole / 1e3
    return list(total.values())


def diversification(found: Answer, lang: str) -> Chart | None:
    """What a cap on the largest share costs."""
    if not found["diversification"]:
        return None
    word = partial(say, lang)
    every = sorted(found["diversification"], key=lambda each: each["share"])
    points = [
        [100 * each["share"], *(each["premium_usd"][k] / 1e6 for k in ("low", "high"))]
        for each in every
    ]
    share, low, high = map(number, points[0])
    return {
        "draw": "band",
        "title": word("chart.diversification"),
        "reading": word("plot.diversification_reading", share=share, low=low, high=high),
        "x": word("plot.cap"),
        "y": word("fleet.premium"),
        "points": points,
    }
