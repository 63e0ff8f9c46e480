"""Every model of the catalog holds what a model must."""

from __future__ import annotations

import pytest

from chipwise import catalog, testing

SOURCES = catalog.sources()


@pytest.mark.parametrize("model_id", catalog.model_ids())
def test_model_holds(model_id: str) -> None:
    model = catalog.model(model_id)
    assert model.id == model_id
    testing.check_model(model, SOURCES)
