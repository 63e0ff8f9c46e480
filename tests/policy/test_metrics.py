from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from chipwise import catalog
from chipwise.errors import BadInput
from chipwise.policy import metrics
from chipwise.types import Chip, Fact, Link
from chipwise.units import from_base
from tests.policy.cases import chips

PUBLISHED = Path(__file__).with_name("published_tpp.csv")


def _published() -> list[dict[str, str]]:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _without(chip: Chip, *names: str) -> Chip:
    facts = {k: v for k, v in chip.facts.items() if k not in names}
    return replace(chip, facts=facts)


@pytest.mark.parametrize(
    ("name", "tpp", "density"),
    [
        ("h200-sxm", 15832.0, 19.45),
        ("h20", 2368.0, 2.91),
        ("l4", 1936.0, 6.59),
        ("rtx4090", 5284.8, 8.68),
        ("rtx4090d", 4707.2, 7.73),
        ("mi210", 2896.0, 4.0),
        ("mi325x", 20919.2, 20.57),
        ("h200-nvl", 13368.0, 16.42),
        ("v100-sxm2-32", 2000.0, 2.45),
    ],
)
def test_tpp_and_density(name: str, tpp: float, density: float) -> None:
    chip = catalog.chip(name)
    assert metrics.tpp(chip).value == pytest.approx(tpp, abs=0.05)
    assert metrics.performance_density(chip).value == pytest.approx(density, abs=0.005)


@pytest.mark.parametrize("row", _published(), ids=lambda r: r["chip"])
def test_published_tpp_is_met_or_the_difference_is_explained(row: dict[str, str]) -> None:
    chip = catalog.chip(row["chip"])
    both = [metrics.tpp(chip, bits).low for bits in metrics.TF32_BITS]
    near = any(abs(b / float(row["tpp"]) - 1) <= 0.0125 for b in both)
    assert near or row["why"], f"{both} against {row['tpp']}"


@pytest.mark.parametrize("row", [r for r in _published() if r["density"]], ids=lambda r: r["chip"])
def test_published_density_is_met_or_the_difference_is_explained(row: dict[str, str]) -> None:
    density = metrics.performance_density(catalog.chip(row["chip"])).value
    near = density is not None and abs(density / float(row["density"]) - 1) <= 0.0125
    assert near != bool(row["density_why"]), f"{density} against {row['density']}"


def test_circular_matches_are_marked() -> None:
    """What rests on one data set on both sides checks the arithmetic alone."""
    count = Counter(row["independence"] for row in _published())
    assert count == {"same data set": 39, "independent": 13, "value unverified": 2, "analogy": 1}


def test_the_sum_of_2022_moves_no_us_chip() -> None:
    """3A090 of 2022 adds all units; matrix and vector rates together cross it for none.

    Of the chips whose I/O is known to reach 600 GB/s, or may.
    """
    vector = {"fp32": 32, "fp64": 64}
    for chip in chips():
        tpp, io = metrics.tpp(chip), metrics.io_bandwidth(chip)
        if chip.country != "US" or tpp.low >= 4800 or io.low < 600:
            continue
        more = [from_base(chip.flops.get(form, 0.0), "TFLOPS") * vector[form] for form in vector]
        assert tpp.low + sum(more) < 4800, chip.id


def test_fp32_counts_thirty_two_bits() -> None:
    l20 = catalog.chip("l20")
    assert metrics.tpp(l20).arithmetic == "TPP = 59.8 TFLOPS (fp32, dense) × 32 bit = 1,913.6"


def test_tf32_is_counted_both_ways() -> None:
    trainium = catalog.chip("aws-trainium1")
    assert metrics.tpp(trainium).value == pytest.approx(3610)
    assert metrics.tpp(trainium, tf32=32).value == pytest.approx(6080)


def test_no_rate_no_tpp() -> None:
    found = metrics.tpp(catalog.chip("mi308x"))
    assert (found.value, found.low, found.high) == (None, 0.0, math.inf)
    assert found.missing == ("flops",)


