"""Tables of a fleet plan, in English or Chinese, and its flat rows for CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chipwise.tables import Cell, Sheet, number
from chipwise.words import say, told

__all__ = ["fleet", "rows"]

Answer = Mapping[str, Any]
_MILLION = 1e6
# Words for the keys of the answer.
_PARTS = {
    "purchase": "part_purchase",
    "fees": "part_fees",
    "rent": "part_rent",
    "electricity": "part_electricity",
    "hosting": "part_hosting",
    "upkeep": "part_upkeep",
    "switching": "part_switching",
    "unserved": "part_unserved",
    "spares": "part_spares",
    "resale": "part_resale",
}
_LIMITS = {
    "power": "limit_power",
    "supply": "limit_supply",
    "budget": "limit_budget",
    "quota": "limit_quota",
    "store": "limit_store",
}
_BY = {
    "vendor": "by_vendor",
    "country": "by_country",
    "fab": "by_fab",
    "memory": "by_memory",
    "software": "by_software",
    "chip": "by_chip",
}


def rows(found: Answer) -> Iterable[Mapping[str, Any]]:
    """Every order, rent, retirement and release, a row each."""
    for move in ("buy", "rent", "retire", "release"):
        for each in found[move]:
            yield {"move": move, **each}


def fleet(found: Answer, lang: str) -> list[Sheet | str]:
    """The plan, what it costs, on whom it depends, and what cut-offs would cost."""
    word = partial(say, lang)
    document: list[Sheet | str] = [_summary(word, found)]
    document.append(_costs(word, found))
    document += [_moves(word, found, move) for move in ("buy", "rent") if found[move]]
    document.append(_years(word, found))
    document.append(_shares(word, found))
    document += _limits(word, found)
    document += _cuts(word, found)
    document += _curve(word, found)
    document += _regret(word, found)
    document += _spares(word, found)
    if found["rolling"]:
        document.append(word("fleet.rolling", usd=_money(found["rolling"]["cost_usd"]).text))
    document += [word("line.why", chip=name, why=told(lang, why)) for name, why in _left(found)]
    document += [told(lang, note) for note in found["notes"]]
    document.append(word("line.not_legal_advice"))
    return document


def _sheet(
    word: Any, title: str, names: Sequence[str], cells: Iterable[Sequence[Cell]], keys: int = 1
) -> Sheet:
    made = tuple(tuple(row) for row in cells)
    return Sheet(title, tuple(names), made, frozenset(range(keys, len(names))), keys)


def _money(usd: float | None) -> Cell:
    return Cell(number(None if usd is None else usd / _MILLION, 4))


def _span(found: Mapping[str, float]) -> Cell:
    return Cell(f"{number(found['low'] / _MILLION, 4)}–{number(found['high'] / _MILLION, 4)}")


def _percent(share: float) -> Cell:
    return Cell(f"{100 * share:.1f} %")


def _summary(word: Any, found: Answer) -> str:
    text: str = word(
        "fleet.summary",
        title=found["title"] or found["source"],
        usd=_money(found["objective_usd"]).text,
        gap=f"{100 * found['gap']:.2f}",
        unserved=f"{100 * found['unserved_share']:.2f}",
        elapsed=f"{found['elapsed_s']:.1f}",
    )
    return text


def _costs(word: Any, found: Answer) -> Sheet:
    cells = [
        (Cell(word(f"fleet.{name}")), _money(found["cost_usd"][part]))
        for part, name in _PARTS.items()
        if abs(found["cost_usd"][part]) >= 1.0
    ]
    headings = (word("fleet.part"), word("fleet.million_usd"))
    return _sheet(word, word("fleet.costs"), headings, cells)


def _name(each: Mapping[str, Any]) -> str:
    return f"{each['period']} {each['scenario']}" if each["scenario"] else str(each["period"])


def _moves(word: Any, found: Answer, move: str) -> Sheet:
    """Chips by year, chip and place; scenarios apart."""
    total: dict[tuple[str, str, str], dict[str, float]] = {}
    years = sorted({p[:4] for p in found["periods"]})
    per = 1.0 if move == "buy" else 0.25
    for each in found[move]:
        key = (each["scenario"] or "", each["chip"], each["place"])
        year = total.setdefault(key, dict.fromkeys(years, 0.0))
        year[each["period"][:4]] += per * each["count"]
    cells = [
        (Cell(chip), Cell(place), Cell(scenario), *(Cell(_count(n)) for n in row.values()))
        for (scenario, chip, place), row in sorted(total.items())
    ]
    headings = (word("heading.chip"), word("fleet.place"), word("fleet.scenario"), *years)
    return _sheet(word, word(f"fleet.{move}"), headings, cells, 3)


def _count(count: float) -> str:
    return f"{count:,.0f}" if count >= 0.5 else "—"


def _firsts(found: Answer, key: str) -> list[Mapping[str, Any]]:
    """What is told of the first quarter of each year, scenarios apart, and of the last one."""
    last = found["periods"][-1]
    return [e for e in found[key] if e["period"].endswith("-Q1") or e["period"] == last]


def _years(word: Any, found: Answer) -> Sheet:
    """What classes cost, and the power drawn, at the beginning of each year."""
    stands = _firsts(found, "by_period")
    classes = list(stands[0]["asked_tokens_per_s"]) if stands else []
    cells = []
    for each in stands:
        asked = sum(each["asked_tokens_per_s"].values())
        missed = sum(each["unserved_tokens_per_s"].values())
        cells.append(
            (
                Cell(_name(each)),
                _percent(missed / asked if asked else 0.0),
                Cell(number(sum(each["power_w"].values()) / _MILLION)),
                *(Cell(number(each["usd_per_million_tokens"][k])) for k in classes),
            )
        )
    headings = (
        word("fleet.period"),
        word("fleet.unserved"),
        word("fleet.power_mw"),
        *(word("fleet.usd_of", name=k) for k in classes),
    )
    return _sheet(word, word("fleet.years"), headings, cells)


def _shares(word: Any, found: Answer) -> Sheet:
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
                Cell(_name(each)),
                *(_percent(each["shares"].get(v, 0.0)) for v in vendors),
                Cell(number(each["hhi"]["low"])),
                *(Cell(_bounds(same[o]["hhi"])) for o in others),
            )
        )
    headings = (
        word("fleet.period"),
        *vendors,
        word("fleet.hhi_of", name=word("fleet.by_vendor")),
        *(word("fleet.hhi_of", name=word(f"fleet.{_BY[o]}")) for o in others),
    )
    return _sheet(word, word("fleet.dependence"), headings, cells)


def _bounds(found: Mapping[str, float]) -> str:
    low, high = number(found["low"]), number(found["high"])
    return low if low == high else f"{low}–{high}"


def _limits(word: Any, found: Answer) -> list[Sheet | str]:
    """Limits that bind, the most that one more unit of each is worth, and in how many quarters."""
    best: dict[tuple[str, str, str], list[float]] = {}
    for each in found["duals"]:
        best.setdefault((each["limit"], each["of"], each["unit"]), []).append(each["value"])
    cells = [
        (
            Cell(word(f"fleet.{_LIMITS[limit]}")),
            Cell(of),
            Cell(unit),
            Cell(number(max(values))),
            Cell(str(len(values))),
        )
        for (limit, of, unit), values in sorted(best.items())
    ]
    if not cells:
        return []
    headings = [word(f"fleet.{n}") for n in ("limit", "whose", "worth_unit", "worth", "binds")]
    return [_sheet(word, word("fleet.limits"), headings, cells, 3)]


def _cuts(word: Any, found: Answer) -> list[Sheet | str]:
    document: list[Sheet | str] = []
    for cut in found["cut_offs"]:
        named = next(k for k in cut if k in _BY)
        if cut["recovers"]:
            again = word("fleet.recovers", period=cut["recovers"], count=cut["quarters_to_recover"])
        else:
            again = word("fleet.never")
        if cut["from"] is None:
            again = word("fleet.nothing")
        document.append(
            word(
                "fleet.cut",
                what=f"{word(f'fleet.{_BY[named]}')} {cut[named]}",
                period=cut["from"] or word("fleet.after"),
                usd=_span(cut["cost_usd"]).text,
                unserved=f"{100 * cut['unserved_share']:.2f}",
                without=f"{100 * cut['unserved_share_without']:.2f}",
                again=again,
            )
        )
        document += _beside(word, cut)
    return document


def _beside(word: Any, cut: Answer) -> list[Sheet | str]:
    """Who serves with and without a cut-off, in shares of the tokens served."""
    if cut["with"] is None:
        return []
    tables = {side: _serving(cut[side]["serve"]) for side in ("without", "with")}
    periods = [p for p in tables["with"] if p.endswith(("-Q4", "-Q1"))]
    chips = sorted({c for side in tables.values() for row in side.values() for c in row})
    cells = [
        (
            Cell(chip),
            *(
                Cell(
                    f"{100 * tables['without'].get(p, {}).get(chip, 0.0):.0f} → "
                    f"{100 * tables['with'][p].get(chip, 0.0):.0f}"
                )
                for p in periods
            ),
        )
        for chip in chips
    ]
    headings = (word("heading.chip"), *periods)
    return [_sheet(word, word("fleet.beside"), headings, cells)]


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


def _curve(word: Any, found: Answer) -> list[Sheet | str]:
    cells = [
        (_percent(e["share"]), _span(e["premium_usd"]), _percent(e["unserved_share"]))
        for e in found["diversification"]
    ]
    headings = [word(f"fleet.{n}") for n in ("cap", "premium", "unserved")]
    return [_sheet(word, word("fleet.curve"), headings, cells)] if cells else []


def _regret(word: Any, found: Answer) -> list[Sheet | str]:
    table = found["regret_usd"]
    if not table:
        return []
    scenarios = list(next(iter(table.values())))
    cells = [(Cell(plan), *(_span(row[s]) for s in scenarios)) for plan, row in table.items()]
    return [_sheet(word, word("fleet.regret"), (word("fleet.plan"), *scenarios), cells)]


def _spares(word: Any, found: Answer) -> list[Sheet | str]:
    cells = [
        (Cell(number(e["count"])), _span(e["cut_off_usd"]), _money(e["keeping_usd"]))
        for e in found["spares"]
    ]
    headings = [word(f"fleet.{n}") for n in ("spare_count", "cut_cost", "keeping")]
    return [_sheet(word, word("fleet.spares"), headings, cells)] if cells else []


def _left(found: Answer) -> list[tuple[str, str]]:
    """What has no throughput, and why."""
    return [
        (f"{e['chip']}, {e['demand']}", e["why"])
        for e in found["throughput"]
        if e["tokens_per_s_per_chip"] is None
    ]
