"""A question in the words of the command line's options → its answer, as JSON holds it.

The command line, a page and a sweep word a question alike: a mapping with the names of the
options as keys. One that is absent takes the default of `api`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from chipwise import answers, api, catalog, perf, serving, simulating
from chipwise import policy as law
from chipwise.catalog import stacks
from chipwise.catalog.fleets import EXAMPLE
from chipwise.catalog.traces import served
from chipwise.cost import parse_override
from chipwise.errors import BadInput, ChipwiseError, UnknownName
from chipwise.types import Chip, Model, PlanRow, Rule, Served, Simulation, StatusPeriod, Workload
from chipwise.units import to_base

__all__ = [
    "PLAN",
    "asked",
    "claims",
    "day",
    "entries",
    "entry",
    "estimate",
    "fleet",
    "frontier",
    "landscape",
    "load",
    "plan",
    "policy",
    "simulate",
    "statuses",
    "timeline",
    "train",
]

_ASK = tuple(each.name for each in fields(api.Ask) if each.name != "prices")
_LOAD = ("load", "rate", "ttft", "tpot", "percentile", "prefix_hit")
_DEGREES = ("tp", "pp", "ep", "dp")
_CHOICE = ("mode", "kv", "backend", "chunk", "link")
_TRAINED = (
    *("seq", "batch", "precision", "tokens", "rank", "frozen", "stack", "link"),
    *("checkpoint", "overlap"),
)
_FLEET = ("cut_offs", "curve", "regret", "spares", "rolling", "within")
# Every option that bears on the answer of `plan`.
PLAN = (
    *("model", "chips", "isl", "osl", "weights", "prices"),
    *(*_ASK, *_LOAD, *_DEGREES, *_CHOICE),
)


def _named(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The options among `names` that were given."""
    return {name: given[name] for name in names if given.get(name) is not None}


def asked(given: Mapping[str, Any]) -> api.Ask:
    """Money, law and place; ``prices`` are texts such as h200=2.5."""
    prices = dict(parse_override(text) for text in given.get("prices", ()))
    return api.Ask(prices=prices, **_named(given, _ASK))


def load(given: Mapping[str, Any]) -> Workload:
    """Lengths, rate and target."""
    return api.workload(given.get("isl"), given.get("osl"), **_named(given, _LOAD))


def day(ask: api.Ask) -> date:
    """The day asked for, or the catalog's own."""
    return ask.on or catalog.as_of()


def _calibration(ask: api.Ask) -> str:
    return catalog.calibration(ask.calibration).id


