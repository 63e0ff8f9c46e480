"""Prefill and decode steps → ttft, tpot, throughput, power, and the table for the simulator.

A step is one iteration of a serving engine. Its operators follow from the model's blocks; a
deployment's time follows from its steps: a static batch prefills, then decodes; a closed loop
mixes both, in the proportion that every request brings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipwise.perf import ops
from chipwise.perf.blocks import Cache, Layer, Linear, layers
from chipwise.perf.formats import (
    WEIGHT_WIDTH,
    activation_format,
    compute_format,
    efficiency_format,
    role_format,
)
from chipwise.perf.memory import batch_limit, footprint, kv_bytes, kv_read, room
from chipwise.perf.roofline import Op, Seconds, add, seconds, wire_seconds, zero
from chipwise.perf.scales import host_share, scale
from chipwise.types import (
    Calibration,
    Chip,
    Deployment,
    Engine,
    Estimate,
    Memory,
    Model,
    Numeric,
    Side,
    StepTable,
    Work,
    Workload,
)

__all__ = [
    "Load",
    "Operator",
    "estimate",
    "kv_transfer",
    "operators",
    "reach",
    "step",
    "step_table",
]

# Tokens at which a step table is sampled: every engine step lies between, or in proportion beyond.
_GRID = np.unique(np.round(np.geomspace(1, 32768, 46)))
# What the ranks of data-parallel attention do together, with all their tokens.
_TOGETHER = ("experts", "permute", "all_to_all")


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What one iteration holds, for each attention rank, all ∿.

    `sequences` that decode, over a mean `context`; `prefill` tokens, each over `reach` keys in
    the mean; `rows` that pass the head. [token]
    """

    sequences: Numeric
    context: Numeric
    prefill: Numeric
    reach: Numeric
    rows: Numeric

    @property
    def tokens(self) -> Numeric:
        """All tokens of the iteration."""
        return self.sequences + self.prefill


@dataclass(frozen=True, slots=True)
class _Product:
    """How a matrix product of some role is stored and computed on a chip."""

    width: float
    format: str
    peak: str
    starts: float


@lru_cache(maxsize=4096)
def _product(sparse: bool, chip: Chip, weights: str, role: str) -> _Product:  # noqa: FBT001
    stored = role_format(weights, role, sparse=sparse)
    peak = compute_format(stored, chip)
    # 8- and 4-bit products quantise their activations in a kernel of their own.
    starts = 2.0 if peak in ("fp8", "int8", "nvfp4") else 1.0
    return _Product(WEIGHT_WIDTH[stored], efficiency_format(stored, peak), peak, starts)


def _is_sparse(model: Model) -> bool:
    return any(part.kind == "moe" for part in model.layers)


def _clip(cache: Cache, keys: Numeric) -> Numeric:
    """Keys that a token really attends to, of `keys` before it."""
    thinned = keys if cache.thin == 1.0 else keys / cache.thin
    return np.minimum(thinned, cache.window) if cache.window else thinned


def _linear(part: Linear, side: Side, tokens: Numeric, product: _Product, count: float) -> Op:
    n = part.n / side.tp if part.split == "n" else part.n
    k = part.k / side.tp if part.split == "k" else part.k
    work = ops.gemm(tokens, n, k, product.width)
    return Op(
        "gemm", product.format, product.peak, work, count, starts=product.starts, role=part.role
    )


def _by_kernel(op: Op, rows: Numeric, chip: Chip, calibration: Calibration) -> Iterator[Op]:
    """A product, whose single row is another kernel's (gemv) where the chip's was timed."""
    if ("gemv", op.format, chip.id) not in calibration.operators:
        yield op
        return
    single = np.where(np.asarray(rows) <= 1, 1.0, 0.0)[()]
    for kind, share in (("gemv", single), ("gemm", 1.0 - single)):
        work = Work(flops=op.work.flops * share, bytes=op.work.bytes * share)
        yield replace(op, kind=kind, work=work, starts=op.starts * share)


