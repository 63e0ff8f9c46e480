"""The search over layouts, what it refuses, and what a whole run takes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from chipwise import api, catalog
from chipwise.catalog.training import network, training_calibration
from chipwise.errors import BadInput, Infeasible
from chipwise.perf.training import Layout, Training, demand, factors, floor, spend
from chipwise.perf.training_memory import training_memory, training_total
from chipwise.plan.training import (
    Layouts,
    TrainingTerms,
    answer_training,
    check_layout,
    default_stack,
    describe_layout,
    legal_layouts,
    search_training,
    training_basis,
    training_run,
)
from chipwise.types import Money

KNOWN = training_calibration()


@pytest.fixture(scope="module")
def h200():
    return catalog.chip("h200")


def terms(chip, **more):
    return TrainingTerms(KNOWN, default_stack(chip), network(chip), **more)


def legal(training, layout, chips):
    try:
        check_layout(training, layout, chips)
    except BadInput:
        return False
    return True


def one(layout, i):
    names = ("tp", "pp", "cp", "ep", "dp", "interleave", "micro")
    return replace(layout, **{n: float(np.asarray(getattr(layout, n))[i]) for n in names})


@pytest.mark.parametrize("chips", [1, 6, 64])
def test_every_layout_that_is_offered_is_legal(llama2, h200, chips):
    training = Training(llama2, 4096.0, 192.0)
    for layout in legal_layouts(training, h200, chips, 50e9):
        for i in range(0, layout.tp.size, 7):
            assert legal(training, one(layout, i), chips)


def test_every_legal_layout_is_offered(deepseek, h200):
    """Against all combinations of small degrees, tried one by one."""
    training, chips = Training(deepseek, 4096.0, 16.0, "fp8"), 8
    choice = Layouts((1, 2, 4), (1, 2), (1, 2), (1, 2, 8), (1, 2), (1, 2), (1,), ("none",))
    offered = {
        tuple(map(float, row))
        for layout in legal_layouts(training, h200, chips, 50e9, choice)
        for row in zip(
            layout.tp, layout.pp, layout.cp, layout.ep, layout.interleave, layout.micro, strict=True
        )
    }
    tried = set()
    for tp in choice.tp:
        for pp in choice.pp:
            for cp in choice.cp:
                for ep in choice.ep:
                    for chunks in choice.interleave:
                        for micro in choice.micro:
                            dp = chips // (tp * pp * cp)
                            if not dp:
                                continue
                            layout = Layout(h200, tp, pp, cp, ep, dp, chunks, micro)
                            # 61 layers over two stages are 31, which two chunks do not divide.
                            whole = chunks == 1 or math.ceil(61 / pp) % chunks == 0
                            if whole and legal(training, layout, chips):
                                tried.add(tuple(map(float, (tp, pp, cp, ep, chunks, micro))))
    assert offered == tried


@pytest.mark.slow
def test_the_search_equals_trying_all(llama2, h200):
    training, chips = Training(llama2, 4096.0, 64.0), 32
    known = factors(KNOWN, h200, "bf16", "megatron")
    best = math.inf
    for layout in legal_layouts(training, h200, chips, network(h200)):
        for i in range(layout.tp.size):
            alone = one(layout, i)
            if training_total(training_memory(training, alone)) <= h200.memory:
                best = min(best, float(spend(demand(training, alone), known).step))
    found = search_training(training, h200, chips, terms(h200))
    assert found.step.value == pytest.approx(best)
    assert found.considered >= found.fit > 0


def test_nothing_on_the_front_is_beaten(deepseek):
    chip = catalog.chip("h800")
    found = search_training(Training(deepseek, 4096.0, 4096.0, "fp8"), chip, 1024, terms(chip))
    steps = [step for _, step, _ in found.front]
    totals = [total for _, _, total in found.front]
    assert len(found.front) > 1
    assert steps == sorted(steps)
    assert totals == sorted(totals, reverse=True)
    assert steps[0] == pytest.approx(found.step.value)


REFUSED = [
    ({"tp": 3, "dp": 21}, r"tp 3 does not divide the 64 attention heads.*nearest tp is 2 or 4"),
    ({"pp": 128}, "pp 128 is more than the 80 layers"),
    ({"cp": 3, "dp": 21}, r"2 × cp = 6 does not divide 4096 tokens; the nearest cp is 2 or 4"),
    ({"tp": 8, "dp": 4}, r"is not 64 chips.*nearest number of chips is 64"),
    ({"dp": 64, "ep": 8}, "has no experts; ep can be 1"),
    (
        {"dp": 64, "micro": 3},
        r"batch of 256 sequences does not divide.*nearest batch is 192 or 384",
    ),
    ({"dp": 64, "interleave": 2}, "interleave 2 needs a pipeline"),
    ({"pp": 8, "dp": 8, "micro": 8, "interleave": 2}, "micro-batches in multiples of pp 8, not 4"),
    ({"dp": 64, "recompute": "some"}, "known are none, selective, half, full"),
    ({"dp": 64, "shard": 4}, "a ZeRO stage is 0, 1, 2 or 3"),
    ({"dp": 0.5}, "dp is 0.5; it must be a whole number"),
    ({"dp": math.nan}, "dp is nan; it must be a whole number"),
]


@pytest.mark.parametrize(("degrees", "message"), REFUSED)
def test_what_cannot_be_laid_out_says_what_could(llama2, h200, degrees, message):
    with pytest.raises(BadInput, match=message):
        check_layout(Training(llama2, 4096.0, 256.0), Layout(h200, **degrees), 64)


def test_experts_that_do_not_divide_name_the_nearest(deepseek, h200):
    with pytest.raises(BadInput, match=r"ep 24 does not divide the 256 experts.*nearest ep is 16"):
        check_layout(Training(deepseek, 4096.0, 256.0), Layout(h200, dp=32, ep=24), 32)


def test_a_model_that_does_not_fit_says_what_would_hold_it():
    with pytest.raises(Infeasible, match=r"GB more than it has; 128 chips would hold it"):
        api.train("llama-3.1-405b", "h100", 8, seq=4096, batch=64)


def test_a_layout_that_does_not_fit_says_by_how_much():
    with pytest.raises(Infeasible, match=r"GB more than NVIDIA H100.*leave the degrees out"):
        api.train("llama-2-70b", "h100", 8, seq=4096, batch=64, layout={"tp": 8, "pp": 1, "dp": 1})


def test_a_batch_that_divides_no_layout_is_refused(llama2, h200):
    with pytest.raises(
        Infeasible, match="the nearest batch that each chip can take a part of is 13"
    ):
        search_training(
            Training(llama2, 4096.0, 7.0), h200, 13, terms(h200), Layouts(pp=(1,), cp=(1,), tp=(1,))
        )


@pytest.mark.parametrize("chips", [0, 2_000_000, 1.5])
def test_an_absurd_number_of_chips_is_refused(llama2, h200, chips):
    with pytest.raises(BadInput, match="chips is"):
        search_training(Training(llama2, 4096.0, 64.0), h200, chips, terms(h200))


def test_a_run_takes_as_long_as_young_and_daly_say(llama2, h200):
    """√(2·δ·M) − δ between checkpoints; half of it and a restart lost at each failure."""
    known = terms(h200, tokens=1e12, mtbf=1e9, checkpoint=30.0, restart=300.0)
    found = training_run(Training(llama2, 4096.0, 1024.0), [(h200, 1000, 600.0)], 5.0, known)
    between = 1e9 / 1000
    interval = math.sqrt(2 * 30 * between) - 30
    share = interval / (interval + 30) * (1 - (interval / 2 + 300) / between)
    assert found.interval == pytest.approx(interval)
    assert found.total == pytest.approx(1e12 / (4096 * 1024) * 5.0 / share)
    assert found.failures == pytest.approx(found.total / between)


def test_the_interval_is_the_best(llama2, h200):
    """No other interval between checkpoints lets more of the time count, to first order."""

    def lost(interval, delta, between):
        return delta / interval + (interval + delta) / 2 / between

    known = terms(h200, tokens=1e12, mtbf=1e9, checkpoint=30.0)
    found = training_run(
        Training(llama2, 4096.0, 1024.0), [(h200, 1000, 600.0)], 5.0, known
    ).interval
    for other in (0.7 * found, 0.9 * found, 1.1 * found, 1.4 * found):
        assert lost(found, 30, 1e6) <= lost(other, 30, 1e6) * (1 + 1e-3)


def test_chips_that_fail_all_the_time_train_nothing(llama2, h200):
    known = terms(h200, tokens=1e12, mtbf=1e4)
    with pytest.raises(Infeasible, match="faster than a restart"):
        training_run(Training(llama2, 4096.0, 1024.0), [(h200, 1000, 600.0)], 5.0, known)


def test_money_energy_and_carbon_of_a_run(llama2, h200):
    known = terms(
        h200, tokens=1e12, hourly=lambda _, watts: Money(1.0, 2.0, 3.0), carbon=1e-4, wall=1.5
    )
    found = training_run(Training(llama2, 4096.0, 1024.0), [(h200, 1000, 600.0)], 5.0, known)
    hours = 1000 * found.total / 3600
    assert (found.usd.low, found.usd.mid, found.usd.high) == pytest.approx(
        (hours, 2 * hours, 3 * hours)
    )
    assert found.energy == pytest.approx(600 * 1000 * found.total * 1.5)
    assert found.carbon == pytest.approx(600 * 1000 * found.total * 1e-4)


def test_an_unknown_price_stays_unknown(llama2, h200):
    known = terms(h200, tokens=1e12, hourly=lambda _, watts: None)
    found = training_run(Training(llama2, 4096.0, 1024.0), [(h200, 1000, None)], 5.0, known)
    assert found.usd is None
    assert found.energy is None
    assert found.carbon is None


def test_a_chip_without_a_power_fact_has_no_energy(llama2, h200):
    chip = replace(h200, power=None)
    found = search_training(Training(llama2, 4096.0, 64.0), chip, 64, terms(chip, tokens=1e12))
    assert found.power is None
    assert found.run.energy is None


def test_a_chip_without_memory_is_refused(llama2, h200):
    with pytest.raises(Infeasible, match="publishes no memory size"):
        search_training(Training(llama2, 4096.0, 64.0), replace(h200, memory=None), 64, terms(h200))


def test_an_interval_widens_with_what_is_not_known(llama2, h200):
    seen = answer_training(Training(llama2, 4096.0, 64.0), Layout(h200, tp=8), 8, terms(h200))
    far = catalog.chip("biren-br100")
    known = replace(terms(far), stack="other")
    other = answer_training(Training(llama2, 4096.0, 64.0), Layout(far, tp=8), 8, known)
    width = [a.step.high / a.step.low for a in (seen, other)]
    assert other.basis == "datasheet"
    assert width[0] < width[1]


def test_bases_follow_what_was_measured(llama2):
    names = {"h100": "stack", "h800": "stack", "h20": "chip", "910c": "datasheet"}
    names["nvidia-v100-sxm2-32"] = "vendor"
    found = {name: training_basis(KNOWN, llama2, catalog.chip(name), "foundry") for name in names}
    assert found == names


@pytest.mark.parametrize(("name", "precision"), [("h20", "bf16"), ("h20", "fp8"), ("h800", "fp8")])
def test_no_interval_reaches_beyond_the_datasheet(name, precision):
    """At the top of its interval a chip does what its sheet says, attention's upper half free."""
    found = api.train("llama-2-70b", name, 64, seq=4096, batch=64, precision=precision)
    asked = demand(found.training, found.layout)
    assert found.step.low >= float(floor(asked)) * (1 - 1e-9)
    assert found.mfu.high <= 1.1
    assert found.rate.high * found.step.low == pytest.approx(
        found.rate.value * found.step.value, rel=0.5
    )
    assert found.step.low <= found.step.value <= found.step.high
    assert found.rate.low <= found.rate.value <= found.rate.high


