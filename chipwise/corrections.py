"""What a measured stack shows beyond the model of speed: a small residual, told by its load.

Where runs of a stack (family, chip, engine, weight format) are known, ln(predicted/measured) of
its tpot and ttft is regressed on the load, with a prior that keeps it small; a new run of the
stack is corrected by it. Without runs of its own, a stack takes two thirds of what the same
model, engine and format show in tpot on another chip of the same generation. Nothing else is
carried over: a correction common to an engine or a format made stacks that were left out worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from chipwise.types import Array, Calibration, Chip, Numeric

__all__ = ["correction", "features", "fit_stack", "measured", "prior", "span"]

# Prior spread of the constant and of each slope, and the noise of a run, in ln; ttft is looser.
_SCALES = {"tpot": (0.15, 0.05, 0.07), "ttft": (0.30, 0.10, 0.15)}
_SIBLING = 2.0 / 3.0
_ROUNDS = 8
# What rounding may put a load beyond the ends of those that were measured.
_NEAR = 1e-6


def features(concurrency: Numeric, isl: Numeric, osl: Numeric, ranks: Numeric) -> Array:
    """A load as the regression sees it: each figure's logarithm, centred on usual runs.

    `concurrency` is of one rank group, `ranks` its tensor-parallel degree; all ∿, which stand
    behind the six features.
    """
    c = (np.log(np.maximum(concurrency, 1.0)) - 3.0) / 1.5
    width = np.log2(np.maximum(ranks, 1.0)) - 1.5
    parts = (1.0, c, np.log(isl) - 8.0, np.log(np.maximum(osl, 1.0)) - 7.0, width, c * width)
    return np.stack(np.broadcast_arrays(*parts))


def prior(quantity: str) -> tuple[Array, float]:
    """Prior spread of each coefficient of a stack's residual, and the noise of a run, in ln."""
    constant, slope, noise = _SCALES[quantity]
    spread = np.full(6, slope)
    spread[0] = constant
    return spread, noise


def fit_stack(loads: Sequence[Array], logs: Array, quantity: str) -> tuple[float, ...]:
    """Coefficients of a stack: ridge with Huber weights.

    Parameters
    ----------
    loads : sequence of array
        Features of each run.
    logs : array
        ln(predicted/measured) of each run; NaN is left out.
    quantity : str
        ``tpot`` or ``ttft``.
    """
    scale, noise = prior(quantity)
    keep = ~np.isnan(logs)
    x, y = np.array(loads)[keep], logs[keep]
    coefficients: Array = np.zeros(6)
    for _ in range(_ROUNDS):
        left = (y - x @ coefficients) / noise
        weight = 1.0 / np.maximum(np.abs(left) / 1.345, 1.0) / noise**2
        normal = (x.T * weight) @ x + np.diag(scale**-2.0)
        coefficients = np.asarray(np.linalg.solve(normal, (x.T * weight) @ y), np.float64)
    return tuple(float(b) for b in coefficients)


def span(loads: Sequence[Array]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest concurrency, isl, osl and tp of some loads, as features."""
    own = np.array(loads)[:, 1:5]
    return tuple(map(float, own.min(axis=0))), tuple(map(float, own.max(axis=0)))


def _nearest(
    calibration: Calibration, family: str, chip: Chip, backend: str, weights: str
) -> tuple[Mapping[str, tuple[float, ...]] | None, bool]:
    """The stack's own residual, or a sibling's on a chip of its generation."""
    own = calibration.corrections.get((family, chip.id, backend, weights))
    if own is not None:
        return own, True
    kin = {s[1] for s in calibration.stacks if s[3:] == (chip.generation, chip.vendor)}
    siblings: Iterable[Mapping[str, tuple[float, ...]]] = (
        calibration.corrections[family, other, backend, weights]
        for other in sorted(kin)
        if (family, other, backend, weights) in calibration.corrections
    )
    return next(iter(siblings), None), False


def correction(
    calibration: Calibration, family: str, chip: Chip, backend: str, weights: str, load: Array
) -> tuple[Array, Array]:
    """Factors by which predicted ttft and tpot of a stack are multiplied, ∿. [1]

    Parameters
    ----------
    load : array
        From `features`.

    Returns
    -------
    tuple of array
        1 where neither the stack nor a sibling was measured.
    """
    found, own = _nearest(calibration, family, chip, backend, weights)
    one: Array = np.ones(load.shape[1:])
    if found is None:
        return one, one
    tpot = np.tensordot(found["tpot"], load, 1)
    if not own:
        return one, np.exp(-_SIBLING * tpot)
    return np.exp(-np.tensordot(found["ttft"], load, 1)), np.exp(-tpot)


def measured(
    calibration: Calibration, family: str, chip: Chip, backend: str, weights: str, load: Array
) -> Array:
    """Whether runs of the stack itself were measured about a load, ∿."""
    own = calibration.corrections.get((family, chip.id, backend, weights))
    inside: Array = np.full(load.shape[1:], own is not None and "low" in own)
    if own is not None and "low" in own:
        for part, low, high in zip(load[1:5], own["low"], own["high"], strict=True):
            inside = inside & (part >= low - _NEAR) & (part <= high + _NEAR)
    return inside
