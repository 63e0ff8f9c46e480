"""A published figure: yields act on what they are named after, and on nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from chipwise import catalog
from chipwise.plan.offline import Offline
from chipwise.plan.reported import Case, Reported, outcome, quantity
from chipwise.types import Calibration, Chip, Model, Workload, Yields
from chipwise.yields import Setting


@pytest.fixture
def case(llama2: Model, h100: Chip) -> Case:
    run = Offline(llama2, h100, "trtllm", "fp8", "fp8", 8, Workload(200.0, 294.0))
    return Case(run, "rate", Setting("mlperf", era="v5.1", data="llama2-70b"))


def _with(calibration: Calibration, values: dict[str, float]) -> Calibration:
    return replace(calibration, yields=Yields(values))


def test_a_rates_yield_multiplies_it(case: Case, general: Calibration) -> None:
    plain = outcome(case, _with(general, {}))
    by = outcome(case, _with(general, {"rate:mlperf:NVIDIA:v5.1": 0.1}))
    assert by.rate == pytest.approx(plain.rate * math.exp(0.1))
    assert by.tpot == pytest.approx(plain.tpot / math.exp(0.1))
    other = outcome(case, _with(general, {"rate:mlperf:NVIDIA:v4.1": 0.1, "compute:AMD": 1.0}))
    assert other.rate == plain.rate


def test_a_longer_prompt_costs_rate(case: Case, general: Calibration) -> None:
    rates = [outcome(case, _with(general, {"prompt:llama2-70b": p})).rate for p in (-0.5, 0.0, 0.5)]
    assert rates[0] > rates[1] > rates[2]
    told = replace(case, setting=replace(case.setting, data=""))
    assert outcome(told, _with(general, {"prompt:llama2-70b": 0.5})).rate == rates[1]


def test_a_share_of_a_limit_tightens_it(case: Case, general: Calibration) -> None:
    held = replace(case, run=replace(case.run, load=Workload(200.0, 294.0, tpot=0.04)))
    loose = outcome(held, _with(general, {}))
    tight = outcome(held, _with(general, {"limit:tpot": -0.5}))
    assert tight.tpot <= 0.04 * math.exp(-0.5) < loose.tpot <= 0.04


def test_quantities_of_an_outcome(case: Case, general: Calibration) -> None:
    found = outcome(case, general)
    assert quantity(case, found) == found.rate
    assert quantity(replace(case, quantity="ttft"), found) == found.ttft
    whole = quantity(replace(case, quantity="latency"), found)
    assert whole == pytest.approx(found.ttft + 293 * found.tpot)
    assert math.isnan(quantity(replace(case, quantity="joy"), found))


def test_a_stack_is_family_chip_and_engine(case: Case) -> None:
    assert Reported(case, 1.0).stack == ("llama-2-70b", catalog.chip("h100").id, "trtllm")
