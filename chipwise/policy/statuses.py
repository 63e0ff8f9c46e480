"""The statuses that a rule can give, from mild to strict."""

from __future__ import annotations

from collections.abc import Iterable

from chipwise.errors import BadInput
from chipwise.types import STATUSES

__all__ = ["UNKNOWN", "between", "status_order", "stricter", "strictest"]

UNKNOWN = "unknown"

_ORDER = {status: place for place, status in enumerate(STATUSES)}


def status_order(status: str) -> int:
    """Place of a status from mild (0) to strict (6); ``unknown`` has none.

    Examples
    --------
    >>> status_order("free"), status_order("licence_denial")
    (0, 5)
    """
    if status not in _ORDER:
        raise BadInput(f"status is {status!r}; known are {', '.join(STATUSES)}")
    return _ORDER[status]


def between(low: str, high: str) -> str:
    """The status that lies between two bounds: that of both, or ``unknown``."""
    return low if low == high else UNKNOWN


def stricter(one: str, other: str) -> str:
    """The stricter of two statuses; an unknown one can be anything.

    Examples
    --------
    >>> stricter("notify", "licence_denial")
    'licence_denial'
    >>> stricter("unknown", "notify"), stricter("unknown", "prohibited")
    ('unknown', 'prohibited')
    """
    last = STATUSES[-1]
    if last in (one, other):
        return last
    if UNKNOWN in (one, other):
        return UNKNOWN
    return max(one, other, key=status_order)


def strictest(found: Iterable[str], default: str = STATUSES[0]) -> str:
    """The strictest of known statuses, `default` where there is none."""
    return max(found, key=status_order, default=default)
