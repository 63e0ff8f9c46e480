"""Published tables → yields: what they reach of what the model of speed says.

ln(measured/predicted) of every row is explained by few factors (yields), each drawn to its prior:

    Σ w·ρ(ln(predicted/measured)/s) + Σ ((θ − θ₀)/sd)²,  ρ(e) = 2(√(1+e²) − 1)

w is (n + 6)^−½ for the n rows of a stack and table. Because each level's prior is narrow where
the level above it is well known, a vendor, era or source with few rows stays near its kind.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from chipwise import intervals, yields
from chipwise.errors import ChipwiseError
from chipwise.perf.scales import HOME, NEWCOMERS, kinds, starved
from chipwise.plan.reported import Case, Reported, outcome, quantity
from chipwise.types import Array, Calibration

__all__ = ["Fitted", "fit", "fit_throughput", "left_out", "predicted"]

_SCALE = 0.15
_STEP = 0.08
# Rounds, and those that look at the slopes anew: later ones hardly change them.
_ROUNDS, _TURNS = 5, 2
_FOLDS = 10
_FEWEST = 20
_FIXED = 1e-4  # spread of a factor that is known

# Prior of each kind of factor: where it is drawn to, and how strongly, in ln.
_PRIORS: Mapping[str, tuple[float, float]] = {
    "compute:newcomers": (0.0, 0.2),
    "memory:newcomers": (0.0, 0.2),
    "start:newcomers": (0.7, 0.7),
    "compute:vendor": (0.0, 0.25),
    "memory:vendor": (0.0, 0.15),
    "start:vendor": (0.0, 0.8),
    "compute:generation": (0.0, 0.2),
    "memory:generation": (0.0, 0.12),
    "start:generation": (0.0, 0.3),
    "watts": (0.7, 0.3),
    "pcie": (-0.5, 0.5),
    "prompt": (0.0, 0.4),
    "limit:ttft": (-0.7, 0.4),
    "limit:tpot": (-0.2, 0.2),
    "rate:table": (0.0, 0.1),
    "rate:era": (0.0, 0.15),
    "rate:other": (0.0, 0.3),
}


# What others measured of large products, where they did: MI300X reaches 0.45 of its dense rate in
# all formats where H100 reaches up to 0.93 (Ambati et al., October 2025), of which its watts
# explain a part; Gaudi 2 often exceeds 0.9 (Lee et al. 2025, arXiv:2503.09975). Both were sought
# when a fit without them was already seen to be off on these vendors, so what they gain where a
# vendor is left out is not blind: without them AMD's medians are 0.28 and 0.30, Intel's 0.34.
# What op timings (aiconfigurator-core 0.12.0) show of products of 4,096 to 8,192 rows and at least
# 4,096 by 4,096 weights, as a share of the datasheet's dense rate: A100 1.06 of what H100 and H200
# reach, L40S 0.79, RTX PRO 6000 1.32 of what B200 reaches (medians over engines and formats). What
# L40S lacks is of its own: an RTX 4090 has the same silicon, half the rate and more watts.
_KNOWN: Mapping[str, tuple[float, float]] = {
    "compute:AMD": (-0.3, 0.15),
    "compute:Intel": (0.2, 0.15),
    "compute:Ampere": (0.06, 0.1),
    "compute:nvidia-l40s": (-0.24, 0.1),
    "compute:Blackwell PCIe": (0.28, 0.1),
}

# Bounds. More arithmetic at the same watts can be clocked down: it never makes a chip slower.
_MOST: Mapping[str, float] = {"watts": 1.0}


@dataclass(frozen=True, slots=True)
class _Factor:
    name: str
    centre: float
    spread: float
    most: float


@dataclass(frozen=True, slots=True, eq=False)
class _Prior:
    """Where factors are drawn to, how strongly, and what none of them passes."""

    centre: Array
    spread: Array
    most: Array


def _names(case: Case) -> Iterator[tuple[str, str]]:
    """Factors that a case may be told by, each with its kind of prior."""
    chip, setting = case.run.chip, case.setting
    home = chip.vendor == HOME
    for rate in ("compute", "memory", "start"):
        if not home:
            yield f"{rate}:newcomers", f"{rate}:newcomers"
            yield f"{rate}:{chip.vendor}", f"{rate}:vendor"
        # The operators' own factors are of Hopper.
        if chip.generation != "Hopper":
            for name in dict.fromkeys((chip.generation, chip.architecture)):
                yield f"{rate}:{name}", f"{rate}:generation"
    for name in kinds(chip):
        if f"compute:{name}" in _KNOWN:
            yield f"compute:{name}", "compute:generation"
    yield "watts", "watts"
    yield "pcie", "pcie"
    if setting.data:
        yield f"prompt:{setting.data}", "prompt"
    for name in ("ttft", "tpot"):
        if getattr(case.run.load, name) is not None:
            yield f"limit:{name}", f"limit:{name}"
    for name in yields.effects(setting, chip):
        last = name.rpartition(":")[2]
        kind = "table" if name.count(":") == 1 else "other"
        kind = "era" if last in (setting.era, setting.released) else kind
        yield name, f"rate:{kind}"


def _factors(cases: Sequence[Case]) -> list[_Factor]:
    found = dict(pair for case in cases for pair in _names(case))
    return [
        _Factor(name, *_KNOWN.get(name, _PRIORS[kind]), _MOST.get(name, math.inf))
        for name, kind in sorted(found.items())
    ]


def _prior(factors: Sequence[_Factor]) -> _Prior:
    return _Prior(*np.array([(f.centre, f.spread, f.most) for f in factors], float).T)


def predicted(case: Case, calibration: Calibration) -> float:
    """The quantity that a case reports; NaN where it cannot be predicted. [token/s] or [s]"""
    try:
        return quantity(case, outcome(case, calibration))
    except ChipwiseError:
        return math.nan


def _logs(rows: Sequence[Reported], calibration: Calibration) -> Array:
    found = np.array([predicted(r.case, calibration) for r in rows])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(found / np.array([r.value for r in rows]))
    return np.where(np.isfinite(logs), logs, np.nan)


def _with(calibration: Calibration, names: Sequence[str], theta: Array) -> Calibration:
    values = dict(zip(names, map(float, theta), strict=True))
    return replace(calibration, yields=replace(calibration.yields, values=values))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Factors, residuals ln(predicted/measured) and slopes at the optimum, and rows' weights."""

    factors: tuple[_Factor, ...]
    theta: Array
    logs: Array
    slopes: Array
    weight: Array
    cost: float


