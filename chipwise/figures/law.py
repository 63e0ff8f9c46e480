"""Figures of the rules: statuses over time, chips on a map of the rules, what a rule is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from chipwise.figures.chart import Answer, Chart
from chipwise.tables import number, short
from chipwise.tables.law import at_day
from chipwise.words import say

__all__ = ["bandwidth", "density", "frontier", "status"]

_Say = Callable[..., str]
_TITLES = {
    "density": "chart.density_title",
    "memory_bandwidth": "chart.memory_bandwidth_title",
}
# How a reader sorts statuses: what may go, what needs leave, what may not.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "free": ("free", "notify"),
    "licence": ("licence_approval", "licence_case_by_case", "discouraged"),
    "denied": ("licence_denial", "prohibited"),
    "unknown": ("unknown",),
}


def density(found: Answer, lang: str) -> Chart | None:
    """Total processing performance against its density, with the rules' regions."""
    return _map(found, "density", lang)


def bandwidth(found: Answer, lang: str) -> Chart | None:
    """Total processing performance against memory bandwidth, with the rules' regions."""
    return _map(found, "memory_bandwidth", lang)


def _map(found: Answer, axis: str, lang: str) -> Chart | None:
    """Chips by TPP and another figure, on the day asked for; a sentence for each other day."""
    word, at = partial(say, lang), at_day(found)
    chips = [one for one in found["chips"] if one["tpp"] and one[axis]]
    if not chips:
        return None
    names = dict.fromkeys(status for one in chips for status in one["statuses"])
    readings = [_reading(found, k, word) for k in range(len(found["days"]))]
    return {
        "draw": "rules",
        "title": word(_TITLES[axis]),
        "reading": readings[at],
        "readings": readings,
        "x": word("chart.tpp"),
        "y": word(f"chart.{axis}"),
        "days": found["days"],
        "at": at,
        "asked": short(found["chip"]) if found.get("chip") else None,
        "statuses": {name: word(f"status.{name}") for name in names},
        "chips": [
            {
                "name": short(one["chip"]),
                "at": [one["tpp"], one[axis]],
                "statuses": one["statuses"],
            }
            for one in chips
        ],
        "regions": [
            {
                "name": region["title"].get(lang, region["rule"]),
                "outcome": word(f"status.{region['outcome']}"),
                "mild": region["effect"] == "relax",
                "from": region["start"],
                "to": region["end"],
                "boxes": region["boxes"],
            }
            for region in found["regions"][axis]
        ],
    }


def _reading(found: Answer, at: int, word: _Say) -> str:
    held = [one["statuses"][at] for one in found["chips"]]
    counts = {name: sum(s in group for s in held) for name, group in _GROUPS.items()}
    return word("chart.rules_reading", day=found["days"][at], count=len(held), **counts)


def status(found: Answer, lang: str) -> Chart | None:
    """A chip's status from day to day, the whole and both sides of the border."""
    if not found["periods"]:
        return None
    word, periods = partial(say, lang), found["periods"]
    sides = {"import": "word.import", "export": "word.export", "status": "heading.status"}
    seen = dict.fromkeys(period[side] for side in sides for period in periods)
    return {
        "draw": "spans",
        "title": word("chart.status", chip=short(found["chip"])),
        "reading": word(
            "plot.status_reading",
            chip=short(found["chip"]),
            changes=len(periods) - 1,
            status=word(f"status.{periods[-1]['status']}"),
            since=periods[-1]["start"],
        ),
        "statuses": {name: word(f"status.{name}") for name in seen},
        "rows": [
            {
                "name": word(key),
                "spans": [[p["start"], p["end"] or p["start"], p[side]] for p in periods],
            }
            for side, key in sides.items()
        ],
    }


def frontier(found: Answer, lang: str) -> Chart | None:
    """Decode against prefill tokens/s: the curve just inside a rule, the real chips beside it."""
    if not found["points"]:
        return None
    word = partial(say, lang)
    real = [
        point
        for point in found["points"]
        if point["real"] and point["prefill_tokens_per_s"] and point["decode_tokens_per_s"]
    ]
    groups = {"inside": True, "outside": False, "open": None}
    best, free = found["best"], found["unrestricted"]
    shares = {
        k: number(100 * best[k][f"{k}_tokens_per_s"] / free[k][f"{k}_tokens_per_s"])
        for k in ("prefill", "decode")
        if best[k]
    }
    whole = len(shares) == 2
    return {
        "draw": "frontier",
        "title": word("chart.frontier"),
        "reading": word("plot.frontier_reading", **shares) if whole else word("law.nothing"),
        "x": word("law.prefill"),
        "y": word("law.decode"),
        "curve": sorted(
            [p["prefill_tokens_per_s"], p["decode_tokens_per_s"]] for p in found["envelope"]
        ),
        "groups": [
            {
                "name": word(f"plot.{name}"),
                "points": [
                    {
                        "name": short(p["chip"]),
                        "at": [p["prefill_tokens_per_s"], p["decode_tokens_per_s"]],
                    }
                    for p in real
                    if p["inside"] is inside
                ],
            }
            for name, inside in groups.items()
        ],
        "words": {"edge": word("plot.edge")},
    }
