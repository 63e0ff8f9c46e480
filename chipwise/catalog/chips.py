"""A chip's TOML file → Chip, in base units; every check that such a file can fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.catalog.facts import in_base, read_fact
from chipwise.catalog.files import DATA, read_csv, read_toml, where
from chipwise.errors import BadFact
from chipwise.types import Chip, Fact, Link

__all__ = ["FORMATS", "Attribute", "read_chip", "schema", "to_chip"]

FORMATS = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "nvfp4", "int4")

# What the driver reports is this share of the printed size in GiB, give or take the spread: the
# rest is held back for ECC and firmware.
_DRIVER_SHARE, _DRIVER_SPREAD = 0.965, 0.035

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
        facts[name] = read_fact(path, name, known[name].type, known[name].unit, raw)
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


def _text(facts: Mapping[str, Fact], name: str) -> str:
    fact = facts.get(name)
    return "" if fact is None else str(fact.value)


def _memory(facts: Mapping[str, Fact]) -> tuple[float | None, float, str]:
    """Bytes that the driver reports, their relative spread, and the fact they rest on."""
    usable = in_base(facts.get("usable_memory"))
    if usable is not None:
        return usable, 0.0, "usable_memory"
    # Makers print GB where they mean GiB of memory.
    printed = in_base(facts.get("memory"), "GiB")
    if printed is None:
        return None, 0.0, "memory"
    return _DRIVER_SHARE * printed, _DRIVER_SPREAD, "memory"


def _scaleup(facts: Mapping[str, Fact]) -> Link | None:
    both, domain = in_base(facts.get("scaleup_bandwidth")), in_base(facts.get("scaleup_domain"))
    name = _text(facts, "scaleup_link")
    if both is None or domain is None or not name or domain < 2:
        return None
    return Link(name, int(domain), both / 2)


def _host(facts: Mapping[str, Fact]) -> Link | None:
    both, generation = in_base(facts.get("pcie_bandwidth")), _text(facts, "pcie_generation")
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
    rates = {form: in_base(facts.get(f"flops.{form}")) for form in FORMATS}
    flops = {form: rate for form, rate in rates.items() if rate is not None}
    memory, spread, ground = _memory(facts)
    scaleup, host = _scaleup(facts), _host(facts)
    rests: dict[str, tuple[str, ...]] = {f"flops.{form}": (f"flops.{form}",) for form in flops}
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
        memory_bandwidth=in_base(facts.get("memory_bandwidth")),
        scaleup=scaleup,
        host=host,
        power=in_base(facts.get("power")),
        die_area=in_base(facts.get("die_area")),
        sold_in_us=bool(sold.value) if sold else None,
        facts=facts,
        unverified=_unverified(facts, rests),
    )


def read_chip(path: Path) -> Chip:
    """The chip of a TOML file, read anew."""
    return to_chip(path, read_toml(path))
