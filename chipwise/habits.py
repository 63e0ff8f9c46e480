"""Measured runs → what each engine adds to the operators: host, launches, requests, kernels.

Runs are replayed under their own protocol and compared by the logarithm of predicted over
measured mean ttft and tpot. Factors are multipliers with priors, so that one that no run speaks
of stays where it was:

    Σ w·ρ(ln(tpot'/tpot)/s₁) + ½·Σ w·ρ(ln(ttft'/ttft)/s₂) + λ²·Σ (ln θ/sd)²,  ρ(e) = 2(√(1+e²) − 1)

w is (n + 6)^−½ for the n runs of a stack, so that no stack drowns the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chipwise.plan.replay import Run, replay
from chipwise.types import Array, Calibration, Engine, Scale

__all__ = ["Factor", "Measured", "Start", "factors", "fit", "predict", "start", "with_factors"]

# Errors of ttft and tpot that count as usual, in ln; beyond them they weigh linearly.
_SCALES = np.array([0.15, 0.07])
_TTFT_WEIGHT = 0.6
_STEP = 0.05
# Furthest that a round may move ln of a factor, and reweightings within one.
_FAR, _REWEIGHTED = 0.7, 30
_LATENT = frozenset({"mla", "dsa", "csa", "delta"})


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A run and what was measured; ttft is NaN where it is known not to be of the load. [s]"""

    id: str
    run: Run
    ttft: float
    tpot: float

    @property
    def stack(self) -> tuple[str, str, str]:
        """Family, chip and engine: what is left out together."""
        return self.run.model.family, self.run.chip.id, self.run.backend


@dataclass(frozen=True, slots=True)
class Factor:
    """A multiplier of the calibration: where it acts, how far it may go, which runs it touches."""

    kind: str
    at: tuple[str, ...]
    spread: float
    touches: Callable[[Run], bool]


def _always(run: Run) -> bool:
    return bool(run)


def _engine(backend: str) -> list[Factor]:
    """What an engine does for each step, layer, sequence and request."""

    def here(run: Run) -> bool:
        return run.backend == backend

    def latent(run: Run) -> bool:
        return here(run) and any(b.kind in _LATENT for b in run.model.layers)

    def sparse(run: Run) -> bool:
        return here(run) and _sparse(run)

    spreads: Mapping[str, tuple[float, Callable[[Run], bool]]] = {
        "host": (0.5, here),
        "sequence": (0.5, here),
        "layer": (0.4, here),
        "launch": (0.4, here),
        "launch_latent": (0.5, latent),
        "request": (0.4, here),
        "request_token": (0.5, here),
        "gpu": (0.1, here),
        "expert_start": (0.15, sparse),
    }
    return [Factor("engine", (backend, n), s, touches) for n, (s, touches) in spreads.items()]


def _sparse(run: Run) -> bool:
    return any(b.kind == "moe" for b in run.model.layers)


def _formats(run: Run) -> set[str]:
    four = {"mxfp4": "w4", "int4": "w4"}
    return {four.get(run.weights, run.weights), "bf16"}


def _operators(calibration: Calibration) -> list[Factor]:
    """Efficiencies of products by class and format; all scopes move together."""
    found = []
    for kind, format in sorted({key[:2] for key in calibration.operators}):
        if kind.split("@")[0] not in ("gemm", "experts"):
            continue

        def touches(run: Run, kind: str = kind, format: str = format) -> bool:
            if kind.startswith("experts"):
                at = kind.partition("@")[2]
                return _sparse(run) and format in _formats(run) and at in ("", run.backend)
            return format in _formats(run)

        spread = 0.25 if kind.startswith("experts") else 0.15
        found += [
            Factor("operator", (kind, format, name), spread, touches)
            for name in ("compute", "memory")
        ]
    return found


def factors(calibration: Calibration) -> list[Factor]:
    """Every multiplier that runs are allowed to move, with its prior spread."""

    def blackwell(run: Run) -> bool:
        return run.chip.generation == "Blackwell"

    def by_expert(run: Run) -> bool:
        return run.ep > 1

    def polls(run: Run) -> bool:
        return run.protocol.poll > 1

    shapes = [
        Factor("shape", ("launch_moe",), 0.5, _sparse),
        Factor("shape", ("launch_ep",), 0.4, by_expert),
        Factor("shape", ("expert_permute",), 0.4, _sparse),
        Factor("shape", ("expert_padding",), 0.5, _sparse),
        Factor("shape", ("elementwise_passes",), 0.4, _always),
        Factor("shape", ("poll",), 0.2, polls),
    ]
    scales = [
        Factor("scale", ("Blackwell", name), 0.15, blackwell)
        for name in ("compute", "memory", "start", "launch")
        if "Blackwell" in calibration.scales
    ]
    others = [
        Factor("operator", (kind, "bf16", name), 0.2, _always)
        for kind, name in (
            ("attention_decode", "start"),
            ("attention_decode", "memory"),
            ("attention_prefill", "compute"),
            ("all_reduce", "start"),
            ("all_reduce", "memory"),
            ("state_update", "start"),
        )
    ]
    engines = [f for backend in sorted(calibration.engines) for f in _engine(backend)]
    return [*engines, *shapes, *scales, *_operators(calibration), *others]


