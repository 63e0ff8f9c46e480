"""The fastest chip inside a rule: at the rule's edge, inside by the rule's own words."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest

from chipwise import api, catalog, policy
from chipwise.catalog.stacks import cut_down
from chipwise.cli import main
from chipwise.errors import BadInput, Infeasible, UnknownName
from chipwise.plan.process import limits, make_chip
from chipwise.plan.speed import speeds
from chipwise.tables import number
from chipwise.tables.kinds import KINDS
from chipwise.units import to_base

LOAD = api.workload(2048, 128)
OCTOBER = ("us-2023-10-3A090b",)


def found(*rules, beside=(), load=LOAD, **process):
    return api.frontier(rules, "llama-2-70b", load, beside=beside, **process)


@pytest.fixture(scope="module")
def october():
    chips = ("h20-96", "h20-141", "l20", "rtx4090d", "mi308x", "mi300x", "b30a", "b300", "h200")
    return found(*OCTOBER, beside=(*chips, "l40s", "rtx4090", "rtx5090d"))


# -- the best chip -------------------------------------------------------------------------------


def test_october_2023_leaves_a_chip_like_the_h20(october):
    """3A090.b begins at TPP 2,400; nothing limits memory, so it is all that the stacks give."""
    for best in (october.prefill, october.decode):
        assert best.tpp == 2399
        assert best.memory_bandwidth == pytest.approx(to_base(7200, "GB/s"))
        assert best.inside
    # The real one stops just short of the same edge.
    assert policy.metrics.tpp(catalog.chip("h20")).value == 2368


def test_a_rule_that_leaves_out_what_another_catches_brings_it_along(october):
    assert [rule.id for rule in october.rules] == ["us-2023-10-3A090b", "us-2023-10-3A090a-dc"]


def test_under_the_first_prong_alone_density_and_tpp_both_bind():
    assert found("us-2023-10-3A090a-dc").decode.tpp == 4799
    # On a small die the density of 5.92 comes first: 5.92 × 500 = 2,960, and below 1,600 it is off.
    assert found("us-2023-10-3A090a-dc", die_area=to_base(500, "mm2")).decode.tpp == 2959


def test_an_h20_is_held_by_its_memory_and_not_by_the_rule_in_decoding():
    """Over long contexts: the rule takes prefill, which is arithmetic, and leaves decoding."""
    inside = found(*OCTOBER, load=api.workload(16384, 1024), memory="hbm3", stack=5)
    assert inside.decode.tpp == 2399
    assert inside.decode.bound == "memory"
    assert inside.decode.decode > 0.6 * inside.free_decode.decode
    assert inside.prefill.prefill < 0.2 * inside.free_prefill.prefill


def test_in_large_batches_of_short_requests_the_rule_costs_decoding_too(october):
    assert october.decode.bound == "compute"
    assert october.decode.decode < 0.5 * october.free_decode.decode


def test_a_limit_on_the_time_for_a_token_costs_tokens(october):
    slow = found(*OCTOBER, load=api.workload(2048, 128, tpot=0.03))
    assert 0 < slow.decode.decode < october.decode.decode
    assert slow.prefill.prefill == october.prefill.prefill


def test_the_rule_of_2022_costs_a_link_and_no_tokens_of_one_chip():
    inside = found("us-2022-10-3A090")
    assert inside.decode.io_bandwidth < to_base(600, "GB/s")
    assert inside.decode.decode == pytest.approx(inside.free_decode.decode, rel=0.01)


@pytest.mark.slow
def test_thresholds_of_bandwidth_bind_decoding():
    inside = found("us-2025-04-h20-letter-thresholds")
    total = inside.decode.memory_bandwidth + inside.decode.io_bandwidth
    assert inside.decode.memory_bandwidth < to_base(1400, "GB/s")
    assert total < to_base(1700, "GB/s")
    assert inside.decode.decode < 0.5 * inside.free_decode.decode


def test_a_relaxation_is_entered_from_below():
    inside = found(
        "us-2026-01-casebycase", like="b300", die_area=to_base(1628, "mm2"), stack=8, power=1400
    )
    assert inside.decode.tpp == 20999
    assert inside.decode.memory_bandwidth == pytest.approx(to_base(6499, "GB/s"))


def test_where_nothing_is_inside_there_is_no_best():
    """A chip too weak to be controlled is not eligible for a relaxation of the control."""
    inside = found("us-2026-01-casebycase", power=20.0)
    assert inside.decode is None
    assert inside.prefill is None
    assert inside.envelope == ()
    assert inside.free_decode.decode > 0


# -- what a process gives ------------------------------------------------------------------------


def test_a_process_gives_what_its_best_real_chip_shows(october):
    process = october.process
    every = [catalog.chip(name) for name in catalog.chip_ids()]
    given = limits(process, every)
    best = catalog.chip(given["tpp_per_area"].chip)
    assert best.status == "public"
    assert best.facts["process"].value == process.like.facts["process"].value
    for chip in every:
        same = chip.facts.get("process")
        if same and same.value == 4 and chip.status == "public" and chip.die_area:
            rate = max((chip.flops.get("fp16", 0) * 16, chip.flops.get("fp8", 0) * 8))
            assert rate / 1e12 / chip.die_area <= given["tpp_per_area"].value * (1 + 1e-12)
    most = october.limits["tpp"].value
    assert most <= given["tpp_per_area"].value * process.die_area * (1 + 1e-12)
    assert most <= given["tpp_per_power"].value * process.power * (1 + 1e-12)
    assert october.free_decode.tpp <= most


def test_power_can_be_what_limits():
    weak = found(*OCTOBER, power=50.0)
    assert weak.free_decode.tpp < 2399
    assert weak.decode.tpp == weak.free_decode.tpp


# -- the curve and the real chips ----------------------------------------------------------------


def test_along_the_edge_more_bandwidth_is_never_slower(october):
    curve = october.envelope
    bandwidth = [p.memory_bandwidth for p in curve]
    assert bandwidth == sorted(bandwidth)
    assert len(curve) > 10
    assert np.all(np.diff([p.decode for p in curve]) >= -1e-9)
    assert max(p.decode for p in curve) == october.decode.decode


def test_every_point_is_inside_by_the_rules_own_words(october):
    for point in (*october.envelope, october.prefill, october.decode):
        chip = make_chip(october.process, point.tpp, point.memory_bandwidth, point.io_bandwidth)
        assert policy.metrics.tpp(chip).value == pytest.approx(point.tpp)
        assert all(policy.inside(rule, chip) for rule in october.rules)
    free = october.free_decode
    chip = make_chip(october.process, free.tpp, free.memory_bandwidth, free.io_bandwidth)
    assert not all(policy.inside(rule, chip) for rule in october.rules)


def test_a_grid_of_chips_is_as_fast_as_each_of_them(october):
    point = october.decode
    chip = make_chip(october.process, point.tpp, point.memory_bandwidth, point.io_bandwidth)
    alone = speeds(october.task, chip)
    assert float(alone[0]) == pytest.approx(point.prefill)
    assert float(alone[1]) == pytest.approx(point.decode)


def test_real_chips_stand_inside_or_not(october):
    inside = {p.chip: p.inside for p in october.real}
    assert inside["nvidia-h20-96"] is True
    assert inside["nvidia-l20"] is True
    assert inside["nvidia-h200-sxm"] is False
    assert inside["nvidia-b30a"] is False
    assert inside["amd-mi308x"] is None


def test_what_cut_down_chips_are_worth(october):
    worth = {w.chip: w for w in october.worth}
    assert {"nvidia-h20-96", "nvidia-l20", "nvidia-rtx4090d", "amd-mi308x", "nvidia-b30a"} <= set(
        worth
    )
    h20 = worth["nvidia-h20-96"]
    assert h20.beside == "nvidia-h200-sxm"
    # Prefill follows arithmetic (2,368 / 15,832 = 0.15), decoding keeps more of it.
    assert 0.1 < h20.prefill < 0.2 < h20.decode < 1
    speeds_of = {p.chip: p for p in october.real}
    shown = speeds_of["nvidia-h20-96"].decode / speeds_of["nvidia-h200-sxm"].decode
    assert h20.decode == pytest.approx(shown)


def test_rates_that_nobody_published_leave_a_bound_alone(october):
    point = next(p for p in october.real if p.chip == "amd-mi308x")
    assert point.prefill is None
    assert point.decode is None
    assert "not published" in point.why
    whole = next(p for p in october.real if p.chip == "amd-mi300x")
    assert point.at_most[0] <= whole.prefill * 1.001
    assert next(w for w in october.worth if w.chip == "amd-mi308x").at_most


def test_a_chip_that_went_without_a_licence_lies_below_the_rule(october):
    """The MI308X has at most 4,800 of the MI300X's 20,919: 3A090.a would have caught it."""
    bound, whole = (
        next(p for p in october.real if p.chip == name) for name in ("amd-mi308x", "amd-mi300x")
    )
    share = 4800 / whole.tpp
    # Slower by law, it has more watts for what is left.
    assert share < bound.at_most[0] / whole.prefill < 1.5 * share
    # Decoding is held by the memory, which it keeps.
    assert share < bound.at_most[1] / whole.decode < 1.0


