"""Tables of serving: estimates, plans, simulations, sweeps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables.sheet import (
    NONE,
    Answer,
    Cell,
    Document,
    Say,
    Sheet,
    bounded,
    flat,
    grid,
    number,
    quantities,
    scaled,
    sheet,
    short,
    status,
    versions,
)
from chipwise.words import say, told

__all__ = ["compare", "estimate", "plan", "plan_rows", "simulate", "sweep"]

_MOST_APART = 3
_MOST_ERRORS = 5


def estimate(found: Answer, lang: str) -> Document:
    """One deployment under one load, quantity by quantity."""
    word = partial(say, lang)
    named = {"model": found["model"], "chip": found["chip"]}
    title = word("title.estimate", **named, deployment=found["deployment"]["text"])
    document: Document = [quantities(word, title, _quantities(word, found))]
    if "general" in found:
        document.append(_beside(found["general"], lang))
    return [*document, *_assumed(word, found, [found])]


def compare(found: Answer, lang: str) -> Document:
    """Quantities down, deployments across; then why some are not possible."""
    word = partial(say, lang)
    able = [side for side in found["sides"] if side["feasible"]]
    document: Document = []
    if able:
        rows = []
        for same in zip(*(_quantities(word, side) for side in able), strict=True):
            name, _, unit = same[0]
            label = word(f"quantity.{name}").strip()
            rows.append((f"{label} [{unit}]" if unit else label, *(value for _, value, _ in same)))
        names = [f"{short(side['chip'])} {side['deployment']['text']}" for side in able]
        headings = (word("heading.quantity"), *names)
        document.append(grid(word("title.compare"), headings, rows, range(1, len(headings))))
        lines = [line for side in able for line in _assumed(word, side, [side])]
        document += list(dict.fromkeys(lines))
    document += [
        word("line.why", chip=short(side["chip"]), why=told(lang, side["why"]))
        for side in found["sides"]
        if not side["feasible"]
    ]
    return document


def _beside(found: Answer, lang: str) -> str:
    """What the general calibration says beside one of the user's own."""
    if found["why"]:
        why = told(lang, found["why"])
        return say(lang, "local.beside_none", id=found["calibration_id"], why=why)
    return say(
        lang,
        "local.beside",
        id=found["calibration_id"],
        ttft=number(found["ttft_s"]["value"]),
        tpot=scaled(found["tpot_s"]["value"], "ms"),
        output=number(found["output_tokens_per_s"]["value"]),
        deployment=found["deployment"],
    )


def _quantities(word: Say, row: Answer) -> Iterable[tuple[str, Cell | str, str]]:
    memory = row["memory_bytes"]
    yield "ttft", bounded(row["ttft_s"]), "s"
    yield "tpot", bounded(row["tpot_s"], "ms"), "ms"
    yield "output", bounded(row["output_tokens_per_s"]), "token/s"
    yield "per_chip", bounded(row["output_tokens_per_s_per_chip"]), "token/s"
    yield "total", bounded(row["total_tokens_per_s"]), "token/s"
    yield "chips", str(row["chip_count"]), ""
    yield "memory", scaled(memory["total"], "GB", 4), "GB"
    for part in ("weights", "kv", "activations", "buffers", "reserve", "capacity"):
        yield f"memory_{part}", scaled(memory[part], "GB", 4), "GB"
    yield "batch_limit", number(row["batch_limit"]), ""
    yield "bound", word(f"bound.{row['bound']}"), ""
    yield "power", bounded(row["power_w"]), "W"
    yield "usd_hour", bounded(row["usd_per_hour"]), "USD/h"
    yield "usd_mtoken", bounded(row["usd_per_million_output_tokens"]), "USD/M"
    yield "energy", bounded(row["joule_per_output_token"]), "J"
    yield "carbon", number(row["gco2_per_output_token"]), "gCO2"
    yield "law", status(word, row["status"]), ""


