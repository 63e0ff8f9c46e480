"""Work on a chip → seconds, with calibrated efficiency.

A class of operators is described by four factors (types.Efficiency): the seconds that starting
one takes, the shares of the datasheet's arithmetic and memory rates that it reaches, and an
exponent that says how far the two overlap:

    t = start + ((F/(ηc·P))^p + (B/(ηm·W))^p)^(1/p)

p → ∞ is the roofline's maximum, p = 1 no overlap at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipwise.errors import NotCalibrated
from chipwise.perf.scales import scale, scopes
from chipwise.types import Calibration, Chip, Efficiency, Numeric, Work

__all__ = [
    "Op",
    "Seconds",
    "add",
    "efficiency",
    "overlap",
    "seconds",
    "wire_seconds",
    "zero",
]


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """An operator of a step: its class, formats, work, and how often it occurs.

    `kind` is the operator class; `role` tells products of one class apart; `format` the
    calibration's format key; `peak` the format whose rate bounds it. `stretch` ∿ multiplies its
    arithmetic time (padding, narrow shapes), `starts` ∿ its start, `factor` ∿ all of it.
    """

    kind: str
    format: str
    peak: str
    work: Work
    count: float = 1.0
    stretch: Numeric = 1.0
    starts: Numeric = 1.0
    factor: Numeric = 1.0
    role: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Seconds:
    """Where the time of some work goes, all ∿ [s].

    `total`; `compute` and `memory` as if each were alone; `network`; `start` of kernels and
    host. `flop` and `byte` are the seconds that the same work takes at the datasheet's rates.
    """

    total: Numeric
    compute: Numeric
    memory: Numeric
    network: Numeric
    start: Numeric
    flop: Numeric
    byte: Numeric


def zero() -> Seconds:
    """No time at all."""
    return Seconds(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def add(a: Seconds, b: Seconds, times: Numeric = 1.0) -> Seconds:
    """Sum a + times·b, part by part."""
    return Seconds(
        a.total + times * b.total,
        a.compute + times * b.compute,
        a.memory + times * b.memory,
        a.network + times * b.network,
        a.start + times * b.start,
        a.flop + times * b.flop,
        a.byte + times * b.byte,
    )


def efficiency(calibration: Calibration, kind: str, format: str, chip: Chip) -> Efficiency:
    """Factors of an operator class on a chip: of the chip, its generation, its vendor, or any.

    Raises
    ------
    NotCalibrated
        If no scope has the class in that format; the message names the nearest.
    """
    for scope in scopes(chip):
        found = calibration.operators.get((kind, format, scope))
        if found is not None:
            return found
    near = sorted({f for k, f, _ in calibration.operators if k == kind})
    raise NotCalibrated(
        f"calibration {calibration.id!r} has no {kind} in {format} for {chip.name}; "
        f"it has {kind} in {', '.join(near) or 'no format'}"
    )


def _absent(value: Numeric) -> bool:
    return isinstance(value, float) and value == 0.0


def overlap(a: Numeric, b: Numeric, exponent: float) -> Numeric:
    """The p-norm (a^p + b^p)^(1/p) of two times. [s]

    Parameters
    ----------
    a, b : numeric
        Times, not negative. [s]
    exponent : float
        p ≥ 1. [1]

    Examples
    --------
    >>> float(overlap(3.0, 4.0, 2.0))
    5.0
    """
    # An absent term, and the exponents with a cheaper root, are what the time is spent on.
    if exponent == 1.0 or _absent(a) or _absent(b):
        return a + b
    if exponent == 2.0:
        return np.sqrt(a * a + b * b)
    if exponent == 3.0:
        return np.cbrt(a * a * a + b * b * b)
    if np.isinf(exponent):
        return np.maximum(a, b)
    large = np.maximum(np.maximum(a, b), 1e-300)
    return large * (1.0 + (np.minimum(a, b) / large) ** exponent) ** (1.0 / exponent)


def seconds(op: Op, chip: Chip, calibration: Calibration) -> Seconds:
    """Time of an operator that stays on the chip.

    Parameters
    ----------
    op : Op
        The operator; times are for all its `count` occurrences.
    chip : Chip
        Where it runs.
    calibration : Calibration
        Fitted factors.

    Returns
    -------
    Seconds
        All parts, broadcast over the work's fields. [s]
    """
    factors, generation = (
        efficiency(calibration, op.kind, op.format, chip),
        scale(calibration, chip),
    )
    assert chip.memory_bandwidth is not None
    flop: Numeric = 0.0
    if not _absent(op.work.flops):
        flop = op.work.flops * (op.count / chip.flops[op.peak])
    byte = op.work.bytes * (op.count / chip.memory_bandwidth)
    compute = flop * (op.stretch * (1.0 / (factors.compute * generation.compute)))
    memory = byte * (1.0 / (factors.memory * generation.memory))
    start = op.starts * (factors.start * generation.start * op.count)
    body = overlap(compute, memory, factors.exponent)
    if not (isinstance(op.factor, float) and op.factor == 1.0):
        body = body * op.factor
    return Seconds(body + start, compute, memory, 0.0, start, flop, byte)


def wire_seconds(op: Op, chip: Chip, calibration: Calibration, bandwidth: Numeric) -> Seconds:
    """Time of a collective over links of `bandwidth` per chip and direction. [byte/s]"""
    factors = efficiency(calibration, op.kind, op.format, chip)
    start = op.work.messages * (factors.start * op.count)
    network = op.work.wire * (op.count / factors.memory) / bandwidth
    return Seconds(start + network, 0.0, 0.0, network, start, 0.0, 0.0)
