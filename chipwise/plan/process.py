"""What a chip that is not made can be made of: rates, memory and links that a process gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from chipwise.errors import Infeasible
from chipwise.policy.metrics import BITS
from chipwise.types import Chip, Fact, Link, Numeric
from chipwise.units import from_base, to_base

__all__ = ["Limit", "Process", "formats", "host_io", "limits", "make_chip", "most_io", "number"]

# Formats of matrix units. A chip that is not made has each at the same rate × bits, which is what
# a rule on their greatest leaves.
_FORMATS = ("fp16", "bf16", "fp8", "int8", "nvfp4")


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """What a chip can be made of.

    `like` is a real chip of that generation, whose formats, links and habits it shares;
    `die_area` [m²]; `rate` [byte/s] and `size` [byte] of a stack of memory; `stacks`; `power` [W];
    `market`; `sold_in_us`.
    """

    like: Chip
    die_area: float
    rate: float
    size: float
    stacks: int
    power: float
    memory: str = ""
    market: str = "datacenter"
    sold_in_us: bool = True


@dataclass(frozen=True, slots=True)
class Limit:
    """What a process gives, and the real chip that shows it."""

    value: float
    chip: str


def number(chip: Chip, name: str) -> float | None:
    """A fact of a chip in base units."""
    fact = chip.facts.get(name)
    if fact is None or fact.value is None or isinstance(fact.value, str | bool):
        return None
    return to_base(fact.value, fact.unit)


def formats(like: Chip) -> tuple[str, ...]:
    """Formats in which a chip like this multiplies."""
    return tuple(form for form in _FORMATS if form in like.flops)


def _matrix(chip: Chip, formats: Iterable[str]) -> float:
    """Greatest rate × bits over some formats. [TOPS × bit]"""
    rates = [from_base(chip.flops[f], "TFLOPS") * BITS[f] for f in formats if f in chip.flops]
    return max(rates, default=0.0)


def limits(process: Process, chips: Iterable[Chip]) -> Mapping[str, Limit]:
    """What a process gives: ``tpp_per_area`` [1/m²], ``tpp_per_power`` [1/W].

    Each is the best among the real chips on sale of the same process, in the formats of `like`.

    Parameters
    ----------
    process : Process
        What a chip can be made of.
    chips : iterable of Chip
        The real ones.

    Raises
    ------
    Infeasible
        If no real chip of that process tells.
    """
    node, known = number(process.like, "process"), formats(process.like)
    peers = [c for c in chips if c.status == "public" and number(c, "process") == node]
    area = [Limit(_matrix(c, known) / c.die_area, c.id) for c in peers if c.die_area]
    power = [Limit(_matrix(c, known) / c.power, c.id) for c in peers if c.power]
    found = {"tpp_per_area": area, "tpp_per_power": power}
    for name, each in found.items():
        if node is None or not max((limit.value for limit in each), default=0.0):
            raise Infeasible(
                f"no chip on sale of {process.like.name}'s process tells its {name}; "
                "name another one that it is to be like"
            )
    return {name: max(each, key=lambda limit: limit.value) for name, each in found.items()}


def host_io(like: Chip) -> float:
    """PCIe, both directions. [byte/s]"""
    return 2.0 * like.host.bandwidth if like.host else 0.0


def most_io(like: Chip) -> float:
    """Link and PCIe, both directions added. [byte/s]"""
    return host_io(like) + (2.0 * like.scaleup.bandwidth if like.scaleup else 0.0)


def _capacity(process: Process) -> float:
    """What the driver reports, in the share that it reports of the chip that it is like."""
    printed = number(process.like, "memory")
    share = process.like.memory / printed if process.like.memory and printed else 1.0
    return process.size * process.stacks * share


def make_chip(
    process: Process, tpp: Numeric, memory_bandwidth: Numeric, io_bandwidth: Numeric
) -> Chip:
    """A chip that is not made; where its figures are arrays, many of them, all with links or none.

    Parameters
    ----------
    process : Process
        What it is made of.
    tpp : numeric
        Total processing performance. [TOPS × bit]
    memory_bandwidth, io_bandwidth : numeric
        Of the memory; of link and PCIe, both directions added. [byte/s]
    """
    like, link = process.like, io_bandwidth - host_io(process.like)
    facts = {name: fact for name, fact in like.facts.items() if name == "process"}
    scaleup = None
    if like.scaleup is not None and np.all(np.asarray(link) > 0):
        scaleup = Link(like.scaleup.name, like.scaleup.chips, cast("float", link / 2.0))
    else:
        facts["scaleup_domain"] = Fact(1.0, "chip", "derived", "derived")
    return replace(
        like,
        id="frontier",
        name="a chip that is not made",
        status="not made",
        market=process.market,
        flops=cast(
            "dict[str, float]",
            {f: to_base(1.0, "TFLOPS") * tpp / BITS[f] for f in formats(like)},
        ),
        memory=_capacity(process),
        memory_spread=0.0,
        memory_bandwidth=cast("float", memory_bandwidth),
        scaleup=scaleup,
        power=process.power,
        die_area=process.die_area,
        sold_in_us=process.sold_in_us,
        facts=facts,
        unverified=frozenset(),
    )
