"""Tables of all chips' statuses, timelines, frontiers and claims, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables import Cell, Sheet, flat, number, short
from chipwise.units import from_base
from chipwise.words import say, told

__all__ = [
    "claim_rows",
    "claims",
    "frontier",
    "landscape",
    "landscape_rows",
    "policy_rows",
    "statuses",
    "timeline",
    "timeline_rows",
]

Answer = Mapping[str, Any]
Document = list["Sheet | str"]
_Say = Any
_NONE = "—"
_BEST = {"prefill": "law.best_prefill", "decode": "law.best_decode"}
_FREE = {"prefill": "law.free_prefill", "decode": "law.free_decode"}
_VERDICTS = {
    "holds": "law.verdict_holds",
    "holds_in_part": "law.verdict_holds_in_part",
    "does_not_hold": "law.verdict_does_not_hold",
    "cannot_be_known": "law.verdict_cannot_be_known",
}


def _sheet(
    word: _Say, title: str, names: str, rows: Iterable[Sequence[Cell]], right: Iterable[int] = ()
) -> Sheet:
    headings = tuple(word(f"law.{name}") for name in names.split())
    return Sheet(title, headings, tuple(tuple(row) for row in rows), frozenset(right))


def _status(word: _Say, status: str) -> Cell:
    return Cell(word(f"status.{status}"))


def statuses(found: Sequence[Answer], lang: str) -> Document:
    """Every chip's status on a day."""
    word = partial(say, lang)
    rows = [
        (
            Cell(short(one["chip"])),
            *(_status(word, one[k]) for k in ("status", "export_status", "import_status")),
            Cell("; ".join(one["unknown"]) or _NONE),
        )
        for one in found
    ]
    asked = {k: found[0][k] for k in ("to", "on")}
    title = word("law.all", **asked, route=word(f"route.{found[0]['route']}"))
    sheet = _sheet(word, title, "chip status export import unknown", rows)
    return [sheet, word("line.not_legal_advice")]


def landscape(found: Answer, lang: str) -> Document:
    """What a map of the rules shows of every chip, on the day asked for."""
    word = partial(say, lang)
    day, at = _shown(found)
    rows = [
        (
            Cell(short(one["chip"])),
            *(Cell(number(one[key])) for key in ("tpp", "density", "memory_bandwidth")),
            _status(word, one["statuses"][at]),
        )
        for one in found["chips"]
    ]
    names = "heading.chip chart.tpp chart.density chart.memory_bandwidth heading.status"
    title = word("chart.statuses", day=day)
    headings = tuple(map(word, names.split()))
    sheet = Sheet(title, headings, tuple(rows), frozenset((1, 2, 3)))
    return [sheet, word("line.not_legal_advice")]


def landscape_rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """A chip in each row, with its status on the day asked for."""
    day, at = _shown(found)
    for one in found["chips"]:
        told = {k: v for k, v in one.items() if k != "statuses"}
        yield {**told, "status": one["statuses"][at], "since": day}


def _shown(found: Answer) -> tuple[str, int]:
    """The last day on which something changed until the one asked for, and its place."""
    at = max((at for at, each in enumerate(found["days"]) if each <= found["on"]), default=0)
    return found["days"][at], at


def timeline(found: Answer, lang: str) -> Document:
    """A chip's statuses over time."""
    word = partial(say, lang)
    rows = [
        (
            Cell(p["start"]),
            *(_status(word, p[k]) for k in ("status", "export", "import")),
            Cell("; ".join(p["rules"]) or _NONE),
        )
        for p in found["periods"]
    ]
    asked = {k: found[k] for k in ("chip", "to")}
    title = word("law.timeline", **asked, route=word(f"route.{found['route']}"))
    sheet = _sheet(word, title, "since status export import rules", rows)
    return [sheet, word("line.not_legal_advice")]


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


def _gb(rate: float | None) -> str:
    return _NONE if rate is None else number(from_base(rate, "GB/s"), 4)


def _speed(point: Answer, name: str) -> Cell:
    if point["at_most"]:
        return Cell(f"≤ {number(point['at_most'][name])}")
    return Cell(number(point[name]))


def _share(one: float | None, whole: float | None) -> str:
    return _NONE if one is None or not whole else f"{100 * one / whole:.0f} %"


def _cells(word: _Say, name: str, point: Answer) -> tuple[Cell, ...]:
    inside = {True: "yes", False: "no", None: "unknown"}[point["inside"]]
    return (
        Cell(name),
        Cell(word(f"word.{inside}")),
        Cell(number(point["tpp"], 4)),
        Cell(number(point["density"])),
        Cell(_gb(point["memory_bandwidth"])),
        _speed(point, "prefill_tokens_per_s"),
        _speed(point, "decode_tokens_per_s"),
    )


