"""The fastest chips that could be made just inside a rule, in tokens per second.

A chip that is not made has a TPP, a memory bandwidth and an I/O bandwidth, within what a process
gives: TPP for each mm² and each watt as the best real chip of that process has, memory as its
stacks deliver. Speed never falls with bandwidth, nor with the arithmetic that a chip reaches; that
is most where its watts just feed the rate. `edge` says which figures are then to be looked at, and
the rule's own condition which of these are inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import cast

import numpy as np

from chipwise import perf, policy
from chipwise.errors import BadInput, ChipwiseError, Infeasible
from chipwise.perf import engines
from chipwise.perf.scales import scale, starved
from chipwise.plan import edge
from chipwise.policy.metrics import BITS
from chipwise.types import (
    Array,
    Calibration,
    Chip,
    Deployment,
    Fact,
    Link,
    Model,
    Numeric,
    Rule,
    Side,
    Workload,
)
from chipwise.units import from_base, to_base

__all__ = [
    "Frontier",
    "FrontierPoint",
    "Limit",
    "Process",
    "Worth",
    "frontier",
    "limits",
    "make_chip",
    "speeds",
]

# Formats of matrix units. A chip that is not made has each at the same rate × bits, which is what
# a rule on their greatest leaves.
_FORMATS = ("fp16", "bf16", "fp8", "int8", "nvfp4")
_DEGREES = (1, 2, 4, 8)
_BATCHES = 2.0 ** -np.arange(0.0, 10.0)
# Under a limit of the time for a token, the largest batch that keeps it is wanted.
_FINER = 2.0 ** -np.arange(0.0, 10.0, 0.25)


@dataclass(frozen=True, slots=True, eq=False)
class Process:
    """What a chip can be made of.

    `like` is a real chip of that generation, whose formats, links and habits it shares;
    `die_area` [m²]; `rate` [byte/s] and `size` [byte] of a stack of memory; `stacks`; `power` [W];
    `market`; `sold_in_us`.
    """

    like: Chip
    die_area: float
    rate: float
    size: float
    stacks: int
    power: float
    memory: str = ""
    market: str = "datacenter"
    sold_in_us: bool = True


@dataclass(frozen=True, slots=True)
class Limit:
    """What a process gives, and the real chip that shows it."""

    value: float
    chip: str


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A chip, real or not, under a rule.

    `tpp` [TOPS × bit], `density` [1/mm²], bandwidths [byte/s]; `prefill` and `decode` tokens of one
    chip of the deployment that does it best [token/s], of `prefill_chips` and `decode_chips`;
    `bound` what decides the decoding; `inside` the better of the rule's outcomes. `at_most` bounds
    the speeds where the chip's rates are unknown.
    """

    chip: str
    real: bool
    tpp: float | None
    density: float | None
    memory_bandwidth: float | None
    io_bandwidth: float | None
    prefill: float | None
    decode: float | None
    inside: bool | None
    prefill_chips: int = 1
    decode_chips: int = 1
    bound: str = ""
    why: str = ""
    at_most: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Worth:
    """A cut-down chip beside the one without its limits, as shares of its tokens/s. [1]"""

    chip: str
    beside: str
    prefill: float | None
    decode: float | None
    at_most: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """The answer to a frontier.

    `envelope`: for each memory bandwidth the fastest chip inside the rule; `prefill` and `decode`
    the best of all, None where nothing is inside; `free_prefill` and `free_decode` the best without
    the rule; `limits` of the process by name; `formats` in which the chips multiply.
    """

    rules: tuple[Rule, ...]
    model: Model
    workload: Workload
    process: Process
    limits: Mapping[str, Limit]
    weights: str
    kv: str
    backend: str
    envelope: tuple[FrontierPoint, ...]
    real: tuple[FrontierPoint, ...]
    prefill: FrontierPoint | None
    decode: FrontierPoint | None
    free_prefill: FrontierPoint
    free_decode: FrontierPoint
    worth: tuple[Worth, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Chips that are not made, a row each: TPP, bandwidths as rules count them, speeds."""

    tpp: Array
    memory: Array
    io: Array
    inside: Array
    prefill: Array
    decode: Array
    prefill_chips: Array
    decode_chips: Array
    bound: Array


# TPP, bandwidths of memory and I/O as rules count them, whether it is inside.
_Row = tuple[float, float, float, bool]


# -- the process ---------------------------------------------------------------------------------


def _number(chip: Chip, name: str) -> float | None:
    fact = chip.facts.get(name)
    if fact is None or fact.value is None or isinstance(fact.value, str | bool):
        return None
    return to_base(fact.value, fact.unit)


def _formats(like: Chip) -> tuple[str, ...]:
    return tuple(form for form in _FORMATS if form in like.flops)


def _matrix(chip: Chip, formats: Iterable[str]) -> float:
    """Greatest rate × bits over some formats. [TOPS × bit]"""
    rates = [from_base(chip.flops[f], "TFLOPS") * BITS[f] for f in formats if f in chip.flops]
    return max(rates, default=0.0)


def limits(process: Process, chips: Iterable[Chip]) -> Mapping[str, Limit]:
    """What a process gives: ``tpp_per_area`` [1/m²], ``tpp_per_power`` [1/W].

    Each is the best among the real chips on sale of the same process, in the formats of `like`.

    Parameters
    ----------
    process : Process
        What a chip can be made of.
    chips : iterable of Chip
        The real ones.

    Raises
    ------
    Infeasible
        If no real chip of that process tells.
    """
    node, formats = _number(process.like, "process"), _formats(process.like)
    peers = [c for c in chips if c.status == "public" and _number(c, "process") == node]
    area = [Limit(_matrix(c, formats) / c.die_area, c.id) for c in peers if c.die_area]
    power = [Limit(_matrix(c, formats) / c.power, c.id) for c in peers if c.power]
    found = {"tpp_per_area": area, "tpp_per_power": power}
    for name, each in found.items():
        if node is None or not max((limit.value for limit in each), default=0.0):
            raise Infeasible(
                f"no chip on sale of {process.like.name}'s process tells its {name}; "
                "name another one that it is to be like"
            )
    return {name: max(each, key=lambda limit: limit.value) for name, each in found.items()}


def _host(like: Chip) -> float:
    """PCIe, both directions. [byte/s]"""
    return 2.0 * like.host.bandwidth if like.host else 0.0


def _most_io(like: Chip) -> float:
    return _host(like) + (2.0 * like.scaleup.bandwidth if like.scaleup else 0.0)


def _capacity(process: Process) -> float:
    """What the driver reports, in the share that it reports of the chip that it is like."""
    printed = _number(process.like, "memory")
    share = process.like.memory / printed if process.like.memory and printed else 1.0
    return process.size * process.stacks * share


def make_chip(
    process: Process, tpp: Numeric, memory_bandwidth: Numeric, io_bandwidth: Numeric
) -> Chip:
    """A chip that is not made; where its figures are arrays, many of them, all with links or none.

    Parameters
    ----------
    process : Process
        What it is made of.
    tpp : numeric
        Total processing performance. [TOPS × bit]
    memory_bandwidth, io_bandwidth : numeric
        Of the memory; of link and PCIe, both directions added. [byte/s]
    """
    like, link = process.like, io_bandwidth - _host(process.like)
    facts = {name: fact for name, fact in like.facts.items() if name == "process"}
    scaleup = None
    if like.scaleup is not None and np.all(np.asarray(link) > 0):
        scaleup = Link(like.scaleup.name, like.scaleup.chips, cast("float", link / 2.0))
    else:
        facts["scaleup_domain"] = Fact(1.0, "chip", "derived", "derived")
    return replace(
        like,
        id="frontier",
        name="a chip that is not made",
        status="not made",
        market=process.market,
        flops=cast(
            "dict[str, float]",
            {f: to_base(1.0, "TFLOPS") * tpp / BITS[f] for f in _formats(like)},
        ),
        memory=_capacity(process),
        memory_spread=0.0,
        memory_bandwidth=cast("float", memory_bandwidth),
        scaleup=scaleup,
        power=process.power,
        die_area=process.die_area,
        sold_in_us=process.sold_in_us,
        facts=facts,
        unverified=frozenset(),
    )


# -- speed ---------------------------------------------------------------------------------------


def _legal_degrees(model: Model, chip: Chip, most: int) -> list[int]:
    heads = [int(b.dims["heads"]) for b in model.layers if "heads" in b.dims]
    reach = min(perf.reach(chip), most)
    return [d for d in _DEGREES if d <= reach and all(h % d == 0 for h in heads)]


@dataclass(frozen=True, slots=True, eq=False)
class _Rate:
    """Tokens per second of one chip at one degree, and what bounds the step."""

    degree: int
    tokens: Array
    bound: Array


_BOUNDS = np.array(["compute", "memory", "network", "host"])


def _bound(
    model: Model, made: Deployment, load: Workload, calibration: Calibration, shape: tuple[int, ...]
) -> Array:
    """What bounds a step that decodes alone."""
    side = made.decode
    context = load.isl + load.osl / 2.0
    busy, _ = perf.step(
        model, made, side, perf.Load(side.batch, context, 0.0, 0.0, side.batch), calibration
    )
    parts = (busy.compute, busy.memory, busy.network, busy.start)
    found: Array = _BOUNDS[np.argmax([np.broadcast_to(p, shape) for p in parts], axis=0)]
    return found


def _at_degree(
    model: Model, made: Deployment, load: Workload, calibration: Calibration, *, prefill: bool
) -> _Rate | None:
    """The best batch; None where not one sequence fits."""
    asked = replace(load, osl=1.0) if prefill else load
    limit = perf.estimate(model, asked, made, calibration, loop="static").batch_limit
    most, shape = (
        float(np.max(np.asarray(limit))),
        np.shape(cast("Numeric", made.decode.chip.memory_bandwidth)),
    )
    if most < 1:
        return None
    steps = _BATCHES if prefill or load.tpot is None else _FINER
    batch = np.unique(np.maximum(np.floor(most * steps), 1.0))
    batch = batch.reshape(-1, *(1,) * len(shape))
    made = replace(made, decode=replace(made.decode, batch=batch))
    one = perf.estimate(model, asked, made, calibration, loop="static")
    rate = np.asarray(one.throughput) * asked.isl if prefill else batch / np.asarray(one.tpot)
    if not prefill and load.tpot is not None:
        rate = np.where(np.asarray(one.tpot) <= load.tpot, rate, 0.0)
    whole = (len(batch), *shape)
    rate = np.broadcast_to(rate, whole)
    best = np.argmax(rate, axis=0)[None]
    bound = np.full(whole, "compute") if prefill else _bound(model, made, load, calibration, whole)
    degree = int(made.decode.tp)
    return _Rate(
        degree,
        np.take_along_axis(rate, best, 0)[0] / degree,
        np.take_along_axis(bound, best, 0)[0],
    )


def _over_degrees(rates: Sequence[_Rate]) -> tuple[Array, Array, Array]:
    """Tokens per second, chips and bound of the best degree."""
    tokens = np.array([r.tokens for r in rates])
    best = np.argmax(tokens, axis=0)[None]
    bound = np.take_along_axis(np.array([r.bound for r in rates]), best, 0)[0]
    chips = np.array([r.degree for r in rates], float)[best[0]]
    return np.take_along_axis(tokens, best, 0)[0], chips, bound


def speeds(
    model: Model,
    chip: Chip,
    load: Workload,
    calibration: Calibration,
    *,
    weights: str,
    kv: str,
    backend: str = "vllm",
) -> tuple[Array, Array, Array, Array, Array]:
    """Tokens per second of one chip, in prefill and in decode, and the chips and bound of each.

    Each is the best of the tensor-parallel degrees up to 8 and of the batches that fit.

    Parameters
    ----------
    model : Model
        What is served.
    chip : Chip
        Its rates and its memory bandwidth may be arrays.
    load : Workload
        Lengths.
    calibration : Calibration
        Fitted factors.
    weights, kv, backend : str
        Formats and engine.

    Returns
    -------
    tuple of array
        Prefill, decode [token/s], chips of each [chip], what bounds the decoding.

    Raises
    ------
    Infeasible
        If no number of these chips up to 8 holds the model.
    """
    chunk = float(engines.defaults(backend, chip).chunk)
    made = [
        Deployment(Side(chip, degree), weights, kv, backend, chunk)
        for degree in _legal_degrees(model, chip, max(_DEGREES))
    ]
    found = []
    for prefill in (True, False):
        each = [_at_degree(model, one, load, calibration, prefill=prefill) for one in made]
        rates = [rate for rate in each if rate is not None]
        if not rates:
            raise Infeasible(
                f"{model.id} with {weights} weights does not fit on {max(_DEGREES)} of {chip.name}"
            )
        found.append(_over_degrees(rates))
    (filled, first, _), (drained, last, bound) = found
    return filled, drained, first, last, bound


# -- the rule ------------------------------------------------------------------------------------


def _plain(process: Process) -> dict[str, float | bool | str | None]:
    """What conditions may ask of a chip beside its figures."""
    like, node = process.like, _number(process.like, "process")
    return {
        "dc": process.market == "datacenter",
        "sold_in_us": process.sold_in_us,
        "hbm_stack": False,
        "chip": "frontier",
        "vendor": like.vendor,
        "country": like.country,
        "process": None if node is None else from_base(node, "nm"),
        "year": float(like.released[:4]) if like.released[:4].isdigit() else None,
    }


def _room(process: Process, most: float) -> edge.Room:
    return edge.Room(
        _plain(process),
        from_base(process.die_area, "mm2"),
        most,
        float(np.floor(from_base(process.rate * process.stacks, "GB/s"))),
        from_base(_host(process.like), "GB/s"),
        from_base(_most_io(process.like), "GB/s"),
    )


def _rates(
    process: Process, rules: Sequence[Rule], room: edge.Room, calibration: Calibration
) -> tuple[float, ...]:
    """TPPs to look at, those first of which a chip with so many watts reaches most."""
    most = make_chip(process, room.most, 1.0, _most_io(process.like))
    tpp = edge.steps(rules, room, [room.most * float(np.exp(starved(most)))])
    chips = make_chip(process, tpp, np.ones(tpp.shape), _most_io(process.like))
    # Beyond what the watts feed all reach alike, to rounding: the least of them comes first.
    reached = np.round(np.log(tpp * scale(calibration, chips).compute), 9)
    return edge.rates(rules, room, map(float, tpp[np.lexsort((tpp, -reached))]))


def _joined(grids: Iterable[_Grid]) -> _Grid:
    each = tuple(grids)
    columns = ([getattr(grid, f.name) for grid in each] for f in fields(_Grid))
    return _Grid(*map(np.concatenate, columns))


def _grid(
    process: Process,
    rows: Sequence[_Row],
    asked: tuple[Model, Workload, Calibration],
    form: Mapping[str, str],
) -> _Grid:
    """Chips with their speeds, those with links and those without apart."""
    model, load, calibration = asked
    host, unit = from_base(_host(process.like), "GB/s"), to_base(1.0, "GB/s")
    grids = []
    for linked in (True, False):
        some = [row for row in rows if (row[2] > host) is linked]
        if some:
            tpp, memory, io, inside = (np.array(column) for column in zip(*some, strict=True))
            chips = make_chip(process, tpp, unit * memory, unit * io)
            found = speeds(
                model,
                chips,
                load,
                calibration,
                weights=form["weights"],
                kv=form["kv"],
                backend=form["backend"],
            )
            grids.append(_Grid(tpp, memory, io, inside, *found))
    return _joined(grids)


def _peaks(grid: _Grid) -> list[float]:
    """I/O bandwidths beside those at which one of the speeds is greatest of its neighbours."""
    inside = grid.inside.astype(bool)
    io = np.unique(grid.io[inside])
    near: set[float] = set()
    for by in (grid.prefill, grid.decode):
        top = np.array([by[inside & (grid.io == i)].max() for i in io])
        wide = np.concatenate(([-np.inf], top, [-np.inf]))
        for at in map(int, np.flatnonzero((top >= wide[:-2]) & (top >= wide[2:]))):
            low, high = io[max(at - 1, 0)], io[min(at + 1, len(io) - 1)]
            near.update(range(math.ceil(low), math.floor(high) + 1))
    return sorted(near)


def _searched(
    process: Process,
    rules: Sequence[Rule],
    room: edge.Room,
    asked: tuple[Model, Workload, Calibration],
    form: Mapping[str, str],
) -> tuple[_Grid, Array]:
    """The chips that could be best, inside and without the rules, and the curve's bandwidths."""
    rates = _rates(process, rules, room, asked[2])

    def best(pairs: Iterable[tuple[float, float]]) -> list[_Row]:
        """Of each pair of bandwidths the chip inside that reaches most."""
        firsts = (
            (next((t for t in rates if edge.inside(rules, room, t, m, i)), None), m, i)
            for m, i in pairs
        )
        return [(t, m, i, True) for t, m, i in firsts if t is not None]

    memory, pairs = edge.ends(rules, room)
    free = (rates[0], room.widest, room.whole)
    rows = [*best([*pairs, *edge.along(rules, room)]), (*free, edge.inside(rules, room, *free))]
    grid = _grid(process, rows, asked, form)
    if grid.inside.any() and (finer := best(edge.along(rules, room, _peaks(grid)))):
        grid = _joined([grid, _grid(process, finer, asked, form)])
    return grid, memory


def _point(grid: _Grid, at: int, process: Process) -> FrontierPoint:
    tpp = float(grid.tpp[at])
    return FrontierPoint(
        "",
        real=False,
        tpp=tpp,
        density=tpp / from_base(process.die_area, "mm2"),
        memory_bandwidth=to_base(float(grid.memory[at]), "GB/s"),
        io_bandwidth=to_base(float(grid.io[at]), "GB/s"),
        prefill=float(grid.prefill[at]),
        decode=float(grid.decode[at]),
        inside=bool(grid.inside[at]),
        prefill_chips=int(grid.prefill_chips[at]),
        decode_chips=int(grid.decode_chips[at]),
        bound=str(grid.bound[at]),
    )


def _best(grid: _Grid, by: Array, other: Array, where: Array) -> int | None:
    """The fastest by one speed; where several are as fast, by the other."""
    rows = np.flatnonzero(where)
    if not rows.size:
        return None
    order = np.lexsort((-grid.tpp[rows], grid.io[rows], other[rows], by[rows]))
    return int(rows[order[-1]])


# -- real chips ----------------------------------------------------------------------------------


def _inside(rules: Iterable[Rule], chip: Chip, to: str) -> bool | None:
    found = [policy.inside(rule, chip, to) for rule in rules]
    return False if False in found else None if None in found else True


def _figure(chip: Chip, name: str) -> float | None:
    of = {
        "tpp": policy.metrics.tpp,
        "density": policy.metrics.performance_density,
        "io": policy.metrics.io_bandwidth,
    }[name](chip)
    return of.value


def _timed(
    chip: Chip, asked: tuple[Model, Workload, Calibration], form: Mapping[str, str]
) -> tuple[Array, ...]:
    if not chip.flops:
        raise Infeasible("its rates are not published")
    if chip.memory is None or chip.memory_bandwidth is None:
        raise Infeasible("its memory or the bandwidth of that is not published")
    model, load, calibration = asked
    backend = form["backend"]
    if backend not in engines.backends(chip):
        backend = engines.backends(chip)[0]
    return speeds(
        model, chip, load, calibration, weights=form["weights"], kv=form["kv"], backend=backend
    )


def _real(
    chip: Chip,
    rules: Sequence[Rule],
    asked: tuple[Model, Workload, Calibration],
    form: Mapping[str, str],
    to: str,
    most: Mapping[str, float],
) -> FrontierPoint:
    """A real chip; where its rates are unknown, bounded by `most` that they can be."""
    io = _figure(chip, "io")
    point = FrontierPoint(
        chip.id,
        real=True,
        tpp=_figure(chip, "tpp"),
        density=_figure(chip, "density"),
        memory_bandwidth=chip.memory_bandwidth,
        io_bandwidth=None if io is None else to_base(io, "GB/s"),
        prefill=None,
        decode=None,
        inside=_inside(rules, chip, to),
    )
    try:
        filled, drained, first, last, bound = _timed(chip, asked, form)
    except ChipwiseError as error:
        point = replace(point, why=str(error))
        if chip.flops or not most:
            return point
        try:
            filled, drained, *_ = _timed(replace(chip, flops=most), asked, form)
        except ChipwiseError:
            return point
        return replace(point, at_most=(float(filled), float(drained)))
    return replace(
        point,
        prefill=float(filled),
        decode=float(drained),
        prefill_chips=int(first),
        decode_chips=int(last),
        bound=str(bound),
    )


def _most_rates(whole: Chip | None, ceiling: float | None) -> Mapping[str, float]:
    """Rates that a chip cannot exceed: those of the one it was cut from, up to a TPP. [FLOP/s]"""
    if whole is None:
        return {}
    of = policy.metrics.tpp(whole).low
    share = 1.0 if ceiling is None or not of else min(ceiling / of, 1.0)
    return {form: share * rate for form, rate in whole.flops.items()}


def _worth(points: Sequence[FrontierPoint], cut_down: Mapping[str, str]) -> tuple[Worth, ...]:
    by_id = {p.chip: p for p in points}
    found = []
    for point in points:
        whole = by_id.get(cut_down.get(point.chip, ""))
        if whole is None:
            continue
        mine = (point.prefill, point.decode) if point.at_most is None else point.at_most
        shares = [
            None if one is None or other is None else one / other
            for one, other in zip(mine, (whole.prefill, whole.decode), strict=True)
        ]
        at_most = point.at_most is not None
        found.append(Worth(point.chip, whole.chip, shares[0], shares[1], at_most=at_most))
    return tuple(found)


# -- the answer ----------------------------------------------------------------------------------


def _check(rules: Sequence[Rule], process: Process) -> None:
    if edge.named(rules).isdisjoint(edge.NUMBERS):
        spelt = ", ".join(rule.id for rule in rules)
        raise BadInput(
            f"{spelt} sets no figure that a chip could stay inside; give a rule on "
            f"{', '.join(edge.NUMBERS)}"
        )
    for name in ("die_area", "power", "rate", "size", "stacks"):
        value = getattr(process, name)
        if not 0 < value < math.inf:
            raise BadInput(f"{name} is {value:g}; it must be above zero")
    if not _formats(process.like):
        raise Infeasible(f"{process.like.name} publishes no rates; name another one")


def frontier(
    rules: Sequence[Rule],
    model: Model,
    load: Workload,
    process: Process,
    *,
    catalog: Sequence[Chip],
    beside: Sequence[Chip],
    calibration: Calibration,
    cut_down: Mapping[str, str],
    ceilings: Mapping[str, float],
    weights: str,
    kv: str = "bf16",
    backend: str = "vllm",
    to: str = "CN",
) -> Frontier:
    """The fastest chips just inside some rules, beside those that are real.

    Parameters
    ----------
    rules : sequence of Rule
        All of them bind.
    model : Model
        What is served.
    load : Workload
        Lengths.
    process : Process
        What a chip can be made of.
    catalog : sequence of Chip
        Real chips, of which the best tell what the process gives.
    beside : sequence of Chip
        Real chips to show.
    calibration : Calibration
        Fitted factors.
    cut_down : mapping
        Chip made for a rule → the one that it was cut down from.
    ceilings : mapping
        Chip without published rates → the TPP that it cannot have reached. [TOPS × bit]
    weights, kv, backend : str
        Formats and engine.
    to : str
        Country of destination.

    Raises
    ------
    BadInput
        If the rules set no figure, or a limit is not above zero.
    Infeasible
        If the model fits on no such chip, or no real chip tells the process.
    """
    _check(rules, process)
    given = limits(process, catalog)
    most = min(
        given["tpp_per_area"].value * process.die_area,
        given["tpp_per_power"].value * process.power,
    )
    form = {"weights": weights, "kv": kv, "backend": backend}
    asked = (model, load, calibration)
    grid, memory = _searched(process, rules, _room(process, most), asked, form)
    everywhere = np.full(grid.tpp.shape, True)  # noqa: FBT003 - a mask
    inside = grid.inside.astype(bool)
    chosen = {
        (name, where): _best(grid, *by, mask)
        for name, by in (
            ("prefill", (grid.prefill, grid.decode)),
            ("decode", (grid.decode, grid.prefill)),
        )
        for where, mask in (("inside", inside), ("free", everywhere))
    }
    picked = {k: None if at is None else _point(grid, at, process) for k, at in chosen.items()}
    ends = [
        grid.memory[at] for (_, where), at in chosen.items() if where == "inside" and at is not None
    ]
    rows = [
        _best(grid, grid.decode, grid.prefill, inside & (grid.memory == m))
        for m in np.unique([*memory, *ends])
    ]
    wholes = {c.id: c for c in catalog}
    bounds = {
        chip.id: _most_rates(wholes.get(cut_down.get(chip.id, "")), ceilings.get(chip.id))
        for chip in beside
    }
    real = tuple(_real(chip, rules, asked, form, to, bounds[chip.id]) for chip in beside)
    free_prefill, free_decode = picked["prefill", "free"], picked["decode", "free"]
    assert free_prefill is not None
    assert free_decode is not None
    return Frontier(
        tuple(rules),
        model,
        load,
        process,
        {**given, "tpp": Limit(most, "")},
        weights,
        kv,
        backend,
        tuple(_point(grid, at, process) for at in rows if at is not None),
        real,
        picked["prefill", "inside"],
        picked["decode", "inside"],
        free_prefill,
        free_decode,
        _worth(real, cut_down),
    )
