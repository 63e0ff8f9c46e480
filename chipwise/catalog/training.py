"""What the catalog knows of training: measured runs, usual networks, fitted factors (apart)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from chipwise.catalog.files import DATA, read_csv, read_json, read_toml
from chipwise.errors import BadFact
from chipwise.types import Calibration, Chip, Efficiency, Engine
from chipwise.units import to_base

__all__ = [
    "network",
    "training_calibration",
    "training_measurements",
]

TRAINING_COLUMNS = ("family", "model", "task", "chip", "n_chips", "source")


@lru_cache(maxsize=1)
def _networks() -> Mapping[str, Mapping[str, Any]]:
    return {
        entry["scope"]: entry["bandwidth"] for entry in read_toml(DATA / "networks.toml")["network"]
    }


def network(chip: Chip) -> float:
    """Rate of a chip beyond its scale-up domain, per direction, in its usual cluster. [byte/s]

    Examples
    --------
    >>> from chipwise import catalog
    >>> network(catalog.chip("h100"))
    50000000000.0
    """
    table = _networks()
    found = table.get(chip.id) or table.get(chip.architecture) or table["default"]
    return to_base(found["value"], found["unit"], "B/s")


@lru_cache(maxsize=4)
def training_calibration() -> Calibration:
    """Factors fitted on measured training runs; they are in a file of their own.

    Raises
    ------
    BadFact
        If a part is missing or has another form.
    """
    path = DATA / "training.json"
    content = read_json(path)
    try:
        return Calibration(
            id=content["id"],
            operators={
                (row["class"], row["format"], row["scope"]): Efficiency(
                    0.0, row["compute"], row["memory"], 1.0
                )
                for row in content["operators"]
            },
            scales={},
            shapes=content["shapes"],
            engines={name: Engine(values) for name, values in content["stacks"].items()},
            widths=content["widths"],
            stacks=frozenset(tuple(row) for row in content["seen"]),
            fitted_on=content["fitted_on"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFact(str(path), "training", f"not of the form that is read: {error!r}") from None


def training_measurements() -> list[dict[str, str]]:
    """Measured training runs, a row each, with their sources."""
    return read_csv(DATA / "measured" / "training.csv", TRAINING_COLUMNS)
