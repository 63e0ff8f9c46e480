"""Serving runs → a calibration: habits of engines, residuals of stacks, widths of intervals.

The widths are those of runs that the fit did not see, left out by whole groups: a fifth of every
stack's runs (``seen``), stacks (``stack``), families of models (``model``), chips of a generation
that is known (``chip``), a generation (``vendor``). The half-width of a basis is the
split-conformal 90 % quantile of |ln(measured/predicted)|, never less than a nearer basis's.

References
----------
A. Angelopoulos, S. Bates, "A gentle introduction to conformal prediction," arXiv:2107.07511.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipwise import calibration, catalog, corrections, habits, intervals
from chipwise.catalog.factors import read_calibration
from chipwise.catalog.files import DATA, read_json
from chipwise.catalog.measured import table
from chipwise.errors import BadInput
from chipwise.habits import Measured, Start
from chipwise.plan.reported import Reported
from chipwise.types import Array, Calibration, Scale
from chipwise.validation import serving, throughput
from chipwise.yield_fit import fit_throughput

__all__ = [
    "GENERAL",
    "Left",
    "calibrate",
    "content",
    "left_out",
    "operators",
    "quantile",
    "reported",
    "residual",
    "residuals",
    "schemes",
    "sorted_out",
    "text",
    "written",
]

# Name of the calibration that ships, with the day of the data that it was fitted on.
GENERAL = "general-2026-11-28"
_FOLDS = 5
_FIRST = "Hopper"  # the generation that the scales of others are told by
# Fewest runs of a stack and format that a residual is fitted on.
_FEWEST = 4
QUANTITIES = ("ttft", "tpot", "throughput")
_SEED = 1


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """ln(predicted/measured) of runs that a fit did not see.

    `logs` has ttft and tpot of every run, NaN where it was not left out; `group` is what was left
    out with it.
    """

    basis: str
    measured: tuple[Measured, ...]
    logs: Array
    group: tuple[Any, ...]


def sorted_out(rows: Sequence[Mapping[str, str]]) -> tuple[list[Measured], dict[str, str]]:
    """Runs to fit on, and by id those that are left out of the fit, with the reason."""
    runs = serving.measured(rows)
    odd = serving.suspects(runs)
    return [m for m in runs if m.id not in odd], odd


def _key(m: Measured) -> tuple[str, str, str, str]:
    return (*m.stack, m.run.weights)


def residual(measured: Sequence[Measured], logs: Array) -> dict[str, tuple[float, ...]]:
    """What runs of one stack and format show beyond the factors, and between which loads.

    The ridge keeps it small where runs are few.
    """
    loads = [serving.load_of(m.run) for m in measured]
    low, high = corrections.span(loads)
    return {
        "ttft": corrections.fit_stack(loads, logs[:, 0], "ttft"),
        "tpot": corrections.fit_stack(loads, logs[:, 1], "tpot"),
        "low": low,
        "high": high,
    }


def residuals(measured: Sequence[Measured], fitted: Calibration) -> Calibration:
    """The calibration with the residuals of the runs' stacks, and the list of the stacks."""
    logs = habits.predict(measured, fitted)
    groups: dict[Any, list[int]] = defaultdict(list)
    for i, m in enumerate(measured):
        groups[_key(m)].append(i)
    found = {
        key: residual([measured[i] for i in at], logs[at])
        for key, at in sorted(groups.items())
        if len(at) >= _FEWEST
    }
    kept = {key[:3] for key in found}
    chips = {m.run.chip.id: m.run.chip for m in measured}
    stacks = frozenset(
        (*stack, chips[stack[1]].generation, chips[stack[1]].vendor) for stack in kept
    )
    return replace(fitted, corrections=found, stacks=stacks)