def _attention(
    layer: Layer, side: Side, kv: str, load: Load, peak: str, decoding: Numeric
) -> Iterator[Op]:
    for cache in layer.caches:
        keys = load.sequences * _clip(cache, load.context)
        work = ops.attention_decode(keys, cache.decode / side.tp, kv_read(cache, kv, side.tp))
        yield Op("attention_decode", "bf16", peak, work, layer.count, starts=decoding)
        pairs = load.prefill * _clip(cache, load.reach)
        work = ops.attention_prefill(pairs, cache.prefill / side.tp)
        yield Op("attention_prefill", "bf16", peak, work, layer.count)
        if cache.index:
            keys = load.sequences * load.context
            work = ops.attention_decode(keys, cache.index_flops, cache.index)
            yield Op("attention_decode", "bf16", peak, work, layer.count, starts=decoding)
            work = ops.attention_prefill(load.prefill * load.reach, cache.index_flops)
            yield Op("attention_prefill", "bf16", peak, work, layer.count)


def _experts(
    layer: Layer,
    side: Side,
    tokens: Numeric,
    product: _Product,
    shapes: Mapping[str, float],
) -> Iterator[Op]:
    """Routed experts and the shuffling around them; the most loaded rank decides."""
    routed = layer.experts
    assert routed is not None
    together, ranks = tokens * side.dp, side.tp * side.dp
    active = ops.distinct_experts(
        together, routed.experts, routed.topk, shapes["expert_correlation"]
    )
    # Tiles pad each expert's rows; a shard narrower than a tile's reach loses arithmetic.
    padding = 1.0 + active * shapes["expert_padding"] / (routed.topk * together)
    shard = routed.ffn / np.maximum(ranks / side.ep, 1.0)
    narrow = (shapes["expert_reference_width"] / shard) ** shapes["expert_narrowing"]
    uneven = np.where(np.asarray(side.ep) > 1, shapes["expert_imbalance"], 1.0)[()]
    work = ops.experts(together, active, routed.topk, routed.weights, product.width, ranks)
    yield Op(
        "experts",
        product.format,
        product.peak,
        work,
        layer.count,
        stretch=padding * narrow,
        starts=product.starts,
        factor=uneven,
    )
    shared = np.maximum(side.ep, side.dp)
    moved = ops.permute(together, routed.topk, routed.width, shapes["expert_permute"], shared)
    yield Op("permute", "bf16", product.peak, moved, layer.count)


def _local(
    model: Model, deployment: Deployment, side: Side, load: Load, calibration: Calibration
) -> Iterator[Op]:
    """Every operator of a step that stays on the chip."""
    chip, sparse, tokens = side.chip, _is_sparse(model), load.tokens
    weights, kv, shapes = deployment.weights, deployment.kv, calibration.shapes
    starts = calibration.engines[deployment.backend].values["expert_start"]
    half = compute_format(activation_format(weights), chip)
    decoding = np.where(np.asarray(load.sequences) > 0, 1.0, 0.0)[()]
    for layer in layers(model):
        for part in layer.linears:
            product = _product(sparse, chip, weights, part.role)
            op = _linear(part, side, tokens, product, layer.count)
            yield from _by_kernel(op, tokens, chip, calibration)
        yield from _attention(layer, side, kv, load, half, decoding)
        if layer.state:
            work = ops.state_update(load.sequences, layer.state / side.tp)
            yield Op("state_update", "bf16", half, work, layer.count)
        if layer.experts is not None:
            product = _product(sparse, chip, weights, "experts")
            product = replace(product, starts=starts)
            yield from _experts(layer, side, tokens, product, shapes)
    work = ops.elementwise(tokens, model.hidden, shapes["elementwise_passes"])
    yield Op("elementwise", "bf16", half, work, model.depth)
    product = _product(sparse, chip, weights, "head")
    head = ops.gemm(load.rows, model.vocab / side.tp, model.hidden, product.width)
    op = Op("gemm", product.format, product.peak, head, role="head")
    yield from _by_kernel(op, load.rows, chip, calibration)


