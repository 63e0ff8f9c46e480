"""Claims → verdicts, each with its figures and the sentence that a careful editor would print.

A sum is written in a small language: numbers and names, ``+ - * /``, comparisons, ``and``, ``or``,
``not``. A name is a fact of a chip (``h200.memory``, in the unit of the schema), a figure of a run
of the model (``h200_run.throughput``), a status of the rules (``sale.status``), a fact of the
claim's own, or a sum before it. Nothing is called and no code is run. What is unknown makes the
verdict ``cannot_be_known``, and is named.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from chipwise import catalog
from chipwise.catalog.chips import schema
from chipwise.catalog.claims import Claim, ClaimRun, ClaimStatus
from chipwise.errors import BadFact, BadInput, ChipwiseError, Infeasible
from chipwise.policy import metrics
from chipwise.policy.expression import syntax
from chipwise.types import Chip, Fact, PlanRow, Verdict
from chipwise.units import from_base, to_base

__all__ = ["Judged", "judge", "sentence"]

_METRICS: Mapping[str, Callable[[Chip], metrics.Quantity]] = {
    "tpp": metrics.tpp,
    "density": metrics.performance_density,
    "io_bandwidth": metrics.io_bandwidth,
    "link_bandwidth": metrics.link_bandwidth,
}
_PLAIN = ("id", "name", "vendor", "country", "architecture", "status", "market")
_RUN = ("throughput", "low", "high", "batch", "ttft", "tpot")
_STATUS = ("status", "export", "imports")
_OPERATE: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[..., bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_LONGEST, _DEEPEST = 2000, 30
_HOLE = re.compile(r"\{(\w+)(?::(\d)(%?))?\}")

_Value = float | str | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A claim with its verdict.

    `computed` are the sums by name; `sources` the keys of what they rest on, each with where it
    stands; `missing` what is not known; `rests_on_unverified` the keys without a source.
    """

    claim: Claim
    verdict: str
    computed: Mapping[str, float]
    sources: tuple[str, ...]
    missing: tuple[str, ...] = ()
    rests_on_unverified: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    """What the names of one claim stand for, and a record of what was read."""

    claim: Claim
    estimate: Callable[[ClaimRun], PlanRow]
    verdict: Callable[[ClaimStatus], Verdict]
    computed: dict[str, _Value] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)
    unverified: dict[str, None] = field(default_factory=dict)


# -- names ---------------------------------------------------------------------------------------


def _unknown(scope: _Scope, key: str) -> None:
    scope.missing[key] = None


def _cited(scope: _Scope, key: str, fact: Fact) -> None:
    scope.sources[key] = fact.source
    if fact.provenance == "unverified":
        scope.unverified[key] = None


def _chip(claim: Claim, name: str) -> Chip:
    return catalog.chip(claim.chips.get(name, name.replace("_", "-")))


def _released(scope: _Scope, chip: Chip, part: str) -> _Value:
    parts = re.findall(r"\d+", chip.released)
    at = ("year", "month").index(part)
    if len(parts) <= at:
        _unknown(scope, f"{chip.id}.released")
        return None
    _cited(scope, f"{chip.id}.released", chip.facts["released"])
    return float(parts[at])


def _metric(scope: _Scope, chip: Chip, name: str) -> _Value:
    found = _METRICS[name](chip)
    if found.value is None:
        for each in found.missing:
            _unknown(scope, f"{chip.id}.{each}")
        return None
    for each in found.rests_on:
        if each in chip.facts:
            _cited(scope, f"{chip.id}.{each}", chip.facts[each])
    return found.value


def _fact(scope: _Scope, chip: Chip, name: str) -> _Value:
    """A fact as printed, in the unit of the schema."""
    fact = chip.facts.get(name)
    if fact is None or fact.value is None:
        _unknown(scope, f"{chip.id}.{name}")
        return None
    _cited(scope, f"{chip.id}.{name}", fact)
    if isinstance(fact.value, str | bool):
        return fact.value
    return from_base(to_base(fact.value, fact.unit), schema()[name].unit)


def _of_chip(scope: _Scope, chip: Chip, name: str) -> _Value:
    if name in _METRICS:
        return _metric(scope, chip, name)
    if name.startswith("released_") and name.removeprefix("released_") in ("year", "month"):
        return _released(scope, chip, name.removeprefix("released_"))
    if name in schema():
        return _fact(scope, chip, name)
    if name in _PLAIN:
        value = str(getattr(chip, name))
        if not value:
            _unknown(scope, f"{chip.id}.{name}")
            return None
        fact = chip.facts.get(name)
        scope.sources[f"{chip.id}.{name}"] = fact.source if fact else f"{chip.id}.toml"
        return value
    known = (*_METRICS, *_PLAIN, "released_year", "released_month", *schema())
    raise BadInput(f"a chip has no {name!r}; it has {', '.join(known)}")


