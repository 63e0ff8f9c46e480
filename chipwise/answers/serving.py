"""JSON of estimates, plans and simulations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from chipwise import perf, serving
from chipwise.answers.law import verdict
from chipwise.answers.values import MILLION, envelope, interval, money, number
from chipwise.perf import engines
from chipwise.plan import describe
from chipwise.simulating import Played
from chipwise.types import (
    Chip,
    Deployment,
    Memory,
    Model,
    Plan,
    PlanRow,
    Served,
    Side,
    Simulation,
    Workload,
)

__all__ = [
    "beside",
    "estimate",
    "loads",
    "plan",
    "roofline",
    "simulation",
]


def estimate(
    of: PlanRow,
    network: Model,
    load: Workload,
    calibration: str,
    *,
    loop: str,
    to: str,
    on: date,
    route: str,
) -> dict[str, Any]:
    """JSON of `estimate`; `loop` is ``static`` (one batch) or ``closed`` (clients)."""
    return {
        **envelope(calibration),
        "chip": of.chip.id,
        "model": network.id,
        "workload": _workload(load),
        "loop": loop,
        "to": to,
        "on": on.isoformat(),
        "route": route,
        "deployment": _deployment(of.deployment),
        **_figures(of, load),
        "status": of.verdict.status if of.verdict else None,
    }


def _figures(of: PlanRow, load: Workload) -> dict[str, Any]:
    """The quantities of a deployment that runs."""
    made = of.estimate
    if made is None:
        return {}
    rate = of.quantities["throughput"]
    chips = int(number(made.chips))
    both = float(number(load.isl) + number(load.osl)) / float(number(load.osl))
    return {
        "ttft_s": interval(of.quantities["ttft"]),
        "tpot_s": interval(of.quantities["tpot"]),
        "output_tokens_per_s": interval(rate),
        "output_tokens_per_s_per_chip": interval(rate, 1.0 / chips),
        "total_tokens_per_s": interval(rate, both),
        "chip_count": chips,
        "memory_bytes": _memory(made.memory),
        "fits": bool(np.all(made.fits)),
        "batch_limit": number(made.batch_limit),
        "bound": number(made.bound),
        "parts_s": {name: number(value) for name, value in made.parts.items()},
        "power_w": interval(of.quantities["power"]),
        "usd_per_hour": money(of.usd),
        "usd_per_million_output_tokens": money(of.usd_token, MILLION),
        "joule_per_output_token": interval(of.quantities["energy"]),
        "gco2_per_output_token": of.carbon,
        "price_basis": of.price_basis,
        "basis": of.basis,
        "rests_on_unverified": list(of.rests_on_unverified),
        "simulated": dict(of.simulated),
        "notes": list(of.notes),
    }


def _row(of: PlanRow, load: Workload) -> dict[str, Any]:
    """A row of a plan: a chip's best deployment, or why there is none."""
    return {
        "chip": of.chip.id,
        "feasible": of.feasible,
        "why": of.why,
        "deployment": _deployment(of.deployment),
        **_figures(of, load),
        "status": of.verdict.status if of.verdict else None,
        "runners_up": [
            {
                "deployment": _deployment(other.deployment),
                "output_tokens_per_s": interval(other.quantities["throughput"]),
                "usd_per_million_output_tokens": money(other.usd_token, MILLION),
            }
            for other in of.runners_up
        ],
    }


