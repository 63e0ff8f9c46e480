"""Known factors come back from timings made of them; a step is predicted from the operators."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from chipwise import catalog, perf, profile
from chipwise.catalog.chips import read_chip
from chipwise.errors import BadInput
from chipwise.perf.inference import Load, step
from chipwise.perf.roofline import Op, seconds
from chipwise.profile.cases import SMALL, shapes, work
from chipwise.profile.check import described
from chipwise.profile.factors import BARE
from chipwise.types import Deployment, Efficiency, Scale, Side

ON = date(2026, 11, 28)
DEVICE = {"kind": "cpu", "name": 'Core "X"', "vendor": "AMD", "threads": 1, "memory": 16e9}
KNOWN = {
    "gemm": Efficiency(5e-6, 0.8, 0.6, 1.5),
    "gemv": Efficiency(4e-6, 1.0, 0.9, 1.0),
    "attention_decode": Efficiency(8e-6, 0.2, 0.5, 2.0),
    "attention_prefill": Efficiency(2e-5, 0.4, 1.0, 1.0),
    "elementwise": Efficiency(9e-5, 1.0, 0.1, 1.0),
}


@pytest.fixture
def chip(tmp_path):
    path = tmp_path / "cpu.toml"
    path.write_text(profile.chip_facts("cpu", DEVICE, {"fp32": 8e10}, 1.6e10, ON), "utf-8")
    return read_chip(path)


def timed(chip, general, noise=0.0):
    """Timings that follow the rate law with the known factors."""
    passes = general.shapes["elementwise_passes"]
    own = {(k, "fp32", chip.id): v for k, v in KNOWN.items()}
    mine = {**general.scales, chip.id: Scale()}  # its factors are its own
    factors = replace(general, operators={**general.operators, **own}, scales=mine)
    rng = np.random.default_rng(3)
    found = {}
    for i, case in enumerate(shapes(SMALL, ("fp32",))):
        if case.op == "copy":
            took = float(work(case).bytes) / chip.memory_bandwidth
        else:
            kind = "gemv" if case.op == "gemm" and case.shape["m"] == 1 else case.op
            op = Op(kind, "fp32", "fp32", work(case, passes))
            took = float(seconds(op, chip, factors).total)
        found[str(i)] = case, took * float(np.exp(noise * rng.standard_normal()))
    return found


def test_the_chip_of_a_profile_is_read_back_as_measured(chip):
    assert chip.flops == {"fp32": 8e10}
    assert chip.memory_bandwidth == pytest.approx(1.6e10)
    assert chip.memory == pytest.approx(16e9, rel=1e-5)
    assert chip.name == 'Core "X"'
    fact = chip.facts["flops.fp32"]
    assert (fact.provenance, fact.source, fact.on) == ("derived", "chipwise-profile", ON)
    assert "Measured by chipwise profile" in str(chip.facts["note"].value)


@pytest.mark.parametrize(("noise", "rel"), [(0.0, 0.01), (0.05, 0.25)])
def test_known_factors_come_back(chip, general, noise, rel):
    found = profile.fit(timed(chip, general, noise), chip, general.shapes["elementwise_passes"])
    assert {f.op for f in found} == set(KNOWN)
    for f in found:
        assert f.median < 0.005 + noise
        # Decoding has one ratio of arithmetic to traffic, which leaves their shares open.
        told = {"gemm": ("compute", "memory"), "attention_prefill": ("compute",)}
        for name in told.get(f.op, () if f.op == "attention_decode" else ("memory",)):
            assert getattr(f.factors, name) == pytest.approx(getattr(KNOWN[f.op], name), rel=rel)


def test_a_disturbed_timing_does_not_decide(chip, general):
    clean = timed(chip, general)
    name = next(n for n, (c, _) in clean.items() if c.op == "attention_prefill")
    spoilt = {**clean, name: (clean[name][0], 5 * clean[name][1])}
    passes = general.shapes["elementwise_passes"]
    found = {f.op: f for f in profile.fit(spoilt, chip, passes)}
    assert found["attention_prefill"].factors.compute == pytest.approx(0.4, rel=0.05)
    assert found["attention_prefill"].worst > 1.0


def test_wide_products_decide_as_they_decide_a_step(chip, general):
    """Where no one law holds for all, their sum is right: wide products lag by a third."""
    lagging = {
        name: (case, seconds * (1.3 if case.op == "gemm" and case.shape["n"] > 2048 else 1.0))
        for name, (case, seconds) in timed(chip, general).items()
    }
    found = profile.fit(lagging, chip, general.shapes["elementwise_passes"])
    e = next(f.factors for f in found if f.op == "gemm")
    rows = [(c, s) for c, s in lagging.values() if c.op == "gemm" and c.shape["m"] == 64]
    told = 0.0
    for case, _ in rows:
        a = float(work(case).flops) / (e.compute * chip.flops["fp32"])
        b = float(work(case).bytes) / (e.memory * chip.memory_bandwidth)
        told += e.start + (a**e.exponent + b**e.exponent) ** (1 / e.exponent)
    assert told == pytest.approx(sum(s for _, s in rows), rel=0.05)


def test_the_median_round_counts():
    line = {"op": "gemm", "format": "fp32", "shape": {"m": 1, "n": 2, "k": 3}}
    found = profile.typical([{**line, "seconds": s} for s in (3.0, 1.0, 1.2)])
    assert [s for _, s in found.values()] == [1.2]


def test_rates_are_the_highest_that_were_reached(chip, general):
    peak, copied = profile.rates(timed(chip, general))
    assert peak["fp32"] < 0.8 * 8e10
    assert peak["fp32"] > 0.7 * 8e10
    assert copied == pytest.approx(1.6e10)
    with pytest.raises(BadInput, match="no product or no copy"):
        profile.rates({})


def test_a_step_is_the_sum_of_its_operators(chip, general):
    """By hand: products, attention and the rest of a layer, and the head, under the rate law."""
    config = profile.CONFIGS["small"]
    passes = general.shapes["elementwise_passes"]
    fitted = profile.fit(timed(chip, general), chip, passes)
    own = profile.calibrated(general, chip, fitted, "own")
    model = described(config, "fp32")
    made = Deployment(Side(chip), "fp32", "fp32", BARE)
    found, parts = step(model, made, made.decode, Load(3.0, 50.0, 0.0, 0.0, 3.0), own)

    def law(op, flops, bytes_):
        e = KNOWN[op]
        a, b = flops / (e.compute * 8e10), bytes_ / (e.memory * 1.6e10)
        return e.start + (a**e.exponent + b**e.exponent) ** (1 / e.exponent)

    def product(n, k):
        return law("gemm", 2 * 3 * n * k, 4 * n * k + 2 * 3 * (n + k))

    layer = product(1280, 768) + product(768, 768) + product(4096, 768) + product(768, 2048)
    keys = 3 * 50
    layer += law("attention_decode", keys * 4 * 768, keys * 2 * 256 * 4)
    layer += law("elementwise", 0, 2 * 3 * 768 * passes)
    assert float(found.total) == pytest.approx(6 * layer + product(8000, 768), rel=0.02)
    assert parts["gemv"] < 1e-200


def test_a_single_row_takes_the_other_kernel(chip, general):
    fitted = profile.fit(timed(chip, general), chip, general.shapes["elementwise_passes"])
    own = profile.calibrated(general, chip, fitted, "own")
    made = Deployment(Side(chip), "fp32", "fp32", BARE)
    rows = np.array([1.0, 2.0])
    load = Load(rows, 50.0, 0.0, 0.0, rows)
    _, parts = step(described(profile.CONFIGS["small"], "fp32"), made, made.decode, load, own)
    assert parts["gemv"][0] > 1e-6 > 1e-200 > parts["gemv"][1]
    assert parts["gemm"][0] < 1e-200 < 1e-6 < parts["gemm"][1]


def test_other_chips_and_engines_are_as_before(chip, general, h100, llama2):
    fitted = profile.fit(timed(chip, general), chip, general.shapes["elementwise_passes"])
    own = profile.calibrated(general, chip, fitted, "own")
    made = Deployment(Side(h100, tp=8), "fp8", "fp8", "vllm")
    load = Load(16.0, 1000.0, 0.0, 0.0, 16.0)
    one, two = (step(llama2, made, made.decode, load, c)[0].total for c in (general, own))
    assert float(one) == float(two)


def test_what_was_not_timed_keeps_its_generation(general):
    """A profile of a Blackwell chip leaves experts where the generation's scale had put them."""
    chip = catalog.chip("b200")
    factors = (profile.Fitted("gemm", "bf16", Efficiency(1e-6, 0.5, 0.5, 2.0), 9, 0.0, 0.0),)
    own = profile.calibrated(general, chip, factors, "own")
    op = Op("experts", "fp8", "fp8", perf.inference.ops.experts(64, 64, 8, 1e7, 1, 1))
    assert float(seconds(op, chip, own).total) == pytest.approx(
        float(seconds(op, chip, general).total)
    )
    assert own.scales[chip.id] == Scale(launch=own.scales[chip.id].launch)


def test_the_file_of_a_chip_is_toml_whatever_the_name():
    text = profile.chip_facts("x", {**DEVICE, "name": 'a"\\b'}, {"fp32": 1e9}, 1e9, ON)
    assert tomllib.loads(text)["name"] == 'a"\\b'
