"""Tables of one's own calibrations, of runs to make next, and of a profile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from chipwise.tables.sheet import NONE, Answer, Document, Say, Sheet, number, scaled, sheet
from chipwise.words import say, told

__all__ = ["listed", "own", "profile", "suggested"]

_NOTABLE = 0.01  # a factor that moved less is not told
_UNITS = {"ttft_s": "s", "tpot_s": "ms"}


def _sheet(
    word: Say,
    title: str,
    names: str,
    rows: Sequence[Sequence[str]],
    texts: Sequence[int] = (0,),
) -> Sheet:
    """A table of numbers, but for the columns `texts`."""
    right = set(range(len(names.split()))) - set(texts)
    return sheet(word, title, names, rows, right, 1, section="local")


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:+.1f} %"


def _reach(width: float) -> str:
    """A half-width of ln as a percentage of the value, upward."""
    return f"{100 * math.expm1(width):.0f}"


def own(found: Answer, lang: str) -> Document:
    """What one's own runs showed: factors, intervals beside the general ones, what was left out."""
    word = partial(say, lang)
    quantities = ("ttft", "tpot", "throughput")
    rows = [
        (
            f"{s['family']} · {s['chip']} · {s['backend']}",
            str(s["rows"]),
            str(s["scored"]),
            *(f"{_reach(s['widths'][q])} ({_reach(s['general_widths'][q])})" for q in quantities),
        )
        for s in found["stacks"]
    ]
    title = f"{word('local.stacks')} ({word('local.general')})"
    document: Document = [_sheet(word, title, "stack rows scored ttft tpot throughput", rows)]
    left = found["left_out"]
    if left is not None:
        document.append(_halves(word, left))
    document.append(_factors(word, found["factors"]))
    named = {"name": found["name"], "path": found["file"]}
    return [*document, word("local.kept", evidence=told(lang, found["evidence"]), **named)]


def _halves(word: Say, left: Answer) -> Sheet:
    rows = []
    for name in ("ttft_s", "tpot_s"):
        at, unit = left[name], _UNITS[name]
        figures = [scaled(at[k], unit, 4) for k in ("measured", "general", "local")]
        off = _percent(at["local"] / at["measured"] - 1.0)
        rows.append((word(f"local.{name.partition('_')[0]}"), *figures, off, unit))
    title = word("local.halves", requests=left["requests"], until=number(left["until_s"]))
    names = "quantity measured general local off unit"
    return _sheet(word, title, names, rows, (0, 5))


def _factors(word: Say, factors: Mapping[str, float]) -> str:
    told_of = [
        f"{name} × {number(by)}" for name, by in factors.items() if abs(by - 1.0) >= _NOTABLE
    ]
    return word("local.factors", factors=", ".join(told_of)) if told_of else word("local.unmoved")


def suggested(found: Answer, lang: str) -> Document:
    """Runs to make next, what each narrows, and what it tells."""
    word = partial(say, lang)
    rows = [
        (
            str(run["concurrency"]),
            str(run["isl"]),
            str(run["osl"]),
            number(run["duration_s"] / 60.0, 2),
            *(
                f"{_reach(run['half_widths_before'][q])} → {_reach(run['half_widths_after'][q])}"
                for q in ("tpot", "ttft")
            ),
            word(f"tells.{run['reason']}"),
        )
        for run in found["runs"]
    ]
    names = "concurrency isl osl minutes widths waits why"
    return [_sheet(word, word("local.suggested", known=found["known"]), names, rows, (6,))]


def listed(found: Answer, lang: str) -> Document:
    """The calibrations in the user's folder."""
    word = partial(say, lang)
    if not found["calibrations"]:
        return [word("local.none", folder=found["folder"])]
    rows = [(c["name"], c["base"], ", ".join(c["stacks"])) for c in found["calibrations"]]
    title = word("local.listed", folder=found["folder"])
    return [_sheet(word, title, "name base of", rows, (0, 1, 2))]


def profile(found: Answer, lang: str) -> Document:
    """Factors of a device, and whole steps as predicted from them."""
    word = partial(say, lang)
    rows = [
        (
            of["op"],
            of["format"],
            str(of["cases"]),
            scaled(of["start_s"], "us"),
            *(number(of[name]) for name in ("compute", "memory", "exponent")),
            *(f"{100 * math.expm1(of[name]):.0f} %" for name in ("median_off", "worst_off")),
        )
        for of in found["operators"]
    ]
    names = "op format cases start compute memory exponent median worst"
    title = word("local.operators", chip=found["chip"])
    document: Document = [_sheet(word, title, names, rows, (0, 1)), _steps(word, found)]
    told_of = {k: found[k] for k in ("timings", "device", "torch")}
    document.append(word("local.profiled", path=found["measurements_file"], **told_of))
    if found["chip_file"]:
        document.append(word("local.chip_kept", chip=found["chip"], path=found["chip_file"]))
    name, path = found["calibration_id"], found["calibration_file"]
    return [*document, word("local.kept", name=name, path=path, evidence=found["device"])]


def _steps(word: Say, found: Answer) -> Sheet:
    rows = [
        (
            word("local.prefill_step", prompt=step["prompt"])
            if step["prompt"]
            else word("local.decode_step", sequences=step["sequences"], context=step["context"]),
            scaled(step["measured_s"], "ms"),
            scaled(step["predicted_s"], "ms"),
            _percent(step["off"]),
        )
        for step in found["steps"]
    ]
    median, worst = (number(100 * (found[f"steps_{k}_off"] or 0.0)) for k in ("median", "worst"))
    title = word("local.steps", median=median, worst=worst)
    return _sheet(word, f"{title} [ms]", "step measured predicted off", rows)
