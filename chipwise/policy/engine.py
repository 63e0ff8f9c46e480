"""Rules on a chip → verdict, with every step.

A side of the border is as strict as the strictest control on it that fires, after what relaxes
that control. What is unknown leaves bounds: a side whose bounds differ is unknown, and names the
facts that would decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

from chipwise.errors import BadFact, BadInput
from chipwise.policy import metrics
from chipwise.policy.expression import (
    KINDS,
    Expression,
    Span,
    Truth,
    Word,
    evaluate,
    parse,
)
from chipwise.policy.question import Question, ask, concerns, day, side_of
from chipwise.policy.readings import Dispute, View, all_views, disputes, toggled, with_gaps
from chipwise.policy.statuses import between, status_order, strictest
from chipwise.types import (
    STATUSES,
    Chip,
    Disputed,
    Rule,
    RuleTrace,
    SideVerdict,
    StatusPeriod,
    Verdict,
)

__all__ = ["check", "checked", "inside", "overdue", "timeline", "trace"]

_FREE = STATUSES[0]
_SIDES = ("export", "imports")


@dataclass(frozen=True, slots=True)
class _Finding:
    """A rule on a view of a chip: its trace, and the bounds of the outcome if it fires."""

    trace: RuleTrace
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class _Side:
    """Bounds of one side, the rules that fire, and what is missing where the bounds differ."""

    low: str
    high: str
    firing: tuple[str, ...]
    missing: tuple[str, ...]


# -- one rule ------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def _expression(rule: Rule, condition: str, place: str = "") -> Expression:
    try:
        return parse(condition)
    except BadInput as error:
        raise BadFact(place or rule.place or rule.id, "condition", str(error)) from None


def checked(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules, each with conditions that keep to the language.

    Raises
    ------
    BadFact
        Says which file, and what in the condition is not of the language.
    """
    found = tuple(rules)
    for rule in found:
        _expression(rule, rule.condition)
        for case in rule.cases:
            if case.condition:
                _expression(rule, case.condition, case.place)
    return found


def _span(of: metrics.Quantity) -> Span:
    if of.value is not None:
        return Span(of.low, of.high, f"{of.name} {metrics.figure(of.value)}")
    bound = f"{of.name} of at least {metrics.figure(of.low)}" if of.low else f"{of.name} unknown"
    return Span(of.low, of.high, bound, of.missing)


def _flag(value: bool | None, fact: str) -> tuple[Truth, tuple[str, ...]]:  # noqa: FBT001 - the flag
    return Truth(value, () if value is not None else (fact,)), (fact,)


@lru_cache(maxsize=8192)
def _quantity(chip: Chip, tf32: int, name: str) -> metrics.Quantity:
    if name == "memory_density":
        # A chip is no memory stack: the flag beside it decides.
        return metrics.Quantity(name, None, 0.0, float("inf"), "", (name,))
    if name in ("tpp", "density"):
        return (metrics.tpp if name == "tpp" else metrics.performance_density)(chip, tf32)
    return {
        "memory_bandwidth": metrics.memory_bandwidth,
        "io_bandwidth": metrics.io_bandwidth,
        "link_bandwidth": metrics.link_bandwidth,
        "process": metrics.process,
        "transistors": metrics.transistors,
        "year": metrics.year,
    }[name](chip)


def _plain(chip: Chip, name: str) -> tuple[Truth | Word, tuple[str, ...]]:
    """Value of a flag or a text, and the facts that it rests on."""
    if name == "dc":
        return _flag(chip.market == "datacenter" if chip.market else None, "market")
    if name == "sold_in_us":
        return _flag(chip.sold_in_us, "sold_in_us")
    if name == "hbm_stack":
        return Truth(value=False), ()
    if name == "us_technology":
        fact = chip.facts.get(name)
        return _flag(bool(fact.value) if fact else None, name)
    value = {"chip": chip.id, "vendor": chip.vendor, "country": chip.country}[name]
    shown = f"{name} {value}" if value else f"{name} unknown"
    return Word(value or None, shown, () if value else (name,)), ()


