"""A Problem → the tree of what may happen, and the arrays of its program.

Scenarios part at their first quarter; until then their nodes are shared, and with them every
decision. A plan may also begin later, from a `State`: that is how a cut-off is met by surprise,
and how a long plan is made quarter after quarter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from chipwise.fleet.instance import Cap, Flags, Instance, Lots, Quota, Whole
from chipwise.fleet.problem import Choice, CutOff, Problem, Scenario
from chipwise.fleet.reading import members
from chipwise.intervals import COVERAGE
from chipwise.types import Array, Interval

__all__ = ["Paths", "State", "cut", "first_state", "instance", "main", "paths", "sure"]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where a plan stands when it begins at period `begin`.

    `lots` with arrivals counted from there; `served` stack × class [token/s]; `used` chips of each
    limit; `spent` [USD] of the budget so far; `spares` in store, by choice.
    """

    begin: int
    lots: Lots
    served: Array
    used: Array
    spent: float
    spares: Array


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The tree: parent and period of each node, its probability, and whose data it has."""

    parent: Whole
    period: Whole
    probability: Array
    scenario: tuple[Scenario | None, ...]


def sure(interval: Interval, robust: float) -> float:
    """What a quantity reaches with a probability, were its logarithm normal.

    Examples
    --------
    >>> round(sure(Interval(100.0, 50.0, 200.0), 0.95), 1)
    50.0
    """
    normal = NormalDist()
    edge = normal.inv_cdf((1 + COVERAGE) / 2)
    step = normal.inv_cdf(robust) / edge
    bound = interval.low if step > 0 else interval.high
    return float(interval.value * (bound / interval.value) ** abs(step))


def main(of: Problem) -> Problem:
    """The problem as if its first scenario were certain."""
    if not of.scenarios:
        return of
    return replace(of, scenarios=(replace(of.scenarios[0], probability=1.0),), risk=(0.0, 0.9))


def paths(of: Problem, begin: int = 0, end: int | None = None) -> Paths:
    """The tree of a problem, from a period on."""
    last = len(of.periods) if end is None else end
    known: Sequence[Scenario | None] = of.scenarios or (None,)
    parent, period, probability = list[int](), list[int](), list[float]()
    whose = list[Scenario | None]()
    at: dict[Scenario | None, int] = dict.fromkeys(known, -1)
    for t in range(begin, last):
        trunk = [s for s in known if s is not None and s.first > t]
        groups = [trunk] if trunk else []
        groups += [[s] for s in known if s not in trunk]  # type: ignore[list-item]
        above = dict(at)
        for group in groups:
            node = len(parent)
            parent.append(above[group[0]])
            period.append(t - begin)
            probability.append(sum(1.0 if s is None else s.probability for s in group))
            whose.append(None if group is trunk else group[0])
            for each in group:
                at[each] = node
    return Paths(np.array(parent), np.array(period), np.array(probability), tuple(whose))


def _row(of: Problem, at: Paths, begin: int, of_scenario: str, names: Sequence[str]) -> Array:
    """Factors N × names of a scenario's table, one where it says nothing."""
    made = np.ones((len(at.parent), len(names)))
    for node, scenario in enumerate(at.scenario):
        if scenario is None or begin + at.period[node] < scenario.first:
            continue
        table = getattr(scenario, of_scenario)
        made[node] = [table.get(name, 1.0) for name in names]
    return made


def _tokens(of: Problem, at: Paths, begin: int) -> Array:
    """Demand by node and class. [token/s]"""
    when = begin + at.period
    made = np.stack([d.tokens[when] for d in of.demand], axis=1)
    return made * _row(of, at, begin, "demand", [d.id for d in of.demand])


def _allowed(of: Problem, given: Sequence[str]) -> Flags:
    """By period: whether a status lets one buy or rent; an unknown one never does."""
    return np.array([status in of.law for status in given])