def sweep(found: Answer, lang: str) -> Document:
    """What a sweep came to, with the commonest errors."""
    word = partial(say, lang)
    commonest = sorted(found["errors"].items(), key=lambda pair: -pair[1])[:_MOST_ERRORS]
    names = ("points", "rows", "feasible", "parts", "kept")
    return [
        word("line.swept", **{name: f"{found[name]:,}" for name in names}),
        *(word("line.times", count=count, what=told(lang, error)) for error, count in commonest),
        word("line.written", path=found["out"]),
    ]


def plan(found: Answer, lang: str) -> Document:
    """A row for each chip, then what was assumed, what is apart, the front, and why not."""
    word, rows = partial(say, lang), found["chips"]
    names = "chip deployment tokens_per_chip ttft_s tpot_ms memory_gb usd_mtoken joule_token status"
    cells = [_plan_row(word, row) for row in rows]
    title = word("title.plan", model=found["model"])
    said = [(row, told(lang, row["why"])) for row in rows if not row["feasible"]]
    said += [(row, _beside(row["general"], lang)) for row in rows if "general" in row]
    said += [(row, told(lang, note)) for row in rows if row["feasible"] for note in row["notes"]]
    able = [row for row in (*rows, *found["apart"]) if row["feasible"]]
    return [
        sheet(word, title, names, cells, range(2, 8), 1),
        *(word("line.why", chip=short(row["chip"]), why=why) for row, why in said),
        *_apart(word, found),
        *_front(word, found),
        *_assumed(word, found, able),
    ]


def _plan_row(word: Say, row: Answer) -> tuple[Cell | str, ...]:
    chip, verdict = short(row["chip"]), status(word, row["status"])
    if not row["feasible"]:
        return chip, word("word.infeasible"), *(NONE,) * 6, verdict
    return chip, row["deployment"]["text"], *_figures(row), verdict


def _figures(row: Answer) -> tuple[Cell | str, ...]:
    memory = row["memory_bytes"]
    return (
        bounded(row["output_tokens_per_s_per_chip"]),
        bounded(row["ttft_s"]),
        bounded(row["tpot_s"], "ms"),
        " / ".join(scaled(memory[k], "GB") for k in ("total", "capacity")),
        bounded(row["usd_per_million_output_tokens"]),
        bounded(row["joule_per_output_token"]),
    )


def _apart(word: Say, found: Answer) -> Document:
    """The best deployments with prefill and decode on chips of their own."""
    able = [row for row in found["apart"] if row["feasible"]]
    if not able:
        return []
    # What was simulated before what the closed form alone speaks for.
    best = sorted(able, key=lambda row: (not row["simulated"], *_dearness(row)))[:_MOST_APART]
    rows = []
    for row in best:
        sides = [row["deployment"][side]["chip"] for side in ("prefill", "decode")]
        verdicts = [found["verdicts"].get(chip, {}).get("status") for chip in sides]
        spelt = dict.fromkeys(status(word, each) for each in verdicts)
        rows.append(
            (
                *map(short, sides),
                row["deployment"]["text"],
                *_figures(row)[:3],
                *_figures(row)[4:],
                " / ".join(spelt),
            )
        )
    names = "prefill decode deployment tokens_per_chip ttft_s tpot_ms usd_mtoken joule_token status"
    title = word("title.apart", shown=len(best), count=len(able))
    return [sheet(word, title, names, rows, range(3, 8), 2)]


def _dearness(row: Answer) -> tuple[float, float]:
    """Cheapest first; those without a price by what they yield for a chip."""
    usd = row["usd_per_million_output_tokens"]
    return (usd["value"] if usd else math.inf, -row["output_tokens_per_s_per_chip"]["value"])


def _front(word: Say, found: Answer) -> Document:
    rows = []
    for row in found["pareto"]:
        made = row["deployment"]
        sides = [made["prefill"], made["decode"]] if made["prefill"] else [made["decode"]]
        rows.append(
            (
                " → ".join(dict.fromkeys(short(side["chip"]) for side in sides)),
                made["text"],
                bounded(row["usd_per_million_output_tokens"]),
                bounded(row["tpot_s"], "ms"),
                bounded(row["ttft_s"]),
            )
        )
    names = "chip deployment usd_mtoken tpot_ms ttft_s"
    return [sheet(word, word("title.pareto"), names, rows, (2, 3, 4), 1)] if rows else []


