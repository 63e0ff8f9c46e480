"""The schema is made from the one list of keys, and the example keeps it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from chipwise import fleet
from chipwise.fleet.fields import FIELDS, LISTS, NAMED

ROOT = Path(__file__).parents[2]


def test_the_stored_schema_is_fresh() -> None:
    stored = json.loads((ROOT / "docs" / "fleet.schema.json").read_text("utf-8"))
    assert stored == fleet.schema()


def test_every_section_is_in_the_schema() -> None:
    parts = fleet.schema()["properties"]
    for section, fields in FIELDS.items():
        if not section:
            continue
        found = parts[section]
        if section in NAMED:
            found = found["additionalProperties"]
        elif section in LISTS:
            found = found["items"]
        assert set(found["properties"]) == set(fields)


def test_the_document_names_every_key() -> None:
    text = (ROOT / "docs" / "fleet.md").read_text("utf-8")
    for section, fields in FIELDS.items():
        missing = [name for name in fields if f"`{name}`" not in text]
        assert not missing, f"docs/fleet.md lacks {missing} of {section or 'the top'}"


def test_the_example_is_read() -> None:
    content = tomllib.loads((ROOT / "examples" / "fleet.toml").read_text("utf-8"))
    made = fleet.read(content, "examples/fleet.toml")
    assert (made.periods[0], made.periods[-1]) == ("2026-Q1", "2030-Q4")
    assert len(made.sites) == 3
    assert {s.to for s in made.sites} == {"CN", "HK"}
    assert {c.chip.vendor for c in made.choices} >= {
        "NVIDIA",
        "Huawei",
        "Cambricon",
        "Hygon",
        "AMD",
    }