# Chips of one server, which meet over PCIe where no faster link joins them.
_SERVER = 8


def reach(chip: Chip) -> int:
    """Chips over which a layer may be divided: the scale-up domain's, or a server's. [chip]"""
    return max(chip.scaleup.chips if chip.scaleup else 1, _SERVER if chip.host else 1)


def _bandwidth(chip: Chip, ranks: Numeric, link: float, host: float) -> Numeric:
    """Rate between `ranks` chips: the scale-up domain's, PCIe's within a server, or `link`.

    Collectives reach the share `host` of PCIe's.
    """
    count = np.asarray(ranks)
    beyond = np.where(count <= _SERVER, chip.host.bandwidth * host, link) if chip.host else link
    if chip.scaleup is None:
        return np.asarray(beyond)[()]
    return np.where(count <= chip.scaleup.chips, chip.scaleup.bandwidth, beyond)[()]


def _network(
    model: Model, side: Side, tokens: Numeric, calibration: Calibration, link: float
) -> dict[str, Seconds]:
    """Collectives of a step, by operator class."""
    shapes, hidden, chip = calibration.shapes, float(model.hidden), side.chip
    growth = shapes["all_reduce_growth"]
    attention = sum(p.count for p in layers(model) if p.kind not in ("mlp", "moe"))
    forward = sum(p.count for p in layers(model) if p.kind in ("mlp", "moe"))
    ranks = side.tp * np.asarray(side.dp)
    spread = np.asarray(side.dp) > 1
    host = host_share(calibration)
    rate = _bandwidth(chip, ranks, link, host)
    parts: dict[str, Seconds] = {}
    inside = ops.all_reduce(tokens, hidden, side.tp, growth)
    # With data-parallel attention all ranks' tokens meet at the feed-forward layers.
    across = ops.all_reduce(tokens * side.dp, hidden, ranks, growth)
    by_expert = spread & (np.asarray(side.ep) > 1)
    keep = np.where(by_expert, 0.0, 1.0)[()]
    both = replace(
        across,
        wire=attention * inside.wire + forward * keep * across.wire,
        messages=attention * inside.messages + forward * keep * across.messages,
    )
    parts["all_reduce"] = wire_seconds(
        Op("all_reduce", "bf16", "bf16", both), chip, calibration, rate
    )
    topk = max((p.experts.topk for p in layers(model) if p.experts), default=0.0)
    if topk and np.any(by_expert):
        work = ops.all_to_all(tokens, topk, hidden, ranks)
        gone = 1.0 - keep
        work = replace(work, wire=work.wire * gone, messages=work.messages * gone)
        op = Op("all_to_all", "bf16", "bf16", work, forward)
        parts["all_to_all"] = wire_seconds(op, chip, calibration, rate)
    if np.any(np.asarray(side.pp) > 1):
        work = ops.send(2.0 * tokens * hidden, np.asarray(side.pp) - 1.0)
        rate = _bandwidth(chip, ranks * side.pp, link, host)
        parts["send"] = wire_seconds(Op("send", "bf16", "bf16", work), chip, calibration, rate)
    return parts


def _launch(
    model: Model, side: Side, engine: Engine, shapes: Mapping[str, float], factor: float
) -> Numeric:
    """Seconds below which an iteration that prefills does not fall: eager kernel launches. [s]

    They grow with the kinds of layers, whose kernels are many and small.
    """
    kinds = {part.kind for part in model.layers}
    many = 1.0
    if "moe" in kinds:
        many += shapes["launch_moe"]
    if kinds & {"mla", "dsa", "csa", "delta"}:
        many += engine.values["launch_latent"]
    by_expert = np.where(np.asarray(side.ep) > 1, shapes["launch_ep"], 0.0)[()]
    return model.depth * engine.values["launch"] * (many + by_expert) * factor


