"""One value of a data file → Fact, with every check that such a value can fail."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

from chipwise.catalog.files import where
from chipwise.errors import BadFact, UnitError
from chipwise.types import Fact
from chipwise.units import to_base, units

__all__ = ["PROVENANCE", "in_base", "read_fact"]

PROVENANCE = ("source", "reported", "derived", "unverified")
_KEYS = ("value", "unit", "source", "provenance", "on", "low", "high", "note")
_EXPECTED = {"text": str, "bool": bool, "number": (int, float), "any": (int, float, str)}
_SPELT = {
    "text": "text in quotes",
    "bool": "true or false",
    "number": "a number",
    "any": "a number or text",
}


def _value(kind: str, key: str, value: object) -> float | str | bool:
    """A value of the kind that the schema asks for; numbers are finite and above zero."""
    expected: Any = _EXPECTED[kind]
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "bool"):
        raise ValueError(f"{key} must be {_SPELT[kind]}, not {value!r}")
    if isinstance(value, (bool, str)):
        return value
    number = float(value)
    if not math.isfinite(number) or number <= 0:
        raise ValueError(f"{key} must be above zero, not {value}")
    return number


def _bound(raw: dict[str, Any], key: str) -> float | None:
    return float(_value("number", key, raw[key])) if key in raw else None


def _measures(found: str, wanted: str) -> None:
    """Refuse a unit that does not measure what `wanted` does."""
    kinds = units()
    if kinds.get(found) != kinds[wanted]:
        fitting = ", ".join(unit for unit, kind in kinds.items() if kind == kinds[wanted] and unit)
        raise UnitError(f"the unit {found!r} does not measure it; {fitting} would")


def _checked(file: str, kind: str, unit: str, raw: dict[str, Any]) -> Fact:
    if strange := sorted(set(raw) - set(_KEYS)):
        raise ValueError(f"unknown key {strange[0]!r}; known are {', '.join(_KEYS)}")
    value = _value(kind, "value", raw["value"])
    low, high = _bound(raw, "low"), _bound(raw, "high")
    if kind == "number":
        if "unit" not in raw:
            raise ValueError(f"the unit is missing, for example {unit!r}")
        _measures(str(raw["unit"]), unit)
        middle = float(value)
        if (middle if low is None else low) > middle or (middle if high is None else high) < middle:
            raise ValueError(f"low ≤ value ≤ high was expected, not {low}, {middle}, {high}")
    provenance = raw.get("provenance", "source")
    if provenance not in PROVENANCE:
        raise ValueError(f"provenance must be one of {', '.join(PROVENANCE)}, not {provenance!r}")
    on = raw.get("on")
    if on is not None and not isinstance(on, date):
        raise TypeError(f"on must be a date such as 2026-11-23, without quotes, not {on!r}")
    return Fact(
        value,
        raw.get("unit", ""),
        str(raw.get("source") or file),
        provenance,
        on,
        low,
        high,
        raw.get("note", ""),
    )


def read_fact(path: Path, attribute: str, kind: str, unit: str, raw: object) -> Fact:
    """A fact from the table that a data file has for it.

    Parameters
    ----------
    path : Path
        The file, for complaints.
    attribute : str
        Its name there.
    kind : str
        ``number``, ``text``, ``bool`` or ``any``.
    unit : str
        A unit that would do; the table's own must measure the same.
    raw : object
        The table: value and unit, and source, provenance, on, low, high and note where they are
        known; without a source the file itself is it.

    Raises
    ------
    BadFact
        Says which file, line and attribute, and what was expected.
    """
    if not isinstance(raw, dict) or "value" not in raw:
        message = f"a table with value, unit and source was expected, not {raw!r}"
        raise BadFact(where(path, attribute), attribute, message)
    try:
        return _checked(path.name, kind, unit, raw)
    except (TypeError, ValueError, UnitError) as error:
        raise BadFact(where(path, attribute), attribute, str(error)) from None


def in_base(fact: Fact | None, unit: str | None = None) -> float | None:
    """Value of a fact in base units, None where it is unknown or no number.

    Parameters
    ----------
    fact : Fact or None
        The fact.
    unit : str, optional
        To read it in, instead of its own.
    """
    if fact is None or fact.value is None or isinstance(fact.value, (str, bool)):
        return None
    return to_base(fact.value, unit or fact.unit)