def _weights(rows: Sequence[Reported]) -> Array:
    keys = [(r.case.setting.table, r.case.setting.source, *r.stack) for r in rows]
    counts = Counter(keys)
    return np.array([(counts[k] + 6.0) ** -0.5 for k in keys])


def _cost(logs: Array, weight: Array, theta: Array, prior: _Prior) -> float:
    soft = 2.0 * (np.sqrt(1.0 + (np.nan_to_num(logs) / _SCALE) ** 2) - 1.0)
    return float((weight * soft).sum() + (((theta - prior.centre) / prior.spread) ** 2).sum())


def _newton(logs: Array, slopes: Array, weight: Array, theta: Array, prior: _Prior) -> Array:
    """Gauss–Newton step of the robust cost. ρ''≈ρ'/e, so residuals are weighted by 1/√(1+e²).

    Factors that would pass their bounds stop there, and the others step as that leaves it.
    """
    error = np.nan_to_num(logs) / _SCALE
    robust = np.where(np.isnan(logs), 0.0, weight / np.sqrt(1.0 + error**2))
    scaled = np.nan_to_num(slopes) / _SCALE
    normal = scaled.T @ (robust[:, None] * scaled) + np.diag(prior.spread**-2.0)
    pull = scaled.T @ (robust * error) + (theta - prior.centre) / prior.spread**2
    step: Array = np.asarray(-np.linalg.solve(normal, pull), np.float64)
    over = theta + step > prior.most
    if np.any(over):
        free = ~over
        step[over] = (prior.most - theta)[over]
        pull = pull + normal[:, over] @ step[over]
        step[free] = -np.linalg.solve(normal[np.ix_(free, free)], pull[free])
    return step


