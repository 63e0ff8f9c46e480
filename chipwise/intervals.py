"""Intervals with stated coverage around predictions.

A prediction's error is taken as a ratio: ln(measured/predicted) lies within a half-width that the
calibration keeps for each quantity and each *basis*, which says how near the case is to what was
measured. A basis is never narrower than a nearer one. Coverage is 90 %.

References
----------
A. Angelopoulos, S. Bates, "A gentle introduction to conformal prediction," arXiv:2107.07511.
"""

from __future__ import annotations

import math

from chipwise.perf.scales import NEWCOMERS
from chipwise.types import Calibration, Chip, Interval, Model

__all__ = ["BASES", "COVERAGE", "basis", "half_width", "own_width", "widen"]

COVERAGE = 0.9
# From the nearest to what was measured to the farthest.
BASES = ("seen", "stack", "model", "chip", "vendor", "datasheet")
# What an unverified fact adds: disputed figures of one chip in the catalog (Ascend 910C 708 to
# 800 TFLOPS, H20 400 or 550 W) lie within this of one another, as a logarithm.
UNVERIFIED = 0.12


def _serves(calibration: Calibration, chip: Chip) -> bool:
    """Whether serving runs speak of the chip's vendor; published tables do of some others."""
    return chip.vendor in {stack[4] for stack in calibration.stacks}


def basis(calibration: Calibration, model: Model, chip: Chip, backend: str) -> str:
    """What the calibration knew of a model on a chip in an engine.

    ``seen``: this stack; ``stack``: its chip and model, not together; ``model``: a new model;
    ``chip``: a new chip of a known generation; ``vendor``: a new generation of a known vendor;
    ``datasheet``: nothing but the datasheet. Of a vendor that no serving run speaks of, what
    published tables know.
    """
    serves = _serves(calibration, chip)
    stacks = calibration.stacks if serves else calibration.yields.stacks
    if (model.family, chip.id, backend, chip.generation, chip.vendor) in stacks:
        return "seen"
    families, chips = {s[0] for s in stacks}, {s[1] for s in stacks}
    if chip.id in chips:
        return "stack" if model.family in families else "model"
    if (chip.generation, chip.vendor) in {s[3:] for s in stacks}:
        return "chip"
    return "vendor" if chip.vendor in {s[4] for s in stacks} else "datasheet"


def half_width(
    calibration: Calibration, found: str, quantity: str, chip: Chip, unverified: int = 0
) -> float:
    """Half-width of ln(measured/predicted) that holds nine times in ten. [1]

    Of a vendor that published tables alone speak of it is the widest that they show of a basis,
    in the proportion of the serving runs' quantities. Each unverified fact that the prediction
    rests on widens it, as an independent error.
    """
    own = calibration.widths[found]
    width = own[quantity]
    if found != BASES[-1] and not _serves(calibration, chip):
        wide = [
            w
            for name, w in calibration.yields.widths.items()
            if name.partition(":")[0] == found and name.endswith(f":{NEWCOMERS}")
        ]
        width *= max(wide, default=own["throughput"]) / own["throughput"]
    return math.hypot(width, UNVERIFIED * math.sqrt(unverified))


def own_width(
    calibration: Calibration, model: Model, chip: Chip, backend: str, quantity: str
) -> float | None:
    """Half-width that a user's own runs of this stack showed; None where there are none. [1]"""
    found = calibration.own.get((model.family, chip.id, backend))
    return None if found is None else found[quantity]


def widen(value: float, width: float) -> Interval:
    """Interval of a positive value whose logarithm is off by at most `width`.

    Examples
    --------
    >>> widen(100.0, 0.0)
    Interval(value=100.0, low=100.0, high=100.0)
    """
    return Interval(value, value * math.exp(-width), value * math.exp(width))
