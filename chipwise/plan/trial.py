"""A deployment through the scheduler of its engine: what the closed form cannot see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipwise import perf, serving
from chipwise.perf import engines
from chipwise.types import (
    Array,
    Calibration,
    Deployment,
    Estimate,
    Model,
    Prompts,
    Side,
    Simulation,
    Workload,
)

__all__ = ["highest_rate", "run"]

# Clients of a closed loop issue this many requests each; the first wave is left out.
_REQUESTS_PER_CLIENT = 4
_FEWEST_REQUESTS = 60
_RATE_REQUESTS = 1500
_RATE_WITHIN = 0.05
# With data-parallel attention SGLang charges the running this much less.
_SGLANG_DP = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """What is played: the `share` of a deployment that stands for the whole.

    `clients` of a closed loop in that share.
    """

    made: Deployment
    model: Model
    workload: Workload
    calibration: Calibration
    share: float
    clients: int


def run(
    made: Deployment,
    one: Estimate,
    model: Model,
    workload: Workload,
    calibration: Calibration,
    seed: int,
) -> dict[str, float]:
    """The smallest part of a deployment that stands for the whole, at the load that falls on it.

    That is one rank of one replica, or, with prefill and decode apart, as many ranks of both as
    keep their proportion. A closed loop of the deployment's batch where the workload states no
    rate, else Poisson arrivals; the first wave and what the queue was empty for are left out.

    Parameters
    ----------
    one : Estimate
        What the closed form says of the deployment.

    Returns
    -------
    dict
        ttft and tpot by mean and percentile [s], `throughput` of the deployment [token/s],
        `preemptions`.
    """
    stage = _stage(made, one, model, workload, calibration)
    if workload.rate is None:
        played, warm, rate = _closed(stage, seed)
    else:
        played, warm = _open(stage, seed)
        rate = workload.rate * stage.share * float(np.max(workload.osl))
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
        "throughput": rate / stage.share,
        "preemptions": float(played.preemptions),
    }


def highest_rate(
    made: Deployment,
    one: Estimate,
    model: Model,
    workload: Workload,
    calibration: Calibration,
    seed: int,
) -> float | None:
    """The highest rate of Poisson arrivals at which a deployment keeps its target. [request/s]

    None where the workload limits no ttft, since then a queue may grow without end, or where no
    rate is low enough. Parameters are those of `run`.
    """
    if workload.ttft is None:
        return None
    stage = _stage(made, one, model, workload, calibration)

    def play(rate: float) -> Simulation:
        return _open(replace(stage, workload=replace(workload, rate=rate / stage.share)), seed)[0]

    def holds(played: Simulation) -> bool:
        ends = workload.ttft, workload.tpot, workload.percentile
        return serving.capacity.keeps(played, *ends, warmup=_RATE_REQUESTS // 10)

    start = float(np.asarray(one.throughput)) / float(np.max(workload.osl)) * stage.share
    found = serving.capacity.highest_rate(play, holds, start=start, within=_RATE_WITHIN)
    return None if found is None else found[0] / stage.share


def _stage(
    made: Deployment, one: Estimate, model: Model, workload: Workload, calibration: Calibration
) -> _Stage:
    """The part that is played."""
    if made.prefill is None:
        share = 1.0 / _ranks(made.decode)
        clients = float(np.asarray(made.decode.batch)) * float(np.asarray(made.decode.replicas))
    else:
        share = 1.0 / gcd(_ranks(made.decode), _ranks(made.prefill))
        # Little's law: as many as the closed form has in flight, on both sides together.
        length = float(np.max(workload.osl))
        spent = np.asarray(one.ttft) + (length - 1.0) * np.asarray(one.tpot)
        clients = float(np.asarray(one.throughput)) / length * float(spent)
    return _Stage(made, model, workload, calibration, share, max(int(clients * share), 1))


def _ranks(side: Side) -> int:
    """Schedulers of a side: one for each replica, data-parallel rank and stage of a pipeline."""
    return int(np.asarray(side.replicas * np.asarray(side.dp) * side.pp))


def _percentile(played: Simulation, warm: int, at: float) -> dict[str, float]:
    """The percentile of the target, where it is not among the usual ones."""
    tpot: Array = serving.metrics.tpot(played)[warm:]
    ttft: Array = (played.first - played.arrival)[warm:]
    return {
        f"ttft_p{at:g}": float(np.percentile(ttft, at)),
        f"tpot_p{at:g}": float(np.nanpercentile(tpot, at)) if not np.isnan(tpot).all() else 0.0,
    }


def _closed(stage: _Stage, seed: int) -> tuple[Simulation, int, float]:
    """Run of a closed loop, requests to leave out, output tokens each second."""
    clients = stage.clients
    count = max(_REQUESTS_PER_CLIENT * clients, _FEWEST_REQUESTS)
    played = _play(stage, None, _lengths(stage.workload, count, seed), clients)
    start, end = serving.metrics.steady(played, clients)
    rate = serving.metrics.output_tokens_per_second(played, start, end)
    return played, min(clients, count // 2), rate


def _open(stage: _Stage, seed: int) -> tuple[Simulation, int]:
    """Run of Poisson arrivals at this part's share of the rate, and requests to leave out."""
    assert stage.workload.rate is not None
    rate = stage.workload.rate * stage.share
    arrival = serving.arrivals.poisson(rate, _RATE_REQUESTS, seed)
    played = _play(stage, arrival, _lengths(stage.workload, _RATE_REQUESTS, seed), None)
    return played, _RATE_REQUESTS // 10