_COLUMNS = "chip inside tpp density bandwidth prefill decode"
_CURVE = "tpp density bandwidth prefill decode"
_MOST_ROWS = 12


def frontier(found: Answer, lang: str) -> Document:
    """The best chips inside the rule, the curve along it, and the real ones."""
    word = partial(say, lang)
    best, free = found["best"], found["unrestricted"]
    rows = [_cells(word, word(_BEST[name]), point) for name, point in best.items() if point]
    rows += [_cells(word, word(_FREE[name]), point) for name, point in free.items()]
    rows += [_cells(word, short(p["chip"]), p) for p in found["points"] if p["real"]]
    right = range(2, 7)
    asked = {k: found[k] for k in ("rule", "model", "weights", "kv")}
    asked |= {k: number(found[k]) for k in ("isl", "osl")}
    document: Document = [_sheet(word, word("law.frontier", **asked), _COLUMNS, rows, right)]
    curve = found["envelope"]
    if curve:
        step = max(len(curve) // _MOST_ROWS, 1)
        shown = [*curve[::-step][::-1]]
        edge = [_cells(word, "", point)[2:] for point in shown]
        document.append(_sheet(word, word("law.curve"), _CURVE, edge, range(5)))
    points = {point["chip"]: point for point in found["points"]}
    document += [
        _worth_line(word, each, points[each["chip"]])
        for each in found["worth"]
        if each["decode_share"] is not None
    ]
    document += _summary(word, found)
    for point in found["points"]:
        if point["why"]:
            why = told(lang, point["why"])
            document.append(word("line.why", chip=short(point["chip"]), why=why))
    return [*document, word("line.not_legal_advice")]


def _worth_line(word: _Say, each: Answer, point: Answer) -> str:
    """A chip's tokens per second, and their share of those of the chip it was cut from."""
    names = {"chip": short(each["chip"]), "beside": short(each["beside"])}
    shares = {f"{k}_share": _share(each[f"{k}_share"], 1.0) for k in ("prefill", "decode")}
    told_ = point["at_most"] or point
    speeds = {k: told_[f"{k}_tokens_per_s"] for k in ("prefill", "decode")}
    key = "law.worth_at_most" if each["at_most"] else "law.worth"
    return str(word(key, **names, **shares, **{k: number(v) for k, v in speeds.items()}))


def _summary(word: _Say, found: Answer) -> list[str]:
    """What the rule takes, and what a chip can be made of."""
    best, free, process = found["best"], found["unrestricted"], found["process"]
    lines = [
        word(
            "law.process",
            like=short(process["like"]),
            area=number(process["die_area_mm2"], 4),
            stacks=process["stacks"],
            memory=process["memory"],
            bandwidth=_gb(process["memory_bandwidth"]),
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
            Cell(one["id"]),
            Cell(one["texts"][lang]["claim"]),
            Cell(word(_VERDICTS[one["verdict"]])),
            Cell(_sums(one)),
            Cell(one["texts"][lang]["sentence"] or _NONE),
        )
        for one in found
    ]
    title = word("law.claims", count=len(found))
    document: Document = [_sheet(word, title, "id claim verdict sums sentence", rows)]
    for one in found:
        document += _grounds(word, lang, one)
    return [*document, word("line.not_legal_advice")]


def _sums(one: Answer) -> str:
    shown = [f"{name} = {number(value, 4)}" for name, value in one["computed"].items()]
    return "; ".join(shown) or _NONE


def _grounds(word: _Say, lang: str, one: Answer) -> list[str]:
    lines = []
    texts = one["texts"][lang]
    if texts["setting"]:
        lines.append(word("law.setting", id=one["id"], setting=texts["setting"]))
    if one["missing"]:
        lines.append(word("law.lacks", id=one["id"], facts="; ".join(one["missing"])))
    if texts["settled_by"]:
        lines.append(word("law.settled_by", id=one["id"], what=texts["settled_by"]))
    if one["rests_on_unverified"]:
        fields = "; ".join(one["rests_on_unverified"])
        lines.append(word("law.unverified", id=one["id"], fields=fields))
    return lines


def claim_rows(found: Sequence[Answer]) -> Iterable[Mapping[str, Any]]:
    """A row for each sum of a claim, or one where it has none."""
    for one in found:
        told_ = {k: one[k] for k in ("id", "claim", "verdict", "setting", "sentence")}
        told_["sources"] = "; ".join(one["sources"])
        sums = one["computed"] or {"": None}
        for name, value in sums.items():
            yield {**told_, "name": name, "value": value, "formula": one["formula"].get(name, "")}
