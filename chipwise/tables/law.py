"""Tables of verdicts, timelines, maps of the rules, frontiers and claims, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables.entries import outcome
from chipwise.tables.sheet import (
    NONE,
    Answer,
    Document,
    Say,
    flat,
    grid,
    number,
    scaled,
    sheet,
    short,
    status,
    versions,
)
from chipwise.words import say, told

__all__ = [
    "at_day",
    "claim_rows",
    "claims",
    "frontier",
    "landscape",
    "landscape_rows",
    "policy",
    "policy_rows",
    "statuses",
    "timeline",
    "timeline_rows",
]

_FIRES = {True: "yes", False: "no", None: "unknown"}


def policy(found: Answer, lang: str) -> Document:
    """Every rule that was evaluated on both sides, with its arithmetic."""
    word = partial(say, lang)
    asked = {k: found[k] for k in ("chip", "to", "on")}
    asked |= {"route": word(f"route.{found['route']}"), "status": status(word, found["status"])}
    document: Document = [word("title.policy", **asked)]
    for side in ("export", "import"):
        document += _side(lang, side, found[side])
    for name, key, value in (
        ("needs", "needs", [_of_rule(lang, text) for text in found["needs"]]),
        ("missing", "facts", found["unknown"]),
        ("disputed", "facts", [_disputed(lang, each) for each in found["disputes"]]),
        ("not_evaluated", "rules", found["not_evaluated"]),
        ("unverified", "fields", found["rests_on_unverified"]),
    ):
        if value:
            document.append(word(f"line.{name}", **{key: word("word.next").join(value)}))
    return [*document, word("line.not_legal_advice"), versions(word, found)]


def _step(lang: str, line: str) -> str:
    """A line of a rule's arithmetic: a sum, or a comparison with its answer."""
    what, _, answer = line.rpartition(": ")
    if answer not in ("yes", "no", "unknown"):
        return told(lang, line)
    return say(lang, "line.step", what=what, answer=say(lang, f"word.{answer}"))


def _of_rule(lang: str, text: str) -> str:
    """What a rule's file says, in another language where it does."""
    from chipwise.catalog.rulebook import rules_in_chinese  # noqa: PLC0415 -- slow to import

    if lang == "en":
        return text
    known = rules_in_chinese()
    parts = [text] if text in known else text.split("; ")
    return say(lang, "word.next").join(known.get(part) or told(lang, part) for part in parts)


def _disputed(lang: str, of: Answer) -> str:
    """What is read in two ways, with the status that either reading gives."""
    statuses = [say(lang, f"status.{of[k]}") for k in ("stated_status", "other_status")]
    parts = {k: _of_rule(lang, of[k]) for k in ("name", "stated", "other", "because")}
    key = "line.either" if statuses[0] == statuses[1] else "line.differ"
    return say(lang, key, **parts, one=statuses[0], two=statuses[1])


def _side(lang: str, side: str, found: Answer) -> Document:
    word = partial(say, lang)
    whole = status(word, found["status"])
    title = word("title.policy_side", side=word(f"word.{side}"), status=whole)
    if not found["rules"]:
        return [word("line.no_rules", side=title)]
    rows = [
        (
            rule["id"],
            word(f"word.{_FIRES[rule['fires']]}"),
            outcome(word, rule["outcome"]),
            word("word.next").join(_step(lang, s) for s in rule["arithmetic"]) or NONE,
        )
        for rule in found["rules"]
    ]
    return [sheet(word, title, "rule fires outcome arithmetic", rows)]


def statuses(found: Sequence[Answer], lang: str) -> Document:
    """Every chip's status on a day."""
    word = partial(say, lang)
    rows = [
        (
            short(one["chip"]),
            *(status(word, one[k]) for k in ("status", "export_status", "import_status")),
            "; ".join(one["unknown"]) or NONE,
        )
        for one in found
    ]
    asked = {k: found[0][k] for k in ("to", "on")}
    title = word("law.all", **asked, route=word(f"route.{found[0]['route']}"))
    names = "chip status export import unknown"
    return [sheet(word, title, names, rows, section="law"), word("line.not_legal_advice")]


