"""Bytes of one chip in training: weights, gradients, optimiser, activations, buffers.

References
----------
.. [1] V. Korthikanti et al., "Reducing activation recomputation in large transformer models,"
   MLSys 2023, arXiv:2205.05198: 34 bytes for each token and unit of width in a GPT layer.
.. [2] S. Rajbhandari et al., "ZeRO," SC 2020, arXiv:1910.02054.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipwise.perf.blocks import Layer, layers
from chipwise.perf.training import PRECISIONS, Layout, Training, held_weights, trained
from chipwise.types import Model, Numeric

__all__ = ["TrainingMemory", "training_memory", "training_total"]

_WIDE, _FULL = 2.0, 4.0
_GI = 2.0**30
# Context of the driver, collectives' channels, workspaces of the kernels.
_BUFFERS = 3.0 * _GI
# What the allocator loses to fragments, as a share of the activations.
_FRAGMENTS = 0.05
# What selective recomputation leaves of a dense layer's 34 bytes: norms' and activations' outputs
# are dropped [1]_.
_SELECTIVE = 0.62


@dataclass(frozen=True, slots=True, eq=False)
class TrainingMemory:
    """Bytes of the fullest chip by part, all ∿; `capacity` is what the driver reports. [byte]"""

    weights: Numeric
    gradients: Numeric
    optimiser: Numeric
    activations: Numeric
    buffers: Numeric
    capacity: float


def _kept(layer: Layer, hidden: float, width: float) -> tuple[float, float, float]:
    """Bytes of a token kept in a layer: outside routed experts, inside, and inside at least.

    Inputs and outputs of its products and a copy of the hidden state: 34 bytes for each unit of
    width of a GPT layer, as in [1]_. `width` are the bytes of a product's input. At least, where
    their activation is recomputed, experts keep their input and what goes into the activation, in
    the products' format.
    """
    dense = sum(width * part.k + _WIDE * part.n for part in layer.linears) + _WIDE * hidden
    if layer.experts is None:
        return dense, 0.0, 0.0
    each = (width + _WIDE) * layer.experts.width + (width + 2.0 * _WIDE) * layer.experts.ffn
    least = width * (layer.experts.width + 2.0 * layer.experts.ffn)
    return dense, layer.experts.topk * each, layer.experts.topk * least


def _activations(training: Training, layout: Layout) -> Numeric:
    """Peak over the micro-batches in flight on the first stage. [byte]"""
    model: Model = training.model
    tokens = np.asarray(layout.micro, dtype=float)[()] * training.seq / layout.cp / layout.tp
    width = 1.0 if PRECISIONS[training.precision] not in ("bf16", "fp16") else _WIDE
    dense = routed = least = largest = 0.0
    for layer in layers(model):
        out, sparse, few = _kept(layer, model.hidden, width)
        dense += layer.count * out
        routed += layer.count * sparse
        least += layer.count * few
        largest = max(largest, out + sparse)
    pp = np.asarray(layout.pp, dtype=float)
    rounds = training.batch / (np.asarray(layout.dp, dtype=float) * layout.micro)
    # 1F1B keeps a micro-batch for each stage that follows; interleaving a chunk more [1]_.
    chunks = np.asarray(layout.interleave, dtype=float)
    ahead = pp + np.where(chunks > 1, (pp - 1.0) / chunks, 0.0)
    flight = np.minimum(ahead, np.maximum(rounds, 1.0)) / pp
    inputs = _WIDE * model.hidden * model.depth
    keep = {
        "none": dense + routed,
        "selective": _SELECTIVE * dense + least,
        "half": 0.5 * (dense + routed),
        "full": inputs,
    }[layout.recompute]
    logits = (_WIDE + _FULL) * model.vocab * np.where(pp > 1, 0.0, 1.0)
    working = largest + logits
    total: Numeric = tokens * (keep * flight + working) * (1.0 + _FRAGMENTS)
    return total


def training_memory(training: Training, layout: Layout) -> TrainingMemory:
    """Memory of the fullest chip of a layout.

    ZeRO stage 1 shards the optimiser over dp·cp, 2 the gradients too, 3 the weights too [2]_;
    then two layers' weights are gathered at a time. Adam keeps master weights and two moments in
    fp32; frozen weights have no gradient and no state.

    Parameters
    ----------
    training : Training
        What is trained.
    layout : Layout
        How; its degrees may be arrays.

    Returns
    -------
    TrainingMemory
        Fields broadcast over the degrees. [byte]
    """
    dense, routed = held_weights(training, layout)
    ranks = np.asarray(layout.dp, dtype=float) * layout.cp
    spread = np.maximum(ranks * layout.tp / layout.ep, 1.0)
    learning = min(trained(training), 1.0)
    # Products in 8 bits or fewer keep two layouts of a byte each instead of one of two bytes;
    # weights that no gradient reaches need one.
    narrow = PRECISIONS[training.precision] not in ("bf16", "fp16")
    width = 1.0 if narrow and training.frozen == 1.0 else _WIDE
    sharded = dense / ranks + routed / spread
    whole = dense + routed
    weights = width * (sharded if layout.shard >= 3 else whole)
    gathered = 2.0 * _WIDE * whole * layout.pp / training.model.depth if layout.shard >= 3 else 0.0
    gradients = training.gradient * learning * (sharded if layout.shard >= 2 else whole)
    optimiser = 3.0 * _FULL * learning * (sharded if layout.shard >= 1 else whole)
    memory = layout.chip.memory
    assert memory is not None
    return TrainingMemory(
        weights,
        gradients,
        optimiser,
        _activations(training, layout),
        _BUFFERS + gathered,
        memory,
    )


def training_total(memory: TrainingMemory) -> Numeric:
    """Sum of the parts. [byte]"""
    return (
        memory.weights + memory.gradients + memory.optimiser + memory.activations + memory.buffers
    )
