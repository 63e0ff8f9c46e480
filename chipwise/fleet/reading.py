"""A parsed fleet file → Problem: names resolved, what is left out taken from the catalog.

A figure that neither the file nor the catalog has stays unknown: a chip without a price is not
bought, one without throughput for a class does not serve it, and the plan says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chipwise import catalog
from chipwise.errors import BadFact, BadInput
from chipwise.fleet.checking import Horizon, horizon, known, quarter, section
from chipwise.fleet.fields import FIELDS
from chipwise.fleet.problem import (
    ATTRIBUTES,
    Choice,
    CutOff,
    Demand,
    Hire,
    Installed,
    Limit,
    Problem,
    Scenario,
    ShareCap,
    Site,
    Software,
)
from chipwise.types import STATUSES, Array, Fact, Workload
from chipwise.units import to_base

__all__ = ["attribute", "cut_off", "members", "read"]

# What a provider does without asking anyone: buy what is free, or what it need only notify.
_LAW = ("free", "notify")
_GAP = 5e-3
_IDLE = "power_ready"


def read(content: Mapping[str, Any], source: str) -> Problem:
    """The fleet plan that a file asks for.

    Parameters
    ----------
    content : mapping
        The parsed TOML.
    source : str
        The file, for messages.

    Returns
    -------
    Problem
        Without throughput and law, which `with_rates` and `with_law` add.

    Raises
    ------
    BadFact
        If a value is not what it must be: file, key, what was expected.
    """
    known_keys = {*FIELDS, *FIELDS[""], "spares"} - {""}
    for key in content:
        known(source, key, key, known_keys, "key")
    at = horizon(source, content)
    parts = {name: section(at, content, name) for name in FIELDS if name}
    for name in ("sites", "chips", "demand"):
        if not parts[name]:
            raise BadFact(source, name, f"at least one [{name}.…] was expected")
    economics = catalog.economics()
    interest = parts["horizon"]["interest"]
    stacks = _software(at, parts)
    choices = tuple(_choice(at, k, v, economics) for k, v in parts["chips"].items())
    _check_like(at, choices)
    made = Problem(
        title=str(content.get("title", "")),
        source=source,
        periods=at.periods,
        starts=at.starts,
        seconds=at.seconds,
        interest=_fact(economics, "interest") if interest is None else interest,
        gap=parts["plan"]["gap"] or _GAP,
        robust=parts["plan"]["robust"] or 0.5,
        law=_law(at, parts["plan"]["law"]),
        sites=tuple(_site(at, k, v) for k, v in parts["sites"].items()),
        choices=choices,
        hires=tuple(_hire(at, k, v, parts, choices) for k, v in parts["rent"].items()),
        demand=tuple(_demand(at, k, v, parts, choices) for k, v in parts["demand"].items()),
        software=stacks,
        installed=(),
        spares=_spares(at, content, parts),
        budget=parts["budget"]["usd"],
        carry=bool(parts["budget"]["carry"]),
        caps=(),
        limits=tuple(_limit(at, i, v, parts) for i, v in enumerate(parts["quota"])),
        scenarios=(),
        risk=(parts["risk"]["weight"] or 0.0, parts["risk"]["level"] or 0.9),
        notes=tuple(note for c in choices for note in c.notes),
    )
    made = replace(
        made,
        installed=tuple(_installed(at, i, v, made) for i, v in enumerate(parts["installed"])),
        caps=tuple(_cap(at, i, v, made) for i, v in enumerate(parts["cap"])),
    )
    return replace(made, scenarios=_scenarios(at, parts["scenario"], made))


def _fact(economics: Mapping[str, Fact], key: str) -> float:
    value = economics[key].value
    if isinstance(value, (str, bool)) or value is None:
        raise BadInput(f"economics: {key}: a number is needed, not {value!r}")
    return to_base(value, economics[key].unit)


def _law(at: Horizon, given: tuple[str, ...] | None) -> tuple[str, ...]:
    for status in given or ():
        known(at.source, "plan.law", status, STATUSES, "status")
    return _LAW if given is None else given


def _software(at: Horizon, parts: Mapping[str, Any]) -> tuple[Software, ...]:
    names = dict.fromkeys([*(c["software"] for c in parts["chips"].values()), *parts["software"]])
    found = []
    for name in names:
        given = parts["software"].get(name, {})
        ramp = given.get("ramp")
        found.append(
            Software(name, given.get("usd_per_token_s") or 0.0, 1.0 if ramp is None else ramp)
        )
    return tuple(found)


def _site(at: Horizon, key: str, raw: Mapping[str, Any]) -> Site:
    nothing = np.zeros(len(at.periods))
    curtailed = nothing if raw["curtailed"] is None else raw["curtailed"]
    hosting = nothing if raw["usd_per_kw_month"] is None else raw["usd_per_kw_month"]
    carbon = raw["gco2_per_kwh"]
    return Site(
        key,
        raw["name"] or key,
        raw["name_zh"] or raw["name"] or key,
        raw["to"],
        raw["pue"],
        to_base(1.0, "kW") * raw["power_kw"],
        to_base(1.0, "USD/kWh") * raw["usd_per_kwh"],
        to_base(1.0, "USD/kW-month") * hosting * at.seconds,
        1.0 - curtailed,
        None if carbon is None else to_base(1.0, "gCO2/kWh") * carbon,
    )


def _rated(economics: Mapping[str, Fact], chip: Any, kw: float | None) -> float | None:
    """Power of a chip with its share of the server and network. [W]"""
    if kw is not None:
        return to_base(kw, "kW")
    if f"all_in.{chip.id}" in economics:
        return _fact(economics, f"all_in.{chip.id}")
    if chip.power is None:
        return None
    around = _fact(economics, "server.power") * (1 + _fact(economics, "network.power"))
    return float(chip.power * around)


def _paid(at: Horizon, economics: Mapping[str, Fact], chip: Any) -> tuple[Array | None, str]:
    """Price of a chip with its share of server and network, from the catalog, and a note."""
    found = catalog.price(chip.id, "purchase", region="CN")
    if found is None:
        return None, f"{chip.id}: no price is known, so it is not bought"
    around = (1 + _fact(economics, "server.share")) * (1 + _fact(economics, "network.share"))
    note = f"{chip.id}: price of the catalog, {found.region}, {found.on}, with server and network"
    return np.full(len(at.periods), found.usd.mid * around), note


def _choice(at: Horizon, key: str, raw: Mapping[str, Any], economics: Mapping[str, Fact]) -> Choice:
    where = f"chips.{key}"
    try:
        chip = catalog.chip(raw["chip"] or key)
    except BadInput as error:
        raise BadFact(at.source, f"{where}.chip", str(error)) from None
    count, notes = len(at.periods), list[str]()
    price = raw["usd"]
    if price is None:
        price, note = _paid(at, economics, chip)
        notes.append(note)
    watts = _rated(economics, chip, raw["kw"])
    if watts is None:
        notes.append(f"{chip.id}: no power is known, so it is not bought; chips.{key}.kw says it")
    life = raw["life_years"] or to_base(1.0, "s") * _fact(economics, "life") / to_base(1.0, "year")
    everywhere, nothing = np.full(count, np.inf), np.zeros(count)
    last = count - 1 if raw["until"] is None else raw["until"]
    return Choice(
        id=key,
        chip=chip,
        software=raw["software"],
        fab=raw["fab"],
        memory=raw["memory"],
        price=price,
        fee=nothing if raw["fee"] is None else raw["fee"],
        supply=everywhere if raw["supply"] is None else raw["supply"],
        server=raw["server"] or 1,
        watts=watts,
        idle=_idle() if raw["idle"] is None else raw["idle"],
        lead=raw["lead_quarters"] or 0,
        life=max(round(life * 4), 1),
        residual=raw["residual"] or _fact(economics, "residual"),
        upkeep=(raw["upkeep"] or 0.0) / 4,
        failure=1.0 - (1.0 - (raw["failure"] or 0.0)) ** 0.25,
        first=raw["from"] or 0,
        last=last,
        stated=raw["throughput"] or {},
        like=raw["like"],
        licence=_licence(at, where, raw["licence"]),
        only=raw["only"] or (),
        notes=tuple(notes),
    )


def _check_like(at: Horizon, choices: tuple[Choice, ...]) -> None:
    """A throughput that is another's must be of a chip that has one of its own."""
    own = [c.id for c in choices if c.like is None]
    for choice in choices:
        if choice.like is not None:
            known(at.source, f"chips.{choice.id}.like.chip", choice.like[0], own, "chip")


