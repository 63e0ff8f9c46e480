"""No chip inside a rule beats the one that the frontier reports, by brute force."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import api, policy
from chipwise.plan.process import make_chip
from chipwise.plan.speed import speeds
from chipwise.units import to_base
from tests.draws import draws

LOAD = api.workload(1024, 256)
RULES = (
    "us-2022-10-3A090",
    "us-2023-10-3A090b",
    "us-2025-04-h20-letter-thresholds",
    "us-2026-01-casebycase",
)
# The fast loop asks a limit of arithmetic here, and one of a sum of bandwidths below.
TRIED = [pytest.param(rule, marks=() if rule == RULES[1] else pytest.mark.slow) for rule in RULES]
share = st.floats(0.01, 1.0)


@cache
def found(rule, model="llama-2-13b", **process):
    return api.frontier([rule], model, LOAD, beside=(), kv="fp8", **process)


def many(best, tpp, memory, io):
    """Chips of whole figures, and their speeds."""
    chips = make_chip(best.process, tpp, to_base(1.0, "GB/s") * memory, to_base(1.0, "GB/s") * io)
    return speeds(best.task, chips)


def inside(best, tpp, memory, io):
    chip = make_chip(best.process, tpp, to_base(memory, "GB/s"), to_base(io, "GB/s"))
    return all(policy.inside(each, chip) for each in best.rules)


def beaten(best, tpp, memory, io):
    """Chips inside that are faster than the best; only those that are faster are asked about."""
    filled, drained, *_ = many(best, tpp, memory, io)
    faster = (filled > best.prefill.prefill * (1 + 1e-9)) | (
        drained > best.decode.decode * (1 + 1e-9)
    )
    rows = [(float(tpp[at]), float(memory[at]), float(io[at])) for at in np.flatnonzero(faster)]
    return [row for row in rows if inside(best, *row)]


@pytest.mark.parametrize("rule", TRIED)
@draws(6)
@given(tpp=share, memory=share, io=share)
def test_no_chip_inside_beats_the_best(rule, tpp, memory, io):
    best = found(rule)
    process = best.process
    host, link = 2 * process.like.host.bandwidth, 2 * process.like.scaleup.bandwidth
    figures = (
        max(np.floor(tpp * best.limits["tpp"].value), 1.0),
        max(np.floor(memory * process.rate * process.stacks / 1e9), 1.0),
        np.ceil((host + io * link) / 1e9),
    )
    assert beaten(best, *(np.array([each]) for each in figures)) == []


@pytest.mark.parametrize("rule", TRIED)
def test_brute_force_over_a_fine_grid_finds_nothing_better(rule):
    best = found(rule)
    tpp = np.floor(np.linspace(100, np.floor(best.limits["tpp"].value), 40))
    for io in (128.0, 599.0, 1028.0):
        grid = np.array([(t, m, io) for t in tpp for m in np.floor(np.linspace(100, 7200, 8))])
        assert beaten(best, *grid.T) == []


@pytest.mark.parametrize("power", [200.0, pytest.param(450.0, marks=pytest.mark.slow)])
def test_with_few_watts_as_much_arithmetic_as_they_feed_is_best(power):
    """More of it at the same watts is no faster, so that the best has no more than they feed."""
    best = found("us-2022-10-3A090", power=power)
    tpp = np.arange(1000.0, np.floor(best.limits["tpp"].value) + 1, 29.0)
    assert beaten(best, tpp, np.full(tpp.shape, 7200.0), np.full(tpp.shape, 599.0)) == []


@pytest.mark.parametrize(
    "model", ["llama-3.1-70b", pytest.param("llama-3.1-405b", marks=pytest.mark.slow)]
)
def test_where_a_rule_limits_a_sum_one_bandwidth_is_had_for_the_other(model):
    """What several chips must hold wants links as well as memory: the best is between the ends."""
    best = found("us-2025-04-h20-letter-thresholds", model)
    host, whole = 128.0, 1028.0
    io = np.arange(host, whole + 1, 12.0)
    tpp, memory = np.full(io.shape, best.decode.tpp), 1699.0 - io
    assert beaten(best, tpp[1:], memory[1:], io[1:]) == []
    assert host < best.decode.io_bandwidth / 1e9 < whole
    assert best.decode.memory_bandwidth + best.decode.io_bandwidth == 1699e9


@pytest.mark.parametrize("rule", TRIED)
def test_points_are_inside_by_the_rules_own_words(rule):
    best = found(rule)
    assert best.envelope
    for point in (*best.envelope, best.prefill, best.decode):
        chip = make_chip(best.process, point.tpp, point.memory_bandwidth, point.io_bandwidth)
        assert all(policy.inside(each, chip) for each in best.rules)
        assert point.decode <= best.decode.decode
