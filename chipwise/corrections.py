"""What a measured stack shows beyond the model of speed: a small residual, told by its load.

Where runs of a stack (family, chip, engine, weight format) are known, ln(predicted/measured) of
its tpot and ttft is regressed on the load, with a prior that keeps it small; a new run of the
stack is corrected by it. Without runs of its own, a stack takes two thirds of what the same
model, engine and format show in tpot on another chip of the same generation. Nothing else is
carried over: a correction common to an engine or a format made stacks that were left out worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from chipwise.types import Array, Calibration, Chip

__all__ = ["correction", "features", "fit_stack", "prior"]

# Prior spread of the constant and of each slope, and the noise of a run, in ln; ttft is looser.
_SCALES = {"tpot": (0.15, 0.05, 0.07), "ttft": (0.30, 0.10, 0.15)}
_SIBLING = 2.0 / 3.0
_ROUNDS = 8


def features(concurrency: float, isl: float, osl: float, ranks: float) -> Array:
    """A load as the regression sees it: each figure's logarithm, centred on usual runs.

    `concurrency` is of one rank group, `ranks` its tensor-parallel degree.
    """
    c = (math.log(max(concurrency, 1.0)) - 3.0) / 1.5
    width = math.log2(max(ranks, 1.0)) - 1.5
    return np.array([1.0, c, math.log(isl) - 8.0, math.log(max(osl, 1.0)) - 7.0, width, c * width])


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


def _nearest(
    calibration: Calibration, family: str, chip: Chip, backend: str, weights: str
) -> tuple[Mapping[str, tuple[float, ...]] | None, bool]:
    """The stack's own residual, or a sibling's on a chip of its generation."""
    own = calibration.corrections.get((family, chip.id, backend, weights))
    if own is not None:
        return own, True
    kin = {s[1] for s in calibration.stacks if s[3:] == (chip.architecture, chip.vendor)}
    siblings: Iterable[Mapping[str, tuple[float, ...]]] = (
        calibration.corrections[family, other, backend, weights]
        for other in sorted(kin)
        if (family, other, backend, weights) in calibration.corrections
    )
    return next(iter(siblings), None), False


def correction(
    calibration: Calibration, family: str, chip: Chip, backend: str, weights: str, load: Array
) -> tuple[float, float]:
    """Factors by which predicted ttft and tpot of a stack are multiplied. [1]

    Parameters
    ----------
    load : array
        From `features`.

    Returns
    -------
    tuple of float
        (1, 1) where neither the stack nor a sibling was measured.
    """
    found, own = _nearest(calibration, family, chip, backend, weights)
    if found is None:
        return 1.0, 1.0
    tpot = float(np.dot(found["tpot"], load))
    if not own:
        return 1.0, math.exp(-_SIBLING * tpot)
    return math.exp(-float(np.dot(found["ttft"], load))), math.exp(-tpot)
