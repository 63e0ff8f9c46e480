"""A training step of a dense or sparse transformer → seconds by part, MFU, HFU.

Two steps, so that a million layouts cost what one does: `demand` counts what one micro-batch asks
of the slowest pipeline stage, in seconds at the datasheet's rates; `spend` divides by what the
calibration says is reached, and adds up the schedule. Factors never enter the counting.

References
----------
.. [1] D. Narayanan et al., "Efficient large-scale language model training on GPU clusters using
   Megatron-LM," SC 2021, arXiv:2104.04473 (pipelines, interleaving, bubbles).
.. [2] V. Korthikanti et al., "Reducing activation recomputation in large transformer models,"
   MLSys 2023, arXiv:2205.05198 (sequence parallelism, recomputation).
.. [3] S. Rajbhandari et al., "ZeRO," SC 2020, arXiv:1910.02054 (sharding stages).
.. [4] A. Chowdhery et al., "PaLM," arXiv:2204.02311, appendix B (MFU and HFU).
.. [5] T. Dao, A. Gu, "Transformers are SSMs," ICML 2024, arXiv:2405.21060.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from chipwise.errors import BadInput, NotCalibrated
from chipwise.perf.blocks import Layer, layers
from chipwise.perf.formats import compute_format
from chipwise.types import Calibration, Chip, Model, Numeric

__all__ = [
    "OVERLAPS",
    "PRECISIONS",
    "RECOMPUTE",
    "Demand",
    "Layout",
    "Training",
    "TrainingStep",
    "crowding",
    "demand",
    "factors",
    "floor",
    "held_weights",
    "model_flops",
    "peak",
    "resolve_stack",
    "spend",
    "trained",
]

# Format of the matrix products → the datasheet's rate that bounds them.
PRECISIONS: Mapping[str, str] = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8": "fp8",
    "fp8_row": "fp8",
    "mxfp8": "fp8",
    "nvfp4": "nvfp4",
}
# What is computed a second time: shares of (matrix products, attention, elementwise). `selective`
# redoes norms and activations; `half` every second product besides, as torchtitan's per-operator
# checkpointing does; attention's own second pass is inside its backward kernel.
RECOMPUTE: Mapping[str, tuple[float, float, float]] = {
    "none": (0.0, 0.0, 0.0),
    "selective": (0.0, 0.0, 0.5),
    "half": (0.5, 0.0, 1.0),
    "full": (1.0, 1.0, 1.0),
}
# Transfers of which a share can hide behind arithmetic.
OVERLAPS = ("tensor", "context", "expert", "gather", "exchange", "send")
# Backward passes for one forward: flash attention does five products for two (recomputing the
# scores), elementwise kernels read the forward's operands too.
_ATTENTION_BACKWARD, _ELEMENTWISE_BACKWARD = 2.5, 1.6
_WIDE = 2.0  # bytes of a bf16 value
# Bytes that Adam moves for a weight: gradient, master, two moments read; master, two moments
# and the bf16 copy written.
_ADAM = 4.0 * 4 + 3.0 * 4 + 2.0
_REFERENCE_WIDTH = 1024.0
# Spare power lifts no class above this share of the datasheet's rate: the most that any chip that
# was measured is fitted with (TPU v5p and H800, 0.84 to 0.85).
_CEILING = 0.85


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What is trained, and how exactly.

    `seq` ∿ [token] and `batch` ∿ sequences of a step over all chips; `precision` one of
    `PRECISIONS`; `frozen` share of the weights that get no gradient; `rank` of LoRA's adapters
    (0: none); `gradient` bytes of a gradient as exchanged [byte]; `ahead` layers that predict
    further tokens (MTP) [1].
    """

    model: Model
    seq: Numeric
    batch: Numeric
    precision: str = "bf16"
    frozen: float = 0.0
    rank: float = 0.0
    gradient: float = 4.0
    ahead: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How training is spread over chips.

    Degrees `tp pp cp ep dp` ∿ (chips = tp·pp·cp·dp; experts are spread over ep of the tp·cp·dp
    ranks of a stage); `interleave` ∿ model chunks of a stage; `micro` ∿ sequences of a
    micro-batch; `shard` ZeRO stage 0…3 (3: FSDP); `recompute` one of `RECOMPUTE`; `link` rate
    beyond the scale-up domain, per chip and direction [byte/s]; `reach` scale-up domains to which
    the router sends a token at most [1].
    """

    chip: Chip
    tp: Numeric = 1
    pp: Numeric = 1
    cp: Numeric = 1
    ep: Numeric = 1
    dp: Numeric = 1
    interleave: Numeric = 1
    micro: Numeric = 1
    shard: int = 1
    recompute: str = "none"
    link: float = 50e9
    reach: float = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """What one micro-batch, and one step, ask of the slowest stage's chip; all ∿.

    Seconds of one forward pass at the datasheet's rates: `gemm`, `head`, `attention`, `experts`
    (of which `thin` in proportion to how narrow they are) for arithmetic; `traffic`, `casts`,
    `permute`, `scores` (a pass over all attention scores) for memory; `stored`, weights and
    gradients of a whole micro-batch. Seconds on the wire of a micro-batch: `tensor`, `context`,
    `inside` and `beyond` (experts' tokens within and beyond the scale-up domain), `send`,
    `gather` (FSDP). Of a step: `exchange`, `optimiser`. `kernels` and `sparse` count layers,
    `rounds` micro-batches, `fill` those that the pipeline's filling costs; `backward` passes of
    products for one forward, `again` shares of repetition as in `RECOMPUTE`. `tokens`, `chips`;
    `flops` of the model and `done` with repetition, of the whole step [flop]; `limit` the rate
    that MFU is measured against [flop/s].
    """

    gemm: Numeric
    head: Numeric
    attention: Numeric
    scores: Numeric
    experts: Numeric
    thin: Numeric
    traffic: Numeric
    casts: Numeric
    permute: Numeric
    stored: Numeric
    tensor: Numeric
    context: Numeric
    inside: Numeric
    beyond: Numeric
    send: Numeric
    gather: Numeric
    exchange: Numeric
    optimiser: Numeric
    kernels: Numeric
    sparse: Numeric
    rounds: Numeric
    fill: Numeric
    backward: Numeric
    again: tuple[Numeric, Numeric, Numeric]
    tokens: Numeric
    chips: Numeric
    flops: Numeric
    done: Numeric
    limit: Numeric


@dataclass(frozen=True, slots=True, eq=False)
class TrainingStep:
    """Seconds of a step by part, and what follows; all ∿.

    `parts` add up to `step`: forward, backward, recompute, tensor, context, expert, pipeline
    (sends), bubble, exchange (gradients and weights), optimiser, overhead. [s] `mfu`, `hfu` as in
    the literature [4]_; `rate` tokens of a chip [token/s]; `bound` names the largest of compute,
    memory, network, bubble and host.
    """

    step: Numeric
    parts: Mapping[str, Numeric]
    mfu: Numeric
    hfu: Numeric
    rate: Numeric
    bound: Mapping[str, Numeric]


def peak(chip: Chip, precision: str) -> float:
    """Rate of the datasheet that bounds the matrix products of a precision. [flop/s]

    Raises
    ------
    BadInput
        If the precision is unknown, or the chip has no rate for it; names those that it has.
    """
    if precision not in PRECISIONS:
        raise BadInput(f"unknown precision {precision!r}; known are {', '.join(PRECISIONS)}")
    name = PRECISIONS[precision]
    if name in ("bf16", "fp16"):
        name = compute_format(name, chip)
    if name not in chip.flops:
        can = [p for p, f in PRECISIONS.items() if f in chip.flops]
        raise BadInput(
            f"{chip.name} publishes no rate for {precision}; it can train in {', '.join(can)}"
        )
    return chip.flops[name]


def _pairs(seq: Numeric, window: float, thin: float) -> Numeric:
    """(query, key) pairs of one causal sequence: s²/2, or w·s − w²/2 within a window."""
    keys = seq / thin
    if not window:
        return seq * keys / 2.0
    reach = np.minimum(keys, window)
    return seq * reach - reach * reach * thin / 2.0


def _attention_flops(layer: Layer, seq: Numeric) -> Numeric:
    """Flops of attention's core over one sequence, forward. [flop]"""
    total: Numeric = 0.0
    for cache in layer.caches:
        total = total + cache.prefill * _pairs(seq, cache.window, cache.thin)
        total = total + cache.index_flops * _pairs(seq, 0.0, 1.0)
    # A chunked scan updates and reads its state and multiplies within the chunk [5]_: four
    # products of two flops for each of the state's 4-byte values, twice over.
    return total + 4.0 * layer.state * seq


def _active(layer: Layer) -> float:
    """Weights that a token passes in a layer."""
    dense = sum(part.n * part.k for part in layer.linears)
    return dense + (layer.experts.topk * layer.experts.weights if layer.experts else 0.0)


def _whole(layer: Layer) -> float:
    """Weights of a layer outside its routed experts."""
    return sum(part.n * part.k for part in layer.linears)


def model_flops(training: Training) -> Numeric:
    """Flops that the model needs for a token, forward and backward, nothing twice. [flop/token]

    6 for each active weight, the embedding's look-up apart, plus attention over all pairs, causal
    ones counted twice as the literature does [4]_; frozen weights have no weight gradient.
    """
    model, deeper = training.model, 1.0 + training.ahead / training.model.depth
    matrix = deeper * sum(layer.count * _active(layer) for layer in layers(model))
    matrix = matrix + (1.0 + training.ahead) * model.vocab * model.hidden
    pairs: Numeric = sum(
        layer.count * _attention_flops(layer, training.seq) for layer in layers(model)
    )
    return 2.0 * matrix * (3.0 - training.frozen) + 6.0 * deeper * pairs / training.seq


def trained(training: Training) -> float:
    """Share of the weights that get a gradient; adapters count as weights. [1]"""
    if not training.rank:
        return 1.0 - training.frozen
    every = sum(layer.count * _active(layer) for layer in layers(training.model))
    added = sum(
        layer.count * training.rank * sum(part.n + part.k for part in layer.linears)
        for layer in layers(training.model)
    )
    return float(1.0 - training.frozen + added / every)


def _domain(chip: Chip) -> tuple[float, float]:
    """Chips that meet at full rate, and that rate. [chip], [byte/s]"""
    inner = chip.scaleup or chip.host
    if inner is None:
        return 1.0, np.inf
    return float(inner.chips if chip.scaleup else 8), inner.bandwidth


def _rate(layout: Layout, size: Numeric, stride: Numeric) -> Numeric:
    """Rate of a ring over `size` ranks that lie `stride` chips apart. [byte/s]

    Beyond the domain a ring enters a node by as many rails as it has members there.
    """
    domain, inner = _domain(layout.chip)
    members = np.maximum(np.minimum(domain / stride, size), 1.0)
    return np.where(
        np.asarray(size) * stride <= domain, inner, np.minimum(inner, layout.link * members)
    )[()]


def _ring(size: Numeric) -> Numeric:
    """Share of the data that each rank sends when it is gathered, or reduced and scattered."""
    return (np.asarray(size) - 1.0)[()] / size


def _stage(model: Model, layout: Layout, ahead: float) -> tuple[Numeric, Numeric]:
    """Shares of all layers, and of the head, that the slowest stage holds.

    Where pp does not divide the layers, the ends' stages have a layer less and take the head.
    """
    depth = model.depth + ahead
    pp = np.asarray(layout.pp, dtype=float)
    even = np.mod(depth, pp) == 0
    return (np.ceil(depth / pp) / model.depth)[()], np.where(even | (pp == 1), 1.0, 0.0)[()]


def _copies(ranks: Numeric, topk: float) -> Numeric:
    """Expected number of other ranks that a token is sent to, of `ranks` drawn evenly."""
    n = np.maximum(np.asarray(ranks, dtype=float), 1.0)
    copies: Numeric = ((n - 1.0) * (1.0 - (1.0 - 1.0 / n) ** topk))[()]
    return copies


def _weights(
    model: Model, layout: Layout, share: Numeric, head: Numeric
) -> tuple[Numeric, Numeric]:
    """Weights of a chip of the slowest stage: outside and inside routed experts."""
    dense = sum(layer.count * _whole(layer) for layer in layers(model))
    routed = sum(
        layer.count * layer.experts.experts * layer.experts.weights
        for layer in layers(model)
        if layer.experts
    )
    ends = head * model.vocab * model.hidden * (1.0 if model.tied else 2.0)
    return (dense * share + ends) / layout.tp, routed * share / layout.ep


def _widths(layer: Layer) -> tuple[float, float]:
    """Sums of the widths that a token has going into and out of a layer's products."""
    into = sum(part.k for part in layer.linears)
    out = sum(part.n for part in layer.linears)
    if layer.experts:
        into += layer.experts.topk * (layer.experts.width + layer.experts.ffn)
        out += layer.experts.topk * (layer.experts.width + 2.0 * layer.experts.ffn)
    return into, out


def _arithmetic(
    training: Training, layout: Layout, share: Numeric, head: Numeric
) -> dict[str, Numeric]:
    """Seconds of one forward pass of a micro-batch, at the datasheet's rates."""
    model, chip = training.model, layout.chip
    fast, wide = peak(chip, training.precision), peak(chip, "bf16")
    assert chip.memory_bandwidth is not None
    sequences = np.asarray(layout.micro, dtype=float)[()]
    tokens = sequences * training.seq / layout.cp
    each = tokens / layout.tp
    attention: Numeric = 0.0
    gemm = experts = thin = traffic = casts = permute = kernels = sparse = 0.0
    scores = sum(part.count * part.dims.get("heads", 0.0) for part in model.layers)
    for layer in layers(model):
        gemm += layer.count * 2.0 * _whole(layer)
        attention = attention + layer.count * _attention_flops(layer, training.seq)
        into, out = _widths(layer)
        traffic += layer.count * (4.0 * model.hidden + out + into)
        casts += layer.count * (into + out)
        if training.rank:
            # adapters stand on the attention's products
            sides = [part.k + part.n for part in layer.linears if part.role == "attention"]
            traffic += layer.count * sum(sides)
        kernels += layer.count
        if layer.experts is not None:
            flops = layer.count * 2.0 * layer.experts.topk * layer.experts.weights
            experts += flops
            thin += flops * _REFERENCE_WIDTH / layer.experts.ffn
            permute += layer.count * layer.experts.topk * layer.experts.width
            sparse += layer.count
    moved = _WIDE * each * share / chip.memory_bandwidth
    vocabulary = (1.0 + training.ahead) * head * model.vocab
    return {
        "gemm": gemm * each * share / fast,
        "head": 2.0 * vocabulary * model.hidden * each / wide,
        "attention": attention * sequences * share / (layout.cp * layout.tp * wide),
        # one pass over the scores of every head, where no kernel keeps them on the chip
        "scores": _WIDE
        * scores
        * tokens
        * training.seq
        * share
        / layout.tp
        / chip.memory_bandwidth,
        "experts": experts * each * share / fast,
        "thin": thin * each * share / fast,
        # fp32 logits cross memory three times
        "traffic": traffic * moved + 12.0 * vocabulary * each / chip.memory_bandwidth,
        "casts": casts * moved if PRECISIONS[training.precision] not in ("bf16", "fp16") else 0.0,
        "permute": permute * moved,
        "kernels": kernels * share,
        "sparse": sparse * share,
    }


def _wires(training: Training, layout: Layout, share: Numeric) -> dict[str, Numeric]:
    """Seconds on the wire of one forward and backward pass of a micro-batch."""
    model, tp, cp = training.model, layout.tp, layout.cp
    tokens = np.asarray(layout.micro, dtype=float)[()] * training.seq / cp
    reduces = sum(layer.count * layer.reduces for layer in layers(model)) * share
    hidden = _WIDE * tokens * model.hidden
    # gather and scatter each way, forward and backward
    tensor = 4.0 * reduces * hidden * _ring(tp) / _rate(layout, tp, 1)
    kept = sum(layer.count * sum(c.elements for c in layer.caches) for layer in layers(model))
    # keys and values pass once around the ring forward; they and their gradients backward
    context = 3.0 * _WIDE * kept * share * tokens * (np.asarray(cp) - 1.0)[()] / tp
    context = context / _rate(layout, cp, tp)
    inside = beyond = 0.0 * tokens
    domain, inner = _domain(layout.chip)
    for layer in layers(model):
        if layer.experts is None:
            continue
        # to the experts and back, forward and backward
        moved = 4.0 * layer.count * share * _WIDE * tokens / tp * layer.experts.width
        nodes = np.maximum(np.asarray(layout.ep, dtype=float) / domain, 1.0)
        inside = inside + moved * _copies(layout.ep, layer.experts.topk) / inner
        most = np.minimum(layout.reach, nodes) * _ring(nodes)
        sent = np.minimum(_copies(nodes, layer.experts.topk), most)
        beyond = beyond + moved * sent / layout.link
    chunks = np.where(np.asarray(layout.pp) > 1, layout.interleave, 0.0)[()]
    rate = _rate(layout, layout.pp, np.asarray(tp) * cp * layout.dp)
    send = 2.0 * chunks * hidden / tp / np.minimum(rate, _domain(layout.chip)[1])
    return {
        "tensor": tensor,
        "context": context,
        "inside": inside,
        "beyond": beyond,
        "send": send,
    }


def _exchanges(
    training: Training, layout: Layout, weights: tuple[Numeric, Numeric]
) -> dict[str, Numeric]:
    """Gradients out and weights back, and what the optimiser and the products read of them."""
    chip = layout.chip
    assert chip.memory_bandwidth is not None
    dense, routed = weights
    ranks = np.asarray(layout.dp, dtype=float) * layout.cp
    spread = np.maximum(ranks * layout.tp / layout.ep, 1.0)
    learning = min(trained(training), 1.0)
    groups = ((dense, ranks, layout.tp), (routed, spread, layout.ep))
    gather: Numeric = 0.0
    reduce: Numeric = 0.0
    held: Numeric = 0.0
    for part, size, stride in groups:
        rate = _rate(layout, size, stride)
        gather = gather + _WIDE * part * _ring(size) / rate
        reduce = reduce + training.gradient * learning * part * _ring(size) / rate
        held = held + learning * part / (size if layout.shard > 0 else 1.0)
    if layout.shard >= 3:
        micro, step = 2.0 * gather + reduce, 0.0 * gather
    elif layout.shard > 0:
        micro, step = 0.0 * gather, learning * gather + reduce
    else:
        micro, step = 0.0 * gather, 2.0 * reduce
    # Each weight is read forward and backward; its gradient is added to an fp32 sum.
    touched = (2.0 * _WIDE + 8.0 * learning) * (dense + routed)
    return {
        "gather": micro,
        "exchange": step,
        "optimiser": _ADAM * held / chip.memory_bandwidth,
        "stored": touched / chip.memory_bandwidth,
    }


def held_weights(training: Training, layout: Layout) -> tuple[Numeric, Numeric]:
    """Weights of the fullest chip before any sharding over dp: outside, inside routed experts."""
    share, head = _stage(training.model, layout, training.ahead)
    return _weights(training.model, layout, share, head)


def demand(training: Training, layout: Layout) -> Demand:
    """What a step asks of the chips, at the datasheet's rates.

    Parameters
    ----------
    training : Training
        What is trained.
    layout : Layout
        How; its degrees may be arrays.

    Returns
    -------
    Demand
        All fields broadcast over the degrees, `seq` and `batch`.
    """
    model = training.model
    share, head = _stage(model, layout, training.ahead)
    weights = held_weights(training, layout)
    again = RECOMPUTE[layout.recompute]
    tokens = training.seq * training.batch
    chips = np.asarray(layout.tp, dtype=float) * layout.pp * layout.cp * layout.dp
    rounds = training.batch / (np.asarray(layout.dp, dtype=float) * layout.micro)
    flops = model_flops(training) * tokens
    matrix = 2.0 * sum(layer.count * _active(layer) for layer in layers(model)) * tokens
    pairs: Numeric = sum(
        layer.count * _attention_flops(layer, training.seq) for layer in layers(model)
    )
    done = flops + again[0] * matrix + again[1] * 2.0 * pairs * training.batch
    return Demand(
        **_arithmetic(training, layout, share, head),
        **_wires(training, layout, share),
        **_exchanges(training, layout, weights),
        rounds=rounds,
        fill=(np.asarray(layout.pp, dtype=float) - 1.0) / layout.interleave,
        backward=2.0 - training.frozen,
        again=again,
        tokens=tokens,
        chips=chips,
        flops=flops,
        done=done,
        limit=peak(layout.chip, training.precision),
    )


def _first(calibration: Calibration, kind: str, form: str, chip: Chip) -> tuple[float, float]:
    """Shares of arithmetic and memory rate of a class on a chip, its generation, vendor, or any."""
    for scope in (chip.id, chip.architecture, chip.vendor, ""):
        found = calibration.operators.get((kind, form, scope))
        if found is not None:
            return found.compute, found.memory
    raise NotCalibrated(f"calibration {calibration.id!r} has no {kind} in {form} for {chip.name}")


def crowding(chip: Chip, reference: float, exponent: float) -> float:
    """How far power holds the arithmetic units back: (reference / flop per joule) ** exponent. [1]

    Flop per joule is the datasheet's bf16 rate over its power: a chip with more units for each
    watt clocks lower when they are all busy. A chip without a power fact gets 1.
    """
    if not chip.power:
        return 1.0
    return float((reference / (peak(chip, "bf16") / chip.power)) ** exponent)


def resolve_stack(calibration: Calibration, stack: str) -> str:
    """The calibration's own name for a stack: itself, or its kind's last release before it.

    A kind without a release ("megatron") is its newest.

    Raises
    ------
    NotCalibrated
        If the kind is not known.
    """
    known = calibration.engines
    if stack in known:
        return stack
    kind, _, release = stack.partition("-")
    releases = sorted(n.partition("-")[2] for n in known if n.startswith(f"{kind}-"))
    dated = [r for r in releases if r[:1].isdigit()]
    if dated:
        before = [r for r in dated if not release or r <= release]
        return f"{kind}-{before[-1] if before else dated[0]}"
    if kind in known:
        return kind
    raise NotCalibrated(f"no training stack {stack!r}; known are {', '.join(sorted(known))}")


def factors(
    calibration: Calibration,
    chip: Chip,
    precision: str,
    stack: str,
    overlap: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Every fitted factor that a step on a chip in a software stack needs, by name.

    `overlap` states shares of transfers that hide behind arithmetic, in place of the fitted ones:
    of tensor, context, expert, gather, exchange, send.

    Raises
    ------
    NotCalibrated
        If the stack is not known either.
    """
    name = resolve_stack(calibration, stack)
    shapes = calibration.shapes
    values = dict(calibration.engines[name].values)
    power = crowding(chip, shapes["power_reference"], shapes["power_exponent"])
    power *= values.pop("slack")
    core = values.pop("core")
    # Chips in racks come with processors of their own, which start sparse layers sooner.
    rack = chip.scaleup is not None and chip.scaleup.chips > 8
    both = {host: values.pop(f"sparse_start_{host}") for host in ("rack", "node")}
    values["sparse_start"] = both["rack" if rack else "node"]
    memory = _first(calibration, "gemm", "bf16", chip)[1]
    form = "bf16" if precision == "fp16" else precision
    if precision == "fp8_row":
        form = "fp8"

    def lifted(kind: str, form: str, by: float) -> float:
        share = _first(calibration, kind, form, chip)[0]
        return min(share * by, max(share, _CEILING))

    return {
        **{k: v for k, v in shapes.items() if not k.startswith("power_")},
        **values,
        "gemm": lifted("gemm", form, power),
        "wide": lifted("gemm", "bf16", power),
        "memory": memory,
        "attention": lifted("attention", "bf16", power * core),
        "experts": lifted("experts", form, power),
        "cast": shapes[f"cast_{precision}"] if form != "bf16" else 0.0,
        "wire": _first(calibration, "wire", "bf16", chip)[1],
        **{f"overlap_{name}": share for name, share in (overlap or {}).items()},
    }


def floor(d: Demand) -> Numeric:
    """Seconds that a step takes at the datasheet's rates, were its products all there is to do. [s]

    What the schedule leaves empty is counted; causal attention only its lower half.
    """
    products = (1.0 + d.backward) * (d.gemm + d.head + d.experts) + 3.0 * d.attention
    seconds: Numeric = products * (d.rounds + d.fill)
    return seconds


def _sum(parts: Iterable[Numeric]) -> Numeric:
    total: Numeric = 0.0
    for part in parts:
        total = total + part
    return total


def _exposed(wire: Numeric, hidden: Numeric, room: Numeric) -> Numeric:
    """What is left of a transfer of which a share hides behind `room` seconds of other work."""
    return (1.0 - hidden) * wire + np.maximum(hidden * wire - room, 0.0)


def _local(d: Demand, f: Mapping[str, Numeric]) -> Iterator[tuple[str, Numeric, Numeric, Numeric]]:
    """Seconds of forward, backward and repetition of a micro-batch, by what bounds them."""
    products = d.gemm / f["gemm"] + d.head / f["wide"]
    sparse = (d.experts + f["narrow"] * d.thin) / f["experts"]
    again = d.again
    # Without a fused kernel attention does the masked half too, and its scores cross memory.
    unfused = np.minimum(f["scores"], 1.0)
    core = d.attention * (1.0 + unfused) / f["attention"]
    # Selective recomputation was made for it: the core is done again [2]_.
    once = np.maximum(again[1], unfused * np.where(np.asarray(again[2]) > 0, 1.0, 0.0))
    yield (
        "compute",
        products + sparse + core,
        d.backward * (products + sparse) + _ATTENTION_BACKWARD * core,
        again[0] * (d.gemm / f["gemm"] + sparse) + once * core,
    )
    moved = f["passes"] * d.traffic + f["cast"] * d.casts + f["permute"] * d.permute
    moved = (moved + f["scores"] * d.scores) / f["memory"]
    held = d.stored / f["memory"]
    yield (
        "memory",
        moved + 0.25 * held,
        _ELEMENTWISE_BACKWARD * moved + 0.75 * held,
        again[2] * moved,
    )
    started = f["start"] * d.kernels + f["sparse_start"] * d.sparse
    yield "host", started, 2.0 * started, np.maximum(again[0], again[2]) * started


def spend(d: Demand, f: Mapping[str, Numeric]) -> TrainingStep:
    """Seconds of a step, from what it asks and what is reached.

    Micro-batches follow one another through the pipeline; filling it costs (pp − 1)/interleave of
    them [1]_. Of each transfer a stated share (the factors overlap_…) hides behind arithmetic:
    tensor and expert transfers behind their micro-batch, FSDP's gathers behind theirs, the
    exchange of gradients and weights behind one micro-batch of the step.

    Parameters
    ----------
    d : Demand
        From `demand`.
    f : mapping
        From `factors`.
    """
    shares = {name: passes for name, *passes in _local(d, f)}
    forward, backward, again = (_sum(part[k] for part in shares.values()) for k in range(3))
    local = forward + backward + again
    wire = f["wire"]
    tensor = _exposed(d.tensor * (1.0 + 0.5 * d.again[0]) / wire, f["overlap_tensor"], local)
    context = _exposed(d.context / wire, f["overlap_context"], local)
    expert = _exposed(
        (d.inside / wire + d.beyond / f["network"]) * (1.0 + 0.5 * d.again[0]),
        f["overlap_expert"],
        local,
    )
    gather = _exposed(d.gather / f["network"], f["overlap_gather"], local)
    send = _exposed(d.send / f["network"], f["overlap_send"], local)
    slower = 1.0 + f["jitter"] * np.log2(np.maximum(d.chips, 1.0))
    micro = (local + tensor + context + expert + gather + send) * slower
    parts = {
        "forward": forward * d.rounds * slower,
        "backward": backward * d.rounds * slower,
        "recompute": again * d.rounds * slower,
        "tensor": tensor * d.rounds * slower,
        "context": context * d.rounds * slower,
        "expert": expert * d.rounds * slower,
        "pipeline": send * d.rounds * slower,
        "bubble": d.fill * micro,
        "exchange": _exposed(d.exchange / f["network"], f["overlap_exchange"], micro)
        + gather * d.rounds * slower,
        "optimiser": d.optimiser / f["memory"],
        "overhead": f["step"] + 0.0 * micro,
    }
    step = _sum(parts.values())
    rate = d.tokens / (step * d.chips)
    bound: dict[str, Numeric] = {
        name: _sum(passes) * d.rounds * slower for name, passes in shares.items()
    }
    bound["memory"] = bound["memory"] + parts["optimiser"]
    bound["host"] = bound["host"] + parts["overhead"]
    wires = ("tensor", "context", "expert", "pipeline", "exchange")
    bound["network"] = _sum(parts[name] for name in wires)
    bound["bubble"] = parts["bubble"]
    ideal = d.chips * d.limit * step
    return TrainingStep(step, parts, d.flops / ideal, d.done / ideal, rate, bound)
