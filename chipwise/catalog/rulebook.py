"""Rule files → Rule; every check that such a file can fail.

A rule is one TOML file under data/rules. Its condition may use the terms of rule_terms.toml, which
are put in here, and its destinations the country groups of that file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.catalog.files import DATA, read_toml, where
from chipwise.errors import BadFact, BadInput, UnitError
from chipwise.types import END_USERS, INCLUDE, ROUTES, STATUSES, Doubt, Reading, Rule, RuleCase
from chipwise.units import to_base

__all__ = ["CONFIDENCES", "KINDS", "read_rule", "rule_terms", "rules", "rules_in_chinese"]

KINDS = (
    "law",
    "letter",
    "tariff",
    "act",
    "guidance",
    "announcement",
    "licence",
    "statement",
    "bill",
    "draft",
)
CONFIDENCES = ("source", "reported", "proposed", "unverified", "unknown")
_EFFECTS = ("control", "relax", "note")
_ITEMS = ("us", "any")
_KEYS = {
    "id": str,
    "jurisdiction": str,
    "kind": str,
    "title": dict,
    "eccn": str,
    "start": date,
    "end": date,
    "review_by": date,
    "items": str,
    "origins": list,
    "destinations": list,
    "routes": list,
    "end_users": list,
    "condition": str,
    "effect": str,
    "outcome": str,
    "case": list,
    "relaxes": list,
    "needs": list,
    "duty": float,
    "confidence": str,
    "counted_because": str,
    "doubt": dict,
    "reading": list,
    "citation": str,
    "urls": list,
    "note": str,
    "caught": list,
    "spared": list,
    "uncaught_because": str,
}
_REQUIRED = (
    "id",
    "jurisdiction",
    "kind",
    "title",
    "start",
    "review_by",
    "destinations",
    "routes",
    "condition",
    "effect",
    "confidence",
    "citation",
)
_SPOKEN = {
    str: "text in quotes",
    list: "a list",
    dict: "a table",
    date: "a date such as 2026-11-23 without quotes",
    float: "a number",
}
_COUNTRY = re.compile(r"[A-Z]{2}")
_WORD = re.compile(r"[A-Za-z_]\w*")


@lru_cache(maxsize=1)
def rule_terms() -> tuple[Mapping[str, str], Mapping[str, tuple[str, ...]]]:
    """Expressions by term, and countries by group, as rule files use them."""
    path = DATA / "rule_terms.toml"
    content = read_toml(path)
    terms: dict[str, str] = {}
    for name, expression in content["terms"].items():
        terms[name] = _expanded(expression, terms)
    return terms, {name: tuple(group["countries"]) for name, group in content["groups"].items()}


@lru_cache(maxsize=1)
def _unverified() -> frozenset[str]:
    """Groups of countries without a source."""
    groups = read_toml(DATA / "rule_terms.toml")["groups"]
    return frozenset(n for n, group in groups.items() if group["provenance"] == "unverified")


def _expanded(expression: str, terms: Mapping[str, str]) -> str:
    """An expression with its terms put in; what stands in quotes is left alone."""
    parts = re.split(r"""("[^"]*"|'[^']*')""", " ".join(expression.split()))
    for place in range(0, len(parts), 2):
        parts[place] = _WORD.sub(
            lambda m: f"({terms[m[0]]})" if m[0] in terms else m[0], parts[place]
        )
    return "".join(parts)


def _bad(path: Path, key: str, message: str) -> BadFact:
    return BadFact(where(path, key), key, message)


def _one_of(path: Path, key: str, value: object, known: Collection[str]) -> None:
    if value not in known:
        raise _bad(path, key, f"one of {', '.join(known)} was expected, not {value!r}")