def test_a_chip_was_cut_down_from_one_of_the_catalog():
    for small, whole in cut_down().items():
        assert catalog.chip(small).vendor == catalog.chip(whole).vendor


# -- questions without an answer -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "process", "error", "said"),
    [
        (("us-2023-10",), {}, UnknownName, "unknown rule 'us-2023-10'"),
        (("us-2025-04-mi308-letter-amd",), {}, BadInput, "sets no figure"),
        (OCTOBER, {"memory": "hbm9"}, UnknownName, "unknown memory 'hbm9'"),
        (OCTOBER, {"like": "mi308x"}, BadInput, "die_area"),
        (OCTOBER, {"like": "mi308x", "die_area": 1e-3, "power": 750}, Infeasible, "no rates"),
        (OCTOBER, {"weights": "fp3"}, BadInput, "unknown weight format 'fp3'"),
        (OCTOBER, {"die_area": -1e-3}, BadInput, "die_area is -0.001"),
        (OCTOBER, {"memory": "gddr6", "stack": 1}, Infeasible, "does not fit on 8"),
    ],
)
def test_what_cannot_be_asked_is_told(rules, process, error, said):
    with pytest.raises(error) as caught:
        found(*rules, **process)
    assert said in str(caught.value)


def test_the_process_must_be_one_of_a_real_chip(october):
    strange = replace(october.process, like=replace(october.process.like, facts={}))
    with pytest.raises(Infeasible, match="tells its tpp_per_area"):
        limits(strange, [catalog.chip("h100")])