def beside(calibration: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What another calibration says of the same question, in short, or why it says nothing."""
    told = ("ttft_s", "tpot_s", "output_tokens_per_s")
    able = row.get("feasible", True)
    return {
        "calibration_id": calibration,
        "why": "" if able else row["why"],
        "deployment": row["deployment"]["text"] if able else None,
        **{name: row[name] if able else None for name in told},
    }


def plan(
    of: Plan, calibration: str, *, to: str, on: date, route: str, price_basis: str
) -> dict[str, Any]:
    """JSON of `plan`."""
    verdicts = {r.chip.id: verdict(r.verdict) for r in of.rows if r.verdict}
    return {
        **envelope(calibration),
        "model": of.model.id,
        "workload": _workload(of.workload),
        "to": to,
        "on": on.isoformat(),
        "route": route,
        "price_basis": price_basis,
        "considered": of.considered,
        "chips": [_row(r, of.workload) for r in of.rows],
        "apart": [_row(r, of.workload) for r in of.apart],
        "pareto": [
            {
                "chip": r.chip.id,
                "deployment": _deployment(r.deployment),
                "usd_per_million_output_tokens": money(r.usd_token, MILLION),
                "tpot_s": interval(r.quantities["tpot"]),
                "ttft_s": interval(r.quantities["ttft"]),
            }
            for r in of.pareto
        ],
        "verdicts": verdicts,
        "not_legal_advice": True,
    }


def _workload(of: Workload) -> dict[str, Any]:
    """Lengths, rate and target of a load."""
    return {
        "isl": int(number(of.isl)),
        "osl": int(number(of.osl)),
        "rate_per_s": of.rate,
        "ttft_s": of.ttft,
        "tpot_s": of.tpot,
        "percentile": of.percentile,
        "prefix_hit": of.prefix_hit,
    }


def _deployment(of: Deployment | None) -> dict[str, Any] | None:
    """A deployment: its sides, formats, engine, token budget and link."""
    if of is None:
        return None
    usual = engines.defaults(of.backend, of.decode.chip)
    return {
        "decode": _side(of.decode),
        "prefill": _side(of.prefill),
        "weights": of.weights,
        "kv": of.kv,
        "backend": of.backend,
        "backend_version": usual.version,
        "chunk": int(number(of.chunk)),
        "max_seqs": usual.max_seqs,
        "link_bytes_per_s": of.link,
        "text": describe(of),
    }


def _side(of: Side | None) -> dict[str, Any] | None:
    if of is None:
        return None
    whole = {n: int(number(getattr(of, n))) for n in ("tp", "pp", "ep", "dp", "batch", "replicas")}
    return {"chip": of.chip.id, **whole}


def _memory(of: Memory) -> dict[str, float]:
    parts = {
        name: float(number(getattr(of, name)))
        for name in ("weights", "kv", "activations", "buffers", "reserve")
    }
    return {"total": sum(parts.values()), **parts, "capacity": float(number(of.capacity))}


# -- the roofline --------------------------------------------------------------------------------


def roofline(
    made: Deployment, found: Mapping[str, Sequence[perf.Operator]]
) -> list[dict[str, Any]]:
    """Operators of a step of prefill and of decode, beside what the roofline of their chip allows.

    Parameters
    ----------
    made : Deployment
        Where they run.
    found : mapping
        As `perf.operators` tells them.
    """
    sides = {"prefill": made.prefill or made.decode, "decode": made.decode}
    return [_phase(phase, sides[phase].chip, ran) for phase, ran in found.items()]


def _phase(phase: str, on: Chip, ran: Sequence[perf.Operator]) -> dict[str, Any]:
    assert on.memory_bandwidth is not None
    peaks = {of.peak: on.flops[of.peak] for of in ran if of.flops}
    return {
        "phase": phase,
        "chip": on.id,
        "flop_per_s": peaks,
        "memory_bandwidth_bytes_per_s": on.memory_bandwidth,
        "operators": [
            {
                "operator": of.kind,
                "role": of.role or None,
                "format": of.peak if of.flops else None,
                "flops": of.flops,
                "bytes": of.bytes,
                "time_s": of.seconds,
                "flop_per_byte": of.flops / of.bytes if of.bytes else None,
                "attained_flop_per_s": of.flops / of.seconds,
                "attainable_flop_per_s": _attainable(of, on.memory_bandwidth, peaks),
            }
            for of in ran
        ],
    }


def _attainable(of: perf.Operator, bandwidth: float, peaks: Mapping[str, float]) -> float:
    """The roofline: arithmetic's rate, or what memory can feed it with. [flop/s]"""
    if not of.flops:
        return 0.0
    return min(peaks[of.peak], of.flops / of.bytes * bandwidth if of.bytes else math.inf)


# -- simulations ---------------------------------------------------------------------------------


def simulation(of: Played, served: Served | None = None, since: float = 0.0) -> dict[str, Any]:
    """JSON of `simulate`.

    The rate of a closed loop is that of its steady part; use of the cache and requests over time
    are there where the iterations were recorded. What a log (`served`) measured stands beside
    what was simulated of its requests, those alone that were not complete after the share `since`
    of its time.
    """
    run, warm = of.run, of.warmup
    found = serving.metrics.summary(run, warm)
    good, share = serving.metrics.goodput(run, of.ttft, of.tpot, warm)
    start, end = serving.metrics.steady(run, of.clients) if of.clients else (None, None)
    rate = serving.metrics.output_tokens_per_second(run, start, end)
    return {
        **envelope(of.calibration),
        "requests": len(run.isl),
        "warm_up": warm,
        "iterations": int(run.iterations),
        "preemptions": int(run.preemptions),
        **{f"{name}_s": dict(times) for name, times in found.items()},
        "ttft_limit_s": of.ttft,
        "tpot_limit_s": of.tpot,
        "goodput": good,
        "goodput_share": share,
        "percentile": of.percentile,
        "highest_rate": of.rate,
        "output_tokens_per_s": rate,
        "total_tokens_per_s": rate * float(1.0 + run.isl.sum() / run.osl.sum()),
        "cached_share": float(run.cached.sum() / run.isl.sum()),
        "over_time": serving.metrics.over_time(run, of.blocks) if run.steps else None,
        "span_s": float(run.finish.max() - run.arrival.min()),
        "elapsed_s": of.elapsed,
        **({} if served is None else {"measured": _measured(run, served, since)}),
    }


def loads(load: str, every: Mapping[float, Mapping[str, Any]]) -> dict[str, Any]:
    """Simulations at several loads, in short; `load` is ``rate`` or ``concurrency``."""
    told = ("ttft_s", "tpot_s", "output_tokens_per_s", "goodput_share")
    short = [{"load": each, **{k: every[each][k] for k in told}} for each in sorted(every)]
    return {"load": load, "loads": short}


def _measured(of: Simulation, served: Served, since: float) -> dict[str, Any]:
    """Times of a log's requests as measured and as simulated. [s]"""
    start = since * float(served.finish.max())
    kept = served.finish > start
    spread, after = serving.metrics.percentiles, served.osl - 1
    pace = np.where(after > 0, (served.finish - served.first) / np.maximum(after, 1), np.nan)
    times = {
        "ttft_s": (served.first - served.arrival, of.first - of.arrival),
        "tpot_s": (pace, serving.metrics.tpot(of)),
    }
    return {
        "since_s": start,
        "requests": int(kept.sum()),
        **{
            name: {"measured": spread(truth[kept]), "simulated": spread(made[kept])}
            for name, (truth, made) in times.items()
        },
    }
