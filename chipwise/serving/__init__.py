"""Requests through the schedulers of serving engines: who waits how long, and for what.

Read `plain.py` first: it is the scheduler, told beside its specification.
"""

from __future__ import annotations

from chipwise.serving import arrivals, capacity, metrics, presets, timeline
from chipwise.serving.case import Server
from chipwise.serving.simulation import simulate, simulate_apart

__all__ = [
    "Server",
    "arrivals",
    "capacity",
    "metrics",
    "presets",
    "simulate",
    "simulate_apart",
    "step_seconds",
    "timeline",
]


def __getattr__(name: str) -> object:
    """`step_seconds`, found only when asked for: it needs Numba, half a second to import."""
    if name == "step_seconds":
        from chipwise.serving.clock import step_seconds  # noqa: PLC0415

        return step_seconds
    raise AttributeError(f"module 'chipwise.serving' has no attribute {name!r}")
