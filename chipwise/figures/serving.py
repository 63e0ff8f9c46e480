"""Figures of plans, estimates and simulations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.figures.chart import Answer, Chart, deployed, scaled
from chipwise.tables import number, short
from chipwise.units import from_base
from chipwise.words import say

__all__ = [
    "compared",
    "latency",
    "loads",
    "memory",
    "memory_bars",
    "pareto",
    "roofline",
    "timeline",
]

_PARTS = ("weights", "kv", "activations", "buffers", "reserve")


def pareto(found: Answer, lang: str) -> Chart | None:
    """Cost against time per token, with intervals; the front drawn through.

    Each chip's best, and what is on the front with prefill and decode apart. The plan's front
    weighs the time to the first token too; the line goes through what is best in the two shown.
    """
    word = partial(say, lang)
    front = [each["deployment"] for each in found["pareto"]]
    points = [
        {
            "name": deployed(row),
            "text": row["deployment"]["text"],
            "x": scaled(row["tpot_s"], "ms"),
            "y": scaled(row["usd_per_million_output_tokens"]),
            "apart": bool(row["deployment"]["prefill"]),
        }
        for row in (*found["chips"], *found["apart"])
        if row["feasible"]
        and row["usd_per_million_output_tokens"]
        and row["tpot_s"]
        and (not row["deployment"]["prefill"] or row["deployment"] in front)
    ]
    if not points:
        return None
    for point in points:
        point["front"] = not any(
            other["x"][0] < point["x"][0] and other["y"][0] < point["y"][0] for other in points
        )
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
        "words": {
            "front": word("chart.front"),
            "interval": word("heading.interval"),
            "apart": word("chart.apart"),
        },
        "points": points,
    }


def memory(found: Answer, lang: str) -> Chart | None:
    """What fills the memory of each chip, beside what it has."""
    rows = [r for r in found["chips"] if r["feasible"]] if "chips" in found else [found]
    return memory_bars(rows, _PARTS, lang) if rows else None


def memory_bars(rows: Sequence[Answer], parts: Sequence[str], lang: str) -> Chart:
    """A bar of the memory's parts for each row; the reading tells the fullest."""
    word = partial(say, lang)
    held = [(short(row["chip"]), row["memory_bytes"]) for row in rows]
    name, fullest = max(held, key=lambda row: row[1]["total"] / row[1]["capacity"])
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
        "rows": [label for label, _ in held],
        "parts": [
            {
                "name": word(f"quantity.memory_{part}").strip(),
                "values": [from_base(each[part], "GB") for _, each in held],
            }
            for part in parts
        ],
        "capacity": [from_base(each["capacity"], "GB") for _, each in held],
        "words": {"capacity": word("chart.capacity")},
    }


def compared(found: Answer, lang: str) -> Chart | None:
    """Tokens/s of a chip of each deployment, with intervals; None where only one is possible."""
    able = [side for side in found["sides"] if side["feasible"]]
    if len(able) < 2:
        return None
    word = partial(say, lang)
    rows = [
        (
            f"{short(side['chip'])} {side['deployment']['text']}",
            scaled(side["output_tokens_per_s_per_chip"]),
        )
        for side in able
    ]
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


# -- the roofline --------------------------------------------------------------------------------


def roofline(found: Answer, lang: str) -> Chart | None:
    """The model's operators under the roof of the chip that runs them, prefill and decode.

    Of a plan, those of the cheapest chip, or where no cost is known of the quickest.
    """
    row = _chosen(found)
    if row is None:
        return None
    word = partial(say, lang)
    phases = row["roofline"]
    shares = [_bound(phase) for phase in phases]
    longest = max(_computing(phases[-1]), key=lambda each: each["time_s"])
    front, back = (short(phase["chip"]) for phase in phases)
    return {
        "draw": "roofline",
        "title": word("chart.roofline", deployment=f"{deployed(row)} {row['deployment']['text']}"),
        "reading": word(
            "chart.roofline_reading",
            front=front,
            prefill=number(100 * shares[0]),
            back=back,
            decode=number(100 * (1.0 - shares[1])),
            operator=_called(longest, word),
            share=number(100 * longest["attained_flop_per_s"] / longest["attainable_flop_per_s"]),
        ),
        "x": word("chart.intensity"),
        "y": word("chart.tflops"),
        "words": {
            "attainable": word("chart.attainable"),
            "unbounded": word("chart.no_bytes"),
            "time": word("chart.milliseconds"),
        },
        "panels": [_panel(phase, word) for phase in phases],
    }


def _chosen(found: Answer) -> Any:
    """The row of an answer whose operators are drawn."""
    rows = [row for row in found.get("chips", [found]) if row.get("roofline")]
    priced = [row for row in rows if row["usd_per_million_output_tokens"]]
    if priced:
        return min(priced, key=lambda row: row["usd_per_million_output_tokens"]["value"])
    return max(rows, key=lambda r: r["output_tokens_per_s_per_chip"]["value"], default=None)


