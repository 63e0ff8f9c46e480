"""Questions of fleets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chipwise import catalog, policy
from chipwise.types import Chip

if TYPE_CHECKING:
    from chipwise.fleet import Problem, Study

__all__ = ["fleet", "fleet_problem"]


def fleet_problem(
    source: str | Path | Mapping[str, Any], *, calibration: str = "general"
) -> Problem:
    """A fleet plan as a TOML file (or its content) asks for it, with throughput and law.

    Parameters
    ----------
    source : str, Path or mapping
        The file; docs/fleet.md says what it holds.
    calibration : str
        By name.

    Raises
    ------
    BadInput
        If a value is not what it must be: file, key, what was expected.
    """
    from chipwise import fleet as room  # noqa: PLC0415 -- highspy is slow to import
    from chipwise.catalog.fleets import read_fleet  # noqa: PLC0415

    content = source if isinstance(source, Mapping) else read_fleet(Path(source))
    name = "fleet" if isinstance(source, Mapping) else str(source)
    made = room.with_rates(room.read(content, name), catalog.calibration(calibration))
    rules = catalog.rules()

    def status(of: Chip, to: str, route: str, on: date) -> str:
        return policy.check(of, rules, to=to, on=on, route=route).status

    return room.with_law(made, status)


def fleet(
    source: str | Path | Mapping[str, Any], *, calibration: str = "general", **asked: Any
) -> Study:
    """What to buy, rent and retire over the years, where and when; and what dependence costs.

    Parameters
    ----------
    source : str, Path or mapping
        A TOML file, or its content.
    calibration : str
        By name.
    **asked
        Fields of `chipwise.fleet.Asked`: cut_offs, curve, shares, regret, spares, rolling, within.

    Raises
    ------
    BadInput
        If a value is not what it must be.
    Infeasible
        If no plan keeps all limits: which conflict.
    """
    from chipwise import fleet as room  # noqa: PLC0415 -- highspy is slow to import

    made = fleet_problem(source, calibration=calibration)
    return room.answer(made, room.Asked(**asked))
