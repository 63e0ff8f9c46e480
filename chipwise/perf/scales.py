"""How a chip differs from those that the operators were fitted on, and what says so.

Serving runs tell it of their generations. What they say nothing of, published tables tell: there
every factor is a product of named parts, from the common to the particular (a chip's maker, its
generation, itself), and a name that no run speaks of is worth 1. So a chip that nobody measured
gets its generation's, then its vendor's, then all newcomers' habits. See `chipwise.yields`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from chipwise.types import Calibration, Chip, Numeric, Scale

__all__ = [
    "HOME",
    "NEWCOMERS",
    "base",
    "by_tables",
    "factor",
    "host_share",
    "kinds",
    "of_chip",
    "scale",
    "scopes",
    "starved",
    "told",
]

# The vendor whose chips the operators' factors were fitted on.
HOME = "NVIDIA"
NEWCOMERS = "newcomers"
_RATES = ("compute", "memory", "start")

# Datasheet watts for each dense bf16 TFLOP/s of the best-fed chip of a generation: H100 SXM,
# MI325X. A generation that is not here has one part, or parts alike.
_FED = {"Hopper": 700.0 / 989.5e12, "CDNA3": 1000.0 / 1307.0e12}


def factor(values: Mapping[str, float], names: Iterable[str]) -> float:
    """Product of the named factors; one that is absent is 1."""
    return math.exp(sum(values.get(name, 0.0) for name in names))


def kinds(chip: Chip) -> Iterator[str]:
    """Whose habits a chip has, from the common to the particular."""
    if chip.vendor != HOME:
        yield NEWCOMERS
    yield from dict.fromkeys((chip.vendor, chip.generation, chip.architecture))
    # Cards without a scale-up link are of other silicon than their generation's name tells.
    if not chip.scaleup:
        yield f"{chip.architecture} PCIe"
    yield chip.id


def starved(chip: Chip) -> Numeric:
    """Logarithm of a chip's watts for each flop/s by those of its generation's best; at most 0."""
    fed, half = _FED.get(chip.generation), chip.flops.get("bf16", chip.flops.get("fp16"))
    if fed is None or half is None or chip.power is None:
        return 0.0
    lacking: Numeric = np.minimum(np.log(chip.power / half / fed), 0.0)
    return lacking


def of_chip(values: Mapping[str, float], chip: Chip) -> dict[str, Any]:
    """By how much published tables say that a chip's compute, memory and start differ, ∿. [1]"""
    found: dict[str, Any] = {
        name: factor(values, (f"{name}:{scope}" for scope in kinds(chip))) for name in _RATES
    }
    found["compute"] *= _fed(values, chip)
    return found


def _fed(values: Mapping[str, float], chip: Chip) -> Any:
    """What a chip with few watts keeps of its arithmetic, ∿. [1]"""
    return np.exp(values.get("watts", 0.0) * starved(chip))


def scopes(chip: Chip) -> tuple[str, ...]:
    """Under which names fitted factors may speak of a chip, the nearest first."""
    return (chip.id, chip.architecture, chip.generation, chip.vendor, "")


def base(calibration: Calibration, chip: Chip) -> Scale:
    """What serving runs tell of the chip's generation, or of its vendor."""
    known = calibration.scales
    return next((known[s] for s in scopes(chip) if s in known), Scale())


def told(calibration: Calibration, chip: Chip) -> bool:
    """Whether serving runs speak of the chip's generation."""
    return (chip.generation, chip.vendor) in {stack[3:] for stack in calibration.stacks}


@lru_cache(maxsize=256)
def scale(calibration: Calibration, chip: Chip) -> Scale:
    """How a chip differs from the ones that the operators were fitted on.

    Serving runs of its generation tell it, but for what few watts cost; of other generations
    published tables do. A scale of the chip's own stays as it is.
    """
    old, values = base(calibration, chip), calibration.yields.values
    if chip.id in calibration.scales:
        return old
    if told(calibration, chip):
        return replace(old, compute=old.compute * _fed(values, chip))
    return by_tables(calibration, chip)


def by_tables(calibration: Calibration, chip: Chip) -> Scale:
    """The same with what published tables tell, whatever serving runs say of the generation."""
    old, by = base(calibration, chip), of_chip(calibration.yields.values, chip)
    return Scale(
        old.compute * by["compute"],
        old.memory * by["memory"],
        old.start * by["start"],
        old.launch * by["start"],
    )


def host_share(calibration: Calibration) -> float:
    """Share of PCIe's rate that collectives reach between cards without a bridge. [1]"""
    return factor(calibration.yields.values, ("pcie",))
