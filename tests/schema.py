"""docs/schema.json, read once: what every answer is held against."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "schema.json").read_text("utf-8"))


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"})


def check(name: str, found: Any) -> None:
    """An answer is as its definition says; `tests/test_answers.py` checks the schema itself."""
    _validator(name).validate(found)