def _assumed(word: Say, found: Answer, able: Sequence[Answer]) -> list[str]:
    """What an answer takes for granted, line by line."""
    lines = [_load(word, found), _target(word, found)] if "chips" in found else [_load(word, found)]
    lines.append(_highest(word, able))
    lines += _flags(word, [r for r in able if not r["deployment"]["prefill"]] or able)
    formats = dict.fromkeys(row["deployment"]["kv"] for row in able)
    if formats:
        lines.append(word("line.kv", kv=", ".join(formats)))
    lines.append(word("line.money", basis=word(f"price_basis.{found['price_basis']}")))
    dear = _priceless(able)
    if dear:
        lines.append(word("line.no_money", chips=", ".join(map(short, dear))))
    lines += _grounds(word, able)
    lines.append(
        word("line.law", to=found["to"], on=found["on"], route=word(f"route.{found['route']}"))
    )
    if "considered" in found:
        lines.append(word("line.considered", count=f"{found['considered']:,}"))
    return [*(line for line in lines if line), versions(word, found)]


def _priceless(able: Sequence[Answer]) -> list[str]:
    """Chips for which no deployment has a cost; a dear neighbour is not their fault."""
    known, unknown = dict[str, None](), dict[str, None]()
    for row in able:
        sides = [s for s in (row["deployment"]["decode"], row["deployment"]["prefill"]) if s]
        kept = unknown if row["usd_per_hour"] is None else known
        kept |= dict.fromkeys(side["chip"] for side in sides)
    return [chip for chip in unknown if chip not in known]


def _load(word: Say, found: Answer) -> str:
    load = found["workload"]
    if load["rate_per_s"] is not None:
        arrivals = word("line.open", rate=number(load["rate_per_s"]))
    else:
        arrivals = word(f"line.{found.get('loop', 'closed')}")
    text = word("line.load", isl=f"{load['isl']:,}", osl=f"{load['osl']:,}", arrivals=arrivals)
    if load["prefix_hit"]:
        text += " " + word("line.prefix", share=number(100 * load["prefix_hit"]))
    return text


def _target(word: Say, found: Answer) -> str:
    load = found["workload"]
    limits = []
    if load["ttft_s"] is not None:
        limits.append(f"TTFT ≤ {number(load['ttft_s'])} s")
    if load["tpot_s"] is not None:
        limits.append(f"TPOT ≤ {scaled(load['tpot_s'], 'ms')} ms")
    if not limits:
        return word("line.no_target")
    return word("line.target", percentile=f"{load['percentile']:g}", limits=", ".join(limits))


def _highest(word: Say, able: Sequence[Answer]) -> str:
    """The highest rates at which the simulation keeps the target, where it was asked for."""
    rates = {
        short(row["chip"]): row["simulated"]["highest_rate"]
        for row in able
        if not row["deployment"]["prefill"] and "highest_rate" in row.get("simulated", {})
    }
    told = ", ".join(f"{chip} {number(rate)}/s" for chip, rate in rates.items())
    return word("line.highest_rate", rates=told) if rates else ""


def _flags(word: Say, able: Sequence[Answer]) -> list[str]:
    """The engine's flags that were assumed, chips that share them together."""
    chips: dict[tuple[Any, ...], dict[str, None]] = {}
    for row in able:
        made = row["deployment"]
        key = tuple(made[k] for k in ("backend", "backend_version", "chunk", "max_seqs"))
        chips.setdefault(key, {})[short(row["chip"])] = None
    return [
        word(
            "line.flags",
            backend=backend,
            version=version,
            chunk=f"{chunk:,}",
            max_seqs=f"{max_seqs:,}",
            chips=", ".join(names),
        )
        for (backend, version, chunk, max_seqs), names in chips.items()
    ]