def _status(of: Problem, choice: Choice, own: Sequence[str] | None, to: str, route: str) -> Flags:
    given = own or of.status.get((choice.id, to, route), ("unknown",) * len(of.periods))
    return _allowed(of, given)


def cut(of: Problem, at: Paths, begin: int, extra: CutOff | None = None) -> Flags:
    """N × C: whether a choice is cut off at a node, by its scenario or by `extra`."""
    made = np.zeros((len(at.parent), len(of.choices)), dtype=bool)
    for node, scenario in enumerate(at.scenario):
        t = begin + at.period[node]
        for each in (extra, scenario.cut_off if scenario else None):
            if each is not None and each.first <= t <= each.last:
                gone = members(of, each.attribute, each.value)
                made[node] |= [c.id in gone for c in of.choices]
    return made


def _late(of: Problem, at: Paths, begin: int, extra: CutOff | None) -> Flags:
    """N × C: orders that a cut-off which is known would overtake."""
    made = np.zeros((len(at.parent), len(of.choices)), dtype=bool)
    for node, scenario in enumerate(at.scenario):
        t = begin + at.period[node]
        for each in (extra, scenario.cut_off if scenario else None):
            if each is None or each.deliveries == "delivered" or t < each.announced:
                continue
            gone = members(of, each.attribute, each.value)
            for c, choice in enumerate(of.choices):
                arrival = t + choice.lead
                made[node, c] |= choice.id in gone and each.first <= arrival <= each.last
    return made


def _opened(of: Problem, at: Paths, begin: int, extra: CutOff | None) -> Flags:
    """N × C × S: whether a chip may be bought for a site."""
    when = begin + at.period
    made = np.zeros((len(at.parent), len(of.choices), len(of.sites)), dtype=bool)
    for c, choice in enumerate(of.choices):
        if choice.price is None or choice.watts is None:
            continue
        exists = (choice.first <= when) & (when <= choice.last)
        if choice.only:
            exists &= np.array([s is not None and s.id in choice.only for s in at.scenario])
        for s, site in enumerate(of.sites):
            legal = _status(of, choice, choice.licence, site.to, "sale")[when]
            made[:, c, s] = exists & legal
    gone = cut(of, at, begin, extra) | _late(of, at, begin, extra)
    return made & ~gone[:, :, None]


def _offers(of: Problem, at: Paths, begin: int, extra: CutOff | None) -> tuple[Array, Array]:
    """Price [USD per chip and period] and most [chip] of each offer, by node."""
    when = begin + at.period
    index = {c.id: i for i, c in enumerate(of.choices)}
    gone = cut(of, at, begin, extra)
    shape = (len(at.parent), len(of.hires))
    usd, most = np.zeros(shape), np.zeros(shape)
    for o, hire in enumerate(of.hires):
        if hire.price is None:
            continue
        choice = of.choices[index[hire.choice]]
        legal = _status(of, choice, hire.licence, hire.to, hire.route)[when]
        usd[:, o] = hire.price[when]
        most[:, o] = np.where(legal & ~gone[:, index[hire.choice]], hire.most[when], 0.0)
    return usd, most


def _rates(of: Problem) -> Array:
    """C × K: tokens/s of a chip for a class at its peak, 0 where it cannot or nobody knows."""
    made = np.zeros((len(of.choices), len(of.demand)))
    for c, choice in enumerate(of.choices):
        for k, demand in enumerate(of.demand):
            found = of.rates.get((choice.id, demand.id))
            if found is not None:
                made[c, k] = sure(found, of.robust) / demand.peak
    return made


