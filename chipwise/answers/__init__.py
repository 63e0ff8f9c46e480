"""Results → plain dictionaries: the JSON that others rely on.

Keys carry their units; a quantity with an interval is ``{"value", "low", "high"}``, in base
units; for money, value is the mid price. `docs/schema.json` describes every key, and a test
checks the output against it.
"""

from chipwise.answers.entries import (
    chip,
    chip_entry,
    model,
    model_entry,
    price,
    price_fields,
    rule,
    rule_fields,
    source,
    source_fields,
)
from chipwise.answers.fleets import fleet
from chipwise.answers.law import claim, frontier, placed, region, timeline, verdict, verdict_entry
from chipwise.answers.serving import (
    beside,
    estimate,
    loads,
    plan,
    roofline,
    simulation,
)
from chipwise.answers.training import train, train_each, train_mixed
from chipwise.answers.values import SCHEMA_VERSION, envelope

__all__ = [
    "SCHEMA_VERSION",
    "beside",
    "chip",
    "chip_entry",
    "claim",
    "envelope",
    "estimate",
    "fleet",
    "frontier",
    "loads",
    "model",
    "model_entry",
    "placed",
    "plan",
    "price",
    "price_fields",
    "region",
    "roofline",
    "rule",
    "rule_fields",
    "simulation",
    "source",
    "source_fields",
    "timeline",
    "train",
    "train_each",
    "train_mixed",
    "verdict",
    "verdict_entry",
]
