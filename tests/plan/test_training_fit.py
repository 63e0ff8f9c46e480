"""Fitting: what made the measurements is found again, and nothing measured means a prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipwise import catalog
from chipwise.catalog.training import training_calibration
from chipwise.perf.training import Layout, Training, demand, factors, spend
from chipwise.plan.training_fit import STACKS, Sample, fit, to_calibration, to_content
from chipwise.plan.training_rows import Case

pytestmark = pytest.mark.slow
KNOWN = training_calibration()
WIDTHS = {"seen": {"step": 0.1}}


def sample(number, chip, factor=1.0, **degrees):
    model = catalog.model("llama-2-70b")
    training = Training(model, 4096.0, 512.0, "bf16")
    layout = Layout(chip, link=50e9, **degrees)
    known = factors(KNOWN, chip, "bf16", "megatron-26.04")
    rate = float(spend(demand(training, layout), known).rate) * factor
    chips = int(np.prod(list(degrees.values())))
    one = Case(training, chip, chips, layout, "megatron-26.04", True, 50e9)
    return Sample(number, model.family, one, rate)


@pytest.fixture(scope="module")
def samples():
    chip = catalog.chip("h100")
    shapes = [(8, 1, 8), (4, 2, 8), (8, 4, 2), (2, 8, 4), (8, 8, 1), (4, 4, 8), (2, 4, 16)]
    return [sample(i, chip, 0.8, tp=tp, pp=pp, dp=dp) for i, (tp, pp, dp) in enumerate(shapes)]


@pytest.fixture(scope="module")
def made(samples):
    return fit(samples)


def test_the_fit_predicts_what_it_was_fitted_on(samples, made):
    known = to_calibration(made, WIDTHS)
    for one in samples:
        values = factors(known, one.case.chip, "bf16", one.case.stack)
        found = spend(demand(one.case.training, one.case.layout), values).rate
        assert float(found) == pytest.approx(one.rate, rel=0.05)


def test_the_optimum_does_not_depend_on_where_the_descent_begins(samples, made):
    again = fit(samples, replace(made, values={k: v + 0.02 for k, v in made.values.items()}))
    left, right = (to_calibration(m, WIDTHS) for m in (made, again))
    chip = catalog.chip("h100")
    one, two = (factors(c, chip, "bf16", "megatron-26.04") for c in (left, right))
    assert one["gemm"] == pytest.approx(two["gemm"], rel=0.03)


def test_every_stack_has_factors(made):
    known = to_calibration(made, WIDTHS)
    assert set(STACKS) <= set(known.engines)
    for stack in STACKS:
        assert factors(known, catalog.chip("mi300x"), "fp8", stack)["gemm"] > 0


def test_a_chip_that_nobody_measured_gets_its_generation(made):
    known = to_calibration(made, WIDTHS)
    seen, twin, far = (
        factors(known, catalog.chip(name), "bf16", "megatron")["memory"]
        for name in ("h100", "h200", "mi300x")
    )
    assert twin == pytest.approx(seen)
    assert far != pytest.approx(seen, rel=1e-6)


def test_the_file_reads_as_it_was_written(made):
    content = to_content(to_calibration(made, WIDTHS), {"rows": 7})
    assert content["record"] == {"rows": 7}
    assert {row["class"] for row in content["operators"]} == {
        "gemm",
        "experts",
        "attention",
        "wire",
    }
    assert content["widths"] == WIDTHS
    assert content["seen"] == [["llama-2-70b", "nvidia-h100-sxm", "megatron", "Hopper", "NVIDIA"]]


def test_what_is_fitted_says_what_it_was_fitted_on():
    assert "measured training runs" in KNOWN.fitted_on
    assert len(KNOWN.stacks) > 50
