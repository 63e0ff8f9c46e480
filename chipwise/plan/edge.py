"""Which figures of a chip to look at for the best inside some rules.

A chip has a TPP and two bandwidths, of its memory and of its I/O, in the units of the rules and as
whole numbers, as datasheets print them. More bandwidth is never worse, and of TPPs it is known
which is better. So the best chip stands at the end of what the rules leave: at a threshold or just
below it, at the process's own end, or, where a rule limits a sum of both bandwidths, on the edge
along which one is had for the other.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chipwise import policy
from chipwise.types import Array, Rule

__all__ = ["NUMBERS", "Room", "along", "ends", "inside", "named", "rates", "steps"]

Value = float | bool | str | None
Pair = tuple[float, float]

NUMBERS = ("tpp", "density", "memory_bandwidth", "io_bandwidth", "link_bandwidth")
# Points between the thresholds, for the curve.
_BETWEEN = 16
# Steps of the first look along an edge where bandwidths are traded.
_STEPS = 32
# Thresholds below this share of what a process gives are no chip's limit: densities, years.
_LEAST = 0.02
_LAST_BIT = 1e-9


@dataclass(frozen=True, slots=True)
class Room:
    """What a process leaves to choose, and what rules may ask beside it.

    `plain` values by name; `square` of the die [mm²]; `most` TPP [TOPS × bit]; bandwidths: `widest`
    of the memory, `host` of I/O without links between chips, `whole` with all of them. [GB/s]
    """

    plain: Mapping[str, Value]
    square: float
    most: float
    widest: float
    host: float
    whole: float


def named(rules: Iterable[Rule]) -> frozenset[str]:
    """Names that the rules' conditions read."""
    return frozenset(name for rule in rules for name in policy.parse(rule.condition).names)


def _constants(rules: Iterable[Rule], *names: str) -> list[float]:
    """Numbers in the conditions that read all of some names: every threshold is one of them."""
    return sorted(
        {
            float(node.value)
            for rule in rules
            if named([rule]).issuperset(names)
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


# -- the rules' own words ------------------------------------------------------------------------


def _densities(tpp: float, square: float) -> set[float]:
    """Densities of a TPP: just at a threshold the last bit of the area must not decide."""
    density, near = tpp / square, round(tpp / square, 6)
    return {density, near} if abs(near - density) < _LAST_BIT else {density}


def _better(rule: Rule, values: Mapping[str, Value]) -> bool:
    """Whether values have the better of a rule's outcomes; what is unknown has not."""
    truth = policy.holds(rule.condition, values)
    return truth is (rule.effect == "relax")


def inside(rules: Sequence[Rule], room: Room, tpp: float, memory: float, io: float) -> bool:
    """Whether a chip of these figures has the better of every rule's outcomes.

    Parameters
    ----------
    rules : sequence of Rule
        All of them bind.
    room : Room
        What else rules may ask.
    tpp : float
        Total processing performance. [TOPS × bit]
    memory, io : float
        Bandwidths. [GB/s]
    """
    row = {
        **room.plain,
        "tpp": tpp,
        "memory_bandwidth": memory,
        "io_bandwidth": io,
        "link_bandwidth": max(io - room.host, 0.0),
    }
    densities = _densities(tpp, room.square)
    return all(_better(rule, {**row, "density": each}) for rule in rules for each in densities)


def _alike(rules: Sequence[Rule], tpp: float, square: float) -> tuple[object, ...]:
    """What the comparisons say of a TPP; one that names something else too may say anything."""
    said: list[object] = []
    for rule in rules:
        for node in ast.walk(policy.parse(rule.condition).tree):
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if not isinstance(node, ast.Compare) or names.isdisjoint(("tpp", "density")):
                continue
            if not names <= {"tpp", "density"}:
                return (tpp,)
            said += [
                policy.holds(ast.unparse(node), {"tpp": tpp, "density": density})
                for density in sorted(_densities(tpp, square))
            ]
    return tuple(said)


# -- what to look at -----------------------------------------------------------------------------


def steps(rules: Sequence[Rule], room: Room, more: Iterable[float] = ()) -> Array:
    """TPPs at the thresholds, of density too, and at what else matters. [TOPS × bit]"""
    near = (v for c in _constants(rules) for v in (c, c * room.square))
    return _axis((*near, *more), room.most)


def rates(rules: Sequence[Rule], room: Room, tpp: Iterable[float]) -> tuple[float, ...]:
    """Of TPPs, the better first, those of which no better one is alike to the rules.

    Parameters
    ----------
    rules : sequence of Rule
        All of them bind.
    room : Room
        What a process leaves.
    tpp : iterable of float
        The better first. [TOPS × bit]
    """
    kept: dict[tuple[object, ...], float] = {}
    for each in tpp:
        kept.setdefault(_alike(rules, each, room.square), each)
    return tuple(kept.values())


def _bounded(room: Room, pairs: Iterable[Pair]) -> list[Pair]:
    least = _LEAST * room.widest
    return sorted(
        {(m, i) for m, i in pairs if least <= m <= room.widest and room.host <= i <= room.whole}
    )


def _io(rules: Sequence[Rule], room: Room, *beside: str) -> list[float]:
    """Thresholds of I/O bandwidth in conditions that read some names beside it. [GB/s]"""
    links = (c + room.host for c in _constants(rules, "link_bandwidth", *beside))
    return [*_constants(rules, "io_bandwidth", *beside), *links]


def ends(rules: Sequence[Rule], room: Room) -> tuple[Array, list[Pair]]:
    """Memory bandwidths for the curve, and the pairs of memory's and I/O's to look at. [GB/s]"""
    limits, sums = _io(rules, room), _io(rules, room, "memory_bandwidth")
    io = {room.whole, *([room.host] if limits else [])}
    io |= {c - d for c in limits for d in (0, 1) if room.host <= c - d <= room.whole}
    near = [*_constants(rules, "memory_bandwidth"), *(c - i for c in sums for i in io)]
    memory = [float(m) for m in _axis(near, room.widest)]
    pairs = [(m, i) for m in memory for i in (*io, *(c - m - d for c in sums for d in (0, 1)))]
    return np.array(memory), _bounded(room, pairs)


def along(rules: Sequence[Rule], room: Room, io: Iterable[float] | None = None) -> list[Pair]:
    """Pairs on the edges where one bandwidth is had for the other, at some of I/O. [GB/s]

    None where the rules do not limit a sum of both.

    Parameters
    ----------
    rules : sequence of Rule
        All of them bind.
    room : Room
        What a process leaves.
    io : iterable of float, optional
        I/O bandwidths; evenly spread unless given. [GB/s]
    """
    if io is None:
        io = np.unique(np.ceil(np.linspace(room.host, room.whole, _STEPS + 1)))
    sums = _io(rules, room, "memory_bandwidth")
    return _bounded(room, ((c - i - d, float(i)) for i in io for c in sums for d in (0, 1)))