@lru_cache(maxsize=32768)
def _weighed(
    expression: Expression, chip: Chip, tf32: int
) -> tuple[Truth, tuple[str, ...], tuple[str, ...]]:
    """Truth of a condition, its arithmetic, and the facts that it rests on."""
    rests_on: dict[str, None] = {}

    def scope(name: str) -> Span | Truth | Word:
        if KINDS[name] == "number":
            of = _quantity(chip, tf32, name)
            rests_on.update(dict.fromkeys(of.rests_on))
            return _span(of)
        value, facts = _plain(chip, name)
        rests_on.update(dict.fromkeys(facts))
        return value

    truth, comparisons = evaluate(expression, scope)
    sums = [
        _quantity(chip, tf32, name).arithmetic
        for name in KINDS
        if name in expression.names and KINDS[name] == "number" and name != "memory_density"
    ]
    return truth, (*sums, *comparisons), tuple(rests_on)


def _outcomes(
    rule: Rule, chip: Chip, tf32: int, to: str, end_user: str
) -> tuple[str, str, tuple[str, ...]]:
    """Bounds of the outcome of a rule that fires, and what is missing to tell."""
    possible: list[str] = []
    missing: tuple[str, ...] = ()
    for case in rule.cases:
        if case.destinations and to not in case.destinations:
            continue
        if case.end_users and end_user not in case.end_users:
            continue
        truth = _weighed(_expression(rule, case.condition or "True"), chip, tf32)[0]
        if truth.value is False:
            continue
        possible.append(case.outcome)
        if truth.value is True:
            break
        missing += truth.missing
    else:
        possible.append(rule.outcome)
    return min(possible, key=status_order), strictest(possible), missing


@lru_cache(maxsize=65536)
def _found(rule: Rule, chip: Chip, tf32: int, to: str, end_user: str) -> _Finding:
    truth, arithmetic, rests_on = _weighed(_expression(rule, rule.condition), chip, tf32)
    low = high = _FREE
    open_: tuple[str, ...] = ()
    shown = ""
    if rule.effect != "note":
        low, high, open_ = _outcomes(rule, chip, tf32, to, end_user)
        shown = between(low, high)
    possible = truth.value is not False
    trace_ = RuleTrace(
        rule.id,
        truth.value,
        arithmetic,
        shown,
        rule.needs if possible else (),
        tuple(dict.fromkeys(truth.missing + (open_ if possible else ()))),
        rule.effect,
        rule.confidence,
        rests_on,
    )
    return _Finding(trace_, low, high)


def _finding(rule: Rule, view: View, of: Question) -> _Finding:
    return _found(rule, view.chip, view.tf32, of.to, of.end_user)


def trace(rule: Rule, chip: Chip, to: str = "CN") -> RuleTrace:
    """A rule's item condition on a chip, whatever the day, route and party.

    Parameters
    ----------
    rule : Rule
        What is evaluated.
    chip : Chip
        What it is evaluated on.
    to : str
        Destination, where the outcome depends on it.
    """
    return _finding(rule, View(chip), ask(chip, to, "sale", None, "private", ())).trace


def inside(rule: Rule, chip: Chip, to: str = "CN") -> bool | None:
    """Whether a chip has the better of a rule's two outcomes; None where it cannot be told.

    The better one is not to be caught by a control, and to be eligible under a relaxation.
    """
    fires = trace(rule, chip, to).fires
    return fires if fires is None or rule.effect == "relax" else not fires


# -- one side ------------------------------------------------------------------------------------


def _counts(rule: Rule, of: Question) -> bool:
    return rule.counted or rule.confidence in of.include


def _binds(rule: Rule, view: View, on: date) -> bool:
    """Whether a rule is in force on a day, by this reading of what is in doubt."""
    if not (rule.start <= on and (rule.end is None or on < rule.end)):
        return False
    doubt = rule.doubt
    return doubt is None or doubt.label not in view.without or on < doubt.since


def _milder(
    low: str, high: str, relaxed: Sequence[tuple[Rule, _Finding]]
) -> tuple[str, str, tuple[str, ...]]:
    """Bounds of a control's outcome after its relaxations, and what is missing to tell."""
    missing: tuple[str, ...] = ()
    for _, found in relaxed:
        least = min(low, found.low, key=status_order)
        if found.trace.fires:
            low, high = least, min(high, found.high, key=status_order)
        elif status_order(found.low) < status_order(high):
            low, missing = least, missing + found.trace.missing
    return low, high, missing


