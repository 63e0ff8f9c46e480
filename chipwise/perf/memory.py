"""Weights, KV cache, activations, buffers → bytes of one chip, and the batch that fits."""

from __future__ import annotations

import numpy as np

from chipwise.perf.blocks import Cache, Layer, Linear, layers
from chipwise.perf.engines import defaults
from chipwise.perf.formats import KV_WIDTH, WEIGHT_WIDTH, role_format
from chipwise.types import Calibration, Deployment, Memory, Model, Numeric, Side

__all__ = ["batch_limit", "footprint", "kv_blocks", "kv_bytes", "kv_read", "room", "weight_bytes"]


def _width(model: Model, weights: str, role: str) -> float:
    sparse = any(part.kind == "moe" for part in model.layers)
    return WEIGHT_WIDTH[role_format(weights, role, sparse=sparse)]


def _linear_bytes(part: Linear, width: float, tp: Numeric) -> Numeric:
    return part.n * part.k * width / (1.0 if part.split == "none" else tp)


def _layer_bytes(model: Model, layer: Layer, weights: str, side: Side) -> Numeric:
    dense: Numeric = 0.0
    for part in layer.linears:
        dense = dense + _linear_bytes(part, _width(model, weights, part.role), side.tp)
    if layer.experts is None:
        return dense
    routed = layer.experts.experts * layer.experts.weights * _width(model, weights, "experts")
    return dense + routed / (side.tp * side.dp)


def weight_bytes(model: Model, weights: str, side: Side) -> Numeric:
    """Bytes of the weights on one chip. [byte]

    Attention is divided by tp and repeated on the dp ranks; routed experts are divided by
    tp × dp; all layers by pp. Embedding and head are bf16; with pp > 1 a chip holds one of them.

    Parameters
    ----------
    model : Model
        What is stored.
    weights : str
        Format of the weights.
    side : Side
        Its degrees may be arrays.
    """
    total: Numeric = 0.0
    for layer in layers(model):
        total = total + layer.count * _layer_bytes(model, layer, weights, side)
    table = model.vocab * model.hidden * _width(model, weights, "head") / side.tp
    ends = table * np.where(np.asarray(side.pp) > 1, 1.0, 1.0 if model.tied else 2.0)[()]
    return total / side.pp + ends


def _kept(cache: Cache, length: Numeric) -> Numeric:
    kept = length / cache.thin
    return np.minimum(kept, cache.window) if cache.keeps_window else kept


def kv_bytes(model: Model, kv: str, side: Side, length: Numeric) -> Numeric:
    """Cache and state of one sequence of `length` tokens on one chip. [byte]

    A latent cache is not divided by tp; key-value heads are, as far as there are heads. Layers
    with a sliding window keep that window alone.
    """
    width = KV_WIDTH[kv]
    total: Numeric = 0.0 * length
    for layer in layers(model):
        each: Numeric = layer.state / side.tp
        for cache in layer.caches:
            share = cache.elements * width / np.minimum(side.tp, cache.shards)
            each = each + share * _kept(cache, length) + cache.index * length
        total = total + layer.count * each
    return total / side.pp


def kv_read(cache: Cache, kv: str, tp: Numeric) -> Numeric:
    """Bytes that one chip reads of a cached token. [byte]"""
    return cache.elements * KV_WIDTH[kv] / np.minimum(tp, cache.shards)


def _activations(model: Model, side: Side, chunk: Numeric, rows: float) -> Numeric:
    """Peak of the working tensors of an iteration of `chunk` tokens and `rows` logits. [byte]"""
    widest: Numeric = 0.0
    for layer in layers(model):
        for part in layer.linears:
            out = part.n / (side.tp if part.split == "n" else 1.0)
            widest = np.maximum(widest, out)
        if layer.experts is not None:
            routed = layer.experts.topk * (
                layer.experts.width + 2 * layer.experts.ffn / (side.tp * side.dp)
            )
            widest = np.maximum(widest, routed)
    # bf16: hidden, residual, normed copy, and the widest product with its activation; fp32 logits
    return 2.0 * chunk * (3 * model.hidden + 1.5 * widest) + 4.0 * rows * model.vocab / side.tp


def footprint(
    model: Model,
    deployment: Deployment,
    side: Side,
    calibration: Calibration,
    length: Numeric,
) -> Memory:
    """Bytes of one chip by part, with `side.batch` sequences of `length` tokens.

    The engine's rule decides what is left for the cache: vLLM and SGLang take a share
    (`utilisation`) of the whole memory for everything, TensorRT-LLM a share (`free_share`) of
    what is free once weights and activations are in.

    Returns
    -------
    Memory
        All fields broadcast over the side's degrees. [byte]
    """
    engine = calibration.engines[deployment.backend]
    assert side.chip.memory is not None
    capacity = side.chip.memory
    weights = weight_bytes(model, deployment.weights, side)
    # vLLM's profile run, and the others' like it, sample as many rows as may be in flight.
    rows = min(defaults(deployment.backend, side.chip).max_seqs, 1024)
    activations = _activations(model, side, deployment.chunk, rows)
    buffers = engine.values["buffers"]
    per_rank = np.asarray(side.batch) / side.dp
    kv = per_rank * kv_bytes(model, deployment.kv, side, length)
    reserve: Numeric = capacity * (1.0 - engine.values["utilisation"])
    free = capacity - reserve - weights - activations - buffers
    reserve = reserve + np.maximum(free, 0.0) * (1.0 - engine.values["free_share"])
    return Memory(weights, kv, activations, buffers, reserve, capacity)


def room(memory: Memory) -> Numeric:
    """Bytes that are left for the cache on one chip; negative where the weights do not fit."""
    return memory.capacity - (memory.weights + memory.activations + memory.buffers + memory.reserve)


def batch_limit(
    model: Model, deployment: Deployment, side: Side, memory: Memory, length: Numeric
) -> Numeric:
    """Sequences of `length` tokens that a replica holds at once, by memory and by the engine. [1]

    0 where not one fits.
    """
    each = kv_bytes(model, deployment.kv, side, length)
    per_rank = np.floor(np.maximum(room(memory), 0.0) / each)
    most = defaults(deployment.backend, side.chip).max_seqs
    limit: Numeric = (np.minimum(per_rank, most) * np.asarray(side.dp))[()]
    return limit


def kv_blocks(
    model: Model,
    deployment: Deployment,
    side: Side,
    calibration: Calibration,
    length: Numeric,
    size: int,
) -> int:
    """Blocks of `size` tokens that the cache of one rank of `side` has room for. [1]

    A block is taken at the mean over a sequence of `length` tokens, since layers with a window
    or a state do not grow with it.
    """
    free = float(np.asarray(room(footprint(model, deployment, side, calibration, length))))
    each = float(np.asarray(kv_bytes(model, deployment.kv, side, length))) / float(
        np.asarray(length)
    )
    return max(int(free / (each * size)), 0)
