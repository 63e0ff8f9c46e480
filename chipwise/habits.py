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

__all__ = ["Factor", "Measured", "factors", "fit", "predict", "with_factors"]

_TPOT_SCALE, _TTFT_SCALE, _TTFT_WEIGHT = 0.07, 0.15, 0.6
_STEP = 0.05
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
        return run.chip.architecture == "Blackwell"

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


def _weights(measured: Sequence[Measured]) -> Array:
    counts = Counter(m.stack for m in measured)
    return np.array([(counts[m.stack] + 6.0) ** -0.5 for m in measured])


def fit(
    measured: Sequence[Measured],
    calibration: Calibration,
    *,
    tight: float = 2.0,
    rounds: int = 4,
    few: int = 4,
) -> Calibration:
    """The calibration whose habits explain the runs best, drawn to what it was.

    Parameters
    ----------
    measured : sequence of Measured
        Runs; those of stacks with fewer than `few` are not fitted on.
    calibration : Calibration
        Where the fit starts, and to which it is drawn.
    tight : float
        λ: how strongly.
    rounds : int
        Gauss–Newton steps.
    """
    counts = Counter(m.stack for m in measured)
    measured = [m for m in measured if counts[m.stack] >= few]
    names = factors(calibration)
    names = [f for f in names if any(f.touches(m.run) for m in measured)]
    touched = [[i for i, m in enumerate(measured) if f.touches(m.run)] for f in names]
    spread = np.array([f.spread for f in names])
    theta = np.zeros(len(names))
    weight = _weights(measured)

    def at(values: Array) -> Calibration:
        moved = zip(names, map(math.exp, values), strict=True)
        return with_factors(calibration, moved)

    base = predict(measured, at(theta))
    best = _cost(base, weight) + _drawn(theta, spread, tight)
    damping = 1.0
    for _ in range(rounds):
        slopes = _slopes(measured, base, theta, touched, at)
        for _ in range(4):
            trial = theta + _newton(slopes, base, weight, theta, spread, tight, damping)
            found = predict(measured, at(trial))
            cost = _cost(found, weight) + _drawn(trial, spread, tight)
            if cost < best:
                theta, base, best, damping = trial, found, cost, damping / 3.0
                break
            damping *= 4.0
        else:
            break
    return at(theta)


def _scaled(logs: Array) -> Array:
    scaled: Array = logs / np.array([_TTFT_SCALE, _TPOT_SCALE])
    return scaled


def _cost(logs: Array, weight: Array) -> float:
    soft = 2.0 * (np.sqrt(1.0 + np.nan_to_num(_scaled(logs)) ** 2) - 1.0)
    return float((weight[:, None] * soft * np.array([_TTFT_WEIGHT, 1.0])).sum())


def _drawn(theta: Array, spread: Array, tight: float) -> float:
    return float(((tight * theta / spread) ** 2).sum())


def _slopes(
    measured: Sequence[Measured],
    base: Array,
    theta: Array,
    touched: Sequence[Sequence[int]],
    at: Callable[[Array], Calibration],
) -> Array:
    """Change of each run's logs by each factor; only the runs that it touches are replayed."""
    slopes = np.zeros((*base.shape, len(theta)))
    for k in range(len(theta)):
        moved = theta.copy()
        moved[k] += _STEP
        rows = list(touched[k])
        changed = predict([measured[i] for i in rows], at(moved))
        slopes[rows, :, k] = (changed - base[rows]) / _STEP
    return slopes


def _newton(
    slopes: Array,
    base: Array,
    weight: Array,
    theta: Array,
    spread: Array,
    tight: float,
    damping: float,
) -> Array:
    """One damped Gauss–Newton step of the robust cost."""
    scale = np.array([_TTFT_SCALE, _TPOT_SCALE])
    error = np.nan_to_num(base / scale)
    robust = weight[:, None] * np.array([_TTFT_WEIGHT, 1.0]) / np.sqrt(1.0 + error**2)
    robust = np.where(np.isnan(base), 0.0, robust).ravel()
    flat = np.nan_to_num(slopes / scale[:, None]).reshape(-1, len(theta))
    prior = tight**2 / spread**2
    normal = flat.T @ (robust[:, None] * flat) + np.diag(prior * (1.0 + damping))
    pull = flat.T @ (robust * error.ravel()) + prior * theta
    step: Array = -np.linalg.solve(normal, pull)
    return np.clip(step, -0.5, 0.5)