def corrected(measured: Sequence[Measured], fitted: Calibration) -> Array:
    """ln(predicted/measured) of ttft and tpot with the residuals of stacks taken off."""
    logs = habits.predict(measured, fitted)
    for i, m in enumerate(measured):
        run = m.run
        load = serving.load_of(run)
        by = corrections.correction(
            fitted, run.model.family, run.chip, run.backend, run.weights, load
        )
        logs[i] += np.log(by)
    return logs


def _in_folds(measured: Sequence[Measured]) -> Iterator[tuple[int, ...]]:
    """A fifth of every stack's runs at a time."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for i, m in enumerate(measured):
        groups[_key(m)].append(i)
    draw = random.Random(_SEED)  # noqa: S311 -- folds, not secrets
    folds: list[list[int]] = [[] for _ in range(_FOLDS)]
    for key in sorted(groups):
        at = list(groups[key])
        draw.shuffle(at)
        for k, i in enumerate(at):
            folds[k % _FOLDS].append(i)
    return (tuple(sorted(fold)) for fold in folds)


def _by(
    measured: Sequence[Measured], label: Callable[[Measured], Any], folds: int = 0
) -> Iterator[tuple[int, ...]]:
    """Whole groups at a time: each alone, or in so many folds."""
    labels = [label(m) for m in measured]
    names = sorted(set(labels))
    random.Random(_SEED).shuffle(names)  # noqa: S311
    count = folds or len(names)
    for k in range(min(count, len(names))):
        out = set(names[k::count])
        yield tuple(i for i, name in enumerate(labels) if name in out)


def _stack(m: Measured) -> Any:
    return m.stack


def _family(m: Measured) -> Any:
    return m.run.model.family


def _chip(m: Measured) -> Any:
    return m.run.chip.id


def _newest(measured: Sequence[Measured]) -> Iterator[tuple[int, ...]]:
    """The runs of the generation that is not the first."""
    later = tuple(i for i, m in enumerate(measured) if m.run.chip.generation != _FIRST)
    if later and len(later) < len(measured):
        yield later


def schemes(measured: Sequence[Measured]) -> dict[str, list[tuple[int, ...]]]:
    """Basis → the parts that are left out in turn.

    A chip whose generation has no other chip among the runs says nothing of ``chip``.
    """
    runs = Counter((_key(m), m.run.chip.generation, m.run.chip.id) for m in measured)
    known: dict[str, set[str]] = defaultdict(set)
    for (_, generation, chip), count in runs.items():
        if count >= _FEWEST:
            known[generation].add(chip)
    siblings = [
        part
        for part in _by(measured, _chip)
        if known[measured[part[0]].run.chip.generation] - {measured[part[0]].run.chip.id}
    ]
    found = {
        "seen": list(_in_folds(measured)),
        "stack": list(_by(measured, _stack, _FOLDS)),
        "model": list(_by(measured, _family)),
        "chip": siblings,
        "vendor": list(_newest(measured)),
    }
    return {basis: parts for basis, parts in found.items() if parts}


def _unscaled(begin: Start) -> Start:
    """Without what was guessed of a generation: as if nobody had run it."""
    plain = {scope: Scale() for scope in begin.calibration.scales}
    return habits.start(begin.measured, replace(begin.calibration, scales=plain))


def left_out(begin: Start, basis: str, parts: Sequence[Sequence[int]]) -> Left:
    """Predict parts of the runs from a fit on the others; what was left out has no residual."""
    if basis == "vendor":
        begin = _unscaled(begin)
    measured, count = begin.measured, len(begin.measured)
    logs = np.full((count, 2), np.nan)
    for part in parts:
        out = set(part)
        rest = [i for i in range(count) if i not in out]
        fitted = residuals([measured[i] for i in rest], habits.fit(begin, rest))
        logs[list(part)] = corrected([measured[i] for i in part], fitted)
    labels = {"model": _family, "chip": _chip, "vendor": _chip}
    label = labels.get(basis, _stack)
    return Left(basis, measured, logs, tuple(label(m) for m in measured))


def rate_logs(left: Left) -> Array:
    """ln(predicted/measured) of the tokens/s of a closed loop, from ttft and tpot."""
    found = np.full(len(left.measured), np.nan)
    for i, m in enumerate(left.measured):
        steps = 0.9 * m.run.osl - 1.0
        ttft, tpot = m.ttft * math.exp(left.logs[i, 0]), m.tpot * math.exp(left.logs[i, 1])
        found[i] = math.log((m.ttft + steps * m.tpot) / (ttft + steps * tpot))
    return found


def logs_of(left: Left, quantity: str) -> Array:
    """ln(predicted/measured) of a quantity where it is known."""
    if quantity == "throughput":
        found = rate_logs(left)
    else:
        found = left.logs[:, ("ttft", "tpot").index(quantity)]
    known: Array = found[~np.isnan(found)]
    return known


def quantile(logs: Array) -> float:
    """Split-conformal half-width: the ⌈0.9·(n + 1)⌉-th smallest |ln|.

    Examples
    --------
    >>> quantile(np.arange(1.0, 100.0))
    90.0
    """
    size = np.sort(np.abs(logs))
    rank = min(math.ceil(intervals.COVERAGE * (len(size) + 1)), len(size))
    return float(size[rank - 1])


def widths(
    found: Sequence[Left], least: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Half-widths by basis and quantity, nowhere narrower than a nearer basis's.

    Parameters
    ----------
    found : sequence of Left
        From `left_out`, by basis.
    least : mapping
        Floors, for bases that no runs speak of.
    """
    by_basis = {left.basis: left for left in found}
    made: dict[str, dict[str, float]] = {}
    so_far = dict.fromkeys(QUANTITIES, 0.0)
    for basis in intervals.BASES:
        for quantity in QUANTITIES:
            own = least.get(basis, {}).get(quantity, 0.0)
            if basis in by_basis:
                own = max(own, quantile(logs_of(by_basis[basis], quantity)))
            so_far[quantity] = max(so_far[quantity], own)
        made[basis] = {q: _rounded(w, 3) for q, w in so_far.items()}
    return made


