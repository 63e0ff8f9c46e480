"""Which figures are looked at: all that could be best, by the rules' own words."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from chipwise import catalog
from chipwise.plan import edge

LETTER = "us-2025-04-h20-letter-thresholds"
PLAIN = {"dc": True, "sold_in_us": True, "vendor": "NVIDIA", "chip": "frontier", "country": "US"}
ROOM = edge.Room(PLAIN, 800.0, 18000.0, 7200.0, 128.0, 1028.0)


def rule(name=LETTER, **changed):
    return replace(next(r for r in catalog.rules() if r.id == name), **changed)


def said(condition):
    return [rule(condition=condition, effect="control")]


def test_a_density_at_its_threshold_is_not_inside():
    """1,600 on 270.27 mm² is 5.92 but for the last bit, on either side of it."""
    room = replace(ROOM, square=1600 / 5.92)
    assert not edge.inside(said("density >= 5.92"), room, 1600, 1000, 128)
    assert edge.inside(said("density >= 5.92"), room, 1599, 1000, 128)


def test_a_relaxation_is_entered_and_a_control_avoided():
    condition = "memory_bandwidth < 6500"
    assert not edge.inside(said(condition), ROOM, 5000, 6499, 128)
    assert edge.inside([rule(condition=condition, effect="relax")], ROOM, 5000, 6499, 128)


def test_what_is_unknown_is_not_inside():
    assert not edge.inside(said("transistors >= 30"), ROOM, 5000, 6499, 128)


def test_of_rates_that_a_rule_does_not_tell_apart_the_first_is_kept():
    rules = said("tpp >= 4800 and io_bandwidth >= 600 or density >= 5.92 and tpp >= 1600")
    assert edge.rates(rules, ROOM, [9000, 12000, 4799, 4736, 4735, 1600, 1599]) == (
        9000,
        4799,
        4735,
        1599,
    )
    assert edge.rates(said("memory_bandwidth >= 1400"), ROOM, [9000, 12000, 5]) == (9000,)


def test_a_comparison_with_something_else_tells_all_rates_apart():
    rules = said("tpp / memory_bandwidth >= 2")
    assert edge.rates(rules, ROOM, [9000, 12000, 5]) == (9000, 12000, 5)


def test_steps_stand_at_thresholds_of_tpp_and_of_density():
    steps = set(edge.steps(said("tpp >= 2400 or density >= 5.92"), ROOM, [15832.0]))
    assert {2399, 2400, 4735, 4736, 15832, 18000} <= steps
    assert max(steps) <= ROOM.most


@pytest.mark.parametrize("name", ["io_bandwidth", "link_bandwidth"])
def test_a_limit_of_io_is_looked_at_from_below(name):
    _, pairs = edge.ends(said(f"tpp >= 4800 and {name} >= 600"), ROOM)
    below = 599 + (128 if name == "link_bandwidth" else 0)
    assert {(7200, below), (7200, 128), (7200, 1028)} <= set(pairs)


def test_where_a_rule_has_no_limit_of_io_links_are_whole():
    memory, pairs = edge.ends(said("tpp >= 4800 and memory_bandwidth >= 6500"), ROOM)
    assert {io for _, io in pairs} == {1028}
    assert {6499, 6500, 7200} <= set(memory)
    assert edge.along(said("memory_bandwidth >= 1400 or tpp >= 4800"), ROOM) == []


@pytest.mark.parametrize(("name", "host"), [("io_bandwidth", 0), ("link_bandwidth", 128)])
def test_along_a_sum_every_pair_is_at_its_edge(name, host):
    rules = said(f"memory_bandwidth + {name} >= 1700")
    pairs = edge.along(rules, ROOM, range(128, 1029, 100))
    for memory, io in pairs:
        assert memory + io - host in (1699, 1700)
        assert edge.inside(rules, ROOM, 5000, memory, io) is (memory + io - host == 1699)
    assert {io for _, io in pairs} == set(range(128, 1029, 100))


def test_two_rules_of_one_bandwidth_each_limit_no_sum():
    rules = [*said("memory_bandwidth >= 1400"), *said("io_bandwidth >= 600")]
    assert edge.along(rules, ROOM) == []


@pytest.mark.parametrize("name", ["us-2022-10-3A090", "us-2026-01-casebycase", LETTER])
def test_no_pair_inside_is_above_all_that_are_looked_at(name):
    """For whatever TPP: of every pair inside, one that is looked at gives as much of both."""
    rules = [rule(name)]
    _, ends = edge.ends(rules, ROOM)
    tpp = edge.rates(rules, ROOM, [18000, *edge.steps(rules, ROOM)[::-1]])
    for t, m, i in product(tpp, (700, 1399, 1400, 6499, 7200), (128, 300, 599, 600, 1028)):
        if edge.inside(rules, ROOM, t, m, i):
            pairs = {*ends, *edge.along(rules, ROOM, [i])}
            above = ((x, y) for x, y in pairs if x >= m and y >= i)
            assert any(edge.inside(rules, ROOM, t, x, y) for x, y in above), (t, m, i)
