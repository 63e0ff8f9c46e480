"""A user's own runs → a calibration of their own, beside the general one.

Eight factors say how a chip and an engine, as the user runs them, differ from what the general
calibration says: what the chip reaches of its arithmetic and memory rates, what kernels and
launches cost on it, and what the engine's host takes for an iteration, a sequence, a request and
a prompt's token. They are fitted with the priors and the loss of the general fit (see habits), so
that few runs move them little:

    Σ w·ρ(e) + λ²·Σ (ln θ/sd)²,  w = (n + 6)^−½

Runs of a benchmark (a row each) are replayed under its protocol; requests of a server's log are
played through its scheduler, and each request tells its own ttft and tpot; one that was in flight
at the end tells its ttft, and that its tpot is not below the time that it had taken.

The half-widths are those of the user's own runs, left out a fifth at a time, or of the second
half of a log, predicted from the first; a log is one run, so that its are never narrower than the
general ones of a stack that was seen.

References
----------
A. Angelopoulos, S. Bates, "A gentle introduction to conformal prediction," arXiv:2107.07511.
"""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipwise import habits, intervals, perf, serving
from chipwise.errors import BadInput
from chipwise.habits import Factor, Measured, with_factors
from chipwise.perf.scales import scale
from chipwise.plan.replay import Run
from chipwise.types import Array, Calibration, Chip, Deployment, Model, Served
from chipwise.validation import fitting

__all__ = ["Halves", "Local", "fit_runs", "fit_served", "half_width", "moved", "opened", "written"]

# How far each factor may stray, in ln: of the chip, of the engine.
SCALES = {"compute": 0.25, "memory": 0.25, "start": 0.4, "launch": 0.4}
HABITS = {"host": 0.5, "sequence": 0.5, "request": 0.4, "request_token": 0.5}
TIGHT = 2.0  # λ
# Errors of ttft and tpot that count as usual, in ln, and what ttft weighs, as in habits.
_USUAL = {"ttft": 0.15, "tpot": 0.07}
_TTFT_WEIGHT = 0.6
_FOLDS, _SEED = 5, 1
_WINDOWS = 10  # of the requests that are predicted, each of which is compared in the mean
_ITERATIONS = 4.0  # iterations by which a request's first token may be early or late by chance
_FEWEST = 9  # scores from which a 90 % quantile can be taken
_STEP = 0.02  # a simulation is a staircase of its factors: slopes look over its edges


@dataclass(frozen=True, slots=True)
class Halves:
    """What a log says after the time up to which it was fitted on, and what was predicted.

    Means over those `requests` [s]; `until` that time, `fitted` the requests complete by then.
    """

    until: float
    fitted: int
    requests: int
    measured: Mapping[str, float]
    general: Mapping[str, float]
    local: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """A calibration of one's own, and what it was fitted on.

    `factors` by chip or engine and name; `rows` fitted on and `scored` left-out errors, by stack;
    `halves` of a log.
    """

    calibration: Calibration
    factors: Mapping[str, float]
    rows: Mapping[tuple[str, ...], int]
    scored: Mapping[tuple[str, ...], int]
    evidence: str
    halves: Halves | None = None


def moved(chip: Chip, backend: str) -> tuple[Factor, ...]:
    """The factors that runs of an engine on a chip may move."""

    def on_chip(run: Run) -> bool:
        return run.chip.id == chip.id

    def in_engine(run: Run) -> bool:
        return run.backend == backend

    return (
        *(Factor("scale", (chip.id, name), sd, on_chip) for name, sd in SCALES.items()),
        *(Factor("engine", (backend, name), sd, in_engine) for name, sd in HABITS.items()),
    )


def opened(general: Calibration, chips: Sequence[Chip]) -> Calibration:
    """The general calibration with a scale of its own for each of the chips, to be moved."""
    own = {chip.id: scale(general, chip) for chip in chips}
    return replace(general, scales={**general.scales, **own})