def _unfloored(
    model: Model, deployment: Deployment, side: Side, load: Load, calibration: Calibration
) -> tuple[Seconds, dict[str, Numeric]]:
    """A step without the floor under iterations that prefill."""
    engine, shapes = calibration.engines[deployment.backend], calibration.shapes
    total, parts = zero(), dict[str, Numeric]()
    for op in _local(model, deployment, side, load, calibration):
        spent = seconds(op, side.chip, calibration)
        total = add(total, spent)
        parts[op.kind] = parts.get(op.kind, 0.0) + spent.total
    link = deployment.link or shapes["link"]
    for kind, spent in _network(model, side, load.tokens, calibration, link).items():
        total = add(total, spent)
        parts[kind] = spent.total
    gaps = model.depth * engine.values["layer"] * scale(calibration, side.chip).start
    host = engine.values["host"] * np.asarray(side.pp) + engine.values["sequence"] * load.sequences
    parts["host"] = (host + gaps)[()]
    whole = (total.total + gaps) * engine.values["gpu"] + host
    return replace(total, total=whole, start=total.start + gaps + host), parts


def step(
    model: Model, deployment: Deployment, side: Side, load: Load, calibration: Calibration
) -> tuple[Seconds, dict[str, Numeric]]:
    """Time of one engine iteration through all layers, and its parts by operator class.

    Parameters
    ----------
    model : Model
        What runs.
    deployment : Deployment
        Formats, engine and link.
    side : Side
        Chip and degrees; `batch` is not used.
    load : Load
        What the iteration holds, for each attention rank.
    calibration : Calibration
        Fitted factors.

    Returns
    -------
    Seconds
        The whole, broadcast. [s]
    dict
        Seconds of each operator class and of the host. [s]

    Raises
    ------
    NotCalibrated, Infeasible
        If the chip has no rate or factor for a format.
    """
    spent, parts = _unfloored(model, deployment, side, load, calibration)
    filling = np.asarray(load.prefill) > 0
    if not np.any(filling):
        return spent, parts
    engine = calibration.engines[deployment.backend]
    factor = scale(calibration, side.chip).launch
    floor = _launch(model, side, engine, calibration.shapes, factor)
    floored = np.cbrt(spent.total * spent.total * spent.total + floor * floor * floor)
    return replace(spent, total=np.where(filling, floored, spent.total)[()]), parts


def _decode_load(workload: Workload, sequences: Numeric) -> Load:
    """A step that only decodes, at the middle of the output."""
    context = workload.isl + workload.osl / 2.0
    return Load(sequences, context, 0.0, 0.0, sequences)


def _chunks(workload: Workload, sequences: Numeric, chunk: Numeric) -> tuple[Numeric, Numeric]:
    """Number of equal prefill steps for `sequences` prompts, and tokens of one."""
    tokens = np.maximum(sequences * _fresh(workload), 1.0)
    steps = np.ceil(tokens / chunk)
    return steps, tokens / steps


def _fresh(workload: Workload) -> Numeric:
    """Prompt tokens that are not found in the prefix cache."""
    return workload.isl * (1.0 - workload.prefix_hit)


def _reach(workload: Workload) -> Numeric:
    """Keys that a prompt's token attends to, in the mean over the part that is computed."""
    return workload.isl * (1.0 + workload.prefix_hit) / 2.0


def _request(engine: Engine, workload: Workload) -> Numeric:
    """Host's time for a request on its way in and for its first token out. [s]"""
    return engine.values["request"] + engine.values["request_token"] * workload.isl


@dataclass(frozen=True, slots=True, eq=False)
class _Times:
    """Times of a side under a load; `busy` is where a cycle of one batch goes, all ∿."""

    ttft: Numeric
    tpot: Numeric
    rate: Numeric
    busy: Seconds
    parts: Mapping[str, Numeric]