def _slopes(
    rows: Sequence[Reported], calibration: Calibration, names: list[str], theta: Array, logs: Array
) -> Array:
    """Change of ln(predicted) by each factor; a rate's is exact, the others are replayed."""
    slopes = np.zeros((len(rows), len(names)))
    for k, name in enumerate(names):
        touched = [i for i, r in enumerate(rows) if name in dict(_names(r.case))]
        if name == "watts":
            touched = [i for i in touched if starved(rows[i].case.run.chip) < 0.0]
        elif name == "pcie":
            touched = [i for i in touched if rows[i].case.run.chips > 1]
        if name.startswith("rate:"):
            sign = [1.0 if rows[i].case.quantity == "rate" else -1.0 for i in touched]
            slopes[touched, k] = sign
            continue
        # Limits choose among batches, which lie apart: a wider step sees through the ladder.
        by = 3.0 * _STEP if name.startswith("limit") else _STEP
        moved = theta.copy()
        moved[k] += by
        changed = _logs([rows[i] for i in touched], _with(calibration, names, moved))
        slopes[touched, k] = (changed - logs[touched]) / by
    return np.nan_to_num(slopes)


def fit(rows: Sequence[Reported], calibration: Calibration) -> Fitted:
    """Factors that explain the rows best, drawn to their priors.

    Parameters
    ----------
    rows : sequence of Reported
        Cases of any tables with what was measured.
    calibration : Calibration
        Fitted factors; its own yields are not used.
    """
    factors = _factors([r.case for r in rows])
    names = [f.name for f in factors]
    prior = _prior(factors)
    weight, theta = _weights(rows), prior.centre.copy()
    logs = _logs(rows, _with(calibration, names, theta))
    best = _cost(logs, weight, theta, prior)
    slopes = np.zeros((len(rows), len(names)))
    for turn in range(_ROUNDS):
        if turn < _TURNS:
            slopes = _slopes(rows, calibration, names, theta, logs)
        step = np.clip(_newton(logs, slopes, weight, theta, prior), -0.6, 0.6)
        for shrink in (1.0, 0.5, 0.25):
            trial = theta + shrink * step
            found = _logs(rows, _with(calibration, names, trial))
            cost = _cost(found, weight, trial, prior)
            if cost < best:
                theta, logs, gain, best = trial, found, best - cost, cost
                break
        else:
            break
        if gain < 1e-3 * best:
            break
    return Fitted(tuple(factors), theta, logs, slopes, weight, best)


def _refit(fitted: Fitted, keep: Array, known: str | None) -> Array:
    """ln(predicted/measured) of every row with the factors fitted on the rows kept.

    The factors move little when a group is left out, so predictions are taken as linear in them.
    Those whose names begin with `known` stay as all rows tell them.
    """
    held = np.array([known is not None and f.name.startswith(known) for f in fitted.factors])
    told = _prior(fitted.factors)
    prior = replace(
        told,
        centre=np.where(held, fitted.theta, told.centre),
        spread=np.where(held, _FIXED, told.spread),
    )
    theta, logs = fitted.theta.copy(), fitted.logs.copy()
    weight = np.where(keep, fitted.weight, 0.0)
    for _ in range(25):
        theta = theta + _newton(logs, fitted.slopes, weight, theta, prior)
        logs = fitted.logs + fitted.slopes @ (theta - fitted.theta)
    return logs


def left_out(fitted: Fitted, groups: Sequence[Any], known: str | None = None) -> Array:
    """ln(predicted/measured) of each row, with the factors fitted on all groups but its own.

    Parameters
    ----------
    fitted : Fitted
        From `fit`.
    groups : sequence
        The group of each row.
    known : str, optional
        Beginning of the names of factors that are known of all rows.
    """
    found = np.full(len(groups), np.nan)
    for group in dict.fromkeys(groups):
        mine = np.array([g == group for g in groups])
        found[mine] = _refit(fitted, ~mine, known)[mine]
    return found


def _groups(rows: Sequence[Reported]) -> dict[str, list[Any]]:
    """What is left out together to see how a prediction on each basis does."""
    run = [r.case.run for r in rows]
    return {
        "seen": [i % _FOLDS for i in range(len(rows))],
        "stack": [r.stack for r in rows],
        "model": [x.model.family for x in run],
        "chip": [x.chip.id for x in run],
        "vendor": [x.chip.generation for x in run],
        "datasheet": [x.chip.vendor for x in run],
        "round": [(r.case.setting.table, r.case.setting.era, r.case.setting.source) for r in rows],
    }


