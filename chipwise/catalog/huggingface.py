"""A config.json → the blocks of a Model; one function for each architecture family.

Keys are those of the configs as their makers publish them. A list with one entry a layer may also
be given as counts (``{sliding_attention = 18, full_attention = 18}``): order does not matter here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from chipwise.errors import BadFact
from chipwise.types import Block

__all__ = ["FAMILIES", "Shape", "flatten", "shape", "weight_format"]

Config = Mapping[str, Any]
Family = Callable[[Config], Iterable[Block]]

FAMILIES: dict[str, Family] = {}

# Where a multimodal config keeps its language model.
_NESTS = ("text_config", "language_config", "llm_config", "thinker_config")
# No figure of a network is larger; beyond it the counts made of them leave a float.
_MOST = 10**9
_PATTERN = {"M": "mamba", "-": "mlp", "*": "attention", "E": "moe"}


class Shape(NamedTuple):
    """What a config says of its network."""

    layers: tuple[Block, ...]
    hidden: int
    vocab: int
    tied: bool
    weights: str
    context: int | None
    depth: int


def family(*types: str) -> Callable[[Family], Family]:
    """Register a function for the given values of ``model_type``."""

    def add(function: Family) -> Family:
        FAMILIES.update(dict.fromkeys(types, function))
        return function

    return add


def flatten(config: Config) -> dict[str, Any]:
    """The language model's keys, over those that surround it."""
    flat = dict(config)
    for nest in _NESTS:
        if isinstance(config.get(nest), Mapping):
            flat |= {k: v for k, v in flatten(config[nest]).items() if v is not None}
    return flat


def _find(config: Config, names: tuple[str, ...]) -> tuple[str, Any]:
    for name in names:
        value: Any = config
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return name, value
    return names[0], None


def _int(config: Config, *names: str, default: int | None = None) -> int:
    """The first of the named keys that is there, as a whole number above zero."""
    name, value = _find(config, names)
    if value is None:
        if default is not None:
            return default
        raise BadFact("", name, f"is missing: {' or '.join(names)} is needed")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadFact("", name, f"a whole number was expected, not {value!r}")
    least = 1 if default is None else 0
    if not least <= value <= _MOST or value != int(value):
        span = f"from {least} to {_MOST:,}"
        raise BadFact("", name, f"a whole number {span} was expected, not {str(value)[:40]}")
    return int(value)