def _control(
    rule: Rule, found: _Finding, relaxations: Sequence[tuple[Rule, _Finding]]
) -> tuple[str, str, tuple[str, ...]]:
    """Bounds that one control puts on its side."""
    if found.trace.fires is False:
        return _FREE, _FREE, ()
    relaxed = [r for r in relaxations if rule.id in r[0].relaxes and r[1].trace.fires is not False]
    low, high, missing = _milder(found.low, found.high, relaxed)
    if found.trace.fires is None:
        low = _FREE
    return low, high, found.trace.missing + missing


def _decides(rule: Rule, chip: Chip, of: Question) -> bool:
    """Whether a rule can move a status.

    A control that is left out does so where it names the chip: its side cannot be called free. A
    bill is no law, so it leaves nothing open.
    """
    if rule.effect == "note" or _counts(rule, of):
        return rule.effect != "note"
    left = rule.effect == "control" and rule.confidence != "proposed"
    return left and chip.id in _expression(rule, rule.condition).chips


def _resolved(rules: Sequence[Rule], view: View, of: Question) -> _Side:
    """Bounds of a side under the rules in force."""
    counted = [(r, _finding(r, view, of)) for r in rules if _counts(r, of)]
    relaxations = [pair for pair in counted if pair[0].effect == "relax"]
    bounds = [_control(r, f, relaxations) for r, f in counted if r.effect == "control"]
    low, high = strictest(b[0] for b in bounds), strictest(b[1] for b in bounds)
    missing = [m for b in bounds if status_order(b[1]) > status_order(low) for m in b[2]]
    for rule in rules:
        if _counts(rule, of):
            continue
        found = _finding(rule, view, of)
        if found.trace.fires is not False and status_order(found.high) > status_order(low):
            high = max(high, found.high, key=status_order)
            missing.append(rule.id)
    firing = tuple(r.id for r, f in counted if f.trace.fires)
    return _Side(low, high, firing, tuple(dict.fromkeys(missing)) if low != high else ())


# -- a verdict -----------------------------------------------------------------------------------


def _sides(rules: Sequence[Rule], view: View, of: Question, on: date) -> tuple[_Side, _Side]:
    in_force = [r for r in rules if _binds(r, view, on)]
    export, imports = (
        _resolved([r for r in in_force if side_of(r, of) == side], view, of) for side in _SIDES
    )
    return export, imports


