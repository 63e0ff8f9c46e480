"""Names → objects → answer: what the command line, the page and notebooks call.

Every verb takes names or objects, and returns the types of `chipwise.types`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from chipwise.api.asking import Ask, chip, model, terms, timeline, verdict
from chipwise.api.serving import LOADS, deployment, estimate, plan, workload

if TYPE_CHECKING:
    from chipwise.api.fleets import fleet, fleet_problem
    from chipwise.api.law import claims, frontier
    from chipwise.api.simulation import engine, requests, simulate, simulate_apart
    from chipwise.api.training import LAYOUT, train, train_each, train_mixed

__all__ = [
    "LAYOUT",
    "LOADS",
    "Ask",
    "chip",
    "claims",
    "deployment",
    "engine",
    "estimate",
    "fleet",
    "fleet_problem",
    "frontier",
    "model",
    "plan",
    "requests",
    "simulate",
    "simulate_apart",
    "terms",
    "timeline",
    "train",
    "train_each",
    "train_mixed",
    "verdict",
    "workload",
]

# What a question of serving has no use for: half of all modules.
_LATER = {
    "fleets": ("fleet", "fleet_problem"),
    "law": ("claims", "frontier"),
    "simulation": ("engine", "requests", "simulate", "simulate_apart"),
    "training": ("LAYOUT", "train", "train_each", "train_mixed"),
}


def __getattr__(name: str) -> object:
    """The verbs of other topics, imported when the first of a topic is asked for."""
    for topic, names in _LATER.items():
        if name in names:
            return getattr(import_module(f"chipwise.api.{topic}"), name)
    raise AttributeError(f"module 'chipwise.api' has no attribute {name!r}")
