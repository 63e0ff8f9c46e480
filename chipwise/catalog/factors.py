"""calibration.json → Calibration. Fitted factors stand apart from facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from chipwise.catalog.files import DATA, read_json
from chipwise.catalog.folder import own_calibrations, own_path
from chipwise.errors import BadFact, UnknownName
from chipwise.types import Calibration, Efficiency, Engine, Scale, Yields

__all__ = ["calibration", "read_calibration"]

_PARTS = ("id", "fitted_on", "operators", "scales", "shapes", "engines", "widths", "stacks")


def _efficiency(row: Mapping[str, Any]) -> Efficiency:
    return Efficiency(row["start"], row["compute"], row["memory"], row["exponent"])


def _yields(part: Mapping[str, Any]) -> Yields:
    return Yields(
        part.get("values", {}),
        part.get("widths", {}),
        frozenset(tuple(stack) for stack in part.get("stacks", ())),
    )


def _own(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], dict[str, float]]:
    """Half-widths that a user's own runs showed, by stack."""
    return {
        (row["family"], row["chip"], row["backend"]): {
            name: float(row[name]) for name in ("ttft", "tpot", "throughput")
        }
        for row in rows
    }


def read_calibration(path: Path) -> Calibration:
    """The factors of one file.

    Raises
    ------
    BadFact
        If a part is missing or has another form.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise BadFact(str(path), "calibration", "an object was expected")
    if absent := [part for part in _PARTS if part not in content]:
        raise BadFact(str(path), absent[0], "is missing")
    try:
        return Calibration(
            id=content["id"],
            operators={
                (row["class"], row["format"], row.get("scope", "")): _efficiency(row)
                for row in content["operators"]
            },
            scales={scope: Scale(**factors) for scope, factors in content["scales"].items()},
            shapes=content["shapes"],
            engines={name: Engine(values) for name, values in content["engines"].items()},
            widths=content["widths"],
            stacks=frozenset(tuple(stack) for stack in content["stacks"]),
            corrections={
                (row["family"], row["chip"], row["backend"], row["weights"]): {
                    name: tuple(row[name])
                    for name in ("ttft", "tpot", "low", "high")
                    if name in ("ttft", "tpot") or name in row
                }
                for row in content.get("corrections", ())
            },
            fitted_on=content["fitted_on"],
            yields=_yields(content.get("yields", {})),
            base=content.get("local", {}).get("base", ""),
            own=_own(content.get("local", {}).get("stacks", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFact(
            str(path), "calibration", f"not of the form that is read: {error!r}"
        ) from None


# Read once; one's own are read each time, since they may have changed.
_general = lru_cache(maxsize=1)(lambda: read_calibration(DATA / "calibration.json"))


def calibration(name: str = "general") -> Calibration:
    """Fitted factors by name: ``general`` ships with chipwise; else one's own, or a file's path.

    Raises
    ------
    UnknownName
        If there is neither.
    """
    if name == "general":
        return _general()
    path = own_path("calibrations", name) if name in own_calibrations() else Path(name)
    if not path.is_file():
        raise UnknownName("calibration", name, ["general", *own_calibrations()])
    return read_calibration(path)
