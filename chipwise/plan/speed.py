"""How fast a chip serves at its best, over tensor-parallel degrees and batches; one or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from chipwise import perf
from chipwise.errors import Infeasible
from chipwise.perf import engines
from chipwise.types import (
    Array,
    Calibration,
    Chip,
    Deployment,
    Estimate,
    Model,
    Numeric,
    Side,
    Workload,
)

__all__ = ["Task", "speeds"]

_DEGREES = (1, 2, 4, 8)
_BATCHES = 2.0 ** -np.arange(0.0, 10.0)
# Under a limit of the time for a token, the largest batch that keeps it is wanted.
_FINER = 2.0 ** -np.arange(0.0, 10.0, 0.25)
_BOUNDS = np.array(["compute", "memory", "network", "host"])


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What chips are to serve, in which formats and by which engine, and how it is reckoned.

    `load` has the lengths, and with its tpot a limit on the decoding [s].
    """

    model: Model
    load: Workload
    calibration: Calibration
    weights: str
    kv: str = "bf16"
    backend: str = "vllm"


def speeds(task: Task, chip: Chip) -> tuple[Array, Array, Array, Array, Array]:
    """Tokens per second of one chip, in prefill and in decode, and the chips and bound of each.

    Each is the best of the tensor-parallel degrees up to 8 and of the batches that fit.

    Parameters
    ----------
    task : Task
        What is served.
    chip : Chip
        Its rates and its memory bandwidth may be arrays.

    Returns
    -------
    tuple of array
        Prefill, decode [token/s], chips of each [chip], what bounds the decoding.

    Raises
    ------
    Infeasible
        If no number of these chips up to 8 holds the model.
    """
    chunk = float(engines.defaults(task.backend, chip).chunk)
    made = [
        Deployment(Side(chip, degree), task.weights, task.kv, task.backend, chunk)
        for degree in _legal_degrees(task.model, chip, max(_DEGREES))
    ]
    found = []
    for prefill in (True, False):
        each = [_at_degree(task, one, prefill=prefill) for one in made]
        rates = [rate for rate in each if rate is not None]
        if not rates:
            raise Infeasible(
                f"{task.model.id} with {task.weights} weights does not fit on {max(_DEGREES)} of "
                f"{chip.name}"
            )
        found.append(_over_degrees(rates))
    (filled, first, _), (drained, last, bound) = found
    return filled, drained, first, last, bound


def _legal_degrees(model: Model, chip: Chip, most: int) -> list[int]:
    heads = [int(b.dims["heads"]) for b in model.layers if "heads" in b.dims]
    reach = min(perf.reach(chip), most)
    return [d for d in _DEGREES if d <= reach and all(h % d == 0 for h in heads)]


@dataclass(frozen=True, slots=True, eq=False)
class _Rate:
    """Tokens per second of one chip at one degree, and what bounds the step."""

    degree: int
    tokens: Array
    bound: Array


def _at_degree(task: Task, made: Deployment, *, prefill: bool) -> _Rate | None:
    """The best batch; None where not one sequence fits."""
    limit_tpot = None if prefill else task.load.tpot
    asked = replace(task.load, osl=1.0) if prefill else task.load

    def estimated(of: Deployment) -> Estimate:
        return perf.estimate(task.model, asked, of, task.calibration, loop="static")

    most = float(np.max(np.asarray(estimated(made).batch_limit)))
    shape = np.shape(cast("Numeric", made.decode.chip.memory_bandwidth))
    if most < 1:
        return None
    steps = _BATCHES if limit_tpot is None else _FINER
    batch = np.unique(np.maximum(np.floor(most * steps), 1.0))
    batch = batch.reshape(-1, *(1,) * len(shape))
    made = replace(made, decode=replace(made.decode, batch=batch))
    one = estimated(made)
    tpot = np.asarray(one.tpot)
    rate = np.asarray(one.throughput) * asked.isl if prefill else batch / tpot
    if limit_tpot is not None:
        rate = np.where(tpot <= limit_tpot, rate, 0.0)
    whole = (len(batch), *shape)
    rate = np.broadcast_to(rate, whole)
    best = np.argmax(rate, axis=0)[None]
    bound = np.full(whole, "compute") if prefill else _bound(task, made, whole)
    degree = int(made.decode.tp)
    return _Rate(
        degree,
        np.take_along_axis(rate, best, 0)[0] / degree,
        np.take_along_axis(bound, best, 0)[0],
    )


def _bound(task: Task, made: Deployment, shape: tuple[int, ...]) -> Array:
    """What bounds a step that decodes alone."""
    side, context = made.decode, task.load.isl + task.load.osl / 2.0
    load = perf.Load(side.batch, context, 0.0, 0.0, side.batch)
    busy, _ = perf.step(task.model, made, side, load, task.calibration)
    parts = (busy.compute, busy.memory, busy.network, busy.start)
    found: Array = _BOUNDS[np.argmax([np.broadcast_to(p, shape) for p in parts], axis=0)]
    return found


def _over_degrees(rates: Sequence[_Rate]) -> tuple[Array, Array, Array]:
    """Tokens per second, chips and bound of the best degree."""
    tokens = np.array([r.tokens for r in rates])
    best = np.argmax(tokens, axis=0)[None]
    bound = np.take_along_axis(np.array([r.bound for r in rates]), best, 0)[0]
    chips = np.array([r.degree for r in rates], float)[best[0]]
    return np.take_along_axis(tokens, best, 0)[0], chips, bound
