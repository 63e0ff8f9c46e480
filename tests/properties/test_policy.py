"""Laws of verdicts, over chips, rules, days and routes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import catalog, policy
from chipwise.policy.statuses import STATUSES, status_order
from chipwise.types import Chip, Rule, StatusPeriod, Verdict
from tests.draws import draws

FIRST, LAST = date(2022, 8, 1), date(2026, 11, 23)
RULES = catalog.rules()
CHIPS = tuple(catalog.chip(each) for each in catalog.chip_ids())
DAYS = sorted({d for r in RULES for d in (r.start, r.end) if d and FIRST <= d <= LAST})
# One of each kind: letters, prongs, envelope, dispute, lower bounds, domestic. The fast loop asks
# some, the slow tests all chips.
TRIED = (
    *("nvidia-h20-96", "nvidia-l4", "nvidia-rtx4090", "amd-mi210", "nvidia-h200-sxm"),
    *("amd-mi300x", "nvidia-rtxpro6000", "nvidia-gb200", "aws-trainium3", "intel-gaudi3"),
    *("huawei-ascend-910c", "biren-br100", "nvidia-a800-sxm-80"),
)
_UNSET = {"market": "", "released": ""}
_OTHER = {"scaleup": "scaleup", "pcie": "host"}

chips = st.sampled_from(CHIPS)
days = st.dates(FIRST, LAST)
routes = st.sampled_from(policy.ROUTES)
asked = st.fixed_dictionaries(
    {
        "route": routes,
        "to": st.sampled_from(["CN", "HK", "MO", "RU", "AE", "TW", "US"]),
        "end_user": st.sampled_from(policy.END_USERS),
        "include": st.sampled_from([(), ("reported",), ("proposed",), ("reported", "proposed")]),
    }
)


def without(chip: Chip, name: str) -> Chip:
    """The chip as if nobody had published one fact."""
    facts = {k: v for k, v in chip.facts.items() if k != name}
    stem, _, form = name.partition(".")
    field = _OTHER.get(name.partition("_")[0], name)
    if stem == "flops":
        rates = {k: v for k, v in chip.flops.items() if k != form}
        return replace(chip, facts=facts, flops=rates)
    if field in ("die_area", "memory_bandwidth", "sold_in_us", "scaleup", "host", *_UNSET):
        return replace(chip, facts=facts, **{field: _UNSET.get(field)})  # type: ignore[arg-type]
    return replace(chip, facts=facts)


def at(periods: tuple[StatusPeriod, ...], on: date) -> StatusPeriod:
    return next(p for p in periods if p.start <= on and (p.end is None or on < p.end))


def _never_another(chip: Chip, route: str) -> None:
    """Without a fact a verdict is what it was or unknown, and names the fact."""

    def periods(of: Chip) -> tuple[StatusPeriod, ...]:
        return policy.timeline(of, RULES, since=FIRST, until=LAST, route=route)

    known = periods(chip)
    for name in chip.facts:
        poorer = without(chip, name)
        found = periods(poorer)
        for on in {p.start for p in (*known, *found)}:
            before, after = at(known, on), at(found, on)
            for side in ("export", "imports", "status"):
                one, other = getattr(before, side), getattr(after, side)
                if one != other:
                    assert other == "unknown", f"{chip.id} without {name} on {on}: {one}, {other}"
                    named = policy.check(poorer, RULES, on=on, route=route).unknown
                    # Where no rate of its matrix units is left, all of them are missing.
                    kinds = {name, name.partition(".")[0]}
                    assert kinds & set(named), f"{chip.id} without {name} on {on} names {named}"


@pytest.mark.parametrize("name", TRIED[::4])
def test_a_fact_that_is_missing_makes_unknown_and_is_named(name: str) -> None:
    _never_another(catalog.chip(name), "sale")


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS, ids=lambda c: c.id)
def test_every_fact_of_every_chip_on_every_route(chip: Chip) -> None:
    for route in policy.ROUTES:
        _never_another(chip, route)


def _item(chip: Chip, rule: Rule) -> bool | None:
    return policy.trace(rule, chip).fires


def _keeps_its_mind(rule: Rule, chips: Iterable[Chip]) -> None:
    """What is missing makes a rule unknown, never the other answer."""
    # A rate that is not stated counts as a format that the chip lacks, but for those of which
    # a rule's file knows better: that is tried on whole verdicts.
    names = ("die_area", "memory_bandwidth", "market", "sold_in_us", "scaleup_bandwidth", "process")
    for chip in chips:
        known = _item(chip, rule)
        for name in names:
            if name in chip.facts:
                assert _item(without(chip, name), rule) in (known, None), (chip.id, name)


@pytest.mark.parametrize("at", range(len(RULES)), ids=lambda at: RULES[at].id)
def test_no_rule_changes_its_mind_for_want_of_a_fact(at: int) -> None:
    """Of eight rules that follow one another, each asks another eighth of the chips."""
    _keeps_its_mind(RULES[at], CHIPS[at % 8 :: 8])


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.id)
def test_no_rule_changes_its_mind_for_want_of_a_fact_of_any_chip(rule: Rule) -> None:
    _keeps_its_mind(rule, CHIPS)


_TRIALS = (1e-3, 0.3, 0.9, 1.1, 3.0, 1e3)
_CHOICES: dict[str, tuple[str | bool, ...]] = {
    "market": ("datacenter", "workstation", "consumer"),
    "sold_in_us": (True, False),
}
_FACTS = (*_CHOICES, "die_area", "memory_bandwidth", "scaleup_bandwidth", "pcie_bandwidth")


def _could_be(chip: Chip, name: str) -> list[Chip]:
    """The chip with other values of one fact."""
    if name in _CHOICES:
        return [replace(chip, **{name: value}) for value in _CHOICES[name]]  # type: ignore[arg-type]
    fact = chip.facts[name]
    values = [by * float(fact.value or 0.0) for by in _TRIALS]
    if name.endswith("_bandwidth") and name != "memory_bandwidth":
        return [replace(chip, facts={**chip.facts, name: replace(fact, value=v)}) for v in values]
    stated = getattr(chip, name)
    return [replace(chip, **{name: by * stated}) for by in _TRIALS]  # type: ignore[arg-type]


def _unknown_where_it_decides(chip: Chip) -> None:
    """For each rule: if other values of a fact give another answer, without it there is none."""
    for name in _FACTS:
        if name not in chip.facts:
            continue
        poorer, others = without(chip, name), _could_be(chip, name)
        for rule in RULES:
            answers = {_item(each, rule) for each in (chip, *others)}
            found = policy.trace(rule, poorer)
            if {True, False} <= answers:
                assert found.fires is None, f"{rule.id} on {chip.id} without {name}"
                assert name in found.missing, f"{rule.id} on {chip.id} names {found.missing}"
            elif found.fires is None and _item(chip, rule) is not None:
                assert name in found.missing


@pytest.mark.parametrize("name", TRIED[2::4])
def test_a_fact_that_decides_is_unknown_without_it(name: str) -> None:
    _unknown_where_it_decides(catalog.chip(name))


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS, ids=lambda c: c.id)
def test_a_fact_that_decides_is_unknown_without_it_for_all(chip: Chip) -> None:
    _unknown_where_it_decides(chip)


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS, ids=lambda c: c.id)
def test_a_timeline_is_the_verdict_of_each_day_around_every_turn(chip: Chip) -> None:
    periods = policy.timeline(chip, RULES, since=FIRST, until=LAST)
    for turn in DAYS:
        for on in (turn - timedelta(days=1), turn):
            if on >= FIRST:
                day, known = policy.check(chip, RULES, on=on), at(periods, on)
                sides = (day.status, day.export.status, day.imports.status)
                assert sides == (known.status, known.export, known.imports), on


@given(chips, days, asked)
@draws(200)
def test_a_verdict_changes_only_on_the_day_of_a_rule(
    chip: Chip, on: date, question: dict[str, object]
) -> None:
    if on == LAST:
        return

    def told(day: date) -> tuple[str, ...]:
        found = policy.check(chip, RULES, on=day, **question)  # type: ignore[arg-type]
        return (found.status, found.export.status, found.imports.status)

    if told(on) != told(on + timedelta(days=1)):
        turns = {d for r in RULES for d in (r.start, r.end, r.doubt and r.doubt.since)}
        assert on + timedelta(days=1) in turns


@given(chips, st.sampled_from(DAYS), asked)
@draws(200)
def test_the_whole_is_the_stricter_side(chip: Chip, on: date, question: dict[str, object]) -> None:
    found = policy.check(chip, RULES, on=on, **question)  # type: ignore[arg-type]
    sides = (found.export.status, found.imports.status)
    if "unknown" not in sides:
        assert found.status == policy.stricter(*sides)
    elif found.status != "unknown":
        known = [s for s in sides if s != "unknown"]
        assert known, "two unknown sides cannot give a known whole"
        assert status_order(found.status) >= max(map(status_order, known))
    assert (found.status == "unknown") <= bool(found.unknown or found.disputed)


@given(chips, st.sampled_from(DAYS), asked)
@draws(200)
def test_a_side_is_never_milder_than_an_unrelaxed_control_that_fires(
    chip: Chip, on: date, question: dict[str, object]
) -> None:
    found: Verdict = policy.check(chip, RULES, on=on, **question)  # type: ignore[arg-type]
    relaxed = {name for r in RULES if r.effect == "relax" for name in r.relaxes}
    for side in (found.export, found.imports):
        for trace in side.rules:
            binding = trace.fires and trace.effect == "control" and trace.id not in relaxed
            if binding and side.status in STATUSES and trace.outcome in STATUSES:
                assert status_order(side.status) >= status_order(trace.outcome)


@given(chips, days)
@draws(100)
def test_rules_that_are_left_out_change_no_known_verdict(chip: Chip, on: date) -> None:
    """What is reported or proposed moves nothing but from known to unknown."""
    law = tuple(r for r in RULES if r.counted)
    plain, alone = (policy.check(chip, rules, on=on).export for rules in (RULES, law))
    assert plain.status in (alone.status, "unknown")


@given(chips, days, asked)
@draws(100)
def test_the_same_question_has_the_same_answer(
    chip: Chip, on: date, question: dict[str, object]
) -> None:
    one, other = (
        policy.check(of, RULES, on=on, **question)  # type: ignore[arg-type]
        for of in (chip, replace(chip))
    )
    assert one == other


@given(st.sampled_from(CHIPS), st.floats(1.0, 4.0), days)
@draws(100)
def test_a_faster_chip_is_never_freer_under_controls(chip: Chip, by: float, on: date) -> None:
    """More bandwidth and more rate on the same area, under US controls on items alone.

    3A090.b and its notice end where 3A090.a begins, so that only the order of both is tried.
    """
    controls = tuple(r for r in RULES if r.effect == "control" and r.counted)
    faster = replace(
        chip,
        facts={k: v for k, v in chip.facts.items() if not k.startswith("flops")},
        flops={form: rate * by for form, rate in chip.flops.items()},
        memory_bandwidth=chip.memory_bandwidth and chip.memory_bandwidth * by,
    )
    slow, fast = (policy.check(of, controls, on=on).export.status for of in (chip, faster))
    if "unknown" not in (slow, fast):
        assert status_order(fast) >= status_order(slow)