def _static(
    model: Model, deployment: Deployment, workload: Workload, calibration: Calibration
) -> _Times:
    """One batch: all prompts at once, prefilled in chunks, then decoded together.

    With pp > 1 the batch is cut into pp parts that follow one another through the stages.
    """
    side, engine = deployment.decode, calibration.engines[deployment.backend]
    rank = side.batch / (np.asarray(side.dp) * side.pp)
    steps, tokens = _chunks(workload, side.batch / np.asarray(side.dp), deployment.chunk)
    prefill = Load(0.0, 0.0, tokens, _reach(workload), np.minimum(rank, tokens))
    filling, _ = step(model, deployment, side, prefill, calibration)
    decoding, parts = step(model, deployment, side, _decode_load(workload, rank), calibration)
    # A pipeline of pp stages passes `steps` chunks in steps + pp − 1 stage times.
    cycles = (steps + side.pp - 1.0) / side.pp
    request = _request(engine, workload)
    generated = np.maximum(workload.osl - 1.0, 0.0)
    whole = request + cycles * filling.total + generated * decoding.total
    mean = (1.0 + 1.0 / steps) / 2.0
    busy = add(add(zero(), filling, cycles), decoding, generated)
    return _Times(
        request + mean * cycles * filling.total,
        decoding.total,
        side.batch / whole,
        replace(busy, total=whole),
        parts,
    )


def _closed(
    model: Model, deployment: Deployment, workload: Workload, calibration: Calibration
) -> _Times:
    """A closed loop of `batch` clients, in the mean over a long run.

    Every request brings isl tokens to prefill and osl steps to decode, so of the iterations the
    share φ prefills; engines that mix add the prompt to the decoding step, the others run it
    alone while decoding waits.
    """
    side, engine = deployment.decode, calibration.engines[deployment.backend]
    rank = side.batch / (np.asarray(side.dp) * side.pp)
    mixes = engine.values["mixes"] > 0
    space = np.maximum(deployment.chunk - (rank if mixes else 0.0), 1.0)
    demand = rank * _fresh(workload) / workload.osl
    tokens = np.maximum(np.minimum(_fresh(workload), space), np.minimum(demand, space))
    tokens = np.maximum(tokens, 1e-9)  # a prompt that is wholly cached
    share = np.minimum(demand / tokens, 1.0)
    plain = _decode_load(workload, rank)
    decoding, parts = step(model, deployment, side, plain, calibration)
    mixed = replace(
        plain,
        sequences=rank if mixes else 0.0,
        prefill=tokens,
        reach=_reach(workload),
        rows=rank if mixes else np.minimum(rank, tokens),
    )
    filling, _ = step(model, deployment, side, mixed, calibration)
    # Where prompts ask for more than the budget leaves, decoding waits for them.
    late = np.maximum(demand / space, 1.0)
    if mixes:
        between = ((1.0 - share) * decoding.total + share * filling.total) * late
    else:
        between = decoding.total + share * filling.total * late
    steps = np.ceil(_fresh(workload) / space)
    first = _request(engine, workload) + steps * filling.total + between / 2.0
    generated = np.maximum(workload.osl - 1.0, 0.0)
    whole = first + generated * between
    busy = add(
        add(zero(), decoding, generated * (1.0 - share if mixes else 1.0)),
        filling,
        generated * share * late,
    )
    return _Times(first, between, side.batch / whole, replace(busy, total=whole), parts)


def kv_transfer(model: Model, deployment: Deployment, isl: Numeric) -> Numeric:
    """Seconds that the KV of one prompt takes from a prefill to a decode replica. [s]

    Every chip of the smaller side sends over its own link.
    """
    prefill, decode = deployment.prefill, deployment.decode
    assert prefill is not None
    assert deployment.link is not None
    one = Side(prefill.chip)
    lanes = np.minimum(prefill.tp * np.asarray(prefill.pp), decode.tp * np.asarray(decode.pp))
    return kv_bytes(model, deployment.kv, one, isl) / (lanes * deployment.link)


