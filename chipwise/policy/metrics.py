"""The regulators' arithmetic: TPP, performance density, bandwidths, each with its steps.

References: 15 CFR part 774, supplement no. 1, ECCN 3A090, technical notes (88 FR 73458 and 89 FR
23876); 3A090.c (89 FR 96790).

Figures are not rounded before they are compared: the rules state none. A sum or a maximum of
which a part is unknown still has a lower bound, and that may decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chipwise.errors import BadInput
from chipwise.types import Chip, Link
from chipwise.units import from_base, to_base

__all__ = [
    "BITS",
    "TF32_BITS",
    "Quantity",
    "figure",
    "io_bandwidth",
    "link_bandwidth",
    "memory_bandwidth",
    "memory_bandwidth_density",
    "performance_density",
    "process",
    "tpp",
    "transistors",
    "year",
]

# Bits of an operand. The longest input of the multiplication counts, so FP32 counts 32.
BITS = {
    "fp64": 64,
    "fp32": 32,
    "tf32": 19,
    "fp16": 16,
    "bf16": 16,
    "fp8": 8,
    "int8": 8,
    "nvfp4": 4,
    "int4": 4,
}
# TF32 has 19 significant bits and is stored in 32; the rules do not say which counts.
TF32_BITS = (19, 32)
# A chip's greatest rate × bits is reached by matrix units, which compute in at most this width.
_MATRIX_BITS = 16
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its arithmetic.

    `value` is None where it is unknown; `low` ≤ it ≤ `high` in any case. `missing` names the
    facts that would make it known, `rests_on` those that it was computed from.
    """

    name: str
    value: float | None
    low: float
    high: float
    arithmetic: str
    missing: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()


def figure(value: float) -> str:
    """A number as it is written in the arithmetic.

    Examples
    --------
    >>> figure(15832.0), figure(19.4496), figure(4707.2)
    ('15,832', '19.45', '4,707.2')
    """
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.01 else f"{value:.3g}"


def _known(name: str, value: float, arithmetic: str, *rests_on: str) -> Quantity:
    return Quantity(name, value, value, value, arithmetic, (), rests_on)


def _bounded(name: str, low: float, arithmetic: str, missing: tuple[str, ...]) -> Quantity:
    """A number of which only a lower bound is known."""
    return Quantity(name, None, low, math.inf, arithmetic, missing)


def tpp(chip: Chip, tf32: int = TF32_BITS[0]) -> Quantity:
    """Total processing performance: 2 × MacTOPS × bits of the operand, the greatest of all formats.

    A multiplication with its addition is two operations, so 2 × MacTOPS is the dense rate. All
    processing units and dies of a package count together, as the catalog's rates do.

    Parameters
    ----------
    chip : Chip
        What is measured.
    tf32 : int
        Bits that count for TF32: 19 or 32.

    Examples
    --------
    >>> from chipwise import catalog
    >>> tpp(catalog.chip("h200")).arithmetic
    'TPP = 989.5 TFLOPS (fp16, dense) × 16 bit = 15,832'
    """
    open_ = tuple(
        f"flops.{form}" for form in BITS if form not in chip.flops and f"flops.{form}" in chip.facts
    )
    products = {
        form: round(from_base(rate, "TFLOPS") * (tf32 if form == "tf32" else BITS[form]), _DIGITS)
        for form, rate in chip.flops.items()
    }
    best = max(products, key=lambda f: products[f], default=None)
    if best is None:
        missing = open_ or ("flops",)
        return _bounded("TPP", 0.0, "TPP unknown: no rate is known", missing)
    bits = tf32 if best == "tf32" else BITS[best]
    rate = f"{figure(from_base(chip.flops[best], 'TFLOPS'))} TFLOPS ({best}, dense) × {bits} bit"
    narrow = any(BITS[form] <= _MATRIX_BITS for form in chip.flops)
    if open_ or not narrow:
        text = f"TPP ≥ {rate} = {figure(products[best])}: the rates of its matrix units are unknown"
        return _bounded("TPP", products[best], text, open_ or ("flops",))
    return _known(
        "TPP", products[best], f"TPP = {rate} = {figure(products[best])}", f"flops.{best}"
    )


def performance_density(chip: Chip, tf32: int = TF32_BITS[0]) -> Quantity:
    """TPP for each mm² of applicable die area (dies made with non-planar transistors). [1/mm²]"""
    of, area = tpp(chip, tf32), chip.die_area
    missing = of.missing + (("die_area",) if area is None else ())
    if area is None:
        return _bounded("PD", 0.0, "PD unknown: the die area is not known", missing)
    square = from_base(area, "mm2")
    low = of.low / square
    text = f"{figure(of.low)} / {figure(square)} mm² = {figure(round(low, _DIGITS))}"
    if of.value is None:
        return _bounded("PD", low, f"PD ≥ {text}", missing)
    return _known("PD", low, f"PD = {text}", "die_area", *of.rests_on)


