"""A deployment through the scheduler of its engine: what the closed form cannot see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chipwise import perf, serving
from chipwise.perf import engines
from chipwise.types import Array, Calibration, Deployment, Model, Simulation, Workload

__all__ = ["run"]

# Clients of a closed loop issue this many requests each; the first wave is left out.
_REQUESTS_PER_CLIENT = 4
_FEWEST_REQUESTS = 60
_RATE_REQUESTS = 1500
_BLOCK = 16


def run(
    made: Deployment, model: Model, workload: Workload, calibration: Calibration, seed: int
) -> dict[str, float]:
    """One rank of one replica, at the load that falls on it.

    A closed loop of the deployment's batch where the workload states no rate, else Poisson
    arrivals; the first wave and what the queue was empty for are left out.

    Returns
    -------
    dict
        ttft and tpot by mean and percentile [s], `throughput` of the deployment [token/s],
        `preemptions`.
    """
    side = made.decode
    groups = float(np.asarray(side.dp * np.asarray(side.pp)))
    spread = float(np.asarray(side.replicas)) * groups
    if workload.rate is None:
        played, warm, rate = _closed(made, model, workload, calibration, seed)
    else:
        played, warm = _open(made, model, workload, calibration, seed)
        rate = workload.rate / spread * float(np.max(workload.osl))
    found = serving.metrics.summary(played, warm)
    named = {
        f"{name}_{at}": value
        for name in ("ttft", "tpot")
        for at, value in found[name].items()
        if value is not None
    }
    return {
        **named,
        **_percentile(played, warm, workload.percentile),
        "throughput": rate * spread,
        "preemptions": float(played.preemptions),
    }


def _percentile(played: Simulation, warm: int, at: float) -> dict[str, float]:
    """The percentile of the target, where it is not among the usual ones."""
    tpot: Array = serving.metrics.tpot(played)[warm:]
    ttft: Array = (played.first - played.arrival)[warm:]
    return {
        f"ttft_p{at:g}": float(np.percentile(ttft, at)),
        f"tpot_p{at:g}": float(np.nanpercentile(tpot, at)) if not np.isnan(tpot).all() else 0.0,
    }


def _closed(
    made: Deployment, model: Model, workload: Workload, calibration: Calibration, seed: int
) -> tuple[Simulation, int, float]:
    """Run of a closed loop, requests to leave out, output tokens each second of the rank."""
    side = made.decode
    clients = max(int(np.asarray(side.batch / (side.dp * np.asarray(side.pp)))), 1)
    count = max(_REQUESTS_PER_CLIENT * clients, _FEWEST_REQUESTS)
    isl, osl = _lengths(workload, count, seed)
    played = _play(made, model, workload, calibration, None, (isl, osl), clients)
    start, end = serving.metrics.steady(played, clients)
    rate = serving.metrics.output_tokens_per_second(played, start, end)
    return played, min(clients, count // 2), rate


def _open(
    made: Deployment, model: Model, workload: Workload, calibration: Calibration, seed: int
) -> tuple[Simulation, int]:
    """Run of Poisson arrivals at this rank's share of the rate, and requests to leave out."""
    side = made.decode
    assert workload.rate is not None
    spread = float(np.asarray(side.dp * np.asarray(side.pp) * side.replicas))
    isl, osl = _lengths(workload, _RATE_REQUESTS, seed)
    arrival = serving.arrivals.poisson(workload.rate / spread, _RATE_REQUESTS, seed)
    played = _play(made, model, workload, calibration, arrival, (isl, osl), None)
    return played, _RATE_REQUESTS // 10


def _play(
    made: Deployment,
    model: Model,
    workload: Workload,
    calibration: Calibration,
    arrival: Array | None,
    lengths: tuple[NDArray[np.int64], NDArray[np.int64]],
    clients: int | None,
) -> Simulation:
    """One rank of the deployment under a load, with the engine's limits and the cache it has."""
    side = made.decode
    length = float(np.max(workload.isl) + np.max(workload.osl))
    return serving.simulate(
        perf.step_table(model, made, side, calibration),
        arrival,
        *lengths,
        concurrency=clients,
        blocks=perf.kv_blocks(model, made, side, calibration, length, _BLOCK),
        block_size=_BLOCK,
        max_seqs=engines.defaults(made.backend, side.chip).max_seqs,
        max_tokens=int(np.max(made.chunk)),
    )


def _lengths(
    workload: Workload, count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Prompts and outputs within a tenth of the nominal ones, so that clients fall out of step."""
    drawn = np.random.default_rng(seed).uniform(0.9, 1.1, (2, count))
    isl, osl = (
        np.maximum(np.rint(d * np.max(n)), 1)
        for d, n in zip(drawn, (workload.isl, workload.osl), strict=True)
    )
    return isl.astype(np.int64), osl.astype(np.int64)