def _may(of: Problem) -> tuple[Flags, Flags]:
    """Who may serve whom: C × S × K for chips that are owned, O × K for those that are rented."""
    own = np.zeros((len(of.choices), len(of.sites), len(of.demand)), dtype=bool)
    rent = np.zeros((len(of.hires), len(of.demand)), dtype=bool)
    for k, demand in enumerate(of.demand):
        chips = np.array([demand.choices is None or c.id in demand.choices for c in of.choices])
        sites = np.array([demand.sites is None or s.id in demand.sites for s in of.sites])
        own[:, :, k] = chips[:, None] & sites[None, :]
        rent[:, k] = [
            (demand.hires is None or h.id in demand.hires)
            and (demand.choices is None or h.choice in demand.choices)
            for h in of.hires
        ]
    return own, rent


def _residual(of: Problem, oldest: int) -> Array:
    """C × age: share of the price that is left, a constant share less each period."""
    age = np.arange(oldest + 1)
    return np.array([c.residual ** (age / c.life) for c in of.choices])


def _first_lots(of: Problem) -> Lots:
    chips = {c.id: i for i, c in enumerate(of.choices)}
    sites = {s.id: i for i, s in enumerate(of.sites)}
    there = of.installed
    return Lots(
        np.array([chips[i.choice] for i in there], dtype=np.int64),
        np.array([sites[i.site] for i in there], dtype=np.int64),
        np.array([i.arrival for i in there], dtype=np.int64),
        np.array([i.count for i in there], dtype=float),
        np.array([i.price for i in there], dtype=float),
    )


def first_state(of: Problem) -> State:
    """Where a plan stands before its first period."""
    stacks, at = [s.id for s in of.software], paths(of)
    before = _tokens(of, at, 0)[0]
    share = np.array([[d.today.get(g, 0.0) for d in of.demand] for g in stacks])
    stored = np.array([of.spares.get(c.id, 0.0) for c in of.choices])
    return State(0, _first_lots(of), share * before, np.zeros(len(of.limits)), 0.0, stored)


def instance(
    of: Problem,
    *,
    state: State | None = None,
    end: int | None = None,
    extra: CutOff | None = None,
) -> Instance:
    """The program's arrays.

    Parameters
    ----------
    of : Problem
        With throughput and law filled in.
    state : State, optional
        Where it begins; by default before the first period.
    end : int, optional
        Period before which it ends; by default the last.
    extra : CutOff, optional
        A cut-off beside those of the scenarios.
    """
    state = state or first_state(of)
    begin = state.begin
    at = paths(of, begin, end)
    count = int(at.period.max()) + 1
    elapsed = np.concatenate([[0.0], np.cumsum(of.seconds)])[begin : begin + count + 1]
    own, rent = _may(of)
    return Instance(
        parent=at.parent,
        period=at.period,
        probability=at.probability,
        discount=(1.0 + of.interest) ** -(elapsed / (365.25 * 86400.0)),
        seconds=of.seconds[begin : begin + count],
        **_of_choices(of, at, state, extra),
        **_of_sites(of, begin + at.period),
        **_of_offers(of, at, begin, extra),
        **_of_demand(of, at, begin),
        budget=_budget(of, at, state),
        rate=_rates(of),
        may_own=own,
        may_rent=rent,
        served=state.served,
        spares=state.spares,
        lots=state.lots,
        caps=tuple(_cap(of, at, begin, each) for each in range(len(of.caps))),
        quotas=tuple(_quota(of, at, state, each) for each in range(len(of.limits))),
        cvar_weight=of.risk[0],
        cvar_level=of.risk[1],
        carry=of.carry,
    )


