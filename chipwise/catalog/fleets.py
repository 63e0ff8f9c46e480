"""A fleet's TOML file → its content, as yet unchecked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chipwise.catalog.files import DATA, read_toml

__all__ = ["EXAMPLE", "read_fleet"]

# The one that comes along, told of in docs/fleet.md.
EXAMPLE = DATA / "fleets" / "example.toml"


def read_fleet(path: Path) -> Mapping[str, Any]:
    """Content of a fleet's file; a fault in its grammar names line and column."""
    return read_toml(path)
