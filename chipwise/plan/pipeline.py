"""The story: space → estimate → filter → simulate → price → Plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from chipwise.errors import BadInput, Infeasible
from chipwise.plan import pareto
from chipwise.plan.answer import Terms, answer
from chipwise.plan.apart import Halves, pairs, propose_pair
from chipwise.plan.candidates import (
    Candidates,
    bounds,
    candidates,
    missed,
    pick,
    score,
    shortage,
)
from chipwise.plan.settle import settle
from chipwise.plan.space import Search
from chipwise.types import Array, Chip, Deployment, Model, Plan, PlanRow, Workload

__all__ = ["search", "together"]

_UNDIVIDED = "none of the degrees asked for divides the model's layers and heads over this chip"


def search(
    chips: Sequence[Chip],
    model: Model,
    workload: Workload,
    terms: Terms,
    *,
    choice: Search | None = None,
    mode: str = "both",
    map: Callable[..., Iterable[Any]] = map,
) -> Plan:
    """The best deployment of each chip under a workload, those with both sides apart, the front.

    Parameters
    ----------
    chips : sequence of Chip
        What to choose from; with `mode` ``disagg`` or ``both`` every ordered pair of them may
        share the work, one to prefill, the other to decode.
    model : Model
        What is served.
    workload : Workload
        Lengths, rate or none (a closed loop), limits on a percentile of the requests.
    terms : Terms
        Prices, law, calibration.
    choice : Search, optional
        What the search may choose from.
    mode : str
        ``agg``, ``disagg`` or ``both``.
    map : callable
        Like the built-in, for running chips side by side.

    Returns
    -------
    Plan
        A chip that cannot do it has a row that says which limit binds, and by how much.
    """
    choice = choice or Search()
    halves = Halves(model, workload, terms, choice)
    apart = pairs(chips, halves) if mode != "agg" else []
    rows: list[PlanRow] = []
    if mode == "disagg":
        apart = [_judged(row, halves) if _is_own(row) else row for row in apart]
    else:
        one = partial(together, model=model, workload=workload, terms=terms, choice=choice)
        rows = list(map(one, chips))
    apart, front = _fronted(rows, apart, halves)
    if mode == "disagg":
        rows = [_own(chip, apart, terms) for chip in chips]
    considered = sum(r.considered for r in (*rows, *apart))
    able = tuple(r for r in apart if r.feasible)
    return Plan(model, workload, tuple(rows), able, tuple(front), considered)


def _fronted(
    rows: Sequence[PlanRow], apart: Sequence[PlanRow], halves: Halves
) -> tuple[list[PlanRow], list[PlanRow]]:
    """Those with both sides apart, the best of them simulated, and the front of what was.

    Simulated is what the closed form puts on the front; where the simulation lets none of all
    stand, what it puts there next.
    """
    apart = list(apart)
    while halves.terms.simulate:
        # Where nothing has a price, what yields most for a chip stands for the front.
        front = _front((*rows, *apart)) or sorted(apart, key=_yield)[-1:]
        guessed = [i for i, row in enumerate(apart) if not row.simulated and row in front]
        for i in guessed:
            apart[i] = _judged(apart[i], halves)
        stands = [r for r in (*rows, *apart) if r.feasible and r.simulated]
        if stands or not guessed:
            return apart, _front(stands)
    return apart, _front((*rows, *apart))


def _yield(row: PlanRow) -> float:
    """Output tokens each second and chip; below all where there are none."""
    if row.estimate is None or not row.feasible:
        return -1.0
    return row.quantities["throughput"].value / float(np.asarray(row.estimate.chips))


def _front(rows: Sequence[PlanRow]) -> list[PlanRow]:
    """The feasible rows that no other beats in cost, tpot and ttft at once."""
    able = [row for row in rows if row.feasible]
    found = pareto.front(
        [r.usd_token.mid if r.usd_token else np.nan for r in able],
        [r.quantities["tpot"].value for r in able],
        [r.quantities["ttft"].value for r in able],
    )
    return [able[i] for i in found]


def _judged(row: PlanRow, halves: Halves) -> PlanRow:
    """A row with both sides apart, as the simulation lets it stand."""
    if not halves.terms.simulate or row.deployment is None or row.deployment.prefill is None:
        return row
    propose = partial(propose_pair, row.deployment.prefill.chip, row.deployment.decode.chip, halves)
    found = settle(propose, halves.model, halves.workload, halves.terms)
    return found or row


def _is_own(row: PlanRow) -> bool:
    """Whether one chip does both jobs, apart."""
    made = row.deployment
    return bool(made and made.prefill and made.decode.chip is made.prefill.chip)


def _own(chip: Chip, apart: Sequence[PlanRow], terms: Terms) -> PlanRow:
    """The row of a chip that does both jobs itself, apart."""
    for found in apart:
        if _is_own(found) and found.chip is chip:
            return found
    why = "no deployment with prefill and decode apart keeps the target on the chips allowed"
    return PlanRow(chip, feasible=False, why=why, verdict=terms.verdicts.get(chip.id))


def together(chip: Chip, model: Model, workload: Workload, terms: Terms, choice: Search) -> PlanRow:
    """The best deployment of one chip with both phases on the same chips, or why there is none."""
    blank = PlanRow(chip, feasible=False, why="", verdict=terms.verdicts.get(chip.id))
    try:
        tried = candidates(chip, model, workload, terms.calibration, choice)
    except (BadInput, Infeasible) as why:
        return replace(blank, why=str(why))
    considered = sum(np.size(c.estimate.fits) for c in tried)
    blank = replace(blank, considered=considered)
    if not tried:
        return replace(blank, why=_UNDIVIDED)
    if not any(np.any(c.estimate.fits) for c in tried):
        return replace(blank, why=shortage(chip, model, workload, terms.calibration, choice))
    made = settle(partial(_propose, tried, workload, terms), model, workload, terms)
    if made is None:
        return replace(blank, why=missed(tried, workload, terms.gpus))
    if made.feasible:
        made = replace(made, runners_up=_runners_up(made, tried, model, workload, terms))
    return replace(made, considered=considered)


def _propose(
    tried: Sequence[Candidates],
    workload: Workload,
    terms: Terms,
    limits: Array,
    _last: Deployment | None,
    _over: Array,
) -> tuple[Deployment, Array] | None:
    """The closed form's best within limits, and its ttft and tpot; see settle.Propose."""
    best = pick(tried, workload, limits, terms.gpus)
    if best is None:
        return None
    found, i = best
    made = found.estimate
    return found.one(i), np.array([np.asarray(made.ttft)[i], np.asarray(made.tpot)[i]])


def _runners_up(
    made: PlanRow,
    tried: Sequence[Candidates],
    model: Model,
    workload: Workload,
    terms: Terms,
    count: int = 2,
) -> tuple[PlanRow, ...]:
    """The best of the other degrees and formats, by the closed form."""
    assert made.deployment is not None
    seen = {_shape(made.deployment)}
    pool: list[tuple[float, Candidates, int]] = []
    for found in tried:
        each = score(found, bounds(workload))
        pool += [(float(each[i]), found, int(i)) for i in np.argsort(-each)[:40]]
    rows: list[PlanRow] = []
    for value, found, i in sorted(pool, key=lambda p: -p[0]):
        one = found.one(i)
        if not np.isfinite(value) or _shape(one) in seen:
            continue
        seen.add(_shape(one))
        rows.append(answer(one, model, workload, replace(terms, simulate=False)))
        if len(rows) == count:
            break
    return tuple(rows)


def _shape(made: Deployment) -> tuple[Any, ...]:
    """What tells two deployments apart to a reader: format and degrees, not the batch."""
    side = made.decode
    return made.weights, side.tp, side.pp, side.ep, side.dp