def test_a_line_describes_a_layout(h200):
    layout = Layout(h200, 8, 4, 2, 1, 16, 5, 2, 3, "full")
    text = "tp 8 · pp 4 · cp 2 · dp 16 · interleave 5 · micro-batch 2 · ZeRO-3 · recompute full"
    assert describe_layout(layout) == text


def test_degrees_that_are_fixed_stay(h200):
    found = api.train(
        "llama-2-70b", h200, 64, seq=4096, batch=256, layout={"tp": 4, "recompute": "full"}
    )
    assert found.layout.tp == 4
    assert found.layout.recompute == "full"


@pytest.mark.parametrize("vendor", ["NVIDIA", "AMD", "Google", "Huawei"])
def test_every_vendor_has_a_stack(h200, vendor):
    stack = default_stack(replace(h200, vendor=vendor))
    assert factors(KNOWN, replace(h200, vendor=vendor), "bf16", stack)


def test_an_unknown_degree_or_transfer_names_the_nearest():
    with pytest.raises(BadInput, match="unknown degree 'tpp'; the nearest are"):
        api.train("llama-2-70b", "h100", 8, seq=4096, batch=64, layout={"tpp": 8})
    with pytest.raises(BadInput, match="unknown transfer 'experts'; the nearest are expert"):
        api.train("llama-2-70b", "h100", 8, seq=4096, batch=64, overlap={"experts": 1.0})
    with pytest.raises(BadInput, match="overlap of expert is 2"):
        api.train("llama-2-70b", "h100", 8, seq=4096, batch=64, overlap={"expert": 2.0})


@pytest.mark.parametrize("value", [-1.0, 1.5, math.nan])
def test_a_frozen_share_is_a_share(value):
    with pytest.raises(BadInput, match="it must be a share from 0 to 1"):
        api.train("llama-2-70b", "h100", 8, seq=4096, batch=64, frozen=value)
