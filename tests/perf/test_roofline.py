"""Roofline: limits of the form, and where factors come from."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from chipwise.errors import NotCalibrated
from chipwise.perf import ops
from chipwise.perf.roofline import (
    Op,
    Seconds,
    add,
    efficiency,
    overlap,
    seconds,
    wire_seconds,
    zero,
)
from chipwise.perf.scales import scale
from chipwise.types import Calibration, Chip, Efficiency, Scale, Work


def ideal(of: Calibration, exponent: float = np.inf) -> Calibration:
    perfect = Efficiency(0.0, 1.0, 1.0, exponent)
    return replace(of, operators={("gemm", "bf16", ""): perfect}, scales={"": Scale()})


@pytest.mark.parametrize("exponent", [1.0, 1.3, 2.0, 3.0, 8.0, np.inf])
def test_overlap_lies_between_the_larger_and_the_sum(exponent: float) -> None:
    a, b = np.array([1.0, 1e-9, 5.0, 2.0]), np.array([2.0, 3.0, 5.0, 0.0])
    found = overlap(a, b, exponent)
    assert np.all(found >= np.maximum(a, b) * (1 - 1e-12))
    assert np.all(found <= (a + b) * (1 + 1e-12))


def test_overlap_is_the_p_norm() -> None:
    assert overlap(2.0, 3.0, 1.6) == pytest.approx((2**1.6 + 3**1.6) ** (1 / 1.6))


def test_perfect_chip_meets_the_datasheet(general: Calibration, h100: Chip) -> None:
    large = Op("gemm", "bf16", "bf16", ops.gemm(1e5, 1e5, 1e5, 2.0))
    small = Op("gemm", "bf16", "bf16", ops.gemm(1.0, 1e5, 1e5, 2.0))
    assert seconds(large, h100, ideal(general)).total == pytest.approx(2e15 / h100.flops["bf16"])
    assert seconds(small, h100, ideal(general)).total == pytest.approx(
        float(small.work.bytes) / float(h100.memory_bandwidth or 0)
    )


def test_nearest_scope_wins(general: Calibration, h100: Chip) -> None:
    worst, vendor, own = (Efficiency(0.0, e, e, 2.0) for e in (0.1, 0.5, 0.9))
    table = {("gemm", "bf16", ""): worst}
    for scope, factors in (("NVIDIA", vendor), ("Hopper", own)):
        table[("gemm", "bf16", scope)] = factors
        assert efficiency(replace(general, operators=table), "gemm", "bf16", h100) is factors


def test_missing_factor_names_the_formats_there_are(general: Calibration, h100: Chip) -> None:
    with pytest.raises(NotCalibrated, match=r"no gemm in fp3 .* it has gemm in bf16"):
        efficiency(general, "gemm", "fp3", h100)


def test_a_generation_without_a_scale_is_as_fitted(general: Calibration, h100: Chip) -> None:
    assert scale(replace(general, scales={}), h100) == Scale()


# -- the rate law, term by term ------------------------------------------------------------------

FACTORS = Efficiency(start=3e-6, compute=0.8, memory=0.5, exponent=1.7)
WORK = Work(flops=4e12, bytes=6e9, wire=2e9, messages=7.0)


def fitted(of: Calibration, factors: Efficiency = FACTORS, own: Scale | None = None) -> Calibration:
    scales = {"": own or Scale()}
    return replace(of, operators={("gemm", "bf16", ""): factors}, scales=scales)


def plain(chip: Chip) -> Chip:
    """Round rates, and watts enough for them."""
    return replace(chip, flops={"bf16": 1e15, "fp8": 2e15}, memory_bandwidth=4e12, power=None)


def test_a_time_is_its_start_and_the_norm_of_what_the_factors_leave(
    general: Calibration, h100: Chip
) -> None:
    """Worked by hand: 4 TFLOP at 1 PFLOP/s · 0.8 are 5 ms, 6 GB at 4 TB/s · 0.5 are 3 ms."""
    found = seconds(Op("gemm", "bf16", "bf16", WORK), plain(h100), fitted(general))
    body = (5e-3**1.7 + 3e-3**1.7) ** (1 / 1.7)
    assert found.total == pytest.approx(3e-6 + body, rel=1e-12)
    parts = (found.compute, found.memory, found.start, found.network)
    assert parts == pytest.approx((5e-3, 3e-3, 3e-6, 0.0), rel=1e-12)
    # At the datasheet's rates, whatever the factors.
    assert (found.flop, found.byte) == pytest.approx((4e-3, 1.5e-3), rel=1e-12)


def test_the_peak_and_not_the_format_of_the_factors_bounds_it(
    general: Calibration, h100: Chip
) -> None:
    found = seconds(Op("gemm", "bf16", "fp8", WORK), plain(h100), fitted(general))
    assert (found.compute, found.flop) == pytest.approx((2.5e-3, 2e-3), rel=1e-12)


def test_a_generation_scales_rates_and_start(general: Calibration, h100: Chip) -> None:
    own = Scale(compute=0.5, memory=2.0, start=4.0)
    found = seconds(Op("gemm", "bf16", "bf16", WORK), plain(h100), fitted(general, own=own))
    assert (found.compute, found.memory, found.start) == pytest.approx(
        (10e-3, 1.5e-3, 12e-6), rel=1e-12
    )


@pytest.mark.parametrize(
    ("changed", "compute", "memory", "start", "factor"),
    [
        ({"count": 10.0}, 10.0, 10.0, 10.0, 1.0),
        ({"stretch": 3.0}, 3.0, 1.0, 1.0, 1.0),
        ({"starts": 5.0}, 1.0, 1.0, 5.0, 1.0),
        ({"factor": 2.0}, 1.0, 1.0, 1.0, 2.0),
        ({"factor": np.array([2.0, 4.0])}, 1.0, 1.0, 1.0, np.array([2.0, 4.0])),
    ],
)
def test_what_an_operator_multiplies(
    general: Calibration,
    h100: Chip,
    changed: dict[str, float],
    compute: float,
    memory: float,
    start: float,
    factor: float,
) -> None:
    """Count all of it, stretch the arithmetic, starts the start, and factor all but the start."""
    plainly = Op("gemm", "bf16", "bf16", WORK)
    one = seconds(plainly, plain(h100), fitted(general))
    found = seconds(replace(plainly, **changed), plain(h100), fitted(general))
    assert found.compute == pytest.approx(compute * one.compute, rel=1e-12)
    assert found.memory == pytest.approx(memory * one.memory, rel=1e-12)
    assert found.start == pytest.approx(start * one.start, rel=1e-12)
    body = overlap(compute * one.compute, memory * one.memory, FACTORS.exponent)
    assert found.total == pytest.approx(factor * body + start * one.start, rel=1e-12)


def test_what_moves_bytes_alone_has_no_arithmetic(general: Calibration, h100: Chip) -> None:
    """Also on a chip that has no rate in that format."""
    copy = Op("gemm", "bf16", "fp4", replace(WORK, flops=0.0))
    found = seconds(copy, plain(h100), fitted(general))
    assert (found.compute, found.flop) == (0.0, 0.0)
    assert found.total == pytest.approx(3e-6 + 3e-3, rel=1e-12)


@pytest.mark.parametrize("exponent", [1.0, 1.3, 2.0, 3.0, 4.0, np.inf])
@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (3.0, 2.0), (1e-9, 7.0), (0.0, 2.5), (2.5, 0.0)])
def test_numbers_and_arrays_overlap_alike(exponent: float, a: float, b: float) -> None:
    """The exponents with a root of their own too, and a term that is absent."""
    norm = max(a, b) if np.isinf(exponent) else (a**exponent + b**exponent) ** (1 / exponent)
    assert overlap(a, b, exponent) == pytest.approx(norm, rel=1e-12)
    assert overlap(np.array([a]), np.array([b]), exponent) == pytest.approx([norm], rel=1e-12)


def test_no_work_on_either_side_takes_no_time() -> None:
    assert overlap(np.array([0.0]), np.array([0.0]), 1.7) == pytest.approx([0.0], abs=1e-200)


def test_a_collective_takes_its_messages_and_its_bytes(general: Calibration, h100: Chip) -> None:
    """2 GB at half of 100 GB/s are 40 ms, seven messages of 3 µs are 21 µs; three times over."""
    ring = Op("gemm", "bf16", "bf16", WORK, count=3.0)
    found = wire_seconds(ring, h100, fitted(general), 100e9)
    assert found.network == pytest.approx(0.12, rel=1e-12)
    assert found.start == pytest.approx(63e-6, rel=1e-12)
    assert found.total == pytest.approx(0.12 + 63e-6, rel=1e-12)
    assert (found.compute, found.memory, found.flop, found.byte) == (0.0, 0.0, 0.0, 0.0)


def test_times_are_added_part_by_part() -> None:
    one, other = Seconds(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0), Seconds(10, 20, 30, 40, 50, 60, 70)
    assert astuple(add(one, other)) == (11, 22, 33, 44, 55, 66, 77)
    assert astuple(add(one, other, 2.0)) == (21, 42, 63, 84, 105, 126, 147)
    assert astuple(add(zero(), one)) == astuple(one)
    assert astuple(zero()) == (0.0,) * 7


def test_scopes_go_from_the_chip_to_any(general: Calibration, h100: Chip) -> None:
    scopes = (h100.id, h100.architecture, h100.generation, h100.vendor, "")
    assert len(set(scopes)) >= 4
    table = {
        ("gemm", "bf16", scope): Efficiency(0.0, 1.0, 1.0, float(len(scope) + 1))
        for scope in scopes
    }
    for scope in dict.fromkeys(scopes):
        found = efficiency(replace(general, operators=table), "gemm", "bf16", h100)
        assert found is table.pop(("gemm", "bf16", scope))


def test_where_there_is_no_format_at_all_it_says_so(general: Calibration, h100: Chip) -> None:
    table = {("moe", "bf16", ""): FACTORS}
    with pytest.raises(NotCalibrated, match=r"it has gemm in no format"):
        efficiency(replace(general, operators=table), "gemm", "bf16", h100)


def test_all_formats_that_there_are_are_named(general: Calibration, h100: Chip) -> None:
    table = {("gemm", form, "CDNA3"): FACTORS for form in ("fp8", "bf16")}
    with pytest.raises(NotCalibrated, match=r"it has gemm in bf16, fp8$"):
        efficiency(replace(general, operators=table), "gemm", "bf16", h100)
