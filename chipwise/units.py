"""Text ↔ base units: the only place with prefixes.

Inside chipwise everything is in base units: second, byte, flop/s, watt, joule, metre, USD, token,
request. A value enters through `to_base` and leaves through `show`.
"""

from __future__ import annotations

from chipwise.errors import UnitError

__all__ = ["from_base", "show", "to_base", "units"]

_G, _GI = 1e9, 2.0**30

# unit → (kind, factor to the base unit of that kind)
_UNITS: dict[str, tuple[str, float]] = {
    "1": ("1", 1.0),
    "%": ("1", 0.01),
    "": ("1", 1.0),
    # time
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "us": ("s", 1e-6),
    "ns": ("s", 1e-9),
    "h": ("s", 3600.0),
    "d": ("s", 86400.0),
    "week": ("s", 7 * 86400.0),
    "month": ("s", 730 * 3600.0),
    "year": ("s", 8760 * 3600.0),
    # information
    "B": ("B", 1.0),
    "KB": ("B", 1e3),
    "MB": ("B", 1e6),
    "GB": ("B", _G),
    "TB": ("B", 1e12),
    "KiB": ("B", 2.0**10),
    "MiB": ("B", 2.0**20),
    "GiB": ("B", _GI),
    "B/s": ("B/s", 1.0),
    "MB/s": ("B/s", 1e6),
    "GB/s": ("B/s", _G),
    "TB/s": ("B/s", 1e12),
    "Gbit/s": ("B/s", _G / 8),
    # arithmetic; an integer operation counts as one of the same kind
    "FLOP/s": ("FLOP/s", 1.0),
    "GFLOPS": ("FLOP/s", _G),
    "TFLOPS": ("FLOP/s", 1e12),
    "TOPS": ("FLOP/s", 1e12),
    "PFLOPS": ("FLOP/s", 1e15),
    # power and energy
    "W": ("W", 1.0),
    "kW": ("W", 1e3),
    "MW": ("W", 1e6),
    "J": ("J", 1.0),
    "kWh": ("J", 3.6e6),
    "MWh": ("J", 3.6e9),
    # length and area
    "nm": ("m", 1e-9),
    "mm": ("m", 1e-3),
    "m": ("m", 1.0),
    "mm2": ("m2", 1e-6),
    "m2": ("m2", 1.0),
    # counts
    "bn": ("1", 1e9),
    "chip": ("chip", 1.0),
    "token": ("token", 1.0),
    "token/s": ("token/s", 1.0),
    "request/s": ("request/s", 1.0),
    # money
    "USD": ("USD", 1.0),
    "USD/h": ("USD/s", 1 / 3600.0),
    "USD/kWh": ("USD/J", 1 / 3.6e6),
    "USD/kW-month": ("USD/J", 1 / (1e3 * 730 * 3600.0)),
    "USD/Mtoken": ("USD/token", 1e-6),
    "CNY": ("CNY", 1.0),
    "EUR": ("EUR", 1.0),
    "gCO2/kWh": ("gCO2/J", 1 / 3.6e6),
}


def units() -> dict[str, str]:
    """Every unit that is understood, with its kind."""
    return {unit: kind for unit, (kind, _) in _UNITS.items()}


def _factor(unit: str) -> tuple[str, float]:
    if unit not in _UNITS:
        raise UnitError(f"unknown unit {unit!r}; known are {', '.join(u for u in _UNITS if u)}")
    return _UNITS[unit]


def to_base(value: float, unit: str, kind: str | None = None) -> float:
    """Value in base units.

    Parameters
    ----------
    value : float
        The number as printed.
    unit : str
        Its unit, for example ``"TB/s"``.
    kind : str, optional
        Base unit that is expected.

    Raises
    ------
    UnitError
        If the unit is unknown or of another kind.

    Examples
    --------
    >>> to_base(3.35, "TB/s")
    3350000000000.0
    """
    found, factor = _factor(unit)
    if kind is not None and found != kind:
        raise UnitError(f"{unit!r} measures {found}, where {kind} was expected")
    return value * factor


def from_base(value: float, unit: str) -> float:
    """Value of a base quantity in `unit`.

    Examples
    --------
    >>> from_base(0.25, "ms")
    250.0
    """
    return value / _factor(unit)[1]


def show(value: float, unit: str, digits: int = 3) -> str:
    """Text of a base quantity in `unit`.

    Examples
    --------
    >>> show(4.8e12, "TB/s")
    '4.8 TB/s'
    """
    number = f"{from_base(value, unit):,.{digits}g}"
    return f"{number} {unit}" if unit else number
