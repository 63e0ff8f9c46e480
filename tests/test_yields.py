"""Yields: products of named factors, from the common to the particular, each counted once."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from chipwise import catalog, perf, yields
from chipwise.perf import scales
from chipwise.types import Calibration, Chip, Deployment, Scale, Side, Yields
from chipwise.yields import Setting


def _with(calibration: Calibration, **values: float) -> Calibration:
    named = {name.replace("__", ":"): value for name, value in values.items()}
    return replace(calibration, yields=Yields(named))


def test_a_name_that_no_run_speaks_of_is_worth_one(h100: Chip) -> None:
    assert scales.factor({}, ("compute:AMD", "rate:mlperf")) == 1.0
    assert scales.of_chip({}, h100) == {"compute": 1.0, "memory": 1.0, "start": 1.0}
    assert yields.rate({}, Setting("mlperf", era="v9"), h100) == 1.0


def test_a_newcomer_takes_all_habits_above_it(h100: Chip) -> None:
    values = {"compute:newcomers": 0.1, "compute:AMD": 0.2, "compute:CDNA3": 0.4, "start:AMD": -1.0}
    found = scales.of_chip(values, catalog.chip("mi325x"))
    assert found["compute"] == pytest.approx(math.exp(0.7))
    assert found["start"] == pytest.approx(math.exp(-1.0))
    assert found["memory"] == 1.0
    # A new generation of the vendor takes what is common to it; the home vendor takes nothing.
    assert scales.of_chip(values, catalog.chip("mi355x"))["compute"] == pytest.approx(math.exp(0.3))
    assert scales.of_chip(values, h100)["compute"] == 1.0


def test_fewer_watts_for_each_flop_slow_arithmetic_alone(h100: Chip) -> None:
    nvl, fed = catalog.chip("h100-nvl"), catalog.chip("h200-sxm")
    assert scales.starved(fed) == scales.starved(h100) == pytest.approx(0.0, abs=2e-3)
    assert nvl.power is not None
    assert h100.power is not None
    share = nvl.power / nvl.flops["bf16"] / (h100.power / h100.flops["bf16"])
    assert scales.starved(nvl) == pytest.approx(math.log(share), abs=2e-3)
    slow = scales.of_chip({"watts": 1.0}, nvl)
    assert slow["compute"] == pytest.approx(share, rel=2e-3)
    assert slow["memory"] == slow["start"] == 1.0


def test_what_is_not_known_starves_no_chip(h100: Chip) -> None:
    assert scales.starved(replace(h100, power=None)) == 0.0
    assert scales.starved(replace(h100, flops={})) == 0.0


def test_a_scale_carries_its_yields_once(general: Calibration) -> None:
    chip = catalog.chip("mi300x")
    told = _with(general, compute__AMD=0.5, start__AMD=0.25)
    once = yields.scaled(told, chip)
    own = once.scales[chip.id]
    assert own.start == pytest.approx(own.launch)
    assert own.compute == pytest.approx(math.exp(0.5))
    assert yields.scaled(once, chip).scales[chip.id] == own
    assert scales.scale(once, chip) == own


def test_chips_that_no_serving_run_speaks_of_have_the_habits_that_tables_tell(
    general: Calibration, h100: Chip
) -> None:
    told = _with(general, compute__AMD=0.5, compute__NVIDIA=0.5, watts=1.0)
    amd = scales.scale(told, catalog.chip("mi300x"))
    fed = math.exp(scales.starved(catalog.chip("mi300x")))
    assert amd.compute == pytest.approx(math.exp(0.5) * fed)
    assert (
        scales.scale(told, catalog.chip("mi300x"))
        == yields.scaled(told, catalog.chip("mi300x")).scales["amd-mi300x"]
    )
    assert scales.scale(_with(general, compute__NVIDIA=0.5), h100) == Scale()
    # Watts are a fact of the chip, whoever measured its generation.
    nvl = catalog.chip("h100-nvl")
    assert scales.scale(told, nvl).compute == pytest.approx(math.exp(scales.starved(nvl)))


def test_silicon_without_a_link_is_told_apart_from_its_generation(general: Calibration) -> None:
    card, linked = catalog.chip("rtxpro6000"), catalog.chip("b200")
    assert card.architecture == linked.architecture
    values = {"compute:Blackwell PCIe": 0.3}
    assert scales.of_chip(values, card)["compute"] == pytest.approx(math.exp(0.3))
    assert scales.of_chip(values, linked)["compute"] == 1.0


def test_a_refined_generation_has_the_habits_of_the_one_it_refines(general: Calibration) -> None:
    old, new = catalog.chip("b200"), catalog.chip("b300")
    assert new.generation == old.generation == "Blackwell"
    assert new.architecture != old.architecture
    assert scales.scale(general, new) == scales.scale(general, old) == general.scales["Blackwell"]


def test_without_yields_nothing_changes(general: Calibration, h100: Chip) -> None:
    bare = replace(general, yields=Yields())
    assert yields.scaled(bare, h100) is bare


def test_cards_without_a_bridge_share_the_hosts_link(general: Calibration) -> None:
    chip, model = catalog.chip("l40s"), catalog.model("llama-3-8b")
    side = Side(chip, tp=2)
    load = perf.Load(0.0, 0.0, 4096.0, 2048.0, 1.0)

    def wire(pcie: float) -> float:
        made = Deployment(side, "bf16", "bf16")
        return float(perf.step(model, made, side, load, _with(general, pcie=pcie))[1]["all_reduce"])

    fast, slow = wire(0.0), wire(-0.5)
    start = wire(50.0)
    assert (slow - start) / (fast - start) == pytest.approx(math.exp(0.5), rel=1e-3)


def test_names_of_a_rate_are_of_its_table_alone(h100: Chip) -> None:
    found = yields.effects(Setting("mlperf", "", "v5.1", "server", "llama2-70b"), h100)
    assert found == ("rate:mlperf", "rate:mlperf:NVIDIA:v5.1", "rate:mlperf:server")
    assert yields.effects(Setting(), h100) == ()


def test_the_tables_stacks_are_known_too(general: Calibration) -> None:
    stack = ("a", "b", "vllm", "c", "d")
    told = replace(general, yields=Yields(stacks=frozenset({stack})))
    assert stack in yields.known(told).stacks
    assert general.stacks <= yields.known(told).stacks


def test_widths_are_told_by_side(general: Calibration, h100: Chip) -> None:
    widths = {"chip:mlperf:NVIDIA": 0.2, "chip:mlperf:newcomers": 0.6}
    told = replace(general, yields=Yields(widths=widths))
    assert yields.half_width(told, "chip", "mlperf", h100) == 0.2
    assert yields.half_width(told, "chip", "mlperf", catalog.chip("mi300x")) == 0.6
    assert yields.half_width(told, "seen", "mlperf", h100) is None