def half_width(scores: Array, wide: float) -> float:
    """Half-width that holds nine times in ten, from errors of ln that a fit did not see.

    From nine on it is the split-conformal quantile. Fewer cannot tell a tenth: then it is
    Student's interval for the next error, not beyond what the general calibration has for a stack
    that it did not see, nor narrower than the largest error seen.

    Parameters
    ----------
    scores : array
        ln(predicted/measured).
    wide : float
        The general half-width of a new stack.

    Examples
    --------
    >>> half_width(np.array([]), 0.3)
    0.3
    >>> round(half_width(np.array([0.01, -0.02, 0.015]), 0.3), 3)
    0.042
    """
    from scipy.stats import t as student  # noqa: PLC0415

    count = len(scores)
    if count == 0:
        return wide
    if count >= _FEWEST:
        return fitting.quantile(scores)
    spread = math.sqrt(float(np.mean(scores**2)) * (1.0 + 1.0 / count))
    reach = float(student.ppf((1.0 + intervals.COVERAGE) / 2.0, count)) * spread
    return max(min(reach, wide), float(np.abs(scores).max()))


def _widths_of_log(scores: Mapping[str, Array], general: Calibration) -> dict[str, float]:
    """Half-widths from one log, which is one run: it says little of other loads.

    They are not narrower than what the general calibration has for a stack that it saw.
    """
    return {
        name: max(width, general.widths["seen"][name])
        for name, width in _widths(scores, general).items()
    }


def _widths(scores: Mapping[str, Array], general: Calibration) -> dict[str, float]:
    wide = general.widths["stack"]
    return {name: float(f"{half_width(s, wide[name]):.3g}") for name, s in scores.items()}


def _told(before: Calibration, after: Calibration, which: Sequence[Factor]) -> dict[str, float]:
    """By how much each factor was multiplied."""
    found = {}
    for factor in which:
        owner, name = factor.at
        if factor.kind == "scale":
            old, new = (getattr(c.scales[owner], name) for c in (before, after))
        else:
            old, new = (c.engines[owner].values[name] for c in (before, after))
        found[f"{owner}.{name}"] = new / old if old else 1.0
    return found


def _own(
    fitted: Calibration,
    general: Calibration,
    name: str,
    chips: Sequence[Chip],
    stacks: Mapping[tuple[str, ...], Mapping[str, float]],
    residuals: Mapping[tuple[str, ...], Mapping[str, tuple[float, ...]]],
) -> Calibration:
    """A calibration under its own name; residuals told of other factors are left out."""
    known = {chip.id: chip for chip in chips}
    kept = {k: v for k, v in fitted.corrections.items() if k[1] not in known}
    places = {(*s, known[s[1]].generation, known[s[1]].vendor) for s in stacks}
    return replace(
        fitted,
        id=name,
        base=general.id,
        own=dict(stacks),
        stacks=fitted.stacks | places,
        corrections={**kept, **residuals},
    )


def _key(m: Measured) -> tuple[str, ...]:
    return (*m.stack, m.run.weights)


def _residuals(measured: Sequence[Measured], fitted: Calibration) -> dict[Any, Any]:
    """What each stack shows beyond the factors."""
    logs = habits.predict(measured, fitted)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, m in enumerate(measured):
        groups[_key(m)].append(i)
    return {
        key: fitting.residual([measured[i] for i in at], logs[at])
        for key, at in sorted(groups.items())
    }


def _folds(count: int, days: Sequence[str]) -> list[list[int]]:
    """Parts left out in turn: neighbours in time where every run has its day, else drawn."""
    order = list(range(count))
    if all(days):
        order.sort(key=lambda i: days[i])
        parts = np.array_split(order, min(_FOLDS, count))
        return [[int(i) for i in part] for part in parts]
    random.Random(_SEED).shuffle(order)  # noqa: S311 -- folds, not secrets
    return [order[k::_FOLDS] for k in range(min(_FOLDS, count))]


