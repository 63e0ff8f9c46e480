"""Several kinds of chips on one training: how a batch is divided, and what the whole run takes."""

from __future__ import annotations

import math

import pytest

from chipwise import api
from chipwise.errors import BadInput, Infeasible, UnknownName
from chipwise.plan.training import IDLE
from chipwise.plan.training_mix import split

HALVES = {"h800": 0.5, "h20": 0.5}
ASKED = {"seq": 4096, "batch": 1024}


@pytest.fixture(scope="module")
def mixed():
    asked = {**ASKED, "tokens": 2e12, "ask": api.Ask(prices={"h800": 2.0, "h20": 1.0})}
    return api.train_mixed("llama-2-70b", HALVES, 1024, **asked)


def test_the_slowest_decides_and_the_batch_is_kept(mixed):
    assert [k.chips for k in mixed.kinds] == [512, 512]
    assert sum(k.training.batch for k in mixed.kinds) == 1024
    steps = {k.chip.id: k.step.value for k in mixed.kinds}
    assert mixed.step.value == max(steps.values())
    assert steps[mixed.slowest] == mixed.step.value
    assert mixed.rate == pytest.approx(4096 * 1024 / mixed.step.value)


def test_kinds_wait_little_for_one_another(mixed):
    """Together they do most of what both would do alone, at their own pace."""
    alone = sum(k.rate.value * k.chips for k in mixed.kinds)
    assert 0.85 * alone < mixed.rate <= alone * (1 + 1e-9)


def test_no_other_division_of_the_batch_is_much_faster(mixed):
    for part in range(64, 1024, 64):
        try:
            steps = [
                api.train("llama-2-70b", name, 512, seq=4096, batch=b).step.value
                for name, b in (("h800", part), ("h20", 1024 - part))
            ]
        except Infeasible:
            continue
        assert max(steps) > 0.97 * mixed.step.value, part


def test_the_run_is_that_of_all(mixed):
    """The budget is trained once, by all; failures are of all; who waits draws less."""
    run = mixed.run
    assert run.steps == pytest.approx(2e12 / (4096 * 1024))
    assert run.ideal == pytest.approx(run.steps * mixed.step.value)
    hours = run.total / 3600
    assert run.usd.mid == pytest.approx(hours * 512 * (2.0 + 1.0))
    assert all(k.run is None for k in mixed.kinds)
    quick = min(mixed.kinds, key=lambda k: k.step.value)
    waits = 1 - quick.step.value / mixed.step.value
    whole = sum(k.power * k.chips for k in mixed.kinds)
    saved = (quick.power - IDLE * quick.chip.power) * waits * 512
    wall = run.energy / run.total / (whole - saved)
    assert 1.0 < wall < 2.0
    one = api.train("llama-2-70b", "h20", 1024, **ASKED, tokens=2e12).run
    assert run.failures / run.total == pytest.approx(one.failures / one.total)


def test_an_unknown_price_leaves_the_whole_without_one():
    found = api.train_mixed("llama-2-70b", HALVES, 256, seq=4096, batch=256, tokens=1e12)
    assert found.run.usd is None
    assert found.run.energy > 0


def test_awkward_counts_take_a_batch_near_the_one_asked_for():
    shares = {"h800": 0.4, "h20": 0.3, "910c": 0.3}
    found = api.train_mixed("deepseek-v3", shares, 4096, seq=4096, batch=15360)
    assert [k.chips for k in found.kinds] == [1640, 1232, 1224]
    taken = sum(k.training.batch for k in found.kinds)
    assert taken == pytest.approx(15360, rel=0.2)
    assert found.rate == pytest.approx(4096 * taken / found.step.value)


@pytest.mark.parametrize(
    ("shares", "batch", "message"),
    [
        ({}, 64, "shares must be positive"),
        ({"h100": -1.0, "a100": 1.0}, 64, "shares must be positive"),
        ({"h100": math.nan}, 64, "shares must be positive"),
        ({"h100": 1.0, "a100": 1e-9}, 64, "leaves it no chip of 64"),
        ({"h100": 0.5, "a100": 0.5}, 1, "cannot be divided among 2 kinds"),
        ({"h100": 0.5, "a100": 0.5}, math.nan, "batch is nan"),
    ],
)
def test_what_cannot_be_mixed_is_refused(shares, batch, message):
    with pytest.raises(BadInput, match=message):
        api.train_mixed("llama-2-70b", shares, 64, seq=4096, batch=batch)


def test_parts_are_multiples_and_near_the_speeds():
    assert split(100, [1.0, 1.0], [8, 8]) == [48, 48]
    assert split(3, [9.0, 1.0], [2, 2]) == [2, 2]


def test_kinds_side_by_side_are_each_what_they_are_alone():
    asked = {**ASKED, "precision": "fp8", "tokens": 1e12}
    each = api.train_each("llama-2-70b", ["h800", "910c", "l4"], 128, **asked)
    rows = {kind.id: found for kind, found in each}
    alone = api.train("llama-2-70b", "h800", 128, **asked)
    assert rows["nvidia-h800-sxm"].step == alone.step
    other = rows["huawei-ascend-910c"]
    assert other.training.precision == "bf16"
    assert other.notes[0] == "it has no fp8 and trains in bf16"


def test_a_kind_that_cannot_hold_the_model_says_why():
    rows = api.train_each("llama-3.1-405b", ["h100", "mi300x"], 64, seq=4096, batch=64)
    assert isinstance(rows[0][1], str)
    assert "GB more than it has" in rows[0][1]
    assert not isinstance(rows[1][1], str)
    with pytest.raises(Infeasible, match="more than it has"):
        api.train_each("llama-3.1-405b", ["h100", "a100"], 8, seq=4096, batch=64)
    with pytest.raises(UnknownName):
        api.train_each("llama-2-70b", ["h100", "h1000"], 8, seq=4096, batch=64)
