"""Facts in dispute, and rules of which it is disputed whether they bind: every way to read them.

A reading is the chip with one value put for another, or the rules with some left out. Verdicts are
computed for all of them, so that a dispute that does not matter is told from one that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from chipwise.policy import metrics
from chipwise.types import Chip, Fact, Reading, Rule
from chipwise.units import from_base, to_base

__all__ = ["Dispute", "View", "all_views", "disputes", "toggled", "with_gaps"]

# Facts of which a chip's file can give two editions, with the field that holds them and its unit.
_FIELDS: Mapping[str, tuple[str, str]] = {
    "die_area": ("die_area", "mm2"),
    "memory_bandwidth": ("memory_bandwidth", "GB/s"),
    "market": ("market", ""),
}
# Facts that have no field of their own.
_FACTS: Mapping[str, str] = {"scaleup_bandwidth": "GB/s", "pcie_bandwidth": "GB/s"}


@dataclass(frozen=True, slots=True)
class View:
    """One way to read a chip's facts and the rules: `without` names the doubts taken as true."""

    chip: Chip
    tf32: int = metrics.TF32_BITS[0]
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Dispute:
    """One thing that can be read in two ways.

    `facts` are those that it touches (``flops`` for any rate), none where a rule is in doubt;
    `stated` and `other` say the two readings; `values` are the other ones by field, `stands` by
    fact, `rates` by format.
    """

    name: str
    stated: str
    other: str
    because: str
    facts: frozenset[str] = frozenset()
    values: Mapping[str, float | str] | None = None
    stands: Mapping[str, Fact] | None = None
    rates: Mapping[str, float] | None = None
    tf32: int | None = None
    label: str = ""
    since: date | None = None


def _shown(value: float | str, unit: str) -> str:
    if isinstance(value, str):
        return value
    return f"{metrics.figure(round(from_base(value, unit), 6))} {unit}".replace("mm2", "mm²")


def _edges(fact: Fact) -> list[float]:
    """The other ends of a fact that has several editions, in base units."""
    if isinstance(fact.value, str | bool) or fact.value is None:
        return []
    ends = (fact.low, fact.high)
    return [to_base(e, fact.unit) for e in ends if e is not None and e != fact.value]


def _of_field(chip: Chip, name: str) -> list[Dispute]:
    field, unit = _FIELDS[name]
    stated = getattr(chip, field)
    fact = chip.facts.get(name)
    if fact is None or stated is None:
        return []
    return [
        Dispute(
            name,
            _shown(stated, unit),
            _shown(other, unit),
            fact.note,
            frozenset({name}),
            values={field: other},
        )
        for other in _edges(fact)
    ]


def _of_fact(chip: Chip, name: str, others: list[float], because: str) -> list[Dispute]:
    """Other values of a fact without a field."""
    unit, fact = _FACTS[name], chip.facts.get(name)
    if fact is None or fact.value is None or isinstance(fact.value, str | bool):
        return []
    stated = to_base(fact.value, fact.unit)
    return [
        Dispute(
            name,
            _shown(stated, unit),
            _shown(other, unit),
            because,
            frozenset({name}),
            stands={name: replace(fact, value=from_base(other, unit), unit=unit)},
        )
        for other in others
        if other != stated
    ]


def _of_rates(chip: Chip) -> list[Dispute]:
    """Rates with two editions go together: one paper gives them all."""
    found = {}
    for form in chip.flops:
        fact = chip.facts.get(f"flops.{form}")
        if fact is not None and (edges := _edges(fact)):
            found[form] = (max(edges), fact)
    if not found:
        return []
    note = next(fact.note for _, fact in found.values())
    stated = ", ".join(f"{f} {_shown(chip.flops[f], 'TFLOPS')}" for f in found)
    other = ", ".join(f"{f} {_shown(edge, 'TFLOPS')}" for f, (edge, _) in found.items())
    rates = {form: edge for form, (edge, _) in found.items()}
    return [Dispute("flops", stated, other, note, frozenset({"flops"}), rates=rates)]


