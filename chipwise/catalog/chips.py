"""A chip's TOML file → Chip, in base units; every check that such a file can fail."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.catalog.files import DATA, read_csv, read_toml, where
from chipwise.errors import BadFact, UnitError
from chipwise.types import Chip, Fact, Link
from chipwise.units import to_base

__all__ = ["FORMATS", "Attribute", "read_chip", "schema", "to_chip"]

FORMATS = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "nvfp4", "int4")

# What the driver reports is this share of the printed size in GiB, give or take the spread: the
# rest is held back for ECC and firmware.
_DRIVER_SHARE, _DRIVER_SPREAD = 0.965, 0.035

_PROVENANCE = ("source", "reported", "derived", "unverified")
_TEXT = ("id", "name", "vendor", "country", "architecture", "status", "note")
_REQUIRED = ("id", "name", "vendor", "country")


@dataclass(frozen=True, slots=True)
class Attribute:
    """A row of schema.csv: what an attribute is, and the unit in which it is measured."""

    name: str
    type: str
    unit: str
    required: bool
    description_en: str
    description_zh: str


@lru_cache(maxsize=1)
def schema() -> Mapping[str, Attribute]:
    """The only list of a chip's attributes."""
    columns = ("attribute", "type", "unit", "required", "description_en", "description_zh")
    return {
        row["attribute"]: Attribute(
            row["attribute"],
            row["type"],
            row["unit"],
            row["required"] == "yes",
            row["description_en"],
            row["description_zh"],
        )
        for row in read_csv(DATA / "schema.csv", columns)
    }


