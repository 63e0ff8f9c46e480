"""The fastest chips that could be made just inside a rule, in tokens per second.

A chip that is not made has a TPP, a memory bandwidth and an I/O bandwidth, within what a process
gives: TPP for each mm² and each watt as the best real chip of that process has, memory as its
stacks deliver. Speed never falls with any of the three, so the best chip stands at a limit of the
process or just inside a threshold of the rule; both are on the grid, and the rule's own condition
says which of the grid is inside.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from chipwise import perf, policy
from chipwise.errors import BadInput, ChipwiseError, Infeasible
from chipwise.perf import engines
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
# Points between the thresholds, for the curve.
_BETWEEN = 16
# Thresholds below this share of what a process gives are no chip's limit: densities, years.
_LEAST = 0.02
_LAST_BIT = 1e-9
_NUMBERS = ("tpp", "density", "memory_bandwidth", "io_bandwidth", "link_bandwidth")


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
    process: Process, tpp: Numeric, memory_bandwidth: Numeric, io_bandwidth: float
) -> Chip:
    """A chip that is not made; where TPP and memory bandwidth are arrays, a whole grid of them.

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
    if like.scaleup is not None and link > 0:
        scaleup = Link(like.scaleup.name, like.scaleup.chips, link / 2.0)
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


def _constants(rules: Iterable[Rule]) -> list[float]:
    """Numbers that stand in the conditions: every threshold is one of them."""
    return sorted(
        {
            float(node.value)
            for rule in rules
            for node in ast.walk(policy.parse(rule.condition).tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, int | float)
            and not isinstance(node.value, bool)
        }
    )


def _axis(near: Iterable[float], most: float) -> Array:
    """Whole numbers just below, at and above some values, with others between, up to a limit."""
    most = math.floor(most)
    beside = {math.floor(v) + step for v in near for step in (-1, 0, 1)}
    spread = np.floor(np.linspace(most / _BETWEEN, most, _BETWEEN))
    least = max(_LEAST * most, 1.0)
    return np.array(sorted({v for v in (*beside, *spread, most) if least <= v <= most}), float)


def _axes(process: Process, rules: Sequence[Rule], most: float) -> tuple[Array, Array, Array]:
    """TPP, and bandwidths in the rules' unit, of the grid."""
    constants, square = _constants(rules), from_base(process.die_area, "mm2")
    names = {name for rule in rules for name in policy.parse(rule.condition).names}
    widest = from_base(process.rate * process.stacks, "GB/s")
    host, whole = (from_base(f(process.like), "GB/s") for f in (_host, _most_io))
    io = [whole]
    if names & {"io_bandwidth", "link_bandwidth"}:
        shift = host if "link_bandwidth" in names else 0.0
        below = {c + shift - 1 for c in constants if c >= _LEAST * whole}
        io = sorted({*(v for v in below if host <= v <= whole), host, whole})
    tpp = _axis((v for c in constants for v in (c, c * square)), most)
    read = constants if "memory_bandwidth" in names else []
    memory = _axis((v for c in read for v in (c, *(c - i for i in io))), widest)
    return tpp, memory, np.array(io)


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


def _better(rule: Rule, values: Mapping[str, float | bool | str | None]) -> bool:
    """Whether values have the better of a rule's outcomes; what is unknown has not."""
    truth = policy.holds(rule.condition, values)
    return truth is (rule.effect == "relax")


def _insides(
    process: Process, rules: Sequence[Rule], tpp: Array, memory: Array, io: Array
) -> Array:
    plain, square = _plain(process), from_base(process.die_area, "mm2")
    host = from_base(_host(process.like), "GB/s")

    def inside(t: float, m: float, i: float) -> bool:
        row = {
            **plain,
            "tpp": t,
            "memory_bandwidth": m,
            "io_bandwidth": i,
            "link_bandwidth": max(i - host, 0.0),
        }
        # Just at a threshold the last bit of the area must not decide.
        density, near = t / square, round(t / square, 6)
        ways = {density, near} if abs(near - density) < _LAST_BIT else {density}
        return all(_better(rule, {**row, "density": way}) for rule in rules for way in ways)

    return np.array([inside(*row) for row in zip(tpp, memory, io, strict=True)])


def _grid(
    process: Process,
    rules: Sequence[Rule],
    most: float,
    asked: tuple[Model, Workload, Calibration],
    form: Mapping[str, str],
) -> _Grid:
    """Every combination of the axes, with its speeds."""
    model, load, calibration = asked
    axes = _axes(process, rules, most)
    parts = []
    for io in axes[2]:
        tpp, memory = (a.ravel() for a in np.meshgrid(axes[0], axes[1], indexing="ij"))
        chip = make_chip(
            process,
            tpp,
            to_base(1.0, "GB/s") * memory,
            to_base(float(io), "GB/s"),
        )
        found = speeds(
            model,
            chip,
            load,
            calibration,
            weights=form["weights"],
            kv=form["kv"],
            backend=form["backend"],
        )
        alike = np.full(tpp.shape, io)
        inside = _insides(process, rules, tpp, memory, alike)
        parts.append((tpp, memory, alike, inside, *found))
    return _Grid(*(np.concatenate(column) for column in zip(*parts, strict=True)))


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
    names = {name for rule in rules for name in policy.parse(rule.condition).names}
    if not names.intersection(_NUMBERS):
        spelt = ", ".join(rule.id for rule in rules)
        raise BadInput(
            f"{spelt} sets no figure that a chip could stay inside; give a rule on "
            f"{', '.join(_NUMBERS)}"
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
    grid = _grid(process, rules, most, asked, form)
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
    rows = [
        _best(grid, grid.decode, grid.prefill, inside & (grid.memory == m))
        for m in np.unique(grid.memory)
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
