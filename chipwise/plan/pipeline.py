"""The story: space → estimate → filter → simulate → price → Plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from chipwise.errors import BadInput, Infeasible
from chipwise.plan import pareto
from chipwise.plan.answer import Terms, answer, describe
from chipwise.plan.apart import pairs
from chipwise.plan.candidates import (
    Candidates,
    bounds,
    candidates,
    missed,
    pick,
    score,
    shortage,
)
from chipwise.plan.space import Search
from chipwise.types import Array, Chip, Deployment, Model, Plan, PlanRow, Workload

__all__ = ["search", "together"]

_UNDIVIDED = "none of the degrees asked for divides the model's layers and heads over this chip"
# How often the simulation may send the search back for a gentler deployment.
_ATTEMPTS = 6


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
    apart = pairs(chips, model, workload, terms, choice) if mode != "agg" else []
    if mode == "disagg":
        rows = [_own(chip, apart, terms) for chip in chips]
    else:
        one = partial(together, model=model, workload=workload, terms=terms, choice=choice)
        rows = list(map(one, chips))
    able = [r for r in (*rows, *apart) if r.feasible]
    front = pareto.front(
        [r.usd_token.mid if r.usd_token else np.nan for r in able],
        [r.quantities["tpot"].value for r in able],
        [r.quantities["ttft"].value for r in able],
    )
    considered = sum(r.considered for r in (*rows, *apart))
    return Plan(
        model, workload, tuple(rows), tuple(apart), tuple(able[i] for i in front), considered
    )


def _own(chip: Chip, apart: Sequence[PlanRow], terms: Terms) -> PlanRow:
    """The row of a chip that does both jobs itself, apart."""
    for found in apart:
        made = found.deployment
        if made and made.prefill and made.decode.chip is made.prefill.chip is chip:
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
    best = pick(tried, workload, bounds(workload), terms.gpus)
    if best is None:
        return replace(blank, why=missed(tried, workload, terms.gpus))
    made = _settle(best, tried, model, workload, terms)
    if made.feasible:
        made = replace(made, runners_up=_runners_up(made, tried, model, workload, terms))
    return replace(made, considered=considered)


def _settle(
    best: tuple[Candidates, int],
    tried: Sequence[Candidates],
    model: Model,
    workload: Workload,
    terms: Terms,
) -> PlanRow:
    """The closed form's choice, or the next one that the simulation lets stand."""
    limits = bounds(workload)
    allowed, notes = limits.copy(), tuple[str, ...]()
    chosen: tuple[Candidates, int] | None = best
    last, over = None, np.ones(2)
    for _ in range(_ATTEMPTS):
        if chosen is None:
            break
        found, i = chosen
        last = answer(found.one(i), model, workload, terms)
        if not terms.simulate:
            return last
        over = _excess(last, workload, limits)
        if np.all(over <= 1.0):
            return replace(last, notes=(*last.notes, *notes))
        if not notes:
            first = describe(last.deployment)
            notes = (f"the closed form preferred {first}, which misses the target when simulated",)
        # Ask the closed form for as much less as the simulation found too much.
        predicted = np.array([found.estimate.ttft[i], found.estimate.tpot[i]])  # type: ignore[index]
        gentler = np.minimum(allowed, predicted / np.clip(over, 1.001, 2.0))
        allowed = np.where(over > 1.0, gentler, allowed)
        chosen = pick(tried, workload, allowed, terms.gpus)
    assert last is not None
    worst = int(np.argmax(over))
    why = (
        f"{('ttft', 'tpot')[worst]} at the {workload.percentile:g}th percentile is "
        f"{over[worst]:.2f} × its limit when simulated, with {describe(last.deployment)}"
    )
    return replace(last, feasible=False, why=why)


def _excess(made: PlanRow, workload: Workload, limits: Array) -> Array:
    """How many times each limit the simulated percentile is."""
    at = f"p{workload.percentile:g}"
    return np.array(
        [made.simulated[f"ttft_{at}"] / limits[0], made.simulated[f"tpot_{at}"] / limits[1]]
    )


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
