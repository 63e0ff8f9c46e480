"""Results → plain dictionaries: the JSON that others rely on.

Keys carry their units; a quantity with an interval is ``{"value", "low", "high"}``, in base
units; for money, value is the mid price. `docs/schema.json` describes every key, and a test
checks the output against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from chipwise import catalog, perf, serving
from chipwise.claims import Judged, sentence
from chipwise.perf import engines
from chipwise.perf.training_memory import TrainingMemory, training_total
from chipwise.plan import describe
from chipwise.plan.frontier import Frontier, FrontierPoint, Worth
from chipwise.plan.training import Run, TrainingAnswer, describe_layout
from chipwise.plan.training_mix import MixedAnswer
from chipwise.policy import metrics
from chipwise.simulating import Played
from chipwise.types import (
    Chip,
    Deployment,
    Fact,
    Interval,
    Memory,
    Model,
    Money,
    Plan,
    PlanRow,
    Price,
    Rule,
    RuleTrace,
    Served,
    Side,
    SideVerdict,
    Simulation,
    StatusPeriod,
    Verdict,
    Workload,
)
from chipwise.units import from_base
from chipwise.words import LANGUAGES

if TYPE_CHECKING:
    from chipwise.fleet import Study

__all__ = [
    "SCHEMA_VERSION",
    "beside",
    "chip",
    "chip_entry",
    "claim",
    "deployment",
    "envelope",
    "estimate",
    "fact",
    "fleet",
    "frontier",
    "loads",
    "model",
    "model_entry",
    "placed",
    "plan",
    "price",
    "price_fields",
    "region",
    "roofline",
    "row",
    "rule",
    "rule_fields",
    "simulation",
    "source",
    "source_fields",
    "timeline",
    "train",
    "train_each",
    "train_mixed",
    "verdict",
    "verdict_entry",
    "workload",
]

SCHEMA_VERSION = "1.0"
_MILLION = 1e6


def envelope(calibration: str) -> dict[str, Any]:
    """What every answer carries: versions of program, catalog, calibration and schema."""
    from importlib.metadata import version  # noqa: PLC0415 -- slow to import, wanted here alone

    return {
        "chipwise_version": version("chipwise"),
        "catalog_as_of": catalog.as_of().isoformat(),
        "calibration_id": calibration,
        "schema_version": SCHEMA_VERSION,
    }


def _number(value: Any) -> Any:
    """A plain number or text; None for what is not known."""
    if value is None or isinstance(value, (str, bool)):
        return value
    number = np.asarray(value).item()
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    return number


def _interval(found: Interval | None, factor: float = 1.0) -> dict[str, Any] | None:
    if found is None or not math.isfinite(found.value):
        return None
    return {
        "value": found.value * factor,
        "low": found.low * factor,
        "high": found.high * factor,
    }


def _money(found: Money | None, factor: float = 1.0) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.mid * factor, "low": found.low * factor, "high": found.high * factor}


def _side(of: Side | None) -> dict[str, Any] | None:
    if of is None:
        return None
    whole = {n: int(_number(getattr(of, n))) for n in ("tp", "pp", "ep", "dp", "batch", "replicas")}
    return {"chip": of.chip.id, **whole}


def deployment(of: Deployment | None) -> dict[str, Any] | None:
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
        "chunk": int(_number(of.chunk)),
        "max_seqs": usual.max_seqs,
        "link_bytes_per_s": of.link,
        "text": describe(of),
    }


def _memory(of: Memory) -> dict[str, float]:
    parts = {
        name: float(_number(getattr(of, name)))
        for name in ("weights", "kv", "activations", "buffers", "reserve")
    }
    return {"total": sum(parts.values()), **parts, "capacity": float(_number(of.capacity))}


def workload(of: Workload) -> dict[str, Any]:
    """Lengths, rate and target of a load."""
    return {
        "isl": int(_number(of.isl)),
        "osl": int(_number(of.osl)),
        "rate_per_s": of.rate,
        "ttft_s": of.ttft,
        "tpot_s": of.tpot,
        "percentile": of.percentile,
        "prefix_hit": of.prefix_hit,
    }


def _row(of: PlanRow, load: Workload) -> dict[str, Any]:
    """The quantities of a deployment that runs."""
    made = of.estimate
    if made is None:
        return {}
    rate = of.quantities["throughput"]
    chips = int(_number(made.chips))
    both = float(_number(load.isl) + _number(load.osl)) / float(_number(load.osl))
    return {
        "ttft_s": _interval(of.quantities["ttft"]),
        "tpot_s": _interval(of.quantities["tpot"]),
        "output_tokens_per_s": _interval(rate),
        "output_tokens_per_s_per_chip": _interval(rate, 1.0 / chips),
        "total_tokens_per_s": _interval(rate, both),
        "chip_count": chips,
        "memory_bytes": _memory(made.memory),
        "fits": bool(np.all(made.fits)),
        "batch_limit": _number(made.batch_limit),
        "bound": _number(made.bound),
        "parts_s": {name: _number(value) for name, value in made.parts.items()},
        "power_w": _interval(of.quantities["power"]),
        "usd_per_hour": _money(of.usd),
        "usd_per_million_output_tokens": _money(of.usd_token, _MILLION),
        "joule_per_output_token": _interval(of.quantities["energy"]),
        "gco2_per_output_token": of.carbon,
        "price_basis": of.price_basis,
        "basis": of.basis,
        "rests_on_unverified": list(of.rests_on_unverified),
        "simulated": dict(of.simulated),
        "notes": list(of.notes),
    }


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
        "workload": workload(load),
        "loop": loop,
        "to": to,
        "on": on.isoformat(),
        "route": route,
        "deployment": deployment(of.deployment),
        **_row(of, load),
        "status": of.verdict.status if of.verdict else None,
    }


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


def row(of: PlanRow, load: Workload) -> dict[str, Any]:
    """A row of a plan: a chip's best deployment, or why there is none."""
    return {
        "chip": of.chip.id,
        "feasible": of.feasible,
        "why": of.why,
        "deployment": deployment(of.deployment),
        **_row(of, load),
        "status": of.verdict.status if of.verdict else None,
        "runners_up": [
            {
                "deployment": deployment(other.deployment),
                "output_tokens_per_s": _interval(other.quantities["throughput"]),
                "usd_per_million_output_tokens": _money(other.usd_token, _MILLION),
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
        "workload": workload(of.workload),
        "to": to,
        "on": on.isoformat(),
        "route": route,
        "price_basis": price_basis,
        "considered": of.considered,
        "chips": [row(r, of.workload) for r in of.rows],
        "apart": [row(r, of.workload) for r in of.apart],
        "pareto": [
            {
                "chip": r.chip.id,
                "deployment": deployment(r.deployment),
                "usd_per_million_output_tokens": _money(r.usd_token, _MILLION),
                "tpot_s": _interval(r.quantities["tpot"]),
                "ttft_s": _interval(r.quantities["ttft"]),
            }
            for r in of.pareto
        ],
        "verdicts": verdicts,
        "not_legal_advice": True,
    }


def fact(of: Fact) -> dict[str, Any]:
    """One value with where it stands."""
    return {
        "value": _number(of.value),
        "unit": of.unit,
        "source": of.source,
        "on": of.on.isoformat() if of.on else None,
        "verified": of.provenance != "unverified",
        "provenance": of.provenance,
        "low": of.low,
        "high": of.high,
        "note": of.note,
    }


def chip_entry(of: Chip) -> dict[str, Any]:
    """A chip in the list of all; memory as its maker prints it."""
    printed = of.facts.get("memory")
    return {
        "id": of.id,
        "name": of.name,
        "vendor": of.vendor,
        "country": of.country,
        "released": of.released or None,
        "status": of.status,
        "memory_gb": _number(printed.value) if printed else None,
        "memory_bytes": of.memory,
        "memory_bandwidth_bytes_per_s": of.memory_bandwidth,
        "bf16_flop_per_s": of.flops.get("bf16", of.flops.get("fp16")),
        "fp8_flop_per_s": of.flops.get("fp8"),
        "power_w": of.power,
    }


def chip(of: Chip) -> dict[str, Any]:
    """A chip with every value, its unit, source and date."""
    return {
        "id": of.id,
        "name": of.name,
        "vendor": of.vendor,
        "fields": {name: fact(value) for name, value in of.facts.items()},
    }


def _named_model(of: Model, parameters: float) -> dict[str, Any]:
    """What a model is told by, alone and in the list."""
    return {
        "id": of.id,
        "family": of.family,
        "weights": of.weights,
        "parameters": parameters,
        "parameters_published": of.published,
    }


def model_entry(of: Model, parameters: float) -> dict[str, Any]:
    """A model in the list of all."""
    return {
        **_named_model(of, parameters),
        "layers": of.depth,
        "context": of.context,
    }


def model(of: Model, parameters: float) -> dict[str, Any]:
    """A model with every figure of its architecture, and the parameters that they make."""
    return {
        **_named_model(of, parameters),
        "blocks": [{"kind": b.kind, "count": b.count, **b.dims} for b in of.layers],
        "note": of.note,
        "fields": {name: fact(value) for name, value in of.facts.items()},
    }


def price(of: Price) -> dict[str, Any]:
    """A price with its spread, region, date and source."""
    return {
        "id": f"{of.chip}:{of.kind}:{of.region}:{of.on}",
        "chip": of.chip,
        "kind": of.kind,
        "usd": _money(of.usd),
        "region": of.region,
        "on": of.on,
        "source": of.source,
        "verified": of.verified,
        "count": of.count,
    }


def price_fields(of: Price) -> dict[str, Any]:
    """A price as one field, as those of chips are."""
    kept = price(of)
    unit = "USD/chip" if of.kind == "purchase" else "USD/h"
    told = {
        **{k: kept[k] for k in ("source", "on", "verified")},
        "provenance": "source" if of.verified else "unverified",
    }
    usd = {"value": of.usd.mid, "unit": unit, **told, "low": of.usd.low, "high": of.usd.high}
    plain = {k: {"value": kept[k], "unit": "", **told} for k in ("chip", "kind", "region", "count")}
    return {"id": kept["id"], "fields": {"usd": usd, **plain}}


def source(key: str, of: Mapping[str, Any]) -> dict[str, Any]:
    """What a source's key stands for."""
    return {"id": key, **{k: _day(v) for k, v in of.items()}}


def source_fields(key: str, of: Mapping[str, Any]) -> dict[str, Any]:
    """A source, value by value."""
    on = _day(of.get("retrieved"))
    plain = {"unit": "", "source": key, "on": on, "verified": True, "provenance": "source"}
    return {"id": key, "fields": {k: {"value": _day(v), **plain} for k, v in of.items()}}


def _day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def rule(of: Rule) -> dict[str, Any]:
    """A rule as data."""
    return {
        "id": of.id,
        "title": dict(of.title),
        "kind": of.kind,
        "counted": of.counted,
        "jurisdiction": of.jurisdiction,
        "citation": of.citation,
        "start": of.start.isoformat(),
        "end": of.end.isoformat() if of.end else None,
        "destinations": list(of.destinations),
        "routes": list(of.routes),
        "condition": of.condition,
        "outcome": of.outcome,
        "effect": of.effect,
        "confidence": of.confidence,
        "needs": list(of.needs),
        "review_by": of.review_by.isoformat() if of.review_by else None,
    }


def rule_fields(of: Rule) -> dict[str, Any]:
    """A rule, value by value, each by the rule's own citation."""
    plain = {
        "unit": "",
        "source": of.citation,
        "on": of.start.isoformat(),
        "verified": of.confidence == "source",
        "provenance": "source" if of.confidence == "source" else "reported",
    }
    values = {**rule(of), "caught": list(of.caught), "spared": list(of.spared)}
    titles = values.pop("title")
    values |= {f"title_{lang}": text for lang, text in titles.items()}
    del values["id"]
    return {"id": of.id, "fields": {k: {"value": v, **plain} for k, v in values.items()}}


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


def _training_memory(of: TrainingMemory) -> dict[str, Any]:
    names = ("weights", "gradients", "optimiser", "activations", "buffers", "capacity")
    parts = {name: _number(getattr(of, name)) for name in names}
    return {"total": _number(training_total(of)), **parts}


def _parallelism(of: Any) -> dict[str, Any]:
    degrees = ("tp", "pp", "cp", "ep", "dp", "interleave", "micro")
    return {
        **{name: int(_number(getattr(of, name))) for name in degrees},
        "shard": of.shard,
        "recompute": of.recompute,
        "text": describe_layout(of),
    }


def _run(of: Run | None) -> dict[str, Any]:
    """Days, money, energy and carbon of a run; null without a budget of tokens."""
    if of is None:
        return dict.fromkeys(("days", "usd", "mwh", "tco2", "run"))
    return {
        "days": from_base(of.total, "d"),
        "usd": _money(of.usd),
        "mwh": None if of.energy is None else from_base(of.energy, "MWh"),
        "tco2": None if of.carbon is None else of.carbon / _MILLION,
        "run": {
            "tokens": of.tokens,
            "steps": of.steps,
            "ideal_days": from_base(of.ideal, "d"),
            "goodput": of.goodput,
            "failures": of.failures,
            "checkpoint_interval_s": of.interval,
        },
    }


def train(of: TrainingAnswer, calibration: str, *, price_basis: str) -> dict[str, Any]:
    """JSON of `train`."""
    training = of.training
    return {
        **envelope(calibration),
        "model": training.model.id,
        "chip": of.chip.id,
        "chip_count": of.chips,
        "seq": int(_number(training.seq)),
        "global_batch": int(_number(training.batch)),
        "precision": training.precision,
        "step_s": _interval(of.step),
        "mfu": _interval(of.mfu),
        "hfu": _number(of.estimate.hfu),
        "tokens_per_s_per_chip": _interval(of.rate),
        "memory_bytes": _training_memory(of.memory),
        "parallelism": _parallelism(of.layout),
        "parts_s": {name: _number(value) for name, value in of.estimate.parts.items()},
        "bound": of.bound,
        "power_w": of.power,
        **_run(of.run),
        "price_basis": price_basis,
        "basis": of.basis,
        "rests_on_unverified": list(of.rests_on_unverified),
        "considered": of.considered,
        "fitting": of.fit,
        "pareto": [
            {"parallelism": _parallelism(layout), "step_s": step, "memory_bytes": total}
            for layout, step, total in of.front
        ],
        "notes": list(of.notes),
    }


def train_each(
    of: Sequence[tuple[Chip, TrainingAnswer | str]], calibration: str, *, price_basis: str
) -> dict[str, Any]:
    """JSON of `train` for several kinds of chips side by side, each alone."""
    found = next(answer for _, answer in of if not isinstance(answer, str))
    training = found.training
    return {
        **envelope(calibration),
        "model": training.model.id,
        "chip_count": found.chips,
        "seq": int(_number(training.seq)),
        "global_batch": int(_number(training.batch)),
        "price_basis": price_basis,
        "chips": [
            {"chip": kind.id, "feasible": False, "why": answer}
            if isinstance(answer, str)
            else {
                **train(answer, calibration, price_basis=price_basis),
                "feasible": True,
                "why": "",
            }
            for kind, answer in of
        ],
    }


def train_mixed(of: MixedAnswer, calibration: str, *, price_basis: str) -> dict[str, Any]:
    """JSON of `train` for several kinds of chips that share every batch."""
    training = of.kinds[0].training
    return {
        **envelope(calibration),
        "model": training.model.id,
        "chip_count": sum(a.chips for a in of.kinds),
        "seq": int(_number(training.seq)),
        "global_batch": sum(int(_number(a.training.batch)) for a in of.kinds),
        "step_s": _interval(of.step),
        "waits_for": of.slowest,
        "tokens_per_s": of.rate,
        **_run(of.run),
        "price_basis": price_basis,
        "kinds": [train(a, calibration, price_basis=price_basis) for a in of.kinds],
    }


def _trace(of: RuleTrace) -> dict[str, Any]:
    return {
        "id": of.id,
        "fires": of.fires,
        "arithmetic": list(of.arithmetic),
        "outcome": of.outcome,
        "needs": list(of.needs),
        "missing": list(of.missing),
        "effect": of.effect,
        "confidence": of.confidence,
    }


def _verdict_side(of: SideVerdict) -> dict[str, Any]:
    return {
        "status": of.status,
        "rules": [_trace(t) for t in of.rules],
        "not_evaluated": list(of.not_evaluated),
    }


def verdict(of: Verdict) -> Mapping[str, Any]:
    """A verdict: both sides, each rule with its arithmetic, what is unknown or disputed."""
    return {
        "chip": of.chip,
        "to": of.to,
        "on": of.on.isoformat(),
        "route": of.route,
        "status": of.status,
        "export": _verdict_side(of.export),
        "import": _verdict_side(of.imports),
        "needs": list(of.needs),
        "unknown": list(of.unknown),
        "disputed": list(of.disputed),
        "disputes": [asdict(each) for each in of.disputes],
        "not_evaluated": list(of.not_evaluated),
        "origin": of.origin,
        "end_user": of.end_user,
        "rests_on_unverified": list(of.rests_on_unverified),
    }


def fleet(of: Study, calibration: str) -> dict[str, Any]:
    """JSON of `fleet`."""
    from chipwise.fleet import told  # noqa: PLC0415 -- highspy is slow to import

    return {**envelope(calibration), **told(of)}


def verdict_entry(of: Verdict) -> dict[str, Any]:
    """A verdict in the table of all chips."""
    return {
        "chip": of.chip,
        "to": of.to,
        "on": of.on.isoformat(),
        "route": of.route,
        "status": of.status,
        "export_status": of.export.status,
        "import_status": of.imports.status,
        "rules": [t.id for side in (of.export, of.imports) for t in side.rules if t.fires],
        "unknown": list(of.unknown),
        "disputed": list(of.disputed),
        "not_legal_advice": True,
    }


def timeline(
    chip_id: str, periods: Sequence[StatusPeriod], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON of `policy --timeline`; `asked` holds to, route, origin, end_user and include."""
    return {
        "chip": chip_id,
        **asked,
        "periods": [
            {
                "start": p.start.isoformat(),
                "end": None if p.end is None else p.end.isoformat(),
                "status": p.status,
                "export": p.export,
                "import": p.imports,
                "rules": list(p.rules),
            }
            for p in periods
        ],
        "not_legal_advice": True,
    }


def _frontier_point(of: FrontierPoint) -> dict[str, Any]:
    low = of.at_most
    return {
        "chip": of.chip or None,
        "real": of.real,
        "tpp": of.tpp,
        "density": of.density,
        "memory_bandwidth": of.memory_bandwidth,
        "io_bandwidth": of.io_bandwidth,
        "prefill_tokens_per_s": of.prefill,
        "decode_tokens_per_s": of.decode,
        "inside": of.inside,
        "prefill_chips": of.prefill_chips,
        "decode_chips": of.decode_chips,
        "bound": of.bound or None,
        "why": of.why,
        "at_most": low and {"prefill_tokens_per_s": low[0], "decode_tokens_per_s": low[1]},
    }


def _worth(of: Worth) -> dict[str, Any]:
    return {
        "chip": of.chip,
        "beside": of.beside,
        "prefill_share": of.prefill,
        "decode_share": of.decode,
        "at_most": of.at_most,
    }


def frontier(of: Frontier, calibration: str) -> dict[str, Any]:
    """JSON of `frontier`: the best chips inside, the curve, the real ones, what each is worth.

    Bandwidths are in byte/s; tokens/s are of one chip of the deployment.
    """
    found = {name: limit.value for name, limit in of.limits.items()}
    process = of.process
    best = {"prefill": of.prefill, "decode": of.decode}
    free = {"prefill": of.free_prefill, "decode": of.free_decode}
    return {
        **envelope(calibration),
        "rule": "+".join(rule.id for rule in of.rules),
        "model": of.model.id,
        "isl": _number(of.workload.isl),
        "osl": _number(of.workload.osl),
        "tpot_s": of.workload.tpot,
        "weights": of.weights,
        "kv": of.kv,
        "backend": of.backend,
        "process": {
            "like": process.like.id,
            "die_area_mm2": from_base(process.die_area, "mm2"),
            "memory": process.memory,
            "stacks": process.stacks,
            "memory_bytes": process.size * process.stacks,
            "memory_bandwidth": process.rate * process.stacks,
            "power_w": process.power,
            "market": process.market,
            "tpp": found["tpp"],
            "tpp_per_mm2": found["tpp_per_area"] * from_base(1.0, "m2") / from_base(1.0, "mm2"),
            "tpp_per_mm2_of": of.limits["tpp_per_area"].chip,
            "tpp_per_w": found["tpp_per_power"],
            "tpp_per_w_of": of.limits["tpp_per_power"].chip,
        },
        "best": {k: p and _frontier_point(p) for k, p in best.items()},
        "unrestricted": {k: _frontier_point(p) for k, p in free.items()},
        "points": [_frontier_point(p) for p in (*of.envelope, *of.real)],
        "envelope": [_frontier_point(p) for p in of.envelope],
        "worth": [_worth(each) for each in of.worth],
        "not_legal_advice": True,
    }


def placed(of: Chip, statuses: Sequence[str]) -> dict[str, Any]:
    """A chip on a map of the rules: what they measure of it, None where it is unknown."""
    return {
        "chip": of.id,
        "name": of.name,
        "vendor": of.vendor,
        "market": of.market,
        "tpp": metrics.tpp(of).value,
        "density": metrics.performance_density(of).value,
        "memory_bandwidth": metrics.memory_bandwidth(of).value,
        "statuses": list(statuses),
    }


def region(of: Rule, boxes: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Where a rule speaks on a map: boxes of TPP from and to, the other figure from and to."""
    return {
        "rule": of.id,
        "title": dict(of.title),
        "effect": of.effect,
        "outcome": of.outcome,
        "start": of.start.isoformat(),
        "end": None if of.end is None else of.end.isoformat(),
        "boxes": [list(box) for box in boxes],
    }


def claim(of: Judged) -> dict[str, Any]:
    """A claim with its verdict; `claim` and `setting` in English, both languages under `texts`."""
    return {
        "id": of.claim.id,
        "claim": of.claim.text["en"],
        "computed": dict(of.computed),
        "verdict": of.verdict,
        "setting": of.claim.setting.get("en", ""),
        "sources": list(of.sources),
        "formula": dict(of.claim.computed),
        "sentence": sentence(of, "en"),
        "settled_by": of.claim.settled_by.get("en", ""),
        "missing": list(of.missing),
        "rests_on_unverified": list(of.rests_on_unverified),
        "texts": {
            lang: {
                "claim": of.claim.text[lang],
                "setting": of.claim.setting.get(lang, ""),
                "sentence": sentence(of, lang),
                "settled_by": of.claim.settled_by.get(lang, ""),
            }
            for lang in LANGUAGES
        },
    }
