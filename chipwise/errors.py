"""Errors of chipwise.

ChipwiseError
├── BadInput             a value, option or file that cannot be used; says what would be right
│   ├── UnknownName      says the three nearest names
│   ├── UnitError        a unit that is not known, or of another kind
│   └── BadFact          file, line or key, attribute, what was expected
├── Infeasible           a well-formed question without a solution: which limit binds, by how much
└── NotCalibrated        no factor covers this operator on this chip; names the nearest

`BadInput` ends the program with exit code 2, every other one with 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BadFact",
    "BadInput",
    "ChipwiseError",
    "Infeasible",
    "NotCalibrated",
    "UnitError",
    "UnknownName",
]


class ChipwiseError(Exception):
    """Root of all errors that chipwise raises on purpose."""

    exit_code = 1


class BadInput(ChipwiseError):
    """A value, option or file that cannot be used as it is."""

    exit_code = 2


class UnknownName(BadInput):
    """A name that the catalog does not have, with the nearest that it has."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        folded = {n.lower(): n for n in names}
        near = [folded[n] for n in difflib.get_close_matches(name.lower(), folded, 3, 0.0)]
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        super().__init__(f"unknown {kind} {name!r}{hint}")
        self.kind, self.name, self.near = kind, name, tuple(near)


class UnitError(BadInput):
    """A unit that is not known, or of another kind than was asked."""


class BadFact(BadInput):
    """A data file that breaks a rule of the catalog: where, which attribute, what was expected."""

    def __init__(self, file: str, attribute: str, message: str) -> None:
        super().__init__(f"{file}: {attribute}: {message}")
        self.file, self.attribute = file, attribute


class Infeasible(ChipwiseError):
    """A well-formed question without a solution: which limit binds, and by how much."""


class NotCalibrated(ChipwiseError):
    """No calibrated factor covers an operator on a chip; names the nearest."""
