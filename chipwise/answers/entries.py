"""JSON of the catalog: an entry in the list of all, and one with every value and its source."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from chipwise.answers.values import money, number
from chipwise.types import Chip, Fact, Model, Price, Rule

__all__ = [
    "chip",
    "chip_entry",
    "model",
    "model_entry",
    "price",
    "price_fields",
    "rule",
    "rule_fields",
    "source",
    "source_fields",
]


def _fact(of: Fact) -> dict[str, Any]:
    """One value with where it stands."""
    return {
        "value": number(of.value),
        "unit": of.unit,
        "source": of.source,
        "on": of.on.isoformat() if of.on else None,
        "verified": of.provenance != "unverified",
        "provenance": of.provenance,
        "low": of.low,
        "high": of.high,
        "note": of.note,
    }


def chip_entry(of: Chip) -> dict[str, Any]:
    """A chip in the list of all; memory as its maker prints it."""
    printed = of.facts.get("memory")
    return {
        "id": of.id,
        "name": of.name,
        "vendor": of.vendor,
        "country": of.country,
        "released": of.released or None,
        "status": of.status,
        "memory_gb": number(printed.value) if printed else None,
        "memory_bytes": of.memory,
        "memory_bandwidth_bytes_per_s": of.memory_bandwidth,
        "bf16_flop_per_s": of.flops.get("bf16", of.flops.get("fp16")),
        "fp8_flop_per_s": of.flops.get("fp8"),
        "power_w": of.power,
    }


def chip(of: Chip) -> dict[str, Any]:
    """A chip with every value, its unit, source and date."""
    return {
        "id": of.id,
        "name": of.name,
        "vendor": of.vendor,
        "fields": {name: _fact(value) for name, value in of.facts.items()},
    }


def model_entry(of: Model, parameters: float) -> dict[str, Any]:
    """A model in the list of all."""
    return {
        **_named_model(of, parameters),
        "layers": of.depth,
        "context": of.context,
    }


def model(of: Model, parameters: float) -> dict[str, Any]:
    """A model with every figure of its architecture, and the parameters that they make."""
    return {
        **_named_model(of, parameters),
        "blocks": [{"kind": b.kind, "count": b.count, **b.dims} for b in of.layers],
        "note": of.note,
        "fields": {name: _fact(value) for name, value in of.facts.items()},
    }


def _named_model(of: Model, parameters: float) -> dict[str, Any]:
    """What a model is told by, alone and in the list."""
    return {
        "id": of.id,
        "family": of.family,
        "weights": of.weights,
        "parameters": parameters,
        "parameters_published": of.published,
    }


def price(of: Price) -> dict[str, Any]:
    """A price with its spread, region, date and source."""
    return {
        "id": f"{of.chip}:{of.kind}:{of.region}:{of.on}",
        "chip": of.chip,
        "kind": of.kind,
        "usd": money(of.usd),
        "region": of.region,
        "on": of.on,
        "source": of.source,
        "verified": of.verified,
        "count": of.count,
    }


def price_fields(of: Price) -> dict[str, Any]:
    """A price as one field, as those of chips are."""
    kept = price(of)
    unit = "USD/chip" if of.kind == "purchase" else "USD/h"
    told = {
        **{k: kept[k] for k in ("source", "on", "verified")},
        "provenance": "source" if of.verified else "unverified",
    }
    usd = {"value": of.usd.mid, "unit": unit, **told, "low": of.usd.low, "high": of.usd.high}
    plain = {k: {"value": kept[k], "unit": "", **told} for k in ("chip", "kind", "region", "count")}
    return {"id": kept["id"], "fields": {"usd": usd, **plain}}


def source(key: str, of: Mapping[str, Any]) -> dict[str, Any]:
    """What a source's key stands for."""
    return {"id": key, **{k: _day(v) for k, v in of.items()}}


def source_fields(key: str, of: Mapping[str, Any]) -> dict[str, Any]:
    """A source, value by value."""
    on = _day(of.get("retrieved"))
    plain = {"unit": "", "source": key, "on": on, "verified": True, "provenance": "source"}
    return {"id": key, "fields": {k: {"value": _day(v), **plain} for k, v in of.items()}}


def _day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def rule(of: Rule) -> dict[str, Any]:
    """A rule as data."""
    return {
        "id": of.id,
        "title": dict(of.title),
        "kind": of.kind,
        "counted": of.counted,
        "jurisdiction": of.jurisdiction,
        "citation": of.citation,
        "start": of.start.isoformat(),
        "end": of.end.isoformat() if of.end else None,
        "destinations": list(of.destinations),
        "routes": list(of.routes),
        "condition": of.condition,
        "outcome": of.outcome,
        "effect": of.effect,
        "confidence": of.confidence,
        "needs": list(of.needs),
        "review_by": of.review_by.isoformat() if of.review_by else None,
    }


def rule_fields(of: Rule) -> dict[str, Any]:
    """A rule, value by value, each by the rule's own citation."""
    plain = {
        "unit": "",
        "source": of.citation,
        "on": of.start.isoformat(),
        "verified": of.confidence == "source",
        "provenance": "source" if of.confidence == "source" else "reported",
    }
    values = {**rule(of), "caught": list(of.caught), "spared": list(of.spared)}
    titles = values.pop("title")
    values |= {f"title_{lang}": text for lang, text in titles.items()}
    del values["id"]
    return {"id": of.id, "fields": {k: {"value": v, **plain} for k, v in values.items()}}
