"""Kinds of answers by name, as in `docs/schema.json`: how each is told as tables and as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chipwise.tables import entries, fidelity, fleets, kept, law, links, local, serving, training
from chipwise.tables.sheet import VERSIONS, Document, flat

__all__ = ["KINDS", "Kind"]

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How an answer is told: `document` of sheets and lines for a language, `rows` for CSV."""

    document: Callable[[Any, str], Document]
    rows: Callable[[Any], Rows]


def _one(answer: Mapping[str, Any]) -> Rows:
    yield flat(answer)


def _each(found: Iterable[Mapping[str, Any]]) -> Rows:
    return map(flat, found)


def _listed(found: Iterable[Mapping[str, Any]]) -> Rows:
    """A row for each entry, without the versions, which are the same in all."""
    return (flat({k: v for k, v in each.items() if k not in VERSIONS}) for each in found)


def _within(key: str) -> Callable[[Any], Rows]:
    """A row for each entry of a list in the answer."""
    return lambda answer: map(flat, answer[key])


_ENTRY = Kind(entries.entry, entries.entry_rows)

KINDS: Mapping[str, Kind] = {
    "estimate": Kind(serving.estimate, _one),
    "compare": Kind(serving.compare, _within("sides")),
    "plan": Kind(serving.plan, serving.plan_rows),
    "simulate": Kind(serving.simulate, _one),
    "sweep": Kind(serving.sweep, _one),
    "export": Kind(links.export, links.file_rows),
    "import": Kind(links.imported, links.measurement_rows),
    "train": Kind(training.train, _one),
    "train_each": Kind(training.train_each, _within("chips")),
    "train_mixed": Kind(training.train_mixed, _within("kinds")),
    "fleet": Kind(fleets.fleet, fleets.rows),
    "policy": Kind(law.policy, law.policy_rows),
    "policy_all": Kind(law.statuses, _listed),
    "landscape": Kind(law.landscape, law.landscape_rows),
    "policy_timeline": Kind(law.timeline, law.timeline_rows),
    "frontier": Kind(law.frontier, _within("points")),
    "claims": Kind(law.claims, law.claim_rows),
    "chips": Kind(entries.chips, _listed),
    "models": Kind(entries.models, _listed),
    "prices": Kind(entries.prices, _listed),
    "sources": Kind(entries.sources, _listed),
    "rules": Kind(entries.rules, _listed),
    **dict.fromkeys(("chips_id", "models_id", "prices_id", "sources_id", "rules_id"), _ENTRY),
    "validate": Kind(fidelity.validate, _within("worst")),
    "plot": Kind(kept.plot, _one),
    "studies": Kind(kept.studies, _each),
    "studies_compared": Kind(kept.compared, kept.compared_rows),
    "calibrate": Kind(fidelity.calibrate, fidelity.width_rows),
    "calibrate_own": Kind(local.own, _within("stacks")),
    "calibrate_suggest": Kind(local.suggested, _within("runs")),
    "calibrate_list": Kind(local.listed, _within("calibrations")),
    "profile": Kind(local.profile, _within("steps")),
}
