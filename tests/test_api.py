"""The verbs: names → objects → answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from chipwise import api, catalog
from chipwise.api import checks
from chipwise.errors import BadInput, Infeasible, UnknownName
from chipwise.types import StepTable

LOAD = api.workload(2048, 128)
STEP = StepTable(base=0.01, prefill=5e-5, decode=5e-5, context=2e-8)


def estimate(chip="h200", load=LOAD, ask=None, **given):
    return api.estimate("llama-2-70b", chip, load, weights="fp8", ask=ask, **given)


def test_names_and_objects_are_the_same(h200, llama2):
    named = estimate(batch=8)
    given = api.estimate(llama2, h200, LOAD, batch=8, weights="fp8")
    assert named.quantities == given.quantities


def test_a_load_is_numbers_or_a_preset_and_what_is_given_wins():
    chat = api.workload(load="chat")
    assert (chat.isl, chat.ttft) == (1155, 1.0)
    own = api.workload(100, load="chat", ttft=9.0)
    assert (own.isl, own.osl, own.ttft, own.tpot) == (100, 211, 9.0, 0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"isl": 0, "osl": 1, "load": "chat"},
        {"isl": 1, "osl": 2.5},
        {"isl": float("nan"), "osl": 1},
        {"isl": 1, "osl": 1, "ttft": 0.0, "load": "chat"},
        {"isl": 1, "osl": 1, "tpot": float("inf")},
        {"isl": 1, "osl": 1, "rate": -1.0},
        {"isl": 1, "osl": 1, "percentile": 100.0},
        {"isl": 1, "osl": 1, "prefix_hit": 1.0},
        {"isl": 1},
        {"load": "chats"},
    ],
)
def test_a_load_that_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput):
        api.workload(**wrong)


def test_either_a_batch_or_a_concurrency():
    for given in ({}, {"batch": 8, "concurrency": 8}):
        with pytest.raises(BadInput, match="either"):
            estimate(**given)


def test_the_cache_is_bf16_unless_said():
    assert estimate(batch=8).deployment.kv == "bf16"
    assert checks.kv_format("fp8") == "fp8"
    with pytest.raises(BadInput, match="fp8"):
        checks.kv_format("nvfp4")


def test_rent_and_own_are_never_mixed():
    own, rent = (estimate(batch=8, ask=api.Ask(cost=c)) for c in ("own", "rent"))
    assert (own.price_basis, rent.price_basis) == ("own", "rent")
    assert own.usd != rent.usd
    without = [c for c in catalog.chip_ids() if catalog.price(c, "on_demand") is None]
    rates = (catalog.chip(c) for c in without)
    chip = next(c for c in rates if c.flops and c.memory and c.memory_bandwidth and c.scaleup)
    few = api.workload(16, 16)
    row = api.estimate("gpt-j-6b", chip, few, batch=1, ask=api.Ask(cost="rent"))
    assert row.usd is None
    assert row.usd_token is None


def test_an_own_price_is_for_the_chip_by_any_name():
    for name in ("h200", "nvidia-h200-sxm", "H200-SXM"):
        row = estimate(batch=8, ask=api.Ask(prices={name: 2.5}))
        assert row.usd.mid == 2.5


@pytest.mark.parametrize(
    "ask",
    [
        api.Ask(cost="lease"),
        api.Ask(gpus=0),
        api.Ask(prices={"h200": -1.0}),
        api.Ask(prices={"h200": float("nan")}),
        api.Ask(region="Atlantis"),
        api.Ask(calibration="none"),
        api.Ask(route="ship"),
    ],
)
def test_terms_that_cannot_be_are_refused(ask):
    with pytest.raises(BadInput):
        estimate(batch=8, ask=ask)


def test_the_day_is_the_catalogs_unless_said():
    assert estimate(batch=8).verdict.on == catalog.as_of()
    then = date(2022, 1, 1)
    assert estimate(batch=8, ask=api.Ask(on=then)).verdict.on == then


def test_what_does_not_fit_says_how_much_is_missing_and_how_many_would_hold_it():
    with pytest.raises(Infeasible, match=r"GB missing on one NVIDIA L4 .* \d+ would hold it"):
        api.estimate("llama-2-70b", "l4", LOAD, batch=1)


def test_a_plan_needs_chips_and_a_mode_and_formats_that_are():
    with pytest.raises(BadInput, match="no chips"):
        api.plan("llama-2-70b", [], LOAD)
    with pytest.raises(BadInput, match="disagg"):
        api.plan("llama-2-70b", ["h200"], LOAD, mode="apart")
    with pytest.raises(BadInput, match="fp7"):
        api.plan("llama-2-70b", ["h200"], LOAD, weights=["fp7"])
    with pytest.raises(UnknownName):
        api.plan("llama-2-70b", ["h200", "h2000"], LOAD)


def test_a_chip_that_is_named_twice_is_planned_once():
    ask = api.Ask(simulate=False)
    found = api.plan("llama-2-70b", ["h200", "nvidia-h200-sxm"], LOAD, mode="agg", ask=ask)
    assert [row.chip.id for row in found.rows] == ["nvidia-h200-sxm"]


def test_a_plan_is_no_slower_than_what_it_was_told_to_leave_out():
    ask = api.Ask(simulate=False)
    free = api.plan("llama-2-70b", ["h200"], LOAD, mode="agg", ask=ask).rows[0]
    bound = api.plan("llama-2-70b", ["h200"], LOAD, mode="agg", ask=ask, degrees={"tp": [4]}).rows[
        0
    ]
    each = [row.quantities["throughput"].value / row.estimate.chips for row in (free, bound)]
    assert each[0] >= each[1]
    assert bound.deployment.decode.tp == 4


# -- simulate ------------------------------------------------------------------------------------


def test_requests_come_from_one_place():
    for given in ({}, {"rate": 1.0, "clients": 2}, {"trace": "azure2023_code", "rate": 1.0}):
        with pytest.raises(BadInput, match="one of"):
            api.requests(**given, isl=10, osl=10)
    assert len(api.requests("azure2023_code").isl) == 8819


def test_lengths_are_drawn_within_their_bounds():
    sent = api.requests(rate=2.0, isl=1000, osl=100, count=400, low=0.8, seed=3)
    for drawn, nominal in ((sent.isl, 1000), (sent.osl, 100)):
        assert drawn.min() >= 0.8 * nominal - 1
        assert drawn.max() <= nominal
        assert len(np.unique(drawn)) > 10
    assert 400 / sent.arrival[-1] == pytest.approx(2.0, rel=0.2)
    again = api.requests(rate=2.0, isl=1000, osl=100, count=400, low=0.8, seed=3)
    assert np.array_equal(sent.isl, again.isl)


def test_more_chips_have_room_for_more_blocks():
    rooms = [api.engine("llama-2-70b", "h200", 2176.0, tp=t, weights="fp8")[1] for t in (1, 2, 4)]
    assert rooms == sorted(rooms)
    assert rooms[0] > 0
    with pytest.raises(Infeasible, match="would hold"):
        api.engine("llama-2-70b", "l4", 2176.0)


def test_a_lone_request_takes_its_steps():
    sent = replace(api.requests(rate=1.0, isl=100, osl=3, count=1))
    run = api.simulate(sent, STEP, blocks=100)
    first = 0.01 + 5e-5 * 100 + 2e-8 * 100
    after = sum(0.01 + 5e-5 + 2e-8 * x for x in (101, 102))
    assert run.first[0] == pytest.approx(first, abs=1e-12)
    assert run.finish[0] == pytest.approx(first + after, abs=1e-12)
