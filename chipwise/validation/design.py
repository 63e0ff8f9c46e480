"""Which runs of one's own to measure next: those that narrow the interval most.

A local calibration is, about where it stands, a linear model of ln ttft and ln tpot: slopes by
the factors that it moves (perf's, by difference), and a residual of the stack (see corrections).
Its posterior covariance Σ = (Σᵢ xᵢxᵢᵀ/σ² + Λ)⁻¹ does not depend on what will be measured, so that
every possible run can be judged before it is made: by the variance that is left, in the mean
over all loads that fit [1]_. Runs are chosen one after the other.

References
----------
.. [1] D. Cohn, Z. Ghahramani, M. Jordan, "Active learning with statistical models," JAIR 4, 1996,
   doi:10.1613/jair.295.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chipwise import corrections, perf
from chipwise.errors import Infeasible
from chipwise.habits import with_factors
from chipwise.types import Array, Calibration, Deployment, Model, Workload
from chipwise.validation.local import TIGHT, moved, opened

__all__ = ["Asked", "suggest"]

_CLIENTS = tuple(2**k for k in range(11))
_ISL = (128, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_OSL = (128, 512, 1024, 2048, 4096)
_STEP = 0.05
_TAIL = 1.645  # standard deviations that 90 % of a normal error keep to
_TTFT_WEIGHT = 0.6
# What a benchmark sends, and how long one is let run. [s]
_PROMPTS, _FEWEST = 10, 20
_LONGEST = 900.0
_QUANTITIES = ("ttft", "tpot")
# What the features of a stack's residual stand for, in their order.
_FEATURES = ("level", "concurrency", "isl", "osl", "level", "concurrency")


@dataclass(frozen=True, slots=True)
class Asked:
    """A run to make: its load, how long it takes [s], and why.

    `reason` names what it tells most about: a factor of the local calibration, or how the stack
    strays beyond those (``level``) and with ``concurrency``, ``isl``, ``osl``.
    `before`, `after` are mean half-widths of ln by quantity, over all loads that fit.
    """

    concurrency: int
    isl: int
    osl: int
    seconds: float
    reason: str
    before: dict[str, float]
    after: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Loads:
    """Loads that fit, one a row, and how long their runs take. [s]"""

    concurrency: Array
    isl: Array
    osl: Array
    seconds: Array


def _workload(loads: _Loads) -> Workload:
    return Workload(loads.isl, loads.osl)


def _at(made: Deployment, loads: _Loads) -> Deployment:
    return replace(made, decode=replace(made.decode, batch=loads.concurrency))


def _legal(
    model: Model, made: Deployment, known: Calibration, isl: Sequence[int], osl: Sequence[int]
) -> _Loads:
    """Loads within the model's context that fit in memory, and whose runs are not too long."""
    context = model.context or math.inf
    grid = [
        (c, i, o) for c in _CLIENTS for i in isl or _ISL for o in osl or _OSL if i + o <= context
    ]
    if not grid:
        raise Infeasible(f"no prompt and output of these lengths is within {context:g} tokens")
    clients, prompts, outputs = np.array(grid, float).T
    loads = _Loads(clients, prompts, outputs, np.zeros_like(clients))
    found = perf.estimate(model, _workload(loads), _at(made, loads), known)
    sent = np.maximum(_PROMPTS * clients, _FEWEST)
    seconds = sent * outputs / np.asarray(found.throughput)
    kept = np.asarray(found.fits) & (seconds <= _LONGEST)
    if not kept.any():
        raise Infeasible("no load of the grid fits, or ends within a quarter of an hour")
    return _Loads(clients[kept], prompts[kept], outputs[kept], seconds[kept])


def _rows(model: Model, made: Deployment, known: Calibration, loads: _Loads) -> Array:
    """Sensitivities of ln ttft and ln tpot of each load, in units of a run's noise.

    Shape (2, loads, factors + 12): slopes by factor, then the residual's features, of ttft and of
    tpot.
    """
    which = moved(made.decode.chip, made.backend)
    at, load = _at(made, loads), _workload(loads)

    def logs(factors: Calibration) -> Array:
        found = perf.estimate(model, load, at, factors)
        both: Array = np.log(np.stack([np.asarray(found.ttft), np.asarray(found.tpot)]))
        return both

    base = logs(known)
    slopes: list[Array] = [
        (logs(with_factors(known, [(f, math.exp(_STEP))])) - base) / _STEP for f in which
    ]
    side = made.decode
    seen = np.array(
        [
            corrections.features(c / float(side.dp), i, o, float(side.tp))
            for c, i, o in zip(loads.concurrency, loads.isl, loads.osl, strict=True)
        ]
    )
    rows: Array = np.zeros((2, len(seen), len(which) + 12))
    for k, quantity in enumerate(_QUANTITIES):
        rows[k, :, : len(which)] = np.stack([s[k] for s in slopes], axis=-1)
        at_own = len(which) + 6 * k
        rows[k, :, at_own : at_own + 6] = seen
        rows[k] /= corrections.prior(quantity)[1]
    return rows


