"""Every key that a fleet's TOML file may have: kind, bounds, default, meaning.

The one list: the reader checks against it, and docs/fleet.schema.json is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FIELDS", "LISTS", "NAMED", "Field", "schema"]


@dataclass(frozen=True, slots=True)
class Field:
    """A key: its kind, whether it must be there, the bounds of its numbers, what it means.

    Kinds: ``text``, ``texts``, ``flag``, ``whole``, ``number``, ``series`` (a number; one for each
    period; ``{start, yearly}``; or a table of period → number that holds from then on),
    ``period``, ``numbers`` (name → number), ``steps`` (a list of {share, usd_per_million_tokens}),
    ``statuses`` (a status, or period → status), ``like`` ({chip, factor}), ``cut_off``.
    """

    kind: str
    text: str
    required: bool = False
    least: float = 0.0
    most: float = 1e18


def _number(text: str, *, required: bool = False, least: float = 0.0, most: float = 1e18) -> Field:
    return Field("number", text, required, least, most)


def _series(text: str, *, required: bool = False, least: float = 0.0, most: float = 1e18) -> Field:
    return Field("series", text, required, least, most)


# A section by its name; "" is the top of the file.
FIELDS: Mapping[str, Mapping[str, Field]] = {
    "": {"title": Field("text", "What the plan is called.")},
    "horizon": {
        "first": Field("period", "First quarter, for example 2026-Q1.", required=True),
        "last": Field("period", "Last quarter.", required=True),
        "interest": _number("Cost of capital, a year; the catalog's by default.", most=1),
    },
    "plan": {
        "gap": _number("Gap at which to stop, as a share of the cost.", least=1e-9, most=0.5),
        "robust": _number(
            "Probability with which chips are at least as fast as reckoned; 0.5 is the estimate.",
            least=0.01,
            most=0.99,
        ),
        "law": Field("texts", "Statuses at which a chip is bought or rented."),
        "sources": Field("texts", "Where figures of this file come from."),
    },
    "sites": {
        "name": Field("text", "Name shown."),
        "name_zh": Field("text", "Name shown in Chinese."),
        "to": Field("text", "Where the law says it lies: a country's code.", required=True),
        "power_kw": _series("Power of the building, cooling included.", required=True),
        "pue": _number("Power of the building over that of its computers.", required=True, least=1),
        "usd_per_kwh": _series("Price of electricity.", required=True),
        "gco2_per_kwh": _series("Carbon of electricity; unknown if absent."),
        "usd_per_kw_month": _series("Hosting, without electricity."),
        "curtailed": _series("Share of the hours without power.", most=0.99),
    },
    "chips": {
        "chip": Field("text", "Chip of the catalog, or a TOML file; the key by default."),
        "software": Field("text", "Software stack that serves on it.", required=True),
        "fab": Field("text", "Who makes its dies."),
        "memory": Field("text", "Who makes its memory."),
        "usd": _series("Price with its share of server and network; the catalog's by default."),
        "fee": _series("Duties and shares on top of the price.", most=10),
        "supply": _series("Chips that can be ordered in a quarter; without limit by default."),
        "server": Field("whole", "Chips that are bought together.", least=1, most=1e6),
        "kw": _number("Power of a chip with its share of all around it.", least=1e-3, most=100),
        "idle": _number("Share of that drawn when idle.", most=1),
        "lead_quarters": Field("whole", "Quarters from order to service.", most=40),
        "life_years": _number("Years after which it is retired.", least=0.25, most=40),
        "residual": _number("Share of the price left at the end of that life.", least=1e-6, most=1),
        "upkeep": _number("Share of the price that upkeep costs a year.", most=1),
        "failure": _number("Share that fails and is replaced, a year.", most=0.9),
        "from": Field("period", "First quarter in which it can be ordered."),
        "until": Field("period", "Last quarter in which it can be ordered."),
        "throughput": Field("numbers", "Stated tokens/s of a chip by class; beats the estimate."),
        "like": Field("like", "Take throughput from another chip of this file, times a factor."),
        "licence": Field("statuses", "Status by period; beats the rules."),
        "only": Field("texts", "Scenarios in which it exists at all."),
        "source": Field("text", "Where its figures come from."),
    },
    "rent": {
        "chip": Field("text", "Key of a chip of this file.", required=True),
        "to": Field("text", "Where it stands: a country's code.", required=True),
        "route": Field("text", "Route of the law: rent-abroad or rent-in-country.", required=True),
        "usd_per_hour": _series("Price of a chip and hour; the catalog's on-demand by default."),
        "chips": _series("Chips that can be had.", required=True),
        "licence": Field("statuses", "Status by period; beats the rules."),
        "source": Field("text", "Where its figures come from."),
    },
    "demand": {
        "model": Field("text", "Model of the catalog, or a config.json.", required=True),
        "kind": Field("text", "serve or train."),
        "isl": Field("whole", "Tokens of a prompt.", least=1, most=1e7),
        "osl": Field("whole", "Tokens that are generated.", least=1, most=1e7),
        "ttft_s": _number("Limit on time to first token.", least=1e-6),
        "tpot_s": _number("Limit on time per output token.", least=1e-6),
        "percentile": _number("Percentile that keeps the limits.", least=1, most=99.99),
        "seq": Field("whole", "Tokens of a training sequence; 4096 by default.", least=1, most=1e7),
        "batch": Field("whole", "Sequences of a training step; 256 by default.", least=1, most=1e7),
        "job": Field("whole", "Chips of one training job; 64 by default.", least=1, most=1e6),
        "mfu": _number(
            "Stated model flops utilisation of training; beats the estimate.", least=1e-3, most=1
        ),
        "tokens_per_s": _series("Mean output (or training) tokens a second.", required=True),
        "peak": _number("Peak over mean, which capacity must meet.", least=1, most=100),
        "unserved": Field("steps", "Steps in which demand may stay unserved, with their price."),
        "sites": Field("texts", "Sites that may serve it; all by default."),
        "rent": Field("texts", "Offers that may serve it; all by default."),
        "chips": Field("texts", "Chips that may serve it; all by default."),
        "country": Field("text", "Only chips designed in this country may serve it."),
        "served": Field("numbers", "Share that each software serves before the plan."),
    },
    "software": {
        "usd_per_token_s": _number("What bringing a token/s of demand to it costs."),
        "ramp": _number("Share of a class that may come to it in a quarter.", most=1),
    },
    "installed": {
        "chip": Field("text", "Key of a chip of this file.", required=True),
        "site": Field("text", "Key of a site.", required=True),
        "count": _number("Chips.", required=True),
        "since": Field("period", "Quarter in which they came.", required=True),
        "usd": _number("Price paid for a chip; today's by default."),
    },
    "budget": {
        "usd": _series("Money for buying, by quarter.", required=True),
        "carry": Field("flag", "Whether what is not spent is carried over."),
    },
    "cap": {
        "name": Field("text", "What the cap is called."),
        "of": Field("text", "vendor, country, fab, memory, software or chip.", required=True),
        "value": Field("text", "Which of them.", required=True),
        "share": _series("Share of served tokens.", required=True, most=1),
    },
    "quota": {
        "name": Field("text", "What the quota is called.", required=True),
        "chips": Field("texts", "Keys of chips.", required=True),
        "sites": Field("texts", "Keys of sites; all by default."),
        "from": Field("period", "First quarter."),
        "until": Field("period", "Last quarter."),
        "count": _number("Chips that may be bought in that time.", required=True),
        "source": Field("text", "Where it comes from."),
    },
    "scenario": {
        "id": Field("text", "Name of the scenario.", required=True),
        "probability": _number("Of it.", required=True, least=1e-9, most=1),
        "from": Field("period", "Quarter in which it parts from the others.", required=True),
        "demand": Field("numbers", "Factor on demand by class."),
        "usd": Field("numbers", "Factor on price by chip."),
        "supply": Field("numbers", "Factor on supply by chip."),
        "cut_off": Field("cut_off", "What is cut off: one attribute and its value."),
    },
    "risk": {
        "weight": _number("Weight of the mean of the worst outcomes.", most=1),
        "level": _number("Share of outcomes that are better.", most=0.999),
    },
}
NAMED = ("sites", "chips", "rent", "demand", "software")
LISTS = ("installed", "cap", "quota", "scenario")
_PERIOD = {"type": "string", "pattern": "^[0-9]{4}-Q[1-4]$"}
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string", "minLength": 1},
    "texts": {"type": "array", "items": {"type": "string"}},
    "flag": {"type": "boolean"},
    "period": _PERIOD,
    "numbers": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
    "like": {
        "type": "object",
        "required": ["chip", "factor"],
        "additionalProperties": False,
        "properties": {
            "chip": {"type": "string"},
            "factor": {"type": "number", "exclusiveMinimum": 0},
        },
    },
    "statuses": {"type": ["string", "object"], "additionalProperties": {"type": "string"}},
    "steps": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["share", "usd_per_million_tokens"],
            "additionalProperties": False,
            "properties": {
                "share": {"type": "number", "minimum": 0, "maximum": 1},
                "usd_per_million_tokens": {"type": "number", "minimum": 0},
            },
        },
    },
    "cut_off": {"type": "object", "additionalProperties": {"type": "string"}},
}


def _told(field: Field) -> dict[str, Any]:
    """A key in terms of JSON Schema."""
    bounds = {"minimum": field.least, "maximum": field.most}
    match field.kind:
        case "number":
            made: dict[str, Any] = {"type": "number", **bounds}
        case "whole":
            made = {"type": "integer", **bounds}
        case "series":
            number = {"type": "number", **bounds}
            growth = {
                "type": "object",
                "required": ["start", "yearly"],
                "additionalProperties": False,
                "properties": {"start": number, "yearly": {"type": "number", "minimum": 0}},
            }
            steps = {
                "type": "object",
                "patternProperties": {_PERIOD["pattern"]: number},
                "additionalProperties": False,
            }
            made = {"anyOf": [number, {"type": "array", "items": number}, growth, steps]}
        case kind:
            made = dict(_KINDS[kind])
    return {"description": field.text, **made}


def _object(section: str) -> dict[str, Any]:
    fields = FIELDS[section]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, field in fields.items() if field.required],
        "properties": {name: _told(field) for name, field in fields.items()},
    }


def schema() -> dict[str, Any]:
    """The file's JSON Schema."""
    parts: dict[str, Any] = {name: _told(field) for name, field in FIELDS[""].items()}
    for section in FIELDS:
        if section in NAMED:
            parts[section] = {"type": "object", "additionalProperties": _object(section)}
        elif section in LISTS:
            parts[section] = {"type": "array", "items": _object(section)}
        elif section:
            parts[section] = _object(section)
    parts["spares"] = {
        "description": "Chips in store by chip, put in service when their vendor is cut off.",
        **_KINDS["numbers"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A fleet for chipwise fleet",
        "type": "object",
        "additionalProperties": False,
        "required": ["horizon", "sites", "chips", "demand"],
        "properties": parts,
    }
