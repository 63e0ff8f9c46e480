"""The closed form proposes, the simulation has the last word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from chipwise.plan import trial
from chipwise.plan.answer import Terms, answer, describe
from chipwise.plan.candidates import bounds
from chipwise.types import Array, Deployment, Model, PlanRow, Workload

__all__ = ["Propose", "settle"]

# Limits of ttft and tpot [s], the deployment tried last (None at first), and how many times each
# limit its simulation took → the closed form's next, and what it says of both times. [s]
Propose = Callable[[Array, Deployment | None, Array], tuple[Deployment, Array] | None]

# How often the simulation may send the search back for a gentler deployment.
_ATTEMPTS = 6


def settle(propose: Propose, model: Model, workload: Workload, terms: Terms) -> PlanRow | None:
    """The closed form's choice, or the next one that the simulation lets stand.

    Parameters
    ----------
    propose : callable
        What the closed form chooses within limits.

    Returns
    -------
    PlanRow or None
        None where the closed form proposes nothing; infeasible where the simulation lets nothing
        stand.
    """
    limits = bounds(workload)
    allowed, notes = limits.copy(), tuple[str, ...]()
    last, made, over = None, None, np.ones(2)
    for _ in range(_ATTEMPTS):
        proposed = propose(allowed, made, over)
        if proposed is None:
            break
        made, predicted = proposed
        last = answer(made, model, workload, terms)
        if not terms.simulate:
            return last
        over = _excess(last, workload, limits)
        if np.all(over <= 1.0):
            found = _with_rate(last, model, workload, terms)
            return replace(found, notes=(*found.notes, *notes))
        if not notes:
            first = describe(last.deployment)
            notes = (f"the closed form preferred {first}, which misses the target when simulated",)
        # Ask the closed form for as much less as the simulation found too much.
        gentler = np.minimum(allowed, predicted / np.clip(over, 1.001, 2.0))
        allowed = np.where(over > 1.0, gentler, allowed)
    if last is None:
        return None
    worst = int(np.argmax(over))
    why = (
        f"{('ttft', 'tpot')[worst]} at the {workload.percentile:g}th percentile is "
        f"{over[worst]:.2f} × its limit when simulated, with {describe(last.deployment)}"
    )
    return replace(last, feasible=False, why=why)


def _with_rate(made: PlanRow, model: Model, workload: Workload, terms: Terms) -> PlanRow:
    """The row with the highest rate that it could serve within the target, if there is one."""
    assert made.deployment is not None
    assert made.estimate is not None
    rate = trial.highest_rate(
        made.deployment, made.estimate, model, workload, terms.calibration, terms.seed
    )
    if rate is None:
        return made
    return replace(made, simulated={**made.simulated, "highest_rate": rate})


def _excess(made: PlanRow, workload: Workload, limits: Array) -> Array:
    """How many times each limit the simulated percentile is."""
    at = f"p{workload.percentile:g}"
    return np.array(
        [made.simulated[f"ttft_{at}"] / limits[0], made.simulated[f"tpot_{at}"] / limits[1]]
    )
