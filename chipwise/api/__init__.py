"""Names → objects → answer: what the command line, the page and notebooks call.

Every verb takes names or objects, and returns the types of `chipwise.types`.
"""

from chipwise.api.asking import Ask, chip, model, terms, timeline, verdict
from chipwise.api.fleets import fleet, fleet_problem
from chipwise.api.law import claims, frontier
from chipwise.api.serving import LOADS, deployment, estimate, plan, workload
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