def landscape(found: Answer, lang: str) -> Document:
    """What a map of the rules shows of every chip, on the day asked for."""
    word = partial(say, lang)
    at = at_day(found)
    rows = [
        (
            short(one["chip"]),
            *(number(one[key]) for key in ("tpp", "density", "memory_bandwidth")),
            status(word, one["statuses"][at]),
        )
        for one in found["chips"]
    ]
    names = "heading.chip chart.tpp chart.density chart.memory_bandwidth heading.status"
    made = grid(
        word("chart.statuses", day=found["days"][at]), map(word, names.split()), rows, (1, 2, 3)
    )
    return [made, word("line.not_legal_advice")]


def landscape_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A chip in each row, with its status on the day asked for."""
    at = at_day(found)
    for one in found["chips"]:
        told_of = {k: v for k, v in one.items() if k != "statuses"}
        yield {**told_of, "status": one["statuses"][at], "since": found["days"][at]}


def at_day(found: Answer) -> int:
    """Place of the last day on which something changed until the one asked for."""
    return max((at for at, each in enumerate(found["days"]) if each <= found["on"]), default=0)


def timeline(found: Answer, lang: str) -> Document:
    """A chip's statuses over time."""
    word = partial(say, lang)
    rows = [
        (
            p["start"],
            *(status(word, p[k]) for k in ("status", "export", "import")),
            "; ".join(p["rules"]) or NONE,
        )
        for p in found["periods"]
    ]
    asked = {k: found[k] for k in ("chip", "to")}
    title = word("law.timeline", **asked, route=word(f"route.{found['route']}"))
    names = "since status export import rules"
    return [sheet(word, title, names, rows, section="law"), word("line.not_legal_advice")]


def policy_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each rule, with the verdict of its side and the whole."""
    asked = {k: found[k] for k in ("chip", "to", "on", "route", "status")}
    for side in ("export", "import"):
        status = found[side]["status"]
        for rule in found[side]["rules"] or [{}]:
            yield {**asked, "side": side, "side_status": status, **flat(rule)}


def timeline_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A row for each period."""
    for period in found["periods"]:
        yield {"chip": found["chip"], **period, "rules": "; ".join(period["rules"])}


# -- frontier ------------------------------------------------------------------------------------


_COLUMNS = "chip inside tpp density bandwidth prefill decode"
_CURVE = "tpp density bandwidth prefill decode"
_MOST_ROWS = 12


def _speed(point: Answer, name: str) -> str:
    at_most = point["at_most"]
    return f"≤ {number(at_most[name])}" if at_most else number(point[name])


def _share(one: float | None, whole: float | None) -> str:
    return NONE if one is None or not whole else f"{100 * one / whole:.0f} %"


def _cells(word: Say, name: str, point: Answer) -> tuple[str, ...]:
    return (
        name,
        word(f"word.{_FIRES[point['inside']]}"),
        number(point["tpp"], 4),
        number(point["density"]),
        scaled(point["memory_bandwidth"], "GB/s", 4),
        _speed(point, "prefill_tokens_per_s"),
        _speed(point, "decode_tokens_per_s"),
    )


