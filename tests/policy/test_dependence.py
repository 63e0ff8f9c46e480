from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipwise import catalog
from chipwise.errors import BadInput, UnknownName
from chipwise.policy import dependence
from tests.policy.cases import chips

ORIGINS = catalog.origins()


@given(
    st.lists(st.tuples(st.sampled_from(chips()), st.floats(0.01, 1e6)), min_size=1, max_size=9),
    st.sampled_from(dependence.ATTRIBUTES),
)
def test_shares_and_the_unknown_add_up(weights: list, attribute: str) -> None:
    found = dependence.shares(weights, ORIGINS, attribute)
    assert sum(found.shares.values()) + found.unknown == pytest.approx(1)
    assert 0 <= found.unverified <= 1 + 1e-9


def test_a_chip_made_in_two_fabs_counts_half_for_each() -> None:
    found = dependence.shares([(catalog.chip("910c"), 5.0)], ORIGINS, "fab_country")
    assert found.shares == {"TW": 0.5, "CN": 0.5}


def test_what_nobody_told_is_unknown() -> None:
    s60 = catalog.chip("enflame-s60")
    assert dependence.makers(s60, ORIGINS, "fab") == ((), True)
    assert dependence.shares([(s60, 1.0)], ORIGINS, "fab").unknown == 1


def test_design_is_the_country_of_the_chip() -> None:
    assert dependence.makers(catalog.chip("h200"), {}, "design") == (("US",), True)
    assert dependence.makers(catalog.chip("h200"), {}, "vendor") == (("NVIDIA",), True)


def test_what_has_no_source_is_told_apart() -> None:
    found = dependence.shares([(catalog.chip("rtx4090"), 1.0)], ORIGINS, "fab")
    assert found.unverified == 1
    assert dependence.shares([(catalog.chip("b200"), 1.0)], ORIGINS, "fab").unverified == 0


def test_wrong_questions() -> None:
    with pytest.raises(UnknownName, match="unknown attribute 'colour'"):
        dependence.shares([(catalog.chip("h200"), 1.0)], ORIGINS, "colour")
    for weights in ([], [(catalog.chip("h200"), 0.0)], [(catalog.chip("h200"), -1.0)]):
        with pytest.raises(BadInput, match="above zero"):
            dependence.shares(weights, ORIGINS, "fab")


def test_every_chip_named_is_of_the_catalog_and_has_a_software_stack() -> None:
    ids = {c.id for c in chips()}
    assert set(ORIGINS) <= ids
    for chip in chips():
        assert dependence.makers(chip, ORIGINS, "software")[0]
        # A stack belongs to the country of the chip's vendor.
        assert dependence.makers(chip, ORIGINS, "software_country")[0] == (chip.country,)