def _apart(
    model: Model, deployment: Deployment, workload: Workload, calibration: Calibration
) -> tuple[_Times, Numeric]:
    """Prefill and decode on sides of their own; the slowest of the three stages sets the rate.

    Returns the decode side's times for the whole deployment and the prefill side's seconds busy
    for each request.
    """
    prefill = deployment.prefill
    assert prefill is not None
    engine = calibration.engines[deployment.backend]
    first = replace(deployment, decode=prefill, prefill=None)
    steps, tokens = _chunks(workload, 1.0, deployment.chunk)
    filling, _ = step(
        model, first, prefill, Load(0.0, 0.0, tokens, _reach(workload), 1.0), calibration
    )
    alone = steps * filling.total
    side = deployment.decode
    rank = side.batch / (np.asarray(side.dp) * side.pp)
    decoding, parts = step(model, deployment, side, _decode_load(workload, rank), calibration)
    moving = kv_transfer(model, deployment, workload.isl)
    links = np.minimum(
        prefill.replicas * np.asarray(prefill.dp), side.replicas * np.asarray(side.dp)
    )
    filled = prefill.replicas * np.asarray(prefill.dp) / alone
    drained = side.replicas * side.batch / (workload.osl * decoding.total)
    rate = np.minimum(np.minimum(filled, drained), links / moving)
    # A queue in front of a side that is nearly busy: half a service at the rate of arrivals.
    wait = alone * np.minimum(rate / filled, 1.0) / 2.0
    ttft = _request(engine, workload) + wait + alone + moving + decoding.total
    busy = replace(decoding, total=decoding.total)
    return _Times(ttft, decoding.total, rate, busy, parts), alone


def _power(side: Side, busy: Seconds, shapes: Mapping[str, float]) -> Numeric:
    """Power of one chip: what it draws when ready, plus what arithmetic and memory add. [W]"""
    if side.chip.power is None:
        return np.nan * np.asarray(busy.total)
    share = (
        shapes["power_ready"]
        + shapes["power_compute"] * busy.flop / busy.total
        + shapes["power_memory"] * busy.byte / busy.total
    )
    return side.chip.power * np.minimum(share, 1.0)


@dataclass(frozen=True, slots=True)
class Operator:
    """What the operators of one class and role ask of a chip in a step, and what they take there.

    `peak` is the format whose rate bounds them. `flops` [flop], `bytes` across its memory [byte],
    `seconds` [s], all layers together.
    """

    kind: str
    role: str
    peak: str
    flops: float
    bytes: float
    seconds: float


def operators(
    model: Model, deployment: Deployment, workload: Workload, calibration: Calibration
) -> dict[str, tuple[Operator, ...]]:
    """Operators of a step that prefills one prompt and of one that decodes the whole batch.

    They are those that `step` adds up, on one chip of the side that runs them; collectives and the
    host are not among them.

    Parameters
    ----------
    model : Model
        What runs.
    deployment : Deployment
        Whose degrees and batch are numbers.
    workload : Workload
        Lengths, numbers too.
    calibration : Calibration
        Fitted factors.

    Returns
    -------
    dict
        ``prefill`` and ``decode``, each with its operators.
    """
    front, side = deployment.prefill or deployment.decode, deployment.decode
    rank = side.batch / (np.asarray(side.dp) * side.pp)
    _, tokens = _chunks(workload, 1.0, deployment.chunk)
    steps = {
        "prefill": (front, Load(0.0, 0.0, tokens, _reach(workload), 1.0)),
        "decode": (side, _decode_load(workload, rank)),
    }
    return {
        phase: tuple(_by_role(_local(model, deployment, of, load, calibration), of, calibration))
        for phase, (of, load) in steps.items()
    }


def _by_role(ran: Iterator[Op], side: Side, calibration: Calibration) -> Iterator[Operator]:
    """Operators of a step, those of one class, role and format together."""
    total: dict[tuple[str, str, str], NDArray[np.float64]] = {}
    for op in ran:
        spent = seconds(op, side.chip, calibration).total
        asked = (op.work.flops * op.count, op.work.bytes * op.count, spent)
        key = op.kind, op.role, op.peak
        total[key] = total.get(key, np.zeros(3)) + np.array([float(np.asarray(x)) for x in asked])
    for (kind, role, peak), (flops, bytes_, spent) in total.items():
        if flops or bytes_:
            yield Operator(kind, role, peak, float(flops), float(bytes_), float(spent))


