"""A fleet problem from end to end: the plan, on whom it depends, what cut-offs would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chipwise.errors import BadInput, Infeasible
from chipwise.fleet.conflicts import conflict
from chipwise.fleet.cutoff import (
    CutCost,
    Premium,
    cut_cost,
    diversification,
    keeping,
    regret,
    spare_values,
)
from chipwise.fleet.dependence import Dependence, shares
from chipwise.fleet.outcome import Fleet, fleet, shortfall
from chipwise.fleet.problem import ATTRIBUTES, CutOff, Problem
from chipwise.fleet.program import compose
from chipwise.fleet.reading import cut_off
from chipwise.fleet.rolling import Rolling, check_window, roll
from chipwise.fleet.scenarios import instance
from chipwise.fleet.solver import solve

__all__ = ["Asked", "Study", "answer"]

SHARES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked beside the plan.

    `cut_offs` by their parts; `curve` the attribute and value whose share is capped; `regret` over
    the scenarios; `spares` counts by chip, told for the first cut-off; `rolling` quarters seen and
    kept of each window; `within` the gap of the plan, the file's own unless given.
    """

    cut_offs: Sequence[Mapping[str, str]] = ()
    curve: tuple[str, str] | None = None
    shares: Sequence[float] = SHARES
    regret: bool = False
    spares: tuple[str, Sequence[float]] | None = None
    rolling: tuple[int, int] | None = None
    within: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The plan and what was asked beside it; money in USD of the first day."""

    plan: Fleet
    unserved: float
    dependence: tuple[Dependence, ...]
    cut_offs: tuple[CutCost, ...] = ()
    curve: tuple[Premium, ...] = ()
    regret: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    spares: tuple[tuple[float, CutCost, float | None], ...] = ()
    rolling: Rolling | None = None


def answer(of: Problem, asked: Asked | None = None) -> Study:
    """The plan of a problem, and what is asked beside it.

    Parameters
    ----------
    of : Problem
        With throughput and law filled in.
    asked : Asked, optional
        Cut-offs, curve, regret, spares, a rolling plan.

    Raises
    ------
    Infeasible
        If no plan keeps all limits: which of them conflict.
    BadInput
        If something that is asked is not there.
    """
    asked = asked or Asked()
    cuts = [cut_off(of, given, "cut-off") for given in asked.cut_offs]
    _check(of, asked)
    made = compose(instance(of))
    try:
        found = solve(made, within=asked.within or of.gap)
    except Infeasible:
        raise Infeasible(f"{of.source}: {conflict(of, made)}") from None
    plan = fleet(of, made, found)
    certain = plan if len(of.scenarios) <= 1 and (asked.within or of.gap) <= 1e-3 else None
    return Study(
        plan,
        shortfall(plan),
        shares(plan),
        tuple(cut_cost(of, cut, plan=certain) for cut in cuts),
        tuple(diversification(of, *asked.curve, asked.shares)) if asked.curve else (),
        regret(of) if asked.regret else {},
        _stored(of, cuts, asked),
        _rolled(of, asked),
    )


def _stored(
    of: Problem, cuts: Sequence[CutOff], asked: Asked
) -> tuple[tuple[float, CutCost, float | None], ...]:
    """The first cut-off with each count of spares, and what keeping them costs."""
    if asked.spares is None:
        return ()
    chip, counts = asked.spares
    return tuple(
        (count, cost, keeping(of, cuts[0], chip, count))
        for count, cost in spare_values(of, cuts[0], chip, counts)
    )


def _rolled(of: Problem, asked: Asked) -> Rolling | None:
    if asked.rolling is None:
        return None
    ahead, keep = asked.rolling
    return roll(of, ahead=ahead, keep=keep)


def _check(of: Problem, asked: Asked) -> None:
    """Refuse what the file does not have, before the work."""
    if asked.curve is not None:
        name, value = asked.curve
        if name not in ATTRIBUTES:
            raise BadInput(f"{name!r} is not one of {', '.join(ATTRIBUTES)}")
        cut_off(of, {name: value, "from": of.periods[0]}, "curve")
    if asked.spares is not None:
        chip, counts = asked.spares
        if not asked.cut_offs:
            raise BadInput("spares are told for a cut-off; give one")
        if chip not in {c.id for c in of.choices}:
            known = ", ".join(c.id for c in of.choices)
            raise BadInput(f"spares of {chip!r}; the file has {known}")
        if any(not 0 <= count < 1e9 for count in counts):
            raise BadInput("spares are counts of chips of at least 0")
    if asked.regret and len(of.scenarios) < 2:
        raise BadInput(f"{of.source}: regret needs at least two scenarios")
    if asked.rolling is not None:
        check_window(*asked.rolling)
