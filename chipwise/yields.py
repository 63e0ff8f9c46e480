"""What published tables reach of what the model of speed says: by chip, software era and report.

The model's factors were fitted on op timings and serving runs of few generations of one vendor.
Other makers' chips, other years' software and other people's runs reach other shares. Each share
is the product of factors told by name; a name that no run speaks of is worth 1, so that a chip
which nobody measured gets its generation's, then its vendor's, then all newcomers' habits.

Names of factors, whose natural logarithms a calibration keeps in ``yields``:

- ``compute:S``, ``memory:S``, ``start:S`` multiply the arithmetic and memory rates that a chip
  reaches and the seconds that starting a kernel takes; S is a chip, its generation, its vendor,
  or ``newcomers`` (every vendor but the one that the operators were fitted on);
- ``watts``: the power by which arithmetic falls where a chip has fewer watts for each flop/s of
  its datasheet than the best of its generation;
- ``pcie``: share of PCIe's rate that collectives reach between cards without a bridge;
- ``prompt:D``: mean prompt of a data set whose lengths its rules do not tell, by its first guess;
- ``limit:ttft``, ``limit:tpot``: mean over the 99th percentile that a server was held to;
- ``rate:T``, ``rate:T:…``: of a table, and of its era, scenario, source or engine;
- ``rate:software:V:H``: of what a vendor's engine reached in a half-year, in whatever table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chipwise.perf.scales import HOME, NEWCOMERS, by_tables, factor
from chipwise.types import Calibration, Chip

__all__ = ["Setting", "effects", "half_width", "known", "rate", "scaled", "side"]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a published figure comes from: its table, and in it source, era and scenario.

    `data` is the data set whose mean prompt is not known; empty where lengths are told.
    `released` is the half-year of the software, `engine` the one that ran where it was not the
    one that the chip's maker tunes for the table.
    """

    table: str = ""
    source: str = ""
    era: str = ""
    scenario: str = ""
    data: str = ""
    released: str = ""
    engine: str = ""


def scaled(calibration: Calibration, chip: Chip) -> Calibration:
    """The calibration as published tables see a chip: with the yields of its own generation too.

    A scale that the chip has of its own stays, so that no yield counts twice.
    """
    if not calibration.yields.values or chip.id in calibration.scales:
        return calibration
    scales = {**calibration.scales, chip.id: by_tables(calibration, chip)}
    return replace(calibration, scales=scales)


def side(chip: Chip) -> str:
    """Whether a chip is of the vendor that the operators were fitted on, or a newcomer's."""
    return HOME if chip.vendor == HOME else NEWCOMERS


def half_width(calibration: Calibration, basis: str, table: str, chip: Chip) -> float | None:
    """Half-width of ln(measured/predicted) of a table's figures; None where none was fitted. [1]"""
    return calibration.yields.widths.get(f"{basis}:{table}:{side(chip)}")


def known(calibration: Calibration) -> Calibration:
    """The calibration as one that knows the published tables' stacks too."""
    return replace(calibration, stacks=calibration.stacks | calibration.yields.stacks)


def effects(setting: Setting, chip: Chip) -> tuple[str, ...]:
    """Names of the factors of a rate that a setting brings, from the common to the particular."""
    table = f"rate:{setting.table}"
    found = [table] if setting.table else []
    if setting.released:
        found += [f"rate:software:{chip.vendor}:{setting.released}"]
    if setting.era:
        found += [f"{table}:{chip.vendor}:{setting.era}"]
    parts = (setting.scenario, setting.source, setting.engine)
    found += [f"{table}:{name}" for name in parts if name]
    return tuple(found)


def rate(values: Mapping[str, float], setting: Setting, chip: Chip) -> float:
    """Factor of a predicted rate. [1]"""
    return factor(values, effects(setting, chip))