def _of_tf32(chip: Chip) -> list[Dispute]:
    short, long = metrics.TF32_BITS
    stated, other = metrics.tpp(chip, short), metrics.tpp(chip, long)
    if stated.low == other.low:
        return []
    because = "TF32 has 19 significant bits and is stored in 32; the rules do not say which counts"
    texts = (f"{short} ({stated.arithmetic})", f"{long} ({other.arithmetic})")
    return [Dispute("TF32's bits", *texts, because, frozenset({"flops"}), tf32=long)]


def _of_reading(chip: Chip, reading: Reading) -> list[Dispute]:
    if chip.id not in reading.chips:
        return []
    if reading.name in _FACTS and not isinstance(reading.value, str):
        return _of_fact(chip, reading.name, [reading.value], reading.because)
    if reading.name not in _FIELDS:
        return []
    field, unit = _FIELDS[reading.name]
    stated = getattr(chip, field)
    if stated is None or stated in ("", reading.value):
        return []
    return [
        Dispute(
            reading.name,
            _shown(stated, unit),
            _shown(reading.value, unit),
            reading.because,
            frozenset({reading.name}),
            values={field: reading.value},
        )
    ]


def with_gaps(chip: Chip, rules: tuple[Rule, ...]) -> Chip:
    """The chip with the rates as unknown that it has and does not state.

    A rate that a file does not give is else taken for a format that the chip lacks.
    """
    gaps = {
        f"flops.{reading.value}": Fact(None, "TFLOPS", rule.id, note=reading.because)
        for rule in rules
        for reading in rule.readings
        if reading.name == "format" and chip.id in reading.chips and reading.value not in chip.flops
    }
    return replace(chip, facts={**gaps, **chip.facts}) if gaps else chip


def _of_rules(rules: tuple[Rule, ...]) -> list[Dispute]:
    labels: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.doubt is not None:
            labels.setdefault(rule.doubt.label, []).append(rule)
    found = []
    for label, group in labels.items():
        doubts = [r.doubt for r in group if r.doubt is not None]
        because = "; ".join(dict.fromkeys(d.because for d in doubts))
        since = min(d.since for d in doubts)
        found.append(Dispute(label, "binding", "not binding", because, label=label, since=since))
    return found


@lru_cache(maxsize=1024)
def disputes(chip: Chip, rules: tuple[Rule, ...]) -> tuple[Dispute, ...]:
    """Everything about a chip and these rules that can be read in two ways."""
    found = [d for name in _FIELDS for d in _of_field(chip, name)]
    for name in _FACTS:
        if (fact := chip.facts.get(name)) is not None:
            found += _of_fact(chip, name, _edges(fact), fact.note)
    found += _of_rates(chip) + _of_tf32(chip)
    found += [d for rule in rules for reading in rule.readings for d in _of_reading(chip, reading)]
    # A chip's file and a rule's may give the same other value.
    once = {(d.name, d.other): d for d in reversed(found)}
    return (*reversed(once.values()), *_of_rules(rules))


def toggled(view: View, dispute: Dispute) -> View:
    """The view with the other reading of one dispute."""
    if dispute.label:
        return replace(view, without=view.without | {dispute.label})
    if dispute.tf32 is not None:
        return replace(view, tf32=dispute.tf32)
    if dispute.rates is not None:
        chip = replace(view.chip, flops={**view.chip.flops, **dispute.rates})
        return replace(view, chip=chip)
    if dispute.stands is not None:
        return replace(view, chip=replace(view.chip, facts={**view.chip.facts, **dispute.stands}))
    changes: dict[str, float | str] = dict(dispute.values or {})
    return replace(view, chip=replace(view.chip, **changes))  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def all_views(chip: Chip, rules: tuple[Rule, ...]) -> tuple[View, ...]:
    """Every combination of readings, the stated one first."""
    found = disputes(chip, rules)
    views = [View(chip)]
    for dispute in found:
        views += [toggled(view, dispute) for view in views]
    return tuple(views)