# Other makers' chips were off by so much, pooled, when each was left out whole; see the yields.
_DATASHEET = {"datasheet": {"tpot": 0.9, "ttft": 1.2, "throughput": 0.9}}


def _rounded(value: float, digits: int = 7) -> float:
    return float(f"{value:.{digits}g}")


def summary(left: Left) -> dict[str, Any]:
    """Errors of what was left out: over runs, and the median over groups of their medians."""
    found: dict[str, Any] = {}
    for k, name in enumerate(("ttft", "tpot")):
        off = np.abs(np.expm1(left.logs[:, k]))
        known = ~np.isnan(off)
        groups: dict[Any, list[float]] = defaultdict(list)
        for i in np.flatnonzero(known):
            groups[left.group[i]].append(float(off[i]))
        found[name] = {
            "rows": int(known.sum()),
            "groups": len(groups),
            "median": _rounded(float(np.median(off[known])), 3),
            "p90": _rounded(float(np.quantile(off[known], 0.9)), 3),
            "group_median": _rounded(float(np.median([np.median(g) for g in groups.values()])), 3),
            "bias": _rounded(math.exp(float(np.median(left.logs[known, k]))), 4),
        }
    return found


def calibrate(
    rows: Sequence[Mapping[str, str]], guess: Calibration
) -> tuple[Calibration, tuple[Left, ...]]:
    """A calibration from serving runs, and what it was off by on runs that it had not seen.

    Parameters
    ----------
    rows : sequence of mapping
        A serving table with what was measured.
    guess : Calibration
        Where the fit begins: operators, shapes and habits before any run was seen.
    """
    measured, odd = sorted_out(rows)
    begin = habits.start(measured, guess)
    fitted = residuals(measured, habits.fit(begin))
    found = tuple(left_out(begin, basis, parts) for basis, parts in schemes(measured).items())
    told = (
        f"{len(measured)} closed-loop serving runs of {len(fitted.stacks)} stacks (model family, "
        f"chip and engine); {len(odd)} more contradict their siblings or the datasheet and are "
        "left out. Kinds of operators without a fit of their own take the nearest one's."
    )
    return replace(fitted, widths=widths(found, _DATASHEET), fitted_on=told), found


