"""Stacks of memory: sourced, and within what real chips of that memory do."""

from __future__ import annotations

import pytest

from chipwise import catalog
from chipwise.catalog.stacks import companions, cut_down, stack, stacks
from chipwise.errors import UnknownName
from chipwise.units import to_base


def test_every_stack_has_a_source():
    for one in stacks().values():
        assert one.rate.source in catalog.sources()
        assert one.size.source in catalog.sources()


def test_stacks_reach_what_real_chips_have():
    """The H100 has five stacks of HBM3, the H200 six of HBM3e, the A100 five of HBM2e."""
    for name, count, kind in (("h100", 5, "hbm3"), ("h200", 6, "hbm3e"), ("a100", 5, "hbm2e")):
        chip = catalog.chip(name)
        most = count * to_base(stack(kind).rate.value, stack(kind).rate.unit)
        assert 0.6 * most < chip.memory_bandwidth <= most


def test_newer_memory_is_faster_and_larger():
    kinds = [stack(k) for k in ("hbm2e", "hbm3", "hbm3e")]
    assert [k.rate.value for k in kinds] == sorted(k.rate.value for k in kinds)
    assert [k.size.value for k in kinds] == sorted(k.size.value for k in kinds)


def test_an_unknown_memory_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="hbm3e"):
        stack("hbm3f")


def test_what_is_named_is_in_the_catalog():
    known = {rule.id for rule in catalog.rules()}
    for rule in known:
        assert set(companions(rule)) <= known
    assert {*cut_down(), *cut_down().values()} <= set(catalog.chip_ids())
