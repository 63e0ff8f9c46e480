"""One function for each kind of model block: dimensions → what it stores and multiplies.

A `Layer` is a block in a form that speed, memory and parameter count are all read from; to add a
kind of block is to add one function here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from chipwise.errors import BadInput
from chipwise.registry import BLOCKS, block
from chipwise.types import Block, Model

__all__ = ["Cache", "Experts", "Layer", "Linear", "layers", "parameters"]

Dims = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight of k×n. `split`: the dimension that tensor parallelism divides, or none."""

    n: float
    k: float
    role: str
    split: str = "n"


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts: how many, how many for each token, weights and width of one."""

    experts: float
    topk: float
    weights: float
    width: float
    ffn: float


@dataclass(frozen=True, slots=True)
class Cache:
    """What attention keeps and reads.

    `elements` kept for each token; `shards` into which tensor parallelism can divide it;
    `decode` and `prefill` flops for each cached token and for each (query, key) pair; `window`
    keys at most (0: all); `thin`: one kept token stands for so many of the text. `index` are
    elements read besides for each token to choose which, with `index_flops`.
    """

    elements: float
    shards: float
    decode: float
    prefill: float
    window: float = 0.0
    thin: float = 1.0
    keeps_window: bool = False
    index: float = 0.0
    index_flops: float = 0.0


@dataclass(frozen=True, slots=True)
class Layer:
    """A block in full; `reduces` counts its all-reduces, `state` bytes of a sequence."""

    kind: str
    linears: tuple[Linear, ...] = ()
    caches: tuple[Cache, ...] = ()
    experts: Experts | None = None
    state: float = 0.0
    reduces: float = 1.0
    count: float = field(default=1.0, compare=False)


@block("gqa")
def gqa(d: Dims, hidden: float) -> Layer:
    """Grouped-query attention [1]_; multi-head where kv_heads = heads.

    4·head_dim flops for each head and cached token: score and weighted sum.

    References
    ----------
    .. [1] J. Ainslie et al., "GQA," EMNLP 2023, arXiv:2305.13245.
    """
    heads, kv, dim = d["heads"], d["kv_heads"], d["head_dim"]
    value = d.get("v_dim", dim)
    queries = heads * dim + (heads * value if d.get("gated", 0) else 0.0)
    window = d.get("window", 0)
    flops = 2 * heads * (dim + value)
    return Layer(
        "gqa",
        (
            Linear(queries + kv * (dim + value), hidden, "attention"),
            Linear(hidden, heads * value, "attention", "k"),
        ),
        (Cache(kv * (dim + value), kv, flops, flops, window, keeps_window=window > 0),),
    )


def _mla_linears(d: Dims, hidden: float) -> tuple[Linear, ...]:
    heads, rank, rope = d["heads"], d["kv_rank"], d["rope"]
    query = heads * (d["nope"] + rope)
    low = d.get("q_rank", 0)
    down = (Linear(low, hidden, "attention", "none"),) if low else ()
    return (
        *down,
        Linear(query, low or hidden, "attention"),
        Linear(rank + rope, hidden, "attention", "none"),
        Linear(heads * (d["nope"] + d["v_dim"]), rank, "attention"),
        Linear(hidden, heads * d["v_dim"], "attention", "k"),
    )


@block("mla")
def mla(d: Dims, hidden: float) -> Layer:
    """Multi-head latent attention [1]_: decode runs on the latent, prefill on full heads.

    The latent is one for all heads, so tensor parallelism does not divide the cache.

    References
    ----------
    .. [1] DeepSeek-AI, "DeepSeek-V2," arXiv:2405.04434, section 2.1.
    """
    heads, latent = d["heads"], d["kv_rank"] + d["rope"]
    cache = Cache(
        latent,
        1,
        2 * heads * (latent + d["kv_rank"]),
        2 * heads * (d["nope"] + d["rope"] + d["v_dim"]),
    )
    return Layer("mla", _mla_linears(d, hidden), (cache,))


@block("dsa")
def dsa(d: Dims, hidden: float) -> Layer:
    """Latent attention over the `topk` keys that an indexer chooses [1]_.

    The indexer reads a key of index_dim bytes (fp8) for each cached token; of `index_every`
    layers one computes it.

    References
    ----------
    .. [1] DeepSeek-AI, "DeepSeek-V3.2-Exp," 2025.
    """
    whole = mla(d, hidden).caches[0]
    heads, dim, every = d["index_heads"], d["index_dim"], d.get("index_every", 1)
    cache = Cache(
        whole.elements,
        1,
        whole.decode,
        whole.prefill,
        window=d["topk"],
        index=dim / every,
        index_flops=2 * heads * dim / every,
    )
    indexer = (
        Linear(heads * dim / every, d.get("q_rank", 0) or hidden, "attention", "none"),
        Linear((dim + heads) / every, hidden, "attention", "none"),
    )
    return Layer("dsa", (*_mla_linears(d, hidden), *indexer), (cache,))


@block("csa")
def csa(d: Dims, hidden: float) -> Layer:
    """Compressed sparse attention of DeepSeek-V4, as far as its config tells.

    One shared key-value of head_dim for `ratio` tokens, of which topk are chosen where an indexer
    is set, beside a sliding window of single tokens; the output projection is low-rank in groups.
    """
    heads, dim, ratio = d["heads"], d["head_dim"], d["ratio"]
    flops = 4 * heads * dim
    window = Cache(dim, 1, flops, flops, window=d["window"], keeps_window=True)
    caches = [window]
    linears = [
        Linear(d["q_rank"], hidden, "attention", "none"),
        Linear(heads * dim, d["q_rank"], "attention"),
        Linear(dim, hidden, "attention", "none"),
        Linear(d["o_groups"] * d["o_rank"], heads * dim / d["o_groups"], "attention", "n"),
        Linear(hidden, d["o_groups"] * d["o_rank"], "attention", "none"),
    ]
    if ratio:
        # Short ratios choose among the compressed keys, long ones read them all.
        chosen = d["topk"] if ratio < 16 else 0
        index = d["index_dim"] / ratio if chosen else 0.0
        linears.append(Linear(2 * dim, hidden, "attention", "none"))
        if chosen:
            linears.append(
                Linear(d["index_heads"] * d["index_dim"], d["q_rank"], "attention", "none")
            )
            linears.append(Linear(2 * d["index_dim"], hidden, "attention", "none"))
        caches.append(
            Cache(
                dim,
                1,
                flops,
                flops,
                window=chosen,
                thin=ratio,
                index=index,
                index_flops=2 * d["index_heads"] * index,
            )
        )
    return Layer("csa", tuple(linears), tuple(caches))


@block("delta")
def delta(d: Dims, hidden: float) -> Layer:
    """Gated delta-rule linear attention [1]_: a state of key×value for each value head.

    The state is kept in fp32 and read and written once for each decoded token.

    References
    ----------
    .. [1] S. Yang et al., "Gated Delta Networks," ICLR 2025, arXiv:2412.06464.
    """
    keys, values = d["key_heads"] * d["key_dim"], d["value_heads"] * d["value_dim"]
    return Layer(
        "delta",
        (
            # query, key, value, output gate, and the two scalars (decay, beta) of each head
            Linear(2 * keys + 2 * values + 2 * d["value_heads"], hidden, "attention"),
            Linear(hidden, values, "attention", "k"),
        ),
        state=4.0 * d["value_heads"] * d["key_dim"] * d["value_dim"],
    )


@block("mamba")
def mamba(d: Dims, hidden: float) -> Layer:
    """Mamba-2 mixer [1]_: input and output projection and a state for each head.

    References
    ----------
    .. [1] T. Dao, A. Gu, "Transformers are SSMs," ICML 2024, arXiv:2405.21060.
    """
    inner = d["heads"] * d["head_dim"]
    groups = d["groups"] * d["state"]
    return Layer(
        "mamba",
        (
            Linear(2 * inner + 2 * groups + d["heads"], hidden, "attention"),
            Linear(hidden, inner, "attention", "k"),
        ),
        state=4.0 * inner * d["state"],
    )


@block("mlp")
def mlp(d: Dims, hidden: float) -> Layer:
    """Feed-forward layer; gated (SwiGLU) has three weights, plain has two."""
    up = (1 + d.get("gated", 1)) * d["ffn"]
    return Layer("mlp", (Linear(up, hidden, "dense"), Linear(hidden, d["ffn"], "dense", "k")))


@block("moe")
def moe(d: Dims, hidden: float) -> Layer:
    """Mixture of experts: router, routed experts, shared experts.

    With `latent`, routed experts work at that width, between two projections.
    """
    up = 1 + d.get("gated", 1)
    latent = d.get("latent", 0)
    width = latent or hidden
    linears = [Linear(d["experts"], hidden, "router", "none")]
    if shared := d.get("shared", 0):
        linears += [Linear(up * shared, hidden, "shared"), Linear(hidden, shared, "shared", "k")]
    if latent:
        linears += [
            Linear(latent, hidden, "shared", "none"),
            Linear(hidden, latent, "shared", "none"),
        ]
    routed = Experts(d["experts"], d["topk"], (up + 1) * width * d["ffn"], width, d["ffn"])
    return Layer("moe", tuple(linears), experts=routed)


def _layer(part: Block, hidden: float) -> Layer:
    if part.kind not in BLOCKS:
        raise BadInput(f"unknown block kind {part.kind!r}; known are {', '.join(sorted(BLOCKS))}")
    made: Layer = BLOCKS[part.kind](part.dims, hidden)
    return Layer(
        made.kind,
        made.linears,
        made.caches,
        made.experts,
        made.state,
        made.reduces,
        float(part.count),
    )


@lru_cache(maxsize=256)
def layers(model: Model) -> tuple[Layer, ...]:
    """The model's blocks in full, each with its count."""
    return tuple(_layer(part, float(model.hidden)) for part in model.layers)


def parameters(model: Model) -> float:
    """Number of weights, from the dimensions alone; norms and biases are left out. [1]

    Examples
    --------
    >>> from chipwise.types import Block, Model
    >>> toy = Model("toy", "toy", (Block("mlp", 2, {"ffn": 8}),), 4, 10, False, "bf16", None, 2)
    >>> parameters(toy)
    272.0
    """
    embedding = model.vocab * model.hidden * (1.0 if model.tied else 2.0)
    return embedding + sum(
        layer.count
        * (
            sum(part.n * part.k for part in layer.linears)
            + (layer.experts.experts * layer.experts.weights if layer.experts else 0.0)
        )
        for layer in layers(model)
    )