def frontier(found: Answer, lang: str) -> Document:
    """The best chips inside the rule, the curve along it, and the real ones."""
    word = partial(say, lang)
    best, free = found["best"], found["unrestricted"]
    rows = [_cells(word, word(f"law.best_{name}"), point) for name, point in best.items() if point]
    rows += [_cells(word, word(f"law.free_{name}"), point) for name, point in free.items()]
    rows += [_cells(word, short(p["chip"]), p) for p in found["points"] if p["real"]]
    asked = {k: found[k] for k in ("rule", "model", "weights", "kv")}
    asked |= {k: number(found[k]) for k in ("isl", "osl")}
    title = word("law.frontier", **asked)
    document: Document = [sheet(word, title, _COLUMNS, rows, range(2, 7), section="law")]
    curve = found["envelope"]
    if curve:
        step = max(len(curve) // _MOST_ROWS, 1)
        edge = [_cells(word, "", point)[2:] for point in curve[::-step][::-1]]
        document.append(sheet(word, word("law.curve"), _CURVE, edge, range(5), section="law"))
    points = {point["chip"]: point for point in found["points"]}
    document += [
        _worth_line(word, each, points[each["chip"]])
        for each in found["worth"]
        if each["decode_share"] is not None
    ]
    document += _summary(word, found)
    document += [
        word("line.why", chip=short(point["chip"]), why=told(lang, point["why"]))
        for point in found["points"]
        if point["why"]
    ]
    return [*document, word("line.not_legal_advice")]


def _worth_line(word: Say, each: Answer, point: Answer) -> str:
    """A chip's tokens per second, and their share of those of the chip it was cut from."""
    names = {"chip": short(each["chip"]), "beside": short(each["beside"])}
    shares = {f"{k}_share": _share(each[f"{k}_share"], 1.0) for k in ("prefill", "decode")}
    told_ = point["at_most"] or point
    speeds = {k: told_[f"{k}_tokens_per_s"] for k in ("prefill", "decode")}
    key = "law.worth_at_most" if each["at_most"] else "law.worth"
    return word(key, **names, **shares, **{k: number(v) for k, v in speeds.items()})


def _summary(word: Say, found: Answer) -> list[str]:
    """What the rule takes, and what a chip can be made of."""
    best, free, process = found["best"], found["unrestricted"], found["process"]
    lines = [
        word(
            "law.process",
            like=short(process["like"]),
            area=number(process["die_area_mm2"], 4),
            stacks=process["stacks"],
            memory=process["memory"],
            bandwidth=scaled(process["memory_bandwidth"], "GB/s", 4),
            power=number(process["power_w"], 4),
            tpp=number(process["tpp"], 4),
            area_of=short(process["tpp_per_mm2_of"]),
            power_of=short(process["tpp_per_w_of"]),
        )
    ]
    if best["decode"] is None:
        return [*lines, word("law.nothing")]
    lost = {
        k: _share(best[k][f"{k}_tokens_per_s"], free[k][f"{k}_tokens_per_s"])
        for k in ("prefill", "decode")
    }
    return [*lines, word("law.leaves", **lost)]


# -- claims --------------------------------------------------------------------------------------


def claims(found: Sequence[Answer], lang: str) -> Document:
    """Each claim with its verdict and the sentence to print, then what each rests on."""
    word = partial(say, lang)
    rows = [
        (
            one["id"],
            one["texts"][lang]["claim"],
            word(f"law.verdict_{one['verdict']}"),
            _sums(one),
            one["texts"][lang]["sentence"] or NONE,
        )
        for one in found
    ]
    title, names = word("law.claims", count=len(found)), "id claim verdict sums sentence"
    document: Document = [sheet(word, title, names, rows, section="law")]
    for one in found:
        document += _grounds(word, one["id"], one, one["texts"][lang])
    return [*document, word("line.not_legal_advice")]


def _sums(one: Answer) -> str:
    shown = [f"{name} = {number(value, 4)}" for name, value in one["computed"].items()]
    return "; ".join(shown) or NONE


def _grounds(word: Say, id_: str, one: Answer, texts: Answer) -> list[str]:
    """What a claim rests on, what it lacks, and what would settle it."""
    lines = (
        ("setting", "setting", texts["setting"]),
        ("lacks", "facts", "; ".join(one["missing"])),
        ("settled_by", "what", texts["settled_by"]),
        ("unverified", "fields", "; ".join(one["rests_on_unverified"])),
    )
    return [word(f"law.{name}", id=id_, **{key: text}) for name, key, text in lines if text]


def claim_rows(found: Sequence[Answer]) -> Iterable[Mapping[str, Any]]:
    """A row for each sum of a claim, or one where it has none."""
    for one in found:
        told_of = {k: one[k] for k in ("id", "claim", "verdict", "setting", "sentence")}
        told_of["sources"] = "; ".join(one["sources"])
        sums = one["computed"] or {"": None}
        for name, value in sums.items():
            yield {**told_of, "name": name, "value": value, "formula": one["formula"].get(name, "")}
