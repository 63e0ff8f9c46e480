"""A config.json becomes the right blocks, by family, and a wrong one is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chipwise import catalog
from chipwise.catalog.files import read_toml
from chipwise.catalog.huggingface import FAMILIES, flatten, shape, weight_format
from chipwise.catalog.names import model_path
from chipwise.errors import BadFact
from chipwise.types import Block

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 256,
    "vocab_size": 100,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
}
MOE = {"num_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def _by_kind(blocks: tuple[Block, ...]) -> dict[str, list[Block]]:
    found: dict[str, list[Block]] = {}
    for part in blocks:
        found.setdefault(part.kind, []).append(part)
    return found


def _one(model: str, kind: str) -> Block:
    (part,) = _by_kind(catalog.model(model).layers)[kind]
    return part


def test_llama() -> None:
    form = shape(LLAMA)
    attention, mlp = form.layers
    assert (attention.kind, attention.count) == ("gqa", 4)
    assert attention.dims == {
        "heads": 8,
        "kv_heads": 2,
        "head_dim": 8,
        "v_dim": 8,
        "window": 0,
        "gated": 0,
    }
    assert (mlp.kind, mlp.count, dict(mlp.dims)) == ("mlp", 4, {"ffn": 256, "gated": 1})
    assert (form.hidden, form.vocab, form.tied, form.context) == (64, 100, False, 2048)


def test_heads_without_groups_are_their_own() -> None:
    config = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}
    assert shape(config).layers[0].dims["kv_heads"] == 8


def test_multimodal_config_counts_its_language_model() -> None:
    outer = {"model_type": "llava", "vision_config": {"hidden_size": 7}, "text_config": LLAMA}
    assert shape(outer) == shape(LLAMA)
    assert flatten(outer)["hidden_size"] == 64


def test_sliding_window_in_all_layers() -> None:
    config = LLAMA | {"model_type": "mistral", "sliding_window": 32}
    assert shape(config).layers[0].dims["window"] == 32
    unused = config | {"use_sliding_window": False}
    assert shape(unused).layers[0].dims["window"] == 0


def test_layer_types_split_attention() -> None:
    kinds = ["sliding_attention", "full_attention"] * 2
    config = LLAMA | {"layer_types": kinds, "sliding_window": 32}
    found = [(b.count, b.dims["window"]) for b in shape(config).layers if b.kind == "gqa"]
    assert found == [(2, 0), (2, 32)]
    counts = config | {"layer_types": dict(Counter(kinds))}
    assert shape(counts) == shape(config)


def test_gpt_oss() -> None:
    blocks = _by_kind(catalog.model("gpt-oss-120b").layers)
    assert sorted((b.count, b.dims["window"]) for b in blocks["gqa"]) == [(18, 0), (18, 128)]
    (moe,) = blocks["moe"]
    assert (moe.count, moe.dims["experts"], moe.dims["topk"], moe.dims["ffn"]) == (36, 128, 4, 2880)


def test_deepseek() -> None:
    mla, moe, mlp = (_one("deepseek-r1", kind) for kind in ("mla", "moe", "mlp"))
    assert (mla.count, moe.count, mlp.count) == (61, 58, 3)
    assert mla.dims == {
        "heads": 128,
        "q_rank": 1536,
        "kv_rank": 512,
        "nope": 128,
        "rope": 64,
        "v_dim": 128,
    }
    assert (moe.dims["shared"], moe.dims["ffn"], mlp.dims["ffn"]) == (2048, 2048, 18432)


def test_indexer_every_fourth_layer() -> None:
    assert _one("deepseek-v3.2", "dsa").dims["index_every"] == 1
    assert _one("glm-5.2", "dsa").dims["index_every"] == 4
    assert _one("glm-5.3", "dsa").dims["topk"] == 2048


def test_compressed_attention_by_ratio() -> None:
    blocks = _by_kind(catalog.model("deepseek-v4-flash").layers)
    found = {b.dims["ratio"]: b.count for b in blocks["csa"]}
    assert found == {0: 2, 4: 21, 128: 20}


def test_compress_ratios_may_go_on_with_the_speculative_layer() -> None:
    config = _config("deepseek-ai/DeepSeek-V4-Flash")
    ratios = [0, 0] + [4, 128] * 20 + [4]
    listed = config | {"compress_ratios": [*ratios, 0]}
    assert shape(listed).layers == shape(config).layers


def test_hybrid_layers() -> None:
    full, linear = (_one("qwen3.5-397b", kind) for kind in ("gqa", "delta"))
    assert (full.count, full.dims["gated"], linear.count) == (15, 1, 45)
    assert linear.dims["value_heads"] == 64
    assert _one("qwen3.5-27b", "mlp").count == 64


def test_kimi_linear() -> None:
    mla, delta, moe = (_one("kimi-k3", kind) for kind in ("mla", "delta", "moe"))
    assert (mla.count, delta.count, moe.count) == (24, 69, 92)
    assert (moe.dims["latent"], moe.dims["shared"]) == (3584, 2 * 3072)


def test_nemotron_patterns() -> None:
    nano = {b.kind: b.count for b in catalog.model("nemotron-3-nano").layers}
    assert nano == {"gqa": 6, "mamba": 23, "moe": 23}
    assert _one("nemotron-3-nano", "moe").dims["gated"] == 0
    assert _one("nemotron-3-ultra", "moe").dims["latent"] == 2048
    dense = {b.kind: b.count for b in catalog.model("nemotron-h-56b").layers}
    assert dense == {"gqa": 10, "mamba": 54, "mlp": 54}


def test_llama_4_interleaves() -> None:
    maverick = {b.kind: b.count for b in catalog.model("llama 4 maverick").layers}
    assert (maverick["moe"], maverick["mlp"]) == (24, 24)
    assert _one("llama 4 maverick", "mlp").dims["ffn"] == 16384
    assert "mlp" not in {b.kind for b in catalog.model("llama 4 scout").layers}


def test_gemma_4_has_experts_beside_its_mlp() -> None:
    blocks = _by_kind(catalog.model("gemma-4-26b").layers)
    assert blocks["mlp"][0].count == blocks["moe"][0].count == 30
    assert {(b.count, b.dims["head_dim"]) for b in blocks["gqa"]} == {(25, 256), (5, 512)}


def test_plain_feed_forward_is_not_gated() -> None:
    for name in ("gpt-j", "gpt3", "falcon-180b", "mpt-7b", "nemotron-4-340b"):
        assert _one(name, "mlp").dims["gated"] == 0


def test_falcon_of_one_key_head() -> None:
    assert _one("falcon-7b", "gqa").dims["kv_heads"] == 1
    assert _one("falcon-40b", "gqa").dims["kv_heads"] == 8


def test_minimax_m3_keeps_all_keys_and_reads_some() -> None:
    full, sparse = _by_kind(catalog.model("minimax-m3").layers)["gqa"]
    assert (full.count, sparse.count, sparse.dims["topk"]) == (3, 57, 2048)
    assert "topk" not in full.dims


def test_layers_of_their_own_width() -> None:
    blocks = _by_kind(catalog.model("nemotron-super-49b").layers)
    assert sum(b.count for b in blocks["gqa"]) == 49
    assert sum(b.count for b in blocks["mlp"]) == 80


def test_moe_layers_in_several_spellings() -> None:
    config = LLAMA | MOE | {"model_type": "qwen3_moe"}
    for spelt, sparse in (
        ({}, 4),
        ({"first_k_dense_replace": 1}, 3),
        ({"mlp_only_layers": [0, 1]}, 2),
        ({"decoder_sparse_step": 2}, 2),
        ({"moe_layer_freq": [0, 1, 1, 1]}, 3),
        ({"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}, 3),
    ):
        kinds = {b.kind: b.count for b in shape(config | spelt).layers}
        assert (kinds["moe"], kinds.get("mlp", 0)) == (sparse, 4 - sparse), spelt


def _config(model_id: str) -> dict[str, Any]:
    content: dict[str, Any] = read_toml(model_path(model_id))["config"]
    return content


@pytest.mark.parametrize(
    ("quantization", "weights"),
    [
        (None, "bf16"),
        ({"quant_method": "fp8", "fmt": "e4m3"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_algo": "NVFP4", "quant_method": "modelopt"}, "nvfp4"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}},
            },
            "int4",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int"}}},
            },
            "int8",
        ),
    ],
)
def test_weights_by_what_quantised_them(quantization: object, weights: str) -> None:
    assert weight_format(LLAMA | {"quantization_config": quantization}) == weights


def test_weights_by_dtype() -> None:
    assert weight_format({"torch_dtype": "float16"}) == "fp16"
    assert weight_format({"dtype": "torch.bfloat16"}) == "bf16"
    assert weight_format({"expert_dtype": "fp4", "quantization_config": {"fmt": "e4m3"}}) == "mxfp4"


@pytest.mark.parametrize(
    ("change", "attribute", "complaint"),
    [
        ({"model_type": "nobody"}, "model_type", "unknown architecture 'nobody'; known are"),
        ({"model_type": None}, "model_type", "unknown architecture None"),
        ({"hidden_size": None}, "hidden_size", "is missing"),
        ({"vocab_size": "many"}, "vocab_size", "a whole number was expected"),
        ({"vocab_size": float("nan")}, "vocab_size", "from 1 to .* was expected, not nan"),
        ({"num_hidden_layers": -3}, "num_hidden_layers", "from 1 to .* was expected, not -3"),
        ({"num_hidden_layers": 2.5}, "num_hidden_layers", "not 2.5"),
        ({"num_hidden_layers": True}, "num_hidden_layers", "not True"),
        ({"num_key_value_heads": 3}, "num_key_value_heads", "3 does not divide 8"),
    ],
)
def test_wrong_config_says_which_key(
    change: dict[str, Any], attribute: str, complaint: str
) -> None:
    with pytest.raises(BadFact, match=complaint) as caught:
        shape(LLAMA | change)
    assert caught.value.attribute == attribute


def test_more_experts_asked_than_there_are() -> None:
    config = LLAMA | MOE | {"model_type": "qwen3_moe", "num_experts_per_tok": 17}
    with pytest.raises(BadFact, match="more than the 16 experts"):
        shape(config)


def test_more_dense_layers_than_layers() -> None:
    config = LLAMA | MOE | {"model_type": "qwen3_moe", "first_k_dense_replace": 4}
    with pytest.raises(BadFact, match="4 of 4 layers are dense"):
        shape(config)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_every_family_refuses_an_empty_config_by_name(kind: str) -> None:
    with pytest.raises(BadFact):
        shape({"model_type": kind})


def test_config_of_a_user(tmp_path: Path) -> None:
    folder = tmp_path / "My-Model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    model = catalog.model(str(folder))
    assert (model.id, model.family, model.weights) == ("My-Model", "my-model", "bf16")
    assert model.published is None
    assert catalog.model(str(folder / "config.json")).layers == model.layers
    assert model.facts["hidden_size"].value == 64


def test_weights_by_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}')
    assert catalog.model(str(tmp_path)).weights == "fp8"


def test_wrong_config_of_a_user_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA | {"vocab_size": -1}, indent=1))
    with pytest.raises(BadFact, match=r"config\.json: line 8: vocab_size"):
        catalog.model(str(path))


@pytest.mark.parametrize("text", ["[1]", '"llama"', "3"])
def test_json_that_is_no_config(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(BadFact, match="an object with the keys"):
        catalog.model(str(path))


def test_config_of_another_form_is_refused_without_traceback(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    blocks = [{"attention": {}}]
    path.write_text(json.dumps(LLAMA | {"model_type": "deci", "block_configs": blocks}))
    with pytest.raises(BadFact, match="not as its architecture needs it"):
        catalog.model(str(path))
