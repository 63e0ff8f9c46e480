"""What people call a chip or a model leads to it, or to the nearest three."""

from __future__ import annotations

import json

import pytest

from chipwise import catalog
from chipwise.catalog import names
from chipwise.errors import BadInput, UnknownName

CHIPS = {
    "h200": "nvidia-h200-sxm",
    "nvidia-h200-sxm": "nvidia-h200-sxm",
    "h200-sxm": "nvidia-h200-sxm",
    "H200 SXM": "nvidia-h200-sxm",
    "a100": "nvidia-a100-sxm-80",
    "rtx4090": "nvidia-rtx4090",
    "RTX 4090": "nvidia-rtx4090",
    "910c": "huawei-ascend-910c",
    "ascend-910c": "huawei-ascend-910c",
    "昇腾910C": "huawei-ascend-910c",
    "h20": "nvidia-h20-96",
    "gb200-nvl72": "nvidia-gb200",
    "mi300x": "amd-mi300x",
    "atlas350": "huawei-atlas350-950pr",
    "DGX-B200": "nvidia-b200-sxm",
}

MODELS = {
    "llama-2-70b": ("meta-llama/Llama-2-70b-hf", "fp16"),
    "llama2-70b": ("meta-llama/Llama-2-70b-hf", "fp16"),
    "Llama-2-70b-chat-hf": ("meta-llama/Llama-2-70b-hf", "fp16"),
    "meta-llama/Llama-3.1-70B": ("meta-llama/Meta-Llama-3.1-70B", "bf16"),
    "Llama-3.1-70B-Instruct-FP8-KV": ("meta-llama/Meta-Llama-3.1-70B", "fp8"),
    "nvidia/Llama-3.1-8B-Instruct-FP8": ("meta-llama/Meta-Llama-3.1-8B", "fp8"),
    "deepseek-r1": ("deepseek-ai/DeepSeek-R1", "fp8"),
    "DeepSeek-R1-0528": ("deepseek-ai/DeepSeek-R1", "fp8"),
    "DeepSeek-R1-AWQ": ("deepseek-ai/DeepSeek-R1", "int4"),
    "qwen3-235b": ("Qwen/Qwen3-235B-A22B", "bf16"),
    "Qwen/Qwen3-235B-A22B-FP8": ("Qwen/Qwen3-235B-A22B", "fp8"),
    "Qwen3-235B-A22B-Instruct-2507-GPTQ-Int4": ("Qwen/Qwen3-235B-A22B", "int4"),
    "Qwen3-32B-FP8": ("Qwen/Qwen3-32B", "fp8"),
    "Qwen/Qwen3-32B-FP8-Static-PerTensor": ("Qwen/Qwen3-32B-FP8-Static-PerTensor", "fp8"),
    "GPT-OSS-120B": ("openai/gpt-oss-120b", "mxfp4"),
    "nvidia/GLM-5.2-NVFP4": ("zai-org/GLM-5.2", "nvfp4"),
    "Mixtral-8x7B-Instruct-v0.1": ("mistralai/Mixtral-8x7B-v0.1", "bf16"),
    "llama2-70b-99.9": ("meta-llama/Llama-2-70b-hf", "fp16"),
    "gpt3": ("openai/gpt3-175b", "bf16"),
}


@pytest.mark.parametrize(("name", "chip_id"), CHIPS.items())
def test_chip_by_any_name(name: str, chip_id: str) -> None:
    assert catalog.chip(name).id == chip_id


@pytest.mark.parametrize(("name", "expected"), MODELS.items())
def test_model_by_any_name(name: str, expected: tuple[str, str]) -> None:
    found = catalog.model(name)
    assert (found.id, found.weights) == expected


@pytest.mark.parametrize("kind", ["chips", "models"])
def test_every_name_of_the_index_leads_to_one_entry(kind: str) -> None:
    for entry in names.index()[kind]:
        for name in (entry["id"], *entry["aliases"]):
            assert names.exact(kind, name) == (entry["id"],), name


def test_unknown_chip_names_the_nearest_three() -> None:
    with pytest.raises(UnknownName, match="unknown chip 'h2000'; the nearest are h200") as caught:
        catalog.chip("h2000")
    assert len(caught.value.near) == 3


def test_unknown_model_names_the_nearest_three() -> None:
    with pytest.raises(UnknownName, match="unknown model 'lama-2-70b'") as caught:
        catalog.model("lama-2-70b")
    assert "llama-2-70b" in caught.value.near


def test_what_is_asked_for_is_what_is_quoted() -> None:
    with pytest.raises(UnknownName, match="'Nobody/Knows-70B-Instruct-FP8'"):
        catalog.model("Nobody/Knows-70B-Instruct-FP8")


@pytest.mark.parametrize("name", ["", " ", "-", "..."])
def test_empty_name_is_unknown(name: str) -> None:
    with pytest.raises(UnknownName, match="unknown chip"):
        catalog.chip(name)
    with pytest.raises(UnknownName, match="unknown model"):
        catalog.model(name)


def test_ambiguous_chip_names_three() -> None:
    with pytest.raises(BadInput, match=r"ambiguous chip 'gh200'.*gh200-96.*gh200-144") as caught:
        catalog.chip("gh200")
    assert caught.value.exit_code == 2


def test_ambiguous_model_names_three() -> None:
    with pytest.raises(BadInput, match="ambiguous model 'qwen3'") as caught:
        catalog.model("qwen3")
    assert str(caught.value).count("Qwen/") == 3


def test_part_of_a_word_is_no_name() -> None:
    with pytest.raises(UnknownName):
        catalog.chip("mi30")


def test_index_is_fresh() -> None:
    stored = json.loads((names.DATA / "index.json").read_text(encoding="utf-8"))
    assert stored == names.build_index(), "run: python tools/index_catalog.py"


def test_index_has_all_chips() -> None:
    assert len(catalog.chip_ids()) == 91
    assert len(set(catalog.chip_ids())) == 91
    assert [e["id"] for e in catalog.chip_name_index()] == list(catalog.chip_ids())
    assert all(e["name"] and e["vendor"] and e["status"] for e in catalog.chip_name_index())