def _flat(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Attributes by dotted name: ``[flops.bf16]`` is ``flops.bf16``."""
    for name, value in content.items():
        if isinstance(value, dict) and name == "flops":
            yield from ((f"flops.{form}", fact) for form, fact in value.items())
        else:
            yield name, value


def _number(path: Path, name: str, what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadFact(where(path, name), name, f"{what} must be a number, not {value!r}")
    if not math.isfinite(value) or value <= 0:
        raise BadFact(where(path, name), name, f"{what} must be above zero, not {value}")
    return float(value)


def _fact(path: Path, attribute: Attribute, raw: object) -> Fact:
    name = attribute.name

    def bad(message: str) -> BadFact:
        return BadFact(where(path, name), name, message)

    if not isinstance(raw, dict) or "value" not in raw:
        raise bad(f"a table with value, unit, source and on was expected, not {raw!r}")
    strange = sorted(set(raw) - {"value", "unit", "source", "provenance", "on", "low", "high", "note"})
    if strange:
        raise bad(f"unknown key {strange[0]!r}; known are value, unit, source, provenance, on, low, high, note")
    value, unit = raw["value"], raw.get("unit", "")
    low = high = None
    if attribute.type == "number":
        if "unit" not in raw:
            raise bad(f"the unit is missing, for example {attribute.unit!r}")
        try:
            to_base(1.0, unit)
            if to_base(1.0, unit) and not _same_kind(unit, attribute.unit):
                raise UnitError(f"{unit!r} does not measure it; {attribute.unit!r} would")
        except UnitError as error:
            raise bad(str(error)) from None
        value = _number(path, name, "value", value)
        low, high = (_number(path, name, k, raw[k]) if k in raw else None for k in ("low", "high"))
        if (low is not None and low > value) or (high is not None and high < value):
            raise bad(f"low ≤ value ≤ high was expected, not {low}, {value}, {high}")
    elif attribute.type == "any" and not isinstance(value, str):
        value = _number(path, name, "value", value)
    elif attribute.type == "bool" and not isinstance(value, bool):
        raise bad(f"value must be true or false, not {value!r}")
    elif attribute.type == "text" and not isinstance(value, str):
        raise bad(f"value must be text in quotes, not {value!r}")
    if not raw.get("source"):
        raise bad("the source is missing: a key of sources.toml, or where the figure was read")
    provenance = raw.get("provenance", "source")
    if provenance not in _PROVENANCE:
        raise bad(f"provenance must be one of {', '.join(_PROVENANCE)}, not {provenance!r}")
    on = raw.get("on")
    if on is not None and not isinstance(on, date):
        raise bad(f"on must be a date such as 2026-11-23 without quotes, not {on!r}")
    return Fact(value, unit, raw["source"], provenance, on, low, high, raw.get("note", ""))


def _same_kind(unit: str, other: str) -> bool:
    from chipwise.units import units

    return units()[unit] == units()[other]


def _facts(path: Path, content: Mapping[str, Any]) -> dict[str, Fact]:
    known = schema()
    facts = {}
    for name, raw in _flat(content):
        if name in _TEXT or name == "aliases":
            continue
        if name not in known:
            near = [a for a in known if a.partition(".")[0] == name.partition(".")[0]]
            hint = ", ".join(near or known)
            raise BadFact(where(path, name), name, f"unknown attribute; known are {hint}")
        facts[name] = _fact(path, known[name], raw)
    return facts


def _texts(path: Path, content: Mapping[str, Any]) -> dict[str, str]:
    for name in _REQUIRED:
        if name not in content:
            raise BadFact(str(path), name, "is missing")
    texts = {name: content.get(name, "") for name in _TEXT}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise BadFact(where(path, name), name, f"text in quotes was expected, not {text!r}")
    return texts


def _base(facts: Mapping[str, Fact], name: str, unit: str | None = None) -> float | None:
    """Value of a numeric fact in base units, None where it is unknown."""
    fact = facts.get(name)
    if fact is None or fact.value is None or isinstance(fact.value, (str, bool)):
        return None
    return to_base(fact.value, unit or fact.unit)


def _text(facts: Mapping[str, Fact], name: str) -> str:
    fact = facts.get(name)
    return "" if fact is None else str(fact.value)


def _memory(facts: Mapping[str, Fact]) -> tuple[float | None, float, str]:
    """Bytes that the driver reports, their relative spread, and the fact they rest on."""
    usable = _base(facts, "usable_memory")
    if usable is not None:
        return usable, 0.0, "usable_memory"
    # Makers print GB where they mean GiB of memory.
    printed = _base(facts, "memory", "GiB")
    if printed is None:
        return None, 0.0, "memory"
    return _DRIVER_SHARE * printed, _DRIVER_SPREAD, "memory"


def _scaleup(facts: Mapping[str, Fact]) -> Link | None:
    both, domain = _base(facts, "scaleup_bandwidth"), _base(facts, "scaleup_domain")
    name = _text(facts, "scaleup_link")
    if both is None or domain is None or not name or domain < 2:
        return None
    return Link(name, int(domain), both / 2)


def _host(facts: Mapping[str, Fact]) -> Link | None:
    both, generation = _base(facts, "pcie_bandwidth"), _text(facts, "pcie_generation")
    return Link(f"PCIe gen {generation}", 1, both / 2) if both and generation else None


def _unverified(facts: Mapping[str, Fact], fields: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Fields of a Chip that rest on a fact without a source."""
    return frozenset(
        field
        for field, names in fields.items()
        if any(facts[n].provenance == "unverified" for n in names if n in facts)
    )


def to_chip(path: Path, content: Mapping[str, Any]) -> Chip:
    """A chip from the content of its file.

    Parameters
    ----------
    path : Path
        The file, for complaints.
    content : mapping
        What it holds.

    Raises
    ------
    BadFact
        Says which file, line and attribute, and what was expected.
    """
    texts, facts = _texts(path, content), _facts(path, content)
    rates = {form: _base(facts, f"flops.{form}") for form in FORMATS}
    flops = {form: rate for form, rate in rates.items() if rate is not None}
    memory, spread, ground = _memory(facts)
    scaleup, host = _scaleup(facts), _host(facts)
    rests = {f"flops.{form}": (f"flops.{form}",) for form in flops}
    rests |= {name: (name,) for name in ("memory_bandwidth", "power", "die_area")}
    rests["memory"] = (ground,)
    if scaleup:
        rests["scaleup"] = ("scaleup_link", "scaleup_bandwidth", "scaleup_domain")
    if host:
        rests["host"] = ("pcie_generation", "pcie_bandwidth")
    sold = facts.get("sold_in_us")
    if texts["note"]:
        facts["note"] = Fact(texts["note"], "", "derived", "derived")
    return Chip(
        id=texts["id"],
        name=texts["name"],
        vendor=texts["vendor"],
        country=texts["country"],
        architecture=texts["architecture"],
        released=_text(facts, "released"),
        status=texts["status"] or "reported",
        market=_text(facts, "market"),
        flops=flops,
        memory=memory,
        memory_spread=spread,
        memory_bandwidth=_base(facts, "memory_bandwidth"),
        scaleup=scaleup,
        host=host,
        power=_base(facts, "power"),
        die_area=_base(facts, "die_area"),
        sold_in_us=bool(sold.value) if sold else None,
        facts=facts,
        unverified=_unverified(facts, rests),
    )


@lru_cache(maxsize=256)
def read_chip(path: Path) -> Chip:
    """The chip of a TOML file."""
    return to_chip(path, read_toml(path))
