"""Cells of published tables: numbers, formats, and what is neither."""

from __future__ import annotations

import pytest

from chipwise.errors import BadInput, UnknownName
from chipwise.types import Model
from chipwise.validation.cells import chip_of, format_of, number, optional


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        (" 1,024.5 ", 1024.5),
        ("4 (tpu7x-standard-4t)", 4),
        ("48/GPU", 48),
        (".5", 0.5),
        ("8.", 8),
    ],
)
def test_a_number_begins_the_cell(text: str, value: float) -> None:
    assert number(text, "isl") == value


@pytest.mark.parametrize("text", ["", "many", "0", "-1", "nan", ".", ",", "1.2.3"])
def test_what_is_no_positive_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput, match="isl is"):
        number(text, "isl")


def test_an_empty_cell_is_unknown() -> None:
    assert optional(" ", "tp") is None
    assert optional("8", "tp") == 8


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("FP8 (FP8 MLA)", "fp8"),
        ("W8A8 INT8", "int8"),
        ("W4A8 INT8", "int4"),
        ("AWQ-INT4", "int4"),
        ("bf16 (HF weights)", "bf16"),
        ("as published (see serve cmd) Qwen3-14B-FP8", "fp8"),
        ("fp4", "nvfp4"),
    ],
)
def test_formats_by_their_names_in_the_field(llama2: Model, text: str, format: str) -> None:
    assert format_of(text, llama2) == format


def test_where_no_format_is_named_the_maker_decides(llama2: Model, gptoss: Model) -> None:
    assert format_of("see recipe", llama2) == llama2.weights
    assert format_of("see recipe", gptoss) == gptoss.weights


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("H200-SXM", "nvidia-h200-sxm"),
        ("NVIDIA A100-SXM-80GB", "nvidia-a100-sxm-80"),
        ("NVIDIA A100-PCIe-80GB", "nvidia-a100-pcie-80"),
        ("A100-SXM4-40GB", "nvidia-a100-sxm-40"),
        ("NVIDIA H20-SXM-96GB", "nvidia-h20-96"),
        ("MI355X 288GB 1400W", "amd-mi355x"),
        ("Gaudi 3 (HL-338)", "intel-gaudi3"),
        ("Habana Gaudi2", "intel-gaudi2"),
    ],
)
def test_what_tables_add_to_a_name_is_no_part_of_it(text: str, id: str) -> None:
    assert chip_of(text).id == id


@pytest.mark.parametrize("text", ["NVIDIA A10", "nothing", "", "MI300X 500GB", "TPU-v6"])
def test_no_chip_is_guessed(text: str) -> None:
    with pytest.raises(UnknownName):
        chip_of(text)