def _idle() -> float:
    return float(catalog.calibration().shapes[_IDLE])


def _licence(at: Horizon, where: str, given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for status in given or ():
        known(at.source, f"{where}.licence", status, (*STATUSES, "unknown"), "status")
    return given


def _hire(
    at: Horizon,
    key: str,
    raw: Mapping[str, Any],
    parts: Mapping[str, Any],
    choices: Iterable[Choice],
) -> Hire:
    where = f"rent.{key}"
    known(at.source, f"{where}.chip", raw["chip"], parts["chips"], "chip")
    known(at.source, f"{where}.route", raw["route"], ("rent-abroad", "rent-in-country"), "route")
    hourly = raw["usd_per_hour"]
    if hourly is None:
        chip = next(c.chip for c in choices if c.id == raw["chip"])
        found = catalog.price(chip.id, "on_demand")
        hourly = None if found is None else np.full(len(at.periods), found.usd.mid)
    price = None if hourly is None else hourly * to_base(1.0, "USD/h") * at.seconds
    licence = _licence(at, where, raw["licence"])
    return Hire(key, raw["chip"], raw["to"], raw["route"], price, raw["chips"], licence)


def _names(
    at: Horizon, key: str, given: Iterable[str] | None, names: Iterable[str], kind: str
) -> tuple[str, ...] | None:
    if given is None:
        return None
    return tuple(known(at.source, key, name, names, kind) for name in given)


def _demand(
    at: Horizon,
    key: str,
    raw: Mapping[str, Any],
    parts: Mapping[str, Any],
    choices: Iterable[Choice],
) -> Demand:
    where = f"demand.{key}"
    kind = known(at.source, f"{where}.kind", raw["kind"] or "serve", ("serve", "train"), "kind")
    try:
        model = catalog.model(raw["model"])
    except BadInput as error:
        raise BadFact(at.source, f"{where}.model", str(error)) from None
    for name in ("isl", "osl") if kind == "serve" else ():
        if raw[name] is None:
            raise BadFact(
                at.source, f"{where}.{name}", f"is missing. {FIELDS['demand'][name].text}"
            )
    load = None
    if kind == "serve":
        load = Workload(
            float(raw["isl"]), float(raw["osl"]), None, raw["ttft_s"], raw["tpot_s"],
            raw["percentile"] or 50.0,
        )  # fmt: skip
    return Demand(
        key,
        model,
        load,
        kind,
        raw["mfu"],
        (raw["seq"] or 4096, raw["batch"] or 256, raw["job"] or 64) if kind == "train" else None,
        raw["tokens_per_s"],
        raw["peak"] or 1.0,
        raw["unserved"] or (),
        _names(at, f"{where}.sites", raw["sites"], parts["sites"], "site"),
        _names(at, f"{where}.rent", raw["rent"], parts["rent"], "offer"),
        _allowed(at, where, raw, parts, choices),
        _today(at, where, raw["served"], parts),
    )


def _today(
    at: Horizon, where: str, given: Mapping[str, float] | None, parts: Mapping[str, Any]
) -> Mapping[str, float]:
    stacks = {c["software"] for c in parts["chips"].values()} | set(parts["software"])
    for name in given or {}:
        known(at.source, f"{where}.served", name, stacks, "software")
    if sum((given or {}).values()) > 1 + 1e-9:
        raise BadFact(at.source, f"{where}.served", "shares were expected to add up to at most 1")
    return given or {}


def _allowed(
    at: Horizon,
    where: str,
    raw: Mapping[str, Any],
    parts: Mapping[str, Any],
    choices: Iterable[Choice],
) -> tuple[str, ...] | None:
    """Chips that may serve a class: those named, those designed in a country, or None for all."""
    named = _names(at, f"{where}.chips", raw["chips"], parts["chips"], "chip")
    if raw["country"] is None:
        return named
    countries = {c.id: c.chip.country for c in choices}
    known(at.source, f"{where}.country", raw["country"], set(countries.values()), "country")
    return tuple(
        c for c, country in countries.items()
        if country == raw["country"] and (named is None or c in named)
    )  # fmt: skip


def _spares(at: Horizon, content: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, float]:
    raw = content.get("spares", {})
    if not isinstance(raw, Mapping):
        raise BadFact(at.source, "spares", f"a table of chip = count was expected, not {raw!r}")
    for name, count in raw.items():
        known(at.source, f"spares.{name}", name, parts["chips"], "chip")
        if isinstance(count, bool) or not isinstance(count, (int, float)) or not 0 <= count < 1e12:
            raise BadFact(
                at.source, f"spares.{name}", f"a number of at least 0 was expected, not {count!r}"
            )
    return {k: float(v) for k, v in raw.items()}


def _installed(at: Horizon, i: int, raw: Mapping[str, Any], made: Problem) -> Installed:
    where = f"installed[{i}]"
    choices = {c.id: c for c in made.choices}
    known(at.source, f"{where}.chip", raw["chip"], choices, "chip")
    known(at.source, f"{where}.site", raw["site"], [s.id for s in made.sites], "site")
    price = raw["usd"]
    if price is None:
        today = choices[raw["chip"]].price
        price = 0.0 if today is None else float(today[0])
    return Installed(raw["chip"], raw["site"], raw["count"], raw["since"], price)


def attribute(of: Choice, name: str) -> str | None:
    """What a choice is by an attribute of `ATTRIBUTES`; None where unknown."""
    match name:
        case "vendor":
            return of.chip.vendor
        case "country":
            return of.chip.country
        case "chip":
            return of.id
    found: str | None = getattr(of, name)
    return found


def members(made: Problem, name: str, value: str) -> tuple[str, ...]:
    """Choices with an attribute of a value; a fab or memory may be one of several with ` + `."""
    return tuple(c.id for c in made.choices if value in (attribute(c, name) or "").split(" + "))


def _cap(at: Horizon, i: int, raw: Mapping[str, Any], made: Problem) -> ShareCap:
    where = f"cap[{i}]"
    known(at.source, f"{where}.of", raw["of"], ATTRIBUTES, "attribute")
    found = _members(at.source, f"{where}.value", raw["of"], raw["value"], made)
    return ShareCap(raw["name"] or f"{raw['of']} {raw['value']}", found, raw["share"])


def _members(source: str, key: str, name: str, value: str, made: Problem) -> tuple[str, ...]:
    values = {part for c in made.choices for part in (attribute(c, name) or "").split(" + ")}
    known(source, key, value, values - {""}, name)
    return members(made, name, value)


def _limit(at: Horizon, i: int, raw: Mapping[str, Any], parts: Mapping[str, Any]) -> Limit:
    where = f"quota[{i}]"
    chips = _names(at, f"{where}.chips", raw["chips"], parts["chips"], "chip")
    sites = _names(at, f"{where}.sites", raw["sites"], parts["sites"], "site")
    last = len(at.periods) - 1 if raw["until"] is None else raw["until"]
    return Limit(
        raw["name"],
        chips or (),
        tuple(parts["sites"]) if sites is None else sites,
        raw["from"] or 0,
        last,
        raw["count"],
    )


def cut_off(made: Problem, given: Mapping[str, str], source: str) -> CutOff:
    """A cut-off from its parts: one attribute with its value, from, until, announced, deliveries.

    Examples of `given`: ``{"vendor": "NVIDIA", "from": "2027-Q1"}``.

    Raises
    ------
    BadFact
        If a part is unknown, missing or out of order.
    """
    parts = (*ATTRIBUTES, "from", "until", "announced", "deliveries")
    for key in given:
        known(source, f"cut_off.{key}", key, parts, "key")
    named = [a for a in ATTRIBUTES if a in given]
    if len(named) != 1:
        raise BadFact(source, "cut_off", f"one of {', '.join(ATTRIBUTES)} was expected")
    if "from" not in given:
        raise BadFact(source, "cut_off.from", "is missing; a quarter such as 2027-Q1")
    begin = quarter("", "", made.periods[0])

    def at(key: str, absent: int) -> int:
        return quarter(source, f"cut_off.{key}", given[key]) - begin if key in given else absent

    first = at("from", 0)
    last, announced = at("until", max(len(made.periods), first)), at("announced", first)
    deliveries = given.get("deliveries", "refunded")
    known(source, "cut_off.deliveries", deliveries, ("refunded", "lost", "delivered"), "word")
    if first < 0:
        raise BadFact(source, "cut_off.from", f"{given['from']} is before {made.periods[0]}")
    if last < first:
        raise BadFact(source, "cut_off.until", f"{given['until']} is before {given['from']}")
    if announced > first:
        raise BadFact(source, "cut_off.announced", f"{given['announced']} is after {given['from']}")
    _members(source, f"cut_off.{named[0]}", named[0], given[named[0]], made)
    return CutOff(named[0], given[named[0]], first, last, max(announced, 0), deliveries)


def _scenarios(
    at: Horizon, raw: Iterable[Mapping[str, Any]], made: Problem
) -> tuple[Scenario, ...]:
    found = []
    classes, chips = [d.id for d in made.demand], [c.id for c in made.choices]
    for i, each in enumerate(raw):
        where = f"scenario[{i}]"
        for key, names in (("demand", classes), ("usd", chips), ("supply", chips)):
            for name in each[key] or {}:
                known(at.source, f"{where}.{key}", name, names, "name")
        if not 0 <= each["from"] < len(at.periods):
            raise BadFact(at.source, f"{where}.from", "a quarter of the horizon was expected")
        cut = None
        if each["cut_off"] is not None:
            cut = cut_off(made, each["cut_off"], at.source)
            if cut.first < each["from"]:
                raise BadFact(at.source, f"{where}.cut_off.from", "comes before the scenario parts")
        found.append(
            Scenario(
                each["id"],
                each["probability"],
                each["from"],
                each["demand"] or {},
                each["usd"] or {},
                each["supply"] or {},
                cut,
            )
        )
    total = sum(s.probability for s in found)
    if found and abs(total - 1) > 1e-6:
        raise BadFact(at.source, "scenario", f"probabilities add up to {total:g}, not 1")
    if len({s.id for s in found}) < len(found):
        raise BadFact(at.source, "scenario", "two scenarios have the same id")
    for choice in made.choices:
        for name in choice.only:
            known(at.source, f"chips.{choice.id}.only", name, [s.id for s in found], "scenario")
    return tuple(found)
