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
- ``rate:T``, ``rate:T:…``: of a table, and of its era, scenario or source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from chipwise.types import Calibration, Chip, Scale

__all__ = [
    "HOME",
    "NEWCOMERS",
    "Setting",
    "adopted",
    "effects",
    "factor",
    "half_width",
    "known",
    "of_chip",
    "rate",
    "scaled",
    "side",
    "starved",
]

# The vendor whose chips the operators' factors were fitted on.
HOME = "NVIDIA"
NEWCOMERS = "newcomers"
_RATES = ("compute", "memory", "start")

# Datasheet watts for each dense bf16 TFLOP/s of the best-fed chip of a generation: H100 SXM,
# MI325X. A generation that is not here has one part, or parts alike.
_FED = {"Hopper": 700.0 / 989.0e12, "CDNA3": 1000.0 / 1307.0e12}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a published figure comes from: its table, and in it source, era and scenario.

    `data` is the data set whose mean prompt is not known; empty where lengths are told.
    """

    table: str = ""
    source: str = ""
    era: str = ""
    scenario: str = ""
    data: str = ""


def factor(values: Mapping[str, float], names: Iterable[str]) -> float:
    """Product of the named factors; one that is absent is 1."""
    return math.exp(sum(values.get(name, 0.0) for name in names))


def _scopes(chip: Chip) -> Iterator[str]:
    if chip.vendor != HOME:
        yield NEWCOMERS
    yield from (chip.vendor, chip.architecture, chip.id)


def starved(chip: Chip) -> float:
    """Logarithm of a chip's watts for each flop/s by those of its generation's best; at most 0."""
    fed, half = _FED.get(chip.architecture), chip.flops.get("bf16") or chip.flops.get("fp16")
    if fed is None or not half or not chip.power:
        return 0.0
    return min(math.log(chip.power / half / fed), 0.0)


def of_chip(values: Mapping[str, float], chip: Chip) -> dict[str, float]:
    """By how much a chip's compute, memory and start differ from what its scale says. [1]"""
    found = {
        name: factor(values, (f"{name}:{scope}" for scope in _scopes(chip))) for name in _RATES
    }
    found["compute"] *= math.exp(values.get("watts", 0.0) * starved(chip))
    return found


def _own(calibration: Calibration, chip: Chip) -> Scale:
    """The chip's scale with its yields; one that it has of its own stays, so none counts twice."""
    if chip.id in calibration.scales:
        return calibration.scales[chip.id]
    by = of_chip(calibration.yields.values, chip)
    scopes = (chip.architecture, chip.vendor, "")
    old = next((calibration.scales[s] for s in scopes if s in calibration.scales), Scale())
    return replace(
        old,
        compute=old.compute * by["compute"],
        memory=old.memory * by["memory"],
        start=old.start * by["start"],
        launch=old.launch * by["start"],
    )


def scaled(calibration: Calibration, chip: Chip) -> tuple[Calibration, Chip]:
    """The calibration, and the chip as its cards are joined, with the yields of that chip."""
    if not calibration.yields.values:
        return calibration, chip
    scales = {**calibration.scales, chip.id: _own(calibration, chip)}
    share = math.exp(calibration.yields.values.get("pcie", 0.0))
    return replace(calibration, scales=scales), _bridged(chip, share)


def adopted(calibration: Calibration, chips: Iterable[Chip]) -> Calibration:
    """The calibration with the yields of those chips whose generation no serving run speaks of.

    Where runs of a generation were fitted on, they alone tell it: published tables are other
    people's runs of other years.
    """
    told = {stack[3:] for stack in calibration.stacks}
    found = {
        chip.id: _own(calibration, chip)
        for chip in chips
        if (chip.architecture, chip.vendor) not in told
    }
    return replace(calibration, scales={**calibration.scales, **found}) if found else calibration


@lru_cache(maxsize=1024)
def _bridged(chip: Chip, share: float) -> Chip:
    if chip.host is None or share == 1.0:
        return chip
    return replace(chip, host=replace(chip.host, bandwidth=chip.host.bandwidth * share))


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
    if setting.era:
        found += [f"{table}:{chip.vendor}:{setting.era}"]
    found += [f"{table}:{name}" for name in (setting.scenario, setting.source) if name]
    return tuple(found)


def rate(values: Mapping[str, float], setting: Setting, chip: Chip) -> float:
    """Factor of a predicted rate. [1]"""
    return factor(values, effects(setting, chip))
