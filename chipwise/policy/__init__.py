"""Rules on a chip → verdict: whether it may go somewhere, by which rules, with every step.

Not legal advice. Rules are data (docs/rules.md); this room computes what they say.
"""

from __future__ import annotations

from chipwise.policy import dependence, metrics, regions
from chipwise.policy.engine import check, checked, inside, overdue, timeline, trace
from chipwise.policy.expression import holds, parse
from chipwise.policy.statuses import status_order, stricter
from chipwise.types import END_USERS, INCLUDE, ROUTES, STATUSES

__all__ = [
    "END_USERS",
    "INCLUDE",
    "ROUTES",
    "STATUSES",
    "check",
    "checked",
    "dependence",
    "holds",
    "inside",
    "metrics",
    "overdue",
    "parse",
    "regions",
    "status_order",
    "stricter",
    "timeline",
    "trace",
]