def _grounds(word: Say, able: Sequence[Answer]) -> list[str]:
    """What the intervals rest on, and which values have no source."""
    if not able:
        return []
    by_basis: dict[str, dict[str, None]] = {}
    for row in able:
        by_basis.setdefault(row["basis"], {})[short(row["chip"])] = None
    spelt = [f"{word(f'basis.{b}')} ({', '.join(names)})" for b, names in by_basis.items()]
    lines = [word("line.intervals", basis="; ".join(spelt))]
    fields = dict.fromkeys(f for row in able for f in row["rests_on_unverified"])
    if fields:
        lines.append(word("line.unverified", fields=", ".join(fields)))
    return lines


# -- simulations ---------------------------------------------------------------------------------


def simulate(found: Answer, lang: str) -> Document:
    """Times of the requests by percentile, and what the engine did."""
    word = partial(say, lang)
    rows = []
    for name, unit in (("ttft", "s"), ("tpot", "ms"), ("itl", "ms"), ("e2e", "s"), ("queue", "s")):
        at = found[f"{name}_s"]
        cells = [scaled(at[k], unit) for k in ("mean", "p50", "p90", "p95", "p99")]
        rows.append((word(f"quantity.{name}"), *cells, unit))
    first, mean, last = (word(f"heading.{name}") for name in ("quantity", "mean", "unit"))
    headings = (first, mean, "p50", "p90", "p95", "p99", last)
    counts = {k: f"{found[k]:,}" for k in ("requests", "iterations", "preemptions")}
    times = grid(word("title.simulate", **counts), headings, rows, range(1, 6))
    simulated = word(
        "line.simulated",
        output=number(found["output_tokens_per_s"]),
        total=number(found["total_tokens_per_s"]),
        span=number(found["span_s"]),
        elapsed=number(found["elapsed_s"]),
    )
    goodput = word(
        "line.goodput",
        rate=number(found["goodput"]),
        share=number(100 * found["goodput_share"]),
    )
    limited = found["ttft_limit_s"] is not None or found["tpot_limit_s"] is not None
    lines = [simulated, *([goodput] if limited else []), *_found_rate(word, found)]
    measured = [_measured(word, found["measured"])] if "measured" in found else []
    return [times, *measured, *lines, *_over_time(word, found), versions(word, found)]


def _found_rate(word: Say, found: Answer) -> list[str]:
    """The highest rate, where it was looked for."""
    if found["highest_rate"] is None:
        return []
    rate, share = number(found["highest_rate"]), f"{found['percentile']:g}"
    return [word("line.found_rate", rate=rate, percentile=share)]


def _over_time(word: Say, found: Answer) -> list[str]:
    """What an engine held, where its iterations were recorded."""
    over = found["over_time"]
    if over is None:
        return []
    told = {
        f"{name}_{at}": number(over[name][at] * (100 if name == "kv_use" else 1))
        for name in ("running", "waiting", "kv_use")
        for at in ("mean", "max")
    }
    return [word("line.over_time", **told)]


def _measured(word: Say, found: Answer) -> Sheet:
    """Times of a server's log beside those that were simulated."""
    rows = []
    for name, unit in (("ttft", "s"), ("tpot", "ms")):
        at = found[f"{name}_s"]
        for k in ("mean", "p50", "p90", "p99"):
            truth, made = at["measured"][k], at["simulated"][k]
            if not truth or made is None:
                continue
            label = word("heading.mean") if k == "mean" else k
            figures = [scaled(value, unit, 4) for value in (truth, made)]
            off = f"{100 * (made / truth - 1.0):+.1f} %"
            rows.append((f"{word(f'quantity.{name}')}: {label}", *figures, off, unit))
    names = "heading.quantity local.measured local.predicted local.off heading.unit"
    title = word("local.log", requests=found["requests"])
    return grid(title, map(word, names.split()), rows, (1, 2, 3))


def plan_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each chip of a plan, and for each pair of chips with prefill and decode apart."""
    asked = {k: found[k] for k in ("model", "to", "on", "route", "price_basis")}
    for kind in ("chips", "apart"):
        for row in found[kind]:
            yield {**asked, "apart": kind == "apart", **flat(row)}
