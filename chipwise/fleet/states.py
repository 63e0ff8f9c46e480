"""Where a plan stands at a period: what is left of its chips, its budget, its licences."""

from __future__ import annotations

import numpy as np

from chipwise.fleet.instance import Lots, Whole
from chipwise.fleet.problem import Problem
from chipwise.fleet.program import BOUGHT, GIVEN, Program
from chipwise.fleet.scenarios import State
from chipwise.fleet.solver import Solution
from chipwise.types import Array

__all__ = ["outlay", "state_at", "transit"]

# Fewer chips than this are the solver's rounding.
_NOTHING = 1e-6


def _family(program: Program, found: Solution, name: str) -> Array:
    part = program.columns[name]
    return found.values[part.start : part.start + part.size]


def state_at(of: Problem, program: Program, found: Solution, before: State, at: int) -> State:
    """What a plan without scenarios hands over to the one that begins at a period.

    Parameters
    ----------
    of : Problem
        What was planned.
    program, found : Program, Solution
        The plan, which began at `before`.
    before : State
        Where it began.
    at : int
        Period from which on the next plan decides.
    """
    made, step = program.instance, at - before.begin
    index = program.columns["acquire"].index
    values = _family(program, found, "acquire")
    arrival = _arrivals(program)
    node = index["node"]
    here = (node < step) | (index["kind"] != BOUGHT)
    count = values * program.unit
    leave = program.columns["leave"].index
    gone = np.zeros(len(values))
    early = leave["node"] < step
    np.add.at(gone, leave["acquisition"][early], _family(program, found, "leave")[early])
    share = np.cumprod(made.keep, axis=0)
    begin = np.clip(arrival, 0, step)
    last = min(step, len(share) - 1)
    left = share[last, index["chip"]] / share[np.minimum(begin, last), index["chip"]]
    left = np.where(arrival < step, left, 1.0)
    count = np.maximum(count - gone, 0.0) * left
    some = here & (count > _NOTHING)
    price = np.where(
        index["kind"] != GIVEN, made.price[node, index["chip"]], _given_price(program, before)
    )
    lots = Lots(
        index["chip"][some], index["site"][some], arrival[some] - step, count[some], price[some]
    )
    return State(
        at,
        lots,
        _served(program, found, step - 1) if step else before.served,
        before.used + _used(of, program, found, before.begin, step),
        before.spent + float(outlay(program, found)[:step].sum()),
        before.spares,
    )


def _arrivals(program: Program) -> Whole:
    """Period in which each acquisition comes, counted from the plan's first."""
    made, index = program.instance, program.columns["acquire"].index
    kind = index["kind"]
    found: Whole = made.period[index["node"]] + np.where(
        kind == BOUGHT, made.lead[index["chip"]], 0
    )
    found[kind == GIVEN] = made.lots.arrival
    return found


def _given_price(program: Program, before: State) -> Array:
    index = program.columns["acquire"].index
    price = np.zeros(len(index["kind"]))
    price[index["kind"] == GIVEN] = before.lots.price
    return price


def _served(program: Program, found: Solution, node: int) -> Array:
    """Tokens by stack and class that a node served. [token/s]"""
    made, index = program.instance, program.columns["serve"].index
    total = np.zeros(made.served.shape)
    some = index["node"] == node
    chip, kind = index["chip"][some], index["demand"][some]
    np.add.at(total, (made.stack[chip], kind), _family(program, found, "serve")[some])
    return total * program.scale


def _used(of: Problem, program: Program, found: Solution, begin: int, step: int) -> Array:
    """Chips bought under each limit before a node."""
    index = program.columns["acquire"].index
    count = _family(program, found, "acquire") * program.unit
    when = begin + program.instance.period[index["node"]]
    total = np.zeros(len(of.limits))
    for number, limit in enumerate(of.limits):
        chips = np.array([c.id in limit.choices for c in of.choices])
        sites = np.array([s.id in limit.sites for s in of.sites])
        some = (index["kind"] == BOUGHT) & (index["node"] < step)
        some &= chips[index["chip"]] & sites[index["site"]]
        some &= (limit.first <= when) & (when <= limit.last)
        total[number] = count[some].sum()
    return total


def outlay(program: Program, found: Solution) -> Array:
    """Money paid for chips by node, undiscounted. [USD]"""
    made, index = program.instance, program.columns["acquire"].index
    bought = index["kind"] == BOUGHT
    node, chip = index["node"], index["chip"]
    count = _family(program, found, "acquire") * program.unit
    paid = np.where(bought, count * made.price[node, chip] * (1 + made.fee[node, chip]), 0.0)
    total = np.zeros(len(made.parent))
    np.add.at(total, node, paid)
    return total


def transit(
    of: Problem, state: State, chips: tuple[str, ...], arrives: range
) -> tuple[State, float]:
    """A state without the orders of some chips that were to arrive in some periods, and their cost.

    The cost is what was paid for them, fees included, undiscounted. [USD]
    """
    gone = np.array([c.id in chips for c in of.choices])
    lots = state.lots
    when = state.begin + lots.arrival
    lost = gone[lots.chip] & (lots.arrival >= 0) & np.isin(when, np.array(arrives))
    lead = np.array([c.lead for c in of.choices])[lots.chip]
    ordered = np.clip(when - lead, 0, len(of.periods) - 1)
    fee = np.array([of.choices[c].fee[t] for c, t in zip(lots.chip, ordered, strict=True)])
    paid = float((lots.count * lots.price * (1 + fee))[lost].sum()) if len(fee) else 0.0
    kept = ~lost
    left = Lots(
        lots.chip[kept], lots.site[kept], lots.arrival[kept], lots.count[kept], lots.price[kept]
    )
    return State(state.begin, left, state.served, state.used, state.spent, state.spares), paid