def _of_run(scope: _Scope, name: str, part: str) -> _Value:
    if part not in _RUN:
        raise BadInput(f"a run has no {part!r}; it has {', '.join(_RUN)}")
    try:
        row = scope.estimate(scope.claim.runs[name])
    except Infeasible as error:
        _unknown(scope, f"{name} ({error})")
        return None
    assert row.deployment is not None
    scope.sources[f"run.{name}"] = f"the model, basis {row.basis}"
    scope.unverified.update(dict.fromkeys(row.rests_on_unverified))
    found = row.quantities["throughput"]
    return float(
        {
            "throughput": found.value,
            "low": found.low,
            "high": found.high,
            "batch": row.deployment.decode.batch,
            "ttft": row.quantities["ttft"].value,
            "tpot": row.quantities["tpot"].value,
        }[part]
    )


def _of_status(scope: _Scope, name: str, part: str) -> _Value:
    if part not in _STATUS:
        raise BadInput(f"a status has no {part!r}; it has {', '.join(_STATUS)}")
    found = scope.verdict(scope.claim.statuses[name])
    for side in (found.export, found.imports):
        for rule in side.rules:
            if rule.fires and rule.effect != "note":
                scope.sources[f"rule.{rule.id}"] = rule.confidence
    text = {
        "status": found.status,
        "export": found.export.status,
        "imports": found.imports.status,
    }[part]
    if text == "unknown":
        for each in found.unknown:
            _unknown(scope, each)
        return None
    return text


def _bare(scope: _Scope, name: str) -> _Value:
    if name in scope.computed:
        return scope.computed[name]
    fact = scope.claim.facts.get(name)
    if fact is None:
        known = ", ".join((*scope.claim.facts, *scope.computed)) or "none"
        raise BadInput(f"unknown name {name!r}; facts and sums of the claim are {known}")
    _cited(scope, f"{scope.claim.id}.{name}", fact)
    return fact.value


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := _dotted(node.value)):
        return f"{front}.{node.attr}"
    return None


def _named(scope: _Scope, dotted: str) -> _Value:
    name, _, part = dotted.partition(".")
    if not part:
        return _bare(scope, name)
    if name in scope.claim.runs:
        return _of_run(scope, name, part)
    if name in scope.claim.statuses:
        return _of_status(scope, name, part)
    return _of_chip(scope, _chip(scope.claim, name), part)


# -- sums ----------------------------------------------------------------------------------------


def _number(value: _Value, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"a number was expected, not {value!r}, in {source!r}")
    return float(value)


def _operated(node: ast.BinOp, scope: _Scope, source: str) -> _Value:
    one, other = _value(node.left, scope, source), _value(node.right, scope, source)
    if one is None or other is None:
        return None
    left, right = _number(one, source), _number(other, source)
    if isinstance(node.op, ast.Div) and right == 0:
        raise BadInput(f"{source!r} divides by zero")
    return _OPERATE[type(node.op)](left, right)


def _compared(node: ast.Compare, scope: _Scope, source: str) -> _Value:
    sides = [_value(n, scope, source) for n in (node.left, *node.comparators)]
    if None in sides:
        return None
    for op, one, other in zip(node.ops, sides, sides[1:], strict=False):
        equal = isinstance(op, ast.Eq | ast.NotEq)
        if isinstance(one, str) != isinstance(other, str) or (isinstance(one, str) and not equal):
            raise BadInput(
                f"{one!r} is compared with {other!r} in {source!r}; number with number, or text "
                "with text by == or !=, was expected"
            )
        if not _COMPARE[type(op)](one, other):
            return False
    return True


def _joined(node: ast.BoolOp, scope: _Scope, source: str) -> _Value:
    """Kleene's and, or: one part can settle the whole."""
    parts = [_value(n, scope, source) for n in node.values]
    if any(not isinstance(p, bool) and p is not None for p in parts):
        raise BadInput(f"comparisons were expected on both sides of and, or in {source!r}")
    decisive = isinstance(node.op, ast.Or)
    if any(p is decisive for p in parts):
        return decisive
    return None if None in parts else not decisive


def _value(node: ast.expr, scope: _Scope, source: str) -> _Value:
    dotted = _dotted(node)
    if dotted is not None:
        return _named(scope, dotted)
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATE:
        return _operated(node, scope, source)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        of = _value(node.operand, scope, source)
        if of is None:
            return None
        return not of if isinstance(node.op, ast.Not) else -_number(of, source)
    return _logical(node, scope, source)


