"""The device of this machine: what torch times on it, and what follows for predictions.

Operators and whole steps of a small model are timed into a file (`runner`), the operators' factors
fitted (`factors`), and the steps predicted from them (`check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chipwise.profile.cases import LARGE, SMALL, Case, Size, shapes
from chipwise.profile.check import Step, compare
from chipwise.profile.factors import Fitted, calibrated, chip_facts, fit, rates, typical
from chipwise.profile.runner import measure, read
from chipwise.profile.transformer import CONFIGS, steps
from chipwise.types import Calibration, Chip

__all__ = [
    "CONFIGS",
    "LARGE",
    "SMALL",
    "Case",
    "Fitted",
    "Learned",
    "Size",
    "Step",
    "calibrated",
    "chip_facts",
    "compare",
    "fit",
    "learn",
    "measure",
    "planned",
    "rates",
    "read",
    "shapes",
    "steps",
    "typical",
]


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What a profile says: factors by class, a calibration with them, and steps against it."""

    fitted: tuple[Fitted, ...]
    calibration: Calibration
    steps: tuple[Step, ...]


def planned(size: str, formats: Sequence[str], ranks: int = 1) -> tuple[Case, ...]:
    """All that a profile of a size times, ``small`` or ``large``, in the order of a round.

    Whole steps stand among the operators, so that what disturbs the machine for a while, or slows
    its clock, touches both.

    Parameters
    ----------
    size : str
        Small is for a CPU, large for an accelerator.
    formats : sequence of str
        Of products, the usual one first.
    ranks : int
        Devices that sum what each of them holds. [1]
    """
    reach = SMALL if size == "small" else LARGE
    whole = steps(size, formats[0])
    every = (*shapes(reach, formats, ranks), *whole)
    return tuple(case for at in range(len(whole)) for case in every[at :: len(whole)])


def learn(
    lines: Iterable[Mapping[str, Any]],
    size: str,
    chip: Chip,
    general: Calibration,
    name: str,
) -> Learned:
    """Factors, calibration and comparison from the measurements of a profile.

    Parameters
    ----------
    lines : iterable of mapping
        From `measure` or `read`.
    size : str
        Of the small model that was timed.
    chip : Chip
        The device.
    general : Calibration
        What else is known.
    name : str
        Of the calibration.
    """
    timed = typical(lines)
    fitted = fit(timed, chip, general.shapes["elementwise_passes"])
    own = calibrated(general, chip, fitted, name)
    return Learned(fitted, own, tuple(compare(timed, CONFIGS[size], chip, own)))