def fit_runs(
    rows: Sequence[Mapping[str, str]], measured: Sequence[Measured], general: Calibration, name: str
) -> Local:
    """A calibration from runs of a benchmark.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the serving table, for their days; those of `measured` are told by their ids.
    measured : sequence of Measured
        The runs, contradictory ones left out.
    general : Calibration
        Where it begins.
    name : str
        Its name.

    Raises
    ------
    BadInput
        If no run is left.
    """
    if not measured:
        raise BadInput("no run that can be fitted on: each needs a ttft_ms and a tpot_ms")
    days = {row.get("id", ""): row.get("measured_on", "") for row in rows}
    chips = list({m.run.chip.id: m.run.chip for m in measured}.values())
    pairs = dict.fromkeys((m.run.chip.id, m.run.backend) for m in measured)
    by_id = {chip.id: chip for chip in chips}
    which = {f.at: f for chip, backend in pairs for f in moved(by_id[chip], backend)}
    before = replace(opened(general, chips), corrections={})
    begin = habits.start(measured, before, tuple(which.values()))
    folds = _folds(len(measured), [days.get(m.id, "") for m in measured])
    logs = np.full((len(measured), 2), np.nan)
    for part in folds if len(measured) > 1 else ():
        rest = [i for i in range(len(measured)) if i not in set(part)]
        fold = habits.fit(begin, rest, few=1)
        seen = [measured[i] for i in rest]
        fold = replace(fold, corrections=_residuals(seen, fold))
        logs[part] = fitting.corrected([measured[i] for i in part], fold)
    fitted = habits.fit(begin, few=1)
    left = fitting.Left("seen", tuple(measured), logs, tuple(m.stack for m in measured))
    stacks: dict[tuple[str, ...], dict[str, float]] = {}
    counts: dict[tuple[str, ...], int] = {}
    scored: dict[tuple[str, ...], int] = {}
    for stack in sorted({m.stack for m in measured}):
        at = np.array([m.stack == stack for m in measured])
        own = replace(left, measured=tuple(m for m in measured if m.stack == stack), logs=logs[at])
        stacks[stack] = _widths({q: fitting.logs_of(own, q) for q in fitting.QUANTITIES}, general)
        counts[stack] = int(at.sum())
        scored[stack] = len(fitting.logs_of(own, "tpot"))
    made = _own(
        replace(fitted, corrections=general.corrections),
        general,
        name,
        chips,
        stacks,
        _residuals(measured, fitted),
    )
    evidence = f"{len(measured)} runs of a benchmark"
    return Local(made, _told(before, fitted, list(which.values())), counts, scored, evidence)


def _played(
    served: Served, model: Model, made: Deployment, flags: Mapping[str, Any], factors: Calibration
) -> tuple[Array, Array]:
    """Times to the first token and per token of every request, as predicted. [s]"""
    table = perf.step_table(model, made, made.decode, factors)
    run = serving.simulate(table, served.arrival, served.isl, served.osl, **flags)
    return run.first - run.arrival, serving.metrics.tpot(run)


def _soft(errors: Array) -> Array:
    """√ρ with ρ(e) = 2(√(1 + e²) − 1), signed: a least square of it is the robust loss."""
    return np.sign(errors) * np.sqrt(2.0 * (np.sqrt(1.0 + errors**2) - 1.0))


def _fit_log(
    served: Served,
    model: Model,
    made: Deployment,
    flags: Mapping[str, Any],
    before: Calibration,
    until: float,
) -> Calibration:
    """The factors that explain best what was known at a time: tokens that had come by then."""
    from scipy.optimize import least_squares  # noqa: PLC0415

    which = moved(made.decode.chip, made.backend)
    spread = np.array([f.spread for f in which])
    ttft, tpot = served.first - served.arrival, _pace(served)
    begun, done = served.first <= until, (served.finish <= until) & (served.osl > 1)
    # Of what was in flight it is known that it was not complete: its pace is not below this.
    flying = begun & ~done & (served.osl > 1)
    least = (until - served.first) / np.maximum(served.osl - 1, 1)
    if not done.any():
        raise BadInput(f"no request of two tokens was complete by {until:g} s; nothing to fit on")
    chance = _ITERATIONS * float(np.median(tpot[done]))
    weights = [(int(known.sum()) + 6.0) ** -0.25 for known in (begun, done | flying)]

    def at(theta: Array) -> Calibration:
        return with_factors(before, zip(which, map(math.exp, theta), strict=True))

    def residuals(shifted: Array) -> Array:
        theta = shifted - 1.0
        waits, paces = _played(served, model, made, flags, at(theta))
        late = np.log((waits + chance) / (ttft + chance))[begun] / _USUAL["ttft"]
        slow = np.log(paces[done] / tpot[done]) / _USUAL["tpot"]
        early = np.log(np.maximum(least[flying] / paces[flying], 1.0)) / _USUAL["tpot"]
        return np.concatenate(
            (
                _soft(late) * weights[0] * math.sqrt(_TTFT_WEIGHT),
                _soft(slow) * weights[1],
                _soft(early) * weights[1],
                TIGHT * theta / spread,
            )
        )

    # The solver takes its steps in proportion to the unknowns, which must not be 0.
    found = least_squares(residuals, np.ones(len(which)), diff_step=_STEP)
    return at(found.x - 1.0)


