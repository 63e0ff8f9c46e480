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

import numpy as np

from chipwise import policy
from chipwise.errors import BadInput, ChipwiseError, Infeasible
from chipwise.perf import engines
from chipwise.perf.scales import scale, starved
from chipwise.plan import edge
from chipwise.plan.process import (
    Limit,
    Process,
    formats,
    host_io,
    limits,
    make_chip,
    most_io,
    number,
)
from chipwise.plan.speed import Task, speeds
from chipwise.types import Array, Calibration, Chip, Rule
from chipwise.units import from_base, to_base

__all__ = ["Frontier", "FrontierPoint", "Worth", "frontier"]


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
    the rule; `limits` of the process by name.
    """

    rules: tuple[Rule, ...]
    task: Task
    process: Process
    limits: Mapping[str, Limit]
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


# -- the rule ------------------------------------------------------------------------------------


def _plain(process: Process) -> dict[str, float | bool | str | None]:
    """What conditions may ask of a chip beside its figures."""
    like, node = process.like, number(process.like, "process")
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
        from_base(host_io(process.like), "GB/s"),
        from_base(most_io(process.like), "GB/s"),
    )


def _rates(
    process: Process, rules: Sequence[Rule], room: edge.Room, calibration: Calibration
) -> tuple[float, ...]:
    """TPPs to look at, those first of which a chip with so many watts reaches most."""
    most = make_chip(process, room.most, 1.0, most_io(process.like))
    tpp = edge.steps(rules, room, [room.most * float(np.exp(starved(most)))])
    chips = make_chip(process, tpp, np.ones(tpp.shape), most_io(process.like))
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
    task: Task,
) -> _Grid:
    """Chips with their speeds, those with links and those without apart."""
    host, unit = from_base(host_io(process.like), "GB/s"), to_base(1.0, "GB/s")
    grids = []
    for linked in (True, False):
        some = [row for row in rows if (row[2] > host) is linked]
        if some:
            tpp, memory, io, inside = (np.array(column) for column in zip(*some, strict=True))
            chips = make_chip(process, tpp, unit * memory, unit * io)
            found = speeds(task, chips)
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
    task: Task,
) -> tuple[_Grid, Array]:
    """The chips that could be best, inside and without the rules, and the curve's bandwidths."""
    rates = _rates(process, rules, room, task.calibration)

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
    grid = _grid(process, rows, task)
    if grid.inside.any() and (finer := best(edge.along(rules, room, _peaks(grid)))):
        grid = _joined([grid, _grid(process, finer, task)])
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


def _timed(chip: Chip, task: Task) -> tuple[Array, ...]:
    if not chip.flops:
        raise Infeasible("its rates are not published")
    if chip.memory is None or chip.memory_bandwidth is None:
        raise Infeasible("its memory or the bandwidth of that is not published")
    if task.backend not in engines.backends(chip):
        task = replace(task, backend=engines.backends(chip)[0])
    return speeds(task, chip)


def _real(
    chip: Chip,
    rules: Sequence[Rule],
    task: Task,
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
        filled, drained, first, last, bound = _timed(chip, task)
    except ChipwiseError as error:
        point = replace(point, why=str(error))
        if chip.flops or not most:
            return point
        try:
            filled, drained, *_ = _timed(replace(chip, flops=most), task)
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
    if not formats(process.like):
        raise Infeasible(f"{process.like.name} publishes no rates; name another one")


def frontier(
    rules: Sequence[Rule],
    task: Task,
    process: Process,
    *,
    catalog: Sequence[Chip],
    beside: Sequence[Chip],
    cut_down: Mapping[str, str],
    ceilings: Mapping[str, float],
    to: str = "CN",
) -> Frontier:
    """The fastest chips just inside some rules, beside those that are real.

    Parameters
    ----------
    rules : sequence of Rule
        All of them bind.
    task : Task
        What is served.
    process : Process
        What a chip can be made of.
    catalog : sequence of Chip
        Real chips, of which the best tell what the process gives.
    beside : sequence of Chip
        Real chips to show.
    cut_down : mapping
        Chip made for a rule → the one that it was cut down from.
    ceilings : mapping
        Chip without published rates → the TPP that it cannot have reached. [TOPS × bit]
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
    grid, memory = _searched(process, rules, _room(process, most), task)
    inside, everywhere = grid.inside.astype(bool), np.ones(grid.tpp.shape, bool)
    by = {"prefill": (grid.prefill, grid.decode), "decode": (grid.decode, grid.prefill)}
    best = {name: _best(grid, *speed, inside) for name, speed in by.items()}
    free = {name: _best(grid, *speed, everywhere) for name, speed in by.items()}
    edges = np.unique([*memory, *(grid.memory[at] for at in best.values() if at is not None)])
    rows = [_best(grid, *by["decode"], inside & (grid.memory == m)) for m in edges]

    def point(at: int | None) -> FrontierPoint | None:
        return None if at is None else _point(grid, at, process)

    wholes = {c.id: c for c in catalog}
    bounds = {
        chip.id: _most_rates(wholes.get(cut_down.get(chip.id, "")), ceilings.get(chip.id))
        for chip in beside
    }
    real = tuple(_real(chip, rules, task, to, bounds[chip.id]) for chip in beside)
    free_prefill, free_decode = point(free["prefill"]), point(free["decode"])
    assert free_prefill is not None
    assert free_decode is not None
    return Frontier(
        tuple(rules),
        task,
        process,
        {**given, "tpp": Limit(most, "")},
        tuple(_point(grid, at, process) for at in rows if at is not None),
        real,
        point(best["prefill"]),
        point(best["decode"]),
        free_prefill,
        free_decode,
        _worth(real, cut_down),
    )