def _width(errors: Array) -> float:
    """The 90 % quantile of |ln| with the correction for a finite sample (split conformal)."""
    count = len(errors)
    level = min(intervals.COVERAGE * (1.0 + 1.0 / count), 1.0)
    return float(np.quantile(np.abs(errors), level))


def _side(row: Reported) -> str:
    return yields.side(row.case.run.chip)


def _widths(rows: Sequence[Reported], logs: Mapping[str, Array]) -> dict[str, float]:
    """Half-widths by basis, table and side, never narrower than a nearer basis'."""
    tables = sorted({r.case.setting.table for r in rows})
    found: dict[str, float] = {}
    for table, side in product(tables, (HOME, NEWCOMERS)):
        here = np.array([r.case.setting.table == table and _side(r) == side for r in rows])
        here &= np.array([r.case.quantity == "rate" for r in rows])
        least = 0.0
        for basis in intervals.BASES:
            mine = here & ~np.isnan(logs[basis])
            if mine.sum() < _FEWEST:
                continue
            least = max(least, _width(logs[basis][mine]))
            found[f"{basis}:{table}:{side}"] = least
    # A table without newcomers to learn from takes the widest that others show of them.
    for table, basis in product(tables, intervals.BASES):
        others = [v for k, v in found.items() if k.split(":")[::2] == [basis, NEWCOMERS]]
        found.setdefault(f"{basis}:{table}:{NEWCOMERS}", max(others, default=1.0))
    return found


def _held(logs: Array, groups: Sequence[Any]) -> float | None:
    """Share of the rows on which the interval that the other groups make holds; None for one."""
    names = dict.fromkeys(groups)
    if len(names) < 2:
        return None
    held = 0
    for name in names:
        mine = np.array([group == name for group in groups])
        held += int((np.abs(logs[mine]) <= _width(logs[~mine])).sum())
    return held / len(logs)


def _errors(logs: Array, groups: Sequence[Any]) -> dict[str, Any]:
    known = ~np.isnan(logs)
    found = logs[known]
    ratio = np.exp(found)
    return {
        "count": len(ratio),
        "median_ape": float(np.median(np.abs(ratio - 1.0))),
        "p90_ape": float(np.quantile(np.abs(ratio - 1.0), 0.9)),
        "bias": float(np.median(ratio)),
        "held": _held(found, [g for g, k in zip(groups, known, strict=True) if k]),
    }


def _shown(
    rows: Sequence[Reported], logs: Mapping[str, Array], groups: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Errors by basis, table, quantity and whether the chip is a newcomer's, and of all such."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for i, r in enumerate(rows):
        kinds[f"{r.case.setting.table} {r.case.quantity} {_side(r)}"].append(i)
        if r.case.quantity == "rate":
            kinds[f"all rate {_side(r)}"].append(i)
    return {
        basis: {
            kind: _errors(found[at], [groups[basis][i] for i in at])
            for kind, at in sorted(kinds.items())
        }
        for basis, found in logs.items()
    }


def fit_throughput(rows: Sequence[Reported], calibration: Calibration) -> dict[str, Any]:
    """Yields, widths of intervals and stacks, as calibration.json keeps them under ``yields``.

    Parameters
    ----------
    rows : sequence of Reported
        Cases of the published tables with what was measured.
    calibration : Calibration
        Fitted factors of the operators and engines.

    Returns
    -------
    dict
        values, by name, ln; widths, by basis and table, ln; stacks; residuals, by basis.
    """
    fitted = fit(rows, calibration)
    groups = _groups(rows)
    logs = {basis: left_out(fitted, those) for basis, those in groups.items()}
    # The mean prompt of a data set is one number, which every run of it shares.
    for basis in ("model", "round"):
        name = f"{basis}, prompts known"
        groups[name], logs[name] = groups[basis], left_out(fitted, groups[basis], "prompt:")
    stacks = {(*r.stack, r.case.run.chip.generation, r.case.run.chip.vendor) for r in rows}
    return {
        "values": {
            f.name: round(float(v), 4) for f, v in zip(fitted.factors, fitted.theta, strict=True)
        },
        "widths": {name: round(width, 3) for name, width in _widths(rows, logs).items()},
        "stacks": sorted(map(list, stacks)),
        "residuals": _shown(
            rows, {"fitted": fitted.logs, **logs}, {"fitted": groups["stack"], **groups}
        ),
    }