def _pace(served: Served) -> Array:
    """Time per token of every request; NaN where it has one. [s]"""
    after = served.osl - 1
    return np.where(after > 0, (served.finish - served.first) / np.maximum(after, 1), np.nan)


def _means(ttft: Array, tpot: Array) -> dict[str, float]:
    return {"ttft": float(ttft.mean()), "tpot": float(np.nanmean(tpot))}


def _scores(
    served: Served, late: NDArray[np.bool_], waits: Array, paces: Array
) -> dict[str, Array]:
    """ln(predicted/measured) of the means of windows of the requests that were predicted."""
    parts = [part for part in np.array_split(np.flatnonzero(late), _WINDOWS) if len(part)]
    ttft, tpot, after = served.first - served.arrival, _pace(served), served.osl - 1
    found: dict[str, list[float]] = {name: [] for name in fitting.QUANTITIES}
    for part in parts:
        made, truth = _means(waits[part], paces[part]), _means(ttft[part], tpot[part])
        whole = (waits + np.nan_to_num(paces) * after)[part].mean()
        lasted = (ttft + np.nan_to_num(tpot) * after)[part].mean()
        found["ttft"].append(math.log(made["ttft"] / truth["ttft"]))
        found["tpot"].append(math.log(made["tpot"] / truth["tpot"]))
        found["throughput"].append(math.log(lasted / whole))
    return {name: np.array(values) for name, values in found.items()}


def fit_served(
    served: Served,
    model: Model,
    made: Deployment,
    flags: Mapping[str, Any],
    general: Calibration,
    name: str,
    *,
    share: float = 1.0,
) -> Local:
    """A calibration from a server's log of requests.

    The intervals are of the requests that were not complete at half of the log's time (or the
    share that is fitted on), in windows, predicted from what was known by then.

    Parameters
    ----------
    served : Served
        The requests.
    model, made : Model, Deployment
        What served them.
    flags : mapping
        Of serving.simulate: blocks, max_seqs, max_tokens and so on.
    general : Calibration
        Where it begins.
    name : str
        Its name.
    share : float
        Of the log's time, up to which it is fitted on; 1 is all of it. [1]
    """
    chip = made.decode.chip
    before = opened(general, [chip])
    end = float(served.finish.max())
    until = end * (share if share < 1.0 else 0.5)
    half = _fit_log(served, model, made, flags, before, until)
    late = served.finish > until
    if not late.any():
        raise BadInput("every request was complete by then; nothing is left to compare with")
    waits, paces = _played(served, model, made, flags, half)
    plain = _played(served, model, made, flags, before)
    halves = Halves(
        until,
        int((~late).sum()),
        int(late.sum()),
        _means((served.first - served.arrival)[late], _pace(served)[late]),
        _means(plain[0][late], plain[1][late]),
        _means(waits[late], paces[late]),
    )
    fitted = half if share < 1.0 else _fit_log(served, model, made, flags, before, end)
    stack: tuple[str, ...] = (model.family, chip.id, made.backend)
    scores = _scores(served, late, waits, paces)
    own = _own(fitted, general, name, [chip], {stack: _widths_of_log(scores, general)}, {})
    rows = {stack: halves.fitted if share < 1.0 else len(served.isl)}
    factors = _told(before, fitted, moved(chip, made.backend))
    evidence = f"{rows[stack]} requests of a server's log"
    return Local(own, factors, rows, {stack: len(scores["tpot"])}, evidence, halves)


def written(of: Local) -> str:
    """A local calibration as the text of its file."""
    made = of.calibration
    content = fitting.content(made, (), {})
    content["yields"] = {
        "values": dict(made.yields.values),
        "widths": dict(made.yields.widths),
        "stacks": sorted(map(list, made.yields.stacks)),
    }
    content["local"] = {
        "base": made.base,
        "evidence": of.evidence,
        "factors": {name: float(f"{value:.6g}") for name, value in of.factors.items()},
        "stacks": [
            {
                **dict(zip(("family", "chip", "backend"), stack, strict=True)),
                "rows": of.rows[stack],
                "scored": of.scored[stack],
                **widths,
            }
            for stack, widths in sorted(made.own.items())
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