def _texts(path: Path, content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = content.get(key, [])
    if not isinstance(found, list) or not all(isinstance(t, str) and t for t in found):
        raise _bad(path, key, f"a list of texts was expected, not {found!r}")
    if len(set(found)) < len(found):
        raise _bad(path, key, "the same text stands twice")
    return tuple(found)


def _choices(
    path: Path, content: Mapping[str, Any], key: str, known: Collection[str]
) -> tuple[str, ...]:
    found = _texts(path, content, key)
    for each in found:
        _one_of(path, key, each, known)
    return found


def _countries(path: Path, content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Country codes of a list of codes and groups, less what has a minus before it.

    Of all countries (``*``) what is taken away stays, with its minus.
    """
    groups = rule_terms()[1]
    added: dict[str, None] = {}
    taken: set[str] = set()
    for each in _texts(path, content, key):
        name = each.removeprefix("-")
        if name == "*" or _COUNTRY.fullmatch(name):
            members: Iterable[str] = (name,)
        elif name in groups:
            members = groups[name]
        else:
            known = ", ".join(groups)
            raise _bad(path, key, f"a country's two letters, * or one of {known}; not {each!r}")
        if each.startswith("-"):
            taken.update(members)
        else:
            added.update(dict.fromkeys(members))
    left = tuple(c for c in added if c not in taken)
    if not left and content.get(key):
        raise _bad(path, key, 'no country is left; give some, or "*", before those with a minus')
    return (*left, *(f"-{c}" for c in sorted(taken))) if "*" in left else left


def _sure(content: Mapping[str, Any]) -> frozenset[str]:
    """Countries of which the rule tells by a source whether it means them; none if of all."""
    named = {each.removeprefix("-") for each in content["destinations"]}
    if named.isdisjoint(_unverified()):
        return frozenset()
    groups = rule_terms()[1]
    told = named - _unverified()
    return frozenset(country for name in told for country in groups.get(name, (name,)))


def _in_english(path: Path, key: str, value: object, chinese: dict[str, str]) -> str:
    """A text, or the English of a table of en and zh, whose Chinese is kept by it."""
    if isinstance(value, str) and value:
        return value
    both = value if isinstance(value, dict) else {}
    if set(both) != {"en", "zh"} or not all(isinstance(t, str) and t for t in both.values()):
        message = f"text in quotes, or a table of en and zh was expected, not {value!r}"
        raise _bad(path, key, message)
    chinese[both["en"]] = both["zh"]
    return str(both["en"])


def _spoken(path: Path, content: dict[str, Any]) -> dict[str, str]:
    """Chinese of the texts that may be in both languages, by their English, which is left."""
    chinese: dict[str, str] = {}
    if isinstance(content.get("needs"), list):
        content["needs"] = [_in_english(path, "needs", t, chinese) for t in content["needs"]]
    for key, names in (("doubt", ("label", "because")), ("reading", ("because",))):
        found = content.get(key, [])
        for raw in found if isinstance(found, list) else [found]:
            for name in names:
                if isinstance(raw, dict) and name in raw:
                    raw[name] = _in_english(path, key, raw[name], chinese)
    return chinese


def _shape(path: Path, content: Mapping[str, Any]) -> None:
    """Keys that are known, present and of the right type."""
    for key in _REQUIRED:
        if key not in content:
            raise _bad(path, key, "is missing")
    for key, value in content.items():
        if key not in _KEYS:
            raise _bad(path, key, f"unknown key; known are {', '.join(_KEYS)}")
        wanted: Any = _KEYS[key]
        if isinstance(value, bool | datetime) or not isinstance(value, wanted):
            raise _bad(path, key, f"{_SPOKEN[wanted]} was expected, not {value!r}")
    for key in ("condition", "citation"):
        if not content[key].strip():
            raise _bad(path, key, "is empty")


def _dates(path: Path, content: Mapping[str, Any]) -> None:
    start, end, review = content["start"], content.get("end"), content["review_by"]
    if end is not None and end <= start:
        raise _bad(path, "end", f"a day after the start ({start}) was expected, not {end}")
    if review <= start:
        raise _bad(path, "review_by", f"a day after the start ({start}) was expected, not {review}")


def _title(path: Path, content: Mapping[str, Any]) -> Mapping[str, str]:
    title: Mapping[str, str] = content["title"]
    if set(title) != {"en", "zh"} or not all(isinstance(t, str) and t for t in title.values()):
        raise _bad(path, "title", "a table with en and zh was expected")
    return title


def _scope(path: Path, content: Mapping[str, Any]) -> None:
    """What kind of rule it is and what it does, in the words that are known."""
    _one_of(path, "jurisdiction", content["jurisdiction"], ("US", "CN"))
    _one_of(path, "kind", content["kind"], KINDS)
    _one_of(path, "confidence", content["confidence"], CONFIDENCES)
    _one_of(path, "items", content.get("items", "us"), _ITEMS)
    effect = content["effect"]
    _one_of(path, "effect", effect, _EFFECTS)
    if effect == "note":
        for key in ("outcome", "case", "relaxes"):
            if key in content:
                raise _bad(path, key, "a note has no outcome; effect control or relax has")
        return
    if "outcome" not in content:
        raise _bad(path, "outcome", f"is missing; one of {', '.join(STATUSES)} was expected")
    _one_of(path, "outcome", content["outcome"], STATUSES)
    if (effect == "relax") != bool(content.get("relaxes")):
        raise _bad(path, "relaxes", "a relaxation names the rules that it relaxes; others do not")


def _cases(path: Path, content: Mapping[str, Any]) -> tuple[RuleCase, ...]:
    found = []
    for raw in content.get("case", []):
        strange = set(raw) - {"outcome", "destinations", "end_users", "condition"}
        if strange or "outcome" not in raw:
            raise _bad(path, "case", "outcome with destinations, end_users or condition expected")
        _one_of(path, "case", raw["outcome"], STATUSES)
        condition = raw.get("condition", "")
        if not isinstance(condition, str):
            raise _bad(path, "case", f"a condition is text in quotes, not {condition!r}")
        case = RuleCase(
            raw["outcome"],
            _countries(path, raw, "destinations"),
            _choices(path, raw, "end_users", END_USERS),
            _expanded(condition, rule_terms()[0]),
            where(path, "case"),
        )
        found.append(case)
    return tuple(found)


def _reading(path: Path, raw: Mapping[str, Any]) -> Reading:
    for key, wanted in (("name", str), ("chips", list), ("because", str)):
        if not isinstance(raw.get(key), wanted) or not raw[key]:
            raise _bad(path, "reading", f"{key} is missing, or is no {wanted.__name__}")
    value = raw.get("value")
    if isinstance(value, str) and value:
        return Reading(raw["name"], value, _texts(path, raw, "chips"), raw["because"])
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise _bad(path, "reading", f"value must be a text or a number above zero, not {value!r}")
    try:
        base = to_base(value, raw.get("unit", ""))
    except UnitError as error:
        raise _bad(path, "reading", str(error)) from None
    return Reading(raw["name"], base, _texts(path, raw, "chips"), raw["because"])


def _doubt(path: Path, content: Mapping[str, Any]) -> Doubt | None:
    raw = content.get("doubt")
    if raw is None:
        return None
    since = raw.get("since", content["start"])
    texts = [raw.get("label"), raw.get("because")]
    if not all(isinstance(t, str) and t for t in texts) or not isinstance(since, date):
        raise _bad(path, "doubt", "label, because and, perhaps, since (a date) were expected")
    return Doubt(texts[0], since, texts[1])


def read_rule(path: Path) -> Rule:
    """The rule of a TOML file.

    Parameters
    ----------
    path : Path
        The file; its name is the rule's id.

    Raises
    ------
    BadFact
        Says which file, line and key, and what was expected.
    """
    content = read_toml(path)
    _shape(path, content)
    chinese = _spoken(path, content)
    _dates(path, content)
    _scope(path, content)
    if content["id"] != path.stem:
        raise _bad(path, "id", f"the file's name, {path.stem!r}, was expected")
    confidence = content["confidence"]
    return Rule(
        id=content["id"],
        jurisdiction=content["jurisdiction"],
        citation=content["citation"],
        start=content["start"],
        end=content.get("end"),
        destinations=_countries(path, content, "destinations"),
        routes=_choices(path, content, "routes", ROUTES),
        condition=_expanded(content["condition"], rule_terms()[0]),
        outcome=content.get("outcome", ""),
        effect=content["effect"],
        confidence=confidence,
        needs=_texts(path, content, "needs"),
        extra={
            key: content[key]
            for key in ("eccn", "duty", "counted_because", "uncaught_because")
            if key in content
        },
        kind=content["kind"],
        title=_title(path, content),
        items=content.get("items", "us"),
        origins=_countries(path, content, "origins"),
        end_users=_choices(path, content, "end_users", END_USERS) or END_USERS,
        cases=_cases(path, content),
        relaxes=_texts(path, content, "relaxes"),
        counted=confidence not in INCLUDE or "counted_because" in content,
        review_by=content["review_by"],
        doubt=_doubt(path, content),
        readings=tuple(_reading(path, raw) for raw in content.get("reading", [])),
        caught=_texts(path, content, "caught"),
        spared=_texts(path, content, "spared"),
        note=content.get("note", ""),
        urls=_texts(path, content, "urls"),
        place=where(path, "condition"),
        sure=_sure(content),
        chinese=chinese,
    )


@lru_cache(maxsize=1)
def _all() -> tuple[Rule, ...]:
    paths = sorted((DATA / "rules").glob("*.toml"))
    found = sorted((read_rule(path) for path in paths), key=lambda r: (r.start, r.id))
    ids = {rule.id for rule in found}
    for rule in found:
        for other in rule.relaxes:
            if other not in ids:
                raise _bad(
                    DATA / "rules" / f"{rule.id}.toml", "relaxes", f"there is no rule {other!r}"
                )
    return tuple(found)


@lru_cache(maxsize=1)
def rules_in_chinese() -> Mapping[str, str]:
    """What the catalog's rules say in Chinese, by the English: needs, doubts and readings."""
    return {english: text for rule in _all() for english, text in rule.chinese.items()}


@lru_cache(maxsize=16)
def _counted(include: tuple[str, ...]) -> tuple[Rule, ...]:
    return tuple(replace(r, counted=r.counted or r.confidence in include) for r in _all())


def rules(include: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Every rule of the catalog, by the day from which it is in force.

    Parameters
    ----------
    include : iterable of str
        Confidences that count although they are left out otherwise: ``reported``, ``proposed``,
        ``unknown``, ``unverified``.

    Examples
    --------
    >>> [r.id for r in rules() if r.effect == "relax" and r.confidence == "source"]
    ['us-2025-08-15pct', 'us-2026-01-casebycase']
    """
    asked = tuple(sorted(set(include)))
    for each in asked:
        if each not in CONFIDENCES:
            raise BadInput(f"include is {each!r}; it is one of {', '.join(INCLUDE)}")
    return _counted(asked) if asked else _all()
