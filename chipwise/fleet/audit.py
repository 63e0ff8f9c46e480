"""The program as LP or MPS text, every column and row named in the words of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from chipwise.errors import BadInput
from chipwise.fleet.instance import Whole
from chipwise.fleet.problem import Problem
from chipwise.fleet.program import Program, compose
from chipwise.fleet.scenarios import instance, paths
from chipwise.fleet.solver import write

__all__ = ["names", "save"]

_PLAIN = re.compile(r"[^A-Za-z0-9_]+")


def save(of: Problem, path: Path) -> None:
    """Write the program of a problem as ``.lp`` or ``.mps``. Money in it is in million USD."""
    if path.suffix not in (".lp", ".mps"):
        raise BadInput(f"{path}: a name that ends in .lp or .mps was expected")
    program = compose(instance(of))
    write(program, path, names(of, program))


def names(of: Problem, program: Program) -> tuple[list[str], list[str]]:
    """Names of the columns and of the rows, each one's own."""
    at = paths(of)
    nodes = []
    for t, scenario in zip(at.period, at.scenario, strict=True):
        branch = "" if scenario is None or len(of.scenarios) <= 1 else f"_{scenario.id}"
        nodes.append(f"{of.periods[t]}{branch}")
    known: Mapping[str, Sequence[str]] = {
        "node": nodes,
        "chip": [c.id for c in of.choices],
        "site": [s.id for s in of.sites],
        "offer": [h.id for h in of.hires],
        "demand": [d.id for d in of.demand],
        "stack": [s.id for s in of.software],
        "quota": [q.name for q in of.limits],
        "cap": [c.name for c in of.caps],
    }
    columns = [
        name
        for family, part in program.columns.items()
        for name in _named(family, part.index, part.size, known)
    ]
    rows = [
        name
        for part in program.rows
        for name in _named(part.name, part.index, len(part.lower), known)
    ]
    return columns, rows


def _named(
    family: str, index: Mapping[str, Whole], size: int, known: Mapping[str, Sequence[str]]
) -> list[str]:
    """A name for each member of a family: the family, then what it is of."""
    found = []
    for i in range(size):
        parts = [family]
        for kind, values in index.items():
            value = int(values[i])
            if value >= 0:
                parts.append(str(known[kind][value]) if kind in known else f"{kind[0]}{value}")
        found.append(_PLAIN.sub("_", "__".join(parts)))
    return found