def _play(
    stage: _Stage,
    arrival: Array | None,
    lengths: tuple[NDArray[np.int64], NDArray[np.int64]],
    clients: int | None,
) -> Simulation:
    """The part under a load, with the engine's scheduler, its limits and the cache it has."""
    made = stage.made
    load: dict[str, Any] = {"concurrency": clients, **_shared(stage.workload, lengths[0])}
    if made.prefill is None:
        server = _server(stage, made.decode, 1)
        flags = _flags(made, int(lengths[0].max()))
        named = {k: getattr(server, k) for k in ("blocks", "block_size", "max_seqs", "max_tokens")}
        told = {**load, **named, **flags}
        return serving.simulate(server.table, arrival, *lengths, **told)
    ahead, behind = (
        _server(stage, side, round(_ranks(side) * stage.share))
        for side in (made.prefill, made.decode)
    )
    moving = float(np.asarray(perf.kv_transfer(stage.model, made, 1.0)))
    return serving.simulate_apart(ahead, behind, arrival, *lengths, latency_token=moving, **load)


def _server(stage: _Stage, side: Side, count: int) -> serving.Server:
    """So many ranks of a side; the stages of a pipeline share a rank's cache."""
    made, size = stage.made, serving.presets.flags(stage.made.backend)["block_size"]
    length = float(np.max(stage.workload.isl) + np.max(stage.workload.osl))
    blocks = perf.kv_blocks(stage.model, made, side, stage.calibration, length, size)
    return serving.Server(
        table=perf.step_table(stage.model, made, side, stage.calibration),
        blocks=int(blocks // np.asarray(side.pp)),
        block_size=size,
        max_seqs=engines.defaults(made.backend, side.chip).max_seqs,
        max_tokens=int(np.max(made.chunk)),
        replicas=count,
    )


def _flags(made: Deployment, longest: int) -> Mapping[str, Any]:
    """Flags of the engine's newest version.

    Overlapped scheduling stays out: the host's time was fitted to a synchronous replay, so that
    what it saves and what it delays is in the calibration already.
    """
    told = dict(serving.presets.flags(made.backend)) | {"asynchronous": False}
    del told["block_size"]
    if longest > int(np.max(made.chunk)):
        told["chunked"] = True  # the only way in which such a prompt is served
    if made.backend == "sglang" and float(np.asarray(made.decode.dp)) > 1:
        told["conservativeness"] = _SGLANG_DP
    return told


def _shared(workload: Workload, isl: NDArray[np.int64]) -> dict[str, Any]:
    """What the prompts share, where some of them is to be found in the cache."""
    hit = int(float(np.max(workload.prefix_hit)) * float(np.max(workload.isl)))
    if hit < 1:
        return {}
    head = np.minimum(hit, isl - 1)
    each = np.arange(len(isl))
    prompts = Prompts(
        offset=2 * np.arange(len(isl) + 1),
        ident=np.stack((np.zeros_like(each), each + 1), axis=1).ravel(),
        length=np.stack((head, isl - head), axis=1).ravel(),
        output=each + len(isl) + 1,
    )
    return {"prefix_caching": True, "prompts": prompts}


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
