"""Tables of a fleet plan, in English or Chinese, and its flat rows for CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables.sheet import NONE, Answer, Document, Say, Sheet, grid, number
from chipwise.words import say, told

__all__ = ["fleet", "rows"]

_MILLION = 1e6
# As they are told: what is spent, then what comes back.
_PARTS = (
    *("purchase", "fees", "rent", "electricity", "hosting", "upkeep", "switching", "unserved"),
    *("spares", "resale"),
)
_ATTRIBUTES = ("vendor", "country", "fab", "memory", "software", "chip")


def rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """Every order, rent, retirement and release, a row each."""
    for move in ("buy", "rent", "retire", "release"):
        for each in found[move]:
            yield {"move": move, **each}


def fleet(found: Answer, lang: str) -> Document:
    """The plan, what it costs, on whom it depends, and what cut-offs would cost."""
    word = partial(say, lang)
    document: Document = [
        _summary(word, found),
        _costs(word, found),
        *(_moves(word, found, move) for move in ("buy", "rent") if found[move]),
        _years(word, found),
        _shares(word, found),
        *_limits(word, found),
        *_cuts(word, found),
        *_curve(word, found),
        *_regret(word, found),
        *_spares(word, found),
    ]
    if found["rolling"]:
        document.append(word("fleet.rolling", usd=_money(found["rolling"]["cost_usd"])))
    document += [
        word("line.why", chip=f"{e['chip']}, {e['demand']}", why=told(lang, e["why"]))
        for e in found["throughput"]
        if e["tokens_per_s_per_chip"] is None
    ]
    document += [told(lang, note) for note in found["notes"]]
    return [*document, word("line.not_legal_advice")]


def _sheet(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], keys: int = 1
) -> Sheet:
    """A table of numbers, but for the first columns."""
    return grid(title, headings, rows, range(keys, len(headings)), keys)


def _headings(word: Say, names: str) -> list[str]:
    return [word(f"fleet.{name}") for name in names.split()]


def _money(usd: float | None) -> str:
    return number(None if usd is None else usd / _MILLION, 4)


def _span(found: Mapping[str, float]) -> str:
    return f"{_money(found['low'])}–{_money(found['high'])}"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def _summary(word: Say, found: Answer) -> str:
    return word(
        "fleet.summary",
        title=found["title"] or found["source"],
        usd=_money(found["objective_usd"]),
        gap=_percent(found["gap"], 2),
        unserved=_percent(found["unserved_share"], 2),
        elapsed=f"{found['elapsed_s']:.1f}",
    )


def _costs(word: Say, found: Answer) -> Sheet:
    cells = [
        (word(f"fleet.part_{part}"), _money(found["cost_usd"][part]))
        for part in _PARTS
        if abs(found["cost_usd"][part]) >= 1.0
    ]
    return _sheet(word("fleet.costs"), _headings(word, "part million_usd"), cells)


def _name(each: Mapping[str, Any]) -> str:
    return f"{each['period']} {each['scenario']}" if each["scenario"] else str(each["period"])


def _moves(word: Say, found: Answer, move: str) -> Sheet:
    """Chips by year, chip and place; scenarios apart."""
    total: dict[tuple[str, str, str], dict[str, float]] = {}
    years = sorted({p[:4] for p in found["periods"]})
    per = 1.0 if move == "buy" else 0.25
    for each in found[move]:
        key = (each["scenario"] or "", each["chip"], each["place"])
        year = total.setdefault(key, dict.fromkeys(years, 0.0))
        year[each["period"][:4]] += per * each["count"]
    cells = [
        (chip, place, scenario, *map(_count, row.values()))
        for (scenario, chip, place), row in sorted(total.items())
    ]
    headings = (word("heading.chip"), *_headings(word, "place scenario"), *years)
    return _sheet(word(f"fleet.{move}"), headings, cells, 3)


def _count(count: float) -> str:
    return f"{count:,.0f}" if count >= 0.5 else NONE


def _firsts(found: Answer, key: str) -> list[Mapping[str, Any]]:
    """What is told of the first quarter of each year, scenarios apart, and of the last one."""
    last = found["periods"][-1]
    return [e for e in found[key] if e["period"].endswith("-Q1") or e["period"] == last]


def _years(word: Say, found: Answer) -> Sheet:
    """What classes cost, and the power drawn, at the beginning of each year."""
    stands = _firsts(found, "by_period")
    classes = list(stands[0]["asked_tokens_per_s"]) if stands else []
    cells = []
    for each in stands:
        asked = sum(each["asked_tokens_per_s"].values())
        missed = sum(each["unserved_tokens_per_s"].values())
        cells.append(
            (
                _name(each),
                f"{_percent(missed / asked if asked else 0.0)} %",
                number(sum(each["power_w"].values()) / _MILLION),
                *(number(each["usd_per_million_tokens"][k]) for k in classes),
            )
        )
    named = [word("fleet.usd_of", name=k) for k in classes]
    headings = (*_headings(word, "period unserved power_mw"), *named)
    return _sheet(word("fleet.years"), headings, cells)


def _shares(word: Say, found: Answer) -> Sheet:
    """Who serves the tokens, by vendor; concentration by every attribute."""
    mine = _firsts(found, "dependence")
    vendors = sorted({v for e in mine if e["by"] == "vendor" for v in e["shares"]})
    others = ("country", "fab", "memory", "software")
    cells = []
    for each in mine:
        if each["by"] != "vendor":
            continue
        same = {e["by"]: e for e in mine if _name(e) == _name(each)}
        cells.append(
            (
                _name(each),
                *(f"{_percent(each['shares'].get(v, 0.0))} %" for v in vendors),
                number(each["hhi"]["low"]),
                *(_bounds(same[o]["hhi"]) for o in others),
            )
        )
    hhi = [word("fleet.hhi_of", name=word(f"fleet.by_{o}")) for o in ("vendor", *others)]
    return _sheet(word("fleet.dependence"), (word("fleet.period"), *vendors, *hhi), cells)


def _bounds(found: Mapping[str, float]) -> str:
    low, high = number(found["low"]), number(found["high"])
    return low if low == high else f"{low}–{high}"


def _limits(word: Say, found: Answer) -> Document:
    """Limits that bind, the most that one more unit of each is worth, and in how many quarters."""
    best: dict[tuple[str, str, str], list[float]] = {}
    for each in found["duals"]:
        best.setdefault((each["limit"], each["of"], each["unit"]), []).append(each["value"])
    cells = [
        (word(f"fleet.limit_{limit}"), of, unit, number(max(values)), str(len(values)))
        for (limit, of, unit), values in sorted(best.items())
    ]
    headings = _headings(word, "limit whose worth_unit worth binds")
    return [_sheet(word("fleet.limits"), headings, cells, 3)] if cells else []


def _cuts(word: Say, found: Answer) -> Document:
    document: Document = []
    for cut in found["cut_offs"]:
        named = next(k for k in cut if k in _ATTRIBUTES)
        if cut["recovers"]:
            again = word("fleet.recovers", period=cut["recovers"], count=cut["quarters_to_recover"])
        else:
            again = word("fleet.never")
        if cut["from"] is None:
            again = word("fleet.nothing")
        document.append(
            word(
                "fleet.cut",
                what=f"{word(f'fleet.by_{named}')} {cut[named]}",
                period=cut["from"] or word("fleet.after"),
                usd=_span(cut["cost_usd"]),
                unserved=_percent(cut["unserved_share"], 2),
                without=_percent(cut["unserved_share_without"], 2),
                again=again,
            )
        )
        document += _beside(word, cut)
    return document


def _beside(word: Say, cut: Answer) -> Document:
    """Who serves with and without a cut-off, in shares of the tokens served."""
    if cut["with"] is None:
        return []
    shares = {side: _serving(cut[side]["serve"]) for side in ("without", "with")}
    periods = [p for p in shares["with"] if p.endswith(("-Q4", "-Q1"))]
    chips = sorted({c for side in shares.values() for row in side.values() for c in row})
    cells = [
        (
            chip,
            *(
                " → ".join(
                    _percent(shares[side].get(p, {}).get(chip, 0.0), 0)
                    for side in ("without", "with")
                )
                for p in periods
            ),
        )
        for chip in chips
    ]
    return [_sheet(word("fleet.beside"), (word("heading.chip"), *periods), cells)]


def _serving(found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Share of each chip in the tokens served, by period."""
    tokens: dict[str, dict[str, float]] = {}
    for each in found:
        row = tokens.setdefault(each["period"], {})
        row[each["chip"]] = row.get(each["chip"], 0.0) + each["tokens_per_s"]
    return {
        period: {chip: count / sum(row.values()) for chip, count in row.items()}
        for period, row in sorted(tokens.items())
    }


def _curve(word: Say, found: Answer) -> Document:
    cells = [
        (f"{_percent(e['share'])} %", _span(e["premium_usd"]), f"{_percent(e['unserved_share'])} %")
        for e in found["diversification"]
    ]
    headings = _headings(word, "cap premium unserved")
    return [_sheet(word("fleet.curve"), headings, cells)] if cells else []


def _regret(word: Say, found: Answer) -> Document:
    table = found["regret_usd"]
    if not table:
        return []
    scenarios = list(next(iter(table.values())))
    cells = [(plan, *(_span(row[s]) for s in scenarios)) for plan, row in table.items()]
    return [_sheet(word("fleet.regret"), (word("fleet.plan"), *scenarios), cells)]


def _spares(word: Say, found: Answer) -> Document:
    cells = [
        (number(e["count"]), _span(e["cut_off_usd"]), _money(e["keeping_usd"]))
        for e in found["spares"]
    ]
    headings = _headings(word, "spare_count cut_cost keeping")
    return [_sheet(word("fleet.spares"), headings, cells)] if cells else []