def _logical(node: ast.expr, scope: _Scope, source: str) -> _Value:
    if isinstance(node, ast.BoolOp):
        return _joined(node, scope, source)
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        return _compared(node, scope, source)
    fragment = ast.get_source_segment(source, node)
    raise BadInput(
        f"{fragment!r} is not allowed in {source!r}; numbers, texts, names, + - * /, comparisons, "
        "and, or, not are"
    )


@lru_cache(maxsize=512)
def _tree(source: str) -> ast.expr:
    return syntax(source, "sum", longest=_LONGEST, deepest=_DEEPEST)


def _evaluated(scope: _Scope, key: str, source: str) -> _Value:
    try:
        return _value(_tree(source), scope, source.strip())
    except BadFact:
        raise
    except ChipwiseError as error:
        # An id that a file gives twice over is told with the place where it stands.
        raise BadFact(scope.claim.place, f"{scope.claim.id}.{key}", str(error)) from None


def _truth(scope: _Scope, key: str, source: str) -> bool | None:
    found = _evaluated(scope, key, source)
    if found is None or isinstance(found, bool):
        return found
    message = f"a comparison was expected, not {source!r}"
    raise BadFact(scope.claim.place, f"{scope.claim.id}.{key}", message)


# -- verdicts ------------------------------------------------------------------------------------


def _verdict(scope: _Scope) -> str:
    claim = scope.claim
    if claim.fixed:
        return claim.fixed
    whole = _truth(scope, "holds", claim.holds)
    if whole is None:
        return "cannot_be_known"
    if whole:
        return "holds"
    if not claim.holds_in_part:
        return "does_not_hold"
    part = _truth(scope, "holds_in_part", claim.holds_in_part)
    if part is None:
        return "cannot_be_known"
    return "holds_in_part" if part else "does_not_hold"


def _rules(claim: Claim, known: Mapping[str, str]) -> dict[str, str]:
    """Rules on which a claim rests beside its sums."""
    if strange := [name for name in claim.rules if name not in known]:
        raise BadFact(claim.place, f"{claim.id}.rules", f"there is no rule {strange[0]!r}")
    return {f"rule.{name}": known[name] for name in claim.rules}


def _judged(scope: _Scope, known: Mapping[str, str]) -> Judged:
    for name, source in scope.claim.computed.items():
        found = _evaluated(scope, f"computed.{name}", source)
        if isinstance(found, str) or (found is not None and not math.isfinite(found)):
            message = f"a number was expected, not {found!r}"
            raise BadFact(scope.claim.place, f"{scope.claim.id}.computed.{name}", message)
        scope.computed[name] = found
    verdict = _verdict(scope)
    sources = {**scope.sources, **_rules(scope.claim, known)}
    return Judged(
        scope.claim,
        verdict,
        {k: float(v) for k, v in scope.computed.items() if isinstance(v, int | float)},
        tuple(f"{key}: {source}" for key, source in sources.items()),
        tuple(scope.missing),
        tuple(scope.unverified),
    )


def judge(
    of: Iterable[Claim],
    *,
    estimate: Callable[[ClaimRun], PlanRow],
    verdict: Callable[[ClaimStatus], Verdict],
) -> tuple[Judged, ...]:
    """Each claim with its verdict.

    Parameters
    ----------
    of : iterable of Claim
        As the catalog or a user's file gives them.
    estimate, verdict : callable
        Run the model, and ask the rules.

    Raises
    ------
    BadFact
        Says which file, claim and key, and what was expected.
    """
    runs: dict[ClaimRun, PlanRow] = {}

    def once(run: ClaimRun) -> PlanRow:
        if run not in runs:
            runs[run] = estimate(run)
        return runs[run]

    known = {rule.id: rule.confidence for rule in catalog.rules()}
    return tuple(_judged(_Scope(claim, once, verdict), known) for claim in of)


def sentence(of: Judged, lang: str) -> str:
    """The sentence to print, with its figures; empty where the claim's file has none.

    ``{ratio:2}`` in it is the sum of that name with two digits after the point, ``{share:1%}`` one
    in per cent.
    """
    template = of.claim.sentence.get(lang, "")

    def figure(hole: re.Match[str]) -> str:
        name, digits, percent = hole[1], int(hole[2] or 2), hole[3]
        if name not in of.computed:
            return "?"
        if percent:
            return f"{100 * of.computed[name]:,.{digits}f} %"
        return f"{of.computed[name]:,.{digits}f}"

    return _HOLE.sub(figure, template)
