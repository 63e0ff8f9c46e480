"""Questions of serving: one deployment, and the best of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from chipwise import perf
from chipwise import plan as planning
from chipwise.api.asking import Ask, chip, model, terms
from chipwise.api.checks import known_format, kv_format, lengths, positive, whole
from chipwise.errors import BadInput, Infeasible
from chipwise.perf import engines
from chipwise.perf.formats import WEIGHT_WIDTH, activation_format, compute_format, role_format
from chipwise.plan import Search, Terms
from chipwise.plan.candidates import check_rates, shortage
from chipwise.types import Chip, Deployment, Model, Plan, PlanRow, Side, Workload

__all__ = ["LOADS", "deployment", "estimate", "plan", "workload"]


# Usual loads with the targets that their users hold an engine to; lengths are means. The
# lengths of chat and code are those of the Azure 2023 conversation and code traces.
LOADS: Mapping[str, Mapping[str, float]] = {
    "chat": {"isl": 1155, "osl": 211, "ttft": 1.0, "tpot": 0.05},
    "code": {"isl": 2048, "osl": 28, "ttft": 0.5, "tpot": 0.05},
    "retrieval": {"isl": 8192, "osl": 512, "ttft": 3.0, "tpot": 0.05},
    "reasoning": {"isl": 1024, "osl": 8192, "ttft": 3.0, "tpot": 0.03},
    "agent": {"isl": 16384, "osl": 512, "ttft": 3.0, "tpot": 0.04},
    "batch": {"isl": 2048, "osl": 512},
}


def workload(
    isl: float | None = None,
    osl: float | None = None,
    *,
    load: str | None = None,
    rate: float | None = None,
    ttft: float | None = None,
    tpot: float | None = None,
    percentile: float = 99.0,
    prefix_hit: float = 0.0,
) -> Workload:
    """A load with its target, from numbers or from a preset of `LOADS`; what is given wins."""
    if load is not None and load not in LOADS:
        raise BadInput(f"unknown load {load!r}; known are {', '.join(LOADS)}")
    preset = LOADS[load] if load else {}
    isl = preset.get("isl") if isl is None else isl
    osl = preset.get("osl") if osl is None else osl
    if isl is None or osl is None:
        raise BadInput(f"isl and osl are missing; give both, or a load of {', '.join(LOADS)}")
    lengths(isl, osl)
    ttft = preset.get("ttft") if ttft is None else ttft
    tpot = preset.get("tpot") if tpot is None else tpot
    positive(rate=rate, ttft=ttft, tpot=tpot)
    if not 0 < percentile < 100:
        raise BadInput(f"percentile is {percentile:g}; it must lie between 0 and 100")
    if not 0 <= prefix_hit < 1:
        raise BadInput(f"prefix_hit is {prefix_hit:g}; it must be a share from 0 to below 1")
    return Workload(float(isl), float(osl), rate, ttft, tpot, percentile, prefix_hit)


def deployment(
    of: Model,
    on: Chip,
    *,
    tp: int = 1,
    pp: int = 1,
    ep: int = 1,
    dp: int = 1,
    batch: float = 1,
    weights: str | None = None,
    kv: str = "auto",
    backend: str = "vllm",
    chunk: float | None = None,
) -> Deployment:
    """One deployment of both phases on the same chips, checked against model, chip and engine.

    Raises
    ------
    BadInput
        If a format, engine or degree is unknown or impossible; says what would be possible.
    Infeasible
        If the chip publishes no rate to compute from.
    """
    check_rates(on)
    defaults = engines.defaults(backend, on)
    weights = of.weights if weights is None else weights
    kv = activation_format(weights) if kv == "auto" else kv_format(kv)
    known_format("weight", weights, WEIGHT_WIDTH)
    sparse = any(b.kind == "moe" for b in of.layers)
    for role in ("attention", "experts", "head"):
        compute_format(role_format(weights, role, sparse=sparse), on)
    whole(batch=batch)
    positive(chunk=chunk)
    side = Side(on, tp, pp, ep, dp, float(batch))
    _divides(of, side)
    return Deployment(side, weights, kv, backend, chunk or float(defaults.chunk))


def _divides(of: Model, side: Side) -> None:
    """Refuse degrees over which the model cannot be divided, and say which could."""
    whole(tp=side.tp, pp=side.pp, ep=side.ep, dp=side.dp)
    heads = [int(b.dims["heads"]) for b in of.layers if "heads" in b.dims]
    if any(h % int(side.tp) for h in heads):
        legal = [d for d in range(1, 129) if all(h % d == 0 for h in heads)]
        raise BadInput(
            f"tp {side.tp:g} does not divide the {heads[0]} attention heads of {of.id}; "
            f"tp can be {', '.join(map(str, legal))}"
        )
    if side.pp > of.depth:
        raise BadInput(f"pp {side.pp:g} is more than the {of.depth} layers of {of.id}")
    domain = perf.reach(side.chip)
    if side.tp * np.asarray(side.dp) > domain:
        raise BadInput(
            f"tp × dp is {int(side.tp * np.asarray(side.dp))}; a layer can be divided over "
            f"{domain} of {side.chip.name} at most"
        )
    experts = max((int(b.dims["experts"]) for b in of.layers if b.kind == "moe"), default=0)
    ranks = int(side.tp * np.asarray(side.dp))
    if side.ep > 1 and (not experts or experts % int(side.ep) or ranks % int(side.ep)):
        raise BadInput(
            f"ep {side.ep:g} does not divide the {experts} experts of {of.id} and the {ranks} "
            "ranks (tp × dp) that share them"
        )


def estimate(
    of: str | Model,
    on: str | Chip,
    load: Workload,
    *,
    batch: int | str | None = None,
    concurrency: int | None = None,
    ask: Ask | None = None,
    **degrees: Any,
) -> PlanRow:
    """One deployment under one load: a static batch, or a closed loop of clients.

    Parameters
    ----------
    of, on : str, Model or Chip
        What is served, and where.
    load : Workload
        Lengths.
    batch : int or ``"max"``
        Sequences of one static batch; ``max`` is what the engine's memory rule lets in.
    concurrency : int
        Clients of a closed loop, instead of a batch.
    ask : Ask, optional
        Money, law, place.
    **degrees
        tp, pp, ep, dp, weights, kv, backend, chunk as in `deployment`.

    Returns
    -------
    PlanRow
        With intervals.

    Raises
    ------
    BadInput
        If something is unknown or impossible.
    Infeasible
        If it does not fit; says how many GB are missing and how many chips would hold it.
    """
    ask = ask or Ask()
    of, on = model(of), chip(on)
    if (batch is None) == (concurrency is None):
        raise BadInput("give either a batch (a number or max) or a concurrency")
    known = terms([on], ask)
    made = deployment(of, on, **degrees)
    loop = "static" if concurrency is None else "closed"
    compute = partial(perf.estimate, of, load, calibration=known.calibration, loop=loop)
    if batch == "max":
        limit = float(np.asarray(compute(made).batch_limit))
        size = max(limit, 1.0)
    elif isinstance(batch, str):
        raise BadInput(f"batch is {batch!r}; it is a whole number of at least 1, or max")
    else:
        size = float(batch if batch is not None else concurrency or 0)
        whole(batch=size)
    made = replace(made, decode=replace(made.decode, batch=size))
    one = compute(made)
    if not np.all(one.fits):
        raise Infeasible(_too_large(of, on, load, made, float(np.asarray(one.batch_limit)), known))
    told = False
    if loop == "closed":
        one, told = planning.corrected(made, one, of, load, known.calibration)
    return planning.priced(made, one, {}, of, load, known, corrected=told)


def _too_large(
    of: Model, on: Chip, load: Workload, made: Deployment, limit: float, known: Terms
) -> str:
    """Why a batch does not fit: the model itself, or only so many sequences."""
    if limit >= 1:
        return (
            f"batch {made.decode.batch:g} does not fit: {planning.describe(made)} holds "
            f"{limit:g} sequences of {load.isl:g} + {load.osl:g} tokens"
        )
    choice = Search((made.weights,), made.kv, made.backend, float(np.max(made.chunk)))
    return shortage(on, of, load, known.calibration, choice)


def plan(
    of: str | Model,
    chips: Sequence[str | Chip],
    load: Workload,
    *,
    mode: str = "both",
    weights: Sequence[str] = (),
    kv: str = "auto",
    backend: str = "vllm",
    chunk: float | None = None,
    degrees: Mapping[str, Sequence[int]] | None = None,
    link: float | None = None,
    ask: Ask | None = None,
    map: Callable[..., Iterable[Any]] = map,
) -> Plan:
    """The best deployment of a model on each of some chips that keeps a target.

    Parameters
    ----------
    of, chips : str, Model or Chip
        What is served; where it may run.
    load : Workload
        Lengths, rate, target.
    mode : str
        ``agg``, ``disagg`` (prefill and decode apart) or ``both``.
    weights : sequence of str
        Weight formats to try; without, the maker's own and those that a chip computes.
    kv, backend, chunk : str, str, float
        Cache format, engine, token budget (by default the engine's own).
    degrees : mapping
        tp, pp, ep, dp → degrees to try.
    link : float
        Rate that carries KV from prefill to decode, per chip and direction. [byte/s]
    ask : Ask, optional
        Money, law, place, number of chips, whether to simulate.
    map : callable
        Like the built-in, for running chips side by side.

    Returns
    -------
    Plan
        A row for each chip; an infeasible one says which limit binds, by how much.
    """
    ask = ask or Ask()
    of, found = model(of), [chip(c) for c in chips]
    if not found:
        raise BadInput("no chips to plan for; name at least one")
    if mode not in ("agg", "disagg", "both"):
        raise BadInput(f"mode is {mode!r}; it is agg, disagg or both")
    for name in weights:
        known_format("weight", name, WEIGHT_WIDTH)
    if backend not in engines.BACKENDS:
        raise BadInput(f"unknown backend {backend!r}; known are {', '.join(engines.BACKENDS)}")
    positive(chunk=chunk, link=link)
    tried = {name: tuple(values) for name, values in (degrees or {}).items()}
    for name, values in tried.items():
        for value in values:
            whole(**{name: value})
    choice = Search(tuple(weights), kv_format(kv), backend, chunk, link=link)
    named: dict[str, Any] = {name: values for name, values in tried.items() if values}
    choice = replace(choice, **named)
    if ask.gpus is not None:
        choice = replace(choice, chips=min(choice.chips, ask.gpus))
    unique = list({c.id: c for c in found}.values())
    known = terms(unique, ask)
    return planning.search(unique, of, load, known, choice=choice, mode=mode, map=map)
