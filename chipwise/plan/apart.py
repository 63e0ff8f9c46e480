"""Prefill and decode on sides of their own, also on different chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chipwise import perf
from chipwise.errors import Infeasible
from chipwise.perf import engines
from chipwise.plan import space
from chipwise.plan.answer import Terms, answer
from chipwise.plan.candidates import Candidates, bounds, check_rates
from chipwise.plan.space import Search
from chipwise.types import Array, Chip, Deployment, Model, PlanRow, Side, Workload

__all__ = ["pairs"]

_MOST_REPLICAS = 16
# The prefill itself may take this much of the ttft limit; queue and transfer need the rest.
_PREFILL_SHARE = 0.8


def pairs(
    chips: Sequence[Chip], model: Model, workload: Workload, terms: Terms, choice: Search
) -> list[PlanRow]:
    """The best of every ordered pair of chips, the first to prefill and the second to decode.

    Each side takes the degrees that yield most for a chip; the replicas of both are then set in
    the proportion that serves most tokens for a chip, within the chips allowed.
    """
    able = [c for c in chips if _rated(c) and choice.backend in engines.backends(c)]
    found = (_pair(a, b, model, workload, terms, choice) for a in able for b in able)
    return [row for row in found if row is not None]


def _rated(chip: Chip) -> bool:
    try:
        check_rates(chip)
    except Infeasible:
        return False
    return True


def _pair(
    front: Chip, back: Chip, model: Model, workload: Workload, terms: Terms, choice: Search
) -> PlanRow | None:
    shared = set(perf.legal(model, front))
    formats = [w for w in choice.weights or perf.legal(model, back) if w in shared]
    best: tuple[float, Deployment] | None = None
    for weights in formats:
        many = _proportions(front, back, model, weights, workload, terms, choice)
        if many is None:
            continue
        value = _score(many, model, workload, terms, choice)
        i = int(np.argmax(value))
        if np.isfinite(value[i]) and (best is None or value[i] > best[0]):
            best = float(value[i]), _at(many, i)
    return None if best is None else answer(best[1], model, workload, terms)


def _score(
    many: Deployment, model: Model, workload: Workload, terms: Terms, choice: Search
) -> Array:
    """Output tokens each second and chip that are asked for, where limits and chips allow them."""
    made = perf.estimate(model, workload, many, terms.calibration)
    ttft, tpot = bounds(workload)
    keeps = made.fits & (made.ttft <= ttft) & (made.tpot <= tpot)
    keeps &= made.chips <= (terms.gpus or choice.chips)
    served = made.throughput
    if workload.rate is not None:
        keeps &= made.throughput >= workload.rate * workload.osl
        served = np.minimum(served, workload.rate * workload.osl)
    return np.where(keeps, served / made.chips, -np.inf)


def _proportions(
    front: Chip,
    back: Chip,
    model: Model,
    weights: str,
    workload: Workload,
    terms: Terms,
    choice: Search,
) -> Deployment | None:
    """Both sides at their best, with every proportion of their replicas."""
    ahead = _prefill_side(front, model, weights, workload, terms, choice)
    behind = _decode_side(back, model, weights, workload, terms, choice)
    if ahead is None or behind is None:
        return None
    counts = np.arange(1.0, _MOST_REPLICAS + 1.0)
    theirs, ours = (grid.ravel() for grid in np.meshgrid(counts, counts))
    return Deployment(
        replace(behind, replicas=ours),
        weights,
        choice.kv,
        choice.backend,
        space.budget(front, choice),
        replace(ahead, replicas=theirs),
        choice.link or terms.calibration.shapes["link"],
    )


def _at(many: Deployment, i: int) -> Deployment:
    """The i-th proportion, as numbers."""
    assert many.prefill is not None
    ours, theirs = np.asarray(many.decode.replicas), np.asarray(many.prefill.replicas)
    return replace(
        many,
        decode=replace(many.decode, replicas=float(ours[i])),
        prefill=replace(many.prefill, replicas=float(theirs[i])),
    )


def _prefill_side(
    chip: Chip, model: Model, weights: str, workload: Workload, terms: Terms, choice: Search
) -> Side | None:
    """Degrees that prefill most prompts each second and chip, one prompt at a time."""
    found = space.legal(chip, model, weights, replace(choice, batches=1))
    if found is None:
        return None
    single = replace(found, decode=replace(found.decode, batch=1.0))
    # One output token: a static batch that ends with its prefill.
    made = perf.estimate(
        model, replace(workload, osl=1.0), single, terms.calibration, loop="static"
    )
    return _most(Candidates(single, made), made.ttft <= bounds(workload)[0] * _PREFILL_SHARE)


def _decode_side(
    chip: Chip, model: Model, weights: str, workload: Workload, terms: Terms, choice: Search
) -> Side | None:
    """Degrees and batch that decode most tokens each second and chip."""
    found = space.legal(chip, model, weights, choice)
    if found is None:
        return None
    # Every prompt arrives computed.
    made = perf.estimate(model, replace(workload, prefix_hit=1.0), found, terms.calibration)
    return _most(Candidates(found, made), made.tpot <= bounds(workload)[1])


def _most(found: Candidates, keeps: Array) -> Side | None:
    """The side that yields most for a chip, if any keeps its limit."""
    made = found.estimate
    value = np.where(made.fits & np.asarray(keeps, bool), made.throughput / made.chips, -np.inf)
    i = int(np.argmax(value))
    return found.one(i).decode if np.isfinite(value[i]) else None
