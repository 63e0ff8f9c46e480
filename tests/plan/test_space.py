"""Legal deployments: what divides, what fits a domain, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipwise import catalog
from chipwise.plan import space
from chipwise.plan.space import Search
from chipwise.types import Chip, Model


def test_degrees_of_a_dense_model(h100: Chip, llama2: Model) -> None:
    found = set(space.degrees(h100, llama2, Search(chips=8)))
    assert found == {(tp, 1, 1, 1) for tp in (1, 2, 4, 8)}


def test_degrees_divide_heads_and_experts(h100: Chip, deepseek: Model) -> None:
    for tp, pp, ep, dp in space.degrees(h100, deepseek, Search(chips=64)):
        assert 128 % tp == 0
        assert 256 % ep == 0
        assert (tp * dp) % ep == 0
        assert tp * dp <= 8
        assert pp == 1


def test_pipelines_where_asked(h100: Chip, llama2: Model) -> None:
    found = set(space.degrees(h100, llama2, Search(chips=8, pp=(2,))))
    assert found == {(tp, 2, 1, 1) for tp in (1, 2, 4)}


def test_alone_where_no_link_is_known(h100: Chip, llama2: Model) -> None:
    lonely = replace(h100, scaleup=None, host=None)
    assert set(space.degrees(lonely, llama2, Search())) == {(1, 1, 1, 1)}


def test_odd_heads() -> None:
    model = catalog.model("falcon-180b")
    for tp, *_ in space.degrees(catalog.chip("h100"), model, Search(chips=8)):
        assert 232 % tp == 0


@pytest.mark.parametrize("most", [1, 7, 300, 4096])
def test_ladder_rises_to_its_limit(most: int) -> None:
    steps = space.ladder(most)
    assert steps[0] == 1
    assert steps[-1] <= most
    assert np.all(np.diff(steps) > 0)
    assert np.all(steps[1:] / steps[:-1] <= 2.0)


def test_a_batch_is_whole_on_every_rank(h100: Chip, deepseek: Model) -> None:
    made = space.legal(h100, deepseek, "fp8", Search())
    assert made is not None
    per_rank = made.decode.batch / (made.decode.dp * made.decode.pp)
    assert np.all(per_rank == np.floor(per_rank))
    assert made.chunk == 8192


def test_nothing_legal_is_none(h100: Chip, llama2: Model) -> None:
    assert space.legal(h100, llama2, "fp8", Search(tp=(3,))) is None
