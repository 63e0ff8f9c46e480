"""What every answer carries, and how quantities stand in JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chipwise import catalog
from chipwise.types import Interval, Money

__all__ = ["MILLION", "SCHEMA_VERSION", "ends", "envelope", "interval", "money", "number"]

SCHEMA_VERSION = "1.0"
MILLION = 1e6


def envelope(calibration: str) -> dict[str, Any]:
    """What every answer carries: versions of program, catalog, calibration and schema."""
    from importlib.metadata import version  # noqa: PLC0415 -- slow to import, wanted here alone

    return {
        "chipwise_version": version("chipwise"),
        "catalog_as_of": catalog.as_of().isoformat(),
        "calibration_id": calibration,
        "schema_version": SCHEMA_VERSION,
    }


def number(value: Any) -> Any:
    """A plain number or text; None for what is not known."""
    if value is None or isinstance(value, (str, bool)):
        return value
    number = np.asarray(value).item()
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    return number


def interval(found: Interval | None, factor: float = 1.0) -> dict[str, float] | None:
    """A quantity with its bounds; None where it is not known."""
    if found is None or not math.isfinite(found.value):
        return None
    return {"value": found.value * factor, **ends(found.low * factor, found.high * factor)}


def money(found: Money | None, factor: float = 1.0) -> dict[str, float] | None:
    """A price as its middle and its bounds; None where it is not known."""
    return None if found is None else interval(Interval(found.mid, found.low, found.high), factor)


def ends(low: float, high: float) -> dict[str, float]:
    """Bounds alone."""
    return {"low": low, "high": high}