def test_a_rate_that_is_not_published_leaves_a_lower_bound() -> None:
    h20 = catalog.chip("h20")
    facts = {**h20.facts, "flops.nvfp4": Fact(None, "TFLOPS", "x")}
    found = metrics.tpp(replace(h20, facts=facts))
    assert found.value is None
    assert found.low == pytest.approx(2368)
    assert found.missing == ("flops.nvfp4",)


def test_vector_rates_alone_are_a_lower_bound() -> None:
    h20 = catalog.chip("h20")
    found = metrics.tpp(replace(h20, flops={"fp32": h20.flops["fp32"]}))
    assert found.value is None
    assert found.low == pytest.approx(44 * 32)


def test_no_area_no_density() -> None:
    found = metrics.performance_density(replace(catalog.chip("l4"), die_area=None))
    assert found.value is None
    assert found.missing == ("die_area",)


def test_io_counts_the_link_and_pcie_both_ways() -> None:
    assert metrics.io_bandwidth(catalog.chip("a100")).value == 664
    assert metrics.io_bandwidth(catalog.chip("a800")).value == 464
    assert metrics.io_bandwidth(catalog.chip("h800")).value == 528
    assert metrics.io_bandwidth(catalog.chip("rtx4090")).value == 64


def test_io_has_a_lower_bound_where_a_part_is_unknown() -> None:
    gb200 = metrics.io_bandwidth(catalog.chip("gb200"))
    assert (gb200.value, gb200.low, gb200.missing) == (None, 1800, ("pcie_bandwidth",))


def test_a_missing_link_is_not_no_link() -> None:
    rtx4090 = replace(catalog.chip("rtx4090"), scaleup=None)
    assert metrics.link_bandwidth(rtx4090).value == 0
    open_ = metrics.link_bandwidth(_without(rtx4090, "scaleup_domain"))
    assert open_.value is None
    assert open_.missing == ("scaleup_bandwidth", "scaleup_domain")


def test_a_chip_without_facts_is_measured_by_its_fields() -> None:
    h20 = replace(catalog.chip("h20"), facts={})
    assert metrics.io_bandwidth(h20).value == 1028
    bare = replace(h20, scaleup=None, host=Link("PCIe gen 5", 1, 64e9))
    assert metrics.io_bandwidth(bare).value is None
    assert metrics.io_bandwidth(bare).low == 128


def test_memory_bandwidth_is_in_the_rule_units() -> None:
    assert metrics.memory_bandwidth(catalog.chip("h200")).value == 4800
    assert metrics.memory_bandwidth(replace(catalog.chip("h200"), memory_bandwidth=None)).missing


def test_hbm_stacks_in_production_exceed_two() -> None:
    hbm2 = metrics.memory_bandwidth_density(256e9, 92e-6)
    assert hbm2 > 2
    assert metrics.memory_bandwidth_density(200e9, 100e-6) == pytest.approx(2.0)
    with pytest.raises(BadInput):
        metrics.memory_bandwidth_density(819e9, 0.0)


@pytest.mark.parametrize("chip", chips(), ids=lambda c: c.id)
def test_tpp_is_the_greatest_product(chip: Chip) -> None:
    """An independent sum over the printed facts, in their own units."""
    bits = {"fp64": 64, "fp32": 32, "tf32": 19, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8}
    best = 0.0
    for name, fact in chip.facts.items():
        if name.startswith("flops."):
            scale = {"TFLOPS": 1.0, "TOPS": 1.0, "PFLOPS": 1e3}[fact.unit]
            best = max(best, float(fact.value) * scale * bits.get(name[6:], 4))  # type: ignore[arg-type]
    assert metrics.tpp(chip).low == pytest.approx(best)


def test_every_quantity_shows_its_arithmetic() -> None:
    for chip in chips():
        for of in (
            metrics.tpp,
            metrics.performance_density,
            metrics.io_bandwidth,
            metrics.link_bandwidth,
            metrics.memory_bandwidth,
            metrics.process,
            metrics.transistors,
            metrics.year,
        ):
            found = of(chip)
            assert found.arithmetic
            assert (found.value is None) == bool(found.missing)
            if found.value is not None:
                assert found.low == found.value == found.high
                if of is not metrics.year and found.value:
                    assert metrics.figure(found.value) in found.arithmetic
