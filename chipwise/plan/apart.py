"""Prefill and decode on sides of their own, also on different chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipwise import perf
from chipwise.errors import Infeasible
from chipwise.perf import engines
from chipwise.plan import space
from chipwise.plan.answer import Terms, answer
from chipwise.plan.candidates import Candidates, bounds, check_rates
from chipwise.plan.space import Search
from chipwise.types import Array, Chip, Deployment, Estimate, Model, PlanRow, Side, Workload

__all__ = ["Halves", "pairs", "propose_pair"]

_MOST_REPLICAS = 16
# The prefill itself may take this much of the ttft limit; queue and transfer need the rest.
_PREFILL_SHARE = 0.8
# How much more of the chips prefill, at least and at most, when the simulated ttft is too long.
_MORE = (1.01, 1.25)


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """What every pair of chips is asked; the sides of a chip are chosen once for all its pairs."""

    model: Model
    workload: Workload
    terms: Terms
    choice: Search
    known: dict[Any, Side | None] = field(default_factory=dict)


def pairs(chips: Sequence[Chip], halves: Halves) -> list[PlanRow]:
    """The best of every ordered pair of chips, the first to prefill and the second to decode.

    Each side takes the degrees that yield most for a chip; the replicas of both are then set in
    the proportion that serves most tokens for a chip, within the chips allowed. None of them is
    simulated.
    """
    able = [c for c in chips if _rated(c) and halves.choice.backend in engines.backends(c)]
    closed = replace(halves.terms, simulate=False)
    rows = []
    for front, back in product(able, able):
        found = _best_pair(front, back, halves, bounds(halves.workload))
        if found is not None:
            rows.append(answer(found[0], halves.model, halves.workload, closed))
    return rows


def _rated(chip: Chip) -> bool:
    try:
        check_rates(chip)
    except Infeasible:
        return False
    return True


def propose_pair(
    front: Chip,
    back: Chip,
    halves: Halves,
    limits: Array,
    last: Deployment | None,
    over: Array,
) -> tuple[Deployment, Array] | None:
    """The pair's best deployment within limits; see settle.Propose.

    The closed form's ttft has little of the queue in it. Where the simulation took too long, more
    of the chips must prefill, not faster ones.
    """
    if last is None or last.prefill is None or over[0] <= 1.0:
        return _best_pair(front, back, halves, limits)
    patient = np.array([bounds(halves.workload)[0], limits[1]])
    ratio = float(np.asarray(last.prefill.replicas / np.asarray(last.decode.replicas)))
    least = ratio * float(np.clip(1.0 + (over[0] - 1.0) / 4.0, *_MORE))
    return _best_pair(front, back, halves, patient, least)


def _best_pair(
    front: Chip, back: Chip, halves: Halves, limits: Array, least: float = 0.0
) -> tuple[Deployment, Array] | None:
    """The pair's best deployment within limits, and its ttft and tpot by the closed form. [s]

    With at least so many prefill replicas for each that decodes.
    """
    shared = set(perf.legal(halves.model, front))
    formats = halves.choice.weights or perf.legal(halves.model, back)
    best: tuple[float, Deployment, Array] | None = None
    for weights in (w for w in formats if w in shared):
        many = _proportions(front, back, weights, halves, limits)
        if many is None or many.prefill is None:
            continue
        made = perf.estimate(halves.model, halves.workload, many, halves.terms.calibration)
        enough = np.asarray(many.prefill.replicas) >= least * np.asarray(many.decode.replicas)
        value = np.where(enough, _score(made, halves, limits), -np.inf)
        i = int(np.argmax(value))
        if np.isfinite(value[i]) and (best is None or value[i] > best[0]):
            times = np.array([np.broadcast_to(x, value.shape)[i] for x in (made.ttft, made.tpot)])
            best = float(value[i]), _at(many, i), times
    return None if best is None else best[1:]


def _score(made: Estimate, halves: Halves, limits: Array) -> Array:
    """Output tokens each second and chip that are asked for, where limits and chips allow them."""
    workload, gpus = halves.workload, halves.terms.gpus
    keeps = made.fits & (made.ttft <= limits[0]) & (made.tpot <= limits[1])
    keeps &= made.chips <= (gpus or halves.choice.chips)
    served = made.throughput
    if workload.rate is not None:
        keeps &= made.throughput >= workload.rate * workload.osl
        served = np.minimum(served, workload.rate * workload.osl)
    return np.where(keeps, served / made.chips, -np.inf)


def _proportions(
    front: Chip, back: Chip, weights: str, halves: Halves, limits: Array
) -> Deployment | None:
    """Both sides at their best, with every proportion of their replicas."""
    choice = halves.choice
    ahead, behind = (
        _once(halves, side, chip, weights, limit)
        for side, chip, limit in (
            (_prefill_side, front, limits[0]),
            (_decode_side, back, limits[1]),
        )
    )
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
        choice.link or halves.terms.calibration.shapes["link"],
    )


def _once(
    halves: Halves, side: Callable[..., Side | None], chip: Chip, weights: str, limit: float
) -> Side | None:
    """A side of a chip under a limit, chosen when it is first asked for."""
    key = (side, chip.id, weights, float(limit))
    if key not in halves.known:
        halves.known[key] = side(chip, weights, halves, limit)
    return halves.known[key]


def _at(many: Deployment, i: int) -> Deployment:
    """The i-th proportion, as numbers."""
    assert many.prefill is not None
    ours, theirs = np.asarray(many.decode.replicas), np.asarray(many.prefill.replicas)
    return replace(
        many,
        decode=replace(many.decode, replicas=float(ours[i])),
        prefill=replace(many.prefill, replicas=float(theirs[i])),
    )


def _prefill_side(chip: Chip, weights: str, halves: Halves, limit: float) -> Side | None:
    """Degrees that prefill most prompts each second and chip, one prompt at a time."""
    model, workload, terms = halves.model, halves.workload, halves.terms
    found = space.legal(chip, model, weights, replace(halves.choice, batches=1))
    if found is None:
        return None
    single = replace(found, decode=replace(found.decode, batch=1.0))
    # One output token: a static batch that ends with its prefill.
    made = perf.estimate(
        model, replace(workload, osl=1.0), single, terms.calibration, loop="static"
    )
    return _most(Candidates(single, made), np.asarray(made.ttft) <= limit * _PREFILL_SHARE)


def _decode_side(chip: Chip, weights: str, halves: Halves, limit: float) -> Side | None:
    """Degrees and batch that decode most tokens each second and chip."""
    found = space.legal(chip, halves.model, weights, halves.choice)
    if found is None:
        return None
    # Every prompt arrives computed.
    load = replace(halves.workload, prefix_hit=1.0)
    made = perf.estimate(halves.model, load, found, halves.terms.calibration)
    return _most(Candidates(found, made), np.asarray(made.tpot) <= limit)


def _most(found: Candidates, keeps: NDArray[np.bool_]) -> Side | None:
    """The side that yields most for a chip, if any keeps its limit."""
    made = found.estimate
    value = np.where(made.fits & keeps, made.throughput / made.chips, -np.inf)
    i = int(np.argmax(value))
    return found.one(i).decode if np.isfinite(value[i]) else None