def _computing(phase: Answer) -> list[Answer]:
    """Operators that compute: those that only move bytes have no place under a roof."""
    return [each for each in phase["operators"] if each["flops"]]


def _bound(phase: Answer) -> float:
    """Share of a phase's time in operators that arithmetic bounds."""
    peaks = phase["flop_per_s"]
    held = [
        e["time_s"] for e in _computing(phase) if e["attainable_flop_per_s"] >= peaks[e["format"]]
    ]
    whole = sum(each["time_s"] for each in phase["operators"])
    return float(sum(held) / whole)


def _called(each: Answer, word: Any) -> str:
    kind = word(f"operator.{each['operator']}")
    return f"{kind}: {word('role.' + each['role'])}" if each["role"] else str(kind)


def _panel(phase: Answer, word: Any) -> Chart:
    """A phase under its roofs, from left of its leftmost operator to right of its rightmost."""
    bandwidth, peaks = phase["memory_bandwidth_bytes_per_s"], phase["flop_per_s"]
    computing = _computing(phase)
    ridges = [peak / bandwidth for peak in peaks.values()]
    known = [each["flop_per_byte"] for each in computing if each["flop_per_byte"]]
    left, right = min(*known, *ridges) / 2.0, max(*known, *ridges) * 4.0
    return {
        "title": word(f"chart.{phase['phase']}", chip=short(phase["chip"])),
        "roofs": [
            {
                "name": f"{form} {number(from_base(peak, 'TFLOPS'))}",
                "points": [
                    [x, from_base(min(x * bandwidth, peak), "TFLOPS")]
                    for x in (left, peak / bandwidth, right)
                ],
            }
            for form, peak in peaks.items()
        ],
        "points": [
            {
                "name": _called(each, word),
                "at": [
                    each["flop_per_byte"] or right,
                    from_base(each["attained_flop_per_s"], "TFLOPS"),
                ],
                "attainable": from_base(each["attainable_flop_per_s"], "TFLOPS"),
                "bounded": each["flop_per_byte"] is not None,
                "ms": from_base(each["time_s"], "ms"),
            }
            for each in computing
        ],
    }


# -- simulations ---------------------------------------------------------------------------------


def latency(found: Answer, lang: str) -> Chart | None:
    """Percentiles of the requests' times."""
    ttft, word = found["ttft_s"], partial(say, lang)
    if not ttft["p50"]:
        return None
    marks = ("p50", "p90", "p95", "p99")
    times = {
        name: [found[f"{name}_s"][m] for m in marks] for name in ("ttft", "tpot", "itl", "e2e")
    }
    return {
        "draw": "lines",
        "title": word("chart.latency"),
        "reading": word(
            "chart.latency_reading",
            median=number(ttft["p50"]),
            worst=number(ttft["p99"]),
            times=number(ttft["p99"] / ttft["p50"]),
        ),
        "x": word("chart.percentile"),
        "y": word("chart.seconds"),
        "log": True,
        "categories": list(marks),
        "lines": [
            {
                "name": word(f"quantity.{name}"),
                "points": [list(each) for each in zip(marks, values, strict=True)],
            }
            for name, values in times.items()
            if all(values)
        ],
    }


def loads(found: Answer, lang: str) -> Chart | None:
    """Times of the requests over the load, median and 99th percentile."""
    if not found.get("loads"):
        return None
    word, every = partial(say, lang), found["loads"]
    first, last = every[0], every[-1]
    return {
        "draw": "lines",
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
        "log": True,
        "lines": [
            {"name": f"{key.upper()} {share}", "points": points}
            for key in ("ttft", "tpot")
            for share in ("p50", "p99")
            if (points := _over(every, f"{key}_s", share))
        ],
    }


def _over(every: Sequence[Answer], key: str, share: str) -> list[list[float]]:
    return [[each["load"], each[key][share]] for each in every if each[key][share]]


def timeline(found: Answer, lang: str) -> Chart | None:
    """Requests running and waiting over the time of a simulation."""
    moments: Sequence[Mapping[str, Any]] = found.get("timeline") or ()
    if not moments:
        return None
    word = partial(say, lang)
    fullest = max(moments, key=lambda m: m["running"])
    waiting = max(moments, key=lambda m: m["waiting"])
    return {
        "draw": "lines",
        "title": word("chart.timeline"),
        "reading": word(
            "chart.timeline_reading",
            running=f"{fullest['running']:,}",
            waiting=f"{waiting['waiting']:,}",
            at=number(waiting["time_s"]),
        ),
        "x": word("chart.seconds"),
        "y": word("chart.requests"),
        "step": True,
        "lines": [
            {"name": word(f"chart.{key}"), "points": [[m["time_s"], m[key]] for m in moments]}
            for key in ("running", "waiting")
        ],
    }
