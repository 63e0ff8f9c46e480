"""What it costs to be cut off, and to be ready for it.

The installed base stays; purchases, rents and replacements of what fails stop. A cut-off is a
surprise: what was decided before it is the base plan's, unless it was announced. Both courses are
planned again from that day, each with its proven bound, so that the cost is an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chipwise.fleet.outcome import Fleet, fleet, shortfall
from chipwise.fleet.problem import CutOff, Problem, ShareCap
from chipwise.fleet.program import MILLION, Program, compose
from chipwise.fleet.reading import members
from chipwise.fleet.scenarios import State, first_state, instance, main
from chipwise.fleet.solver import Solution, solve
from chipwise.fleet.states import state_at, transit

__all__ = ["CutCost", "Premium", "cut_cost", "diversification", "keeping", "regret", "spare_values"]

# A cut-off is told to this gap, and demand counts as served again within this of the base.
_FINE = 1e-3
_AGAIN = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class CutCost:
    """A cut-off beside the course without it, both from the day it is known.

    `low`, `high` bound the cost [USD of the first day]. `unserved` is the share of all tokens asked
    from then on that is not served, `unserved_base` without the cut-off. `recovers` is the period
    from which on demand is served as it would have been, None if never; `quarters` from the
    cut-off to it. `base`, `cut` are both plans, None where nothing is cut.
    """

    cut_off: CutOff
    low: float
    high: float
    unserved: float
    unserved_base: float
    recovers: str | None
    quarters: int | None
    base: Fleet | None = None
    cut: Fleet | None = None


@dataclass(frozen=True, slots=True)
class Premium:
    """What a cap on a share costs on top of the plan without: `low` to `high`. [USD]"""

    share: float
    low: float
    high: float
    unserved: float


def _planned(
    of: Problem, state: State, within: float, extra: CutOff | None = None
) -> tuple[Program, Solution, Fleet]:
    program = compose(instance(of, state=state, extra=extra))
    found = solve(program, within=within)
    return program, found, fleet(of, program, found, state.begin)


def cut_cost(
    of: Problem, cut: CutOff, *, within: float = _FINE, plan: Fleet | None = None
) -> CutCost:
    """What a cut-off costs against the plan without it, in the first scenario.

    Parameters
    ----------
    of : Problem
        Filled in.
    cut : CutOff
        What is cut off, when, and known from when on.
    within : float
        Gap of each plan. [1]
    plan : Fleet, optional
        The base plan of the first scenario, if it was made before.

    Returns
    -------
    CutCost
        Nothing, exactly, where nothing is cut: at or after the end of the horizon.
    """
    of = main(of)
    if cut.first >= len(of.periods):
        share = shortfall(plan) if plan else 0.0
        return CutCost(cut, 0.0, 0.0, share, share, None, None)
    start = first_state(of)
    if plan is None:
        plan = _planned(of, start, within)[2]
    known = min(cut.announced, cut.first)
    state = state_at(of, plan.program, plan.solution, start, known)
    base = _planned(of, state, within)[2] if known else plan
    bare, refund = state, 0.0
    if cut.deliveries != "delivered":
        gone = members(of, cut.attribute, cut.value)
        bare, paid = transit(of, state, gone, range(cut.first, cut.last + 1))
        refund = paid * _discount(of, known) if cut.deliveries == "refunded" else 0.0
    hit = _planned(of, bare, within, cut)[2]
    low = hit.bound - refund - base.objective
    high = hit.objective - refund - base.bound
    recovers = _recovery(of, cut, base, hit)
    # What can be done without the vendor could also be done with it: never below nothing, unless
    # there is a store of chips that could not have been bought.
    least = 0.0 if not hit.released else -np.inf
    return CutCost(
        cut,
        max(low, least),
        max(high, least),
        shortfall(hit),
        shortfall(base),
        None if recovers is None else of.periods[recovers],
        None if recovers is None else recovers - cut.first,
        base,
        hit,
    )


def _discount(of: Problem, at: int) -> float:
    elapsed = float(of.seconds[:at].sum())
    return float((1.0 + of.interest) ** -(elapsed / (365.25 * 86400.0)))


def _missed(of: Fleet) -> Mapping[str, float]:
    """Share of the demand of each period that is not served."""
    return {
        s.period: sum(s.missed.values()) / max(sum(s.asked.values()), 1e-300) for s in of.stands
    }


def _recovery(of: Problem, cut: CutOff, base: Fleet, hit: Fleet) -> int | None:
    """First period from which on no more demand is missed than in the base, None if never."""
    before, after = _missed(base), _missed(hit)
    worse = [
        t
        for t in range(cut.first, len(of.periods))
        if after[of.periods[t]] > before[of.periods[t]] + _AGAIN
    ]
    if not worse:
        return cut.first
    return worse[-1] + 1 if worse[-1] + 1 < len(of.periods) else None


def spare_values(
    of: Problem, cut: CutOff, chip: str, counts: Sequence[float], *, within: float = _FINE
) -> list[tuple[float, CutCost]]:
    """The cost of a cut-off with so many spare chips in store; it falls as they rise.

    Spares are kept for the cut-off, so that the plan without it does not change. One that is put
    in service counts as if bought that day; what keeping them costs is `keeping`.
    """
    of = main(of)
    plan = _planned(of, first_state(of), within)[2]
    return [
        (
            count,
            cut_cost(replace(of, spares={**of.spares, chip: count}), cut, within=within, plan=plan),
        )
        for count in counts
    ]


def keeping(of: Problem, cut: CutOff, chip: str, count: float) -> float | None:
    """What a store costs from the first day to the cut-off: what the chips lose in worth. [USD]

    Money's cost, and the fall of their price; None where the price is unknown.
    """
    choice = next(c for c in of.choices if c.id == chip)
    if choice.price is None:
        return None
    at = min(cut.first, len(of.periods) - 1)
    worth = choice.price * (1.0 + choice.fee)
    return count * float(worth[0] - _discount(of, at) * worth[at])


def diversification(
    of: Problem,
    attribute: str,
    value: str,
    shares: Sequence[float],
    *,
    within: float = _FINE,
) -> list[Premium]:
    """What it costs to let one vendor (country, fab …) serve at most a share, from the start."""
    of = main(of)
    free = _planned(of, first_state(of), within)[2]
    found = []
    chosen = members(of, attribute, value)
    for share in shares:
        cap = ShareCap(f"{attribute} {value}", chosen, np.full(len(of.periods), share))
        one = replace(of, caps=(*of.caps, cap))
        made = _planned(one, first_state(one), within)[2]
        low, high = made.bound - free.objective, made.objective - free.bound
        found.append(Premium(share, max(low, 0.0), max(high, 0.0), shortfall(made)))
    return found


def regret(of: Problem, *, within: float = _FINE) -> dict[str, dict[str, tuple[float, float]]]:
    """What each plan costs in each scenario beyond the best that scenario allows: low and high.

    A plan is what it buys before the first scenario parts; from there on it does its best. The
    plans are the best one of each scenario, and ``expected``, the one for all of them. [USD]
    """
    if len(of.scenarios) < 2:
        return {}
    parting = min(s.first for s in of.scenarios)
    alone = {s.id: replace(of, scenarios=(replace(s, probability=1.0),)) for s in of.scenarios}
    programs = {name: compose(instance(one)) for name, one in alone.items()}
    best = {name: solve(program, within=within) for name, program in programs.items()}
    together = compose(instance(of))
    plans = {name: _orders(programs[name], best[name], parting) for name in alone}
    plans["expected"] = _orders(together, solve(together, within=max(within, of.gap)), parting)
    table: dict[str, dict[str, tuple[float, float]]] = {}
    for plan, orders in plans.items():
        table[plan] = {}
        for name, program in programs.items():
            if plan == name:
                table[plan][name] = (0.0, 0.0)
                continue
            made = solve(_bound_to(program, orders, parting), within=within)
            low = (made.bound - best[name].objective) * MILLION
            high = (made.objective - best[name].bound) * MILLION
            table[plan][name] = (max(low, 0.0), max(high, 0.0))
    return table


Orders = Mapping[tuple[int, int, int], float]


def _orders(program: Program, found: Solution, parting: int) -> Orders:
    """Servers that a plan orders before the scenarios part, by period, chip and site."""
    index = program.columns["acquire"].index
    period = program.instance.period[index["node"]]
    some = np.flatnonzero((period < parting) & program.whole[: len(period)])
    return {
        (int(period[i]), int(index["chip"][i]), int(index["site"][i])): float(
            np.rint(found.values[i])
        )
        for i in some
    }


def _bound_to(program: Program, orders: Orders, parting: int) -> Program:
    """A program whose orders before the parting are given."""
    index = program.columns["acquire"].index
    period = program.instance.period[index["node"]]
    lower, upper = program.lower.copy(), program.upper.copy()
    for i in np.flatnonzero((period < parting) & program.whole[: len(period)]):
        key = (int(period[i]), int(index["chip"][i]), int(index["site"][i]))
        lower[i] = upper[i] = orders.get(key, 0.0)
    return replace(program, lower=lower, upper=upper)
