"""Roofline: limits of the form, and where factors come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipwise.errors import NotCalibrated
from chipwise.perf import ops
from chipwise.perf.roofline import Op, efficiency, overlap, seconds
from chipwise.perf.scales import scale
from chipwise.types import Calibration, Chip, Efficiency, Scale


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
