"""Which weight formats a chip is tried with."""

from __future__ import annotations

from chipwise import catalog, perf
from chipwise.types import Chip, Model


def test_weights_are_kept_or_narrowed_where_the_chip_computes_them(
    h100: Chip, h200: Chip, deepseek: Model, gptoss: Model, llama2: Model
) -> None:
    assert perf.legal(deepseek, h100) == ("fp8",)
    assert perf.legal(gptoss, h200) == ("mxfp4",)
    assert perf.legal(gptoss, catalog.chip("b200")) == ("mxfp4", "nvfp4")
    assert set(perf.legal(llama2, h100)) == {"fp16", "bf16", "fp8"}


def test_a_chip_that_lacks_the_makers_format_is_tried_with_all_of_its_own(
    deepseek: Model,
) -> None:
    assert perf.legal(deepseek, catalog.chip("910c")) == ("fp8", "bf16", "int8")
