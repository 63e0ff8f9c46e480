"""A model's file becomes a Model; its facts, family and doubts come along."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipwise import catalog
from chipwise.catalog.models import quantised, read_model
from chipwise.errors import BadFact

TEXT = """
id = "me/mine"
family = "mine"
source = "s"
on = 2026-01-01
[config]
model_type = "llama"
num_hidden_layers = 2
hidden_size = 16
num_attention_heads = 2
intermediate_size = 32
vocab_size = 10
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_facts_are_the_keys_of_the_config() -> None:
    model = catalog.model("kimi-k3")
    assert model.facts["hidden_size"].value == 7168
    assert model.facts["linear_attn_config.head_dim"].value == 128
    assert {fact.source for fact in model.facts.values()} == {"aiconfigurator-model-configs"}


def test_models_without_a_source_say_so() -> None:
    assert catalog.model("llama-2-70b").unverified == {"layers"}
    assert catalog.model("deepseek-r1").unverified == frozenset()


def test_one_network_is_one_family() -> None:
    for family, names in {
        "deepseek-v3": ("deepseek-v3", "deepseek-r1"),
        "llama-3-70b": ("llama-3-70b", "llama-3.1-70b", "llama-3.3-70b"),
        "qwen3-32b": ("qwen3-32b", "Qwen3-32B-FP8-Static-PerTensor"),
        "minimax-m2": ("minimax-m2.5", "minimax-m2.7"),
    }.items():
        models = [catalog.model(name) for name in names]
        assert {m.family for m in models} == {family}
        assert len({tuple(map(repr, m.layers)) for m in models}) == 1


def test_a_family_has_one_network() -> None:
    seen: dict[str, tuple[object, ...]] = {}
    for name in catalog.model_ids():
        model = catalog.model(name)
        network = (*map(repr, model.layers), model.hidden, model.vocab)
        assert seen.setdefault(model.family, network) == network, name


def test_makers_formats() -> None:
    for name, weights in {
        "deepseek-v3": "fp8",
        "minimax-m2.5": "fp8",
        "gpt-oss-20b": "mxfp4",
        "kimi-k2.5": "int4",
        "deepseek-v4-pro": "mxfp4",
        "llama-2-7b": "fp16",
        "qwen3-8b": "bf16",
    }.items():
        assert catalog.model(name).weights == weights


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x/Y-FP8", ("x/Y", "fp8")),
        ("Y-FP8-Static-PerTensor", ("Y", "fp8")),
        ("Y-NVFP4", ("Y", "nvfp4")),
        ("Y-MXFP4", ("Y", "mxfp4")),
        ("Y-AWQ", ("Y", "int4")),
        ("Y-GPTQ-Int4", ("Y", "int4")),
        ("Y-GPTQ-Int8", ("Y", "int8")),
        ("Y-W8A8", ("Y", "int8")),
        ("Y-BF16", ("Y", "bf16")),
        ("Y-70B", ("Y-70B", None)),
        ("FP8-tuned", ("FP8-tuned", None)),
    ],
)
def test_suffix_names_the_format(name: str, expected: tuple[str, str | None]) -> None:
    assert quantised(name) == expected


def test_published_count_is_in_base_units() -> None:
    assert catalog.model("deepseek-v3").published == 671e9
    assert catalog.model("kimi-k3").published is None


def test_what_a_config_does_not_tell_is_said() -> None:
    for name in ("minimax-m3", "deepseek-v4-flash", "kimi-k3", "llama 4 scout"):
        assert "config" in catalog.model(name).note


def test_model_file_is_read(tmp_path: Path) -> None:
    model = read_model(_write(tmp_path, TEXT))
    assert (model.id, model.weights, model.depth) == ("me/mine", "bf16", 2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (TEXT.replace("[config]", "[configuration]"), "configuration: unknown key; known are"),
        (TEXT.replace('id = "me/mine"\n', ""), "id: text in quotes was expected"),
        (TEXT.replace('source = "s"\n', ""), "source: text in quotes was expected"),
        (TEXT.replace("2026-01-01", '"2026"'), "line 5: on: a date without quotes"),
        (TEXT.replace("= 16", "= -16"), "line 9: hidden_size: a whole number from 1 to"),
        (TEXT.replace("on =", 'weights = "fp3"\non ='), "line 5: weights: must be one of"),
        (TEXT.partition("[config]")[0], "config: a table with the keys"),
        (TEXT.replace("on =", "published = 3\non ="), "line 5: published: a table with value"),
    ],
)
def test_bad_model_says_what_and_where(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadFact, match=rf"mine\.toml: .*{complaint}"):
        read_model(_write(tmp_path, text))