def content(fitted: Calibration, found: Sequence[Left], kept: Mapping[str, Any]) -> dict[str, Any]:
    """A calibration as the file that `catalog.factors` reads.

    Parameters
    ----------
    fitted : Calibration
        From `calibrate`.
    found : sequence of Left
        What the residuals are told of.
    kept : mapping
        Parts that are fitted on other tables: yields.
    """
    return {
        "id": fitted.id,
        "fitted_on": fitted.fitted_on,
        "operators": [
            {
                "class": kind,
                "format": form,
                "scope": scope,
                **{n: _rounded(getattr(e, n)) for n in ("start", "compute", "memory", "exponent")},
            }
            for (kind, form, scope), e in fitted.operators.items()
        ],
        "scales": {
            scope: {n: _rounded(getattr(s, n)) for n in ("compute", "memory", "start", "launch")}
            for scope, s in fitted.scales.items()
        },
        "shapes": {name: _rounded(value) for name, value in fitted.shapes.items()},
        "engines": {
            name: {n: _rounded(v) for n, v in engine.values.items()}
            for name, engine in fitted.engines.items()
        },
        "widths": fitted.widths,
        "stacks": sorted(map(list, fitted.stacks)),
        "corrections": [
            {
                **dict(zip(("family", "chip", "backend", "weights"), key, strict=True)),
                **{name: [_rounded(b) for b in those] for name, those in value.items()},
            }
            for key, value in sorted(fitted.corrections.items())
        ],
        "residuals": {left.basis: summary(left) for left in found},
        **kept,
    }


def reported() -> list[Reported]:
    """Rows of the catalog's published tables that a figure was measured of."""
    found = []
    for name in ("trtllm", "mlperf", "other"):
        kind, rows = table(DATA / "measured" / f"{name}.csv")
        found += throughput.measured(kind, rows)
    return found


def written(runs: Path | None = None) -> str:
    """The calibration that a table of serving runs gives, as the text of its file.

    The catalog's runs give the general one, with the yields of published tables; a user's own a
    local one, which keeps the general one's.

    Parameters
    ----------
    runs : Path, optional
        Serving table with what was measured; by default the catalog's.
    """
    kind, rows = table(runs or DATA / "measured" / "serving.csv")
    if kind != "serving":
        raise BadInput(f"{runs}: a table of {kind} runs; habits are fitted on serving runs")
    fitted, found = calibrate(rows, read_calibration(DATA / "calibration_start.json"))
    return text(fitted, found, local=runs is not None)


def text(fitted: Calibration, found: Sequence[Left], *, local: bool) -> str:
    """A calibration with its yields as the text of its file."""
    named = replace(fitted, id="local" if local else GENERAL)
    kept = (
        read_json(DATA / "calibration.json").get("yields", {})
        if local
        else fit_throughput(reported(), named)
    )
    whole = content(named, found, {"yields": kept})
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def operators() -> str:
    """Factors of operator classes from the installed op timings, as JSON, with their residuals."""
    chips = {name: catalog.chip(name) for name in calibration.SYSTEMS.values()}
    timings = calibration.read_timings(chips)
    factors, off = calibration.fit(timings, chips)
    kept = calibration.prune(factors, timings, chips)
    found = {
        "fitted_on": f"{sum(len(x.seconds) for x in timings)} op timings of "
        f"{calibration.PACKAGE} {calibration.VERSION}",
        "operators": [calibration.record(*key, values) for key, values in sorted(kept.items())],
        "residuals": [asdict(r) for r in off],
    }
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"