def _joined(sides: Iterable[_Side]) -> _Side:
    """The stricter of several sides or readings, bound by bound."""
    each = tuple(sides)
    low, high = strictest(s.low for s in each), strictest(s.high for s in each)
    return _Side(
        low,
        high,
        tuple(dict.fromkeys(f for s in each for f in s.firing)),
        tuple(dict.fromkeys(m for s in each for m in s.missing)),
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """A chip, the rules that speak on a question about it, and every way to read both.

    `deciding` are the rules that can move a status: neither notes nor what is left out, but for
    reported controls that name the chip.
    """

    chip: Chip
    rules: tuple[Rule, ...]
    deciding: tuple[Rule, ...]
    question: Question
    views: tuple[View, ...]


@lru_cache(maxsize=4096)
def _case(chip: Chip, rules: tuple[Rule, ...], question: Question) -> _Case:
    chip = with_gaps(chip, checked(rules))
    speaking = tuple(r for r in rules if concerns(r, chip, question))
    deciding = tuple(r for r in speaking if _decides(r, chip, question))
    return _Case(chip, speaking, deciding, question, all_views(chip, speaking))


def _outlook(case: _Case, on: date) -> tuple[_Side, _Side, _Side]:
    """Export, imports and both, each the strictest of all readings."""
    each = [_sides(case.deciding, view, case.question, on) for view in case.views]
    export, imports = _joined(s[0] for s in each), _joined(s[1] for s in each)
    both = _joined(_joined(s) for s in each)
    return export, imports, both


def _touches(dispute: Dispute, case: _Case, on: date) -> bool:
    """Whether a dispute is about something that was evaluated."""
    for rule in case.rules:
        if not (_binds(rule, case.views[0], on) and _counts(rule, case.question)):
            continue
        found = _finding(rule, case.views[0], case.question).trace
        if dispute.label:
            touched = found.fires is not False and _labelled(rule, dispute.label)
        else:
            # Rates count as one: TPP is the greatest of them all.
            read = {f.partition(".")[0] for f in found.rests_on + found.missing}
            touched = rule.effect != "note" and not dispute.facts.isdisjoint(read)
        if touched:
            return True
    return False


def _labelled(rule: Rule, label: str) -> bool:
    return rule.doubt is not None and rule.doubt.label == label


def _status(case: _Case, view: View, on: date) -> str:
    both = _joined(_sides(case.deciding, view, case.question, on))
    return between(both.low, both.high)


def _why(dispute: Dispute, case: _Case, on: date) -> str:
    """The reason of a dispute; of a doubt, the reasons of the rules that it is about."""
    if not dispute.label:
        return dispute.because
    about = [
        rule.doubt.because
        for rule in case.rules
        if rule.doubt
        and rule.doubt.label == dispute.label
        and rule.doubt.since <= on
        and _binds(rule, case.views[0], on)
        and _finding(rule, case.views[0], case.question).trace.fires is not False
    ]
    return "; ".join(dict.fromkeys(about))


def _disputed(case: _Case, on: date) -> tuple[Disputed, ...]:
    """Each dispute, with the status that either reading gives."""
    stated = case.views[0]
    found = []
    for dispute in disputes(case.chip, case.rules):
        if (dispute.since and on < dispute.since) or not _touches(dispute, case, on):
            continue
        one, other = (_status(case, view, on) for view in (stated, toggled(stated, dispute)))
        why = _why(dispute, case, on)
        found.append(Disputed(dispute.name, dispute.stated, dispute.other, one, other, why))
    return tuple(found)


def _line(of: Disputed) -> str:
    """A dispute as a sentence."""
    either = (
        f"{of.stated} gives {of.stated_status}, {of.other} gives {of.other_status}"
        if of.stated_status != of.other_status
        else f"{of.stated} or {of.other}: {of.stated_status} either way"
    )
    return f"{of.name}: {either} ({of.because})"


def _verdict_side(case: _Case, side: str, found: _Side, on: date) -> SideVerdict:
    stated = case.views[0]
    rules = [r for r in case.rules if side_of(r, case.question) == side]
    rules = [r for r in rules if _binds(r, stated, on)]
    traces = {r.id: _finding(r, stated, case.question).trace for r in rules}
    shown = tuple(traces[r.id] for r in rules if _counts(r, case.question))
    left = tuple(
        r.id for r in rules if not _counts(r, case.question) and traces[r.id].fires is not False
    )
    return SideVerdict(between(found.low, found.high), shown, left)


def _unsure(case: _Case, rules: Iterable[Rule], on: date) -> tuple[str, ...]:
    """Whether a rule speaks of this destination by a country group without a source."""
    of, view = case.question, case.views[0]
    asked = (r for r in rules if r.sure and of.route in r.routes and _counts(r, of))
    unsure = any(of.to not in r.sure and _binds(r, view, on) for r in asked)
    return ("country_groups",) if unsure else ()


def _unverified(chip: Chip, traces: Iterable[RuleTrace]) -> tuple[str, ...]:
    used = dict.fromkeys(f for t in traces if t.effect != "note" for f in t.rests_on)
    facts = {name: chip.facts[name] for name in used if name in chip.facts}
    return tuple(name for name, fact in facts.items() if fact.provenance == "unverified")


def check(
    chip: Chip,
    rules: Iterable[Rule],
    *,
    on: date,
    to: str = "CN",
    route: str = "sale",
    origin: str | None = None,
    end_user: str = "private",
    include: Iterable[str] = (),
) -> Verdict:
    """Whether a chip may go somewhere on a day, by which rules.

    Parameters
    ----------
    chip : Chip
        What is to go there.
    rules : iterable of Rule
        As the catalog gives them.
    on : date
        The day.
    to : str
        Country of destination; for the routes abroad, of the customer's headquarters.
    route : str
        ``sale``, ``reexport``, ``subsidiary-abroad``, ``rent-abroad`` or ``rent-in-country``.
    origin : str, optional
        Country from which it is exported; the vendor's unless said.
    end_user : str
        ``private``, ``state`` or ``military``.
    include : iterable of str
        What counts although it is left out otherwise: ``reported``, ``proposed``, ``unknown``.

    Returns
    -------
    Verdict
        The stricter of both sides. Where a fact in dispute gives several results, the strictest.

    Examples
    --------
    >>> from chipwise import catalog
    >>> check(catalog.chip("h200"), catalog.rules(), on=date(2025, 6, 1)).status
    'licence_denial'
    """
    on, rules = day(on), tuple(rules)
    case = _case(chip, rules, ask(chip, to, route, origin, end_user, include))
    export, imports, both = _outlook(case, on)
    sides = tuple(
        _verdict_side(case, side, found, on)
        for side, found in zip(_SIDES, (export, imports), strict=True)
    )
    traces = [t for side in sides for t in side.rules]
    disputes_ = _disputed(case, on)
    return Verdict(
        chip=chip.id,
        to=to,
        on=on,
        route=route,
        status=between(both.low, both.high),
        export=sides[0],
        imports=sides[1],
        needs=tuple(dict.fromkeys(n for t in traces if t.fires for n in t.needs)),
        unknown=tuple(dict.fromkeys(export.missing + imports.missing)),
        disputed=tuple(map(_line, disputes_)),
        disputes=disputes_,
        not_evaluated=tuple(n for side in sides for n in side.not_evaluated),
        origin=case.question.origin,
        end_user=end_user,
        rests_on_unverified=(*_unverified(chip, traces), *_unsure(case, rules, on)),
    )


def _turns(rules: Iterable[Rule], since: date, until: date) -> list[date]:
    """The days on which a verdict can change, the first day included."""
    days = {since}
    for rule in rules:
        days.add(rule.start)
        days.update([rule.end] if rule.end else [])
        days.update([rule.doubt.since] if rule.doubt else [])
    return sorted(d for d in days if since <= d <= until)


def timeline(
    chip: Chip,
    rules: Iterable[Rule],
    *,
    since: date,
    until: date,
    to: str = "CN",
    route: str = "sale",
    origin: str | None = None,
    end_user: str = "private",
    include: Iterable[str] = (),
) -> tuple[StatusPeriod, ...]:
    """A chip's statuses from one day to another, without gaps; parameters as of `check`.

    Parameters
    ----------
    since, until : date
        First and last day. The last period ends the day after `until`.

    Examples
    --------
    >>> from chipwise import catalog
    >>> for p in timeline(
    ...     catalog.chip("h20"), catalog.rules(), since=date(2025, 1, 1), until=date(2026, 1, 1)
    ... ):
    ...     print(p.start, p.export, p.imports)
    2025-01-01 free free
    2025-04-09 licence_denial free
    2025-07-31 licence_denial unknown
    2025-08-11 licence_case_by_case unknown
    """
    since, until = day(since), day(until)
    if until < since:
        raise BadInput(f"until is {until}; {since} or later was expected")
    case = _case(chip, tuple(rules), ask(chip, to, route, origin, end_user, include))
    periods: list[StatusPeriod] = []
    for on in _turns(case.deciding, since, until):
        export, imports, both = _outlook(case, on)
        found = StatusPeriod(
            on,
            None,
            between(both.low, both.high),
            between(export.low, export.high),
            between(imports.low, imports.high),
            both.firing,
        )
        if periods and _same(periods[-1], found):
            continue
        if periods:
            periods[-1] = replace(periods[-1], end=on)
        periods.append(found)
    periods[-1] = replace(periods[-1], end=until + timedelta(days=1))
    return tuple(periods)


def _same(one: StatusPeriod, other: StatusPeriod) -> bool:
    return replace(one, start=other.start, end=other.end) == other


def overdue(rules: Iterable[Rule], on: date) -> tuple[str, ...]:
    """Rules that should have been looked at again before this day."""
    return tuple(r.id for r in rules if r.review_by is None or r.review_by < on)