def _precision(made: Deployment) -> Array:
    """Λ: what is known before any run."""
    spreads = [f.spread / TIGHT for f in moved(made.decode.chip, made.backend)]
    for quantity in _QUANTITIES:
        spreads += list(corrections.prior(quantity)[0])
    found: Array = np.diag(np.array(spreads) ** -2.0)
    return found


def _inverse(of: Array) -> Array:
    return np.asarray(np.linalg.inv(of), np.float64)


def _variance(rows: Array, covariance: Array) -> Array:
    """Variance of each row's prediction, in units of a run's noise. Shape (2, loads)."""
    found: Array = np.einsum("qij,jk,qik->qi", rows, covariance, rows)
    return found


def _half_widths(variance: Array) -> dict[str, float]:
    return {
        quantity: _TAIL
        * corrections.prior(quantity)[1]
        * math.sqrt(float(variance[k].mean()) + 1.0)
        for k, quantity in enumerate(_QUANTITIES)
    }


def suggest(
    model: Model,
    made: Deployment,
    known: Calibration,
    measured: Sequence[tuple[float, float, float]] = (),
    *,
    count: int = 3,
    isl: Sequence[int] = (),
    osl: Sequence[int] = (),
) -> tuple[Asked, ...]:
    """The runs of a closed loop that would narrow the interval most, one after the other.

    Parameters
    ----------
    model, made : Model, Deployment
        What is served, and how.
    known : Calibration
        Where the local calibration begins.
    measured : sequence of (concurrency, isl, osl)
        Runs of this stack that were made already.
    count : int
        How many to choose. [1]
    isl, osl : sequence of int
        Lengths to choose from; usual ones unless given. [token]

    Raises
    ------
    Infeasible
        If no load fits.
    """
    known = opened(known, [made.decode.chip])
    loads = _legal(model, made, known, isl, osl)
    rows = _rows(model, made, known, loads)
    precision = _precision(made)
    if len(measured):
        clients, prompts, outputs = np.array(measured, float).T
        done = _rows(model, made, known, _Loads(clients, prompts, outputs, clients))
        done = done[:, ~np.isnan(done).any(axis=(0, 2))]
        precision = precision + np.einsum("qij,qik->jk", done, done)
    weight = np.array([_TTFT_WEIGHT, 1.0])[:, None]
    chosen: list[Asked] = []
    for _ in range(count):
        covariance = _inverse(precision)
        variance = _variance(rows, covariance)
        left = [_left(rows, weight, precision, rows[:, j]) for j in range(rows.shape[1])]
        best = int(np.argmin(left))
        precision = precision + rows[:, best].T @ rows[:, best]
        after = _inverse(precision)
        chosen.append(
            Asked(
                int(loads.concurrency[best]),
                int(loads.isl[best]),
                int(loads.osl[best]),
                float(loads.seconds[best]),
                _reason(made, rows, weight, covariance - after),
                _half_widths(variance),
                _half_widths(_variance(rows, after)),
            )
        )
    return tuple(chosen)


def _left(rows: Array, weight: Array, precision: Array, run: Array) -> float:
    """Mean variance of all loads that is left once a run is known."""
    after = _inverse(precision + run.T @ run)
    return float((weight * _variance(rows, after)).mean())


def _reason(made: Deployment, rows: Array, weight: Array, gained: Array) -> str:
    """What a run tells most about: the factor with the largest part in the variance it takes."""
    which = moved(made.decode.chip, made.backend)
    part = np.einsum("q,qij,jk,qik->j", weight[:, 0], rows, gained, rows)
    named = [f.at[1] for f in which]
    sums: dict[str, float] = defaultdict(float)
    for name, share in zip((*named, *_FEATURES, *_FEATURES), part, strict=True):
        sums[name] += float(share)
    return max(sums, key=lambda name: sums[name])