def _of_choices(of: Problem, at: Paths, state: State, extra: CutOff | None) -> dict[str, Any]:
    """What is told of chips, those that are the same at every node first."""
    choices, begin, when = of.choices, state.begin, state.begin + at.period
    chips, stacks = [c.id for c in choices], [s.id for s in of.software]
    nothing = np.zeros(len(when))
    price = np.stack([nothing if c.price is None else c.price[when] for c in choices], axis=1)
    gone = cut(of, at, begin, extra)
    # What fails in a period is replaced at its end, unless it was cut off in that period.
    unreplaced = gone[at.parent] & (at.parent >= 0)[:, None]
    return {
        "unit": np.array([c.server for c in choices]),
        "lead": np.array([c.lead for c in choices]),
        "life": np.array([c.life for c in choices]),
        "watts": np.array([c.watts or 0.0 for c in choices]),
        "idle": np.array([c.idle for c in choices]),
        "residual": _residual(of, max(c.life for c in choices) + 1),
        "upkeep": np.array([c.upkeep for c in choices]),
        "stack": np.array([stacks.index(c.software) for c in choices]),
        "price": price * _row(of, at, begin, "price", chips),
        "fee": np.stack([c.fee[when] for c in choices], axis=1),
        "supply": np.stack([c.supply[when] for c in choices], axis=1)
        * _row(of, at, begin, "supply", chips),
        "keep": np.where(unreplaced, 1.0 - np.array([c.failure for c in choices]), 1.0),
        "opened": _opened(of, at, begin, extra),
        "released": gone & np.array([c.price is not None for c in choices]) & (state.spares > 0),
    }


def _of_sites(of: Problem, when: Whole) -> dict[str, Any]:
    """What is told of sites."""
    unknown = np.full(len(when), np.nan)
    carbon = [unknown if s.carbon is None else s.carbon[when] for s in of.sites]
    return {
        "pue": np.array([s.pue for s in of.sites]),
        **{
            name: np.stack([getattr(s, name)[when] for s in of.sites], axis=1)
            for name in ("power", "electricity", "hosting", "running")
        },
        "carbon": np.stack(carbon, axis=1),
    }


def _of_offers(of: Problem, at: Paths, begin: int, extra: CutOff | None) -> dict[str, Any]:
    """What is told of what can be rented."""
    chips = [c.id for c in of.choices]
    usd, most = _offers(of, at, begin, extra)
    which = np.array([chips.index(h.choice) for h in of.hires], dtype=np.int64)
    return {"offer_chip": which, "offer_usd": usd, "offer_most": most}


def _of_demand(of: Problem, at: Paths, begin: int) -> dict[str, Any]:
    """What is told of classes of demand, and of bringing them to another software."""
    steps = max((len(d.steps) for d in of.demand), default=0)
    share, penalty = np.zeros((2, len(of.demand), steps))
    for k, demand in enumerate(of.demand):
        for j, (part, value) in enumerate(demand.steps):
            share[k, j], penalty[k, j] = part, value
    kinds = len(of.demand)
    return {
        "demand": _tokens(of, at, begin),
        "peak": np.array([d.peak for d in of.demand]),
        "step_share": share,
        "step_usd": penalty,
        "switch_usd": np.repeat([[s.switch] for s in of.software], kinds, axis=1),
        "ramp": np.repeat([[s.ramp] for s in of.software], kinds, axis=1),
    }


def _budget(of: Problem, at: Paths, state: State) -> Array:
    """What may be spent at each node; what is left of before comes to those that begin. [USD]"""
    if of.budget is None:
        return np.full(len(at.parent), np.inf)
    budget = of.budget[state.begin + at.period]
    if not of.carry:
        return budget
    left = float(of.budget[: state.begin].sum()) - state.spent
    return np.where(at.parent < 0, budget + left, budget)


def _cap(of: Problem, at: Paths, begin: int, number: int) -> Cap:
    cap = of.caps[number]
    chips = np.array([c.id in cap.choices for c in of.choices])
    return Cap(cap.name, chips, cap.share[begin + at.period])


def _quota(of: Problem, at: Paths, state: State, number: int) -> Quota:
    limit = of.limits[number]
    when = state.begin + at.period
    return Quota(
        limit.name,
        np.array([c.id in limit.choices for c in of.choices]),
        np.array([s.id in limit.sites for s in of.sites]),
        (limit.first <= when) & (when <= limit.last),
        max(limit.count - float(state.used[number]), 0.0),
    )
