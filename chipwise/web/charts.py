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
from chipwise.web.sheets import side_name
from chipwise.words import say

__all__ = [
    "Chart",
    "compared",
    "fleet",
    "memory",
    "memory_bar",
    "pareto",
    "percentiles",
    "step_parts",
    "timeline",
    "training_memory",
]

Chart = dict[str, Any]
Answer = Mapping[str, Any]
_PARTS = ("weights", "kv", "activations", "buffers", "reserve")
_TRAINED = ("weights", "gradients", "optimiser", "activations", "buffers")


def _scaled(found: Mapping[str, float], unit: str = "") -> list[float]:
    """Value, low, high in a unit."""
    return [from_base(found[key], unit) for key in ("value", "low", "high")]


def _chips(row: Answer) -> str:
    """The chip of a deployment, or both where prefill and decode run apart."""
    made = row["deployment"]
    sides = (made["prefill"], made["decode"]) if made["prefill"] else (made["decode"],)
    return " → ".join(dict.fromkeys(short(side["chip"]) for side in sides))


def pareto(found: Answer, lang: str) -> Chart | None:
    """Cost against time per token, with intervals; the front drawn through.

    Each chip's best, and what is on the front with prefill and decode apart. None where no
    deployment has a cost.
    """
    word = partial(say, lang)
    front = [each["deployment"] for each in found["pareto"]]
    points = [
        {
            "name": _chips(row),
            "text": row["deployment"]["text"],
            "x": _scaled(row["tpot_s"], "ms"),
            "y": _scaled(row["usd_per_million_output_tokens"]),
            "front": row["deployment"] in front,
        }
        for row in (*found["chips"], *found["apart"])
        if row["feasible"]
        and row["usd_per_million_output_tokens"]
        and row["tpot_s"]
        and (not row["deployment"]["prefill"] or row["deployment"] in front)
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


def compared(found: Answer, lang: str) -> Chart | None:
    """Tokens/s of a chip of each deployment, with intervals; None where only one is possible."""
    able = [side for side in found["sides"] if side["feasible"]]
    if len(able) < 2:
        return None
    word = partial(say, lang)
    rows = [(side_name(s), _scaled(s["output_tokens_per_s_per_chip"])) for s in able]
    best, worst = max(rows, key=lambda row: row[1][0]), min(rows, key=lambda row: row[1][0])
    return {
        "draw": "bars",
        "title": word("chart.compared"),
        "reading": word(
            "chart.compared_reading",
            best=best[0],
            rate=number(best[1][0]),
            times=number(best[1][0] / worst[1][0]),
            worst=worst[0],
        ),
        "x": "token/s",
        "rows": [{"name": name, "values": values} for name, values in rows],
        "words": {"interval": word("heading.interval"), "value": word("heading.value")},
    }


def percentiles(found: Answer, lang: str) -> Chart:
    """Times of the requests over the load, median and 99th percentile."""
    word = partial(say, lang)
    loads = found["loads"]
    first, last = loads[0], loads[-1]
    return {
        "draw": "percentiles",
        "title": word("chart.percentiles"),
        "reading": word(
            f"over.{found['load']}",
            low=number(first["load"]),
            high=number(last["load"]),
            least=number(first["ttft_s"]["p99"]),
            most=number(last["ttft_s"]["p99"]),
        ),
        "x": word(f"field.{found['load']}"),
        "y": word("chart.seconds"),
        "lines": [
            {
                "name": f"{key.upper()} {share}",
                "points": [[each["load"], each[f"{key}_s"][share]] for each in loads],
            }
            for key in ("ttft", "tpot")
            for share in ("p50", "p99")
        ],
    }


def timeline(found: Answer, lang: str) -> Chart:
    """Requests running and waiting over the time of a simulation."""
    word = partial(say, lang)
    moments = found["timeline"]
    fullest = max(moments, key=lambda m: m["running"])
    waiting = max(moments, key=lambda m: m["waiting"])
    return {
        "draw": "timeline",
        "title": word("chart.timeline"),
        "reading": word(
            "chart.timeline_reading",
            running=f"{fullest['running']:,}",
            waiting=f"{waiting['waiting']:,}",
            at=number(waiting["time_s"]),
        ),
        "x": word("chart.seconds"),
        "y": word("chart.requests"),
        "lines": [
            {"name": word(f"chart.{key}"), "points": [[m["time_s"], m[key]] for m in moments]}
            for key in ("running", "waiting")
        ],
    }


def step_parts(found: Answer, lang: str) -> Chart:
    """Where the time of a training step goes."""
    word = partial(say, lang)
    parts = {name: value for name, value in found["parts_s"].items() if value}
    name = max(parts, key=lambda each: parts[each])
    whole = sum(parts.values())
    return {
        "draw": "bars",
        "title": word("chart.step"),
        "reading": word(
            "chart.step_reading",
            part=word(f"quantity.part_{name}").strip(),
            seconds=number(parts[name]),
            share=number(100 * parts[name] / whole),
        ),
        "x": word("chart.seconds"),
        "rows": [
            {"name": word(f"quantity.part_{key}").strip(), "values": [value]}
            for key, value in parts.items()
        ],
        "words": {"interval": word("heading.interval"), "value": word("heading.value")},
    }


def training_memory(found: Answer, lang: str) -> Chart:
    """What fills the memory of a chip that trains."""
    return memory_bar([(short(found["chip"]), found["memory_bytes"])], _TRAINED, lang)


def fleet(found: Answer, lang: str) -> Chart | None:
    """Tokens served by chip over the periods, the cut-off beside the plan."""
    word = partial(say, lang)
    cut = found["cut_off"] if found["cut_off"] and found["cut_off"]["with"] else None
    served = [found["serve"]]
    if cut:
        first = min(each["period"] for each in cut["with"]["serve"])
        served.append([e for e in found["serve"] if e["period"] < first] + cut["with"]["serve"])
    chips = list(dict.fromkeys(each["chip"] for part in served for each in part))
    titles = [word("plot.base"), word("plot.cut", period=cut["from"]) if cut else ""]
    reading = word("plot.fleet_reading", unserved=number(100 * found["unserved_share"]))
    if cut:
        reading = word(
            "plot.cut_reading",
            period=cut["from"],
            low=number(cut["cost_usd"]["low"] / 1e6),
            high=number(cut["cost_usd"]["high"] / 1e6),
            unserved=number(100 * cut["unserved_share"]),
            without=number(100 * cut["unserved_share_without"]),
        )
    return {
        "draw": "fleet",
        "title": word("chart.fleet"),
        "reading": reading,
        "y": word("plot.tokens"),
        "periods": found["periods"],
        "panels": [
            {
                "title": title,
                "series": [
                    {"name": short(chip), "values": _by_period(part, chip, found["periods"])}
                    for chip in chips
                ],
            }
            for title, part in zip(titles, served, strict=False)
        ],
    }


def _by_period(served: Sequence[Answer], chip: str, periods: Sequence[str]) -> list[float]:
    """Thousands of tokens/s of a chip in each period."""
    total = dict.fromkeys(periods, 0.0)
    for each in served:
        if each["chip"] == chip:
            total[each["period"]] += each["tokens_per_s"] / 1e3
    return list(total.values())
