"""A published figure → the run behind it, and what is predicted with the yields of its kind."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from chipwise import yields
from chipwise.perf.scales import factor
from chipwise.plan.offline import Offline, Outcome, offline
from chipwise.types import Calibration
from chipwise.yields import Setting

__all__ = ["Case", "Reported", "outcome", "quantity"]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A run, which quantity of it a row reports, and where the row comes from.

    `quantity` is ``rate``, ``ttft``, ``tpot`` or ``latency``, the whole of a request.
    """

    run: Offline
    quantity: str
    setting: Setting


@dataclass(frozen=True, slots=True, eq=False)
class Reported:
    """A case with what was measured of its quantity. [token/s] or [s]"""

    case: Case
    value: float

    @property
    def stack(self) -> tuple[str, str, str]:
        """Family, chip and engine: what is left out together."""
        run = self.case.run
        return run.model.family, run.chip.id, run.backend


def outcome(case: Case, calibration: Calibration) -> Outcome:
    """What is predicted of a case, with the yields of its chip and of its table."""
    values, run = calibration.yields.values, case.run
    fitted, load = yields.scaled(calibration, run.chip), run.load
    if case.setting.data:
        prompt = factor(values, (f"prompt:{case.setting.data}",))
        load = replace(load, isl=load.isl * prompt)
    # The limits hold for the 99th percentile; means lie below.
    for name in ("ttft", "tpot"):
        limit = getattr(load, name)
        if limit is not None:
            load = replace(load, **{name: limit * factor(values, (f"limit:{name}",))})
    found = offline(replace(run, load=load), fitted)
    by = yields.rate(values, case.setting, run.chip)
    return replace(found, rate=found.rate * by, ttft=found.ttft / by, tpot=found.tpot / by)


def quantity(case: Case, found: Outcome) -> float:
    """The reported quantity of an outcome; NaN where the row reports none. [token/s] or [s]"""
    if case.quantity == "latency":
        return found.ttft + (float(case.run.load.osl) - 1.0) * found.tpot
    return {"rate": found.rate, "ttft": found.ttft, "tpot": found.tpot}.get(case.quantity, math.nan)
