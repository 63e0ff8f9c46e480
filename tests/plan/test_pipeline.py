"""The story, on real facts and flat prices."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from chipwise import api, catalog, intervals, perf, plan
from chipwise.plan import Search, Terms
from chipwise.plan.candidates import bounds, candidates, score
from chipwise.types import Calibration, Chip, Model, Money, Workload

LOAD = Workload(2048.0, 128.0)


@pytest.fixture
def terms(general: Calibration) -> Terms:
    return Terms(general, lambda _chip, _watts: Money(1.0, 2.0, 4.0), {}, 1e-4)


def quick(terms: Terms) -> Terms:
    return replace(terms, simulate=False)


def test_the_best_is_the_best_of_all(h200: Chip, llama2: Model, terms: Terms) -> None:
    """Brute force over every legal deployment agrees with what search chose."""
    made = plan.search([h200], llama2, LOAD, quick(terms), mode="agg").rows[0]
    tried = candidates(h200, llama2, LOAD, terms.calibration, Search())
    best = max(float(np.max(score(c, bounds(LOAD)))) for c in tried)
    assert made.estimate is not None
    assert float(made.estimate.throughput) / float(made.estimate.chips) == pytest.approx(best)


def test_simulation_and_closed_form_agree(h200: Chip, llama2: Model, terms: Terms) -> None:
    made = plan.search([h200], llama2, LOAD, terms, mode="agg").rows[0]
    assert made.estimate is not None
    assert made.simulated["throughput"] == pytest.approx(float(made.estimate.throughput), rel=0.1)
    assert made.simulated["tpot_mean"] == pytest.approx(float(made.estimate.tpot), rel=0.25)


def test_a_target_is_kept_on_its_percentile(h200: Chip, llama2: Model, terms: Terms) -> None:
    load = replace(LOAD, ttft=2.0, tpot=0.05)
    made = plan.search([h200], llama2, load, terms, mode="agg").rows[0]
    assert made.feasible
    assert made.simulated["ttft_p99"] <= 2.0
    assert made.simulated["tpot_p99"] <= 0.05


def test_too_few_chips_for_a_rate_says_how_many_it_takes(
    h100: Chip, llama2: Model, terms: Terms
) -> None:
    load = replace(LOAD, rate=100.0)
    made = plan.search([h100], llama2, load, replace(quick(terms), gpus=8), mode="agg").rows[0]
    assert made.why.startswith("100 requests/s takes ")
    assert made.why.endswith(" chips at least; 8 are allowed")
    needed = int(made.why.split()[3])
    for gpus in (needed - 1, needed):
        given = replace(quick(terms), gpus=gpus)
        row = plan.search([h100], llama2, load, given, mode="agg").rows[0]
        assert row.feasible == (gpus == needed)


def test_a_chip_whose_power_nobody_published_has_no_cost_of_owning(llama2: Model) -> None:
    """H20 of 141 GB has a price and no power: what rests on its draw is unknown, not NaN."""
    ask, load = api.Ask(simulate=False), api.workload(2048, 128)
    row = api.plan(llama2, ["h20-141"], load, mode="agg", ask=ask).rows[0]
    assert row.feasible
    assert row.usd is None
    assert row.usd_token is None
    assert row.carbon is None
    given = replace(ask, prices={"h20-141": 2.0})
    priced = api.plan(llama2, ["h20-141"], load, mode="agg", ask=given).rows[0]
    assert priced.usd is not None
    assert priced.usd.mid >= 2.0


def test_a_target_out_of_reach_says_which_and_by_how_much(
    h200: Chip, llama2: Model, terms: Terms
) -> None:
    load = replace(LOAD, tpot=0.001)
    made = plan.search([h200], llama2, load, quick(terms), mode="agg").rows[0]
    assert not made.feasible
    assert made.why.startswith("tpot is 0.00")
    assert "× the limit 0.001 s" in made.why


def test_a_rate_is_served_by_enough_replicas(h200: Chip, llama2: Model, terms: Terms) -> None:
    load = replace(LOAD, rate=20.0)
    made = plan.search([h200], llama2, load, quick(terms), mode="agg").rows[0]
    assert made.estimate is not None
    assert made.deployment is not None
    assert float(made.estimate.throughput) >= 20 * 128
    fewer = replace(
        made.deployment,
        decode=replace(made.deployment.decode, replicas=made.deployment.decode.replicas - 1),
    )
    short = perf.estimate(llama2, load, fewer, terms.calibration)
    assert float(short.throughput) < 20 * 128
    assert made.quantities["throughput"].value == pytest.approx(20 * 128)


def test_no_more_chips_than_allowed(h200: Chip, llama2: Model, terms: Terms) -> None:
    for gpus in (2, 5, 16):
        found = plan.search([h200], llama2, LOAD, replace(quick(terms), gpus=gpus))
        for row in (*found.rows, *found.apart):
            assert row.estimate is not None
            assert float(row.estimate.chips) <= gpus


def test_a_model_too_large_names_gigabytes_and_chips(terms: Terms) -> None:
    l4, model = catalog.chip("l4"), catalog.model("deepseek-r1")
    made = plan.search([l4], model, LOAD, quick(terms), choice=Search(chips=4), mode="agg").rows[0]
    assert not made.feasible
    assert "GB missing on one NVIDIA L4" in made.why or "GB missing on one L4" in made.why
    assert made.why.rstrip().endswith("would hold it")


def test_an_unknown_fact_leaves_a_row_that_names_it(
    h200: Chip, llama2: Model, terms: Terms
) -> None:
    blank = replace(h200, memory_bandwidth=None)
    found = plan.search([blank, h200], llama2, LOAD, quick(terms), mode="agg")
    assert not found.rows[0].feasible
    assert "memory_bandwidth not published" in found.rows[0].why
    assert found.rows[1].feasible


def test_a_missing_price_empties_the_money_alone(h200: Chip, llama2: Model, terms: Terms) -> None:
    free = replace(quick(terms), hourly=lambda _chip, _watts: None)
    made = plan.search([h200], llama2, LOAD, free, mode="agg").rows[0]
    assert made.feasible
    assert made.usd is None
    assert made.usd_token is None
    assert made.quantities["throughput"].value > 0


def test_every_pair_is_considered_apart(
    h100: Chip, h200: Chip, llama2: Model, terms: Terms
) -> None:
    h20 = catalog.chip("h20")
    found = plan.search([h100, h200, h20], llama2, LOAD, quick(terms))
    pairs = {(r.deployment.prefill.chip.id, r.chip.id) for r in found.apart if r.deployment}
    chips = [c.id for c in (h100, h200, h20)]
    assert pairs == set(itertools.product(chips, chips))
    assert ("nvidia-h200-sxm", "nvidia-h20-96") in pairs


def test_both_sides_are_in_balance(h200: Chip, llama2: Model, terms: Terms) -> None:
    """No replica of either side could be left out without serving less."""
    row = plan.search([h200], llama2, LOAD, quick(terms), mode="disagg").rows[0]
    made = row.deployment
    assert made is not None
    assert made.prefill is not None
    whole = float(perf.estimate(llama2, LOAD, made, terms.calibration).throughput)
    for name in ("decode", "prefill"):
        side = getattr(made, name)
        if side.replicas > 1:
            less = replace(made, **{name: replace(side, replicas=side.replicas - 1)})
            assert float(perf.estimate(llama2, LOAD, less, terms.calibration).throughput) < whole


def test_front_holds_no_beaten_answer(h100: Chip, h200: Chip, llama2: Model, terms: Terms) -> None:
    found = plan.search([h100, h200], llama2, LOAD, quick(terms))
    keys = [
        (r.usd_token.mid, r.quantities["tpot"].value, r.quantities["ttft"].value)
        for r in found.pareto
        if r.usd_token
    ]
    for a, b in itertools.permutations(keys, 2):
        assert not all(x <= y for x, y in zip(a, b, strict=True))


def test_cost_is_linear_in_price(h200: Chip, llama2: Model, terms: Terms) -> None:
    dear = replace(quick(terms), hourly=lambda _chip, _watts: Money(3.0, 6.0, 12.0))
    one, three = (
        plan.search([h200], llama2, LOAD, t, mode="agg").rows[0] for t in (quick(terms), dear)
    )
    assert one.usd_token is not None
    assert three.usd_token is not None
    assert three.usd_token.mid == pytest.approx(3 * one.usd_token.mid)
    assert one.usd_token.low < one.usd_token.mid < one.usd_token.high


def test_same_question_same_bits(h200: Chip, llama2: Model, terms: Terms) -> None:
    first, second = (plan.search([h200], llama2, LOAD, terms).rows[0] for _ in range(2))
    assert first.simulated == second.simulated
    assert first.quantities == second.quantities


def test_power_never_exceeds_the_rating(h200: Chip, llama2: Model, terms: Terms) -> None:
    found = plan.search([h200], llama2, LOAD, quick(terms))
    for row in (*found.rows, *found.apart):
        assert row.estimate is not None
        assert row.quantities["power"].high <= h200.power * float(row.estimate.chips) * (1 + 1e-9)


def test_a_pair_is_as_sure_as_its_less_known_side(h200: Chip, llama2: Model, terms: Terms) -> None:
    ascend = catalog.chip("ascend-910c")
    found = plan.search([h200, ascend], llama2, LOAD, quick(terms), mode="disagg")
    mixed = [r for r in found.apart if r.deployment and r.deployment.prefill]
    for row in mixed:
        sides = (row.deployment.decode.chip, row.deployment.prefill.chip)
        found_of = {intervals.basis(terms.calibration, llama2, c, "vllm") for c in sides}
        assert row.basis == max(found_of - {"seen"} | {"stack"}, key=intervals.BASES.index)