# -- the command ---------------------------------------------------------------------------------

COMMAND = [
    "frontier",
    "--rule",
    *OCTOBER,
    "--model",
    "llama-2-70b",
    "--isl",
    "2048",
    "--osl",
    "128",
]


def test_the_json_has_the_keys_that_others_rely_on(capsys):
    assert main([*COMMAND, "--chips", "h20,h200", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    keys = {"chip", "real", "tpp", "density", "memory_bandwidth", "prefill_tokens_per_s"}
    for point in answer["points"]:
        assert keys | {"decode_tokens_per_s", "inside"} <= set(point)
    assert {p["chip"] for p in answer["points"] if p["real"]} == {
        "nvidia-h20-96",
        "nvidia-h200-sxm",
    }
    assert all(p["inside"] for p in answer["points"] if not p["real"])
    assert answer["best"]["decode"]["tpp"] == 2399


def test_the_table_in_both_languages(capsys):
    for lang, word in (("en", "best inside, decode"), ("zh", "规则内最优")):
        assert main([*COMMAND, "--chips", "h20,h200", "--lang", lang]) == 0
        assert word in capsys.readouterr().out.replace("\n", "")


@pytest.fixture(scope="module")
def worth():
    """What real chips are worth, as the command answers."""
    chips = "h20,h200,l20,l40s,rtx4090d,rtx4090,mi308x,mi300x,b30a,b300,rtx5090d,rtx5090"
    with redirect_stdout(io.StringIO()) as out:
        assert main([*COMMAND, "--chips", chips, "--format", "json"]) == 0
    return json.loads(out.getvalue())


@pytest.mark.parametrize(("lang", "said"), [("en", "is worth"), ("zh", "值预填充")])
def test_what_a_chip_is_worth_is_told_in_tokens(worth, lang, said):
    points = {p["chip"]: p for p in worth["points"] if p["real"]}
    text = " ".join(
        line
        for part in KINDS["frontier"].document(worth, lang)
        for line in ([part] if isinstance(part, str) else [c.text for r in part.rows for c in r])
    )
    for chip in ("h20-96", "l20", "rtx4090d", "b30a", "mi308x"):
        point = points[next(name for name in points if name.endswith(chip))]
        for speed in ("prefill_tokens_per_s", "decode_tokens_per_s"):
            assert number((point["at_most"] or point)[speed]) in text
        assert f"{chip} {said}" in text or f"{chip} 至多{said}" in text
    # Of a chip whose speed is not known no share is told, but why.
    assert f"rtx5090d {said}" not in text