_BOUNDS = np.array(["compute", "memory", "network", "host"])


def _bound(busy: Seconds) -> Numeric:
    shape = np.broadcast(busy.compute, busy.memory, busy.network, busy.start).shape
    stacked = np.stack(
        [np.broadcast_to(x, shape) for x in (busy.compute, busy.memory, busy.network, busy.start)]
    )
    found: Numeric = _BOUNDS[np.argmax(stacked, axis=0)]
    return found


def _chips(side: Side) -> Numeric:
    return side.tp * np.asarray(side.pp) * side.dp * side.replicas


def _length(workload: Workload) -> Numeric:
    return workload.isl + workload.osl


def _memory(
    model: Model, deployment: Deployment, side: Side, calibration: Calibration, length: Numeric
) -> tuple[Memory, Numeric, Any]:
    """Parts, the batch that fits, and whether `side.batch` does."""
    parts = footprint(model, deployment, side, calibration, length)
    limit = batch_limit(model, deployment, side, parts, length)
    fits = (room(parts) > 0) & (np.asarray(side.batch) <= limit)
    return parts, limit, fits


def estimate(
    model: Model,
    workload: Workload,
    deployment: Deployment,
    calibration: Calibration,
    *,
    loop: str = "closed",
) -> Estimate:
    """What a deployment does under a workload; one case or a million through the same path.

    Parameters
    ----------
    model : Model
        What is served.
    workload : Workload
        Lengths; `isl` and `osl` may be arrays.
    deployment : Deployment
        Degrees and batch may be arrays, which broadcast with the workload's.
    calibration : Calibration
        Fitted factors.
    loop : str
        ``"static"``: one batch, all at once; ``"closed"``: batch clients in a long run.

    Returns
    -------
    Estimate
        Times are NaN where the batch does not fit.

    Raises
    ------
    NotCalibrated, Infeasible
        If the chip has no rate or factor for a format.
    """
    side = deployment.decode
    memory, limit, fits = _memory(model, deployment, side, calibration, _length(workload))
    if deployment.prefill is None:
        times = (_static if loop == "static" else _closed)(model, deployment, workload, calibration)
        rate = times.rate * side.replicas
        power = _power(side, times.busy, calibration.shapes) * _chips(side)
        chips = _chips(side)
    else:
        times, alone = _apart(model, deployment, workload, calibration)
        front = replace(deployment.prefill, batch=1)
        _, _, opens = _memory(model, deployment, front, calibration, workload.isl)
        fits = fits & opens
        rate = times.rate
        power = _power_apart(deployment, times, alone, calibration)
        chips = _chips(side) + _chips(deployment.prefill)
    missing = np.where(fits, 1.0, np.nan)[()]
    throughput = rate * workload.osl * missing
    power = power * missing
    return Estimate(
        times.ttft * missing,
        times.tpot * missing,
        throughput,
        memory,
        fits,
        limit,
        power,
        power / throughput,
        _bound(times.busy),
        times.parts,
        chips,
    )


def _power_apart(
    deployment: Deployment, times: _Times, alone: Numeric, calibration: Calibration
) -> Numeric:
    """Both sides: the decode side works all the time, the prefill side as much as it must."""
    prefill, shapes = deployment.prefill, calibration.shapes
    assert prefill is not None
    decoding = _power(deployment.decode, times.busy, shapes) * _chips(deployment.decode)
    if prefill.chip.power is None:
        return np.nan * np.asarray(decoding)
    used = np.minimum(times.rate * alone / (prefill.replicas * np.asarray(prefill.dp)), 1.0)
    share = shapes["power_ready"] + (1.0 - shapes["power_ready"]) * used
    return decoding + prefill.chip.power * share * _chips(prefill)


