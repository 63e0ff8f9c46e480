"""Two periods, three chips: the solver finds what trying every number of servers finds.

The oracle is told in plain Python from what the fleet program is to mean: a vintage chain with its
own retirement variables, one row at a time, solved by scipy for each number of servers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import linprog

from chipwise.errors import Infeasible
from chipwise.fleet.instance import Instance
from chipwise.fleet.program import compose
from chipwise.fleet.solver import solve
from tests.fleet.drawn import drawn


@dataclass
class Linear:
    """A linear program by names of variables."""

    names: dict = field(default_factory=dict)
    cost: list = field(default_factory=list)
    upper: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    constant: float = 0.0

    def add(self, name, cost=0.0, upper=np.inf):
        self.names[name] = len(self.cost)
        self.cost.append(cost)
        self.upper.append(upper)

    def row(self, terms, low, high):
        self.rows.append((terms, low, high))

    def value(self):
        a_ub, b_ub, a_eq, b_eq = [], [], [], []
        for terms, low, high in self.rows:
            line = np.zeros(len(self.cost))
            for name, factor in terms:
                line[self.names[name]] += factor
            if low == high:
                a_eq.append(line)
                b_eq.append(low)
                continue
            if np.isfinite(high):
                a_ub.append(line)
                b_ub.append(high)
            if np.isfinite(low):
                a_ub.append(-line)
                b_ub.append(-low)
        made = linprog(
            self.cost,
            A_ub=np.array(a_ub) if a_ub else None,
            b_ub=b_ub or None,
            A_eq=np.array(a_eq) if a_eq else None,
            b_eq=b_eq or None,
            bounds=[(0, u) for u in self.upper],
        )
        return made.fun + self.constant if made.status == 0 else np.inf


def plain(of: Instance, bought: dict) -> float:  # noqa: C901 -- one row at a time
    """Cost of the best plan with so many servers bought at (period, chip, site). [USD]"""
    last = len(of.seconds)
    chips, sites, kinds = len(of.unit), len(of.pue), of.demand.shape[1]
    made = Linear()
    for (t, c, _), servers in bought.items():
        count = servers * of.unit[c]
        price = of.price[t, c]
        made.constant += of.discount[t] * count * price * (1 + of.fee[t, c])
    for t, c in itertools.product(range(last), range(chips)):
        if sum(bought.get((t, c, s), 0) for s in range(sites)) * of.unit[c] > of.supply[t, c]:
            return np.inf
    for t in range(last):
        paid = sum(
            n * of.unit[c] * of.price[t, c] * (1 + of.fee[t, c])
            for (when, c, s), n in bought.items()
            if when == t
        )
        if paid > of.budget[t] * (1 + 1e-12):
            return np.inf
    for quota in of.quotas:
        count = sum(
            n * of.unit[c]
            for (t, c, s), n in bought.items()
            if quota.chips[c] and quota.sites[s] and quota.inside[t]
        )
        if count > quota.count:
            return np.inf
    # A vintage is its chip, site, day of arrival, number of chips and price.
    vintages = [
        (c, s, t + of.lead[c], n * of.unit[c], of.price[t, c])
        for (t, c, s), n in bought.items()
        if n and t + of.lead[c] < last
    ]
    lots = of.lots
    vintages += [
        (lots.chip[i], lots.site[i], lots.arrival[i], lots.count[i], lots.price[i])
        for i in range(len(lots.chip))
        if -lots.arrival[i] <= of.life[lots.chip[i]]
    ]
    present = {(t, c, s): [] for t in range(last) for c in range(chips) for s in range(sites)}
    for v, (c, s, arrival, count, price) in enumerate(vintages):
        left = count
        previous = None
        for t in range(max(arrival, 0), last):
            age = t - arrival
            keep = of.keep[t, c] if previous else 1.0
            # what was there = what stays + what is sold
            stays, sold = ("stay", v, t), ("sold", v, t)
            made.add(stays, upper=np.inf if age < of.life[c] else 0.0)
            limit = np.inf if age > 0 else 0.0
            made.add(sold, -of.discount[t] * price * of.residual[c, min(age, 9)], limit)
            terms = [(stays, 1.0), (sold, 1.0)]
            if previous:
                made.row([*terms, (previous, -keep)], 0.0, 0.0)
            else:
                made.row(terms, left, left)
            if age < of.life[c]:
                present[t, c, s].append(stays)
            if t == last - 1 and age + 1 <= of.life[c]:
                value = of.discount[last] * price * of.residual[c, min(age + 1, 9)]
                made.cost[made.names[stays]] -= value
            previous = stays
            if age >= of.life[c]:
                break
    for t in range(last):
        serving(of, made, present, t)
    for t, g, k in itertools.product(range(last), range(len(of.switch_usd)), range(kinds)):
        now = served(of, made, t, g, k)
        then = served(of, made, t - 1, g, k) if t else []
        first = of.served[g, k] if t == 0 else 0.0
        ramp = of.ramp[g, k]
        limit = ramp * of.demand[t, k] if ramp < 1 else np.inf
        made.add(("gain", t, g, k), of.discount[t] * of.switch_usd[g, k], limit)
        terms = [*now, *((n, -f) for n, f in then), (("gain", t, g, k), -1.0)]
        made.row(terms, -np.inf, first)
    return made.value()


def served(of, made, t, g, k):
    """Terms of what a stack serves of a class in a period."""
    return [
        (name, of.rate[c, k])
        for name in made.names
        if name[0] in ("give", "lend") and name[1] == t and name[-1] == k
        for c in [name[2] if name[0] == "give" else of.offer_chip[name[2]]]
        if of.stack[c] == g
    ]


def serving(  # noqa: C901 -- one row at a time
    of: Instance, made: Linear, present: dict, t: int
) -> None:
    """Rows of one period: capacity, power, demand, shares."""
    chips, sites, kinds = len(of.unit), len(of.pue), of.demand.shape[1]
    lasting = of.discount[t] * of.seconds[t]
    terms_of = {k: [] for k in range(kinds)}
    capped = [[] for _ in of.caps]
    for s in range(sites):
        drawn = []
        for c in range(chips):
            joule = of.watts[c] * of.pue[s] * of.electricity[t, s] * lasting
            for name in present[t, c, s]:
                made.cost[made.names[name]] += (
                    of.idle[c] * joule * of.running[t, s]
                    + of.discount[t] * of.watts[c] * of.hosting[t, s]
                    + of.discount[t] * of.upkeep[c] * of.price[t, c]
                )
                drawn.append((name, of.watts[c] * of.pue[s]))
            used = []
            for k in range(kinds):
                if of.rate[c, k] > 0 and of.may_own[c, s, k] and of.demand[t, k] > 0:
                    name = ("give", t, c, s, k)
                    made.add(name, (1 - of.idle[c]) * joule / of.peak[k])
                    used.append((name, 1.0))
                    terms_of[k].append((c, name))
            made.row([*used, *((n, -of.running[t, s]) for n in present[t, c, s])], -np.inf, 0.0)
        made.row(drawn, -np.inf, of.power[t, s])
    for o, c in enumerate(of.offer_chip):
        made.add(("rent", t, o), of.discount[t] * of.offer_usd[t, o], of.offer_most[t, o])
        used = []
        for k in range(kinds):
            if of.rate[c, k] > 0 and of.may_rent[o, k] and of.demand[t, k] > 0:
                made.add(("lend", t, o, k))
                used.append((("lend", t, o, k), 1.0))
                terms_of[k].append((c, ("lend", t, o, k)))
        made.row([*used, (("rent", t, o), -1.0)], -np.inf, 0.0)
    for k in range(kinds):
        terms = [(name, of.rate[c, k]) for c, name in terms_of[k]]
        for j, (share, usd) in enumerate(zip(of.step_share[k], of.step_usd[k], strict=True)):
            made.add(("short", t, k, j), lasting * usd, share * of.demand[t, k])
            terms.append((("short", t, k, j), 1.0))
        made.row(terms, of.demand[t, k], of.demand[t, k])
        for cap, row in zip(of.caps, capped, strict=True):
            row += [
                (name, of.rate[c, k] * (float(cap.chips[c]) - cap.share[t]))
                for c, name in terms_of[k]
            ]
    for cap, row in zip(of.caps, capped, strict=True):
        if cap.share[t] < 1:
            made.row(row, -np.inf, 0.0)


def least(of: Instance) -> float:
    """The least cost over every number of servers that can matter."""
    last = len(of.seconds)
    slots = [
        (t, c, s)
        for t, c, s in zip(*map(list, np.nonzero(of.opened)), strict=True)
        if t + of.lead[c] < last
    ]
    highest = [highest_of(of, t, c) for t, c, s in slots]
    best = np.inf
    for servers in itertools.product(*(range(h + 1) for h in highest)):
        best = min(best, plain(of, dict(zip(slots, servers, strict=True))))
    return best


def most(of: Instance, c: int) -> float:
    """Chips that could be of use at one time, were there no others, failures allowed for."""
    rate = of.rate[c]
    able = rate > 0
    return float((of.demand[:, able] / rate[able]).sum(axis=1).max() / of.running.min() / 0.8)


def highest_of(of: Instance, t: int, c: int) -> int:
    """Servers beyond which an order makes no sense or is not to be had."""
    return int(min(np.floor(of.supply[t, c] / of.unit[c]), np.ceil(most(of, c) / of.unit[c])))


def small(of: Instance, limit: int = 400) -> bool:
    """Whether there are few enough numbers of servers to try them all."""
    last, count = len(of.seconds), 1
    for t, c, _ in zip(*np.nonzero(of.opened), strict=True):
        if t + of.lead[c] < last:
            count *= 1 + highest_of(of, t, c)
    return count <= limit


def compare(seed: int) -> None:
    of = drawn(seed)
    expected = least(of)
    if not np.isfinite(expected):
        with pytest.raises(Infeasible):
            solve(compose(of), within=1e-9)
        return
    made = solve(compose(of), within=1e-9)
    assert made.objective * 1e6 == pytest.approx(expected, rel=1e-6, abs=1e-3)


@cache
def seeds(first: int, last: int) -> list[int]:
    """Seeds of a range whose draws are small enough."""
    return [seed for seed in range(first, last) if small(drawn(seed))]


def test_the_solver_equals_enumeration() -> None:
    assert len(seeds(0, 12)) >= 4
    for seed in seeds(0, 12):
        compare(seed)


@pytest.mark.slow
def test_the_solver_equals_enumeration_hundreds_of_times() -> None:
    assert len(seeds(12, 1500)) >= 300
    for seed in seeds(12, 1500):
        compare(seed)


def test_a_dearer_price_is_seen_by_both() -> None:
    of = drawn(seeds(0, 12)[0])
    dear = replace(of, price=of.price * 3)
    assert least(dear) == pytest.approx(solve(compose(dear), within=1e-9).objective * 1e6, rel=1e-6)