def with_factors(calibration: Calibration, moved: Iterable[tuple[Factor, float]]) -> Calibration:
    """The calibration with each factor multiplied."""
    engines = {name: dict(engine.values) for name, engine in calibration.engines.items()}
    shapes, operators = dict(calibration.shapes), dict(calibration.operators)
    scales = dict(calibration.scales)
    for factor, by in moved:
        if factor.kind == "engine":
            engines[factor.at[0]][factor.at[1]] *= by
        elif factor.kind == "shape":
            shapes[factor.at[0]] *= by
        elif factor.kind == "scale":
            old: Scale = scales[factor.at[0]]
            scales[factor.at[0]] = replace(old, **{factor.at[1]: getattr(old, factor.at[1]) * by})
        else:
            kind, format, name = factor.at
            for key in calibration.operators:
                if key[:2] == (kind, format):
                    old_factors = operators[key]
                    new = getattr(old_factors, name) * by
                    operators[key] = replace(old_factors, **{name: new})
    return replace(
        calibration,
        engines={name: Engine(values) for name, values in engines.items()},
        shapes=shapes,
        operators=operators,
        scales=scales,
    )


def predict(measured: Sequence[Measured], calibration: Calibration) -> Array:
    """ln(predicted/measured) of ttft and tpot, a row for each run; NaN where either is unknown."""
    found = np.array([replay(m.run, calibration) for m in measured])
    truth = np.array([(m.ttft, m.tpot) for m in measured])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: Array = np.log(found / truth)
    return logs


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where fits on some runs, or on parts of them, begin.

    `slopes` are the changes of each run's two logs by ln of each factor, about `calibration`. They
    hold no measurement, so that every part of a cross-validation may use the same.
    """

    calibration: Calibration
    measured: tuple[Measured, ...]
    factors: tuple[Factor, ...]
    slopes: Array


def start(
    measured: Sequence[Measured], calibration: Calibration, among: Iterable[Factor] | None = None
) -> Start:
    """Replay the runs with each factor moved a little, those alone that it touches.

    `among` are the factors that may move; all that `factors` tells unless given.
    """
    base = predict(measured, calibration)
    found, slopes = [], []
    for factor in factors(calibration) if among is None else among:
        rows = [i for i, m in enumerate(measured) if factor.touches(m.run)]
        if not rows:
            continue
        moved = with_factors(calibration, [(factor, math.exp(_STEP))])
        slope = np.zeros_like(base)
        slope[rows] = (predict([measured[i] for i in rows], moved) - base[rows]) / _STEP
        found.append(factor)
        slopes.append(np.nan_to_num(slope))
    return Start(calibration, tuple(measured), tuple(found), np.stack(slopes, axis=-1))


def _weights(measured: Sequence[Measured], few: int) -> Array:
    """Equal weight would let one stack drown the others; too few of a kind have none."""
    counts = Counter(m.stack for m in measured)
    kinds = Counter((m.stack, m.run.weights) for m in measured)
    return np.array(
        [(counts[m.stack] + 6.0) ** -0.5 * (kinds[m.stack, m.run.weights] >= few) for m in measured]
    )


def fit(
    begin: Start,
    rows: Sequence[int] | None = None,
    *,
    tight: float = 2.0,
    rounds: int = 4,
    few: int = 4,
) -> Calibration:
    """The calibration whose habits explain the runs best, drawn to where it began.

    Gauss–Newton with the slopes of the beginning: each round solves the robust problem as if the
    logs were straight in ln θ, replays the runs there, and goes on from what they show.

    Parameters
    ----------
    begin : Start
        From `start`.
    rows : sequence of int, optional
        Which of its runs are fitted on; by default all.
    tight : float
        λ: how strongly factors are drawn to where they began.
    rounds : int
        Replays of all runs, at most.
    few : int
        Fewer runs of a stack and weight format are not fitted on.
    """
    chosen = range(len(begin.measured)) if rows is None else rows
    measured = [begin.measured[i] for i in chosen]
    weight = _weights(measured, few)[:, None] * np.array([_TTFT_WEIGHT, 1.0])
    slopes = begin.slopes[list(chosen)] / _SCALES[:, None]
    prior = tight / np.array([f.spread for f in begin.factors])

    def at(theta: Array) -> Calibration:
        moved = zip(begin.factors, map(math.exp, theta), strict=True)
        return with_factors(begin.calibration, moved)

    def cost(errors: Array, theta: Array) -> float:
        soft = 2.0 * (np.sqrt(1.0 + np.nan_to_num(errors) ** 2) - 1.0)
        return float((weight * soft).sum() + ((prior * theta) ** 2).sum())

    theta = np.zeros(len(begin.factors))
    errors = predict(measured, at(theta)) / _SCALES
    best = cost(errors, theta)
    for _ in range(rounds):
        step = np.clip(_aim(slopes, errors, weight, prior, theta) - theta, -_FAR, _FAR)
        for part in (1.0, 0.5, 0.25):
            trial = theta + part * step
            found = predict(measured, at(trial)) / _SCALES
            if cost(found, trial) < best:
                break
        else:
            break
        theta, errors, best = trial, found, cost(found, trial)
    return at(theta)


def _aim(slopes: Array, errors: Array, weight: Array, prior: Array, theta: Array) -> Array:
    """Minimum of the robust cost, were the errors straight in ln θ: reweighted least squares."""
    flat = slopes.reshape(-1, len(theta))
    known, here = ~np.isnan(errors).ravel(), np.nan_to_num(errors).ravel()
    aim = theta.copy()
    for _ in range(_REWEIGHTED):
        there = here + flat @ (aim - theta)
        # Twice the weights of ρ, whose curvature at zero is that of e².
        robust = np.where(known, 2.0 * weight.ravel() / np.sqrt(1.0 + there**2), 0.0)
        normal = flat.T @ (robust[:, None] * flat) + np.diag(2.0 * prior**2)
        pull = flat.T @ (robust * there) + 2.0 * prior**2 * aim
        step = np.linalg.solve(normal, pull)
        aim = aim - step
        if np.abs(step).max() < 1e-5:
            break
    return aim
