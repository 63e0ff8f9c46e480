"""Every chip of the catalog holds what a chip must."""

from __future__ import annotations

import pytest

from chipwise import catalog, testing

SOURCES = catalog.sources()


@pytest.mark.parametrize("chip_id", catalog.chip_ids())
def test_chip_holds(chip_id: str) -> None:
    chip = catalog.chip(chip_id)
    assert chip.id == chip_id
    testing.check_chip(chip, SOURCES)
