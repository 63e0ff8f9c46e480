"""Runs that report a rate alone: all requests at once, or one static batch.

Published throughput tables seldom say which degrees or batch were used; what they leave open is
chosen as their authors would: the legal choice that yields most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chipwise import perf
from chipwise.errors import Infeasible
from chipwise.perf import engines
from chipwise.plan import space
from chipwise.plan.space import Search
from chipwise.types import Array, Calibration, Chip, Deployment, Engine, Model, Side, Workload

__all__ = ["Offline", "offline"]


@dataclass(frozen=True, slots=True, eq=False)
class Offline:
    """One such run.

    `chips` of the system; `tp`, `pp`, `ep`, `dp` where they are told; `clients` in flight over
    the system, None for as many as fit; `static`: one batch, without a server in front;
    `load` with the limits, if any, that the run had to keep.
    """

    model: Model
    chip: Chip
    backend: str
    weights: str
    kv: str
    chips: int
    load: Workload
    clients: float | None = None
    static: bool = False
    tp: int | None = None
    pp: int | None = None
    ep: int | None = None
    dp: int | None = None
    chunk: float | None = None


def offline(run: Offline, calibration: Calibration) -> tuple[float, float, float]:
    """Output tokens each second of the whole system, ttft and tpot. [token/s], [s], [s]

    Raises
    ------
    Infeasible
        If no legal deployment holds the model and a request, or keeps the limits.
    """
    if run.static:
        calibration = _bare(run.backend, calibration)
    made = _deployments(run, calibration)
    copies = np.floor(run.chips / (made.decode.tp * np.asarray(made.decode.pp) * made.decode.dp))
    loop = "static" if run.static else "closed"
    if run.clients is None:
        best = _widest(run, made, calibration)
    else:
        each = np.maximum(np.ceil(run.clients / copies), 1.0)
        limit = perf.estimate(run.model, run.load, made, calibration, loop=loop).batch_limit
        best = np.where(np.asarray(limit) >= 1.0, np.minimum(each, np.maximum(limit, 1.0)), each)
    made = replace(made, decode=replace(made.decode, batch=best))
    found = perf.estimate(run.model, run.load, made, calibration, loop=loop)
    rate = np.where(np.isnan(found.throughput), -np.inf, found.throughput * copies)
    i = int(np.argmax(rate))
    if not np.isfinite(rate[i]):
        raise Infeasible(
            f"{run.model.id} in {run.weights} does not fit {run.chips} {run.chip.name}"
        )
    shape = np.shape(rate)
    ttft, tpot = (np.broadcast_to(x, shape)[i] for x in (found.ttft, found.tpot))
    return float(rate[i]), float(ttft), float(tpot)


def _bare(backend: str, calibration: Calibration) -> Calibration:
    """The engine without the server in front of it: no time for a request on its way in."""
    values = {**calibration.engines[backend].values, "request": 0.0, "request_token": 0.0}
    return replace(calibration, engines={**calibration.engines, backend: Engine(values)})


def _deployments(run: Offline, calibration: Calibration) -> Deployment:
    """Every set of degrees that the run leaves open and that divides its chips."""
    asked = {n: (getattr(run, n),) for n in ("tp", "pp", "ep", "dp") if getattr(run, n)}
    search = Search((run.weights,), run.kv, run.backend, run.chunk, run.chips, **asked)  # type: ignore[arg-type]
    found: list[tuple[int, int, int, int]] = []
    for stages in dict.fromkeys((search.pp or (1,), search.pp or (2, 4, 8))):
        tried = space.degrees(run.chip, run.model, replace(search, pp=stages))
        found = [d for d in sorted(set(tried)) if run.chips % (d[0] * d[1] * d[3]) == 0]
        if found and _holds(run, found, calibration):
            break
    if not found:
        given = ", ".join(f"{k} {v[0]}" for k, v in asked.items()) or f"{run.chips} chips"
        raise Infeasible(f"{given}: no legal division of {run.model.id} over {run.chip.name}")
    return _as_arrays(run, found)


def _as_arrays(run: Offline, found: list[tuple[int, int, int, int]]) -> Deployment:
    tp, pp, ep, dp = np.array(found, float).T
    chunk = run.chunk or float(engines.defaults(run.backend, run.chip).chunk)
    return Deployment(Side(run.chip, tp, pp, ep, dp, 1.0), run.weights, run.kv, run.backend, chunk)


def _holds(run: Offline, found: list[tuple[int, int, int, int]], calibration: Calibration) -> bool:
    made = _as_arrays(run, found)
    return bool(np.any(perf.estimate(run.model, run.load, made, calibration).fits))


def _widest(run: Offline, made: Deployment, calibration: Calibration) -> Array:
    """The batch of each set of degrees that yields most within the run's limits."""
    one = perf.estimate(run.model, run.load, made, calibration)
    limit = np.asarray(one.batch_limit)
    steps = space.ladder(int(max(np.max(limit), 1.0)))
    grid = np.minimum(steps[:, None], np.maximum(limit[None, :], 1.0))
    wide = replace(made, decode=replace(made.decode, batch=grid))
    found = perf.estimate(run.model, run.load, wide, calibration)
    keeps = (found.ttft <= (run.load.ttft or np.inf)) & (found.tpot <= (run.load.tpot or np.inf))
    rate = np.where(keeps, np.nan_to_num(found.throughput), 0.0)
    chosen: Array = grid[np.argmax(rate, axis=0), np.arange(grid.shape[1])]
    return chosen