def memory_bandwidth(chip: Chip) -> Quantity:
    """Total DRAM bandwidth. [GB/s]"""
    name = "memory bandwidth"
    if chip.memory_bandwidth is None:
        return _bounded(name, 0.0, f"{name} unknown", ("memory_bandwidth",))
    value = round(from_base(chip.memory_bandwidth, "GB/s"), _DIGITS)
    return _known(name, value, f"{name} = {figure(value)} GB/s", "memory_bandwidth")


def _stated(chip: Chip, name: str) -> float | None:
    """A fact that is a number, in base units; None where it is not known."""
    fact = chip.facts.get(name)
    if fact is None or fact.value is None or isinstance(fact.value, str | bool):
        return None
    return to_base(fact.value, fact.unit)


def _both_ways(of: Link | None) -> float | None:
    return None if of is None else 2 * of.bandwidth


def link_bandwidth(chip: Chip) -> Quantity:
    """Bandwidth of the link between chips, both directions added; none where it has none. [GB/s]"""
    name = "link"
    rate = _stated(chip, "scaleup_bandwidth")
    rate = _both_ways(chip.scaleup) if rate is None else rate
    if rate is not None:
        value = round(from_base(rate, "GB/s"), _DIGITS)
        return _known(name, value, f"{name} {figure(value)} GB/s", "scaleup_bandwidth")
    if _stated(chip, "scaleup_domain") == 1:
        return _known(name, 0.0, f"{name} none", "scaleup_domain")
    return _bounded(name, 0.0, f"{name} unknown", ("scaleup_bandwidth", "scaleup_domain"))


def _host_bandwidth(chip: Chip) -> Quantity:
    rate = _stated(chip, "pcie_bandwidth")
    rate = _both_ways(chip.host) if rate is None else rate
    if rate is None:
        return _bounded("PCIe", 0.0, "PCIe unknown", ("pcie_bandwidth",))
    value = round(from_base(rate, "GB/s"), _DIGITS)
    return _known("PCIe", value, f"PCIe {figure(value)} GB/s", "pcie_bandwidth")


def io_bandwidth(chip: Chip) -> Quantity:
    """All inputs and outputs but those to volatile memory, both directions added. [GB/s]

    Counted are the link between chips and PCIe.

    Examples
    --------
    >>> from chipwise import catalog
    >>> io_bandwidth(catalog.chip("h20")).arithmetic
    'I/O = link 900 GB/s + PCIe 128 GB/s = 1,028 GB/s'
    """
    link, host = link_bandwidth(chip), _host_bandwidth(chip)
    low = round(link.low + host.low, _DIGITS)
    text = f"{link.arithmetic} + {host.arithmetic}"
    rests_on = link.rests_on + host.rests_on
    if link.value is None or host.value is None:
        bound = f"I/O ≥ {figure(low)} GB/s: {text}"
        return _bounded("I/O", low, bound, link.missing + host.missing)
    return Quantity("I/O", low, low, low, f"I/O = {text} = {figure(low)} GB/s", (), rests_on)


def memory_bandwidth_density(bandwidth: float, area: float) -> float:
    """Bandwidth of a memory stack or package over its area, as 3A090.c counts it. [GB/s/mm²]

    Parameters
    ----------
    bandwidth : float
        Of the stack. [byte/s]
    area : float
        Of the package or, where there is none, of the stack. [m²]

    Examples
    --------
    >>> round(memory_bandwidth_density(819e9, 110e-6), 1)
    7.4
    """
    if not (bandwidth > 0 and area > 0):
        raise BadInput(f"bandwidth and area must be above zero, not {bandwidth} and {area}")
    return from_base(bandwidth, "GB/s") / from_base(area, "mm2")


def _fact(chip: Chip, name: str, unit: str) -> Quantity:
    value = _stated(chip, name)
    if value is None:
        return _bounded(name, 0.0, f"{name} unknown", (name,))
    shown = round(from_base(value, unit), _DIGITS)
    return _known(name, shown, f"{name} = {figure(shown)} {unit}", name)


def process(chip: Chip) -> Quantity:
    """Node of the compute die, as the foundry names it. [nm]"""
    return _fact(chip, "process", "nm")


def transistors(chip: Chip) -> Quantity:
    """Transistors of the package. [10⁹]"""
    return _fact(chip, "transistors", "bn")


def year(chip: Chip) -> Quantity:
    """Year in which the chip was released or announced."""
    text = chip.released[:4]
    if not text.isdigit():
        return _bounded("year", 0.0, "year of release unknown", ("released",))
    return _known("year", float(text), f"year of release {text}", "released")
