"""What every item of the catalog and every plug-in must hold; each check takes one of them.

A check raises AssertionError and says what does not hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from chipwise import policy
from chipwise.catalog import as_of
from chipwise.perf.blocks import parameters
from chipwise.policy.metrics import BITS
from chipwise.types import Block, Chip, Fact, Model, Rule
from chipwise.units import from_base

__all__ = ["check_chip", "check_model", "check_rule"]

_SLUG = re.compile(r"[a-z0-9.]+(-[a-z0-9.]+)*")
_STATUS = ("public", "reported", "announced")
_MARKETS = ("datacenter", "workstation", "consumer", "")
_PROVENANCE = ("source", "reported", "derived", "unverified")
_WEIGHTS = ("bf16", "fp16", "fp8", "int8", "nvfp4", "mxfp4", "int4")

# Flops in 16 bits for each byte of memory that chips of all generations have had: a ratio an order
# of magnitude off is a slip of unit. What a chip computes in 8 bits stands for half of that in 16.
_HALF = {"bf16": 1.0, "fp16": 1.0, "fp8": 0.5}
_FLOP_PER_BYTE = (30.0, 1000.0)
# Rounding of printed rates and of printed TPP.
_TPP_TOLERANCE = 0.01
_COUNT_TOLERANCE = 0.01


def _check_fact(name: str, fact: Fact, sources: Mapping[str, Any], on: date) -> None:
    assert fact.source, f"{name} has no source"
    assert fact.source in sources, f"{name}: source {fact.source!r} is not in sources.toml"
    assert fact.provenance in _PROVENANCE, f"{name}: unknown provenance {fact.provenance!r}"
    assert (fact.provenance == "unverified") >= (fact.source == "unverified"), (
        f"{name} has no source and is not said to be unverified"
    )
    assert fact.on is not None, f"{name} has no date"
    assert fact.on <= on, f"{name} is dated {fact.on}, after the catalog's {on}"
    if isinstance(fact.value, float):
        assert fact.unit, f"{name} has no unit"
        low = fact.value if fact.low is None else fact.low
        high = fact.value if fact.high is None else fact.high
        assert low <= fact.value <= high, f"{name} lies outside {low} to {high}"


def _check_rates(chip: Chip) -> None:
    for form, rate in chip.flops.items():
        assert form in BITS, f"unknown format {form}"
        assert math.isfinite(rate), f"rate in {form} is {rate}"
        assert rate > 0, f"rate in {form} is {rate}"
    half = next((share * chip.flops[f] for f, share in _HALF.items() if f in chip.flops), None)
    if half is not None and chip.memory_bandwidth is not None:
        ratio = half / chip.memory_bandwidth
        low, high = _FLOP_PER_BYTE
        assert low <= ratio <= high, f"{ratio:.0f} flops for a byte are not within {low} to {high}"
    for narrow, wide in (("fp8", "bf16"), ("nvfp4", "fp8"), ("fp16", "fp32")):
        if narrow in chip.flops and wide in chip.flops:
            slower = chip.flops[narrow] < chip.flops[wide]
            assert not slower, f"{narrow} is slower than {wide}"


def _check_tpp(chip: Chip) -> None:
    """The TPP that somebody prints lies within what the rates and their other editions give."""
    quoted = chip.facts.get("quoted_tpp")
    if quoted is None or not isinstance(quoted.value, float):
        return
    ends = []
    for end in ("low", "high"):
        rates = []
        for form in chip.flops:
            fact = chip.facts[f"flops.{form}"]
            other = getattr(fact, end)
            scale = 1.0 if other is None else other / float(fact.value or 1.0)
            rates.append(from_base(chip.flops[form], "TFLOPS") * scale * BITS[form])
        ends.append(max(rates))
    low, high = ends[0] * (1 - _TPP_TOLERANCE), ends[1] * (1 + _TPP_TOLERANCE)
    assert low <= quoted.value <= high, f"TPP is quoted as {quoted.value:.0f}, not {low:.0f}"


def _check_size(chip: Chip) -> None:
    if chip.memory is None:
        return
    assert 0 <= chip.memory_spread < 1, f"spread of memory is {chip.memory_spread}"
    printed = chip.facts["memory"].value
    if isinstance(printed, float):
        share = from_base(chip.memory, "GiB") / printed
        assert 0.9 <= share <= 1.03, f"the driver reports {share:.2f} of the printed memory"


def check_chip(chip: Chip, sources: Mapping[str, Any], on: date | None = None) -> None:
    """A chip of the catalog: sourced, dated, consistent with itself.

    Parameters
    ----------
    chip : Chip
        The chip.
    sources : mapping
        Source keys that are known.
    on : date, optional
        No fact may be younger; the catalog's own day unless given.
    """
    assert _SLUG.fullmatch(chip.id), f"{chip.id!r} is no id: small letters, digits and hyphens"
    assert chip.name, "it has no name"
    assert chip.vendor, "it has no vendor"
    assert re.fullmatch(r"[A-Z]{2}", chip.country), f"{chip.country!r} is no country code"
    assert chip.status in _STATUS, f"unknown status {chip.status!r}"
    assert chip.market in _MARKETS, f"unknown market {chip.market!r}"
    for name, fact in chip.facts.items():
        if name != "note":
            _check_fact(name, fact, sources, on or as_of())
    _check_rates(chip)
    _check_size(chip)
    _check_tpp(chip)
    for link in (chip.scaleup, chip.host):
        assert link is None or link.bandwidth > 0, "a link has no bandwidth"
    assert chip.scaleup is None or chip.scaleup.chips > 1, "a scale-up domain of one chip"
    unverified = {n for n, fact in chip.facts.items() if fact.provenance == "unverified"}
    assert unverified or not chip.unverified, "a field is unverified, but no fact is"


def _check_block(part: Block, hidden: int) -> None:
    dims = part.dims
    assert part.count > 0, f"{part.kind} occurs {part.count} times"
    for name, value in dims.items():
        assert math.isfinite(value), f"{part.kind}: {name} is {value}"
        assert value >= 0, f"{part.kind}: {name} is {value}"
    if part.kind == "gqa":
        assert dims["heads"] % dims["kv_heads"] == 0, "kv_heads does not divide heads"
    if part.kind == "moe":
        assert 1 <= dims["topk"] <= dims["experts"], "topk is not within experts"
        assert dims["latent"] <= hidden, "experts work at more than the hidden width"


def check_model(model: Model, sources: Mapping[str, Any], on: date | None = None) -> None:
    """A model of the catalog: sourced, consistent, its size within 1 % of the published one.

    Parameters
    ----------
    model : Model
        The model.
    sources : mapping
        Source keys that are known.
    on : date, optional
        No fact may be younger; the catalog's own day unless given.
    """
    assert _SLUG.fullmatch(model.family), f"{model.family!r} is no family: small letters, hyphens"
    assert model.weights in _WEIGHTS, f"unknown weight format {model.weights!r}"
    assert model.layers, "it has no layers"
    for name, fact in model.facts.items():
        _check_fact(name, fact, sources, on or as_of())
    for part in model.layers:
        _check_block(part, model.hidden)
    mixers = sum(part.count for part in model.layers if part.kind not in ("mlp", "moe"))
    assert mixers <= model.depth, f"{mixers} attention blocks in {model.depth} layers"
    assert model.context is None or model.context > 0, f"context is {model.context}"
    if model.published is not None:
        found = parameters(model)
        off = abs(found / model.published - 1)
        assert off <= _COUNT_TOLERANCE, f"{found:.4g} parameters, published {model.published:.4g}"


def _check_item_condition(rule: Rule, chips: Mapping[str, Chip]) -> None:
    """Chips are caught and spared as the rule's file says, some of either."""
    named = policy.parse(rule.condition)
    for each in {*rule.caught, *rule.spared, *named.chips}:
        assert each in chips, f"there is no chip {each!r}"
    for each in rule.caught:
        assert policy.trace(rule, chips[each]).fires is True, f"{each} is not caught"
    for each in rule.spared:
        assert policy.trace(rule, chips[each]).fires is False, f"{each} is not spared"
    if not named.names:
        assert not rule.caught + rule.spared, "it has no item condition, so it tells no chips apart"
        return
    assert rule.spared, "no chip is named that it does not catch"
    assert rule.caught or rule.extra.get("uncaught_because"), "no chip is named that it catches"


def check_rule(rule: Rule, chips: Mapping[str, Chip], on: date | None = None) -> None:
    """A rule of the catalog: cited, dated, its condition in the language, with chips on both sides.

    Parameters
    ----------
    rule : Rule
        The rule.
    chips : mapping
        Chips of the catalog by id.
    on : date, optional
        It must not be overdue for review on this day; the catalog's own unless given.
    """
    day = on or as_of()
    assert _SLUG.fullmatch(rule.id.lower()), f"{rule.id!r} is no id: letters, digits and hyphens"
    assert rule.citation, "it has no citation"
    assert rule.start <= day, f"it begins on {rule.start}, after {day}"
    assert not policy.overdue([rule], day), f"it was to be looked at again by {rule.review_by}"
    assert rule.destinations, "it has no destination"
    assert rule.routes, "it has no route"
    policy.checked([rule])
    _check_item_condition(rule, chips)
    for reading in rule.readings:
        assert set(reading.chips) <= set(chips), f"a reading names an unknown chip: {reading.chips}"