def _slopes(
    model: Model, deployment: Deployment, side: Side, calibration: Calibration
) -> tuple[float, float, float, float, float]:
    """Seconds of attention for each key read and each pair, without and with a window.

    Attention is linear in both, so one key and one pair fix the slopes. Where a model has
    several windows, the last figure is their mean, weighted by slope. [s], [s], [s], [s], [token]
    """
    peak = compute_format(activation_format(deployment.weights), side.chip)
    gpu = calibration.engines[deployment.backend].values["gpu"]
    slopes, weighted = np.zeros(4), 0.0
    for layer in layers(model):
        for cache in layer.caches:
            bare = replace(layer, caches=(replace(cache, window=0.0, index=0.0),))
            windowed = 1 if cache.window else 0
            for at, load in (
                (0, Load(1.0, 1.0, 0.0, 0.0, 0.0)),
                (2, Load(0.0, 0.0, 1.0, 1.0, 0.0)),
            ):
                ran = _attention(bare, side, deployment.kv, load, peak, 0.0)
                spent = float(sum(seconds(op, side.chip, calibration).total for op in ran)) * gpu
                slopes[at + windowed] += spent
                if windowed and not at:
                    weighted += spent * cache.window * cache.thin
                if cache.index:
                    slopes[at] += _index_slope(cache, layer, at, side, peak, calibration) * gpu
    window = weighted / slopes[1] if slopes[1] else 0.0
    return float(slopes[0]), float(slopes[1]), float(slopes[2]), float(slopes[3]), window


def _index_slope(
    cache: Cache, layer: Layer, at: int, side: Side, peak: str, calibration: Calibration
) -> float:
    """Seconds of the indexer for one key (at 0) or one pair (at 2)."""
    if at == 0:
        work, kind = ops.attention_decode(1.0, cache.index_flops, cache.index), "attention_decode"
    else:
        work, kind = ops.attention_prefill(1.0, cache.index_flops), "attention_prefill"
    op = Op(kind, "bf16", peak, work, layer.count, starts=0.0)
    return float(seconds(op, side.chip, calibration).total)


def step_table(
    model: Model, deployment: Deployment, side: Side, calibration: Calibration
) -> StepTable:
    """The seconds of any iteration of one rank of `side`, for the simulator.

    Degrees are numbers here. With pp > 1 the table is of a whole pass through the stages, which
    pp groups of requests make in turn. A step's time is a function of its tokens, which is
    tabulated, plus terms linear in its sequences, keys and pairs.
    """
    engine, shapes = calibration.engines[deployment.backend], calibration.shapes
    host = engine.values["host"] * float(side.pp)
    # What decoding adds to the same tokens, a constant and a part for each sequence, shows in one
    # and two tokens that decode beside one and two that prefill; all are asked for at once.
    count, two, none = len(_GRID), np.array([1.0, 2.0]), np.zeros(2)
    decoding = np.concatenate((np.zeros(count), two, none))
    filling = np.concatenate((_GRID, none, two))
    head = np.minimum(_GRID, max(float(np.max(side.batch)), 1.0))
    load = Load(decoding, 0.0, filling, 0.0, np.concatenate((head, two, two)))
    whole, parts = _unfloored(model, deployment, side, load, calibration)
    spent = np.asarray(whole.total) - host
    together = np.zeros(len(spent)) + sum(parts.get(kind, 0.0) for kind in _TOGETHER)
    grid, extra = spent[:count], spent[count : count + 2] - spent[count + 2 :]
    each = float(extra[1] - extra[0])
    read, read_window, pair, pair_window, window = _slopes(model, deployment, side, calibration)
    launch = _launch(model, side, engine, shapes, scale(calibration, side.chip).launch)
    return StepTable(
        base=host,
        decode=each,
        tokens=_GRID,
        seconds=grid,
        shared=together[:count] * engine.values["gpu"] if side.dp > 1 else np.zeros(0),
        decode_base=float(extra[0]) - each,
        attention=read,
        attention_window=read_window,
        pair=pair,
        pair_window=pair_window,
        window=window,
        launch=float(np.asarray(launch)),
        request=engine.values["request"],
        request_token=engine.values["request_token"],
    )