def _counts(config: Config, name: str) -> Counter[Any] | None:
    """How often each value occurs in a list with one entry a layer."""
    _, value = _find(config, (name,))
    if isinstance(value, Mapping):
        return Counter({k: int(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return Counter(value)
    return None


def _layers(config: Config) -> int:
    return _int(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")


def _hidden(config: Config) -> int:
    return _int(config, "hidden_size", "n_embd", "d_model")


def _attention(config: Config, count: int, window: int = 0, **over: int) -> Block:
    """Grouped-query attention by the usual keys, `over` replacing any of them."""
    heads = over.get("heads") or _int(config, "num_attention_heads", "n_head", "n_heads")
    kv = over.get("kv_heads") or _int(
        config, "num_key_value_heads", "num_kv_heads", "attn_config.kv_n_heads", default=heads
    )
    hidden = _hidden(config)
    dim = over.get("head_dim") or _int(
        config, "head_dim", "attention_head_dim", default=hidden // heads
    )
    if not kv or heads % kv:
        raise BadFact("", "num_key_value_heads", f"{kv} does not divide {heads} attention heads")
    if not dim:
        raise BadFact("", "head_dim", f"is 0 with {heads} heads over a width of {hidden}")
    dims = {
        "heads": heads,
        "kv_heads": kv,
        "head_dim": dim,
        "v_dim": over.get("v_dim") or dim,
        "window": window,
        "gated": over.get("gated", 0),
    }
    return Block("gqa", count, dims)


def _mlp(config: Config, count: int, ffn: int | None = None, gated: int = 1) -> Block:
    width = ffn or _int(config, "intermediate_size", "n_inner", default=4 * _hidden(config))
    return Block("mlp", count, {"ffn": width, "gated": gated})


def _moe(config: Config, count: int, **over: int) -> Block:
    """Mixture of experts by the usual keys, `over` replacing any of them."""
    ffn = over.get("ffn") or _int(config, "moe_intermediate_size", "intermediate_size")
    dims = {
        "experts": _int(config, "n_routed_experts", "num_local_experts", "num_experts"),
        "topk": _int(
            config,
            "num_experts_per_tok",
            "num_experts_per_token",
            "experts_per_token",
            "top_k_experts",
        ),
        "ffn": ffn,
        "shared": over.get("shared", 0),
        "gated": over.get("gated", 1),
        "latent": over.get("latent", 0),
    }
    if dims["topk"] > dims["experts"]:
        raise BadFact("", "num_experts_per_tok", f"is more than the {dims['experts']} experts")
    return Block("moe", count, dims)


def _sparse_layers(config: Config) -> int:
    """How many layers are mixtures of experts, in the several ways of saying so."""
    layers = _layers(config)
    if (kinds := _counts(config, "mlp_layer_types")) is not None:
        return kinds["sparse"]
    if (flags := _counts(config, "moe_layer_freq")) is not None:
        return flags[1] + flags["1"]
    listed = config.get("moe_layers_enum")
    if isinstance(listed, str) and listed:
        return len(listed.split(","))
    every = _int(config, "moe_layer_freq", "decoder_sparse_step", default=1) or 1
    dense = _int(config, "first_k_dense_replace", default=0) + len(
        config.get("mlp_only_layers") or ()
    )
    if dense >= layers:
        raise BadFact("", "first_k_dense_replace", f"{dense} of {layers} layers are dense")
    return (layers - dense) // every


def _feed_forward(config: Config, sparse: Block, **dense: int) -> list[Block]:
    """The mixtures, and plain layers for the rest."""
    rest = _layers(config) - sparse.count
    return [sparse] + ([_mlp(config, rest, **dense)] if rest else [])


def _windows(config: Config) -> list[tuple[int, int]]:
    """(layers, window) of the attention layers, 0 being full attention."""
    layers, window = _layers(config), _int(config, "sliding_window", default=0)
    if (kinds := _counts(config, "layer_types")) is not None:
        chunk = _int(config, "attention_chunk_size", default=0)
        split = [
            (kinds["full_attention"], 0),
            (kinds["sliding_attention"], window),
            (kinds["chunked_attention"], chunk),
        ]
        return [(count, reach) for count, reach in split if count]
    if not window or config.get("use_sliding_window") is False:
        return [(layers, 0)]
    if pattern := _int(config, "sliding_window_pattern", default=0):
        full = layers // pattern
    elif config.get("use_sliding_window"):
        full = min(_int(config, "max_window_layers", default=0), layers)
    else:
        full = 0
    return [(n, w) for n, w in ((full, 0), (layers - full, window)) if n]


def _attentions(config: Config, **over: int) -> list[Block]:
    return [_attention(config, count, window, **over) for count, window in _windows(config)]


@family(
    "llama", "mistral", "ministral", "qwen2", "qwen3", "qwen3_vl_text", "qwen3_vl", "mimo", "yi",
    "internlm2", "internlm3", "baichuan", "gemma", "gemma2", "gemma3", "gemma3_text", "phi3",
    "olmo", "olmo2", "olmo3", "cohere", "cohere2", "granite", "exaone4", "glm", "glm4", "smollm3",
    "seed_oss", "stablelm",
)  # fmt: skip
def gated_dense(config: Config) -> Iterable[Block]:
    """Attention and a gated feed-forward layer, as in Llama."""
    return [*_attentions(config), _mlp(config, _layers(config))]


@family("gpt2", "gptj", "gpt_neox", "gpt_neo", "opt", "bloom", "starcoder2", "nemotron", "gpt3")
def plain_dense(config: Config) -> Iterable[Block]:
    """Attention and a feed-forward layer of two weights, as in GPT-3."""
    return [*_attentions(config), _mlp(config, _layers(config), gated=0)]


@family("mpt")
def mpt(config: Config) -> Iterable[Block]:
    """MPT: width of the feed-forward layer as a multiple of the hidden size."""
    ffn = _int(
        config,
        "intermediate_size",
        default=_int(config, "expansion_ratio", default=4) * _hidden(config),
    )
    return [*_attentions(config), _mlp(config, _layers(config), ffn, gated=0)]


@family("falcon", "RefinedWeb", "RefinedWebModel")
def falcon(config: Config) -> Iterable[Block]:
    """Falcon: attention and a plain feed-forward layer side by side."""
    new = config.get("new_decoder_architecture") or "num_key_value_heads" in config
    over = {} if new else {"kv_heads": 1 if config.get("multi_query", True) else 0}
    ffn = _int(config, "intermediate_size", "ffn_hidden_size", default=4 * _hidden(config))
    return [*_attentions(config, **over), _mlp(config, _layers(config), ffn, gated=0)]


@family(
    "mixtral",
    "qwen3_moe",
    "qwen3_vl_moe",
    "qwen3_vl_moe_text",
    "qwen2_moe",
    "phimoe",
    "granitemoe",
    "minimax_m2",
    "gpt_oss",
    "olmoe",
)
def plain_moe(config: Config) -> Iterable[Block]:
    """Attention and routed experts in each layer, some with a shared expert."""
    shared = _int(config, "shared_expert_intermediate_size", "shared_intermediate_size", default=0)
    return [
        *_attentions(config),
        *_feed_forward(config, _moe(config, _sparse_layers(config), shared=shared)),
    ]


@family("glm4_moe", "ernie4_5_moe", "dots1", "hunyuan_v1_moe", "bailing_moe")
def shared_moe(config: Config) -> Iterable[Block]:
    """Attention, a few dense layers, then routed and shared experts."""
    shared = _int(config, "n_shared_experts", default=0) * _int(config, "moe_intermediate_size")
    return [
        *_attentions(config),
        *_feed_forward(config, _moe(config, _sparse_layers(config), shared=shared)),
    ]


@family("minimax_m3", "minimax_m3_vl")
def minimax_m3(config: Config) -> Iterable[Block]:
    """MiniMax-M3: block-sparse attention in all but the first layers.

    The sparse layers keep every key and read `topk` of them, chosen by an indexer in blocks.
    """
    layers = _layers(config)
    flags = _counts(config, "sparse_attention_config.sparse_attention_freq")
    sparse = flags[1] + flags["1"] if flags else 0
    size = _int(config, "sparse_attention_config.sparse_block_size", default=128)
    chosen = {
        "topk": size * _int(config, "sparse_attention_config.sparse_topk_blocks", default=0),
        "index_heads": _int(config, "sparse_attention_config.sparse_num_index_heads", default=0),
        "index_dim": _int(config, "sparse_attention_config.sparse_index_dim", default=0),
    }
    full = _attention(config, layers - sparse)
    thin = Block("gqa", sparse, {**full.dims, **chosen})
    shared = _int(config, "shared_intermediate_size", default=0)
    mixture = _moe(config, _sparse_layers(config), shared=shared)
    dense = _int(config, "dense_intermediate_size", "intermediate_size")
    blocks = [full, thin, *_feed_forward(config, mixture, ffn=dense)]
    return [part for part in blocks if part.count]


@family("llama4", "llama4_text")
def llama4(config: Config) -> Iterable[Block]:
    """Llama 4: experts in every n-th layer, with a shared expert of the same width."""
    layers, step = _layers(config), _int(config, "interleave_moe_layer_step", default=1)
    ffn = _int(config, "intermediate_size")
    sparse = _moe(config, layers // step, ffn=ffn, shared=ffn)
    return [
        *_attentions(config),
        *_feed_forward(config, sparse, ffn=_int(config, "intermediate_size_mlp")),
    ]


def _latent(config: Config) -> dict[str, float]:
    return {
        "heads": _int(config, "num_attention_heads"),
        "q_rank": _int(config, "q_lora_rank", default=0),
        "kv_rank": _int(config, "kv_lora_rank"),
        "nope": _int(config, "qk_nope_head_dim"),
        "rope": _int(config, "qk_rope_head_dim"),
        "v_dim": _int(config, "v_head_dim"),
    }


def _deepseek_experts(config: Config) -> list[Block]:
    width = _int(config, "moe_intermediate_size")
    shared = _int(config, "n_shared_experts", "num_shared_experts", default=0) * width
    return _feed_forward(config, _moe(config, _sparse_layers(config), shared=shared))


@family("deepseek_v2", "deepseek_v3", "kimi_k2", "kimi_k25", "pangu_ultra_moe")
def deepseek(config: Config) -> Iterable[Block]:
    """Multi-head latent attention, a few dense layers, then routed and shared experts."""
    return [Block("mla", _layers(config), _latent(config)), *_deepseek_experts(config)]


@family("deepseek_v32", "glm_moe_dsa")
def deepseek_sparse(config: Config) -> Iterable[Block]:
    """Latent attention over the keys that an indexer chooses, which some layers share."""
    index = {
        "index_heads": _int(config, "index_n_heads"),
        "index_dim": _int(config, "index_head_dim"),
        "topk": _int(config, "index_topk"),
        "index_every": _int(config, "index_topk_freq", default=1) or 1,
    }
    return [
        Block("dsa", _layers(config), {**_latent(config), **index}),
        *_deepseek_experts(config),
    ]


@family("deepseek_v4")
def deepseek_v4(config: Config) -> Iterable[Block]:
    """DeepSeek-V4: a block for each compression ratio; all layers are mixtures."""
    layers = _layers(config)
    raw = config.get("compress_ratios")
    # The list goes on with the layers of the speculative head.
    ratios = (
        Counter(raw[:layers])
        if isinstance(raw, (list, tuple))
        else _counts(config, "compress_ratios")
    )
    if not ratios or sum(ratios.values()) != layers:
        raise BadFact("", "compress_ratios", f"one entry for each of {layers} layers is needed")
    dims = {
        "heads": _int(config, "num_attention_heads"),
        "head_dim": _int(config, "head_dim"),
        "q_rank": _int(config, "q_lora_rank"),
        "o_rank": _int(config, "o_lora_rank"),
        "o_groups": _int(config, "o_groups"),
        "rope": _int(config, "qk_rope_head_dim"),
        "window": _int(config, "sliding_window"),
        "index_heads": _int(config, "index_n_heads"),
        "index_dim": _int(config, "index_head_dim"),
        "topk": _int(config, "index_topk"),
    }
    attention = [
        Block("csa", count, {**dims, "ratio": int(ratio)})
        for ratio, count in sorted(ratios.items(), key=lambda pair: int(pair[0]))
    ]
    shared = _int(config, "n_shared_experts", default=0) * _int(config, "moe_intermediate_size")
    return [*attention, _moe(config, layers, shared=shared)]


@family("kimi_linear", "kimi_k3")
def kimi_linear(config: Config) -> Iterable[Block]:
    """Kimi Linear: delta-rule attention (KDA) beside latent attention in every few layers."""
    layers = _layers(config)
    full = config.get("linear_attn_config", {}).get("full_attn_layers")
    count = len(full) if isinstance(full, (list, tuple)) else full
    if not isinstance(count, int) or not 0 <= count <= layers:
        raise BadFact("", "linear_attn_config.full_attn_layers", "a list of layers is needed")
    heads = _int(config, "linear_attn_config.num_heads")
    dim = _int(config, "linear_attn_config.head_dim")
    delta = {
        "key_heads": heads,
        "value_heads": heads,
        "key_dim": dim,
        "value_dim": dim,
        "conv": _int(config, "linear_attn_config.short_conv_kernel_size", default=0),
    }
    width = _int(config, "moe_intermediate_size")
    mixture = _moe(
        config,
        _sparse_layers(config),
        shared=_int(config, "num_shared_experts", default=0) * width,
        latent=_int(config, "routed_expert_hidden_size", default=0),
    )
    return [
        Block("mla", count, _latent(config)),
        Block("delta", layers - count, delta),
        *_feed_forward(config, mixture),
    ]


@family("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text")
def gated_delta(config: Config) -> Iterable[Block]:
    """Qwen3-Next and 3.5: gated delta nets, and gated full attention in every few layers."""
    layers, kinds = _layers(config), _counts(config, "layer_types")
    every = _int(config, "full_attention_interval", default=4) or 4
    full = kinds["full_attention"] if kinds is not None else layers // every
    delta = {
        "key_heads": _int(config, "linear_num_key_heads"),
        "value_heads": _int(config, "linear_num_value_heads"),
        "key_dim": _int(config, "linear_key_head_dim"),
        "value_dim": _int(config, "linear_value_head_dim"),
        "conv": _int(config, "linear_conv_kernel_dim", default=0),
    }
    attention = [_attention(config, full, gated=1), Block("delta", layers - full, delta)]
    if not _find(config, ("num_experts",))[1]:
        return [*attention, _mlp(config, layers)]
    shared = _int(config, "shared_expert_intermediate_size", default=0)
    mixture = _moe(config, _sparse_layers(config), shared=shared)
    return [*attention, *_feed_forward(config, mixture)]


@family("gemma4", "gemma4_text")
def gemma4(config: Config) -> Iterable[Block]:
    """Gemma 4: sliding windows beside full attention of other heads; experts beside the mlp."""
    layers, kinds = _layers(config), _counts(config, "layer_types")
    if kinds is None:
        raise BadFact("", "layer_types", "is needed: one entry a layer")
    full = _attention(
        config,
        kinds["full_attention"],
        kv_heads=_int(config, "num_global_key_value_heads", "num_key_value_heads"),
        head_dim=_int(config, "global_head_dim", "head_dim"),
    )
    window = _int(config, "sliding_window")
    blocks = [full, _attention(config, kinds["sliding_attention"], window), _mlp(config, layers)]
    return [*blocks, _moe(config, layers)] if config.get("enable_moe_block") else blocks


@family("mimo_v2_flash", "mimo_v2")
def mimo_v2(config: Config) -> Iterable[Block]:
    """MiMo-V2: full and sliding attention of other heads, one dense layer, then experts."""
    kinds = _counts(config, "hybrid_layer_pattern")
    if kinds is None:
        raise BadFact("", "hybrid_layer_pattern", "is needed: one entry a layer")
    full = _attention(config, kinds[0] + kinds["0"], v_dim=_int(config, "v_head_dim"))
    sliding = _attention(
        config,
        kinds[1] + kinds["1"],
        _int(config, "sliding_window", "sliding_window_size"),
        heads=_int(config, "swa_num_attention_heads"),
        kv_heads=_int(config, "swa_num_key_value_heads"),
        head_dim=_int(config, "swa_head_dim"),
        v_dim=_int(config, "swa_v_head_dim"),
    )
    return [full, sliding, *_deepseek_experts(config)]


@family("step3p5", "step3p5_flash", "step3p7")
def step3(config: Config) -> Iterable[Block]:
    """Step 3.5 and 3.7: full and sliding attention, a few dense layers, then experts."""
    kinds = _counts(config, "layer_types")
    if kinds is None:
        raise BadFact("", "layer_types", "is needed: one entry a layer")
    sliding = _attention(
        config,
        kinds["sliding_attention"],
        _int(config, "sliding_window"),
        heads=_int(config, "attention_other_setting.num_attention_heads", "num_attention_heads"),
    )
    shared = _int(config, "share_expert_dim", default=0)
    mixture = _moe(config, _sparse_layers(config), shared=shared)
    full = _attention(config, kinds["full_attention"])
    return [full, sliding, *_feed_forward(config, mixture)]


@family("nemotron_h")
def nemotron_h(config: Config) -> Iterable[Block]:
    """Nemotron-H and Nemotron 3: each layer is a mixer, attention, feed-forward or experts."""
    kinds = _counts(config, "layers_block_type")
    if kinds is None:
        pattern = config.get("hybrid_override_pattern")
        if not isinstance(pattern, str) or set(pattern) - set(_PATTERN):
            raise BadFact("", "hybrid_override_pattern", f"a text of {''.join(_PATTERN)} is needed")
        kinds = Counter(_PATTERN[c] for c in pattern)
    blocks = []
    if kinds["attention"]:
        blocks.append(_attention(config, kinds["attention"]))
    if kinds["mamba"]:
        mixer = {
            "heads": _int(config, "mamba_num_heads"),
            "head_dim": _int(config, "mamba_head_dim"),
            "state": _int(config, "ssm_state_size"),
            "groups": _int(config, "n_groups"),
            "conv": _int(config, "conv_kernel", default=0),
        }
        blocks.append(Block("mamba", kinds["mamba"], mixer))
    if kinds["mlp"]:
        blocks.append(_mlp(config, kinds["mlp"], gated=0))
    if kinds["moe"]:
        wide = _int(config, "moe_shared_expert_intermediate_size", default=0)
        shared = wide * _int(config, "n_shared_experts", default=1)
        latent = _int(config, "moe_latent_size", default=0)
        blocks.append(_moe(config, kinds["moe"], shared=shared, gated=0, latent=latent))
    return blocks


@family("nemotron-nas", "deci")
def deci(config: Config) -> Iterable[Block]:
    """DeciLM: attention or not, and a feed-forward layer of its own width, layer by layer."""
    heads, hidden = _int(config, "num_attention_heads"), _hidden(config)
    attention: Counter[int] = Counter()
    feed: Counter[int] = Counter()
    for part in config.get("block_configs") or ():
        count, mixer, ffn = part.get("count", 1), part["attention"], part["ffn"]
        if not mixer.get("no_op"):
            attention[heads // mixer["n_heads_in_group"]] += count
        if not ffn.get("no_op"):
            # as the model's own code rounds it: two thirds of the multiple, up to 256
            feed[-(-int(2 * ffn["ffn_mult"] * hidden / 3) // 256) * 256] += count
    if not feed:
        raise BadFact("", "block_configs", "is needed: what each layer is")
    return [
        *(_attention(config, n, kv_heads=kv) for kv, n in sorted(attention.items())),
        *(_mlp(config, n, width) for width, n in sorted(feed.items())),
    ]


def _quantised_as(quant: Config) -> str | None:
    """Format of the weights by what quantised them, None where nothing did."""
    text = str({key: value for key, value in quant.items() if key != "ignore"}).lower()
    method = str(quant.get("quant_method", "")).lower()
    if named := next((form for form in ("mxfp4", "nvfp4") if form in text), None):
        return named
    if method in ("awq", "gptq", "auto-round", "bitsandbytes") or "'num_bits': 4" in text:
        return "int8" if quant.get("bits", quant.get("w_bit")) == 8 else "int4"
    eight = "'num_bits': 8" in text
    if "fp8" in text or "e4m3" in text or (eight and "'type': 'float'" in text):
        return "fp8"
    return "int8" if eight or "int8" in text else None


def weight_format(config: Config) -> str:
    """Format in which the weights are published, by ``quantization_config`` and ``torch_dtype``."""
    if str(config.get("expert_dtype", "")).lower() in ("fp4", "mxfp4"):
        return "mxfp4"
    quant = config.get("quantization_config")
    if isinstance(quant, Mapping) and (form := _quantised_as(quant)):
        return form
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16")
    return {"float16": "fp16", "half": "fp16"}.get(dtype.removeprefix("torch."), "bf16")


def _depth(config: Config) -> int:
    kinds = _counts(config, "layers_block_type")
    return sum(kinds.values()) if kinds is not None else _layers(config)


def shape(config: Config) -> Shape:
    """What a config says of its network.

    Parameters
    ----------
    config : mapping
        A config.json as its maker publishes it; a multimodal one counts its language model alone.

    Raises
    ------
    BadFact
        If a key is missing or absurd, or the architecture is not known; its file is empty, since
        it is not known here.
    """
    flat = flatten(config)
    kind = flat.get("model_type")
    if kind not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise BadFact("", "model_type", f"unknown architecture {kind!r}; known are {known}")
    blocks = tuple(part for part in FAMILIES[kind](flat) if part.count)
    return Shape(
        blocks,
        _hidden(flat),
        _int(flat, "vocab_size"),
        bool(flat.get("tie_word_embeddings", False)),
        weight_format(flat),
        _int(flat, "max_position_embeddings", "n_positions", "max_seq_len", default=0) or None,
        _depth(flat),
    )
