"""Why there is no plan: the limits that cannot all be kept, in the words of the file.

First what no chip can serve at all. Then the fewest limits that conflict: each one is left out in
turn, and stays out where the rest still has no plan (a deletion filter [1]_). Last, by how much:
the least breach that would make a plan.

.. [1] J. W. Chinneck, "Feasibility and Infeasibility in Optimization," Springer, 2008, chapter 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chipwise.fleet.instance import Instance, Whole
from chipwise.fleet.problem import Choice, Problem
from chipwise.fleet.program import BOUGHT, Columns, Program, Rows, compose
from chipwise.fleet.scenarios import paths
from chipwise.fleet.solver import feasible, relaxed

__all__ = ["conflict"]

# A limit: a family of rows (or of columns with a bound), and whose it is.
Group = tuple[str, int]
_WHOSE = {
    "demand": "demand",
    "power": "site",
    "supply": "chip",
    "quota": "quota",
    "share": "cap",
    "budget": None,
}
_ROUNDING = 1e-7


def conflict(of: Problem, program: Program) -> str:
    """Which limits of a program without a plan conflict, and by how much they are missed."""
    helpless = _helpless(of, program)
    if helpless:
        return helpless
    if feasible(program):
        return (
            "no plan keeps all limits with whole servers, though one with fractions of servers "
            "does; a larger quota or budget, or smaller servers, would make one"
        )
    program = compose(program.instance, wide=True)
    groups = _groups(program)
    kept = list(groups)
    for group in groups:
        tried = [g for g in kept if g != group]
        if not feasible(_without(program, [g for g in groups if g not in tried])):
            kept = tried
    loose = _without(program, [g for g in groups if g not in kept])
    breach = _breach(of, loose, kept)
    named = "; ".join(_told(of, g) for g in kept)
    closed = "; ".join(_closed(of, program, kept))
    parts = [f"these limits cannot all be kept: {named}", breach, closed]
    return ". ".join(part for part in parts if part)


def _helpless(of: Problem, program: Program) -> str:
    """Demand that must be served where no chip can serve it; empty if there is none."""
    made = program.instance
    must = made.step_share.sum(axis=1) < 1 - 1e-9
    index = program.columns["serve"].index
    able = np.zeros(made.demand.shape, dtype=bool)
    able[index["node"], index["demand"]] = True
    lost = (made.demand > 0) & ~able & must[None, :]
    if not lost.any():
        return ""
    node, kind = np.argwhere(lost)[0]
    period = of.periods[paths(of).period[node]]
    demand = of.demand[kind].id
    reasons = []
    for choice in of.choices:
        if of.demand[kind].choices is not None and choice.id not in of.demand[kind].choices:
            reasons.append(f"{choice.id} may not serve it")
        elif of.rates.get((choice.id, demand)) is None:
            reasons.append(f"{choice.id}: {of.why.get((choice.id, demand), 'speed unknown')}")
        else:
            reasons.append(f"{choice.id} is neither there nor can it be bought or rented by then")
    return (
        f"demand {demand} must be served in {period}, and no chip can: {'; '.join(reasons)}. "
        f"Give demand.{demand}.unserved shares that add up to 1, or a chip that serves it"
    )


def _closed(of: Problem, program: Program, kept: Sequence[Group]) -> list[str]:
    """Chips that could serve the demand that must be served, and cannot be bought at all."""
    made = program.instance
    index = program.columns["acquire"].index
    bought = set(index["chip"][index["kind"] == BOUGHT].tolist())
    kinds = [i for name, i in kept if name == "demand"]
    found = []
    for c, choice in enumerate(of.choices):
        useful = any(made.rate[c, k] > 0 and made.may_own[c, :, k].any() for k in kinds)
        if useful and c not in bought:
            found.append(f"{choice.id} cannot be bought: {_why_closed(made, c, choice)}")
    return found


def _why_closed(made: Instance, c: int, choice: Choice) -> str:
    if choice.price is None:
        return "its price is unknown"
    if choice.watts is None:
        return "its power is unknown"
    if not made.opened[:, c].any():
        return "the law, its dates or a cut-off keep it out"
    return f"it would come {choice.lead} quarters after the order, beyond the horizon"


def _members(rows: Rows) -> Whole:
    """Whose limit each row of a family is."""
    whose = _WHOSE[rows.name]
    if whose is None:
        return np.zeros(len(rows.lower), dtype=np.int64)
    return rows.index[whose]


def _groups(program: Program) -> list[Group]:
    """Every limit that can conflict, demand that must be served last."""
    found = [
        (rows.name, int(i))
        for rows in program.rows
        if rows.name in _WHOSE
        for i in np.unique(_members(rows))
    ]
    ramps = np.unique(program.columns["gain"].index["stack"])
    found += [("ramp", int(g)) for g in ramps]
    found += [("rent", int(o)) for o in np.unique(program.columns["rent"].index["offer"])]
    return sorted(found, key=lambda g: (g[0] == "demand", g))


def _without(program: Program, groups: Sequence[Group]) -> Program:
    """The program with some limits left out."""
    gone: dict[str, set[int]] = {}
    for name, whose in groups:
        gone.setdefault(name, set()).add(whose)
    rows = []
    for each in program.rows:
        if each.name in gone:
            out = np.isin(_members(each), list(gone[each.name]))
            lower = np.where(out, -np.inf, each.lower)
            rows.append(replace(each, lower=lower, upper=np.where(out, np.inf, each.upper)))
        else:
            rows.append(each)
    upper = program.upper.copy()
    for name, family, index in (("ramp", "gain", "stack"), ("rent", "rent", "offer")):
        part = program.columns[family]
        out = np.isin(part.index[index], list(gone.get(name, ())))
        upper[part.start : part.start + part.size][out] = np.inf
    return replace(program, rows=rows, upper=upper)


def _breach(of: Problem, program: Program, kept: Sequence[Group]) -> str:
    """The least shortfall of demand, or else the least excess over a limit, that makes a plan."""
    names = [name for name, _ in kept]
    family = "demand" if "demand" in names else names[0] if names else ""
    rows = next((r for r in program.rows if r.name == family), None)
    if rows is None:
        return ""
    some = np.flatnonzero(
        np.isin(_members(rows), [w for n, w in kept if n == family]) & np.isfinite(rows.upper)
    )
    start = len(program.lower)
    sign = 1.0 if family == "demand" else -1.0
    slack = np.arange(len(some))
    more = replace(
        rows,
        row=np.concatenate([rows.row, some]),
        column=np.concatenate([rows.column, start + slack]),
        value=np.concatenate([rows.value, np.full(len(some), sign)]),
    )
    wide = replace(
        program,
        rows=[more if r is rows else r for r in program.rows],
        lower=np.concatenate([program.lower, np.zeros(len(some))]),
        upper=np.concatenate([program.upper, np.full(len(some), np.inf)]),
        whole=np.concatenate([program.whole, np.zeros(len(some), dtype=bool)]),
        objective=np.concatenate([np.zeros(start), np.ones(len(some))]),
        columns={**program.columns, "breach": Columns(start, len(some), {})},
    )
    values = relaxed(wide)
    if values is None:
        return ""
    found = values[start:]
    if found.max(initial=0.0) <= _ROUNDING:
        return ""
    worst = int(np.argmax(found))
    return _missing(of, program, rows, int(some[worst]), float(found[worst]))


def _missing(of: Problem, program: Program, rows: Rows, row: int, amount: float) -> str:
    """How much is missing, where and when it is most."""
    at = paths(of)
    period = of.periods[at.period[int(rows.index["node"][row])]]
    match rows.name:
        case "demand":
            kind = int(rows.index["demand"][row])
            tokens = amount * float(program.scale[kind])
            asked = float(program.instance.demand[int(rows.index["node"][row]), kind])
            return (
                f"Most is missing in {period}: {tokens:,.0f} of the {asked:,.0f} tokens/s "
                f"of {of.demand[kind].id}"
            )
        case "power":
            return f"Most is missing in {period}: {amount:,.3g} MW"
        case "budget":
            return f"Most is missing in {period}: {amount:,.3g} million USD"
    return f"Most is missing in {period}: {amount:,.0f} chips"


def _told(of: Problem, group: Group) -> str:  # noqa: PLR0911 -- one for each kind of limit
    """A limit in the words of the file."""
    name, i = group
    match name:
        case "demand":
            key = of.demand[i].id
            return f"demand {key} must be served (demand.{key}.unserved)"
        case "power":
            return f"power of site {of.sites[i].id} (sites.{of.sites[i].id}.power_kw)"
        case "supply":
            return f"supply of {of.choices[i].id} (chips.{of.choices[i].id}.supply)"
        case "quota":
            return f"quota {of.limits[i].name}"
        case "share":
            return f"cap {of.caps[i].name}"
        case "ramp":
            key = of.software[i].id
            return f"how fast demand can come to {key} (software.{key}.ramp)"
        case "rent":
            return f"what {of.hires[i].id} has to rent (rent.{of.hires[i].id}.chips)"
    return "the budget (budget.usd)"