def estimate(given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `estimate`.

    Parameters
    ----------
    given : mapping
        ``model``, ``chip``, ``batch`` or ``concurrency``, and any other option of
        `chipwise estimate`; with ``roofline``, what each operator does in a step as well.
    """
    ask, of, lengths = asked(given), api.model(given["model"]), load(given)
    clients = given.get("concurrency")
    row = api.estimate(
        of,
        given["chip"],
        lengths,
        batch=given.get("batch"),
        concurrency=clients,
        ask=ask,
        **_named(given, (*_DEGREES, "weights", "kv", "backend", "chunk")),
    )
    answer = answers.estimate(
        row,
        of,
        lengths,
        _calibration(ask),
        loop="static" if clients is None else "closed",
        to=ask.to,
        on=day(ask),
        route=ask.route,
    )
    if given.get("roofline"):
        answer["roofline"] = _roofline(row, of, lengths, ask)
    return answer | _beside(ask, lambda: estimate({**given, "calibration": "general"}))


def _roofline(row: PlanRow, of: Model, lengths: Workload, ask: api.Ask) -> list[dict[str, Any]]:
    """What each operator of a deployment does in a step; none where there is no deployment."""
    made = row.deployment
    if made is None or not row.feasible:
        return []
    known = catalog.calibration(ask.calibration)
    return answers.roofline(made, perf.operators(of, made, lengths, known))


def _beside(ask: api.Ask, general: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What the general calibration says, where one of the user's own was asked."""
    if not catalog.calibration(ask.calibration).base:
        return {}
    name = _calibration(replace(ask, calibration="general"))
    try:
        return {"general": answers.beside(name, general())}
    except ChipwiseError as error:
        return {"general": answers.beside(name, {"feasible": False, "why": str(error)})}


def plan(given: Mapping[str, Any], map: Callable[..., Iterable[Any]] = map) -> dict[str, Any]:
    """The answer of `plan`.

    Parameters
    ----------
    given : mapping
        ``model``, ``chips`` and any other option of `chipwise plan`; with ``roofline``, what each
        operator does in a step of a chip's best deployment as well.
    map : callable
        Like the built-in, for running chips side by side.

    Examples
    --------
    >>> of = {"model": "llama-2-70b", "chips": ["h200"], "isl": 2048, "osl": 128}
    >>> [row["feasible"] for row in plan({**of, "mode": "agg", "simulate": False})["chips"]]
    [True]
    """
    ask = asked(given)
    found = api.plan(
        given["model"],
        given["chips"],
        load(given),
        weights=given.get("weights") or (),
        degrees={name: given[name] for name in _DEGREES if given.get(name)},
        ask=ask,
        map=map,
        **_named(given, _CHOICE),
    )
    calibration = _calibration(ask)
    answer = answers.plan(
        found, calibration, to=ask.to, on=day(ask), route=ask.route, price_basis=ask.cost
    )
    if given.get("roofline"):
        for row, made in zip(answer["chips"], found.rows, strict=True):
            row["roofline"] = _roofline(made, found.model, found.workload, ask)
    if catalog.calibration(ask.calibration).base:
        general = plan({**given, "calibration": "general"}, map)
        for row, other in zip(answer["chips"], general["chips"], strict=True):
            row["general"] = answers.beside(general["calibration_id"], other)
    return answer


# Loads at which a simulation is played again, as shares of the one that was asked for.
_SHARES = (0.25, 0.5, 0.75, 1.25, 1.5, 2.0)


def simulate(
    given: Mapping[str, Any],
    *,
    record_steps: bool = False,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Simulation, dict[str, Any]]:
    """A simulation, and the answer of `simulate`.

    Parameters
    ----------
    given : mapping
        As in simulating.play; with ``moments``, how many requests run and wait over time as well,
        with ``loads``, percentiles at 0.25 to 2 times the load.
    record_steps : bool
        Keep a row for each iteration.
    tell : callable
        Told how many simulations of how many are done.
    """
    log = _log(given)
    whole = 1 + len(_SHARES) if given.get("loads") else 1
    load = _load_named(given) if given.get("loads") else ""
    tell(0, whole)
    played = simulating.play(given, record_steps=record_steps)
    found = answers.simulation(played, log, given.get("since") or 0.0)
    if given.get("loads"):
        every = {given[load]: found}
        for at, share in enumerate(_SHARES, start=1):
            tell(at, whole)
            other = given[load] * share
            other = other if load == "rate" else max(round(other), 1)
            if other not in every:
                every[other] = answers.simulation(simulating.play({**given, load: other}))
        found |= answers.loads(load, every)
    tell(whole, whole)
    if given.get("moments"):
        found["timeline"] = serving.metrics.moments(played.run)
    return played.run, found


def _load_named(given: Mapping[str, Any]) -> str:
    """What a load is told by: its rate or its clients."""
    named = [name for name in ("rate", "concurrency") if given.get(name)]
    if len(named) != 1 or given.get("find_rate"):
        raise BadInput(
            "--loads is for a load with a --rate or a --concurrency, not for --find-rate"
        )
    return named[0]


def _log(given: Mapping[str, Any]) -> Served | None:
    """What the trace says that a server did with its requests, if it does.

    A highest rate and a closed loop play other arrivals than the trace's.
    """
    path, other = Path(given.get("trace") or ""), ("concurrency", "find_rate")
    found = served(path) if path.suffix and not any(given.get(k) for k in other) else None
    if found is None and given.get("since"):
        raise BadInput("--since is for a trace with the columns first_token_s and last_token_s")
    return found


def train(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The answer of `train` with its kind: of one kind of chips, of several each alone, of a mix.

    Parameters
    ----------
    given : mapping
        ``model``, ``chip`` (several with commas) or ``mix``, ``chips`` (how many), ``seq``,
        ``batch``, and any other option of `chipwise train`; ``mtbf`` in hours.
    """
    chip, mix = given.get("chip"), given.get("mix")
    if (chip is None) == (mix is None):
        raise BadInput("give either --chip, or --mix with several kinds of chips")
    asking = _named(given, _TRAINED)
    asking["mtbf"] = given.get("mtbf") and to_base(given["mtbf"], "h")
    asking["layout"] = _named(given, api.LAYOUT)
    asking["ask"] = asked(_named(given, ("cost", "region", "prices")))
    basis = asking["ask"].cost
    if mix is not None:
        kinds = api.train_mixed(given["model"], mix, given["chips"], **asking)
        return "train_mixed", answers.train_mixed(kinds, "training", price_basis=basis)
    assert chip is not None
    several = [each.strip() for each in chip.split(",")]
    if len(several) > 1:
        rows = api.train_each(given["model"], several, given["chips"], **asking)
        return "train_each", answers.train_each(rows, "training", price_basis=basis)
    found = api.train(given["model"], chip, given["chips"], **asking)
    return "train", answers.train(found, "training", price_basis=basis)


def entries(kind: str) -> list[dict[str, Any]]:
    """Every entry of one kind of the catalog, a row each, with the versions of any answer.

    Parameters
    ----------
    kind : str
        ``chips``, ``models``, ``prices``, ``sources`` or ``rules``.
    """
    return _versioned(_LISTED[kind]())


def entry(kind: str, key: str | Chip | Model) -> dict[str, Any]:
    """One entry of the catalog, every value with unit, source and date.

    Parameters
    ----------
    kind : str
        As for `entries`.
    key : str, Chip or Model
        Its name, or itself.

    Raises
    ------
    UnknownName
        If there is none; with the nearest.
    """
    return {**answers.envelope("general"), **_ENTRY[kind](key)}


def _versioned(rows: Iterable[Mapping[str, Any]], calibration: str = "general") -> list[Any]:
    """Entries of a list, each with the versions that any answer carries."""
    versions = answers.envelope(calibration)
    return [{**each, **versions} for each in rows]


def _models() -> list[dict[str, Any]]:
    found = [catalog.model(name) for name in catalog.model_ids()]
    return [answers.model_entry(m, float(perf.parameters(m))) for m in found]


def _model(key: str | Model) -> dict[str, Any]:
    one = api.model(key)
    return answers.model(one, float(perf.parameters(one)))


def _prices(chip: str | None = None) -> list[tuple[dict[str, Any], Any]]:
    """Prices with their answers; those that would share an id are numbered."""
    found, seen = [], dict[str, int]()
    for price in catalog.prices(chip):
        told = answers.price(price)
        seen[told["id"]] = seen.get(told["id"], 0) + 1
        if seen[told["id"]] > 1:
            told["id"] = f"{told['id']}:{seen[told['id']]}"
        found.append((told, price))
    return found


def _price(key: str | Chip) -> dict[str, Any]:
    for told, price in _prices():
        if told["id"] == key:
            return {**answers.price_fields(price), "id": key}
    chip = api.chip(key)
    kinds = dict.fromkeys(price.kind for price in catalog.prices(chip.id))
    together = [catalog.price(chip.id, kind) for kind in kinds]
    fields = {p.kind: answers.price_fields(p)["fields"]["usd"] for p in together if p}
    return {"id": chip.id, "fields": fields}


def _source(key: str) -> dict[str, Any]:
    known = catalog.sources()
    if key not in known:
        raise UnknownName("source", key, known)
    return answers.source_fields(key, known[key])


def _rule(key: str) -> dict[str, Any]:
    known = {r.id: r for r in catalog.rules()}
    if key not in known:
        raise UnknownName("rule", key, known)
    return answers.rule_fields(known[key])


_LISTED: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
    "chips": lambda: [answers.chip_entry(catalog.chip(name)) for name in catalog.chip_ids()],
    "models": _models,
    "prices": lambda: [told for told, _ in _prices()],
    "sources": lambda: [answers.source(k, v) for k, v in catalog.sources().items()],
    "rules": lambda: [answers.rule(r) for r in catalog.rules()],
}
_ENTRY: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "chips": lambda key: answers.chip(api.chip(key)),
    "models": _model,
    "prices": _price,
    "sources": _source,
    "rules": _rule,
}


# -- the law -------------------------------------------------------------------------------------


def policy(given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `policy` for one ``chip``: each rule in force, its arithmetic, its outcome."""
    found = api.verdict(api.chip(_chosen(given)), asked(given))
    return {**answers.envelope("general"), **answers.verdict(found), "not_legal_advice": True}


def statuses(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answer of `policy --all`: every chip's status."""
    ask = asked(given)
    every = (api.verdict(catalog.chip(name), ask) for name in catalog.chip_ids())
    return _versioned(answers.verdict_entry(each) for each in every)


def timeline(given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `policy --timeline` for one ``chip``."""
    ask, one = asked(given), api.chip(_chosen(given))
    terms = {
        "to": ask.to,
        "route": ask.route,
        "origin": ask.origin or one.country,
        "end_user": ask.end_user,
        "include": list(ask.include),
    }
    found = answers.timeline(one.id, api.timeline(one, ask), terms)
    return {**answers.envelope("general"), **found}


def _chosen(given: Mapping[str, Any]) -> Any:
    if given.get("chip") is None:
        raise BadInput("chip is missing")
    return given["chip"]


def landscape(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every chip's figures and statuses on every day on which one changed, and the rules' regions.

    Parameters
    ----------
    given : mapping
        Options of `policy`; its ``chip``, if any, is the one that is looked for.

    Returns
    -------
    dict
        ``on``, the day asked for; ``days``; ``chips``, each with tpp, density, memory_bandwidth
        (None where unknown) and the status of each day; ``regions`` by figure: rule, outcome, from
        day to day, boxes.
    """
    ask = asked(given)
    chips = [catalog.chip(name) for name in catalog.chip_ids()]
    courses = [api.timeline(one, ask) for one in chips]
    days = sorted({period.start for course in courses for period in course})
    rules = [
        rule
        for rule in catalog.rules()
        if (rule.counted or rule.confidence in ask.include)
        and rule.effect != "note"
        and ask.to in rule.destinations
        and ask.route in rule.routes
    ]
    return {
        **answers.envelope("general"),
        "to": ask.to,
        "route": ask.route,
        "on": day(ask).isoformat(),
        "chip": api.chip(given["chip"]).id if given.get("chip") else None,
        "days": [each.isoformat() for each in days],
        "chips": [
            answers.placed(one, [_on(course, each) for each in days])
            for one, course in zip(chips, courses, strict=True)
        ],
        "regions": {axis: _regions(rules, axis, ask.to) for axis in law.regions.AXES},
        "not_legal_advice": True,
    }


def _on(course: Sequence[StatusPeriod], of: date) -> str:
    return next(period.status for period in reversed(course) if period.start <= of)


def _regions(rules: Sequence[Rule], axis: str, to: str) -> list[dict[str, Any]]:
    """Regions of the rules that hang on what the map shows."""
    like = catalog.chip(stacks.like())
    whole = (*law.regions.TPP, *law.regions.AXES[axis])
    found = ((rule, law.regions.boxes(rule, like, axis, to)) for rule in rules)
    return [answers.region(rule, boxes) for rule, boxes in found if boxes not in ((), (whole,))]


def frontier(given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `frontier`.

    Parameters
    ----------
    given : mapping
        ``rules``, ``model``, ``isl``, ``osl`` and any other option of `chipwise frontier`;
        ``die_area`` in mm².
    """
    ask = asked(given)
    area = given.get("die_area")
    found = api.frontier(
        given["rules"],
        given["model"],
        load(given),
        die_area=area and to_base(area, "mm2"),
        stack=given.get("stacks", 6),
        beside=given.get("chips"),
        ask=ask,
        **_named(given, ("like", "memory", "power", "market", "weights", "kv", "backend")),
    )
    return answers.frontier(found, _calibration(ask))


def claims(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answer of `claims`: each of those in ``file``, or that come with chipwise, recomputed."""
    ask = asked(given)
    found = api.claims(given.get("file"), ask=ask)
    return _versioned(map(answers.claim, found), _calibration(ask))


def fleet(given: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `fleet`.

    Parameters
    ----------
    given : mapping
        ``file``, the example that comes along unless given; fields of `chipwise.fleet.Asked`.
    """
    file = given.get("file", EXAMPLE)
    return answers.fleet(api.fleet(file, **_named(given, _FLEET)), _calibration(api.Ask()))
